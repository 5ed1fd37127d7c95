/* attention_softmax.cuh — the running softmax of 16 rows of scores that a warp holds as accumulators of wgmma.
 *
 * A thread has rows r, r + 8, r = lane/4: s[4j], s[4j+1] are columns 8j + 2·(lane%4) and the next of row r, s[4j+2],
 * s[4j+3] those of row r + 8. Each row's result depends on its own scores alone. */
#ifndef F5_ATTENTION_SOFTMAX_CUH
#define F5_ATTENTION_SOFTMAX_CUH

#include "attention_rows.cuh"
#include "ptx.cuh"

namespace attention_hopper {

/* The maximum that weights are relative to is raised only when they could pass 2^kSlack. Mathematically the same, since
 * the sum is relative to it too; far from the limits of F32 sums and 16-bit weights; and most tiles leave O alone. */
constexpr float kSlack = 8.0f;

struct softmax_state {
    float top[2], sum[2], shrink[2];
};

/* Looks through scores [64,width], of which the first `live` columns count, and raises the maximum that weights are
 * relative to where it must be; shrink is what sum and output so far are to be multiplied by. */
template <int width> __device__ __forceinline__ void raise_top(float (&s)[width / 2], softmax_state &state, int live) {
    if (live < width) {
        const int column = threadIdx.x % 4 * 2;
#pragma unroll
        for (int i = 0; i < width / 2; i++)
            if (i / 4 * 8 + i % 2 + column >= live) s[i] = -INFINITY;
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float highest = fmaxf(s[2 * r], s[2 * r + 1]);
#pragma unroll
        for (int i = 4; i < width / 2; i += 4) highest = fmaxf(highest, fmaxf(s[i + 2 * r], s[i + 2 * r + 1]));
        highest = lanes_max<4>(highest);
        const float was = state.top[r];
        if (highest > was + kSlack / kScoreScale) state.top[r] = highest;
        state.shrink[r] = ex2((was - state.top[r]) * kScoreScale);
        state.sum[r] *= state.shrink[r];
    }
}

/* Scores s[from .. to-1] become weights. */
template <int from, int to, int n> __device__ __forceinline__ void weigh(float (&s)[n], softmax_state &state) {
    float added[4] = {};
#pragma unroll
    for (int i = from; i < to; i++) {
        s[i] = ex2(fmaf(s[i], kScoreScale, -state.top[i / 2 % 2] * kScoreScale));
        added[i % 4] += s[i];
    }
    state.sum[0] += added[0] + added[1];
    state.sum[1] += added[2] + added[3];
}

} // namespace attention_hopper

#endif
