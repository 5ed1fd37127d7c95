/* reduce.cuh — sums and maxima over the lanes of a warp or the threads of a block, in a fixed order: the same bits
 * every run. */
#ifndef F5_REDUCE_CUH
#define F5_REDUCE_CUH

#include <cuda_runtime.h>

/* Over groups of `lanes` neighbouring lanes (a power of two); every lane of a group gets the result. */
template <int lanes = 32> __device__ __forceinline__ float lanes_sum(float v) {
#pragma unroll
    for (int distance = lanes / 2; distance > 0; distance /= 2) v += __shfl_xor_sync(0xffffffffu, v, distance);
    return v;
}

template <int lanes = 32> __device__ __forceinline__ float lanes_max(float v) {
#pragma unroll
    for (int distance = lanes / 2; distance > 0; distance /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, distance));
    return v;
}

/* Over a block of WARPS whole warps; every thread gets the result. partial [WARPS] is shared memory. Opens with a
 * barrier, so whatever the block read before may be overwritten after. */
template <int WARPS> __device__ __forceinline__ float block_sum(float v, float *partial) {
    v = lanes_sum(v);
    __syncthreads();
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
    __syncthreads();
    v = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) v += partial[w];
    return v;
}

#endif
