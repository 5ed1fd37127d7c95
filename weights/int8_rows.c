/* int8_rows.c — row by row, by way of F32. */
#include "weights/int8_rows.h"

#include <string.h>

#include "kernels/whole.h"

void int8_rows_narrow(int8_t *to, float *scale, const void *from, f5_dtype type, int64_t rows, int64_t cols,
                      float *row) {
    const int64_t from_bytes = cols * f5_dtype_bytes(type);
    for (int64_t r = 0; r < rows; r++) {
        dtype(type)->widen(row, (const char *)from + r * from_bytes, cols);
        scale[r] = whole_row(row, (int32_t)cols, to + r * cols);
    }
}

void int8_rows_widen(float *to, const int8_t *from, const void *scale, int64_t rows, int64_t cols) {
    for (int64_t r = 0; r < rows; r++) {
        float by;
        memcpy(&by, (const char *)scale + r * (int64_t)sizeof by, sizeof by);
        for (int64_t i = 0; i < cols; i++) to[r * cols + i] = (float)from[r * cols + i] * by;
    }
}
