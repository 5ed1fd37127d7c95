/* gemm.c — w is rearranged into panels whose rows are vectors, a few rows of x are copied side by side, and the
 * block in simd.h multiplies the two. Panels stay in the second cache while all rows of the tile pass over them.
 * depth is walked in steps, so a sum is a sum of partial sums of DEPTH terms, which also keeps its error low. */
#include "kernels/cpu/gemm.h"

#include <string.h>

enum { DEPTH = GEMM_DEPTH, ROW = GEMM_ROW };

/* Asks for the row of w that comes eight later, while this one is copied: rows are too far apart for the hardware to
 * foresee. */
static inline void copy_line(float *line, const float *w, const float *later, int32_t depth) {
    memcpy(line, w, (size_t)depth * sizeof *line);
    if (later)
        for (int32_t k = 0; k < depth; k += 16) __builtin_prefetch(later + k);
}

/* panel[k][j] = w[j][k] for k < depth and j < cols, the columns left in the tile; those beyond are zero. `lines` beyond
 * depth are zero from the start. */
static void fill_panel(int32_t cols, int32_t depth, const float *w, size_t ldw, float lines[SIMD_LANES][ROW],
                       float panel[DEPTH][SIMD_COLS]) {
    for (int32_t j = 0; j < SIMD_COLS; j += SIMD_LANES) {
        for (int32_t i = 0; i < SIMD_LANES; i++) {
            const float *row = w + (size_t)(j + i) * ldw;
            if (j + i < cols)
                copy_line(lines[i], row, j + i + 8 < cols ? row + 8 * ldw : NULL, depth);
            else
                memset(lines[i], 0, (size_t)depth * sizeof lines[i][0]);
        }
        for (int32_t k = 0; k < depth; k += SIMD_LANES) simd_transpose(&lines[0][k], ROW, &panel[k][j], SIMD_COLS);
    }
}

static inline __attribute__((always_inline)) void scale(simd_block *sum, const float *gain) {
    for (int r = 0; r < SIMD_ROWS; r++)
        for (int v = 0; v < SIMD_VECTORS; v++) sum->v[r][v] *= *(const simd_float *)(gain + v * SIMD_LANES);
}

/* A block at the tile's edge: computed whole, moved in part. */
static void store_part(const simd_block *sum, int32_t rows, int32_t cols, bool keep, float *y, size_t ldy) {
    float part[SIMD_ROWS][SIMD_COLS];
    simd_store(sum, part[0], SIMD_COLS);
    for (int32_t r = 0; r < rows; r++) {
        float *to = y + (size_t)r * ldy;
        for (int32_t j = 0; j < cols; j++) to[j] = keep ? to[j] + part[r][j] : part[r][j];
    }
}

/* One step of depth for a tile at most GEMM_COLS wide. */
static void tile_step(gemm_scratch *s, int32_t rows, int32_t cols, int32_t depth, const float *x, size_t ldx,
                      const float *w, size_t ldw, const float *gain, bool keep, float *y, size_t ldy) {
    float(*few)[ROW] = s->few;
    memset(s->lines, 0, sizeof s->lines);
    for (int32_t j = 0; j < cols; j += SIMD_COLS)
        fill_panel(cols - j, depth, w + (size_t)j * ldw, ldw, s->lines, s->panels[j / SIMD_COLS]);
    if (gain) {
        memset(s->gains, 0, sizeof s->gains);
        memcpy(s->gains, gain, (size_t)cols * sizeof *gain);
    }

    for (int32_t r = 0; r < rows; r += SIMD_ROWS) {
        const int32_t height = rows - r < SIMD_ROWS ? rows - r : SIMD_ROWS;
        for (int32_t i = 0; i < height; i++)
            memcpy(few[i], x + (size_t)(r + i) * ldx, (size_t)depth * sizeof few[i][0]);
        for (int32_t i = height; i < SIMD_ROWS; i++) memset(few[i], 0, (size_t)depth * sizeof few[i][0]);

        for (int32_t j = 0; j < cols; j += SIMD_COLS) {
            const int32_t width = cols - j < SIMD_COLS ? cols - j : SIMD_COLS;
            float *c = y + (size_t)r * ldy + (size_t)j;
            simd_block sum;
            simd_multiply(&sum, depth, few[0], ROW, 1, s->panels[j / SIMD_COLS][0], SIMD_COLS);
            if (gain) scale(&sum, s->gains + j);
            if (height < SIMD_ROWS || width < SIMD_COLS)
                store_part(&sum, height, width, keep, c, ldy);
            else if (keep)
                simd_add(&sum, c, ldy);
            else
                simd_store(&sum, c, ldy);
        }
    }
}

void gemm_tile(gemm_scratch *scratch, int32_t rows, int32_t cols, int32_t depth, const float *x, size_t ldx,
               const float *w, size_t ldw, const float *gain, bool keep, float *y, size_t ldy) {
    for (int32_t j = 0; j < cols; j += GEMM_COLS)
        for (int32_t k = 0; k < depth; k += DEPTH)
            tile_step(scratch, rows, cols - j < GEMM_COLS ? cols - j : GEMM_COLS, depth - k < DEPTH ? depth - k : DEPTH,
                      x + k, ldx, w + (size_t)j * ldw + (size_t)k, ldw, gain ? gain + j : NULL, keep || k > 0, y + j,
                      ldy);
}
