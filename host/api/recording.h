/* recording.h — a caller's recording, checked, cut and levelled as reference_prepare does, at the model's rate. */
#ifndef F5_RECORDING_H
#define F5_RECORDING_H

#include "host/api/f5tts.h"
#include "host/audio/reference.h"

/* Reads samples, channels, rates, target_rms and keep_whole of the params; leave_out as of reference_prepare. The
 * transcript is not looked at. The clip has 24000 samples a second; free clip->samples, also after an error. Allocates.
 * Errors: F5_E_ARGUMENT names what is wrong, F5_E_MEMORY. */
f5_status recording_read(const f5_voice_params *params, int leave_out, reference_clip *clip, f5_error *error);

#endif
