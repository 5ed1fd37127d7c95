/* linear_int8_weights.cuh — y = x w^T scale + bias for F16 rows x and weights w of 8-bit whole numbers, into F32: the
 * modulations of all evaluations, a few rows by very many outputs.
 *
 * Bound by w, which is read once for every 32 rows (16 or 8 where shared memory does not hold 32 as wide as these):
 * [32,1024] -> 137216: 140 MB, 33 µs at 4.2 TB/s. So that DRAM is never idle a lane has the next kDepth chunks of its
 * two rows of w in registers or on their way, across the end of a tile too: 64 KB to a multiprocessor.
 *
 * A block keeps its rows of x in shared memory, a warp takes 16 outputs after another: they are the 16 rows of
 * mma.sync's A operand, rows of x the 8 columns of its B operand. A lane loads 16 neighbours of a row, where the
 * instruction wants 2 and 2 of them: the order of the elements along K is free, as long as both operands use the same
 * one. Whole numbers become F16 exactly: 0x6400 plus a byte is 1024 plus its value.
 *
 * Each element is one sum in one order, however many rows there are. */
#ifndef F5_SM80_LINEAR_INT8_WEIGHTS_CUH
#define F5_SM80_LINEAR_INT8_WEIGHTS_CUH

#include "kernels/cuda/common/launch.cuh"
#include "kernels/cuda/plan/linear.h"
#include "kernels/cuda/sm80/ptx.cuh"

namespace linear_int8_weights {

constexpr int kWarps = LINEAR_WEIGHTS_OUTS / 16, kThreads = 32 * kWarps;
constexpr int kChunk = 64; /* of K, that a load of each lane covers */
constexpr int kDepth = 4;  /* chunks */

struct args {
    const __half *x;
    const int8_t *w;
    const float *scale, *bias;
    float *y;
    int rows, in, out;
};

/* The chunk of w that a lane loads next. */
struct cursor {
    const int8_t *row[2]; /* the lane's two rows of the 16 outputs at hand */
    int first, k;         /* output, element */
};

__device__ __forceinline__ void aim(cursor &at, const args &a) {
    const int r = threadIdx.x % 32 / 4, q = threadIdx.x % 4;
    at.k = 0;
#pragma unroll
    for (int e = 0; e < 2; e++) at.row[e] = a.w + int64_t{min(at.first + 8 * e + r, a.out - 1)} * a.in + 16 * q;
}

/* Loads it and moves on. padded: a.in rounded up to kDepth chunks. stride: outputs from a warp's sixteen to the next.
 */
__device__ __forceinline__ void load_next(uint4 (&chunk)[2], cursor &at, const args &a, int padded, int stride) {
    if (at.first < a.out && at.k < a.in)
#pragma unroll
        for (int e = 0; e < 2; e++) chunk[e] = __ldcs(reinterpret_cast<const uint4 *>(at.row[e] + at.k));
    at.k += kChunk;
    if (at.k < padded) return;
    at.first += stride;
    aim(at, a);
}

/* Four whole numbers as two pairs of F16. */
__device__ __forceinline__ void halves_of(uint32_t four, uint32_t &low, uint32_t &high) {
    const uint32_t shifted = four ^ 0x80808080u; // 128 more, without a sign
    low = __byte_perm(shifted, 0x64646464u, 0x4140), high = __byte_perm(shifted, 0x64646464u, 0x4342);
    const __half2 zero = __floats2half2_rn(1152.0f, 1152.0f);
    *reinterpret_cast<__half2 *>(&low) = __hsub2(*reinterpret_cast<__half2 *>(&low), zero);
    *reinterpret_cast<__half2 *>(&high) = __hsub2(*reinterpret_cast<__half2 *>(&high), zero);
}

/* acc += a chunk of w times the same elements of x, of which the lane's first lies at x. */
template <int eights>
__device__ __forceinline__ void multiply(float (&acc)[eights][4], const uint4 (&chunk)[2], const __half *x,
                                         int stride) {
    const uint32_t u[4] = {chunk[0].x, chunk[0].y, chunk[0].z, chunk[0].w},
                   v[4] = {chunk[1].x, chunk[1].y, chunk[1].z, chunk[1].w};
    uint32_t fragment[4][4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        halves_of(u[i], fragment[i][0], fragment[i][2]);
        halves_of(v[i], fragment[i][1], fragment[i][3]);
    }
#pragma unroll
    for (int n = 0; n < eights; n++) {
        const uint4 *from = reinterpret_cast<const uint4 *>(x + 8 * n * stride);
        const uint4 one = from[0], two = from[1];
        mma_16x8x16<__half>(acc[n], fragment[0], one.x, one.y);
        mma_16x8x16<__half>(acc[n], fragment[1], one.z, one.w);
        mma_16x8x16<__half>(acc[n], fragment[2], two.x, two.y);
        mma_16x8x16<__half>(acc[n], fragment[3], two.z, two.w);
    }
}

/* eights: rows of a block / 8 */
template <int eights> __global__ void __launch_bounds__(kThreads, 2) linear_int8_weights_mma(args a) {
    extern __shared__ __align__(16) __half shared_x[]; // [rows of the block][in + 8]
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, r = lane / 4, q = lane % 4;
    constexpr int rows = 8 * eights;
    const int first_row = blockIdx.y * rows, stride = a.in + 8;
    const int padded = ceil_div(a.in, kDepth * kChunk) * kDepth * kChunk, on = gridDim.x * kWarps * 16;
    let_next_start();

    // the first weights need not wait
    cursor at;
    at.first = (warp * gridDim.x + blockIdx.x) * 16;
    aim(at, a);
    uint4 ring[kDepth][2] = {};
#pragma unroll
    for (int i = 0; i < kDepth; i++) load_next(ring[i], at, a, padded, on);

    wait_for_previous();
    for (int i = threadIdx.x; i < rows * a.in / 8; i += kThreads) {
        const int row = i / (a.in / 8), k = i % (a.in / 8) * 8;
        uint4 eight = {};
        if (first_row + row < a.rows)
            eight = *reinterpret_cast<const uint4 *>(a.x + int64_t{first_row + row} * a.in + k);
        *reinterpret_cast<uint4 *>(shared_x + row * stride + k) = eight;
    }
    __syncthreads();
    const __half *x = shared_x + r * stride + 16 * q;
    for (int first = (warp * gridDim.x + blockIdx.x) * 16; first < a.out; first += on) {
        float acc[eights][4] = {};
        for (int k = 0; k < padded; k += kDepth * kChunk)
#pragma unroll
            for (int i = 0; i < kDepth; i++) {
                if (k + i * kChunk < a.in) multiply(acc, ring[i], x + k + i * kChunk, stride);
                load_next(ring[i], at, a, padded, on);
            }
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int o = first + 8 * e + r;
            if (o >= a.out) continue;
            const float scale = a.scale[o], bias = a.bias ? a.bias[o] : 0.0f;
#pragma unroll
            for (int n = 0; n < eights; n++)
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    const int row = first_row + 8 * n + 2 * q + i;
                    if (row < a.rows) a.y[int64_t{row} * a.out + o] = fmaf(acc[n][2 * e + i], scale, bias);
                }
        }
    }
}

template <int eights> f5_status launch(cuda_context *c, const args &a) {
    auto kernel = linear_int8_weights_mma<eights>;
    const int shared = (int)LINEAR_WEIGHTS_SHARED_BYTES(8 * eights, a.in);
    F5_TRY(cuda_allow_all_shared(c, "linear", kernel, shared));
    const int groups = ceil_div(a.out, LINEAR_WEIGHTS_OUTS), most = 2 * c->arch.sm_count;
    const dim3 blocks((unsigned int)(groups < most ? groups : most), (unsigned int)ceil_div(a.rows, 8 * eights));
    if (blocks.y > 65535) return f5_fail(&c->error, F5_E_SHAPE, "linear: %d rows by 8-bit weights", a.rows);
    return cuda_launch_early(c, "linear", kernel, blocks, kThreads, shared, a);
}

static inline f5_status run(cuda_context *c, const args &a) {
    switch (linear_weights_rows(&c->arch, a.in)) {
    case 32:
        return launch<4>(c, a);
    case 16:
        return launch<2>(c, a);
    }
    return launch<1>(c, a);
}

} // namespace linear_int8_weights

#endif
