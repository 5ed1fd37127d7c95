/* timestep.cu — one thread a frequency. A few steps of 256 values: the launch is the cost.
 * The frequency is rounded to F32 once, from double, and the angle is a product of F32 numbers, as upstream's is:
 * at t = 1 a last-bit difference of either turns the angle by 6e-5. */
#include "kernels/timestep.h"

#include "kernels/cuda/common/launch.cuh"

static constexpr int kHalf = TIMESTEP_DIM / 2;

template <typename T> __global__ void __launch_bounds__(kHalf) timestep_thread_per_frequency(const float *t, T *y) {
    const int j = threadIdx.x;
    const float step = 0x1.290d36p-4f; /* ln(10000) / 127 in F32 */
    const float frequency = (float)exp((double)__fmul_rn((float)j, -step));
    const float angle = __fmul_rn(__fmul_rn(1000.0f, t[blockIdx.x]), frequency);
    T *row = y + (size_t)blockIdx.x * TIMESTEP_DIM;
    float sine, cosine;
    sincosf(angle, &sine, &cosine);
    row[j] = from_float<T>(sine);
    row[kHalf + j] = from_float<T>(cosine);
}

extern "C" f5_status timestep_cuda(cuda_context *c, const timestep_args *a) {
    if (!a->t || !a->y || a->n < 0) return f5_fail(&c->error, F5_E_ARGUMENT, "timestep: %d times, or NULL", a->n);
    if (a->n == 0) return F5_OK;
    return for_dtype(c, "timestep", a->type, [&](auto zero) {
        using T = decltype(zero);
        timestep_thread_per_frequency<T><<<a->n, kHalf, 0, c->stream>>>(a->t, static_cast<T *>(a->y));
        return cuda_launched(c, "timestep");
    });
}
