/* speech_level.h — how loud the output shall be. A level other than the recording's needs all of the speech: it is then
 * written when it ends, not while it is made. */
#ifndef F5_SPEECH_LEVEL_H
#define F5_SPEECH_LEVEL_H

#include <stdbool.h>
#include <stddef.h>

#include "host/api/f5tts.h"
#include "kernels/error.h"

#define SPEECH_LEVEL_WORDS "keep|peak|-16"
#define SPEECH_PEAK_DB -1.0 /* of --loudness peak, and the most that a loudness may lead to */

typedef enum { LEVEL_KEEP, LEVEL_PEAK, LEVEL_LUFS } speech_level_kind;

typedef struct {
    speech_level_kind kind;
    double lufs;
} speech_level;

/* "keep", "peak", or LUFS as a number from -70 to -5; NULL: keep. */
f5_status speech_level_read(const char *text, speech_level *level, f5_error *error);

/* Changes samples [n] to that level. Where a loudness would clip, as much of it is given as the peak allows, and
 * message [room] says so; else it is "". */
f5_status speech_level_set(const speech_level *level, float *samples, int64_t n, char *message, size_t room,
                           f5_error *error);

/* What was clipped, piece by piece. */
typedef struct {
    int64_t samples, beyond;
    float peak;
} speech_clipping;

void speech_clipping_count(speech_clipping *c, const float *samples, int64_t n);

/* The share and by how much, and what to do about speech of that many samples a second; false: nothing was. */
bool speech_clipping_message(const speech_clipping *c, int32_t rate, char *message, size_t room);

#endif
