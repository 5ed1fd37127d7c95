/* pack.h — sequences lie side by side along rows, without padding.
 *
 *   row   0 ......... | ......... | ... | tail
 *         sequence 0    sequence 1        inert: no op reads it into a result, its contents mean nothing
 *
 * The arrays live in the memory of the device that runs the op. A result never depends on what a sequence is packed
 * with: every op treats rows of other sequences, and the tail, as absent. */
#ifndef F5_PACK_H
#define F5_PACK_H

#include <stdint.h>

typedef struct {
    int32_t rows;              /* rows of every packed tensor, tail included */
    int32_t n_seq;             /* slots; unused ones are empty */
    const int32_t *offsets;    /* [n_seq+1] first row of each slot, ascending; offsets[n_seq] = live rows <= rows */
    const int32_t *seq_of_row; /* [rows] slot of each row, -1 in the tail */
} f5_pack;

#endif
