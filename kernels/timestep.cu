/* timestep.cu — a thread takes every 128th frequency of a time. A few steps of some hundred values: the launch is the
 * cost. The frequency is rounded to F32 once, from double, and the angle is a product of F32 numbers, as upstream's is:
 * at t = 1 a last-bit difference of either turns the angle by 6e-5. */
#include "kernels/timestep.h"

#include "kernels/cuda/common/launch.cuh"

static constexpr int kThreads = 128;

template <typename T>
__global__ void __launch_bounds__(kThreads)
    timestep_block_per_time(const float *t, float scale, float step, int half, T *y) {
    const float scaled = __fmul_rn(scale, t[blockIdx.x]);
    T *row = y + (size_t)blockIdx.x * 2 * half;
    for (int j = threadIdx.x; j < half; j += kThreads) {
        const float frequency = (float)exp((double)__fmul_rn((float)j, -step));
        const float angle = __fmul_rn(scaled, frequency);
        float sine, cosine;
        sincosf(angle, &sine, &cosine);
        row[j] = from_float<T>(sine);
        row[half + j] = from_float<T>(cosine);
    }
}

extern "C" f5_status timestep_cuda(cuda_context *c, const timestep_args *a) {
    if (!a->t || !a->y || a->n < 0) return f5_fail(&c->error, F5_E_ARGUMENT, "timestep: %d times, or NULL", a->n);
    const int dim = a->dim;
    if (dim < 4 || dim % 2 != 0) return f5_fail(&c->error, F5_E_SHAPE, "timestep: %d features", dim);
    if (a->n == 0) return F5_OK;
    return for_dtype(c, "timestep", a->type, [&](auto zero) {
        using T = decltype(zero);
        timestep_block_per_time<T>
            <<<a->n, kThreads, 0, c->stream>>>(a->t, a->scale, timestep_step(dim / 2), dim / 2, static_cast<T *>(a->y));
        return cuda_launched(c, "timestep");
    });
}
