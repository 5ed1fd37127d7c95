/* cuda_runtime.h — as much of CUDA's language and runtime as this tree's kernels use, on the emulator. */
#ifndef F5_EMULATED_CUDA_RUNTIME_H
#define F5_EMULATED_CUDA_RUNTIME_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/emulate/emulator.h"

#define __CUDA_ARCH__ 800
#define __device__
#define __host__
#define __global__
#define __constant__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define __restrict__ __restrict

/* ---- vectors */

#define F5_VECTOR(type, name, bytes, ...)                                                                              \
    struct alignas(bytes) name {                                                                                       \
        type __VA_ARGS__;                                                                                              \
    }
F5_VECTOR(float, float2, 8, x, y);
F5_VECTOR(float, float4, 16, x, y, z, w);
F5_VECTOR(uint32_t, uint2, 8, x, y);
F5_VECTOR(uint32_t, uint4, 16, x, y, z, w);
static inline float2 make_float2(float x, float y) {
    return {x, y};
}
static inline float4 make_float4(float x, float y, float z, float w) {
    return {x, y, z, w};
}
static inline uint2 make_uint2(uint32_t x, uint32_t y) {
    return {x, y};
}
static inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) {
    return {x, y, z, w};
}
struct dim3 {
    unsigned int x, y, z;
    dim3(unsigned int x_ = 1, unsigned int y_ = 1, unsigned int z_ = 1) : x(x_), y(y_), z(z_) {}
};

/* ---- arithmetic */

#define F5_MIN_MAX(type)                                                                                               \
    static inline type min(type a, type b) {                                                                           \
        return a < b ? a : b;                                                                                          \
    }                                                                                                                  \
    static inline type max(type a, type b) {                                                                           \
        return a > b ? a : b;                                                                                          \
    }
F5_MIN_MAX(int)
F5_MIN_MAX(unsigned int)
F5_MIN_MAX(int64_t)
F5_MIN_MAX(uint64_t)
#undef F5_MIN_MAX

template <typename To, typename From> static inline To emulated_bits(From from) {
    To to;
    static_assert(sizeof to == sizeof from, "the same bits");
    memcpy(&to, &from, sizeof to);
    return to;
}
static inline uint32_t __float_as_uint(float x) {
    return emulated_bits<uint32_t>(x);
}
static inline float __uint_as_float(uint32_t x) {
    return emulated_bits<float>(x);
}
static inline int __float_as_int(float x) {
    return emulated_bits<int>(x);
}
static inline float __int_as_float(int x) {
    return emulated_bits<float>(x);
}
static inline float __fmul_rn(float a, float b) {
    return a * b;
}
static inline float __fadd_rn(float a, float b) {
    return a + b;
}
static inline float __fdiv_rn(float a, float b) {
    return a / b;
}
#define __expf(x) expf(x) /* the C library declares functions of these names */
#define __sinf(x) sinf(x)
static inline void sincospif(float x, float *sine, float *cosine) {
    const double turn = M_PI * fmod((double)x, 2.0);
    *sine = (float)sin(turn), *cosine = (float)cos(turn);
}
static inline uint32_t __umulhi(uint32_t a, uint32_t b) {
    return (uint32_t)((uint64_t)a * b >> 32);
}
static inline int __popc(uint32_t x) {
    return __builtin_popcount(x);
}
static inline int __ffs(uint32_t x) {
    return __builtin_ffs((int)x);
}
static inline uint32_t __byte_perm(uint32_t a, uint32_t b, uint32_t which) {
    const uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t picked = 0;
    for (int i = 0; i < 4; i++) picked |= (uint32_t)(bytes >> (which >> 4 * i & 7) * 8 & 255) << 8 * i;
    return picked;
}
template <typename T> static inline T __ldg(const T *p) {
    return *p;
}
template <typename T> static inline T __ldcs(const T *p) {
    return *p;
}
template <typename T> static inline T __ldcg(const T *p) {
    return *p;
}
template <typename T> static inline void __stcg(T *p, T v) {
    *p = v;
}
[[noreturn]] static inline void __trap() {
    emulator_fail("?", 0, "__trap");
}
static inline void __threadfence() {}

/* ---- steps of a block or a warp. The place of a call is told by defaults of its arguments. */

#define F5_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()
static inline void __syncthreads(F5_PLACE) {
    emulator_barrier(file, line, 0, 0);
}
static inline void __syncwarp(unsigned int mask = 0xffffffffu, F5_PLACE) {
    emulator_exchange(file, line, mask, "", 0);
}
/* The value of lane `from` of the warp's own. */
template <typename T>
static inline T emulated_shuffle(unsigned int mask, T value, int from, const char *file, int line) {
    const char *shown = emulator_exchange(file, line, mask, &value, sizeof value);
    memcpy(&value, shown + from * EMULATOR_SLOT, sizeof value);
    return value;
}
static inline int emulated_lane() {
    return (int)((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32);
}
template <typename T> static inline T __shfl_sync(unsigned int mask, T value, int lane, F5_PLACE) {
    return emulated_shuffle(mask, value, lane & 31, file, line);
}
template <typename T> static inline T __shfl_xor_sync(unsigned int mask, T value, int other, F5_PLACE) {
    return emulated_shuffle(mask, value, (emulated_lane() ^ other) & 31, file, line);
}
template <typename T> static inline T __shfl_up_sync(unsigned int mask, T value, int by, F5_PLACE) {
    const int lane = emulated_lane();
    return emulated_shuffle(mask, value, lane >= by ? lane - by : lane, file, line);
}
static inline unsigned int __ballot_sync(unsigned int mask, bool vote, F5_PLACE) {
    const char *shown = emulator_exchange(file, line, mask, &vote, sizeof vote);
    unsigned int votes = 0;
    for (int i = 0; i < 32; i++) votes |= (unsigned int)(shown[i * EMULATOR_SLOT] != 0) << i;
    return votes;
}
static inline bool __any_sync(unsigned int mask, bool vote, F5_PLACE) {
    return __ballot_sync(mask, vote, file, line) != 0;
}
template <typename Join>
static inline uint32_t emulated_reduce(unsigned int mask, uint32_t value, Join join, const char *file, int line) {
    const char *shown = emulator_exchange(file, line, mask, &value, sizeof value);
    uint32_t all = 0, one;
    for (int i = 0; i < 32; i++) {
        memcpy(&one, shown + i * EMULATOR_SLOT, sizeof one);
        all = join(all, one);
    }
    return all;
}
static inline uint32_t __reduce_max_sync(unsigned int mask, uint32_t value, F5_PLACE) {
    return emulated_reduce(
        mask, value, [](uint32_t a, uint32_t b) { return a > b ? a : b; }, file, line);
}
static inline uint32_t __reduce_or_sync(unsigned int mask, uint32_t value, F5_PLACE) {
    return emulated_reduce(
        mask, value, [](uint32_t a, uint32_t b) { return a | b; }, file, line);
}
static inline size_t __cvta_generic_to_shared(const void *p) {
    return emulator_shared_address(p);
}

/* ---- launches: synchronous, on whatever stream */

typedef enum { cudaSuccess = 0, cudaErrorLaunchFailure = 719 } cudaError_t;
typedef enum { cudaFuncAttributeMaxDynamicSharedMemorySize } cudaFuncAttribute;
typedef struct CUstream_st *cudaStream_t;
enum { cudaLaunchAttributeProgrammaticStreamSerialization = 6 };
typedef struct {
    int id;
    struct {
        int programmaticStreamSerializationAllowed;
    } val;
} cudaLaunchAttribute;
typedef struct {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
    cudaLaunchAttribute *attrs;
    unsigned int numAttrs;
} cudaLaunchConfig_t;

static inline cudaError_t cudaGetLastError() {
    return emulator_fault() ? cudaErrorLaunchFailure : cudaSuccess;
}
static inline const char *cudaGetErrorString(cudaError_t) {
    return emulator_fault() ? emulator_fault() : "no error";
}
template <typename Kernel> static inline cudaError_t cudaFuncSetAttribute(Kernel, cudaFuncAttribute, int value) {
    emulator_allow_shared((size_t)value);
    return cudaSuccess;
}
/* Any call of a kernel: build_emulated.py makes one of kernel<<<...>>>(...). */
template <typename Body>
static inline void emulated_launch(Body body, dim3 grid, dim3 block, size_t dynamic_bytes = 0, cudaStream_t = nullptr) {
    emulator_launch(
        {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, dynamic_bytes,
        [](void *user) { (*static_cast<Body *>(user))(); }, &body);
}
template <typename... Parameters, typename... Arguments>
static inline cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*kernel)(Parameters...),
                                             Arguments... arguments) {
    emulated_launch([&] { kernel(arguments...); }, config->gridDim, config->blockDim, config->dynamicSmemBytes);
    return cudaGetLastError();
}

#endif
