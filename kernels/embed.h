/* embed.h — text embedding: table row, plus position, under the mask.
 *
 *   y[r] = (keep && !keep[r]) ? 0 : table[ids[r]] + (positions ? position(p) : 0)
 *   p = row - first row of its sequence; position(p)[j]       = cos(p * 10000^(-2j/dim))   j <  dim/2
 *                                        position(p)[dim/2+j] = sin(p * 10000^(-2j/dim))
 *
 * clamp: a row beyond the table of positions has its last position.
 * ids are already shifted by one: 0 is the filler, so 0 <= id < table_rows, else F5_E_ARGUMENT (reference).
 * positions [max_position,dim] comes from position_table_fill; a sequence longer than it is F5_E_SHAPE, without
 * clamp. dim even.
 * All F32. Source: F5-TTS model/backbones/dit.py and mmdit.py TextEmbedding, modules.py precompute_freqs_cis,
 * get_pos_embed_indices. */
#ifndef F5_EMBED_H
#define F5_EMBED_H

#include <stdbool.h>

#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct embed_args {
    const f5_pack *pack;
    int32_t dim, table_rows;
    int32_t max_position;
    const int32_t *ids;     /* [rows] */
    const uint8_t *keep;    /* [rows] 1 = text, 0 = filler; NULL: nothing is masked */
    const float *table;     /* [table_rows,dim] */
    const float *positions; /* [max_position,dim] or NULL */
    bool clamp;             /* positions beyond the table are its last */
    float *y;               /* [rows,dim] */
} embed_args;

/* Fills positions [rows,dim]. The frequency and the angle are each rounded to F32, as upstream's are, from a correctly
 * rounded power (PyTorch's own is an ulp off in one column of 256: 4e-5 of a table of 8192 rows). */
void position_table_fill(float *positions, int32_t rows, int32_t dim);

#ifdef __cplusplus
}
#endif
#endif
