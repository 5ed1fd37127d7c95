/* linear_few_outputs.cuh — y = x w^T + bias for 16-bit operands and few outputs, into F32: the model's velocity.
 *
 * Bound by the bytes that a multiprocessor reads from L2: its rows of x, and all of w. [2812,1024] -> 100: 24 rows to
 * each of 118 blocks, 254 KB each, 30 MB in all, 4.3 µs at the 7 TB/s that the products of a block see.
 *
 * A block has 16, 24 or 32 rows (plan/linear.h) and all outputs: eight slices of `in` by two halves of the outputs, a
 * warp each. Outputs are the 16 rows of mma.sync's A operand, rows the 8 columns of its B operand, so that tiles of
 * rows can be small. No operand passes through shared memory: a lane loads 16 bytes, 8 neighbours of a row, where the
 * instruction wants 2 and 2 of them. The order of the elements along K is free, as long as both operands use the same
 * order. The slices' sums are added in shared memory, in order.
 *
 * Each element is one sum in one order, however many rows a block has: the same bits for a row in any bucket. */
#ifndef F5_SM80_LINEAR_FEW_OUTPUTS_CUH
#define F5_SM80_LINEAR_FEW_OUTPUTS_CUH

#include "kernels/cuda/common/launch.cuh"
#include "kernels/cuda/plan/linear.h"
#include "kernels/cuda/sm80/ptx.cuh"

namespace linear_few_outputs {

constexpr int kTiles = LINEAR_FEW_MAX_OUT / 16; /* of outputs */
constexpr int kSlices = 8, kStep = 32, kWarps = 2 * kSlices, kThreads = 32 * kWarps;
static_assert(LINEAR_FEW_IN_MULTIPLE == kSlices * kStep, "plan/linear.h");

struct args {
    const void *x, *w;
    const float *bias;
    float *y;
    int rows, in, out;
};

/* The sums of one slice: a float4 of each lane for every 16 outputs by 8 rows. */
template <int eights> struct slice_sums { float4 of[kTiles][eights][32]; };

/* eights: rows of a block / 8. A half has every other sixteen of the outputs. */
template <typename T, int eights> __global__ void __launch_bounds__(kThreads, 1) linear_few_outputs_mma(args a) {
    extern __shared__ __align__(16) unsigned char memory[];
    slice_sums<eights> *sums = reinterpret_cast<slice_sums<eights> *>(memory);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, slice = warp / 2, half = warp % 2;
    const int g = lane / 4, first_row = blockIdx.x * 8 * eights;
    const int k = slice * (a.in / kSlices) + lane % 4 * 8;
    constexpr int max_tiles = (kTiles + 1) / 2; // of a half

    // weights need not wait for the kernel in front: prefetch all of them to L2, load the first ones
    let_next_start();
    const T *w = static_cast<const T *>(a.w), *x = static_cast<const T *>(a.x) + (size_t)first_row * a.in;
    for (int i = blockIdx.x * kThreads + threadIdx.x; i < a.out * a.in / 64; i += gridDim.x * kThreads)
        prefetch_l2(w + i * 64);
    int w_at[max_tiles][2], x_at[eights]; /* rows past the last one repeat it: their results are not stored */
    uint4 w_now[max_tiles][2];
#pragma unroll
    for (int m = 0; m < max_tiles; m++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            w_at[m][e] = min((2 * m + half) * 16 + 8 * e + g, a.out - 1) * a.in + k;
            if (2 * m + half < kTiles) w_now[m][e] = __ldg(reinterpret_cast<const uint4 *>(w + w_at[m][e]));
        }
#pragma unroll
    for (int n = 0; n < eights; n++) x_at[n] = min(8 * n + g, a.rows - 1 - first_row) * a.in + k;

    // the first slice begins with the bias
    float acc[max_tiles][eights][4];
#pragma unroll
    for (int m = 0; m < max_tiles; m++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int o = (2 * m + half) * 16 + 8 * e + g;
            const float bias = slice == 0 && a.bias && o < a.out ? a.bias[o] : 0.0f;
#pragma unroll
            for (int n = 0; n < eights; n++) acc[m][n][2 * e] = acc[m][n][2 * e + 1] = bias;
        }
    wait_for_previous();

    // multiply the slice, 32 elements at a time
    for (int step = 0; step < a.in / kSlices; step += kStep) {
        uint4 x_now[eights];
#pragma unroll
        for (int n = 0; n < eights; n++) x_now[n] = *reinterpret_cast<const uint4 *>(x + x_at[n] + step);
        if (step > 0)
#pragma unroll
            for (int m = 0; m < max_tiles; m++)
#pragma unroll
                for (int e = 0; e < 2; e++)
                    if (2 * m + half < kTiles)
                        w_now[m][e] = __ldg(reinterpret_cast<const uint4 *>(w + w_at[m][e] + step));
#pragma unroll
        for (int part = 0; part < 2; part++)
#pragma unroll
            for (int m = 0; m < max_tiles; m++) {
                if (2 * m + half >= kTiles) continue;
                const uint4 p = w_now[m][0], q = w_now[m][1];
                const uint32_t words[4] = {part ? p.z : p.x, part ? q.z : q.x, part ? p.w : p.y, part ? q.w : q.y};
#pragma unroll
                for (int n = 0; n < eights; n++)
                    mma_16x8x16<T>(acc[m][n], words, part ? x_now[n].z : x_now[n].x, part ? x_now[n].w : x_now[n].y);
            }
    }

    // the slices' sums to shared memory
#pragma unroll
    for (int m = 0; m < max_tiles; m++)
#pragma unroll
        for (int n = 0; n < eights; n++)
            if (2 * m + half < kTiles)
                sums[slice].of[2 * m + half][n][lane] =
                    make_float4(acc[m][n][0], acc[m][n][1], acc[m][n][2], acc[m][n][3]);
    __syncthreads();

    // add them in order, and store
    for (int tile = warp; tile < kTiles * eights; tile += kWarps) {
        const int m = tile % kTiles, n = tile / kTiles;
        float v[4] = {};
#pragma unroll
        for (int s = 0; s < kSlices; s++) {
            const float4 part = sums[s].of[m][n][lane];
            v[0] += part.x, v[1] += part.y, v[2] += part.z, v[3] += part.w;
        }
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const int o = 16 * m + e / 2 * 8 + g, r = first_row + 8 * n + lane % 4 * 2 + e % 2;
            if (o < a.out && r < a.rows) a.y[(size_t)r * a.out + o] = v[e];
        }
    }
}

template <typename T, int eights> f5_status launch(cuda_context *c, const args &a) {
    constexpr int bytes = kSlices * (int)sizeof(slice_sums<eights>);
    static_assert(bytes == LINEAR_FEW_SHARED_BYTES(8 * eights), "plan/linear.h");
    auto kernel = linear_few_outputs_mma<T, eights>;
    F5_TRY(cuda_allow_shared(c, "linear", kernel, bytes));
    return cuda_launch_early(c, "linear", kernel, dim3(ceil_div(a.rows, 8 * eights)), kThreads, bytes, a);
}

/* in is a multiple of 256, out at most 112; x and w are 16-byte aligned. */
template <typename T> f5_status run(cuda_context *c, const args &a) {
    switch (linear_few_rows(&c->arch, a.rows)) {
    case 16:
        return launch<T, 2>(c, a);
    case 24:
        return launch<T, 3>(c, a);
    }
    return launch<T, 4>(c, a);
}

} // namespace linear_few_outputs

#endif
