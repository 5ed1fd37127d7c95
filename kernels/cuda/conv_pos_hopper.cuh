/* conv_pos_hopper.cuh — the convolution for sm_90a: outputs are the rows of the matrix unit, time is its columns.
 *
 *   acc [64 outputs, N rows of time] += w[tap] [64,GW] . x[rows + tap - 15] [N,GW]^T       31 taps, GW/16 steps each
 *
 *   producer   one warp: a tile's weights, tap after tap [64,GW], by the copy engine into a ring of stages
 *   group g    128 threads: every other tile of the block. Stages x with its halo, multiplies, and while the other
 * group has the matrix unit finishes its outputs and stages its next tile
 *
 * So the weights are the operand that streams, and a tap is another start address in x. x lies in shared memory in
 * chunks of 8 channels, [GW/8][rows][8]: without a swizzle the next row is 16 bytes on, whatever the row, and that is
 * what the start address of a descriptor can say.
 *
 * Each element is one sum over taps, then channels, in steps of 16, whatever the tile: the same bits for a row in any
 * bucket. A group of channels narrower than 64 computes outputs of the next group too, and drops them. */
#ifndef F5_CONV_POS_HOPPER_CUH
#define F5_CONV_POS_HOPPER_CUH

#include "../conv_pos.h"
#include "pack_tile.cuh"
#include "tensor_map.cuh"
#include "wgmma.cuh"

namespace conv_pos_hopper {

constexpr int kTaps = CONV_POS_TAPS, kHalo = kTaps / 2, kOuts = 64, kStages = 8, kTapBytes = kOuts * 128;
constexpr int kThreads = 128 * 2 + 32; /* two groups, one producer */
constexpr int kResultPitch =
    kOuts + 4; /* floats: the 32 elements that a warp touches at once fall into different banks */

/* Rows of a chunk in shared memory: odd, so that the 8 chunks of a row fall into different banks. */
__host__ __device__ constexpr int pitch_of(int rows) {
    return rows + kTaps - 1 + 1;
}
__host__ __device__ constexpr int x_bytes(int rows) {
    return 8 * pitch_of(rows) * 16;
}
__host__ __device__ constexpr int result_bytes(int rows) {
    return rows * kResultPitch * 4;
}
/* 1024: to start at a multiple of it. 16-bit results are turned where x was. */
__host__ __device__ constexpr int shared_bytes(int rows, bool y_f32) {
    return 1024 + kStages * kTapBytes + 2 * x_bytes(rows) + (y_f32 ? 2 * result_bytes(rows) : 0);
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

/* c tanh(ln(1 + e)) with e = exp c, which is c (e^2 + 2 e) / (e^2 + 2 e + 2); past 20 the fraction rounds to one. */
__device__ __forceinline__ float mish(float c) {
    const float e = ex2(1.4426950408889634f * fminf(c, 20.0f)), n = e * (e + 2.0f);
    return c * n * rcp(n + 2.0f);
}

/* A tile without swizzle: 8 rows of 16 bytes are a matrix, the next 8 follow; `across` bytes on are the next 8
 * channels. */
__device__ __forceinline__ uint64_t plain_descriptor(const void *tile, uint32_t across) {
    return (uint64_t)(128 >> 4) << 32 | (uint64_t)(across >> 4) << 16 | (shared_address(tile) & 0x3ffff) >> 4;
}

/* The tiles of a block: every gridDim.x-th of [tiles of rows][16 groups of channels]; n counts them. */
template <int rows> __device__ __forceinline__ pack_tile find_tile(const conv_args &d, int n, int *group) {
    const int index = blockIdx.x + n * gridDim.x;
    *group = index % CONV_POS_GROUPS;
    return pack_tile_find(d.pack.offsets, d.pack.n_seq, rows, index / CONV_POS_GROUPS);
}

/* ---- producer: one warp */
template <int GW, int rows>
__device__ __forceinline__ void feed(const conv_args &d, const CUtensorMap *w, unsigned char *stages, barriers *b) {
    for (int n = 0;; n++) {
        int group;
        if (find_tile<rows>(d, n, &group).rows == 0) return;
        for (int tap = 0; tap < kTaps; tap++) {
            const int turn = n * kTaps + tap, stage = turn % kStages;
            barrier_wait(&b->empty[stage], (turn / kStages & 1) ^ 1);
            if (threadIdx.x % 32 != 0) continue;
            barrier_expect(&b->full[stage], kTapBytes);
            tensor_load(stages + stage * kTapBytes, w, 0, tap * d.dim + group * GW, &b->full[stage]);
        }
    }
}

/* ---- a group of 128 threads: `thread` counts them; see wgmma.cuh for what one holds */

/* The tile of x with its halo; rows outside the sequence are zero. */
template <typename T, int GW, int rows>
__device__ __forceinline__ void stage_x(const conv_args &d, const pack_tile &tile, int column, int thread,
                                        unsigned char *to) {
    constexpr int chunks = GW / 8;
    const T *x = static_cast<const T *>(d.x) + column;
    for (int i = thread; i < (rows + kTaps - 1) * chunks; i += 128) {
        const int r = i / chunks, chunk = i % chunks, row = tile.first - kHalo + r;
        const bool inside = row >= tile.begin && row < tile.end;
        copy16_async(shared_address(to + (chunk * pitch_of(rows) + r) * 16),
                     inside ? x + (size_t)row * d.dim + 8 * chunk : x, inside);
    }
}

/* acc = the 31 taps. x: descriptor of the tile's first row, w: of stage 0. */
template <typename T, int GW, int rows>
__device__ __forceinline__ void multiply(float (&acc)[rows / 2], uint64_t w, uint64_t x, int n, barriers *b) {
    const int lane = threadIdx.x % 32;
    for (int tap = 0; tap < kTaps; tap++) {
        const int turn = n * kTaps + tap, stage = turn % kStages;
        barrier_wait(&b->full[stage], turn / kStages & 1);
        wgmma_hold(acc);
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < GW / 16; k++)
            wgmma_64xn<T, rows>(acc, w + stage * (kTapBytes >> 4) + k * kStepAlongRow, x + tap + k * 2 * pitch_of(rows),
                                tap > 0 || k > 0);
        wgmma_commit();
        wgmma_hold(acc);
        wgmma_wait<1>();
        if (lane == 0 && tap > 0) barrier_arrive(&b->empty[(turn - 1) % kStages]);
    }
    wgmma_wait<0>();
    wgmma_hold(acc);
    if (lane == 0) barrier_arrive(&b->empty[(n * kTaps + kTaps - 1) % kStages]);
}

template <typename T, int GW, int rows, bool Y_F32>
__device__ __forceinline__ void work(const conv_args &d, int group, const unsigned char *stages, unsigned char *x,
                                     float *result, barriers *b) {
    const int thread = threadIdx.x % 128, lane = threadIdx.x % 32, warp = thread / 32;
    const uint64_t w_at = tile_descriptor(stages), x_at = plain_descriptor(x, pitch_of(rows) * 16);
    float acc[rows / 2];
    for (int n = group;; n += 2) {
        int channels;
        const pack_tile tile = find_tile<rows>(d, n, &channels);
        if (tile.rows == 0) return;
        const int column = channels * GW;
        stage_x<T, GW, rows>(d, tile, column, thread, x);
        copy_commit();
        if constexpr (Y_F32) {
            if (d.residual) { // waits in the place of the result
                const float *residual = d.residual + (size_t)tile.first * d.dim + column;
                for (int i = thread; i < tile.rows * (GW / 4); i += 128) {
                    const int t = i / (GW / 4), o = i % (GW / 4) * 4;
                    copy16_async(shared_address(result + t * kResultPitch + o), residual + (size_t)t * d.dim + o, true);
                }
            }
            copy_commit();
            copy_wait<1>();
        } else {
            copy_wait<0>();
        }
        shared_fence_async();
        named_sync(1 + group, 128);

        multiply<T, GW, rows>(acc, w_at, x_at, n, b);

        // a thread holds outputs o and o + 8 of rows 8 j + 2 (lane % 4) and the next
        const bool own = 16 * warp < GW;
        const int o = 16 * warp + lane / 4;
        const float bias[2] = {own ? d.bias[column + o] : 0.0f, own ? d.bias[column + o + 8] : 0.0f};
        if constexpr (Y_F32) copy_wait<0>();
        named_sync(1 + group, 128); // x has been read, the residual is there
        if (own) {
            if constexpr (Y_F32) {
                float *at = result + lane % 4 * 2 * kResultPitch + o;
#pragma unroll
                for (int j = 0; j < rows / 8; j++)
#pragma unroll
                    for (int e = 0; e < 4; e++) {
                        float *to = at + (8 * j + e % 2) * kResultPitch + e / 2 * 8;
                        *to = mish(acc[4 * j + e] + bias[e / 2]) + (d.residual ? *to : 0.0f);
                    }
            } else {
#pragma unroll
                for (int j = 0; j < rows / 8; j += 2) {
                    uint32_t word[4];
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        const float *c = acc + 4 * (j + i / 2) + 2 * (i % 2);
                        word[i] = pack2<T>(mish(c[0] + bias[i % 2]), mish(c[1] + bias[i % 2]));
                    }
                    const int t = 8 * (j + lane / 16) + lane % 8;
                    store_matrices_transposed(shared_address(x) + swizzled(t, 2 * warp + lane / 8 % 2), word);
                }
            }
        }
        named_sync(1 + group, 128);
        if constexpr (Y_F32) {
            float *y = static_cast<float *>(d.y) + (size_t)tile.first * d.dim + column;
            for (int i = thread; i < tile.rows * (GW / 4); i += 128) {
                const int t = i / (GW / 4), at = i % (GW / 4) * 4;
                *reinterpret_cast<float4 *>(y + (size_t)t * d.dim + at) =
                    *reinterpret_cast<const float4 *>(result + t * kResultPitch + at);
            }
        } else {
            T *y = static_cast<T *>(d.y) + (size_t)tile.first * d.dim + column;
            for (int i = thread; i < tile.rows * (GW / 8); i += 128) {
                const int t = i / (GW / 8), chunk = i % (GW / 8);
                *reinterpret_cast<uint4 *>(y + (size_t)t * d.dim + 8 * chunk) =
                    *reinterpret_cast<const uint4 *>(x + swizzled(t, chunk));
            }
        }
        named_sync(1 + group, 128); // all is read: the next tile may come
    }
}

template <typename T, int GW, int rows, bool Y_F32>
__global__ void __launch_bounds__(kThreads, 1)
    convolve(const __grid_constant__ conv_args d, const __grid_constant__ CUtensorMap w) {
    extern __shared__ unsigned char dynamic_shared[];
    __shared__ barriers b;
    unsigned char *stages = dynamic_shared + (-shared_address(dynamic_shared) & 1023u);
    unsigned char *x = stages + kStages * kTapBytes, *results = x + 2 * x_bytes(rows);

    if (threadIdx.x == 0) {
        tensor_map_prefetch(&w);
        for (int stage = 0; stage < kStages; stage++) {
            barrier_init(&b.full[stage], 1);
            barrier_init(&b.empty[stage], 4); // one arrival of each warp that reads the stage
        }
        barrier_init_fence();
    }
    __syncthreads();
    const int group = __shfl_sync(0xffffffffu, threadIdx.x / 128, 0);
    if (group == 2)
        feed<GW, rows>(d, &w, stages, &b);
    else
        work<T, GW, rows, Y_F32>(d, group, stages, x + group * x_bytes(rows),
                                 reinterpret_cast<float *>(results + group * result_bytes(rows)), &b);
}

#else

template <typename T, int GW, int rows, bool Y_F32>
__global__ void convolve(const __grid_constant__ conv_args, const __grid_constant__ CUtensorMap) {
    __trap(); // launched only where code for sm_90a is present: cuda_context.hopper
}

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */

/* ---- host */

template <typename T, int GW, int rows, bool Y_F32>
f5_status launch(cuda_context *c, const conv_pos_args *a, const CUtensorMap &w) {
    constexpr int bytes = shared_bytes(rows, Y_F32);
    static_assert(bytes + (int)sizeof(uint64_t) * 2 * kStages <= 227 << 10, "shared memory of sm_90");
    const conv_args d = {*a->pack, a->dim, a->x, a->bias, a->residual, a->y};
    const int64_t tiles = int64_t{pack_tiles_most(a->pack, rows)} * CONV_POS_GROUPS;
    F5_TRY(cuda_allow_shared(c, "conv_pos", convolve<T, GW, rows, Y_F32>, bytes));
    convolve<T, GW, rows, Y_F32>
        <<<(unsigned int)(tiles < c->sm_count ? tiles : c->sm_count), kThreads, bytes, c->stream>>>(d, w);
    return cuda_launched(c, "conv_pos");
}

/* w as [31 dim, gw] in boxes of [64, 64]: what a box has past gw or past the last row is zero. */
static inline bool encode_weights(cuda_context *c, CUtensorMap *map, const conv_pos_args *a) {
    const int gw = a->dim / CONV_POS_GROUPS;
    const cuuint64_t size[2] = {(cuuint64_t)gw, (cuuint64_t)a->dim * kTaps}, stride[1] = {(cuuint64_t)gw * 2};
    const cuuint32_t box[2] = {64, kOuts};
    return tensor_map_encode(c, map, a->type, 2, a->w, size, stride, box);
}

} // namespace conv_pos_hopper

#endif
