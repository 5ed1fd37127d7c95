/* epilogue.cuh — linear.h's epilogues of one element in F32, exact enough for an F32 result. */
#ifndef F5_EPILOGUE_CUH
#define F5_EPILOGUE_CUH

#include "kernels/linear.h"

/* a: the product and its bias. ROPE is none of one element: its product is finished as NONE. */
template <linear_epilogue epilogue> __device__ __forceinline__ float linear_finish(float a, float gate, float addend) {
    if (epilogue == LINEAR_SILU) return a / (1.0f + __expf(-a));
    if (epilogue == LINEAR_GELU_TANH)
        return 0.5f * a * (1.0f + tanhf(0.7978845608028654f * (a + 0.044715f * a * a * a)));
    if (epilogue == LINEAR_GELU_ERF) return 0.5f * a * (1.0f + erff(a * 0.7071067811865476f));
    if (epilogue == LINEAR_RELU) return a < 0 ? 0.0f : a; // a NaN stays
    if (epilogue == LINEAR_RESIDUAL) return fmaf(gate, a, addend);
    return a;
}

/* Calls body(one) with the epilogue as a constant, one.value. */
template <linear_epilogue epilogue> struct linear_epilogue_is { static constexpr linear_epilogue value = epilogue; };
template <typename Body> static inline f5_status for_epilogue(linear_epilogue epilogue, Body body) {
    switch (epilogue) {
    case LINEAR_SILU:
        return body(linear_epilogue_is<LINEAR_SILU>{});
    case LINEAR_GELU_TANH:
        return body(linear_epilogue_is<LINEAR_GELU_TANH>{});
    case LINEAR_GELU_ERF:
        return body(linear_epilogue_is<LINEAR_GELU_ERF>{});
    case LINEAR_RELU:
        return body(linear_epilogue_is<LINEAR_RELU>{});
    case LINEAR_RESIDUAL:
        return body(linear_epilogue_is<LINEAR_RESIDUAL>{});
    case LINEAR_NONE:
    case LINEAR_ROPE:
        break;
    }
    return body(linear_epilogue_is<LINEAR_NONE>{});
}

#endif
