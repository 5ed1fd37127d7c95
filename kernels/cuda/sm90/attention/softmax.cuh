/* attention_softmax.cuh — the running softmax of 16 rows of scores that a warp holds as accumulators of wgmma.
 *
 * A thread has rows r, r + 8, r = lane/4: s[4j], s[4j+1] are columns 8j + 2·(lane%4) and the next of row r, s[4j+2],
 * s[4j+3] those of row r + 8. Each row's result depends on its own scores alone.
 *
 * Weights are 2^(score·kScoreScale - bias), the bias a whole number that a row's first tile sets from its maximum.
 * Further tiles are not searched for theirs: the sums, which are needed anyway, tell when a weight may have become too
 * large for 16 bits. Then all that the row has is scaled by a power of two and the bias raised by its logarithm, which
 * rounds nothing. Only where F32 overflowed, the row's scores are made again and searched. */
#ifndef F5_ATTENTION_SOFTMAX_CUH
#define F5_ATTENTION_SOFTMAX_CUH

#include "kernels/cuda/common/attention_rows.cuh"
#include "kernels/cuda/sm80/ptx.cuh"

namespace attention_hopper {

/* Of one thread's weights of a row in one tile, the most that their sum may be: F16 ends at 65504. */
constexpr float kHeaviest = 4096.0f;

struct softmax_state {
    float bias[2], sum[2];
};

/* Scores [64,width], of which the first `live` columns count. */
template <int width> __device__ __forceinline__ void mask_scores(float (&s)[width / 2], int live) {
    if (live < width) {
        const int column = threadIdx.x % 4 * 2;
#pragma unroll
        for (int i = 0; i < width / 2; i++)
            if (i / 4 * 8 + i % 2 + column >= live) s[i] = -INFINITY;
    }
}

/* The bias under which none of these weights of row r or r + 8 is above 1. */
template <int n> __device__ __forceinline__ float bias_for(const float (&s)[n], int r) {
    float highest = fmaxf(s[2 * r], s[2 * r + 1]);
#pragma unroll
    for (int i = 4; i < n; i += 4) highest = fmaxf(highest, fmaxf(s[i + 2 * r], s[i + 2 * r + 1]));
    return ceilf(lanes_max<4>(highest) * kScoreScale);
}

__device__ __forceinline__ float weight_of(float score, float bias) {
    return ex2(fmaf(score, kScoreScale, -bias));
}

/* Scores s[from .. to-1] become weights; added: their sums, of row r in 0 and 1, of row r + 8 in 2 and 3. */
template <int from, int to, int n>
__device__ __forceinline__ void weigh(float (&s)[n], const softmax_state &state, float (&added)[4]) {
#pragma unroll
    for (int i = from; i < to; i++) {
        s[i] = weight_of(s[i], state.bias[i / 2 % 2]);
        added[i % 4] += s[i];
    }
}

/* May any of the warp's weights be too large? */
__device__ __forceinline__ bool too_heavy(const float (&added)[4]) {
    return __any_sync(0xffffffffu, fmaxf(added[0] + added[1], added[2] + added[3]) > kHeaviest);
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* Scores of the warp's 16 rows by columns 0 .. width-1 once more, into s where `wanted` says so: row r, row r + 8.
 * queries, keys: tiles in shared memory. Rounded otherwise than wgmma's, perhaps, but always the same. */
template <typename T, int width>
__device__ __forceinline__ void make_scores_again(float (&s)[width / 2], uint32_t queries, uint32_t keys,
                                                  const bool (&wanted)[2]) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x % 128 / 32;
    uint32_t a[4][4], b[4];
#pragma unroll
    for (int step = 0; step < 4; step++)
        load_matrices(a[step], queries + swizzled(warp * 16 + lane % 16, 2 * step + lane / 16));
#pragma unroll
    for (int j = 0; j < width / 8; j++) {
        float again[4] = {};
#pragma unroll
        for (int half = 0; half < 2; half++) {
            load_matrices(b, keys + swizzled(8 * j + lane % 8, 4 * half + lane / 8));
            mma_16x8x16<T>(again, a[2 * half], b[0], b[1]);
            mma_16x8x16<T>(again, a[2 * half + 1], b[2], b[3]);
        }
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (wanted[i / 2]) s[4 * j + i] = again[i];
    }
}

/* Makes weights that are too heavy lighter, and with them the sums and the output so far. */
template <typename T, int width>
__device__ __forceinline__ void lighten(float (&s)[width / 2], float (&o)[32], softmax_state &state, float (&added)[4],
                                        uint32_t queries, uint32_t keys, int live) {
    bool overflowed[2];
    float shrink[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const float heaviest = lanes_max<4>(added[2 * r] + added[2 * r + 1]); // of the row's four lanes
        overflowed[r] = heaviest == INFINITY;
        shrink[r] = 1.0f;
        if (heaviest > kHeaviest && !overflowed[r]) {
            const int exponent = min((__float_as_int(heaviest) >> 23) - 127, 126);
            shrink[r] = __int_as_float((127 - exponent) << 23);
            state.bias[r] += (float)exponent;
        }
    }
    if (__any_sync(0xffffffffu, overflowed[0] || overflowed[1])) {
        make_scores_again<T, width>(s, queries, keys, overflowed);
        const int column = threadIdx.x % 4 * 2;
#pragma unroll
        for (int i = 0; i < width / 2; i++)
            if (overflowed[i / 2 % 2] && i / 4 * 8 + i % 2 + column >= live) s[i] = -INFINITY;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const float bias = bias_for(s, r); // lanes exchange: also where the row has not overflowed
            if (!overflowed[r]) continue;
            shrink[r] = ex2(state.bias[r] - bias);
            state.bias[r] = bias;
        }
#pragma unroll
        for (int i = 0; i < width / 2; i++)
            if (overflowed[i / 2 % 2]) s[i] = weight_of(s[i], state.bias[i / 2 % 2]);
    }
#pragma unroll
    for (int r = 0; r < 2; r++) state.sum[r] *= shrink[r];
#pragma unroll
    for (int i = 0; i < 4; i++) added[i] = 0.0f;
#pragma unroll
    for (int i = 0; i < width / 2; i++) {
        if (!overflowed[i / 2 % 2]) s[i] *= shrink[i / 2 % 2];
        added[i % 4] += s[i];
    }
#pragma unroll
    for (int i = 0; i < 32; i++) o[i] *= shrink[i / 2 % 2];
}

#endif

} // namespace attention_hopper

#endif
