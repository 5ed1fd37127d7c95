/* conv_pos.cuh — the convolution for sm_90a: on the tensor cores outputs are the rows, time is the columns.
 *
 *   acc [64 outputs, N rows of time] += w[tap] [64,64] . x[rows + tap - 15] [N,64]^T       31 taps, 4 steps of 16 each
 *
 *   producer   one warp: the group's weights, tap after tap, by TMA into a ring of stages
 *   consumer   one warpgroup: copies the tile of x with its halo once, multiplies, applies bias, Mish and residual
 *
 * So the weights are the operand that streams, and a tap is another start address in x. x lies in shared memory in
 * chunks of 8 channels, [8][rows][8]: without a swizzle the next row is 16 bytes on, whatever the row, which is what
 * the start address of a descriptor can express.
 *
 * N is 128 or 176 (plan/conv_pos.h), and two or three blocks share a multiprocessor. Floor: conv_pos.cu; every block
 * reads 254 KB of weights from L2, 65 MB in all at 2812 rows. The floor leaves out the copy of x, and the ends of all
 * blocks, which come at the same time.
 *
 * Each element is one sum over taps, then channels, in steps of 16, whatever N: the same bits for a row in any bucket.
 */
#ifndef F5_SM90_CONV_POS_CUH
#define F5_SM90_CONV_POS_CUH

#include "kernels/conv_pos.h"
#include "kernels/cuda/common/mish.cuh"
#include "kernels/cuda/common/pack_tile.cuh"
#include "kernels/cuda/plan/conv_pos.h"
#include "kernels/cuda/sm90/tensor_map.cuh"
#include "kernels/cuda/sm90/wgmma.cuh"

namespace conv_pos_sm90 {

constexpr int kWidth = 64; /* channels of a group, in and out */
constexpr int kTaps = CONV_POS_TAPS, kHalo = kTaps / 2, kTapBytes = kWidth * kWidth * 2;
constexpr int kStages = CONV_POS_SM90_STAGES; /* taps of weights in flight */
constexpr int kConsumers = 128, kThreads = kConsumers + 32;

/* Named barriers of a block; 0 is __syncthreads. */
enum named_barrier { kConsumerBarrier = 1 };

/* Rows of a chunk in shared memory, halo included: odd, so that the chunks of a row fall into different banks. */
__host__ __device__ constexpr int pitch_of(int rows) {
    return rows + kTaps - 1 + 1;
}
/* 1024: to start at a multiple of it. A 16-bit result is transposed in the place of x. */
__host__ __device__ constexpr int shared_bytes(int rows) {
    return 1024 + kStages * kTapBytes + kWidth / 8 * pitch_of(rows) * 16;
}

struct conv_args {
    f5_pack pack;
    int dim;
    const void *x;
    const float *bias, *residual;
    void *y;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

struct barriers {
    uint64_t full[kStages], empty[kStages];
};

/* A tile without a swizzle: 8 rows of 16 bytes are a matrix, the next 8 rows follow, and `across` bytes on are the next
 * 8 channels. */
__device__ __forceinline__ uint64_t plain_descriptor(const void *tile, uint32_t across) {
    return (uint64_t)(128 >> 4) << 32 | (uint64_t)(across >> 4) << 16 | (shared_address(tile) & 0x3ffff) >> 4;
}

/* ---- producer: one thread */
__device__ __forceinline__ void produce(const CUtensorMap *w, int dim, int column, unsigned char *stages, barriers *b) {
    for (int tap = 0; tap < kTaps; tap++) {
        const int stage = tap % kStages;
        barrier_wait(&b->empty[stage], (tap / kStages & 1) ^ 1);
        barrier_expect(&b->full[stage], kTapBytes);
        tensor_load(stages + stage * kTapBytes, w, 0, tap * dim + column, &b->full[stage]);
    }
}

/* ---- consumer: 128 threads; see wgmma.cuh for what one holds */

/* The tile of x with its halo, made visible to wgmma; rows outside the sequence are zero. */
template <typename T, int rows>
__device__ __forceinline__ void copy_x(const conv_args &d, const pack_tile &tile, int column, unsigned char *to) {
    constexpr int chunks = kWidth / 8;
    const T *x = static_cast<const T *>(d.x) + column;
    for (int i = threadIdx.x; i < (rows + kTaps - 1) * chunks; i += kConsumers) {
        const int r = i / chunks, chunk = i % chunks, row = tile.first - kHalo + r;
        const bool inside = row >= tile.begin && row < tile.end;
        copy16_async(shared_address(to + (chunk * pitch_of(rows) + r) * 16),
                     inside ? x + (size_t)row * d.dim + 8 * chunk : x, inside);
    }
    copy_commit();
    copy_wait<0>();
    shared_fence_async();
    named_sync(kConsumerBarrier, kConsumers);
}

/* acc = the sum over the taps; releases each stage as soon as it has been read. */
template <typename T, int rows>
__device__ __forceinline__ void multiply(float (&acc)[rows / 2], uint64_t w, uint64_t x, barriers *b) {
    const int lane = threadIdx.x % 32;
    for (int tap = 0; tap < kTaps; tap++) {
        const int stage = tap % kStages;
        barrier_wait(&b->full[stage], tap / kStages & 1);
        wgmma_hold(acc);
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < kWidth / 16; k++) // 16 channels on: two chunks of x; a tap on: a row of 16 bytes
            wgmma_64xn<T, rows>(acc, w + stage * (kTapBytes >> 4) + k * kStepAlongRow, x + tap + k * 2 * pitch_of(rows),
                                tap > 0 || k > 0);
        wgmma_commit();
        wgmma_hold(acc);
        wgmma_wait<1>();
        if (lane == 0 && tap > 0) barrier_arrive(&b->empty[(tap - 1) % kStages]);
    }
    wgmma_wait<0>();
    wgmma_hold(acc);
}

/* Of the result acc[4 j + e] is output o + 8 (e / 2) of row 8 j + 2 (lane % 4) + e % 2, o = 16 warp + lane / 4. */

/* F32 results straight from registers: the eight neighbours that a warp has of each row are whole sectors. */
template <int rows>
__device__ __forceinline__ void store_f32(const conv_args &d, const pack_tile &tile, int column,
                                          const float (&acc)[rows / 2], const float (&bias)[2]) {
    constexpr int batch = rows == 176 ? 11 : 8; // eights of rows whose residual is loaded together
    static_assert(rows / 8 % batch == 0, "whole batches");
    const int lane = threadIdx.x % 32;
    const size_t at = (size_t)tile.first * d.dim + column + threadIdx.x / 32 * 16 + lane / 4;
    const float *residual = d.residual ? d.residual + at : nullptr;
    float *y = static_cast<float *>(d.y) + at;
#pragma unroll
    for (int j = 0; j < rows / 8; j += batch) {
        float before[batch][4];
#pragma unroll
        for (int i = 0; i < batch; i++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const int t = 8 * (j + i) + 2 * (lane % 4) + e % 2;
                before[i][e] = residual && t < tile.rows ? residual[(size_t)t * d.dim + e / 2 * 8] : 0.0f;
            }
#pragma unroll
        for (int i = 0; i < batch; i++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const int t = 8 * (j + i) + 2 * (lane % 4) + e % 2;
                const float value = before[i][e] + mish(acc[4 * (j + i) + e] + bias[e / 2]);
                if (t < tile.rows) y[(size_t)t * d.dim + e / 2 * 8] = value;
            }
    }
}

/* 16-bit results, transposed through shared memory, [rows][64], and stored from there by 16 bytes. */
template <typename T, int rows>
__device__ __forceinline__ void store_transposed(const conv_args &d, const pack_tile &tile, int column,
                                                 const float (&acc)[rows / 2], const float (&bias)[2],
                                                 unsigned char *transposed) {
    constexpr int chunks = kWidth / 8;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    named_sync(kConsumerBarrier, kConsumers); // every warp's products have read x, which lay here
#pragma unroll
    for (int j = 0; j < rows / 8; j += 2) {
        uint32_t word[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float *c = acc + 4 * (j + i / 2) + 2 * (i % 2);
            word[i] = pack2<T>(mish(c[0] + bias[i % 2]), mish(c[1] + bias[i % 2]));
        }
        store_matrices_transposed(
            shared_address(transposed) + swizzled(8 * (j + lane / 16) + lane % 8, 2 * warp + lane / 8 % 2), word);
    }
    named_sync(kConsumerBarrier, kConsumers);
    T *y = static_cast<T *>(d.y) + (size_t)tile.first * d.dim + column;
    for (int i = threadIdx.x; i < tile.rows * chunks; i += kConsumers) {
        const int t = i / chunks, chunk = i % chunks;
        *reinterpret_cast<uint4 *>(y + (size_t)t * d.dim + 8 * chunk) =
            *reinterpret_cast<const uint4 *>(transposed + swizzled(t, chunk));
    }
}

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */

/* A block to a group of channels (x) and a tile of rows (y). */
template <typename T, int rows, bool Y_F32>
__global__ void __launch_bounds__(kThreads)
    conv_pos_wgmma(const __grid_constant__ conv_args d, const __grid_constant__ CUtensorMap w) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ unsigned char dynamic_shared[];
    __shared__ barriers b;
    const int column = blockIdx.x * kWidth;
    unsigned char *stages = dynamic_shared + (-shared_address(dynamic_shared) & 1023u);
    unsigned char *x = stages + kStages * kTapBytes;

    if (threadIdx.x == 0) {
        tensor_map_prefetch(&w);
        for (int stage = 0; stage < kStages; stage++) {
            barrier_init(&b.full[stage], 1);
            barrier_init(&b.empty[stage], kConsumers / 32); // one arrival of each warp that reads the stage
        }
        barrier_init_fence();
    }
    __syncthreads();
    let_next_start();
    const pack_tile tile = pack_tile_find(d.pack.offsets, d.pack.n_seq, rows, blockIdx.y);
    if (threadIdx.x >= kConsumers) { // weights need not wait for the kernel in front
        if (threadIdx.x == kConsumers && tile.rows > 0) produce(&w, d.dim, column, stages, &b);
        return;
    }

    wait_for_previous();
    if (tile.rows == 0) return;
    copy_x<T, rows>(d, tile, column, x);
    float acc[rows / 2] = {};
    multiply<T, rows>(acc, tile_descriptor(stages), plain_descriptor(x, pitch_of(rows) * 16), &b);
    const float *bias = d.bias + column + threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4;
    const float biases[2] = {bias[0], bias[8]};
    if constexpr (Y_F32)
        store_f32<rows>(d, tile, column, acc, biases);
    else
        store_transposed<T, rows>(d, tile, column, acc, biases, x);
#else
    __trap(); // launched only where code for sm_90a is present: arch.code
#endif
}

/* ---- host */

template <typename T, int rows, bool Y_F32>
f5_status launch(cuda_context *c, const conv_pos_args *a, const CUtensorMap &w) {
    constexpr int bytes = shared_bytes(rows);
    static_assert(bytes == CONV_POS_SM90_SHARED_BYTES(rows), "plan/conv_pos.h");
    auto kernel = conv_pos_wgmma<T, rows, Y_F32>;
    const conv_args d = {*a->pack, a->dim, a->x, a->bias, a->residual, a->y};
    F5_TRY(cuda_allow_shared(c, "conv_pos", kernel, bytes));
    const dim3 blocks(CONV_POS_GROUPS, (unsigned int)pack_tiles_max(a->pack, rows));
    return cuda_launch_early(c, "conv_pos", kernel, blocks, kThreads, bytes, d, w);
}

/* dim is 1024: groups of 64. */
template <typename T> f5_status run(cuda_context *c, const conv_pos_args *a) {
    // w as [31 dim, 64]
    const cuuint64_t size[2] = {kWidth, (cuuint64_t)a->dim * kTaps}, stride[1] = {kWidth * 2};
    const cuuint32_t box[2] = {kWidth, kWidth};
    CUtensorMap w;
    if (!tensor_map_encode(c, &w, a->type, 2, a->w, size, stride, box))
        return f5_fail(&c->error, F5_E_DEVICE, "conv_pos: no tensor map for the weights of %d channels", a->dim);
    if (conv_pos_choose_rows(a->pack->rows, c->arch.sm_count) == 128)
        return a->y_f32 ? launch<T, 128, true>(c, a, w) : launch<T, 128, false>(c, a, w);
    return a->y_f32 ? launch<T, 176, true>(c, a, w) : launch<T, 176, false>(c, a, w);
}

} // namespace conv_pos_sm90

#endif
