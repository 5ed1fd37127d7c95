/* pack.h — sequences lie side by side along rows, without padding.
 *
 *   row   0 ......... | ......... | ... | tail
 *         sequence 0    sequence 1        inert: no op reads it into a result, its contents mean nothing
 *
 * The arrays live in the memory of the device that runs the op. A result never depends on what a sequence is packed
 * with: every op treats rows of other sequences, and the tail, as absent. */
#ifndef F5_PACK_H
#define F5_PACK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int32_t rows;              /* rows of every packed tensor, tail included */
    int32_t n_seq;             /* slots; unused ones are empty */
    const int32_t *offsets;    /* [n_seq+1] first row of each slot, ascending; offsets[n_seq] = live rows <= rows */
    const int32_t *seq_of_row; /* [rows] slot of each row, -1 in the tail */
} f5_pack;

#define PACK_MAX_RATE 1024

/* Whether tensors may have `rate` rows for each row of a pack of `rows` (conv1d.h, snake.h): counts of them then leave
 * room in 32 bits for what is added to them. */
static inline bool pack_rate_fits(int32_t rows, int32_t rate) {
    return rate >= 1 && rate <= PACK_MAX_RATE && rows <= INT32_MAX / 2 / rate;
}

#endif
