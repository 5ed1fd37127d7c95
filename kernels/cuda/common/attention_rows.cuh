/* attention_rows.cuh — for every way of attention: its arguments as a kernel reads them, and how a row of q or k is
 * prepared (RMSNorm, RoPE).
 *
 * Tiles of queries and of keys are counted from the start of their sequence, so that a row meets the same keys in the
 * same groups in any pack. */
#ifndef F5_ATTENTION_ROWS_CUH
#define F5_ATTENTION_ROWS_CUH

#include "kernels/cuda/common/pack_tile.cuh"
#include "kernels/cuda/common/reduce.cuh"
#include "kernels/cuda/common/rope.cuh"

/* attention_args as a kernel reads them; all device pointers. */
struct attention_device {
    const int32_t *offsets, *seq_of_row;
    int32_t rows, n_seq, heads;
    int32_t rope_heads;
    int32_t prepared_heads; /* heads whose prepared keys lie in `keys`: 0 .. prepared_heads-1 */
    const void *qkv;        /* [rows,3,heads,64] */
    const void *keys;       /* [rows,prepared_heads,64] */
    const float *rope;      /* [max_position,64] */
    const float *q_norm, *k_norm;
    void *y; /* [rows,heads,64] */
};

/* softmax(s / 8) = 2^(s * kScoreScale) / sum: log2(e) / 8 */
static constexpr float kScoreScale = 0.18033688011112042f;

/* Normalises and rotates one row of one head, held by 8 neighbouring lanes, lane `part` with elements 8 part .. +7.
 * norm [64] or NULL; angles: the position's 32 pairs (cos, sin), or NULL. All 32 lanes of a warp call together. */
__device__ __forceinline__ void prepare_row(float (&v)[8], int part, const float *norm, const float *angles) {
    if (norm) {
        float squares = 0.0f, weight[8];
#pragma unroll
        for (int i = 0; i < 8; i++) squares = fmaf(v[i], v[i], squares);
        const float scale = 1.0f / sqrtf(lanes_sum<8>(squares) * (1.0f / 64) + 1e-6f);
        load8(weight, norm + part * 8);
#pragma unroll
        for (int i = 0; i < 8; i++) v[i] *= weight[i] * scale;
    }
    if (angles) rotate8(v, angles + part * 8);
}

#endif
