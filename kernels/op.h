/* op.h — what the runtime asks of every op beside running it: its output, for traces; its arithmetic and bytes, for
 * plans. NAME.c answers by three functions, NAME_output, NAME_flop and NAME_bytes, which op_list.h declares. */
#ifndef F5_OP_H
#define F5_OP_H

#include <stddef.h>

#include "kernels/dtype.h"
#include "kernels/f5_status.h"
#include "kernels/pack.h"

/* What a call writes. Pointers are the op's own: on a GPU they are device pointers. */
typedef struct {
    const void *data; /* [rows,cols] type */
    f5_dtype type;
    const f5_pack *pack; /* gives the rows, tail included, where it is not NULL */
    int64_t rows, cols;
    const int64_t *cols_at; /* where it is not NULL, the columns stand there, in the op's memory */
} op_output;

/* Sequences that a plan counts on: it knows only how many there are and takes them as equally long. */
typedef struct {
    int32_t sequences; /* of all branches; >= 1 */
} op_lengths;

static inline double op_rows(const f5_pack *pack, int32_t rows) {
    return pack ? pack->rows : rows;
}

#endif
