/* attention.h — softmax(q k^T / 8) v within each sequence, with RoPE applied on the way in.
 *
 * qkv [rows, 3, heads, 64]  q, k, v of a row lie side by side;  y [rows, heads, 64]
 * For each head of q and k: optional RMSNorm  u * w / sqrt(mean(u^2) + 1e-6)  with weight [64], then RoPE for
 * heads < rope_heads: pairs (2i, 2i+1): (a,b) -> (a cos - b sin, b cos + a sin), angle = position * 10000^(-2i/64),
 * position = row - first row of its sequence. rope [max_position,32,2] holds (cos, sin) in F32: rope_table_fill.
 * Not causal; a row attends to every row of its sequence and to no other. Softmax in F32, maximum subtracted.
 *
 * Types: qkv and y are `type`; rope and norm weights F32. Reference F32 only. Pointers 16-byte aligned.
 * heads >= 1, 0 <= rope_heads <= heads, every sequence <= max_position rows, else F5_E_SHAPE.
 * Source: F5-TTS model/modules.py Attention + AttnProcessor; x-transformers RotaryEmbedding. */
#ifndef F5_ATTENTION_H
#define F5_ATTENTION_H

#include "kernels/dtype.h"
#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ATTENTION_HEAD 64 /* width of a head, in every F5 model */

typedef struct attention_args {
    const f5_pack *pack;
    int32_t heads;
    int32_t rope_heads;   /* heads 0 .. rope_heads-1 are rotated */
    int32_t max_position; /* rows of the rope table */
    const void *qkv;      /* [rows,3,heads,64] type */
    const float *rope;    /* [max_position,32,2] */
    const float *q_norm;  /* [64] or NULL */
    const float *k_norm;  /* [64] or NULL */
    void *y;              /* [rows,heads,64] type */
    f5_dtype type;
} attention_args;

/* Fills rope [positions,32,2] with (cos, sin), angles in double, rounded once. frequency [32]; NULL: 10000^(-2i/64). */
void rope_table_fill(float *rope, int32_t positions, const float *frequency);

#ifdef __cplusplus
}
#endif
#endif
