/* duration.h — how texts become frames: upstream's rules (f5_tts/infer/utils_infer.py), in its order of operations in
 * double. A float setting counts as the decimal it was written as (to four places), so that 0.8 means 0.8.
 * Pure functions. */
#ifndef F5_DURATION_H
#define F5_DURATION_H

#include <stddef.h>

#include "kernels/error.h"

#define DURATION_ENDING_BYTES 3   /* most that duration_end_transcript adds */
#define DURATION_MAX_FRAMES 65536 /* upstream's clamp */

/* Texts of fewer bytes are spoken at this speed. */
typedef struct {
    size_t bytes;
    double speed;
} duration_short;

/* The decimal of up to four places that a float was written as, if there is one: 0.8f is 0.800000012, but 0.8 was
 * meant, and upstream reckons with that. */
double duration_as_written(float value);

/* Writes the transcript with upstream's ending into out [bytes + DURATION_ENDING_BYTES] and returns its length: unless
 * it ends with ". " or "。", a "." at the end gets " " and anything else ". "; then, if the last character is one byte
 * long, one more space. */
size_t duration_end_transcript(const char *text, size_t bytes, char *out);

/* Longest chunk in bytes: int(bytes / seconds * (22 - seconds) * speed); not positive for references of 22 s or more.
 * `text` is the finished transcript; its last space, when the ending rule put two, is not counted here. */
int64_t duration_max_chunk_bytes(const char *text, size_t bytes, double reference_seconds, float speed);

/* Frames wanted, reference included: ref_frames + int(ref_frames / ref_bytes * gen_bytes / speed), at the rule's speed
 * when gen_bytes are fewer than its bytes; with fixed_seconds > 0, int(fixed_seconds * 24000 / 256). At most
 * DURATION_MAX_FRAMES. ref_frames >= 0, ref_bytes >= 1, speed > 0; rule NULL: none. */
int64_t duration_requested(int64_t ref_frames, size_t ref_bytes, size_t gen_bytes, float speed,
                           const duration_short *rule, double fixed_seconds);

/* Bytes of UTF-8 that speech has in a second, with room on both sides: 15 is usual in English and in Chinese alike. */
#define DURATION_SLOW_PACE 4
#define DURATION_FAST_PACE 28

/* Frames made: max(max(n_tokens, cond_frames) + 1, requested), at most DURATION_MAX_FRAMES. */
int64_t duration_frames(int64_t n_tokens, int64_t cond_frames, int64_t requested);

#endif
