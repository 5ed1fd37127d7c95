/* settings.h — a configuration file as a flat list: "path.of.keys" = scalar. Whoever calls the converter parses the
 * file and hands the list down; nothing here knows YAML. */
#ifndef F5_CONVERT_SETTINGS_H
#define F5_CONVERT_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const char *path;  /* "model.arch.dim"; an item of a list is "path[0]" */
    const char *value; /* of a scalar, as it is written; NULL: a mapping or a list */
    bool quoted;       /* written in quotes or as a block: a string always */
} setting;

typedef struct {
    const setting *item; /* [count] in file order, paths unlike one another */
    int32_t count;
    const char *file; /* for messages */
} settings;

#endif
