/* simd.h — the one inner loop of matrix work on the CPU: a small block of a product, held in registers.
 *
 * Vectors are the compiler's own (GCC and Clang vector types), so one text serves every instruction set. */
#ifndef F5_CPU_SIMD_H
#define F5_CPU_SIMD_H

#include <stddef.h>
#include <string.h>

/* A block is SIMD_ROWS rows by SIMD_VECTORS vectors: enough sums in flight to hide the latency of a multiply-add, few
 * enough to stay in registers with a row of b and one element of a. */
#if defined(__AVX512F__)
enum { SIMD_LANES = 16, SIMD_ROWS = 8, SIMD_VECTORS = 2 };
typedef float simd_float __attribute__((vector_size(64), aligned(4), may_alias));
typedef int simd_int __attribute__((vector_size(64)));
#elif defined(__AVX__)
enum { SIMD_LANES = 8, SIMD_ROWS = 4, SIMD_VECTORS = 3 };
typedef float simd_float __attribute__((vector_size(32), aligned(4), may_alias));
typedef int simd_int __attribute__((vector_size(32)));
#else
enum { SIMD_LANES = 4, SIMD_ROWS = 4, SIMD_VECTORS = 2 };
typedef float simd_float __attribute__((vector_size(16), aligned(4), may_alias));
typedef int simd_int __attribute__((vector_size(16)));
#endif

/* Before a loop whose output may be one of its inputs, element by element: nothing else stands against vectors. */
#if defined(__clang__)
#define SIMD_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define SIMD_LOOP _Pragma("GCC ivdep")
#endif

enum { SIMD_COLS = SIMD_VECTORS * SIMD_LANES };

/* to[k][j] = from[j][k] for a square of vectors, bit by bit; rows lie from_row and to_row apart. Each pass swaps what
 * lies `step` rows and lanes off the diagonal. */
static inline __attribute__((always_inline)) void simd_transpose(const float *from, size_t from_row, float *to,
                                                                 size_t to_row) {
#if defined(__GNUC__) && !defined(__clang__)
    simd_float t[SIMD_LANES];
    for (int j = 0; j < SIMD_LANES; j++) t[j] = *(const simd_float *)(from + (size_t)j * from_row);
#pragma GCC unroll 4
    for (int step = SIMD_LANES / 2; step > 0; step /= 2) {
        simd_int upper, lower; /* lanes to take from a pair of rows; the second row's count from SIMD_LANES */
        for (int i = 0; i < SIMD_LANES; i++) {
            upper[i] = i & step ? SIMD_LANES + i - step : i;
            lower[i] = i & step ? SIMD_LANES + i : i + step;
        }
#pragma GCC unroll 16
        for (int j = 0; j < SIMD_LANES; j++) {
            if (j & step) continue;
            const simd_float a = t[j], b = t[j + step];
            t[j] = __builtin_shuffle(a, b, upper);
            t[j + step] = __builtin_shuffle(a, b, lower);
        }
    }
    for (int k = 0; k < SIMD_LANES; k++) *(simd_float *)(to + (size_t)k * to_row) = t[k];
#else
    for (int j = 0; j < SIMD_LANES; j++)
        for (int k = 0; k < SIMD_LANES; k++)
            memcpy(to + (size_t)k * to_row + j, from + (size_t)j * from_row + k, sizeof *to);
#endif
}

typedef struct {
    simd_float v[SIMD_ROWS][SIMD_VECTORS];
} simd_block;

/* sum[r][j] = sum_k a[r][k] b[k][j] over r < SIMD_ROWS, j < SIMD_COLS, in ascending k.
 * Element a[r][k] lies at a + r * a_row + k * a_depth; a row of b is contiguous, the next one b_depth further. */
static inline __attribute__((always_inline)) void simd_multiply(simd_block *sum, int depth, const float *a,
                                                                size_t a_row, size_t a_depth, const float *b,
                                                                size_t b_depth) {
    simd_block s = {0};
    for (int k = 0; k < depth; k++) {
        simd_float row[SIMD_VECTORS];
        for (int v = 0; v < SIMD_VECTORS; v++) row[v] = *(const simd_float *)(b + v * SIMD_LANES);
        for (int r = 0; r < SIMD_ROWS; r++)
            for (int v = 0; v < SIMD_VECTORS; v++) s.v[r][v] += a[(size_t)r * a_row] * row[v];
        a += a_depth;
        b += b_depth;
    }
    *sum = s;
}

/* c = sum, or c += sum. Rows of c are contiguous and c_row apart. */
static inline __attribute__((always_inline)) void simd_store(const simd_block *sum, float *c, size_t c_row) {
    for (int r = 0; r < SIMD_ROWS; r++)
        for (int v = 0; v < SIMD_VECTORS; v++) *(simd_float *)(c + (size_t)r * c_row + v * SIMD_LANES) = sum->v[r][v];
}

static inline __attribute__((always_inline)) void simd_add(const simd_block *sum, float *c, size_t c_row) {
    for (int r = 0; r < SIMD_ROWS; r++)
        for (int v = 0; v < SIMD_VECTORS; v++) *(simd_float *)(c + (size_t)r * c_row + v * SIMD_LANES) += sum->v[r][v];
}

#endif
