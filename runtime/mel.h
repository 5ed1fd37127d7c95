/* mel.h — a recording's mel, as the model's vocoder defines it. */
#ifndef F5_RUNTIME_MEL_H
#define F5_RUNTIME_MEL_H

#include "runtime/models/vocoder.h"

/* samples [n] on the host -> mel [mel_frames(n),100] on the host. The arena is reset first. */
f5_status mel_run(const stage_context *c, const float *samples, int64_t n, float *mel);

#endif
