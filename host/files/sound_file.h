/* sound_file.h — a mono sound that is written while its samples come, in any format and at any rate of
 * sound_format.h: a file whole or not at all, a pipe piece by piece. */
#ifndef F5_SOUND_FILE_H
#define F5_SOUND_FILE_H

#include "host/files/output_file.h"
#include "host/files/sound_encoder.h"

typedef struct {
    output_file out;
    sound_encoder *encoder;
} sound_file;

/* given: the rate of the samples. Every begun file is ended by one of commit and abort; abort after commit or a failed
 * begin does nothing. It must not be moved in memory meanwhile. Errors: those of output_begin and sound_encoder_open.
 */
f5_status sound_file_begin(sound_file *s, const char *path, sound_format format, int32_t given, int32_t rate,
                           f5_error *error);
f5_status sound_file_append(sound_file *s, const float *samples, int64_t n, f5_error *error);
f5_status sound_file_commit(sound_file *s, f5_error *error); /* the file is aborted if any write failed */
void sound_file_abort(sound_file *s);

/* Writes samples [n] at once. */
f5_status sound_file_write(const char *path, const float *samples, int64_t n, sound_format format, int32_t given,
                           int32_t rate, f5_error *error);

#endif
