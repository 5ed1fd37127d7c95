/* conv_fma.cuh — a tile of a dense convolution over time on the F32 units: 64 rows of one sequence by 64 outputs.
 *
 *   acc = sum over taps k and inputs i of  x[row + (k - taps/2) dilation, i] * w[k, o, i]
 *
 * where rows outside the sequence are zero.
 *
 * 256 threads hold 4 rows x 4 outputs each, 16 apart, so that the eight 16-byte reads of a step feed 64 multiply-adds.
 * 32 inputs at a time: the tile of x with its halo is copied to shared memory once for all taps, then the weights tap
 * by tap.
 * The order of the sum is fixed: blocks of 32 inputs, taps, inputs. */
#ifndef F5_CONV_FMA_CUH
#define F5_CONV_FMA_CUH

#include "kernels/cuda/common/pack_tile.cuh"

static constexpr int kConvRows = 64, kConvOuts = 64, kConvThreads = 256;
static constexpr int kConvStep = 32;             /* inputs in shared memory at a time */
static constexpr int kConvPitch = kConvStep + 4; /* floats from row to row: 16-byte reads without bank conflicts */
static_assert(kConvThreads * 16 == kConvRows * kConvOuts, "a thread holds 4 x 4 results");
static_assert(kConvPitch % 4 == 0 && (kConvPitch / 4) % 2 == 1, "an odd count of 16-byte words spreads over the banks");

/* kHalo: rows of x beside those of the tile, (taps - 1) dilation at most. */
template <int kHalo> struct alignas(16) conv_shared {
    float x[kConvRows + kHalo][kConvPitch];
    float w[kConvOuts][kConvPitch];
};

/* Where a tile's operands lie; every offset is already that of the tile's group. */
template <typename T> struct conv_operands {
    const T *x;         /* row 0 of the pack, first input */
    const T *w;         /* tap 0, first output of the tile, first input */
    int in, outs, taps; /* outs: of this tile, at most 64 */
    int x_stride;       /* elements from row to row */
    int64_t w_tap;      /* elements from tap to tap; outputs are `in` apart */
    int dilation = 1;   /* rows of x from tap to tap */
};

/* acc[i][j]: row threadIdx / 16 + 16 i, output threadIdx % 16 + 16 j. All 256 threads call. */
template <typename T, int kHalo>
static __device__ __forceinline__ void conv_tile_fma(float (&acc)[4][4], const conv_operands<T> &a,
                                                     const pack_tile &tile, conv_shared<kHalo> *shared) {
    const int ty = threadIdx.x / 16, tx = threadIdx.x % 16, lane = threadIdx.x % kConvStep;
    const int top = tile.first - a.taps / 2 * a.dilation; /* packed row of the first row of the halo */
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) acc[i][j] = 0;

    for (int in = 0; in < a.in; in += kConvStep) {
        const bool live = in + lane < a.in;
        __syncthreads(); /* the last step's x has been read */
        for (int r = threadIdx.x / kConvStep; r < kConvRows + (a.taps - 1) * a.dilation;
             r += kConvThreads / kConvStep) {
            const int row = top + r;
            const bool inside = live && row >= tile.begin && row < tile.end;
            shared->x[r][lane] = inside ? to_float(a.x[(size_t)row * a.x_stride + in + lane]) : 0.0f;
        }
        for (int k = 0; k < a.taps; k++) {
            if (k > 0) __syncthreads(); /* the last tap's weights have been read */
            const T *w = a.w + k * a.w_tap + in + lane;
#pragma unroll
            for (int o = threadIdx.x / kConvStep; o < kConvOuts; o += kConvThreads / kConvStep)
                shared->w[o][lane] = live && o < a.outs ? to_float(w[(size_t)o * a.in]) : 0.0f;
            __syncthreads();
#pragma unroll 2
            for (int c = 0; c < kConvStep; c += 4) {
                float4 x[4], y[4];
#pragma unroll
                for (int i = 0; i < 4; i++)
                    x[i] = *reinterpret_cast<const float4 *>(&shared->x[ty + 16 * i + k * a.dilation][c]);
#pragma unroll
                for (int j = 0; j < 4; j++) y[j] = *reinterpret_cast<const float4 *>(&shared->w[tx + 16 * j][c]);
#pragma unroll
                for (int i = 0; i < 4; i++)
#pragma unroll
                    for (int j = 0; j < 4; j++) {
                        acc[i][j] = fmaf(x[i].x, y[j].x, acc[i][j]);
                        acc[i][j] = fmaf(x[i].y, y[j].y, acc[i][j]);
                        acc[i][j] = fmaf(x[i].z, y[j].z, acc[i][j]);
                        acc[i][j] = fmaf(x[i].w, y[j].w, acc[i][j]);
                    }
            }
        }
    }
}

#endif
