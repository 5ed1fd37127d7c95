/* int8_rows.h — a matrix of weights as whole numbers of 8 bits with a scale for each row, and back (quantize.h says
 * which numbers). */
#ifndef F5_INT8_ROWS_H
#define F5_INT8_ROWS_H

#include "kernels/dtype.h"

/* from [rows,cols] of any type but F5_I8 -> to [rows,cols] and scale [rows]. row [cols] is working memory. */
void int8_rows_narrow(int8_t *to, float *scale, const void *from, f5_dtype type, int64_t rows, int64_t cols,
                      float *row);

/* from [rows,cols] and scale [rows], F32 aligned to nothing -> to [rows,cols]. */
void int8_rows_widen(float *to, const int8_t *from, const void *scale, int64_t rows, int64_t cols);

#endif
