/* linear_short_rows.cuh — y = addend + x w^T for F32 rows as short as a mel frame, and y rounded too, on the tensor
 * cores.
 *
 * An F32 operand is split in two F16 under a scale of its row (split_f32.cuh), and
 *   x w = low(x) high(w) + high(x) low(w) + high(x) high(w)        the part left out is 2^-24 of a product
 * accumulates in F32: nearly the error of an F32 product at the price of three of F16.
 *
 * Memory bound: addend and y F32, y rounded once more: 10 bytes an element. [2812,100] -> 1024: 29 MB, 7 µs at 4.2
 * TB/s; the products are 1.9 GFLOP of F16, 4 µs at the 550 TFLOP/s that mma.sync reaches.
 *
 * A block has 128 outputs, 16 to a warp, whose weights stay in registers, split. It goes down x by tiles of 32 rows: a
 * warp fetches four of them a tile ahead and splits them, then multiplies all 32. The addend is asked for before the
 * products and added behind them. w is loaded in the order that sm90/linear.cuh draws, so that the four outputs a
 * thread holds are neighbours. Each element is one sum in one order: the same bits in any bucket. */
#ifndef F5_SM80_LINEAR_SHORT_ROWS_CUH
#define F5_SM80_LINEAR_SHORT_ROWS_CUH

#include "kernels/cuda/common/launch.cuh"
#include "kernels/cuda/common/reduce.cuh"
#include "kernels/cuda/plan/linear.h"
#include "kernels/cuda/sm80/split_f32.cuh"

namespace linear_short_rows {

constexpr int kMaxIn = LINEAR_SHORT_MAX_IN, kSteps = (kMaxIn + 15) / 16, kWidth = 16 * kSteps;
constexpr int kRows = LINEAR_SHORT_TILE_ROWS, kOuts = LINEAR_SHORT_TILE_OUTS, kWarps = 8, kThreads = 32 * kWarps;
constexpr int kOwn = kRows / kWarps;   /* rows that a warp fetches and splits */
constexpr int kPitch = 2 * kWidth + 8; /* F16: an odd count of 16 bytes spreads rows over the banks */
static_assert(kPitch / 8 % 2 == 1 && kMaxIn % 8 == 0 && kWarps * 16 == kOuts, "a warp has 16 outputs");
static_assert(kWidth / 8 <= 16 && kOwn % 2 == 0, "half a warp splits a row");

struct tiles {
    float x[2][kRows][kMaxIn];
    __half split[2][kRows][kPitch]; /* kWidth of `high`, then of `low` */
    float unscale[2][kRows];
};

struct args {
    const float *x, *w, *addend;
    float *y;
    void *rounded;
    int rows, in, out;
};

/* The warp's own rows of a tile into shared memory; zeros past the row or the matrix. */
__device__ __forceinline__ void fetch(float (*to)[kMaxIn], const args &a, int first) {
    constexpr int chunks = kMaxIn / 4;
    const int lane = threadIdx.x % 32, own = threadIdx.x / 32 * kOwn;
#pragma unroll
    for (int from = 0; from < kOwn * chunks; from += 32) {
        const int i = from + lane, r = own + i / chunks, at = i % chunks * 4;
        if (i >= kOwn * chunks) continue;
        const bool live = first + r < a.rows && at < a.in;
        copy16_async(shared_address(&to[r][at]), live ? a.x + (size_t)(first + r) * a.in + at : a.x, live);
    }
}

/* The same rows split, half a warp a row. */
__device__ __forceinline__ void split_own(tiles *shared, int buffer) {
    const int lane = threadIdx.x % 32, own = threadIdx.x / 32 * kOwn, eight = lane % 16;
#pragma unroll
    for (int i = 0; i < kOwn; i += 2) {
        const int r = own + i + lane / 16;
        float4 v[2] = {};
        if (eight < kMaxIn / 8)
#pragma unroll
            for (int e = 0; e < 2; e++)
                v[e] = *reinterpret_cast<const float4 *>(&shared->x[buffer][r][8 * eight + 4 * e]);
        const float largest = lanes_max<16>(fmaxf(split_f32::largest_of(v[0]), split_f32::largest_of(v[1])));
        const split_f32::scales by = split_f32::scales_of(largest);
        uint4 high, low;
        split_f32::split_eight(v[0], v[1], by.scale, &high, &low);
        if (eight < kWidth / 8) {
            *reinterpret_cast<uint4 *>(&shared->split[buffer][r][8 * eight]) = high;
            *reinterpret_cast<uint4 *>(&shared->split[buffer][r][kWidth + 8 * eight]) = low;
        }
        if (eight == 0) shared->unscale[buffer][r] = by.unscale;
    }
}

/* Weights of 16 outputs as fragments: of every 16 along `in` and eight outputs j two words, and what undoes the scale
 * of the four outputs whose sums the thread will hold. */
struct weights {
    uint32_t high[kSteps][2][2], low[kSteps][2][2];
    float unscale[4];
};

__device__ __forceinline__ void load_weights(weights &to, const args &a, int first) {
    const int lane = threadIdx.x % 32, n = lane / 4, q = lane % 4;
#pragma unroll
    for (int j = 0; j < 2; j++) {
        const int out = first + n / 2 * 4 + 2 * j + n % 2;
        const float *row = a.w + (size_t)min(out, a.out - 1) * a.in;
        float2 v[kSteps][2];
        float largest = 0;
#pragma unroll
        for (int i = 0; i < 2 * kSteps; i++) {
            const int at = 8 * i + 2 * q;
            float2 pair = make_float2(0, 0);
            if (out < a.out && at < a.in) pair = *reinterpret_cast<const float2 *>(row + at);
            v[i / 2][i % 2] = pair;
            largest = fmaxf(largest, fmaxf(fabsf(pair.x), fabsf(pair.y)));
        }
        const split_f32::scales by = split_f32::scales_of(lanes_max<4>(largest));
#pragma unroll
        for (int i = 0; i < 2 * kSteps; i++) {
            const float2 pair = v[i / 2][i % 2];
            split_f32::split_pair(pair.x, pair.y, by.scale, &to.high[i / 2][j][i % 2], &to.low[i / 2][j][i % 2]);
        }
        // outputs 4 q + 2 j + e are those of lanes with n = 2 q + e
#pragma unroll
        for (int e = 0; e < 2; e++) to.unscale[2 * j + e] = __shfl_sync(0xffffffffu, by.unscale, (2 * q + e) * 4);
    }
}

/* acc[m][j]: rows 16 m, outputs j of every four; a thread's two of row lane / 4, then two of row + 8. */
typedef float sums[2][2][4];

/* acc = x w^T of a tile. The three products of a sum are others apart. */
__device__ __forceinline__ void multiply(sums &acc, const __half (*x)[kPitch], const weights &w) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int step = 0; step < kSteps; step++) {
        uint32_t high[2][4], low[2][4];
#pragma unroll
        for (int m = 0; m < 2; m++) {
            const __half *at = &x[16 * m + lane % 16][16 * step + lane / 16 * 8];
            load_matrices(high[m], shared_address(at));
            load_matrices(low[m], shared_address(at + kWidth));
        }
#pragma unroll
        for (int term = 0; term < 3; term++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int m = i / 2, j = i % 2;
                const uint32_t(&b)[2] = term == 1 ? w.low[step][j] : w.high[step][j];
                mma_16x8x16<__half>(acc[m][j], term == 0 ? low[m] : high[m], b[0], b[1]);
            }
    }
}

template <typename T> __global__ void __launch_bounds__(kThreads, 2) linear_short_rows_split_f32(args a) {
    extern __shared__ __align__(16) unsigned char memory[];
    tiles *shared = reinterpret_cast<tiles *>(memory);
    const int lane = threadIdx.x % 32, first_out = blockIdx.x * kOuts + threadIdx.x / 32 * 16;
    const int column = first_out + lane % 4 * 4; /* the thread's four outputs */
    const int row_tiles = ceil_div(a.rows, kRows);

    let_next_start();
    weights w;
    load_weights(w, a, first_out); // weights need not wait
    wait_for_previous();
    fetch(shared->x[0], a, blockIdx.y * kRows);
    copy_commit();
    for (int tile = blockIdx.y, buffer = 0; tile < row_tiles; tile += gridDim.y, buffer ^= 1) {
        const int next = tile + gridDim.y, row = tile * kRows + lane / 4;
        if (next < row_tiles) fetch(shared->x[buffer ^ 1], a, next * kRows);
        copy_commit();

        float4 addend[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int r = row + 8 * i;
            addend[i] = make_float4(0, 0, 0, 0);
            if (r < a.rows && column < a.out)
                addend[i] = *reinterpret_cast<const float4 *>(a.addend + (size_t)r * a.out + column);
        }
        copy_wait<1>();
        __syncwarp(); // the warp's rows are there
        split_own(shared, buffer);
        __syncthreads(); // all rows of this tile are split, and all of the one before have been read
        sums acc = {};
        multiply(acc, shared->split[buffer], w);

#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int m = i / 2, half = i % 2, r = row + 8 * i;
            if (r >= a.rows || column >= a.out) continue;
            const float by = shared->unscale[buffer][lane / 4 + 8 * i];
            const float4 v = make_float4(fmaf(acc[m][0][2 * half] * by, w.unscale[0], addend[i].x),
                                         fmaf(acc[m][0][2 * half + 1] * by, w.unscale[1], addend[i].y),
                                         fmaf(acc[m][1][2 * half] * by, w.unscale[2], addend[i].z),
                                         fmaf(acc[m][1][2 * half + 1] * by, w.unscale[3], addend[i].w));
            const size_t at = (size_t)r * a.out + column;
            *reinterpret_cast<float4 *>(a.y + at) = v;
            if constexpr (sizeof(T) == 2)
                *reinterpret_cast<uint2 *>(static_cast<T *>(a.rounded) + at) =
                    make_uint2(pack2<T>(v.x, v.y), pack2<T>(v.z, v.w));
        }
    }
}

/* in <= 104, in and out multiples of 4, tensors 16-byte aligned. T: of the rounded copy, float for none. */
template <typename T> f5_status run(cuda_context *c, const args &a) {
    constexpr int bytes = (int)sizeof(tiles);
    static_assert(bytes == LINEAR_SHORT_SHARED_BYTES, "plan/linear.h");
    static_assert(bytes <= 99 * 1024, "fits every device since sm_80");
    const int columns = ceil_div(a.out, kOuts), row_tiles = ceil_div(a.rows, kRows);
    const int strips =
        2 * c->arch.sm_count > columns ? 2 * c->arch.sm_count / columns : 1; /* two blocks to a multiprocessor */
    F5_TRY(cuda_allow_shared(c, "linear", linear_short_rows_split_f32<T>, bytes));
    return cuda_launch_early(c, "linear", linear_short_rows_split_f32<T>,
                             dim3(columns, row_tiles < strips ? row_tiles : strips), kThreads, bytes, a);
}

} // namespace linear_short_rows

#endif
