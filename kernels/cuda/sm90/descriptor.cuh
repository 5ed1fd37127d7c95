/* descriptor.cuh — how wgmma is told where its operands lie in shared memory.
 *
 * Operands are tiles laid as `swizzled` says, which is TMA's 128-byte swizzle; they start at multiples of 1024 bytes.
 * One descriptor serves both orders: 1024 bytes from one group of 8 rows to the next. */
#ifndef F5_SM90_DESCRIPTOR_CUH
#define F5_SM90_DESCRIPTOR_CUH

#include "kernels/cuda/sm90/ptx.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

__device__ __forceinline__ uint64_t tile_descriptor(const void *tile) {
    const uint64_t swizzle_128 = 1ull << 62, group_stride = 1024 >> 4; // the other stride is not used: one group across
    return swizzle_128 | group_stride << 32 | group_stride << 16 | (uint64_t)((shared_address(tile) & 0x3ffff) >> 4);
}
/* The lower word of a tile's descriptor, and a descriptor from it: the upper word is the same for every tile, so tiles
 * and steps are reached by 32-bit sums. */
__device__ __forceinline__ uint32_t descriptor_low(const void *tile) {
    return (uint32_t)tile_descriptor(tile);
}
__device__ __forceinline__ uint64_t descriptor_of(uint32_t low) {
    const uint32_t high = 1u << 30 | 1024 >> 4;
    return (uint64_t)high << 32 | low;
}
/* Where a descriptor's tile lies in shared memory. */
__device__ __forceinline__ uint32_t descriptor_address(uint32_t low) {
    return (low & 0x3fff) << 4;
}
/* Steps of 16 along the summed dimension, in descriptor units of 16 bytes. */
constexpr uint64_t kStepAlongRow = 32 >> 4;         /* summed dimension lies along the row: 16 elements on */
constexpr uint64_t kStepDownRows = (16 * 128) >> 4; /* summed dimension counts the rows: 16 rows on */

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */
#endif
