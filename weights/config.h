/* config.h — the configuration in a .f5 file: its limits, and its form as JSON.
 *
 * The metadata of a .f5 file (safetensors __metadata__, strings all):
 *   format          "f5tts"
 *   format_version  "1"
 *   config          a JSON object with one member for every field of model_config, no other
 *   vocab           the tokens by id, each followed by "\n"; absent with the byte tokenizer
 * In the config object the tokenizer is its name, flags are true or false, the rest are integers. */
#ifndef F5_CONFIG_H
#define F5_CONFIG_H

#include "weights/model.h"
#include "weights/safetensors.h"

#define MODEL_FORMAT "f5tts"
#define MODEL_FORMAT_VERSION "1"
#define MODEL_CONFIG_TEXT 1024 /* bytes that always hold a configuration as JSON */

/* Every field within our limits and consistent. `where` names the file in messages. Errors: F5_E_UNSUPPORTED. */
f5_status model_config_check(const model_config *config, const char *where, f5_error *error);

/* Reads and checks the JSON object: every field there, of the right type, none unknown. F5_E_FORMAT, F5_E_MEMORY, and
 * F5_E_UNSUPPORTED as above. */
f5_status model_config_read(model_config *config, const char *text, size_t bytes, const char *where, f5_error *error);

/* Writes the JSON object, terminated, into text. The configuration must have passed model_config_check. */
void model_config_write(const model_config *config, char text[MODEL_CONFIG_TEXT]);

/* Declares all four metadata entries above; vocab is not read for the byte tokenizer and may be NULL then. */
f5_status model_metadata_write(safetensors_writer *w, const model_config *config, const vocab *vocab, f5_error *error);

/* Reads and checks them. On failure *vocab is zeroed. Errors: F5_E_FORMAT, F5_E_UNSUPPORTED, F5_E_MEMORY. */
f5_status model_metadata_read(const safetensors *st, model_config *config, vocab *vocab, const char *where,
                              f5_error *error);

const char *tokenizer_name(tokenizer_kind kind);                  /* "pinyin", "char", "byte", "custom" */
bool tokenizer_from_name(tokenizer_kind *kind, const char *name); /* false: no such name, *kind unchanged */

#endif
