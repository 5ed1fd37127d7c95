/* upstream_config.h — upstream's configuration files into ours.
 *
 * The keys that matter are asked for by their path; the rest (training, data, hydra) is ignored unread. Missing keys
 * take the defaults of upstream's constructors (DiT, CFM, MelSpec, ISTFTHead).
 * Errors: F5_E_FORMAT (a value of the wrong type), F5_E_UNSUPPORTED (a model we do not have); messages name the file
 * and the key. */
#ifndef F5_UPSTREAM_CONFIG_H
#define F5_UPSTREAM_CONFIG_H

#include "weights/convert/settings.h"
#include "weights/model.h"

/* model.* of an F5-TTS configuration: everything of *config but vocab_size and the vocoder. */
f5_status upstream_read_model(model_config *config, const settings *from, f5_error *error);

/* The config.yaml of Vocos: vocos_*. */
f5_status upstream_read_vocos(model_config *config, const settings *from, f5_error *error);

#endif
