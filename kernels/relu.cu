/* relu.cu — four elements a thread.
 * Memory bound: 8 bytes an element. 2812 rows of 1024: 23 MB, 5.5 µs at 4.2 TB/s. */
#include "kernels/relu.h"

#include "kernels/cuda/common/vec.cuh"

static constexpr int kThreads = 256;

static __device__ __forceinline__ float relu_of(float x, float slope) {
    return x < 0 ? slope * x : x; /* a NaN stays */
}

__global__ void __launch_bounds__(kThreads) relu_by_fours(int64_t n, float slope, const float *x, float *y) {
    let_next_start();
    wait_for_previous();
    const int64_t step = int64_t{gridDim.x} * kThreads * 4;
    for (int64_t i = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * 4; i < n; i += step) {
        if (i + 4 <= n) {
            float v[4];
            load_vec(v, x + i);
#pragma unroll
            for (int e = 0; e < 4; e++) v[e] = relu_of(v[e], slope);
            store_vec(y + i, v);
        } else {
            for (int64_t j = i; j < n; j++) y[j] = relu_of(x[j], slope);
        }
    }
}

extern "C" f5_status relu_cuda(cuda_context *c, const relu_args *a) {
    if (a->n < 0) return f5_fail(&c->error, F5_E_SHAPE, "relu: %lld elements", (long long)a->n);
    if (a->n == 0) return F5_OK;
    if (!a->x || !a->y || ((uintptr_t)a->x | (uintptr_t)a->y) % 16 != 0)
        return f5_fail(&c->error, F5_E_ARGUMENT, "relu: a pointer is NULL or not 16-byte aligned");
    return cuda_launch_early(c, "relu", relu_by_fours, dim3(grid_for(c, ceil_div<int64_t>(a->n, 4), kThreads)),
                             kThreads, 0, a->n, a->slope, a->x, a->y);
}
