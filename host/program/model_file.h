/* model_file.h — where the model of a command lies: a file, the one that comes with the program, or one by a name or of
 * upstream's files, which is converted where it has not been.
 *
 *   -m FILE.f5               that file
 *   -m NAME                  NAME.f5 in the current folder, NAME.f5 in this program's own (hub_place.h), or upstream's
 *                            model NAME from the cache of the model hub
 *   -m FILE.safetensors      as -p FILE.safetensors; .pt, .pth, .ckpt, .bin and hf://... too
 *   -p, -v, -mc, ...         as upstream (hub/model_sources.h) */
#ifndef F5_MODEL_FILE_H
#define F5_MODEL_FILE_H

#include "host/hub/model_sources.h"

/* *path receives it, to be freed. Errors name what is missing and how to get it; F5_E_ARGUMENT: options that cannot go
 * together. program begins what is said meanwhile: "f5tts infer". */
f5_status model_file(const model_wish *wish, const char *program, bool quiet, char **path, f5_error *error);

#endif
