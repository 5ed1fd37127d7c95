/* triton_repository.h — a model repository for Triton Inference Server: the folder that it is started with.
 *
 *   DIR/f5_tts/config.pbtxt           upstream's tensors, one response
 *   DIR/f5_tts/1/model.f5             the model, copied, so that the folder can be moved and mounted
 *   DIR/f5_tts_stream/config.pbtxt    the same, decoupled: sound is sent as it is made, by the same engine
 *   DIR/f5_tts_stream/1/README        names the model, since a version that is empty gets lost in copies */
#ifndef F5_TRITON_REPOSITORY_H
#define F5_TRITON_REPOSITORY_H

#include <stdint.h>

#include "kernels/error.h"

typedef struct {
    const char *model;                         /* a .f5 file */
    const char *device;                        /* of instances without a GPU of their own */
    const char *gpus;                          /* "0,1": instances on each of them; or NULL */
    const char *precision, *vocoder_precision; /* or NULL */
    const char *languages;                     /* or NULL */
    const char *method;
    int32_t instances; /* requests at a time, on each device */
    int32_t waiting;   /* that may wait beside them */
    int32_t nfe_step, max_frames, max_batch, threads, text_bytes;
    float first_chunk;
} triton_repository;

/* Makes the folder, whole or not at all: it is made under another name beside its place. What is there is replaced if a
 * run of this has made it and nothing was added; anything else is refused (F5_E_ARGUMENT). For the main thread of a
 * program that sweeps its litter at its end (host/files/output_litter.h). */
f5_status triton_repository_make(const triton_repository *r, const char *folder, f5_error *error);

#endif
