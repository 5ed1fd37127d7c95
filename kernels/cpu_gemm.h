/* cpu_gemm.h — one tile of a matrix product, by the calling thread alone.
 *
 *   y [rows,cols] = x [rows,depth] . w [cols,depth]^T  (+ y)         rows of each lie ldx, ldw, ldy elements apart
 *
 * The result depends on the shape and the values only: not on threads, alignment or leading dimensions. That is what
 * lets linear, conv_pos and conv1d promise the same bits whatever a sequence is packed with: they cut a sequence into
 * tiles by its own length, and hand whole tiles to threads.
 * OpenBLAS where the build has it. Its OpenMP flavour stays single threaded inside a parallel region of several
 * threads, and has but one thread where the region has one. */
#ifndef F5_CPU_GEMM_H
#define F5_CPU_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void gemm_tile(int32_t rows, int32_t cols, int32_t depth, const float *x, size_t ldx, const float *w, size_t ldw,
               bool accumulate, float *y, size_t ldy);

/* Height of the blocks a sequence of so many rows is cut into: near equal, none above `most`, multiples of 16. */
static inline int32_t gemm_block_rows(int32_t rows, int32_t most) {
    const int32_t blocks = (rows + most - 1) / most;
    if (blocks <= 1) return rows > 0 ? rows : 1;
    const int32_t even = (rows + blocks - 1) / blocks;
    return (even + 15) / 16 * 16;
}

#endif
