/* model_config.h — what a model's config.pbtxt says of the engine that it wants, and of how its requests are spoken.
 *
 * The server hands the configuration over as JSON. Everything of ours is a parameter there, by its name:
 *   model_path                   the .f5 file, "model.f5"; a relative path starts from the version's folder
 *   device                       as f5_open_params has it, "auto"; instances of KIND_GPU have the GPU that they name
 *   precision, vocoder_precision, max_frames, max_batch, threads, languages    as f5_open_params has them
 *   text_bytes                   most of a request's text, 16384
 *   reference_audio_sample_rate  of reference_wav, 24000
 *   and every setting of speech_settings.h, for requests that do not say; with neither nfe nor method the solver is the
 *   one that the model file asks for (f5_model_defaults)
 * Upstream's other parameters (vocab_file, tllm_model_dir, vocoder) are passed over: the .f5 file holds what they name.
 * A name that is none of these is refused. */
#ifndef F5_TRITON_MODEL_CONFIG_H
#define F5_TRITON_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "host/triton/speech_settings.h"

typedef struct {
    char model_path[4096]; /* where it really lies */
    char device[32], precision[16], vocoder_precision[16], languages[128];
    int32_t max_frames, max_batch, threads;
    int32_t text_bytes, reference_rate;
    bool decoupled; /* sound is sent piece by piece */
    speech_settings speech;
} model_config;

/* json [bytes]; `folder` is the version's folder. Errors: F5_E_FORMAT, F5_E_ARGUMENT, F5_E_IO (no such model file), and
 * those of f5_describe. */
f5_status model_config_read(model_config *c, const char *json, size_t bytes, const char *folder, f5_error *error);

#endif
