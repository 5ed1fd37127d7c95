/* voice_file.h — a voice on disk: a recording with its words in a text file beside it, or one safetensors file that has
 * both, as the server keeps what clients upload. Any thread.
 *
 * The safetensors file, version 1: a tensor "samples" F32 [frames,channels], and the metadata "format" ("f5tts voice"),
 * "version", "sample_rate", "transcript", "created_at" (seconds since 1970), and, where they were given, "language",
 * "consent", "description", "media_type", "bytes" (of the recording as it came). Later versions may add metadata; a
 * file that says a later version is refused by name. */
#ifndef F5_SERVER_VOICE_FILE_H
#define F5_SERVER_VOICE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/server/recording.h"

#define VOICE_MAX_NAME 64
#define VOICE_MAX_WORD 256         /* bytes of a language, a consent, a media type */
#define VOICE_MAX_TRANSCRIPT 16384 /* bytes; of a description too */
#define VOICE_MAX_SECONDS 120      /* of what is uploaded */
#define VOICE_MAX_BYTES (64 << 20) /* of its samples in memory */
#define VOICE_FILE_ENDING ".safetensors"

typedef struct {
    recording *recording;
    int64_t created_at, bytes;                           /* bytes: of the recording as it came; 0: not known */
    char *language, *consent, *description, *media_type; /* NULL: not given; owned */
    char advice[1024]; /* what a listener would notice of it, a line each; "" where it is good */
} voice_file;

void voice_file_free(voice_file *v); /* releases the recording; safe on a zeroed one */

/* A name that is safe as a file's and in a text's tags of every client: 1 .. VOICE_MAX_NAME of ASCII letters, digits
 * and . _ -, a letter or digit first, no ending of a recording. Names that differ in case alone are one voice's.
 * F5_E_ARGUMENT says so. */
f5_status voice_name_check(const char *name, f5_error *error);
bool voice_name_is(const char *a, const char *b);

/* Reads a recording of any format and checks it as f5_voice_open would. `shown` stands for the path in messages. Of *v
 * the recording, bytes and advice are set. F5_E_UNSUPPORTED: longer than max_seconds. */
f5_status voice_read_recording(voice_file *v, const char *path, const char *shown, const char *transcript,
                               double max_seconds, f5_error *error);

/* A recording and the words beside it; path ends with `ending` (".wav"), and the words' path with ".txt" instead. */
f5_status voice_read_pair(voice_file *v, const char *path, const char *ending, f5_error *error);

f5_status voice_file_read(voice_file *v, const char *path, f5_error *error);
/* Whole or not at all, and on the disk when it returns. */
f5_status voice_file_write(const voice_file *v, const char *path, f5_error *error);

#endif
