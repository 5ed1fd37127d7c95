/* toml.h — a small TOML file as a flat list of "path.of.keys" = value. Items of an array are "path[0]".
 *
 * TOML 1.0 but for what no configuration of ours needs: arrays of tables, dates and times, keys with a dot, a bracket
 * or a control character inside quotes, and NUL characters are refused by name. A byte order mark is skipped. */
#ifndef F5_TOML_H
#define F5_TOML_H

#include "kernels/error.h"

#define TOML_MAX_BYTES (16 << 20)
#define TOML_MAX_NODES 4096
#define TOML_MAX_DEPTH 16
#define TOML_MAX_PATH 256

typedef enum {
    TOML_TABLE,
    TOML_ARRAY,
    TOML_STRING,
    TOML_INTEGER, /* value: decimal digits, with a sign if negative; fits int64_t */
    TOML_FLOAT,   /* value: as it is written, without underscores; strtod reads it, "inf" and "nan" too */
    TOML_BOOLEAN, /* value: "true" or "false" */
} toml_type;

typedef struct {
    char *path;
    char *value; /* UTF-8 without NUL; NULL for a table or an array */
    toml_type type;
    int line; /* where it stands, from 1 */
} toml_node;

typedef struct {
    toml_node *node; /* [count] in the order of the file, a table before what it holds. Owned, texts included */
    int count;
    const char *file; /* for messages */
} toml_file;

/* Reads a file. Errors name the file and the line: F5_E_IO, F5_E_FORMAT, F5_E_UNSUPPORTED, F5_E_MEMORY; nothing is held
 * then. path must outlive the result. */
f5_status toml_read(toml_file *toml, const char *path, f5_error *error);
void toml_free(toml_file *toml);

/* The node of that path, or NULL. */
const toml_node *toml_find(const toml_file *toml, const char *path);

#endif
