/* cuda_context.cu — opening a device: its measure, one stream, one cuBLASLt handle, one workspace. */
#include <cublasLt.h>
#include <string.h>

#include "kernels/cuda/common/launch.cuh"

/* What NVIDIA recommends cuBLASLt be given on Hopper and later. */
static constexpr size_t kBlasBytes = 32u << 20;

/* Asked for at open: is there code for this device in this build? */
static __global__ void probe_kernel() {}

extern "C" size_t cuda_workspace_bytes(int64_t rows, int64_t dim, int64_t out) {
    /* attention keeps keys made ready [rows,dim]; linear keeps a product [rows,out] before its epilogue: F32 at most */
    size_t widest = (size_t)(dim > out ? dim : out);
    return kBlasBytes + (size_t)rows * widest * sizeof(float);
}

extern "C" f5_status cuda_context_open(cuda_context *c, int ordinal, size_t workspace_bytes, f5_error *error) {
    memset(c, 0, sizeof *c);
    int devices = 0;
    cudaError_t probe = cudaGetDeviceCount(&devices);
    if (probe != cudaSuccess)
        return f5_fail(error, F5_E_DEVICE, "no CUDA device: %s; use --device cpu", cudaGetErrorString(probe));
    if (ordinal < 0 || ordinal >= devices)
        return f5_fail(error, F5_E_DEVICE, "cuda:%d does not exist: this machine has %d CUDA device(s)", ordinal,
                       devices);
    cudaDeviceProp prop;
    if ((probe = cudaSetDevice(ordinal)) != cudaSuccess ||
        (probe = cudaGetDeviceProperties(&prop, ordinal)) != cudaSuccess)
        return f5_fail(error, F5_E_DEVICE, "cuda:%d cannot be used: %s", ordinal, cudaGetErrorString(probe));
    if (prop.major < CUDA_OLDEST_MAJOR)
        return f5_fail(error, F5_E_DEVICE, "cuda:%d (%s) has compute capability %d.%d; %d.0 or later is needed",
                       ordinal, prop.name, prop.major, prop.minor, CUDA_OLDEST_MAJOR);
    cudaFuncAttributes attributes;
    if ((probe = cudaFuncGetAttributes(&attributes, probe_kernel)) != cudaSuccess) {
        (void)cudaGetLastError();
        return f5_fail(error, F5_E_DEVICE,
                       "cuda:%d (%s, compute capability %d.%d) cannot run this build's kernels (%s): configure it with "
                       "-DF5_CUDA_ARCHITECTURES=%d%d%s, or use --device cpu",
                       ordinal, prop.name, prop.major, prop.minor, cudaGetErrorString(probe), prop.major, prop.minor,
                       prop.major == 9 ? "a-real" : "-real");
    }
    c->device = ordinal;
    c->sm = 10 * prop.major + prop.minor;
    c->sm_count = prop.multiProcessorCount;
    c->shared_bytes = (int)prop.sharedMemPerBlockOptin;
    int driver = 0; // 12.3 is the first whose graphs keep early starts
    c->early_start = c->sm >= 90 &&
                     attributes.ptxVersion >= 90 && // not in code for sm_80 that the driver has translated
                     cudaDriverGetVersion(&driver) == cudaSuccess && driver >= 12030;
    c->plan_rows = 2816;
#if defined(F5_CUDA_HOPPER)
    cudaDriverEntryPointQueryResult found;
    c->hopper = c->sm == 90 &&
                cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &c->encode_tensor_map, 12000,
                                                 cudaEnableDefault, &found) == cudaSuccess &&
                found == cudaDriverEntryPointSuccess;
#endif
    memcpy(c->name, prop.name, sizeof c->name);
    c->name[sizeof c->name - 1] = 0;

    c->workspace_bytes = workspace_bytes < kBlasBytes ? kBlasBytes : workspace_bytes;
    c->blas_bytes = kBlasBytes;
    if ((probe = cudaMalloc(&c->workspace, c->workspace_bytes)) != cudaSuccess ||
        (probe = cudaMemset(c->workspace, 0, c->workspace_bytes)) != cudaSuccess ||
        (probe = cudaMalloc((void **)&c->flags, c->sm_count * sizeof *c->flags)) != cudaSuccess ||
        (probe = cudaMemset(c->flags, 0, c->sm_count * sizeof *c->flags)) != cudaSuccess ||
        (probe = cudaStreamSynchronize(nullptr)) != cudaSuccess) { // our stream will not wait for the default one
        (void)cudaGetLastError(); /* not sticky: the device is still usable with less */
        const size_t wanted = c->workspace_bytes;
        cuda_context_close(c);
        return f5_fail(error, F5_E_MEMORY, "cuda:%d (%s): no room for a workspace of %zu MB; lower the limits", ordinal,
                       prop.name, wanted >> 20);
    }
    if ((probe = cudaStreamCreateWithFlags(&c->owned, cudaStreamNonBlocking)) != cudaSuccess) {
        cuda_context_close(c);
        return f5_fail(error, F5_E_DEVICE, "cuda:%d: no stream: %s", ordinal, cudaGetErrorString(probe));
    }
    c->stream = c->owned;
    cublasStatus_t blas = cublasLtCreate(&c->blas);
    if (blas != CUBLAS_STATUS_SUCCESS) {
        cuda_context_close(c);
        return f5_fail(error, F5_E_DEVICE, "cuda:%d: cuBLASLt does not start: %s", ordinal,
                       cublasLtGetStatusString(blas));
    }
    return F5_OK;
}

extern "C" void cuda_context_close(cuda_context *c) {
    if (!c) return;
    if (c->owned) cudaStreamSynchronize(c->owned);
    if (c->blas) cublasLtDestroy(c->blas);
    if (c->owned) cudaStreamDestroy(c->owned);
    if (c->workspace) cudaFree(c->workspace);
    if (c->flags) cudaFree(c->flags);
    memset(c, 0, sizeof *c);
}

extern "C" f5_status cuda_context_finish(cuda_context *c) {
    CUDA_TRY(c, "device", cudaStreamSynchronize(c->stream));
    return F5_OK;
}

extern "C" const char *cuda_context_path(const cuda_context *c) {
    return c->hopper && !c->force_portable ? "hopper" : "portable";
}
