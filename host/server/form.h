/* form.h — a form that comes bit by bit: a few short fields of text, and one file, which goes to memory that has a
 * descriptor. What it holds is bounded, whatever comes. */
#ifndef F5_SERVER_FORM_H
#define F5_SERVER_FORM_H

#include "host/server/multipart.h"

#define FORM_MAX_FIELDS 8

typedef struct {
    const char *name;
    size_t max_bytes; /* of its value */
} form_field;

typedef struct {
    const form_field *fields; /* [n_fields] of text, at most FORM_MAX_FIELDS; others are passed over */
    int n_fields;
    const char *file; /* name of the field that is a file */
    size_t max_file;  /* bytes */
} form_layout;

typedef struct {
    const form_layout *layout;
    char *value[FORM_MAX_FIELDS]; /* [n_fields] UTF-8 without control characters but tabs and line ends; NULL: it was
                                     not given */
    int fd;                       /* of the file; -1: none came. The caller's to take, who then sets -1 */
    size_t file_bytes;
    char media_type[MULTIPART_MAX_NAME + 1]; /* of the file, as the client says */
    multipart parser;                        /* private from here on */
    int at;                                  /* the field that is coming; -1: none of the layout's */
    bool in_file;
    size_t n; /* bytes of it so far */
} form;

/* layout must live on. form_free follows, also after a failure. Failures are multipart.h's, and F5_E_LIMIT: a value or
 * the file is too long, F5_E_FORMAT: a field that came twice or is not UTF-8, F5_E_MEMORY. */
f5_status form_begin(form *f, const char *content_type, const form_layout *layout, f5_error *error);
f5_status form_push(form *f, const char *bytes, size_t n, f5_error *error);
f5_status form_finish(form *f, f5_error *error);
void form_free(form *f);

const char *form_value(const form *f, const char *name); /* NULL: not given, or empty */

#endif
