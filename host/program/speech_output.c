/* speech_output.c — pieces of speech go into the files that were asked for. Samples are written as they come; of a
 * whole text only what needs all of it is kept in memory. */
#include "host/program/speech_output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/files/mel_png.h"
#include "host/files/npy.h"
#include "host/program/grow.h"

#define MOST_BYTES_A_SECOND 60 /* of text that is spoken: nobody says four times as much as usual */
#define COMPRESSED_BYTES 1000  /* a second of sound in the least format */

/* ---- before the work --------------------------------------------------------------------------------------------- */

char *speech_output_path(const speech_options *o, const char *unnamed) {
    const char *name = o->output_file ? o->output_file : unnamed;
    size_t room = strlen(o->output_dir) + strlen(name) + 2;
    char *path = malloc(room);
    if (path && (name[0] == '/' || output_is_stdout(name)))
        snprintf(path, room, "%s", name);
    else if (path)
        snprintf(path, room, "%s/%s", o->output_dir, name);
    return path;
}

const char *speech_output_extension(const speech_options *o) {
    return sound_format_extension(o->format ? (sound_format)(o->format - 1) : SOUND_WAV);
}

/* The format that the options name, or else the path, and its rate. F5_E_ARGUMENT: the two contradict each other. */
static f5_status format_of(const speech_options *o, const char *path, sound_format *format, int32_t *rate,
                           f5_error *error) {
    *format = (sound_format)(o->format - 1);
    F5_TRY(o->format == 0 ? sound_format_of_name(path, format, error) : sound_format_check_name(*format, path, error));
    if (o->float_wav && *format != SOUND_WAV && *format != SOUND_WAV_FLOAT)
        return f5_fail(error, F5_E_ARGUMENT, "--float_wav: the output is %s, no WAV", sound_format_word(*format));
    if (o->float_wav) *format = SOUND_WAV_FLOAT;
    *rate = o->rate_given ? o->rate : sound_format_rate(*format, o->rate);
    return sound_format_check(*format, *rate, error);
}

/* The outputs by their kinds; chunks have the path of the sound. */
static void paths_of(const speech_options *o, const char *path, const char *paths[OUTPUT_KINDS]) {
    paths[OUTPUT_SOUND] = path;
    paths[OUTPUT_CHUNKS] = NULL;
    paths[OUTPUT_MEL] = o->save_mel;
    paths[OUTPUT_PICTURE] = o->spectrogram;
    paths[OUTPUT_SUBTITLES] = o->subtitles;
}

bool speech_output_is_stdout(const speech_options *o, const char *path) {
    const char *paths[OUTPUT_KINDS];
    paths_of(o, path, paths);
    for (int i = 0; i < OUTPUT_KINDS; i++)
        if (paths[i] && output_goes_to_stdout(paths[i])) return true;
    return false;
}

static f5_status check_chunks(const speech_options *o, const char *path, f5_error *error) {
    if (!o->save_chunk) return F5_OK;
    if (output_goes_to_stdout(path))
        return f5_fail(error, F5_E_ARGUMENT,
                       "--save_chunk: the folder is named after the output, which is "
                       "standard output: give it a file");
    char *inside = speech_chunks_folder(path, 2);
    if (!inside) return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
    strcat(inside, "0");
    f5_status status = output_check(inside, error);
    free(inside);
    return status;
}

f5_status speech_output_check(const speech_options *o, const char *path, const char *const *inputs, int n_inputs,
                              f5_error *error) {
    const char *outputs[OUTPUT_KINDS];
    sound_format format;
    int32_t rate;
    paths_of(o, path, outputs);
    for (int i = 0; i < OUTPUT_KINDS; i++) {
        if (!outputs[i]) continue;
        F5_TRY(output_check(outputs[i], error));
        for (int k = 0; k < n_inputs; k++)
            if (inputs[k] && strcmp(inputs[k], "-") != 0) /* which is standard input there */
                F5_TRY(output_check_distinct(outputs[i], inputs[k], error));
        for (int k = 0; k < i; k++)
            if (outputs[k]) F5_TRY(output_check_distinct(outputs[i], outputs[k], error));
    }
    F5_TRY(format_of(o, path, &format, &rate, error));
    F5_TRY(check_chunks(o, path, error));
    return o->subtitles ? subtitles_check(o->subtitles, error) : F5_OK;
}

/* Bytes of a file of that kind for the least speech that the text can be. */
static int64_t least_bytes(const speech_output *out, output_kind kind, const char *text) {
    const speech_options *o = out->o;
    double pace = o->duration_scale != 0 ? 1 / (double)o->duration_scale : (double)o->speed;
    double frames = (double)strlen(text) / MOST_BYTES_A_SECOND / (pace > 1 ? pace : 1) * o->model_rate / F5_HOP;
    double seconds = frames * o->hop / o->model_rate;
    double width = out->format == SOUND_WAV_FLOAT ? 4 : out->format == SOUND_WAV24 ? 3 : 2;
    bool plain = out->format <= SOUND_WAV_FLOAT || out->format == SOUND_RAW;
    if (kind == OUTPUT_SOUND) return 1 + (int64_t)(seconds * (plain ? width * (double)out->rate : COMPRESSED_BYTES));
    if (kind == OUTPUT_MEL) return 1 + (int64_t)(frames * o->mel_bands * sizeof(float));
    return 1;
}

/* What cannot be written is told before the work. Opening a pipe twice would end it for its reader. */
static f5_status try_out(const char *path, f5_error *error) {
    char real[OUTPUT_MAX_PATH];
    bool direct;
    output_file probe;
    F5_TRY(output_resolve(path, real, &direct, error));
    if (direct) return F5_OK;
    F5_TRY(output_make_folder(real, error));
    F5_TRY(output_begin(&probe, path, error));
    output_abort(&probe);
    return F5_OK;
}

f5_status speech_output_begin(speech_output *out, const speech_options *o, const char *path, const char *text,
                              f5_error *error) {
    *out = (speech_output){.o = o, .path = path};
    F5_TRY(format_of(o, path, &out->format, &out->rate, error));
    F5_TRY(speech_level_read(o->loudness, &out->level, error));
    const char *paths[OUTPUT_KINDS];
    paths_of(o, path, paths);
    for (int i = 0; i < OUTPUT_KINDS; i++) {
        out->wanted[i] = paths[i] != NULL;
        if (!paths[i]) continue;
        F5_TRY(try_out(paths[i], error));
        F5_TRY(output_check_room(paths[i], least_bytes(out, (output_kind)i, text), error));
    }
    out->wanted[OUTPUT_CHUNKS] = o->save_chunk;
    if (o->save_chunk)
        F5_TRY(speech_chunks_begin(&out->chunks, path, text, out->format, o->model_rate, out->rate, error));
    return sound_file_begin(&out->sound, path, out->format, o->model_rate, out->rate, error);
}

/* ---- while it comes ---------------------------------------------------------------------------------------------- */

/* An output that failed is given up; the first failure is kept. */
static void note(speech_output *out, output_kind kind, f5_status status, const f5_error *why) {
    if (status == F5_OK) return;
    out->wanted[kind] = false;
    if (out->status != F5_OK) return;
    out->status = status;
    out->error = *why;
}

static f5_status no_memory(f5_error *error) {
    return f5_fail(error, F5_E_MEMORY, "no memory for the result");
}

static f5_status put_sound(speech_output *out, const float *samples, int64_t n, f5_error *error) {
    if (out->format != SOUND_WAV_FLOAT) speech_clipping_count(&out->clipping, samples, n);
    return sound_file_append(&out->sound, samples, n, error);
}

static f5_status take_sound(speech_output *out, const f5_audio *a, f5_error *error) {
    if (!out->o->remove_silence && out->level.kind == LEVEL_KEEP)
        return put_sound(out, a->samples, a->n_samples, error);
    if (!grow((void **)&out->samples, out->n_samples, a->n_samples + F5_SILENCE_ROUNDING, &out->samples_room,
              sizeof *out->samples))
        return no_memory(error);
    if (a->n_samples > 0) memcpy(out->samples + out->n_samples, a->samples, (size_t)a->n_samples * sizeof *a->samples);
    out->n_samples += a->n_samples;
    return F5_OK;
}

/* The mel is that of the mel file and of the picture. */
static f5_status take_mel(speech_output *out, const f5_audio *a, f5_error *error) {
    const size_t bands = (size_t)out->o->mel_bands;
    if (out->mel_frames + a->mel_frames > NPY_MAX_ROWS)
        return f5_fail(error, F5_E_UNSUPPORTED, "a mel of more than %d frames is not written: leave it out",
                       NPY_MAX_ROWS);
    if (!grow((void **)&out->mel, out->mel_frames, a->mel_frames, &out->mel_room, bands * sizeof *out->mel))
        return no_memory(error);
    if (a->mel_frames > 0)
        memcpy(out->mel + (size_t)out->mel_frames * bands, a->mel, (size_t)a->mel_frames * bands * sizeof *a->mel);
    out->mel_frames += a->mel_frames;
    return F5_OK;
}

int speech_output_take(void *user, const f5_audio *a) {
    speech_output *out = user;
    f5_error why = {0};
    out->seconds = a->seconds + (double)a->n_samples / out->o->model_rate;
    if (out->wanted[OUTPUT_SOUND]) note(out, OUTPUT_SOUND, take_sound(out, a, &why), &why);
    if (out->wanted[OUTPUT_CHUNKS]) note(out, OUTPUT_CHUNKS, speech_chunks_take(&out->chunks, a, &why), &why);
    if (out->wanted[OUTPUT_SUBTITLES])
        note(out, OUTPUT_SUBTITLES,
             speech_subtitles_take(&out->subtitles, a, (double)out->o->hop / out->o->model_rate, &why), &why);
    if (out->wanted[OUTPUT_MEL] || out->wanted[OUTPUT_PICTURE]) {
        f5_status status = take_mel(out, a, &why);
        note(out, OUTPUT_MEL, status, &why);
        note(out, OUTPUT_PICTURE, status, &why);
    }
    for (int i = 0; i < OUTPUT_KINDS; i++)
        if (out->wanted[i]) return 0;
    return 1;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void tell(const speech_output *out, const char *message) {
    if (out->tell) out->tell(out->tell_user, message);
}

/* What was kept until all of it is there. */
static f5_status put_kept(speech_output *out, f5_error *error) {
    char message[256];
    if (!out->samples) return F5_OK;
    if (out->o->remove_silence)
        F5_TRY(f5_remove_silence(out->samples, out->n_samples, out->samples, &out->n_samples, error));
    F5_TRY(speech_level_set(&out->level, out->samples, out->n_samples, message, sizeof message, error));
    if (*message) tell(out, message);
    out->seconds = (double)out->n_samples / out->o->model_rate;
    return put_sound(out, out->samples, out->n_samples, error);
}

static f5_status end_sound(speech_output *out, f5_error *error) {
    char message[256];
    F5_TRY(put_kept(out, error));
    F5_TRY(sound_file_commit(&out->sound, error));
    if (speech_clipping_message(&out->clipping, out->o->model_rate, message, sizeof message)) tell(out, message);
    return F5_OK;
}

f5_status speech_output_end(speech_output *out, f5_error *error) {
    const speech_options *o = out->o;
    f5_error why = {0};
    int32_t frames = (int32_t)out->mel_frames;
    if (out->wanted[OUTPUT_SOUND]) note(out, OUTPUT_SOUND, end_sound(out, &why), &why);
    if (out->wanted[OUTPUT_CHUNKS]) note(out, OUTPUT_CHUNKS, speech_chunks_end(&out->chunks, &why), &why);
    if (out->wanted[OUTPUT_MEL])
        note(out, OUTPUT_MEL, npy_write(o->save_mel, out->mel, frames, o->mel_bands, &why), &why);
    if (out->wanted[OUTPUT_PICTURE])
        note(out, OUTPUT_PICTURE,
             mel_png_write(o->spectrogram, out->mel, frames, o->mel_bands, (double)o->model_rate / o->hop, &why), &why);
    if (out->wanted[OUTPUT_SUBTITLES])
        note(out, OUTPUT_SUBTITLES, speech_subtitles_end(&out->subtitles, o->subtitles, out->seconds, &why), &why);
    return out->status == F5_OK ? F5_OK : f5_fail(error, out->status, "%s", out->error.message);
}

void speech_output_abort(speech_output *out) {
    sound_file_abort(&out->sound);
    speech_chunks_abort(&out->chunks);
    speech_subtitles_free(&out->subtitles);
    free(out->samples);
    free(out->mel);
    *out = (speech_output){0};
}
