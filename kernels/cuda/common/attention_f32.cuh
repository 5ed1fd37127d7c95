/* attention_f32.cuh — flash attention in plain F32 arithmetic (no TF32): the precision that the others are checked
 * against.
 *
 * A block of 256 threads has 64 queries of one head and walks the keys 64 at a time. Thread (ty, tx), 16 x 16, owns
 * scores of queries 4 ty .. +3 with keys 4 tx .. +3, and of the output columns 4 tx .. +3. Operands lie transposed in
 * shared memory, so that each step of a product is two 16-byte reads for 16 multiplications. */
#ifndef F5_ATTENTION_F32_CUH
#define F5_ATTENTION_F32_CUH

#include "kernels/cuda/common/attention_rows.cuh"
#include "kernels/cuda/sm80/ptx.cuh"

namespace attention_f32 {

constexpr int kQueries = 64, kKeys = 64, kThreads = 256;
constexpr int kStride = 68; /* floats between rows: 16-byte aligned, neighbours 4 banks apart */
constexpr int kSharedBytes = 4 * 64 * kStride * (int)sizeof(float);

/* acc [4,4] += a [64 steps][4 of them] . b likewise */
__device__ __forceinline__ void accumulate(float (&acc)[4][4], const float *a, const float *b) {
#pragma unroll 8
    for (int k = 0; k < 64; k++) {
        const float4 u = *reinterpret_cast<const float4 *>(a + k * kStride);
        const float4 w = *reinterpret_cast<const float4 *>(b + k * kStride);
        const float left[4] = {u.x, u.y, u.z, u.w}, right[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) acc[i][j] = fmaf(left[i], right[j], acc[i][j]);
    }
}

/* Loads elements 8 part .. +7 of a query row, ready for the product; zeros past the end of the sequence. */
__device__ __forceinline__ void load_query(float (&v)[8], const attention_device &d, const sequence_tile &t, int row,
                                           int head, int part) {
    const bool live = t.first + row < t.length;
#pragma unroll
    for (int i = 0; i < 8; i++) v[i] = 0.0f;
    const int position = live ? t.first + row : 0;
    if (live) {
        const int64_t at = (int64_t(t.begin + position) * 3 * d.heads + head) * 64 + part * 8;
        load8(v, static_cast<const float *>(d.qkv) + at);
    }
    prepare_row(v, part, d.q_norm, head < d.rope_heads ? d.rope + int64_t(position) * 64 : nullptr);
}

static __global__ void __launch_bounds__(kThreads) attention_fma(const __grid_constant__ attention_device d) {
    extern __shared__ float shared_f32[];
    float *queries = shared_f32;                  /* [64 columns][64 queries] */
    float *keys = queries + 64 * kStride;         /* [64 columns][64 keys] */
    float *values = keys + 64 * kStride;          /* [64 keys][64 columns] */
    float *probabilities = values + 64 * kStride; /* [64 keys][64 queries] */
    sequence_tile t;
    if (!sequence_tile_find(&t, d.offsets, d.n_seq, kQueries, blockIdx.x)) return;
    const int head = blockIdx.y, tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    const int part = threadIdx.x % 8, group = threadIdx.x / 8; /* when loading: 8 lanes to a row, 32 rows at a time */
    const int64_t qkv_stride = int64_t{3} * d.heads * 64;
    const float *qkv = static_cast<const float *>(d.qkv) + t.begin * qkv_stride;
    const float *value_rows = qkv + (2 * d.heads + head) * 64, *key_rows = qkv + (d.heads + head) * 64;
    int64_t key_stride = qkv_stride;
    if (head < d.prepared_heads) {
        key_stride = int64_t{d.prepared_heads} * 64;
        key_rows = static_cast<const float *>(d.keys) + t.begin * key_stride + head * 64;
    }

    for (int row = group; row < kQueries; row += 32) {
        float v[8];
        load_query(v, d, t, row, head, part);
#pragma unroll
        for (int i = 0; i < 8; i++) queries[(part * 8 + i) * kStride + row] = v[i];
    }

    float out[4][4] = {}, row_max[4], sum[4] = {};
#pragma unroll
    for (int i = 0; i < 4; i++) row_max[i] = -INFINITY;
    for (int first = 0; first < t.length; first += kKeys) {
        __syncthreads();
        for (int row = group; row < kKeys; row += 32) {
            float k[8] = {}, v[8] = {};
            if (first + row < t.length) {
                load8(k, key_rows + (first + row) * key_stride + part * 8);
                load8(v, value_rows + (first + row) * qkv_stride + part * 8);
            }
#pragma unroll
            for (int i = 0; i < 8; i++) keys[(part * 8 + i) * kStride + row] = k[i];
            store8(values + row * kStride + part * 8, v);
        }
        __syncthreads();

        float s[4][4] = {};
        accumulate(s, queries + ty * 4, keys + tx * 4);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float new_max = row_max[i], partial_sum = 0.0f;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                if (first + tx * 4 + j >= t.length) s[i][j] = -INFINITY;
                new_max = fmaxf(new_max, s[i][j]);
            }
            new_max = lanes_max<16>(new_max);
            const float scale_old = ex2((row_max[i] - new_max) * kScoreScale);
            row_max[i] = new_max;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const float p = ex2((s[i][j] - new_max) * kScoreScale);
                probabilities[(tx * 4 + j) * kStride + ty * 4 + i] = p;
                partial_sum += p;
                out[i][j] *= scale_old;
            }
            sum[i] = fmaf(sum[i], scale_old, partial_sum);
        }
        __syncwarp(); /* a half-warp reads only the probabilities of its own queries */
        accumulate(out, probabilities + ty * 4, values + tx * 4);
    }

#pragma unroll
    for (int i = 0; i < 4; i++) {
        const float scale = 1.0f / lanes_sum<16>(sum[i]);
        const int row = t.first + ty * 4 + i;
        if (row < t.length)
            *reinterpret_cast<float4 *>(static_cast<float *>(d.y) + (int64_t(t.begin + row) * d.heads + head) * 64 +
                                        tx * 4) =
                make_float4(out[i][0] * scale, out[i][1] * scale, out[i][2] * scale, out[i][3] * scale);
    }
}

} // namespace attention_f32

#endif
