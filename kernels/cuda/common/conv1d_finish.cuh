/* conv1d_finish.cuh — what conv1d does with a sum over taps and inputs: bias, residual, sum, gain, raw, activation. */
#ifndef F5_CONV1D_FINISH_CUH
#define F5_CONV1D_FINISH_CUH

#include "kernels/conv1d.h"
#include "kernels/cuda/common/launch.cuh"

static __device__ __forceinline__ float conv1d_activated(const conv1d_args &a, float v) {
    switch (a.activation) {
    case CONV1D_LINEAR:
        break;
    case CONV1D_LEAKY_RELU:
        return v < 0.0f ? a.slope * v : v;
    case CONV1D_TANH:
        return tanhf(v);
    case CONV1D_CLAMP:
        return v > 1.0f ? 1.0f : v < -1.0f ? -1.0f : v;
    }
    return v;
}

/* One element, at `at` of y: output o of its row. T: of y where it is not F32. */
template <typename T>
static __device__ __forceinline__ void conv1d_finish(const conv1d_args &a, size_t at, int o, float v) {
    if (a.bias) v += a.bias[o];
    if (a.residual) v += a.residual[at];
    if (a.sum) v += a.sum[at];
    v *= a.gain;
    if (a.raw) a.raw[at] = v;
    v = conv1d_activated(a, v);
    if (a.y_f32)
        static_cast<float *>(a.y)[at] = v;
    else
        static_cast<T *>(a.y)[at] = from_float<T>(v);
}

/* ---- the tensor cores' ways have no activation but a slope below 0, which is 1 where there is none: serves_slope */

static __device__ __forceinline__ float conv1d_slope(const conv1d_args &a) {
    return a.activation == CONV1D_LEAKY_RELU ? a.slope : 1.0f;
}

/* Two neighbours, whose memory is aligned to both. */
template <typename T>
static __device__ __forceinline__ void conv1d_finish_pair(const conv1d_args &a, float slope, size_t at, int o,
                                                          float2 v) {
    if (a.bias) v.x += a.bias[o], v.y += a.bias[o + 1];
    if (a.residual) {
        const float2 more = *reinterpret_cast<const float2 *>(a.residual + at);
        v.x += more.x, v.y += more.y;
    }
    if (a.sum) {
        const float2 more = *reinterpret_cast<const float2 *>(a.sum + at);
        v.x += more.x, v.y += more.y;
    }
    v.x *= a.gain, v.y *= a.gain;
    if (a.raw) *reinterpret_cast<float2 *>(a.raw + at) = v;
    v = make_float2(v.x < 0.0f ? slope * v.x : v.x, v.y < 0.0f ? slope * v.y : v.y);
    if constexpr (sizeof(T) == 2)
        if (!a.y_f32) {
            *reinterpret_cast<uint32_t *>(static_cast<T *>(a.y) + at) = pack2<T>(v.x, v.y);
            return;
        }
    *reinterpret_cast<float2 *>(static_cast<float *>(a.y) + at) = v;
}

#endif
