/* int8_rows.c — row by row, by way of F32. */
#include "weights/int8_rows.h"

#include "kernels/whole.h"

void int8_rows_narrow(int8_t *to, float *scale, const void *from, f5_dtype type, int64_t rows, int64_t cols,
                      float *row) {
    const int64_t from_bytes = cols * f5_dtype_bytes(type);
    for (int64_t r = 0; r < rows; r++) {
        dtype(type)->widen(row, (const char *)from + r * from_bytes, cols);
        scale[r] = whole_row(row, (int32_t)cols, to + r * cols);
    }
}

void int8_rows_widen(void *to, f5_dtype type, const int8_t *from, const float *scale, int64_t rows, int64_t cols,
                     float *row) {
    const int64_t to_bytes = cols * f5_dtype_bytes(type);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < cols; i++) row[i] = (float)from[r * cols + i] * scale[r];
        (void)dtype(type)->narrow((char *)to + r * to_bytes, row, cols);
    }
}
