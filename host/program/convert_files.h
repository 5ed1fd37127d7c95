/* convert_files.h — a conversion as the program does it: configurations are read, progress is shown, and the signals
 * that end a program end it with nothing left behind. */
#ifndef F5_CONVERT_FILES_H
#define F5_CONVERT_FILES_H

#include <stdbool.h>

#include "host/api/f5tts.h"

/* f5_convert, after reading params->config_path and params->vocoder_config_path where params has no settings of theirs,
 * and finding the shipped tables for Chinese where params->pinyin_path is NULL ("none": without). params is as it was
 * afterwards. A signal that arrived meanwhile is raised once the file is away. program begins a message: "f5tts
 * convert". Call it from one thread. */
f5_status convert_files(f5_convert_params *params, const char *program, bool quiet, f5_convert_summary *summary,
                        f5_error *error);

#endif
