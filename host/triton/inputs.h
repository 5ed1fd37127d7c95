/* inputs.h — what a request asks for: its tensors and its parameters, checked.
 *
 * Tensors are upstream's. The batch dimension in front, always 1, is there where the model has a max_batch_size:
 *   reference_wav      FP32 [N]   the recording, mono
 *   reference_wav_len  INT32 [1]  so many samples of it count, the rest is padding; not sent: all
 *   reference_text     BYTES [1]  what the recording says
 *   target_text        BYTES [1]  what to say
 * Parameters are those of speech_settings.h; others are passed over. */
#ifndef F5_TRITON_INPUTS_H
#define F5_TRITON_INPUTS_H

#include "host/triton/model_config.h"
#include "host/triton/triton_api.h"

typedef struct {
    float *samples; /* [n] */
    int64_t n;
    char *reference_text, *target_text;
    speech_settings speech;
} speech_inputs;

/* Copies everything. F5_E_ARGUMENT and F5_E_LIMIT name the tensor or parameter. To be freed also after a failure. */
f5_status inputs_read(speech_inputs *in, TRITONBACKEND_Request *request, const model_config *config, f5_error *error);
void inputs_free(speech_inputs *in);

#endif
