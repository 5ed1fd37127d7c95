/* attention.cuh — flash attention with mma.sync and cp.async, sm_80 and later, 16-bit types.
 *
 * A warp has 32 queries of one head, so that a fragment of keys or values that it loads from shared memory serves two
 * products. A block has 2 or 4 warps (plan/attention_sm80.h) and walks the keys 64 at a time: while one tile of keys
 * and values is multiplied the next is on its way. Queries, scores, maxima, sums and the output stay in registers
 * (FlashAttention-2); queries are loaded into their fragments straight from global memory, normalised and rotated on
 * the way.
 *
 * Rescaling is conditional: the running maximum is raised only where probabilities could pass 2^kMaxLog2Growth, which
 * is rare after the first tile. Each lane looks at its own scores alone, and a vote tells whether the warp must look
 * closer. What a row then does depends on that row alone. */
#ifndef F5_SM80_ATTENTION_CUH
#define F5_SM80_ATTENTION_CUH

#include "kernels/cuda/common/attention_rows.cuh"
#include "kernels/cuda/sm80/ptx.cuh"

namespace attention_sm80 {

constexpr int kWarpQueries = 32, kKeys = 64;
constexpr int kTileBytes = kKeys * 128, kStageBytes = 2 * kTileBytes; /* keys, then values */
constexpr int kSharedBytes = 2 * kStageBytes;
constexpr float kMaxLog2Growth = 8.0f; /* far from the limits of F32 sums and 16-bit probabilities */

/* What a lane has of its warp's rows: of each 16, rows lane/4 and lane/4 + 8. */
struct row_state {
    float max_log2[2][2]; /* probabilities are 2^(score * kScoreScale - max_log2) */
    float sum[2][2];      /* of this lane's columns */
};

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

/* Queries `first` .. +31 of the sequence as fragments [2 x 16 rows, 4 x 16 columns]: a lane holds pairs of columns,
 * which RoPE rotates. Rows past the end are copies of the last one: their results are not stored. */
template <typename T>
__device__ __forceinline__ void load_queries(uint32_t (&q)[2][4][4], const attention_device &d, const sequence_tile &t,
                                             int first, int head) {
    const int lane = threadIdx.x % 32, column = lane % 4 * 2;
    const bool rotated = head < d.rope_heads;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int m = i / 2, r = i % 2, row = min(first + i * 8 + lane / 4, t.length - 1);
        const T *from = static_cast<const T *>(d.qkv) + (int64_t{t.begin + row} * 3 * d.heads + head) * 64 + column;
#pragma unroll
        for (int c = 0; c < 8; c++) q[m][c / 2][c % 2 * 2 + r] = *reinterpret_cast<const uint32_t *>(from + c * 8);
        if (!rotated && !d.q_norm) continue;
        float2 v[8];
        float squares = 0.0f;
#pragma unroll
        for (int c = 0; c < 8; c++) {
            v[c] = unpack2<T>(q[m][c / 2][c % 2 * 2 + r]);
            squares = fmaf(v[c].x, v[c].x, fmaf(v[c].y, v[c].y, squares));
        }
        if (d.q_norm) {
            const float scale = 1.0f / sqrtf(lanes_sum<4>(squares) * (1.0f / 64) + 1e-6f);
#pragma unroll
            for (int c = 0; c < 8; c++) {
                const float2 weight = *reinterpret_cast<const float2 *>(d.q_norm + c * 8 + column);
                v[c].x *= weight.x * scale, v[c].y *= weight.y * scale;
            }
        }
#pragma unroll
        for (int c = 0; c < 8; c++) {
            if (rotated) {
                const float2 by = *reinterpret_cast<const float2 *>(d.rope + int64_t{row} * 64 + c * 8 + column);
                v[c] = make_float2(v[c].x * by.x - v[c].y * by.y, v[c].y * by.x + v[c].x * by.y);
            }
            q[m][c / 2][c % 2 * 2 + r] = pack2<T>(v[c].x, v[c].y);
        }
    }
}

/* scores [32,64] = queries . keys^T */
template <typename T>
__device__ __forceinline__ void score(float (&s)[2][8][4], const uint32_t (&q)[2][4][4], uint32_t keys) {
#pragma unroll
    for (int i = 0; i < 64; i++) s[i / 32][i / 4 % 8][i % 4] = 0.0f;
#pragma unroll
    for (int k = 0; k < 4; k++)
#pragma unroll
        for (int n = 0; n < 8; n += 2) {
            uint32_t b[4];
            load_matrices(b, beside_then_below(keys, n * 8, k * 2));
#pragma unroll
            for (int m = 0; m < 2; m++) {
                mma_16x8x16<T>(s[m][n], q[m][k], b[0], b[1]);
                mma_16x8x16<T>(s[m][n + 1], q[m][k], b[2], b[3]);
            }
        }
}

/* Raises the running maximum where it must be, and rescales sums and output that were made under the old one. */
__device__ __forceinline__ void rescale(const float (&s)[2][8][4], row_state &state, float (&out)[2][8][4]) {
    float row_max[2][2];
    bool overflows = false;
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            row_max[m][r] = fmaxf(s[m][0][2 * r], s[m][0][2 * r + 1]);
#pragma unroll
            for (int n = 1; n < 8; n++) row_max[m][r] = fmaxf(row_max[m][r], fmaxf(s[m][n][2 * r], s[m][n][2 * r + 1]));
            overflows |= fmaf(row_max[m][r], kScoreScale, -state.max_log2[m][r]) > kMaxLog2Growth;
        }
    if (!__any_sync(0xffffffffu, overflows)) return;
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const float top = lanes_max<4>(row_max[m][r]), now = top * kScoreScale, was = state.max_log2[m][r];
            const bool up = fmaf(top, kScoreScale, -was) >
                            kMaxLog2Growth; // rounded as above: a row follows its own test, not the vote
            const float scale = up ? ex2(was - now) : 1.0f;
            if (up) state.max_log2[m][r] = now;
            state.sum[m][r] *= scale;
#pragma unroll
            for (int n = 0; n < 8; n++) out[m][n][2 * r] *= scale, out[m][n][2 * r + 1] *= scale;
        }
}

/* Scores become probabilities P, as the A fragment of the product with values. */
template <typename T>
__device__ __forceinline__ void exponentiate(uint32_t (&p)[2][4][4], const float (&s)[2][8][4], row_state &state) {
#pragma unroll
    for (int n = 0; n < 8; n++)
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int r = 0; r < 2; r++) {
                const float a = ex2(fmaf(s[m][n][2 * r], kScoreScale, -state.max_log2[m][r]));
                const float b = ex2(fmaf(s[m][n][2 * r + 1], kScoreScale, -state.max_log2[m][r]));
                state.sum[m][r] += a;
                state.sum[m][r] += b;
                p[m][n / 2][n % 2 * 2 + r] = pack2<T>(a, b);
            }
}

/* out [32,64] += P [32,64] . values [64,64] */
template <typename T>
__device__ __forceinline__ void accumulate_output(float (&out)[2][8][4], const uint32_t (&p)[2][4][4],
                                                  uint32_t values) {
#pragma unroll
    for (int k = 0; k < 4; k++)
#pragma unroll
        for (int n = 0; n < 8; n += 2) {
            uint32_t b[4];
            load_matrices_transposed(b, below_then_beside(values, k * 16, n));
#pragma unroll
            for (int m = 0; m < 2; m++) {
                mma_16x8x16<T>(out[m][n], p[m][k], b[0], b[1]);
                mma_16x8x16<T>(out[m][n + 1], p[m][k], b[2], b[3]);
            }
        }
}

/* Brings the keys and values of a sequence to shared memory, tile by tile; a thread copies 16 bytes of every
 * kRowsAtOnce-th row. */
template <typename T, int warps> struct tile_copier {
    static constexpr int kRowsAtOnce = 4 * warps, kTimes = kKeys / kRowsAtOnce;
    const T *keys, *values; /* of the next tile, this thread's in its first rows */
    int64_t keys_apart, values_apart;
    uint32_t to;
    int row, left; /* left: rows of the sequence from the next tile on */

    __device__ __forceinline__ tile_copier(const attention_device &d, const sequence_tile &t, int head,
                                           uint32_t tiles) {
        const int chunk = threadIdx.x % 8;
        row = threadIdx.x / 8, left = t.length, to = tiles + swizzled(row, chunk);
        int64_t stride = int64_t{3} * d.heads * 64;
        const T *qkv = static_cast<const T *>(d.qkv) + t.begin * stride + head * 64 + chunk * 8;
        values = qkv + 2 * d.heads * 64 + row * stride, values_apart = kRowsAtOnce * stride;
        keys = qkv + d.heads * 64;
        if (head < d.prepared_heads) {
            stride = int64_t{d.prepared_heads} * 64;
            keys = static_cast<const T *>(d.keys) + t.begin * stride + head * 64 + chunk * 8;
        }
        keys += row * stride, keys_apart = kRowsAtOnce * stride;
    }

    /* Rows past the end become zeros: 0 * NaN must not reach the output; `anywhere` is named for their address. */
    __device__ __forceinline__ void start(int stage, const void *anywhere) {
        const uint32_t at = to + stage * kStageBytes;
        if (left >= kKeys) {
#pragma unroll
            for (int i = 0; i < kTimes; i++) {
                copy16_async(at + i * kRowsAtOnce * 128, keys + i * keys_apart, true);
                copy16_async(at + i * kRowsAtOnce * 128 + kTileBytes, values + i * values_apart, true);
            }
        } else {
#pragma unroll
            for (int i = 0; i < kTimes; i++) {
                const bool live = row + i * kRowsAtOnce < left;
                copy16_async(at + i * kRowsAtOnce * 128, live ? keys + i * keys_apart : anywhere, live);
                copy16_async(at + i * kRowsAtOnce * 128 + kTileBytes, live ? values + i * values_apart : anywhere,
                             live);
            }
        }
        keys += kTimes * keys_apart, values += kTimes * values_apart, left -= kKeys;
    }
};

/* warps: 2 or 4; queries of a block / 32. Two warps to each quarter of a multiprocessor. */
template <typename T, int warps>
__global__ void __launch_bounds__(32 * warps, 8 / warps) attention_mma(const __grid_constant__ attention_device d) {
    __shared__ __align__(128) unsigned char stages[kSharedBytes];
    sequence_tile t;
    if (!sequence_tile_find(&t, d.offsets, d.n_seq, kWarpQueries * warps, blockIdx.x)) return;
    const int head = blockIdx.y, lane = threadIdx.x % 32, first = t.first + threadIdx.x / 32 * kWarpQueries;
    const int tiles = ceil_div(t.length, kKeys);
    const bool idle = first >= t.length; // no queries: such a warp copies only
    tile_copier<T, warps> copier(d, t, head, shared_address(stages));
    copier.start(0, d.qkv);
    copy_commit();

    uint32_t q[2][4][4];
    load_queries<T>(q, d, t, first, head);
    float out[2][8][4] = {};
    row_state state;
#pragma unroll
    for (int i = 0; i < 4; i++) state.max_log2[i / 2][i % 2] = -INFINITY, state.sum[i / 2][i % 2] = 0.0f;

    for (int tile = 0; tile < tiles; tile++) {
        copy_wait<0>();
        __syncthreads(); // this tile is there, and no warp reads the one before it any more
        if (tile + 1 < tiles) copier.start((tile + 1) % 2, d.qkv);
        copy_commit();
        if (idle) continue;
        const uint32_t stage = shared_address(stages) + tile % 2 * kStageBytes;
        float s[2][8][4];
        score<T>(s, q, stage);
        const int live = t.length - tile * kKeys;
        if (live < kKeys) {
#pragma unroll
            for (int i = 0; i < 64; i++)
                if (i / 4 % 8 * 8 + lane % 4 * 2 + i % 2 >= live) s[i / 32][i / 4 % 8][i % 4] = -INFINITY;
        }
        rescale(s, state, out);
        uint32_t p[2][4][4];
        exponentiate<T>(p, s, state);
        accumulate_output<T>(out, p, stage + kTileBytes);
    }

    // divide by the sum, store pairs
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int m = i / 2, r = i % 2, row = first + i * 8 + lane / 4;
        const float scale = 1.0f / lanes_sum<4>(state.sum[m][r]);
        if (row >= t.length) continue;
        T *y = static_cast<T *>(d.y) + (int64_t{t.begin + row} * d.heads + head) * 64 + lane % 4 * 2;
#pragma unroll
        for (int n = 0; n < 8; n++)
            *reinterpret_cast<uint32_t *>(y + n * 8) = pack2<T>(out[m][n][2 * r] * scale, out[m][n][2 * r + 1] * scale);
    }
}

} // namespace attention_sm80

#endif
