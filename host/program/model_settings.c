/* model_settings.c — one pass over the settings, which are few. */
#include "host/program/model_settings.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "kernels/error.h"

const char *const method_names[3] = {"euler", "midpoint", "ab2"};

f5_status model_describe(const char *path, f5_model_file **file, f5_model_info *info, f5_error *error) {
    f5_model_info_init(info);
    F5_TRY(f5_describe(path, file, error));
    const f5_status status = f5_model_file_info(*file, info, error);
    if (status == F5_OK) return F5_OK;
    f5_model_file_close(*file);
    *file = NULL;
    return status;
}

/* Setting i; false after the last. */
static bool setting_at(const f5_model_file *file, int32_t i, f5_model_setting *s) {
    f5_model_setting_init(s);
    return f5_model_file_setting(file, i, s, NULL) == F5_OK;
}

const char *model_setting(const f5_model_file *file, const char *name) {
    f5_model_setting s;
    for (int32_t i = 0; setting_at(file, i, &s); i++)
        if (strcmp(s.name, name) == 0) return s.value;
    return "";
}

void model_settings_print(const f5_model_file *file, const char *part) {
    size_t length = strlen(part);
    f5_model_setting s;
    for (int32_t i = 0; setting_at(file, i, &s); i++) {
        if (strncmp(s.name, part, length) != 0 || s.name[length] != '.') continue;
        const char *name = s.name + length + 1;
        if (strcmp(name, "kind") != 0) printf(", %s %s", name, s.value);
    }
}
