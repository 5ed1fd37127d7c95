/* sound_aac.h — AAC by FFmpeg's libavcodec, which is loaded when it is first needed (see audio_av.h). Each frame has an
 * ADTS header, so that a player can begin anywhere. */
#ifndef F5_SOUND_AAC_H
#define F5_SOUND_AAC_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/error.h"

typedef struct sound_aac sound_aac;

/* Takes a frame's bytes; 0, or non-zero to stop. */
typedef int (*sound_aac_fn)(void *user, const void *bytes, size_t n);

/* F5_E_UNSUPPORTED: the library is not here, or has no encoder of AAC. */
f5_status sound_aac_check(f5_error *error);

/* rate: one of those in sound_format.c. Errors: as above, F5_E_MEMORY. */
f5_status sound_aac_open(sound_aac **aac, int32_t rate, sound_aac_fn take, void *user, f5_error *error);

/* F5_E_CANCELLED: `take` stopped it. F5_E_IO: the encoder failed. */
f5_status sound_aac_add(sound_aac *a, const float *samples, int64_t n, f5_error *error);
f5_status sound_aac_end(sound_aac *a, f5_error *error);
void sound_aac_close(sound_aac *a); /* NULL is fine */

#endif
