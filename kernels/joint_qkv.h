/* joint_qkv.h — queries, keys and values of two streams as those of one sequence, for joint attention.
 *
 *   y of a sequence = [its rows of x; its rows of c]      a row is [3,heads,64]: q, k, v side by side
 *
 * Each head of q and k of a row: optional RMSNorm  u * w / sqrt(mean(u^2) + 1e-6)  with the weight of its stream, then
 * RoPE for heads < rope_heads as attention.h says, by the row's position in its own stream: both begin at 0.
 *
 * Types: x, c and y are `type`; rope and norm weights F32. Reference F32 only. Pointers 16-byte aligned; y is apart
 * from x and c. The four weights are all there or none is. heads >= 1, 0 <= rope_heads <= heads, no sequence of x or c
 * longer than max_position where heads are rotated, else F5_E_SHAPE. Packs that do not fit each other are F5_E_ARGUMENT
 * in the reference. Source: F5-TTS model/modules.py JointAttnProcessor. */
#ifndef F5_JOINT_QKV_H
#define F5_JOINT_QKV_H

#include "kernels/dtype.h"
#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct joint_qkv_args {
    const f5_pack *pack;   /* of x */
    const f5_pack *c_pack; /* of c; has the slots of pack, as y_pack */
    const f5_pack *y_pack; /* of y: a sequence has the rows of both */
    int32_t heads;
    int32_t rope_heads;    /* heads 0 .. rope_heads-1 are rotated */
    int32_t max_position;  /* rows of the rope table */
    const void *x;         /* [rows of pack,3,heads,64] type; NULL where there are no rows, c too */
    const void *c;         /* [rows of c_pack,3,heads,64] type */
    const float *rope;     /* [max_position,32,2] or NULL where rope_heads is 0 */
    const float *q_norm;   /* [64] or NULL */
    const float *k_norm;   /* [64] or NULL */
    const float *c_q_norm; /* [64] or NULL */
    const float *c_k_norm; /* [64] or NULL */
    void *y;               /* [rows of y_pack,3,heads,64] type */
    f5_dtype type;
} joint_qkv_args;

#ifdef __cplusplus
}
#endif
#endif
