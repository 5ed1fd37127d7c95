/* cpu_simd.h — the one inner loop of matrix work on the CPU: a small block of a product, held in registers.
 *
 * Vectors are the compiler's own (GCC and Clang vector types), so one text serves every instruction set. */
#ifndef F5_CPU_SIMD_H
#define F5_CPU_SIMD_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Lanes of a vector, and rows of a block: LANES * 2 columns by SIMD_ROWS rows fill about two thirds of the registers.
 */
#if defined(__AVX512F__)
enum { SIMD_LANES = 16, SIMD_ROWS = 8 };
typedef float simd_float __attribute__((vector_size(64), aligned(4), may_alias));
#elif defined(__AVX__)
enum { SIMD_LANES = 8, SIMD_ROWS = 4 };
typedef float simd_float __attribute__((vector_size(32), aligned(4), may_alias));
#else
enum { SIMD_LANES = 4, SIMD_ROWS = 4 };
typedef float simd_float __attribute__((vector_size(16), aligned(4), may_alias));
#endif
enum { SIMD_COLS = 2 * SIMD_LANES };

/* c[r][j] (+)= sum_k a[r][k] b[k][j]   for r < rows (<= SIMD_ROWS, a constant at every call) and j < SIMD_COLS.
 * Element a[r][k] lies at a + r * a_row + k * a_depth; rows of b and c are contiguous. Every element is summed over
 * ascending k by one chain of multiply-adds, whatever `rows` is. */
static inline __attribute__((always_inline)) void simd_block(int rows, int depth, const float *a, size_t a_row,
                                                             size_t a_depth, const float *b, size_t b_depth,
                                                             bool accumulate, float *c, size_t c_row) {
    simd_float sum[SIMD_ROWS][2];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < 2; v++)
            sum[r][v] = accumulate ? *(const simd_float *)(c + (size_t)r * c_row + v * SIMD_LANES) : (simd_float){0};
    for (int k = 0; k < depth; k++) {
        const simd_float b0 = *(const simd_float *)b, b1 = *(const simd_float *)(b + SIMD_LANES);
        for (int r = 0; r < rows; r++) {
            const float value = a[(size_t)r * a_row];
            sum[r][0] += value * b0;
            sum[r][1] += value * b1;
        }
        a += a_depth;
        b += b_depth;
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < 2; v++) *(simd_float *)(c + (size_t)r * c_row + v * SIMD_LANES) = sum[r][v];
}

#endif
