/* rights.h — what users of a model's weights are told: metadata entries of their own (weights/FORMAT.md). */
#ifndef F5_RIGHTS_H
#define F5_RIGHTS_H

#include "weights/safetensors.h"

/* Each is one line of UTF-8 without control characters, line separators and what turns the direction of writing; "":
 * nothing is said. */
typedef struct {
    char license[256]; /* "MIT", "cc-by-nc-4.0; vocoder mit" */
    char credit[1024]; /* whom to name, and for what */
} model_rights;

/* Texts that a caller gave; NULL leaves a line as it is. F5_E_UNSUPPORTED: one is too long, or no such line. */
f5_status model_rights_set(model_rights *rights, const char *license, const char *credit, f5_error *error);

/* The entries of a file; one that is not there leaves its line as it is. `where` names the file. Errors as above. */
f5_status model_rights_read(model_rights *rights, const safetensors *st, const char *where, f5_error *error);

/* Declares an entry for each line that says something. */
f5_status model_rights_write(safetensors_writer *w, const model_rights *rights, f5_error *error);

#endif
