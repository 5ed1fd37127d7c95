/* toml_scan.h — the small pieces of a TOML text: blanks, comments, strings, numbers. toml.c puts them together. */
#ifndef F5_TOML_SCAN_H
#define F5_TOML_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "host/files/text_file.h"
#include "host/files/toml.h"

typedef struct {
    const char *at, *end; /* what is left; *end is a NUL. Lines end by '\n' alone */
    int line;             /* of at, from 1 */
    const char *file;     /* for messages */
    f5_error *error;
} toml_scan;

/* Fails with a message about the line that is read. */
#define toml_refuse(s, status, ...) text_line_error((s)->error, status, (s)->file, (s)->line, __VA_ARGS__)

void toml_skip_blanks(toml_scan *s); /* spaces and tabs */

/* Blanks, then a comment if there is one, then the end of the line or the text, which is taken. */
f5_status toml_end_line(toml_scan *s);

/* Blanks, comments and ends of lines, as many as there are. */
f5_status toml_skip_lines(toml_scan *s);

/* A string whose opening quote is at `at`, escapes resolved. *value [*bytes + 1] is to be freed. */
f5_status toml_take_string(toml_scan *s, bool lines_allowed, char **value, size_t *bytes);

/* A number or a boolean, as toml.h has its text. *value is to be freed. */
f5_status toml_take_plain(toml_scan *s, toml_type *type, char **value);

#endif
