/* yaml_config.h — upstream's YAML files into our configuration.
 *
 * A file is flattened to "path.of.keys" = scalar, and the keys that matter are asked for; the rest (training, data,
 * hydra) is ignored unread. Missing keys take the defaults of upstream's constructors (DiT, CFM, MelSpec, ISTFTHead).
 * Limits: TREE_MAX_*. Aliases, tags, duplicate keys and several documents are refused: upstream uses none.
 * Errors: F5_E_IO, F5_E_FORMAT (not YAML, a value of the wrong type), F5_E_UNSUPPORTED (a model we do not have),
 * F5_E_MEMORY; messages name the file and the key. */
#ifndef F5_YAML_CONFIG_H
#define F5_YAML_CONFIG_H

#include "weights/model.h"

/* model.* of an F5-TTS configuration: everything of *config but vocab_size and the vocoder. */
f5_status yaml_read_model(model_config *config, const char *path, f5_error *error);

/* The config.yaml of Vocos: vocos_*. */
f5_status yaml_read_vocos(model_config *config, const char *path, f5_error *error);

#endif
