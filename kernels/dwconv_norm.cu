/* dwconv_norm.cu — a block owns a tile of rows and all their channels, a thread four channels of every row: it walks
 * down the tile and its halo once, adding each row of x to the up to seven outputs that it reaches, which stay in
 * registers; then the block normalises the rows together.
 * Products are fused by name: left to the compiler, some of the unrolled rows would be fused and others not, and a
 * row's bits would depend on where in a tile it lies. Memory bound: rows * dim * (4 + size of y) bytes, and 6 / 8 of x
 * once more from cache for the halo. 1406 rows of 512, F32 y: 5.8 MB, 1.4 µs. */
#include "kernels/dwconv_norm.h"

#include "kernels/cuda/common/reduce.cuh"
#include "kernels/cuda/common/vec.cuh"

static constexpr int kTile = 8; /* rows */
static constexpr int kReach = DWCONV_TAPS / 2;
static constexpr int kMaxThreads = 256;
static constexpr float kEps = 1e-6f;
static_assert(DWCONV_TAPS % 2 == 1, "the taps are centred");

typedef struct {
    int rows, dim;
    const int *seq_of_row;
    const float *x, *w, *bias, *scale, *shift;
    float eps;
} dwconv_tensors;

/* sums[i] over the threads of the block, for every row of the tile, in a fixed order. partial is shared memory. */
static __device__ __forceinline__ void block_sums(float (&sums)[kTile], float (*partial)[kTile]) {
    const int warps = blockDim.x / 32;
#pragma unroll
    for (int i = 0; i < kTile; i++) {
        sums[i] = lanes_sum(sums[i]);
        if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32][i] = sums[i];
        sums[i] = 0;
    }
    __syncthreads();
    for (int w = 0; w < warps; w++)
#pragma unroll
        for (int i = 0; i < kTile; i++) sums[i] += partial[w][i];
}

/* dim = 4 * blockDim.x, a whole number of warps. A row of the tail sees no other row: it becomes LN(bias). */
template <typename T> __global__ void __launch_bounds__(kMaxThreads) dwconv_norm_tile_of_rows(dwconv_tensors a, T *y) {
    __shared__ float partial[2][kMaxThreads / 32][kTile];
    const int first = blockIdx.x * kTile, d = 4 * threadIdx.x;
    let_next_start();

    int seq[kTile + 2 * kReach];
#pragma unroll
    for (int t = 0; t < kTile + 2 * kReach; t++) {
        const int row = first + t - kReach;
        seq[t] = row >= 0 && row < a.rows ? a.seq_of_row[row] : -1;
    }

    /* convolve: row t of the halo is tap t - i of output i */
    float w[DWCONV_TAPS][4], c[kTile][4];
#pragma unroll
    for (int k = 0; k < DWCONV_TAPS; k++) load_vec(w[k], a.w + (size_t)k * a.dim + d);
#pragma unroll
    for (int i = 0; i < kTile; i++) load_vec(c[i], a.bias + d);
    wait_for_previous();
#pragma unroll
    for (int t = 0; t < kTile + 2 * kReach; t++) {
        float x[4] = {};
        if (seq[t] >= 0) load_vec(x, a.x + (size_t)(first + t - kReach) * a.dim + d);
#pragma unroll
        for (int i = t < DWCONV_TAPS ? 0 : t - DWCONV_TAPS + 1; i < kTile && i <= t; i++)
            if (seq[t] == seq[i + kReach])
#pragma unroll
                for (int e = 0; e < 4; e++) c[i][e] = fmaf(w[t - i][e], x[e], c[i][e]);
    }

    /* normalise */
    float sums[kTile];
#pragma unroll
    for (int i = 0; i < kTile; i++) sums[i] = (c[i][0] + c[i][1]) + (c[i][2] + c[i][3]);
    block_sums(sums, partial[0]);
#pragma unroll
    for (int i = 0; i < kTile; i++) {
        const float mean = sums[i] / (float)a.dim;
        sums[i] = 0;
#pragma unroll
        for (int e = 0; e < 4; e++) {
            c[i][e] -= mean;
            sums[i] = fmaf(c[i][e], c[i][e], sums[i]);
        }
    }
    block_sums(sums, partial[1]);
    float scale[4], shift[4];
    load_vec(scale, a.scale + d);
    load_vec(shift, a.shift + d);
#pragma unroll
    for (int i = 0; i < kTile; i++) {
        if (first + i >= a.rows) break;
        const float factor = 1.0f / sqrtf(sums[i] / (float)a.dim + a.eps);
#pragma unroll
        for (int e = 0; e < 4; e++) c[i][e] = fmaf(c[i][e] * factor, scale[e], shift[e]);
        store_vec(y + (size_t)(first + i) * a.dim + d, c[i]);
    }
}

/* Any dim: a block owns a row and convolves it three times, for the mean, the variance and the result. */
static __device__ __forceinline__ float convolved(const dwconv_tensors &a, int row, int s, int d) {
    float c = a.bias[d];
    for (int k = 0; k < DWCONV_TAPS; k++) {
        const int from = row + k - kReach;
        if (s >= 0 && from >= 0 && from < a.rows && a.seq_of_row[from] == s)
            c = fmaf(a.w[(size_t)k * a.dim + d], a.x[(size_t)from * a.dim + d], c);
    }
    return c;
}

template <typename T> __global__ void __launch_bounds__(128) dwconv_norm_row_any(dwconv_tensors a, T *y) {
    __shared__ float partial[4];
    const int row = blockIdx.x, s = a.seq_of_row[row];
    float mean = 0, factor = 0;
    for (int pass = 0; pass < 2; pass++) {
        float sum = 0;
        for (int d = threadIdx.x; d < a.dim; d += blockDim.x) {
            const float c = convolved(a, row, s, d);
            sum += pass == 0 ? c : (c - mean) * (c - mean);
        }
        sum = block_sum<4>(sum, partial) / (float)a.dim;
        if (pass == 0)
            mean = sum;
        else
            factor = 1.0f / sqrtf(sum + a.eps);
    }
    for (int d = threadIdx.x; d < a.dim; d += blockDim.x)
        y[(size_t)row * a.dim + d] = from_float<T>((convolved(a, row, s, d) - mean) * factor * a.scale[d] + a.shift[d]);
}

extern "C" f5_status dwconv_norm_cuda(cuda_context *c, const dwconv_norm_args *a) {
    if (!a->pack || !a->x || !a->w || !a->bias || !a->scale || !a->shift || !a->y)
        return f5_fail(&c->error, F5_E_ARGUMENT, "dwconv_norm: a pointer is NULL");
    if (a->dim < 1) return f5_fail(&c->error, F5_E_SHAPE, "dwconv_norm: dim %d", a->dim);
    const int rows = a->pack->rows;
    if (rows == 0) return F5_OK;
    const dwconv_tensors tensors = {rows,     a->dim,   a->pack->seq_of_row,       a->x, a->w, a->bias,
                                    a->scale, a->shift, a->eps > 0 ? a->eps : kEps};
    return for_dtype(c, "dwconv_norm", a->type, [&](auto zero) {
        using T = decltype(zero);
        T *y = static_cast<T *>(a->y);
        const bool aligned = aligned16(a->x, a->w, a->bias, a->scale, a->shift, y);
        if (aligned && a->dim % 128 == 0 && a->dim <= 4 * kMaxThreads)
            return cuda_launch_early(c, "dwconv_norm", dwconv_norm_tile_of_rows<T>, dim3(ceil_div(rows, kTile)),
                                     a->dim / 4, 0, tensors, y);
        dwconv_norm_row_any<<<rows, 128, 0, c->stream>>>(tensors, y);
        return cuda_launched(c, "dwconv_norm");
    });
}
