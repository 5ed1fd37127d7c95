/* blocks.h — the sequences of a pack cut into blocks of rows, and the blocks numbered through. */
#ifndef F5_CPU_BLOCKS_H
#define F5_CPU_BLOCKS_H

#include "kernels/pack.h"

typedef struct {
    int32_t begin, end; /* its sequence */
    int32_t row, rows;  /* the block: rows [row, row + rows) */
} row_block;

/* Height of the fewest blocks of at most `most` rows that hold `rows` rows, all near equal; a multiple of `unit`, which
 * divides `most`. */
static inline int32_t block_height(int32_t rows, int32_t most, int32_t unit) {
    const int32_t blocks = rows / most + (rows % most != 0);
    if (blocks <= 1) return most;
    const int32_t even = rows / blocks + (rows % blocks != 0);
    return (even + unit - 1) / unit * unit;
}

/* The same for sequences whose rows are each `rate` rows of the tensor (conv1d.h). */
static inline int32_t block_count_rated(const f5_pack *pack, int32_t rate, int32_t most, int32_t unit) {
    int32_t count = 0;
    for (int32_t s = 0; s < pack->n_seq; s++) {
        const int32_t rows = rate * (pack->offsets[s + 1] - pack->offsets[s]), height = block_height(rows, most, unit);
        count += rows / height + (rows % height != 0);
    }
    return count;
}

static inline row_block block_at_rated(const f5_pack *pack, int32_t rate, int32_t most, int32_t unit, int32_t i) {
    for (int32_t s = 0; s < pack->n_seq; s++) {
        const int32_t begin = rate * pack->offsets[s], end = rate * pack->offsets[s + 1], rows = end - begin;
        const int32_t height = block_height(rows, most, unit), blocks = rows / height + (rows % height != 0);
        if (i < blocks) {
            const int32_t row = begin + i * height;
            return (row_block){begin, end, row, end - row < height ? end - row : height};
        }
        i -= blocks;
    }
    return (row_block){0};
}

static inline int32_t block_count(const f5_pack *pack, int32_t most, int32_t unit) {
    return block_count_rated(pack, 1, most, unit);
}

/* Block number i < block_count. */
static inline row_block block_at(const f5_pack *pack, int32_t most, int32_t unit, int32_t i) {
    return block_at_rated(pack, 1, most, unit, i);
}

#endif
