/* npy.h — two-dimensional float32 arrays in NumPy's .npy format (versions 1 to 3 are read, 1 written; C order). */
#ifndef F5_NPY_H
#define F5_NPY_H

#include <stdint.h>

#include "kernels/error.h"

#define NPY_MAX_ROWS (1 << 20)

/* Reads an array [rows,cols]; cols is demanded. *data is to be freed. The header is parsed as a Python literal of just
 * the three keys the format has. Errors name the file: F5_E_IO, F5_E_FORMAT, F5_E_MEMORY. */
f5_status npy_read(const char *path, int32_t cols, float **data, int32_t *rows, f5_error *error);

/* Writes an array [rows,cols]; whole or not at all. */
f5_status npy_write(const char *path, const float *data, int32_t rows, int32_t cols, f5_error *error);

#endif
