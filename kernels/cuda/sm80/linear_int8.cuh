/* linear_int8.cuh — the product of 8-bit operands for every card from sm_80 on: a block of four warps has 64 rows by 64
 * columns, a warp 16 of the rows; steps of 64 along `in` go through two stages of shared memory.
 *
 * Rows of 64 bytes lie 80 apart there: the eight rows and four words of a fragment then meet 32 banks. */
#ifndef F5_SM80_LINEAR_INT8_CUH
#define F5_SM80_LINEAR_INT8_CUH

#include "kernels/cuda/common/epilogue.cuh"
#include "kernels/cuda/common/launch.cuh"
#include "kernels/cuda/plan/linear.h"
#include "kernels/cuda/sm80/ptx.cuh"
#include "kernels/linear_int8.h"

namespace linear_int8_sm80 {

constexpr int kTile = LINEAR_INT8_SM80_TILE, kStep = 64, kStride = 80, kThreads = 128,
              kStages = LINEAR_INT8_SM80_STAGES;

struct args {
    const int8_t *x, *w;
    const float *x_scale, *w_scale, *bias, *gate, *addend, *rope;
    const int32_t *offsets, *seq_of_row; /* (ROPE) NULL: all rows are one sequence */
    void *y;
    int rows, in, out, heads, rope_heads;
};

/* 64 rows of 64 bytes, zeros where there are none. */
__device__ __forceinline__ void fetch(int8_t *to, const int8_t *from, int first, int rows, int at, int in) {
#pragma unroll
    for (int i = threadIdx.x; i < kTile * kStep / 16; i += kThreads) {
        const int row = i / (kStep / 16), column = at + i % (kStep / 16) * 16;
        const bool live = first + row < rows && column < in;
        copy16_async(shared_address(to + row * kStride + (column - at)),
                     live ? from + int64_t{first + row} * in + column : from, live);
    }
}

template <typename T, linear_epilogue epilogue> __global__ void __launch_bounds__(kThreads) linear_int8_tile(args a) {
    __shared__ alignas(16) int8_t x[kStages][kTile * kStride], w[kStages][kTile * kStride];
    const int row = blockIdx.x * kTile, column = blockIdx.y * kTile, steps = (a.in + kStep - 1) / kStep;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, r = lane / 4, q = lane % 4;
    int acc[kTile / 8][4] = {};
    let_next_start();
    wait_for_previous();
    fetch(x[0], a.x, row, a.rows, 0, a.in);
    fetch(w[0], a.w, column, a.out, 0, a.in);
    copy_commit();
    for (int step = 0; step < steps; step++) {
        copy_wait<0>();
        __syncthreads();
        const int now = step % kStages;
        if (step + 1 < steps) {
            fetch(x[now ^ 1], a.x, row, a.rows, (step + 1) * kStep, a.in);
            fetch(w[now ^ 1], a.w, column, a.out, (step + 1) * kStep, a.in);
            copy_commit();
        }
#pragma unroll
        for (int k = 0; k < kStep; k += 32) {
            const int8_t *from = x[now] + (warp * 16 + r) * kStride + k + 4 * q;
            uint32_t fragment[4];
#pragma unroll
            for (int i = 0; i < 4; i++)
                fragment[i] = *reinterpret_cast<const uint32_t *>(from + i % 2 * 8 * kStride + i / 2 * 16);
#pragma unroll
            for (int j = 0; j < kTile / 8; j++) {
                const int8_t *b = w[now] + (8 * j + r) * kStride + k + 4 * q;
                mma_16x8x32_s8(acc[j], fragment, *reinterpret_cast<const uint32_t *>(b),
                               *reinterpret_cast<const uint32_t *>(b + 16));
            }
        }
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int at = row + warp * 16 + r + 8 * half;
        if (at >= a.rows) continue;
        const float x_scale = a.x_scale[at];
        const float *angles = nullptr;
        if (a.rope) {
            const int sequence = a.seq_of_row ? a.seq_of_row[at] : 0;
            const int position = sequence < 0 ? 0 : a.offsets ? at - a.offsets[sequence] : at;
            angles = a.rope + int64_t{position} * 64;
        }
#pragma unroll
        for (int j = 0; j < kTile / 8; j++) {
            const int first = column + 8 * j + 2 * q;
            float v[2] = {};
#pragma unroll
            for (int e = 0; e < 2; e++)
                if (first + e < a.out)
                    v[e] = __fmul_rn((float)acc[j][2 * half + e], __fmul_rn(x_scale, a.w_scale[first + e])) +
                           (a.bias ? a.bias[first + e] : 0.0f);
            const int head = first / 64;
            if (angles && head < 2 * a.heads && head % a.heads < a.rope_heads) {
                const float c = angles[first % 64], s = angles[first % 64 + 1], even = v[0];
                v[0] = even * c - v[1] * s;
                v[1] = v[1] * c + even * s;
            }
#pragma unroll
            for (int e = 0; e < 2; e++) {
                if (first + e >= a.out) continue;
                const int64_t to = int64_t{at} * a.out + first + e;
                const float gate = epilogue == LINEAR_RESIDUAL && a.gate ? a.gate[first + e] : 1.0f;
                const float addend = epilogue == LINEAR_RESIDUAL ? a.addend[to] : 0.0f;
                static_cast<T *>(a.y)[to] = from_float<T>(linear_finish<epilogue>(v[e], gate, addend));
            }
        }
    }
}

static inline f5_status run(cuda_context *c, const linear_int8_args *l, int32_t rows) {
    args a = {};
    a.x = l->x, a.w = l->w, a.x_scale = l->x_scale, a.w_scale = l->w_scale, a.bias = l->bias, a.gate = l->gate;
    a.addend = l->addend, a.y = l->y.data, a.rows = rows, a.in = l->in, a.out = l->out, a.heads = 1;
    if (l->epilogue == LINEAR_ROPE) {
        a.rope = l->rope, a.heads = l->out / 192, a.rope_heads = l->rope_heads;
        if (l->pack) a.offsets = l->pack->offsets, a.seq_of_row = l->pack->seq_of_row;
    }
    const dim3 blocks((unsigned int)ceil_div(rows, kTile), (unsigned int)ceil_div(l->out, kTile));
    if (blocks.y > 65535) return f5_fail(&c->error, F5_E_SHAPE, "linear_int8: %d columns", l->out);
    return for_dtype(c, "linear_int8", l->y.type, [&](auto zero) {
        using T = decltype(zero);
        return for_epilogue(l->epilogue, [&](auto one) {
            return cuda_launch_early(c, "linear_int8", linear_int8_tile<T, one.value>, blocks, kThreads, 0, a);
        });
    });
}

} // namespace linear_int8_sm80

#endif
