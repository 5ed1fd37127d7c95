/* launch.cuh — for every .cu: error returns, launches, number conversions, 8-wide loads and stores, choice of a type.
 *
 * An op's launcher:
 *
 *     extern "C" f5_status noise_cuda(cuda_context *c, const noise_args *a) {
 *         if (a->pack->rows == 0) return F5_OK;
 *         noise_thread_per_block<<<blocks, kThreads, 0, c->stream>>>(...);
 *         return cuda_launched(c, "noise");
 *     }
 *
 * Kernels of the ODE loop, and some of the encoder's and the vocoder's, are launched by cuda_launch_early instead, and
 * call wait_for_previous(). */
#ifndef F5_LAUNCH_CUH
#define F5_LAUNCH_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#include "kernels/cuda/ops.h"

/* Returns F5_E_DEVICE from the calling function when a runtime call fails. */
#define CUDA_TRY(c, what, call)                                                                                        \
    do {                                                                                                               \
        cudaError_t cuda_try_ = (call);                                                                                \
        if (cuda_try_ != cudaSuccess)                                                                                  \
            return f5_fail(&(c)->error, F5_E_DEVICE, "%s: %s failed: %s", what, #call, cudaGetErrorString(cuda_try_)); \
    } while (0)

/* The last line of a launcher: did the launches of this op go out? */
static inline f5_status cuda_launched(cuda_context *c, const char *op) {
    cudaError_t error = cudaGetLastError();
    if (error == cudaSuccess) return F5_OK;
    return f5_fail(&c->error, F5_E_DEVICE, "%s: kernel launch failed: %s", op, cudaGetErrorString(error));
}

/* Raises a kernel's limit of dynamic shared memory, which is needed above 48 KB; cheap to repeat. */
template <typename Kernel>
static inline f5_status cuda_allow_shared(cuda_context *c, const char *op, Kernel kernel, int bytes) {
    if (bytes > c->arch.shared_bytes)
        return f5_fail(&c->error, F5_E_UNSUPPORTED, "%s: needs %d bytes of shared memory, %s has %d", op, bytes,
                       c->name, c->arch.shared_bytes);
    CUDA_TRY(c, op, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    return F5_OK;
}

/* The same for a kernel whose calls need different amounts, and which has no static shared memory. The limit is the
 * process's, so it is the device's here: no call lowers it before another's launch. */
template <typename Kernel>
static inline f5_status cuda_allow_all_shared(cuda_context *c, const char *op, Kernel kernel, int bytes) {
    return cuda_allow_shared(c, op, kernel, bytes > c->arch.shared_bytes ? bytes : c->arch.shared_bytes);
}

/* Launches a kernel whose blocks may take their places while the kernel in front of it in the stream still runs, where
 * the device can (sm_90 and later: programmatic dependent launch). The start of a launch then costs nothing.
 *
 * Every block of such a kernel calls wait_for_previous(), even a block with no work: a kernel that exits without
 * waiting lets its successor start before its predecessor has finished. A thread calls it before it reads results of an
 * earlier kernel, and before it writes at all; only weights, tables and the pack, which no kernel writes, may be read
 * before. A tensor that the kernel in front may write is never read through const __restrict__: the compiler takes such
 * memory for constant as long as the kernel runs, and that is longer than the wait. */
template <typename... Parameters, typename... Arguments>
static inline f5_status cuda_launch_early(cuda_context *c, const char *op, void (*kernel)(Parameters...), dim3 blocks,
                                          int threads, int shared_bytes, Arguments... arguments) {
    cudaLaunchAttribute early = {};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = blocks, config.blockDim = dim3((unsigned int)threads);
    config.dynamicSmemBytes = (size_t)shared_bytes, config.stream = c->stream;
    config.attrs = &early, config.numAttrs = c->early_start ? 1 : 0;
    (void)cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
    return cuda_launched(c, op);
}

/* The kernels in front have ended and what they wrote is visible. */
__device__ __forceinline__ void wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/* The next kernel's blocks may come as soon as every block of this one has called this or ended. */
__device__ __forceinline__ void let_next_start() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

template <typename Int> __host__ __device__ constexpr Int ceil_div(Int a, Int b) {
    return (a + b - 1) / b;
}

/* Blocks of `threads` for `n` elements in a grid-stride kernel: enough to fill the device eight times over at most. */
static inline unsigned int grid_for(const cuda_context *c, int64_t n, int threads) {
    int64_t blocks = ceil_div<int64_t>(n, threads);
    const int64_t max_blocks = int64_t{c->arch.sm_count} * (8 * 1024 / threads);
    return (unsigned int)(blocks < max_blocks ? blocks : max_blocks);
}

/* ---- conversions: statistics are F32 everywhere, T is what memory holds */
__device__ __forceinline__ float to_float(float x) {
    return x;
}
__device__ __forceinline__ float to_float(__half x) {
    return __half2float(x);
}
__device__ __forceinline__ float to_float(__nv_bfloat16 x) {
    return __bfloat162float(x);
}

template <typename T> __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x) {
    return x;
}
template <> __device__ __forceinline__ __half from_float<__half>(float x) {
    return __float2half_rn(x);
}
template <> __device__ __forceinline__ __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
    return __float2bfloat16_rn(x);
}

/* Two floats as one 32-bit word of T, low half first: the unit of matrix fragments. */
template <typename T> __device__ __forceinline__ uint32_t pack2(float low, float high);
template <> __device__ __forceinline__ uint32_t pack2<__half>(float low, float high) {
    __half2 v = __floats2half2_rn(low, high);
    return *reinterpret_cast<uint32_t *>(&v);
}
template <> __device__ __forceinline__ uint32_t pack2<__nv_bfloat16>(float low, float high) {
    __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<uint32_t *>(&v);
}
template <typename T> __device__ __forceinline__ float2 unpack2(uint32_t word);
template <> __device__ __forceinline__ float2 unpack2<__half>(uint32_t word) {
    return __half22float2(*reinterpret_cast<__half2 *>(&word));
}
template <> __device__ __forceinline__ float2 unpack2<__nv_bfloat16>(uint32_t word) {
    return __bfloat1622float2(*reinterpret_cast<__nv_bfloat162 *>(&word));
}

/* ---- eight elements at a time: one 16-byte access, two for F32; p is 16-byte aligned */
template <typename T> __device__ __forceinline__ void load8(float (&v)[8], const T *p) {
    uint4 words = *reinterpret_cast<const uint4 *>(p);
    float2 a = unpack2<T>(words.x), b = unpack2<T>(words.y), c = unpack2<T>(words.z), d = unpack2<T>(words.w);
    v[0] = a.x, v[1] = a.y, v[2] = b.x, v[3] = b.y, v[4] = c.x, v[5] = c.y, v[6] = d.x, v[7] = d.y;
}
template <> __device__ __forceinline__ void load8<float>(float (&v)[8], const float *p) {
    float4 a = reinterpret_cast<const float4 *>(p)[0], b = reinterpret_cast<const float4 *>(p)[1];
    v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
}
template <typename T> __device__ __forceinline__ void store8(T *p, const float (&v)[8]) {
    *reinterpret_cast<uint4 *>(p) =
        make_uint4(pack2<T>(v[0], v[1]), pack2<T>(v[2], v[3]), pack2<T>(v[4], v[5]), pack2<T>(v[6], v[7]));
}
template <> __device__ __forceinline__ void store8<float>(float *p, const float (&v)[8]) {
    reinterpret_cast<float4 *>(p)[0] = make_float4(v[0], v[1], v[2], v[3]);
    reinterpret_cast<float4 *>(p)[1] = make_float4(v[4], v[5], v[6], v[7]);
}

/* Calls body(T{}) with the C++ type of an f5_dtype:
 *     return for_dtype(c, "norm", a->type, [&](auto zero) { using T = decltype(zero); ... return F5_OK; }); */
template <typename Body> static inline f5_status for_dtype(cuda_context *c, const char *op, f5_dtype type, Body body) {
    switch (type) {
    case F5_F32:
        return body(float{});
    case F5_F16:
        return body(__half{});
    case F5_BF16:
        return body(__nv_bfloat16{});
    case F5_I8:
        break;
    }
    return f5_fail(&c->error, F5_E_UNSUPPORTED, "%s: number type %d", op, (int)type);
}

#endif
