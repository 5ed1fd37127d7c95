/* model_settings.h — a model's file described, and its settings by name and as text. */
#ifndef F5_MODEL_SETTINGS_H
#define F5_MODEL_SETTINGS_H

#include "host/api/f5tts.h"

/* By f5_method: "euler", "midpoint", "ab2". */
extern const char *const method_names[3];

/* Opens a description, f5_model_file_close, and asks what the model is. On failure *file is NULL. */
f5_status model_describe(const char *path, f5_model_file **file, f5_model_info *info, f5_error *error);

/* The value of "backbone.dim"; "" if the model has no setting of that name. It lives as long as the file. */
const char *model_setting(const f5_model_file *file, const char *name);

/* Prints ", dim 1024, depth 22": all settings of a part ("backbone") but its kind, as its file has them. For parts
 * whose settings this program does not know by name. */
void model_settings_print(const f5_model_file *file, const char *part);

#endif
