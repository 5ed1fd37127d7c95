/* attention_portable.cuh — flash attention with mma.sync and cp.async, sm_80 and later, 16-bit types.
 *
 * A block has 64 queries of one head, 16 to a warp, and walks the keys 64 at a time: while one tile of keys and values
 * is multiplied the next is on its way. Scores, maxima, sums and the output stay in registers (FlashAttention-2). */
#ifndef F5_ATTENTION_PORTABLE_CUH
#define F5_ATTENTION_PORTABLE_CUH

#include "attention_rows.cuh"
#include "ptx.cuh"

namespace attention_portable {

constexpr int kQueries = 64, kKeys = 64, kThreads = 128;
constexpr int kTileBytes = 64 * 128;
static_assert(kQueries / 16 * 32 == kThreads, "16 queries to a warp");

/* Starts the copy of a tile of keys or values; rows past the end become zeros: 0 * NaN must not reach the output. */
template <typename T>
__device__ __forceinline__ void copy_tile(uint32_t shared, const T *first, int64_t stride, int live_rows) {
#pragma unroll
    for (int i = 0; i < kKeys * 8 / kThreads; i++) {
        const int chunk = threadIdx.x % 8, row = threadIdx.x / 8 + i * (kThreads / 8);
        const bool live = row < live_rows;
        copy16_async(shared + swizzled(row, chunk), first + (live ? row : 0) * stride + chunk * 8, live);
    }
}

/* Address for ldmatrix x4: lane's row of matrix lane/8, where matrices 0, 1 lie one below the other and 2, 3 beside. */
__device__ __forceinline__ uint32_t below_then_beside(uint32_t tile, int row, int chunk) {
    const int lane = threadIdx.x % 32;
    return tile + swizzled(row + lane % 16, chunk + lane / 16);
}
/* The same with matrices 0, 1 side by side. */
__device__ __forceinline__ uint32_t beside_then_below(uint32_t tile, int row, int chunk) {
    const int lane = threadIdx.x % 32;
    return tile + swizzled(row + lane % 8 + lane / 16 * 8, chunk + lane / 8 % 2);
}

template <typename T> __global__ void __launch_bounds__(kThreads) attend(const __grid_constant__ attention_device d) {
    __shared__ __align__(128) unsigned char query_tile_bytes[kTileBytes];
    __shared__ __align__(128) unsigned char key_tiles[2][kTileBytes];
    __shared__ __align__(128) unsigned char value_tiles[2][kTileBytes];
    sequence_tile t;
    if (!sequence_tile_find(&t, d.offsets, d.n_seq, kQueries, blockIdx.x)) return;
    const int head = blockIdx.y, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int64_t qkv_stride = int64_t{3} * d.heads * 64;

    const T *qkv = static_cast<const T *>(d.qkv) + t.begin * qkv_stride;
    const T *values = qkv + (2 * d.heads + head) * 64, *keys = qkv + (d.heads + head) * 64;
    int64_t key_stride = qkv_stride;
    if (head < d.prepared) {
        key_stride = int64_t{d.prepared} * 64;
        keys = static_cast<const T *>(d.keys) + t.begin * key_stride + head * 64;
    }
    const int tiles = ceil_div(t.length, kKeys);
    auto copy = [&](int tile) {
        const int at = tile * kKeys, stage = tile % 2;
        copy_tile(shared_address(key_tiles[stage]), keys + at * key_stride, key_stride, t.length - at);
        copy_tile(shared_address(value_tiles[stage]), values + at * qkv_stride, qkv_stride, t.length - at);
    };
    copy(0);
    copy_commit();

    // queries: made ready, through shared memory into fragments [16 rows, 4 x 16 columns]
#pragma unroll
    for (int i = 0; i < kQueries * 8 / kThreads; i++) {
        const int part = threadIdx.x % 8, row = threadIdx.x / 8 + i * (kThreads / 8);
        float v[8];
        load_query<T>(v, d, t, row, head, part);
        store8(reinterpret_cast<T *>(query_tile_bytes + swizzled(row, part)), v);
    }
    __syncthreads();
    uint32_t q[4][4];
#pragma unroll
    for (int k = 0; k < 4; k++)
        load_matrices(q[k], below_then_beside(shared_address(query_tile_bytes), warp * 16, k * 2));

    // a lane holds rows lane/4 and lane/4 + 8 of its warp's 16; state of each
    float out[8][4] = {}, top[2] = {-INFINITY, -INFINITY}, sum[2] = {};
    for (int tile = 0; tile < tiles; tile++) {
        if (tile + 1 < tiles) copy(tile + 1);
        copy_commit();
        copy_wait<1>();
        __syncthreads();

        // scores [16,64]
        float s[8][4] = {};
        const uint32_t key_tile = shared_address(key_tiles[tile % 2]);
#pragma unroll
        for (int k = 0; k < 4; k++) {
#pragma unroll
            for (int n = 0; n < 8; n += 2) {
                uint32_t b[4];
                load_matrices(b, beside_then_below(key_tile, n * 8, k * 2));
                mma_16x8x16<T>(s[n], q[k], b[0], b[1]);
                mma_16x8x16<T>(s[n + 1], q[k], b[2], b[3]);
            }
        }
        const int left = t.length - tile * kKeys;
        if (left < kKeys) {
#pragma unroll
            for (int n = 0; n < 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    if (n * 8 + lane % 4 * 2 + i % 2 >= left) s[n][i] = -INFINITY;
        }

        // online softmax: raise the maximum, shrink what was summed under the old one
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float highest = top[r];
#pragma unroll
            for (int n = 0; n < 8; n++) highest = fmaxf(highest, fmaxf(s[n][2 * r], s[n][2 * r + 1]));
            highest = lanes_max<4>(highest);
            const float shrink = ex2((top[r] - highest) * kScoreScale), shift = highest * kScoreScale;
            top[r] = highest;
            float added = 0.0f;
#pragma unroll
            for (int n = 0; n < 8; n++)
#pragma unroll
                for (int i = 2 * r; i < 2 * r + 2; i++) {
                    s[n][i] = ex2(fmaf(s[n][i], kScoreScale, -shift));
                    added += s[n][i];
                    out[n][i] *= shrink;
                }
            sum[r] = fmaf(sum[r], shrink, added);
        }

        // output [16,64] += weights [16,64] . values [64,64]
        const uint32_t value_tile = shared_address(value_tiles[tile % 2]);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            const uint32_t p[4] = {pack2<T>(s[2 * k][0], s[2 * k][1]), pack2<T>(s[2 * k][2], s[2 * k][3]),
                                   pack2<T>(s[2 * k + 1][0], s[2 * k + 1][1]),
                                   pack2<T>(s[2 * k + 1][2], s[2 * k + 1][3])};
#pragma unroll
            for (int n = 0; n < 8; n += 2) {
                uint32_t b[4];
                load_matrices_transposed(b, below_then_beside(value_tile, k * 16, n));
                mma_16x8x16<T>(out[n], p, b[0], b[1]);
                mma_16x8x16<T>(out[n + 1], p, b[2], b[3]);
            }
        }
        __syncthreads();
    }

    // divide by the sum, store pairs
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int row = t.first + warp * 16 + lane / 4 + r * 8;
        const float scale = 1.0f / lanes_sum<4>(sum[r]);
        if (row >= t.length) continue;
        T *y = static_cast<T *>(d.y) + (int64_t(t.begin + row) * d.heads + head) * 64;
#pragma unroll
        for (int n = 0; n < 8; n++)
            *reinterpret_cast<uint32_t *>(y + n * 8 + lane % 4 * 2) =
                pack2<T>(out[n][2 * r] * scale, out[n][2 * r + 1] * scale);
    }
}

} // namespace attention_portable

#endif
