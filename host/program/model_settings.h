/* model_settings.h — the settings of a described model, by name and as text. */
#ifndef F5_MODEL_SETTINGS_H
#define F5_MODEL_SETTINGS_H

#include "host/api/f5tts.h"

/* The value of "backbone.dim"; "" if the model has no setting of that name. It lives as long as the file. */
const char *model_setting(const f5_model_file *file, const char *name);

/* Prints ", dim 1024, depth 22": all settings of a part ("backbone") but its kind, as its file has them. For parts
 * whose settings this program does not know by name. */
void model_settings_print(const f5_model_file *file, const char *part);

#endif
