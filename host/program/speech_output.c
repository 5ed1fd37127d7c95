/* speech_output.c — pieces of speech go into the files that were asked for. Samples are written as they come; of a
 * whole text only what needs all of it is kept in memory. */
#include "host/program/speech_output.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/files/mel_png.h"
#include "host/files/npy.h"
#include "host/files/output_file.h"
#include "weights/utf8.h"

#define NAME_CHARACTERS 200 /* upstream's: of a chunk's text, in its file's name */
#define NAME_BYTES 230      /* file systems allow 255 */

/* ---- names ------------------------------------------------------------------------------------------------------- */

char *speech_output_path(const speech_options *o, const char *unnamed) {
    const char *name = o->output_file ? o->output_file : unnamed;
    size_t room = strlen(o->output_dir) + strlen(name) + 2;
    char *path = malloc(room);
    if (path && name[0] == '/')
        snprintf(path, room, "%s", name);
    else if (path)
        snprintf(path, room, "%s/%s", o->output_dir, name);
    return path;
}

f5_status speech_output_check(const speech_options *o, const char *path, const char *const *inputs, int n_inputs,
                              f5_error *error) {
    const char *outputs[] = {path, o->save_mel, o->spectrogram, o->subtitles};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        if (!outputs[i]) continue;
        F5_TRY(output_check(outputs[i], error));
        for (int k = 0; k < n_inputs; k++)
            if (inputs[k]) F5_TRY(output_check_distinct(outputs[i], inputs[k], error));
        for (size_t k = 0; k < i; k++)
            if (outputs[k]) F5_TRY(output_check_distinct(outputs[i], outputs[k], error));
    }
    return o->subtitles ? subtitles_check(o->subtitles, error) : F5_OK;
}

/* STEM_chunks/ of the output, with room for `more` bytes behind it. */
static char *chunk_folder(const char *path, size_t more) {
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    size_t stem = dot && dot > (slash ? slash + 1 : path) ? (size_t)(dot - path) : strlen(path);
    char *folder = malloc(stem + sizeof "_chunks/" + more);
    if (folder) sprintf(folder, "%.*s_chunks/", (int)stem, path);
    return folder;
}

/* The first characters of a text, as a file's name may have them: what would end a name, a folder or a line becomes a
 * space or '_'. More text than that is shown by " ... ", as upstream does. */
static size_t name_text(char *to, const char *text, size_t bytes) {
    size_t n = 0, at = 0;
    int characters = 0;
    for (uint32_t code = 0; at < bytes && characters < NAME_CHARACTERS; characters++) {
        size_t length = utf8_decode(text + at, bytes - at, &code);
        if (length == 0) code = '_', length = 1;
        if (n + length > NAME_BYTES) break;
        if (code < 0x20 || code == 0x7f)
            to[n++] = ' ';
        else if (code == '/')
            to[n++] = '_';
        else
            n += utf8_encode(to + n, code);
        at += length;
    }
    if (at < bytes) {
        memcpy(to + n, " ... ", 5);
        n += 5;
    }
    return n;
}

/* ---- growing memory ---------------------------------------------------------------------------------------------- */

/* Room for n items of `size` bytes behind the used ones. */
static bool grow(void **memory, int64_t used, int64_t n, int64_t *room, size_t size) {
    if (used + n <= *room) return true;
    int64_t wanted = 2 * *room > used + n ? 2 * *room : used + n;
    void *more = realloc(*memory, (size_t)wanted * size);
    if (!more) return false;
    *memory = more, *room = wanted;
    return true;
}

static f5_status no_memory(f5_error *error) {
    return f5_fail(error, F5_E_MEMORY, "no memory for the result");
}

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

/* The chunk's file gets upstream's name: its number, and what it says. */
static f5_status end_chunk(speech_output *out, f5_error *error) {
    if (!out->chunk_path) return F5_OK;
    char *path = chunk_folder(out->path, NAME_BYTES + 64);
    if (!path) return no_memory(error);
    size_t n = strlen(path);
    n += (size_t)sprintf(path + n, "%d_", (int)out->chunks++);
    if (out->text_from >= 0)
        n += name_text(path + n, out->text + out->text_from, (size_t)(out->text_to - out->text_from));
    else if (out->said)
        n += name_text(path + n, out->said, strlen(out->said));
    strcpy(path + n, ".wav");
    out->chunk.out.path = path;
    f5_status status = audio_commit(&out->chunk, error);
    free(path);
    free(out->chunk_path);
    free(out->said);
    out->chunk_path = out->said = NULL;
    return status;
}

static f5_status begin_chunk(speech_output *out, f5_error *error) {
    out->chunk_path = chunk_folder(out->path, 32);
    if (!out->chunk_path) return no_memory(error);
    sprintf(out->chunk_path + strlen(out->chunk_path), "%d", (int)out->chunks);
    out->text_from = out->text_to = -1;
    f5_status status = audio_begin(&out->chunk, out->chunk_path, F5_SAMPLE_RATE, out->o->float_wav, error);
    if (status != F5_OK) {
        free(out->chunk_path);
        out->chunk_path = NULL;
    }
    return status;
}

static f5_status take_chunk(speech_output *out, const f5_audio *a, f5_error *error) {
    if (a->segment != out->segment) F5_TRY(end_chunk(out, error));
    out->segment = a->segment;
    if (!out->chunk_path) {
        if (a->mel_frames == 0) return F5_OK; /* a pause before all speech */
        F5_TRY(begin_chunk(out, error));
    }
    for (int32_t i = 0; i < a->n_marks; i++) {
        const f5_mark *m = &a->marks[i];
        if (m->at < 0) continue;
        if (out->text_from < 0) out->text_from = m->at;
        out->text_to = m->at + (int64_t)m->bytes;
    }
    if (!out->said && a->text_bytes > 0 && !(out->said = strndup(a->text, a->text_bytes))) return no_memory(error);
    return audio_append(&out->chunk, a->samples, a->n_samples, error);
}

/* ---- subtitles --------------------------------------------------------------------------------------------------- */

static f5_status add_entry(speech_output *out, subtitle_kind kind, double start, double end, const char *text,
                           size_t bytes, f5_error *error) {
    int64_t room = (int64_t)out->entries_room;
    if (!grow((void **)&out->entry, (int64_t)out->n_entries, 1, &room, sizeof *out->entry)) return no_memory(error);
    out->entries_room = (size_t)room;
    char *copy = malloc(bytes + 1);
    if (!copy) return no_memory(error);
    memcpy(copy, text, bytes);
    out->entry[out->n_entries++] = (subtitle_entry){start, end, copy, bytes, kind};
    return F5_OK;
}

/* The words of a sentence share its time by their bytes. */
static f5_status add_words(speech_output *out, const f5_mark *m, f5_error *error) {
    static const char space[] = " \t\r\n";
    for (size_t at = 0; at < m->bytes;) {
        size_t begin = at;
        while (begin < m->bytes && strchr(space, m->text[begin])) begin++;
        size_t end = begin;
        while (end < m->bytes && !strchr(space, m->text[end])) end++;
        double length = m->end - m->start, bytes = (double)m->bytes;
        if (end > begin)
            F5_TRY(add_entry(out, SUBTITLE_WORD, m->start + length * (double)begin / bytes,
                             m->start + length * (double)end / bytes, m->text + begin, end - begin, error));
        at = end;
    }
    return F5_OK;
}

static f5_status take_subtitles(speech_output *out, const f5_audio *a, f5_error *error) {
    if (a->mel_frames > 0) {
        double length = (double)(a->mel_frames - 1) * F5_HOP / F5_SAMPLE_RATE;
        F5_TRY(add_entry(out, SUBTITLE_CHUNK, a->seconds, a->seconds + length, a->text, a->text_bytes, error));
    }
    for (int32_t i = 0; i < a->n_marks; i++) {
        const f5_mark *m = &a->marks[i];
        F5_TRY(add_entry(out, SUBTITLE_SENTENCE, m->start, m->end, m->text, m->bytes, error));
        F5_TRY(add_words(out, m, error));
    }
    return F5_OK;
}

/* What overlaps is shown until the next begins; nothing goes on after the output's end. */
static void trim_entries(speech_output *out) {
    subtitle_entry *before[SUBTITLE_WORD + 1] = {0};
    for (size_t i = 0; i < out->n_entries; i++) {
        subtitle_entry *e = &out->entry[i], *b = before[e->kind];
        if (b && b->end > e->start) b->end = fmax(b->start, e->start);
        before[e->kind] = e;
    }
    for (int kind = 0; kind <= SUBTITLE_WORD; kind++)
        if (before[kind] && before[kind]->end > out->seconds)
            before[kind]->end = fmax(before[kind]->start, out->seconds);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

f5_status speech_output_begin(speech_output *out, const speech_options *o, const char *path, const char *text,
                              f5_error *error) {
    *out = (speech_output){.o = o, .path = path, .text = text, .segment = -1};
    const char *paths[] = {path, o->save_mel, o->spectrogram, o->subtitles};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        output_file probe; /* what cannot be written is told before the work */
        if (!paths[i]) continue;
        F5_TRY(output_make_folder(paths[i], error));
        F5_TRY(output_begin(&probe, paths[i], error));
        output_abort(&probe);
    }
    if (o->save_chunk) {
        char *folder = chunk_folder(path, 0);
        f5_status status = folder ? output_make_folder(folder, error) : no_memory(error);
        free(folder);
        F5_TRY(status);
    }
    return audio_begin(&out->audio, path, F5_SAMPLE_RATE, o->float_wav, error);
}

static f5_status take(speech_output *out, const f5_audio *a, f5_error *error) {
    const speech_options *o = out->o;
    if (o->remove_silence) {
        if (!grow((void **)&out->samples, out->n_samples, a->n_samples + F5_SILENCE_ROUNDING, &out->samples_room,
                  sizeof *out->samples))
            return no_memory(error);
        if (a->n_samples > 0)
            memcpy(out->samples + out->n_samples, a->samples, (size_t)a->n_samples * sizeof *a->samples);
        out->n_samples += a->n_samples;
    } else {
        F5_TRY(audio_append(&out->audio, a->samples, a->n_samples, error));
    }
    out->seconds = a->seconds + (double)a->n_samples / F5_SAMPLE_RATE;
    if (o->save_chunk) F5_TRY(take_chunk(out, a, error));
    if (o->subtitles) F5_TRY(take_subtitles(out, a, error));
    if (!(o->save_mel || o->spectrogram) || a->mel_frames == 0) return F5_OK;
    if (out->mel_frames + a->mel_frames > NPY_MAX_ROWS)
        return f5_fail(error, F5_E_UNSUPPORTED, "a mel of more than %d frames is not written: leave it out",
                       NPY_MAX_ROWS);
    if (!grow((void **)&out->mel, out->mel_frames, a->mel_frames, &out->mel_room, F5_MEL_BANDS * sizeof *out->mel))
        return no_memory(error);
    memcpy(out->mel + out->mel_frames * F5_MEL_BANDS, a->mel, (size_t)a->mel_frames * F5_MEL_BANDS * sizeof *a->mel);
    out->mel_frames += a->mel_frames;
    return F5_OK;
}

int speech_output_take(void *user, const f5_audio *audio) {
    speech_output *out = user;
    out->status = take(out, audio, &out->error);
    return out->status != F5_OK;
}

/* Keeps the first failure. */
static void note(f5_status *first, f5_status status, f5_error *error, const f5_error *why) {
    if (*first != F5_OK || status == F5_OK) return;
    *first = f5_fail(error, status, "%s", why->message);
}

static f5_status end_audio(speech_output *out, f5_error *error) {
    if (out->o->remove_silence && out->samples) {
        int64_t n;
        F5_TRY(f5_remove_silence(out->samples, out->n_samples, out->samples, &n, error));
        F5_TRY(audio_append(&out->audio, out->samples, n, error));
        out->seconds = (double)n / F5_SAMPLE_RATE;
    }
    return audio_commit(&out->audio, error);
}

f5_status speech_output_end(speech_output *out, f5_error *error) {
    const speech_options *o = out->o;
    f5_status status = F5_OK;
    f5_error why = {0};
    int32_t frames = (int32_t)out->mel_frames;
    note(&status, end_audio(out, &why), error, &why);
    note(&status, end_chunk(out, &why), error, &why);
    if (o->save_mel) note(&status, npy_write(o->save_mel, out->mel, frames, F5_MEL_BANDS, &why), error, &why);
    if (o->spectrogram)
        note(&status,
             mel_png_write(o->spectrogram, out->mel, frames, F5_MEL_BANDS, (double)F5_SAMPLE_RATE / F5_HOP, &why),
             error, &why);
    if (o->subtitles) {
        trim_entries(out);
        note(&status, subtitles_write(o->subtitles, out->entry, out->n_entries, &why), error, &why);
    }
    return status;
}

void speech_output_abort(speech_output *out) {
    audio_abort(&out->audio);
    audio_abort(&out->chunk);
    for (size_t i = 0; i < out->n_entries; i++) free((char *)out->entry[i].text);
    free(out->entry);
    free(out->chunk_path);
    free(out->said);
    free(out->samples);
    free(out->mel);
    *out = (speech_output){0};
}
