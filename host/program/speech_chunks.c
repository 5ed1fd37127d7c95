/* speech_chunks.c — a stretch is written under a number, and gets its name when all that it says is known. */
#include "host/program/speech_chunks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/utf8.h"

#define NAME_CHARACTERS 200 /* upstream's: of a chunk's text, in its file's name */
#define NAME_BYTES 230      /* file systems allow 255 */

static f5_status no_memory(f5_error *error) {
    return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
}

char *speech_chunks_folder(const char *path, size_t more) {
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

f5_status speech_chunks_begin(speech_chunks *c, const char *path, const char *text, sound_format format, int32_t given,
                              int32_t rate, f5_error *error) {
    *c = (speech_chunks){.path = path, .text = text, .format = format, .given = given, .rate = rate, .segment = -1};
    char *folder = speech_chunks_folder(path, 0);
    f5_status status = folder ? output_make_folder(folder, error) : no_memory(error);
    free(folder);
    return status;
}

/* The chunk's file gets upstream's name: its number, and what it says. */
f5_status speech_chunks_end(speech_chunks *c, f5_error *error) {
    if (!c->part) return F5_OK;
    char *path = speech_chunks_folder(c->path, NAME_BYTES + 64);
    if (!path) return no_memory(error);
    size_t n = strlen(path);
    n += (size_t)sprintf(path + n, "%d_", (int)c->count++);
    if (c->text_from >= 0)
        n += name_text(path + n, c->text + c->text_from, (size_t)(c->text_to - c->text_from));
    else if (c->said)
        n += name_text(path + n, c->said, strlen(c->said));
    sprintf(path + n, ".%s", sound_format_extension(c->format));
    f5_status status = output_rename(&c->file.out, path, error);
    if (status == F5_OK)
        status = sound_file_commit(&c->file, error);
    else
        sound_file_abort(&c->file);
    free(path);
    free(c->part);
    free(c->said);
    c->part = c->said = NULL;
    return status;
}

static f5_status begin_chunk(speech_chunks *c, f5_error *error) {
    c->part = speech_chunks_folder(c->path, 32);
    if (!c->part) return no_memory(error);
    sprintf(c->part + strlen(c->part), "%d", (int)c->count);
    c->text_from = c->text_to = -1;
    f5_status status = sound_file_begin(&c->file, c->part, c->format, c->given, c->rate, error);
    if (status != F5_OK) {
        free(c->part);
        c->part = NULL;
    }
    return status;
}

f5_status speech_chunks_take(speech_chunks *c, const f5_audio *a, f5_error *error) {
    if (a->segment != c->segment) F5_TRY(speech_chunks_end(c, error));
    c->segment = a->segment;
    if (!c->part) {
        if (a->mel_frames == 0) return F5_OK; /* a pause before all speech */
        F5_TRY(begin_chunk(c, error));
    }
    for (int32_t i = 0; i < a->n_marks; i++) {
        const f5_mark *m = &a->marks[i];
        if (m->at < 0) continue;
        if (c->text_from < 0) c->text_from = m->at;
        c->text_to = m->at + (int64_t)m->bytes;
    }
    if (!c->said && a->text_bytes > 0 && !(c->said = strndup(a->text, a->text_bytes))) return no_memory(error);
    return sound_file_append(&c->file, a->samples, a->n_samples, error);
}

void speech_chunks_abort(speech_chunks *c) {
    sound_file_abort(&c->file);
    free(c->part);
    free(c->said);
    *c = (speech_chunks){0};
}
