/* softmax.cuh — the online softmax of 16 rows of scores that a warp holds as an accumulator fragment (wgmma.cuh), with
 * conditional rescaling, as FlashAttention-4 calls it. Each row's result depends on its own scores alone.
 *
 * Probabilities are 2^(score·kScoreScale - max_log2). max_log2 is a whole number that a row's first tile sets from its
 * maximum. The maxima of further tiles are not searched for: the sums, which are needed anyway, tell when a probability
 * may have become too large for 16 bits. Only then the row's output and sum are rescaled by a power of two, which
 * rounds nothing, and max_log2 is raised by its logarithm. If even F32 overflowed, the row's scores are recomputed and
 * searched. */
#ifndef F5_SM90_ATTENTION_SOFTMAX_CUH
#define F5_SM90_ATTENTION_SOFTMAX_CUH

#include "kernels/cuda/common/attention_rows.cuh"
#include "kernels/cuda/sm90/ptx.cuh"

namespace attention_sm90 {

/* The maximum that one thread's probabilities of a row in one tile may sum to: F16 ends at 65504. */
constexpr float kMaxPartialSum = 4096.0f;

struct softmax_state {
    float max_log2[2], sum[2];
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

/* The max_log2 under which no probability of row r or r + 8 is above 1. */
template <int n> __device__ __forceinline__ float max_log2_of(const float (&s)[n], int r) {
    float row_max = fmaxf(s[2 * r], s[2 * r + 1]);
#pragma unroll
    for (int i = 4; i < n; i += 4) row_max = fmaxf(row_max, fmaxf(s[i + 2 * r], s[i + 2 * r + 1]));
    return ceilf(lanes_max<4>(row_max) * kScoreScale);
}

__device__ __forceinline__ float probability(float score, float max_log2) {
    return ex2(fmaf(score, kScoreScale, -max_log2));
}

/* Scores s[from .. to-1] become probabilities; partial_sum gets their sums, of row r in 0 and 1, of row r + 8 in 2, 3.
 */
template <int from, int to, int n>
__device__ __forceinline__ void exponentiate(float (&s)[n], const softmax_state &state, float (&partial_sum)[4]) {
#pragma unroll
    for (int i = from; i < to; i++) {
        s[i] = probability(s[i], state.max_log2[i / 2 % 2]);
        partial_sum[i % 4] += s[i];
    }
}

/* May any of the warp's probabilities be too large for 16 bits? */
__device__ __forceinline__ bool overflows(const float (&partial_sum)[4]) {
    return __any_sync(0xffffffffu,
                      fmaxf(partial_sum[0] + partial_sum[1], partial_sum[2] + partial_sum[3]) > kMaxPartialSum);
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* Scores of the warp's 16 rows by columns 0 .. width-1 once more, into s where `wanted` says so: row r, row r + 8.
 * queries, keys: tiles in shared memory. Their rounding may differ from wgmma's, but it is always the same. */
template <typename T, int width>
__device__ __forceinline__ void recompute_scores(float (&s)[width / 2], uint32_t queries, uint32_t keys,
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

/* Scales probabilities that are too large down, and with them the sums and the output so far. */
template <typename T, int width>
__device__ __forceinline__ void rescale(float (&s)[width / 2], float (&o)[32], softmax_state &state,
                                        float (&partial_sum)[4], uint32_t queries, uint32_t keys, int live) {
    bool infinite[2];
    float shrink[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const float row_sum = lanes_max<4>(partial_sum[2 * r] + partial_sum[2 * r + 1]); // of the row's four lanes
        infinite[r] = row_sum == INFINITY;
        shrink[r] = 1.0f;
        if (row_sum > kMaxPartialSum && !infinite[r]) {
            const int exponent = min((__float_as_int(row_sum) >> 23) - 127, 126);
            shrink[r] = __int_as_float((127 - exponent) << 23);
            state.max_log2[r] += (float)exponent;
        }
    }
    if (__any_sync(0xffffffffu, infinite[0] || infinite[1])) {
        recompute_scores<T, width>(s, queries, keys, infinite);
        const int column = threadIdx.x % 4 * 2;
#pragma unroll
        for (int i = 0; i < width / 2; i++)
            if (infinite[i / 2 % 2] && i / 4 * 8 + i % 2 + column >= live) s[i] = -INFINITY;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const float max_log2 = max_log2_of(s, r); // lanes exchange: also for rows that did not overflow
            if (!infinite[r]) continue;
            shrink[r] = ex2(state.max_log2[r] - max_log2);
            state.max_log2[r] = max_log2;
        }
#pragma unroll
        for (int i = 0; i < width / 2; i++)
            if (infinite[i / 2 % 2]) s[i] = probability(s[i], state.max_log2[i / 2 % 2]);
    }
#pragma unroll
    for (int r = 0; r < 2; r++) state.sum[r] *= shrink[r];
#pragma unroll
    for (int i = 0; i < 4; i++) partial_sum[i] = 0.0f;
#pragma unroll
    for (int i = 0; i < width / 2; i++) {
        if (!infinite[i / 2 % 2]) s[i] *= shrink[i / 2 % 2];
        partial_sum[i % 4] += s[i];
    }
#pragma unroll
    for (int i = 0; i < 32; i++) o[i] *= shrink[i / 2 % 2];
}

#endif

} // namespace attention_sm90

#endif
