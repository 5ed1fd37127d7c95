/* pack_check.h — what every packed reference asks of its pack before it touches a tensor. Host memory only.
 * A pack is built by the runtime from a request's lengths, so a bad one is a programming error: caught, not repaired.
 */
#ifndef F5_PACK_CHECK_H
#define F5_PACK_CHECK_H

#include <stddef.h>

#include "kernels/f5_status.h"
#include "kernels/pack.h"

/* F5_OK when offsets ascend from 0, end within rows, and agree with seq_of_row; else F5_E_ARGUMENT. */
static inline f5_status pack_check(const f5_pack *pack) {
    if (!pack || !pack->offsets || !pack->seq_of_row) return F5_E_ARGUMENT;
    if (pack->rows < 0 || pack->n_seq < 0 || pack->offsets[0] != 0) return F5_E_ARGUMENT;
    for (int32_t s = 0; s < pack->n_seq; s++) {
        const int32_t begin = pack->offsets[s], end = pack->offsets[s + 1];
        if (end < begin || end > pack->rows) return F5_E_ARGUMENT;
        for (int32_t row = begin; row < end; row++)
            if (pack->seq_of_row[row] != s) return F5_E_ARGUMENT;
    }
    return F5_OK;
}

/* Rows that belong to a sequence: [0, pack_live). The rest is tail. */
static inline int32_t pack_live(const f5_pack *pack) {
    return pack->offsets[pack->n_seq];
}

static inline int32_t pack_longest(const f5_pack *pack) {
    int32_t longest = 0;
    for (int32_t s = 0; s < pack->n_seq; s++) {
        const int32_t length = pack->offsets[s + 1] - pack->offsets[s];
        if (length > longest) longest = length;
    }
    return longest;
}

/* A live row's place in its sequence; without a pack all rows are one sequence. */
static inline int32_t pack_position(const f5_pack *pack, int32_t row) {
    return pack ? row - pack->offsets[pack->seq_of_row[row]] : row;
}

#endif
