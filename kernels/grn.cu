/* grn.cu — two launches. In the first a block owns 32 channels of a sequence: its warps take every 32nd row each and
 * their sums are added in order, so the result depends on the sequence alone. In the second a block owns a tile of
 * rows: it reduces the norms to their mean, keeps the factor of every channel in shared memory, and scales its rows.
 * Memory bound: 3 * rows * dim * size bytes, the second read from cache. 2812 rows of 1024, 16-bit: 17 MB, 4 µs. */
#include "kernels/grn.h"

#include "kernels/cuda/common/reduce.cuh"
#include "kernels/cuda/common/vec.cuh"

static constexpr int kSumWarps = 32;  /* of a block of the first launch; also its channels */
static constexpr int kSweepWarps = 4; /* of a block of the second */
static constexpr int kSweepRows = 8;
static constexpr float kEps = 1e-6f;
static_assert(kSumWarps == 32, "the sums of 32 warps are added by the 32 lanes of one");

template <typename T>
__global__ void __launch_bounds__(32 * kSumWarps) grn_channel_norms(int dim, const int *offsets, const T *x, float *g) {
    __shared__ float partial[kSumWarps][33]; /* [warp][channel], padded: read down the columns */
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int begin = offsets[blockIdx.y], end = offsets[blockIdx.y + 1];
    const int channel = blockIdx.x * 32 + lane;

    // each warp its rows
    float sum = 0;
    if (channel < dim) {
#pragma unroll 8
        for (int row = begin + warp; row < end; row += kSumWarps) {
            const float v = to_float(x[(size_t)row * dim + channel]);
            sum += v * v;
        }
    }
    partial[warp][lane] = sum;
    __syncthreads();

    // warp w adds up channel w
    const float total = lanes_sum(partial[lane][warp]);
    const int mine = blockIdx.x * 32 + warp;
    if (lane == 0 && mine < dim) g[(size_t)blockIdx.y * dim + mine] = sqrtf(total);
}

/* V channels a thread at a time; dim % V == 0. Rows of the tail become zero. */
template <typename T, int V>
__global__ void __launch_bounds__(32 * kSweepWarps)
    grn_sweep(int rows, int dim, const int *seq_of_row, const T *x, const float *gamma, const float *beta,
              const float *g, T *y) {
    extern __shared__ float factor[]; /* [dim] of sequence `loaded` */
    __shared__ float partial[kSweepWarps];
    const int first = blockIdx.x * kSweepRows;
    int loaded = -1;
    for (int row = first; row < min(first + kSweepRows, rows); row++) {
        const int s = seq_of_row[row]; /* the same in every thread */
        // a new sequence: the factor of every channel from its norms and their mean
        if (s >= 0 && s != loaded) {
            const float *norms = g + (size_t)s * dim;
            float sum = 0;
            for (int c = threadIdx.x; c < dim; c += blockDim.x) sum += norms[c];
            const float divisor = block_sum<kSweepWarps>(sum, partial) / (float)dim + kEps;
            for (int c = threadIdx.x; c < dim; c += blockDim.x) factor[c] = gamma[c] * (norms[c] / divisor) + 1.0f;
            __syncthreads();
            loaded = s;
        }
        // the row, V channels at a time
        for (int c = V * threadIdx.x; c < dim; c += V * blockDim.x) {
            float v[V] = {};
            if (s >= 0) {
                load_vec(v, x + (size_t)row * dim + c);
#pragma unroll
                for (int e = 0; e < V; e++) v[e] = v[e] * factor[c + e] + beta[c + e];
            }
            store_vec(y + (size_t)row * dim + c, v);
        }
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
        const int *seq_of_row = a->pack->seq_of_row;
        grn_channel_norms<<<dim3(ceil_div(dim, 32), n_seq), 32 * kSumWarps, 0, c->stream>>>(dim, a->pack->offsets, x,
                                                                                            a->scratch);
        const int tiles = ceil_div(rows, kSweepRows), threads = 32 * kSweepWarps;
        if (dim % V == 0 && aligned16(x, y))
            grn_sweep<T, V>
                <<<tiles, threads, bytes, c->stream>>>(rows, dim, seq_of_row, x, a->gamma, a->beta, a->scratch, y);
        else
            grn_sweep<T, 1>
                <<<tiles, threads, bytes, c->stream>>>(rows, dim, seq_of_row, x, a->gamma, a->beta, a->scratch, y);
        return cuda_launched(c, "grn");
    });
}
