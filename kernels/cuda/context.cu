/* context.cu — opening a device: its architecture, one stream, its scratch, and cuBLASLt. */
#include <string.h>

#include "kernels/cuda/blas.h"
#include "kernels/cuda/common/launch.cuh"

/* What NVIDIA recommends cuBLASLt be given on Hopper and later. */
static constexpr size_t kFixedBytes = 32u << 20;

/* Tells at open whether this build has code for the device. */
static __global__ void probe_kernel() {}

extern "C" size_t cuda_workspace_bytes(int64_t rows, int64_t dim, int64_t out) {
    /* attention keeps prepared keys [rows,dim]; linear keeps a product [rows,out] before its epilogue: F32 at most */
    size_t widest = (size_t)(dim > out ? dim : out);
    return kFixedBytes + (size_t)rows * widest * sizeof(float);
}

/* The device's properties, where this build can use it. */
static f5_status examine(int ordinal, cudaDeviceProp *prop, cudaFuncAttributes *code, f5_error *error) {
    int devices = 0;
    cudaError_t probe = cudaGetDeviceCount(&devices);
    if (probe != cudaSuccess)
        return f5_fail(error, F5_E_DEVICE, "no CUDA device: %s; use --device cpu", cudaGetErrorString(probe));
    if (ordinal < 0 || ordinal >= devices)
        return f5_fail(error, F5_E_DEVICE, "cuda:%d does not exist: this machine has %d CUDA device(s)", ordinal,
                       devices);
    if ((probe = cudaSetDevice(ordinal)) != cudaSuccess ||
        (probe = cudaGetDeviceProperties(prop, ordinal)) != cudaSuccess)
        return f5_fail(error, F5_E_DEVICE, "cuda:%d cannot be used: %s", ordinal, cudaGetErrorString(probe));
    if (prop->major < CUDA_OLDEST_MAJOR)
        return f5_fail(error, F5_E_DEVICE, "cuda:%d (%s) has compute capability %d.%d; %d.0 or later is needed",
                       ordinal, prop->name, prop->major, prop->minor, CUDA_OLDEST_MAJOR);
    probe = cudaFuncGetAttributes(code, probe_kernel);
    (void)cudaGetLastError();
    if (probe == cudaErrorNoKernelImageForDevice || probe == cudaErrorInvalidKernelImage ||
        probe == cudaErrorInvalidDeviceFunction || probe == cudaErrorUnsupportedPtxVersion ||
        probe == cudaErrorJitCompilerNotFound || probe == cudaErrorJitCompilationDisabled)
        return f5_fail(error, F5_E_DEVICE,
                       "cuda:%d (%s, compute capability %d.%d) cannot run this build's kernels (%s): configure it with "
                       "-DF5_CUDA_ARCHITECTURES=%d%d%s, or use --device cpu",
                       ordinal, prop->name, prop->major, prop->minor, cudaGetErrorString(probe), prop->major,
                       prop->minor, prop->major == 9 ? "a-real" : "-real");
    if (probe != cudaSuccess)
        return f5_fail(error, F5_E_DEVICE, "cuda:%d (%s) cannot be used: %s", ordinal, prop->name,
                       cudaGetErrorString(probe));
    return F5_OK;
}

/* What the device, its driver and this build's code for it allow. */
static void find_architecture(cuda_context *c, const cudaDeviceProp &prop, const cudaFuncAttributes &code) {
    const int sm = 10 * prop.major + prop.minor;
    bool has_sm90a = false;
#if defined(F5_CUDA_SM90A)
    cudaDriverEntryPointQueryResult found;
    has_sm90a = sm == 90 &&
                cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &c->encode_tensor_map, 12000,
                                                 cudaEnableDefault, &found) == cudaSuccess &&
                found == cudaDriverEntryPointSuccess;
#endif
    int driver = 0;                                       // 12.3 is the first whose graphs keep early starts
    c->early_start = sm >= 90 && code.ptxVersion >= 90 && // not in code for sm_80 that the driver has translated
                     cudaDriverGetVersion(&driver) == cudaSuccess && driver >= 12030;
    c->device_arch =
        arch_of_device(prop.name, sm, prop.multiProcessorCount, (int32_t)prop.sharedMemPerBlockOptin, has_sm90a);
    c->arch = c->device_arch;
}

static f5_status take_scratch(cuda_context *c, size_t bytes, f5_error *error) {
    if (bytes < kFixedBytes) bytes = kFixedBytes;
    c->fixed_bytes = kFixedBytes, c->row_bytes = bytes - kFixedBytes;
    const size_t flag_bytes = (size_t)c->arch.sm_count * sizeof *c->flags;
    cudaError_t e = cudaMalloc(&c->fixed_scratch, bytes);
    if (e == cudaSuccess) e = cudaMemset(c->fixed_scratch, 0, bytes);
    if (e == cudaSuccess) e = cudaMalloc((void **)&c->flags, flag_bytes);
    if (e == cudaSuccess) e = cudaMemset(c->flags, 0, flag_bytes);
    if (e == cudaSuccess) e = cudaStreamSynchronize(nullptr); // our stream will not wait for the default one
    if (e == cudaSuccess) {
        c->row_scratch = static_cast<char *>(c->fixed_scratch) + c->fixed_bytes;
        return F5_OK;
    }
    (void)cudaGetLastError(); /* not sticky: the device is still usable with less */
    if (e != cudaErrorMemoryAllocation)
        return f5_fail(error, F5_E_DEVICE, "cuda:%d (%s): no workspace: %s", c->device, c->name, cudaGetErrorString(e));
    return f5_fail(error, F5_E_MEMORY, "cuda:%d (%s): no room for a workspace of %zu MB; lower the limits", c->device,
                   c->name, bytes >> 20);
}

extern "C" f5_status cuda_context_open(cuda_context *c, int ordinal, size_t workspace_bytes, f5_error *error) {
    memset(c, 0, sizeof *c);
    cudaDeviceProp prop;
    cudaFuncAttributes code;
    F5_TRY(examine(ordinal, &prop, &code, error));
    c->device = ordinal;
    memcpy(c->name, prop.name, sizeof c->name);
    c->name[sizeof c->name - 1] = 0;
    find_architecture(c, prop, code);
    f5_status status = take_scratch(c, workspace_bytes, error);
    if (status == F5_OK) {
        const cudaError_t made = cudaStreamCreateWithFlags(&c->owned, cudaStreamNonBlocking);
        if (made != cudaSuccess)
            status = f5_fail(error, F5_E_DEVICE, "cuda:%d: no stream: %s", ordinal, cudaGetErrorString(made));
        c->stream = c->owned;
    }
    if (status == F5_OK) status = blas_open(c, error);
    if (status != F5_OK) cuda_context_close(c);
    return status;
}

extern "C" void cuda_context_close(cuda_context *c) {
    if (!c) return;
    if (c->owned) cudaStreamSynchronize(c->owned);
    blas_close(c);
    if (c->owned) cudaStreamDestroy(c->owned);
    if (c->fixed_scratch) cudaFree(c->fixed_scratch);
    if (c->flags) cudaFree(c->flags);
    memset(c, 0, sizeof *c);
}

extern "C" f5_status cuda_context_finish(cuda_context *c) {
    CUDA_TRY(c, "device", cudaStreamSynchronize(c->stream));
    return F5_OK;
}

extern "C" void cuda_context_limit(cuda_context *c, arch_code limit) {
    c->arch = arch_limited(c->device_arch, limit);
}
