#include "cpu_gemm.h"

#if defined(F5_CBLAS)

#include <cblas.h>

void gemm_tile(int32_t rows, int32_t cols, int32_t depth, const float *x, size_t ldx, const float *w, size_t ldw,
               bool accumulate, float *y, size_t ldy) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, cols, depth, 1.0f, x, (blasint)ldx, w, (blasint)ldw,
                accumulate ? 1.0f : 0.0f, y, (blasint)ldy);
}

#else

#include "cpu_simd.h"

enum { DEPTH = 256 }; /* a panel of w, DEPTH x SIMD_COLS floats, fits the first cache */

/* panel[k][j] = w[j][k] for j < cols, zero beyond: the transposition that lets lanes run over columns. */
static void pack_panel(int32_t cols, int32_t depth, const float *w, size_t ldw, float panel[DEPTH][SIMD_COLS]) {
    for (int32_t j = 0; j < cols; j++)
        for (int32_t k = 0; k < depth; k++) panel[k][j] = w[(size_t)j * ldw + (size_t)k];
    for (int32_t j = cols; j < SIMD_COLS; j++)
        for (int32_t k = 0; k < depth; k++) panel[k][j] = 0.0f;
}

/* A block by way of a full-width buffer where the panel is narrower than SIMD_COLS. */
static inline __attribute__((always_inline)) void block(int rows, int32_t cols, int32_t depth, const float *x,
                                                        size_t ldx, const float *panel, bool accumulate, float *y,
                                                        size_t ldy) {
    if (cols == SIMD_COLS) {
        simd_block(rows, depth, x, ldx, 1, panel, SIMD_COLS, accumulate, y, ldy);
        return;
    }
    float whole[SIMD_ROWS][SIMD_COLS] = {{0}};
    const size_t bytes = (size_t)cols * sizeof *y;
    for (int r = 0; accumulate && r < rows; r++) memcpy(whole[r], y + (size_t)r * ldy, bytes);
    simd_block(rows, depth, x, ldx, 1, panel, SIMD_COLS, true, whole[0], SIMD_COLS);
    for (int r = 0; r < rows; r++) memcpy(y + (size_t)r * ldy, whole[r], bytes);
}

void gemm_tile(int32_t rows, int32_t cols, int32_t depth, const float *x, size_t ldx, const float *w, size_t ldw,
               bool accumulate, float *y, size_t ldy) {
    float panel[DEPTH][SIMD_COLS];
    for (int32_t k = 0; k < depth; k += DEPTH) {
        const int32_t d = depth - k < DEPTH ? depth - k : DEPTH;
        for (int32_t c = 0; c < cols; c += SIMD_COLS) {
            const int32_t width = cols - c < SIMD_COLS ? cols - c : SIMD_COLS;
            pack_panel(width, d, w + (size_t)c * ldw + (size_t)k, ldw, panel);
            const float *xk = x + k;
            float *yc = y + c;
            int32_t r = 0;
            for (; r + SIMD_ROWS <= rows; r += SIMD_ROWS)
                block(SIMD_ROWS, width, d, xk + (size_t)r * ldx, ldx, panel[0], accumulate || k > 0,
                      yc + (size_t)r * ldy, ldy);
            for (; r < rows; r++)
                block(1, width, d, xk + (size_t)r * ldx, ldx, panel[0], accumulate || k > 0, yc + (size_t)r * ldy, ldy);
        }
    }
}

#endif
