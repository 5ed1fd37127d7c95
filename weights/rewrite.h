/* rewrite.h — a model written into another file: the same tensors, in other types, their numbers changed on the way. */
#ifndef F5_REWRITE_H
#define F5_REWRITE_H

#include "weights/model.h"

/* Changes a row of a tensor, F32 [columns]; row 0 of a tensor of rank 1 is all of it. A matrix in 8 bits comes twice:
 * once for its whole numbers, once for its scales. */
typedef void (*rewrite_edit)(void *user, const manifest_tensor *t, int64_t row, float *values);

/* m is held in F32 (model_open). The file appears when it is complete, and holds m's configuration, vocabulary and
 * tables besides; matrices are stored as `types` says. Errors: F5_E_IO, F5_E_MEMORY, F5_E_FORMAT (too large a number
 * for 16 bits). */
f5_status model_rewrite(const model *m, manifest_types types, rewrite_edit edit, void *user, const char *path,
                        f5_error *error);

#endif
