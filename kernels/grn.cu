/* grn.cu — two launches. In the first a block owns 32 channels of a sequence: a warp's load covers several rows of
 * them, 16 bytes a lane, and all sums are added in an order that the sequence alone decides. In the second a block owns
 * a tile of rows, a thread the same few channels of each: it asks for its rows, makes the norms' mean and the factor of
 * its channels, and scales.
 *
 * Memory bound: 3 * rows * dim * size bytes, the second read from cache. 2812 rows of 1024, 16-bit: 17 MB, 4 µs. */
#include "kernels/grn.h"

#include "kernels/cuda/common/reduce.cuh"
#include "kernels/cuda/common/vec.cuh"

static constexpr int kSumWarps = 32; /* of a block of the first launch; also its channels */
static constexpr int kAtOnce = 8;    /* rows that a lane of it has asked for */
static constexpr int kSweepRows = 8; /* of a block of the second */
static constexpr int kMaxSweepWarps = 16;
static constexpr float kEps = 1e-6f;
static_assert(kSumWarps == 32, "the sums of 32 warps are added by the 32 lanes of one");

/* V channels a lane; dim % V == 0. */
template <typename T, int V>
__global__ void __launch_bounds__(32 * kSumWarps, 1)
    grn_channel_norms(int dim, const int *offsets, const T *x, float *g) {
    constexpr int kAcross = 32 / V, kRows = 32 / kAcross; /* lanes of a row, rows of a warp */
    __shared__ float partial[kSumWarps][33];              /* [warp][channel], padded: read down the columns */
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int begin = offsets[blockIdx.y], end = offsets[blockIdx.y + 1];
    const int channel = blockIdx.x * 32 + lane % kAcross * V;
    let_next_start();
    wait_for_previous();

    // each warp its rows
    float sum[V] = {};
    constexpr int stride = kSumWarps * kRows;
    for (int row = begin + warp * kRows + lane / kAcross; row < end; row += kAtOnce * stride) {
        vec_of<T, V> raw[kAtOnce]; // past the end the last row again, which is not counted
#pragma unroll
        for (int i = 0; i < kAtOnce; i++)
            raw[i] = *reinterpret_cast<const vec_of<T, V> *>(x + (size_t)min(row + i * stride, end - 1) * dim +
                                                             min(channel, dim - V));
#pragma unroll
        for (int i = 0; i < kAtOnce; i++)
#pragma unroll
            for (int e = 0; e < V; e++) {
                const float v = row + i * stride < end ? to_float(raw[i].v[e]) : 0.0f;
                sum[e] = fmaf(v, v, sum[e]);
            }
    }
#pragma unroll
    for (int e = 0; e < V; e++) {
#pragma unroll
        for (int distance = 16; distance >= kAcross; distance /= 2)
            sum[e] += __shfl_xor_sync(0xffffffffu, sum[e], distance);
        if (lane < kAcross) partial[warp][lane * V + e] = sum[e];
    }
    __syncthreads();

    // warp w adds up channel w
    const float total = lanes_sum(partial[lane][warp]);
    const int mine = blockIdx.x * 32 + warp;
    if (lane == 0 && mine < dim) g[(size_t)blockIdx.y * dim + mine] = sqrtf(total);
}

/* A thread has V channels: dim = V * blockDim.x, a whole number of warps. Rows of the tail become zero. */
template <typename T, int V>
__global__ void __launch_bounds__(32 * kMaxSweepWarps)
    grn_sweep_tile(int rows, int dim, const int *seq_of_row, const T *x, const float *gamma, const float *beta,
                   const float *g, T *y) {
    __shared__ float partial[kMaxSweepWarps];
    const int first = blockIdx.x * kSweepRows, channel = V * threadIdx.x;
    let_next_start();
    int seq[kSweepRows];
#pragma unroll
    for (int i = 0; i < kSweepRows; i++) seq[i] = first + i < rows ? seq_of_row[first + i] : -1;
    float scale[V], shift[V], factor[V] = {};
#pragma unroll
    for (int e = 0; e < V; e++) scale[e] = gamma[channel + e], shift[e] = beta[channel + e];
    wait_for_previous();

    vec_of<T, V> raw[kSweepRows] = {};
#pragma unroll
    for (int i = 0; i < kSweepRows; i++)
        if (seq[i] >= 0) raw[i] = *reinterpret_cast<const vec_of<T, V> *>(x + (size_t)(first + i) * dim + channel);
    int loaded = -1;
#pragma unroll
    for (int i = 0; i < kSweepRows; i++) {
        if (first + i >= rows) break;
        const int s = seq[i]; /* the same in every thread */
        // a new sequence: the factor of the thread's channels from the norms and their mean
        if (s >= 0 && s != loaded) {
            float sum = 0;
#pragma unroll
            for (int e = 0; e < V; e++) {
                factor[e] = g[(size_t)s * dim + channel + e];
                sum += factor[e];
            }
            sum = lanes_sum(sum);
            __syncthreads(); // the sums of the sequence before have been read
            if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = sum;
            __syncthreads();
            sum = 0;
            for (int w = 0; w < (int)blockDim.x / 32; w++) sum += partial[w];
            const float divisor = sum / (float)dim + kEps;
#pragma unroll
            for (int e = 0; e < V; e++) factor[e] = scale[e] * (factor[e] / divisor) + 1.0f;
            loaded = s;
        }
        float v[V] = {};
        if (s >= 0)
#pragma unroll
            for (int e = 0; e < V; e++) v[e] = fmaf(to_float(raw[i].v[e]), factor[e], shift[e]);
        store_vec(y + (size_t)(first + i) * dim + channel, v);
    }
}

/* Any dim: every channel's factor in shared memory, a channel a thread at a time. */
template <typename T>
__global__ void __launch_bounds__(128) grn_sweep_any(int rows, int dim, const int *seq_of_row, const T *x,
                                                     const float *gamma, const float *beta, const float *g, T *y) {
    extern __shared__ float factor[]; /* [dim] of sequence `loaded` */
    __shared__ float partial[4];
    const int first = blockIdx.x * kSweepRows;
    let_next_start();
    wait_for_previous();
    int loaded = -1;
    for (int row = first; row < min(first + kSweepRows, rows); row++) {
        const int s = seq_of_row[row]; /* the same in every thread */
        if (s >= 0 && s != loaded) {
            const float *norms = g + (size_t)s * dim;
            float sum = 0;
            for (int c = threadIdx.x; c < dim; c += blockDim.x) sum += norms[c];
            const float divisor = block_sum<4>(sum, partial) / (float)dim + kEps;
            for (int c = threadIdx.x; c < dim; c += blockDim.x) factor[c] = gamma[c] * (norms[c] / divisor) + 1.0f;
            __syncthreads();
            loaded = s;
        }
        for (int c = threadIdx.x; c < dim; c += blockDim.x)
            y[(size_t)row * dim + c] =
                from_float<T>(s < 0 ? 0.0f : fmaf(to_float(x[(size_t)row * dim + c]), factor[c], beta[c]));
    }
}

extern "C" f5_status grn_cuda(cuda_context *c, const grn_args *a) {
    if (!a->pack || !a->x || !a->gamma || !a->beta || !a->scratch || !a->y)
        return f5_fail(&c->error, F5_E_ARGUMENT, "grn: a pointer is NULL");
    const int rows = a->pack->rows, n_seq = a->pack->n_seq, dim = a->dim;
    const int bytes = dim * (int)sizeof(float);
    if (dim < 1 || bytes > 40 * 1024) return f5_fail(&c->error, F5_E_SHAPE, "grn: dim %d; 1 to 10240 work", dim);
    if (n_seq > 65535) return f5_fail(&c->error, F5_E_SHAPE, "grn: %d slots; 65535 are possible", n_seq);
    if (rows == 0 || n_seq == 0) return F5_OK;
    return for_dtype(c, "grn", a->type, [&](auto zero) {
        using T = decltype(zero);
        constexpr int V = 16 / sizeof(T);
        const T *x = static_cast<const T *>(a->x);
        T *y = static_cast<T *>(a->y);
        const int *offsets = a->pack->offsets, *seq_of_row = a->pack->seq_of_row;
        const bool wide = dim % V == 0 && aligned16(x, y);
        const dim3 sums(ceil_div(dim, 32), n_seq), tiles(ceil_div(rows, kSweepRows));
        F5_TRY(cuda_launch_early(c, "grn", wide ? grn_channel_norms<T, V> : grn_channel_norms<T, 1>, sums,
                                 32 * kSumWarps, 0, dim, offsets, x, a->scratch));
        if (wide && dim % (32 * V) == 0 && dim / V <= 32 * kMaxSweepWarps)
            return cuda_launch_early(c, "grn", grn_sweep_tile<T, V>, tiles, dim / V, 0, rows, dim, seq_of_row, x,
                                     a->gamma, a->beta, a->scratch, y);
        return cuda_launch_early(c, "grn", grn_sweep_any<T>, tiles, 128, bytes, rows, dim, seq_of_row, x, a->gamma,
                                 a->beta, a->scratch, y);
    });
}
