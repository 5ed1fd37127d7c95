/* linear_short_rows.cuh — y = addend + x w^T for F32 rows as short as a mel frame, and y rounded too, on the tensor
 * cores.
 *
 * A TF32 operand has 11 bits of an F32's 24, so each is split in two, v = high + low, and
 *   x w = low(x) high(w) + high(x) low(w) + high(x) high(w)        the part left out is 2^-20 of a product
 * accumulates in F32: nearly the error of an F32 product at the price of three of TF32.
 *
 * Memory bound: addend and y F32, y rounded once more: 10 bytes an element. [2812,100] -> 1024: 29 MB, 7 µs at 4.2
 * TB/s; the products are 1.8 GFLOP of TF32, 6 µs at the 300 TFLOP/s that mma.sync reaches.
 *
 * A block keeps 128 rows of w in shared memory and goes down x by tiles of 32 rows, the next one on its way; a warp has
 * 32 rows x 32 outputs. The sum starts from the addend, which is loaded before the tile's rows have arrived. w lies in
 * the order that sm90/linear.cuh draws, so that the four outputs a thread holds of every sixteen are neighbours. Each
 * element is one sum in one order: the same bits in any bucket. */
#ifndef F5_SM80_LINEAR_SHORT_ROWS_CUH
#define F5_SM80_LINEAR_SHORT_ROWS_CUH

#include "kernels/cuda/common/launch.cuh"
#include "kernels/cuda/plan/linear.h"
#include "kernels/cuda/sm80/ptx.cuh"

namespace linear_short_rows {

constexpr int kMaxIn = LINEAR_SHORT_MAX_IN;
constexpr int kPitch = kMaxIn + 4; /* floats: an odd count of 16 bytes spreads rows over the banks */
constexpr int kRows = LINEAR_SHORT_TILE_ROWS, kOuts = LINEAR_SHORT_TILE_OUTS, kThreads = 128;
static_assert(kPitch / 4 % 2 == 1 && kThreads / 32 * 32 == kOuts, "a warp has 32 outputs");

struct tiles {
    float w[kOuts][kPitch];
    float x[2][kRows][kPitch];
};

struct args {
    const float *x, *w, *addend;
    float *y;
    void *rounded;
    int rows, in, out;
};

/* An F32 as a TF32 and the rest; the tensor core reads the high 19 bits of its operands. */
__device__ __forceinline__ void split(const uint32_t (&v)[4], uint32_t (&high)[4], uint32_t (&low)[4]) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        high[i] = v[i] & 0xffffe000u;
        low[i] = __float_as_uint(__uint_as_float(v[i]) - __uint_as_float(high[i]));
    }
}

/* Rows of `in` floats into shared memory, 16 bytes at a time; zeros past the row or the matrix. */
template <int count, bool as_outputs>
__device__ __forceinline__ void copy_rows(float (*to)[kPitch], const float *from, int first, int rows, int in) {
    constexpr int chunks = kMaxIn / 4;
    for (int i = threadIdx.x; i < count * chunks; i += kThreads) {
        const int r = i / chunks, at = i % chunks * 4;
        const int place = as_outputs ? (r & ~15) | (r & 2) << 2 | (r & 12) >> 1 | (r & 1) : r;
        const bool live = first + r < rows && at < in;
        copy16_async(shared_address(&to[place][at]), live ? from + (size_t)(first + r) * in + at : from, live);
    }
}

/* acc[m][g][j]: rows 16 m, outputs 16 g; a thread's two of row lane / 4 and two of row + 8 for each j. */
typedef float sums[2][2][2][4];

/* acc += x w^T, x [32,in], w [32,in] in shared memory. The three products of a sum are four others apart. */
__device__ __forceinline__ void multiply(sums &acc, const float (*x)[kPitch], const float (*w)[kPitch], int in) {
    const int lane = threadIdx.x % 32;
    for (int k = 0; k < in; k += 8) {
        uint32_t xh[2][4], xl[2][4], wh[2][4], wl[2][4];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            uint32_t v[4];
            load_matrices(v, shared_address(&x[16 * i + lane % 16][k + lane / 16 * 4]));
            split(v, xh[i], xl[i]);
            // first and second half of k for 8 rows of w, then for the next 8
            load_matrices(v, shared_address(&w[16 * i + lane % 8 + lane / 16 * 8][k + lane / 8 % 2 * 4]));
            split(v, wh[i], wl[i]);
        }
#pragma unroll
        for (int term = 0; term < 3; term++)
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const int m = i / 4, g = i / 2 % 2, j = i % 2;
                const uint32_t(&a)[4] = term == 0 ? xl[m] : xh[m];
                const uint32_t(&b)[4] = term == 1 ? wl[g] : wh[g];
                mma_16x8x8_tf32(acc[m][g][j], a, b[2 * j], b[2 * j + 1]);
            }
    }
}

template <typename T> __global__ void __launch_bounds__(kThreads) linear_short_rows_tf32(args a) {
    extern __shared__ __align__(16) unsigned char memory[];
    tiles *shared = reinterpret_cast<tiles *>(memory);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int column = blockIdx.x * kOuts + warp * 32 + lane % 4 * 4; /* the thread's: four here and four 16 on */
    const int row_tiles = ceil_div(a.rows, kRows);

    let_next_start();
    copy_rows<kOuts, true>(shared->w, a.w, blockIdx.x * kOuts, a.out, a.in); // weights need not wait
    wait_for_previous();
    copy_rows<kRows, false>(shared->x[0], a.x, blockIdx.y * kRows, a.rows, a.in);
    copy_commit();
    for (int tile = blockIdx.y, buffer = 0; tile < row_tiles; tile += gridDim.y, buffer ^= 1) {
        const int next = tile + gridDim.y, row = tile * kRows + lane / 4;
        if (next < row_tiles) copy_rows<kRows, false>(shared->x[buffer ^ 1], a.x, next * kRows, a.rows, a.in);
        copy_commit();

        sums acc;
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const int m = i / 4, half = i / 2 % 2, g = i % 2, r = row + 16 * m + 8 * half, o = column + 16 * g;
            float4 v = make_float4(0, 0, 0, 0);
            if (r < a.rows && o < a.out) v = *reinterpret_cast<const float4 *>(a.addend + (size_t)r * a.out + o);
            acc[m][g][0][2 * half] = v.x, acc[m][g][0][2 * half + 1] = v.y;
            acc[m][g][1][2 * half] = v.z, acc[m][g][1][2 * half + 1] = v.w;
        }
        copy_wait<1>();
        __syncthreads(); // w and this tile's x are there
        multiply(acc, shared->x[buffer], shared->w + warp * 32, a.in);
        __syncthreads(); // x has been read: the tile after the next may overwrite it

#pragma unroll
        for (int i = 0; i < 8; i++) {
            const int m = i / 4, half = i / 2 % 2, g = i % 2, r = row + 16 * m + 8 * half, o = column + 16 * g;
            if (r >= a.rows || o >= a.out) continue;
            const size_t at = (size_t)r * a.out + o;
            const float4 v = make_float4(acc[m][g][0][2 * half], acc[m][g][0][2 * half + 1], acc[m][g][1][2 * half],
                                         acc[m][g][1][2 * half + 1]);
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
    F5_TRY(cuda_allow_shared(c, "linear", linear_short_rows_tf32<T>, bytes));
    return cuda_launch_early(c, "linear", linear_short_rows_tf32<T>,
                             dim3(columns, row_tiles < strips ? row_tiles : strips), kThreads, bytes, a);
}

} // namespace linear_short_rows

#endif
