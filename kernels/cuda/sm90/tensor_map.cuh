/* tensor_map.cuh — the descriptor by which TMA knows a tensor [cuTensorMapEncodeTiled]. Boxes of 16-bit elements lie in
 * shared memory in rows of 128 bytes as ptx.cuh's `swizzled` says, boxes of F32 row after row. The part of a box that
 * is outside the tensor is filled with zeros. */
#ifndef F5_SM90_TENSOR_MAP_CUH
#define F5_SM90_TENSOR_MAP_CUH

#include <cuda.h>

#include "kernels/cuda/common/launch.cuh"

/* size and box: elements of each dimension, the fastest first; stride: bytes, from the second dimension on. A swizzled
 * box has rows of 128 bytes at most. False where the driver refuses. */
static inline bool tensor_map_encode_as(cuda_context *c, CUtensorMap *map, CUtensorMapDataType kind, bool swizzle,
                                        int rank, const void *base, const cuuint64_t *size, const cuuint64_t *stride,
                                        const cuuint32_t *box) {
    using encode_fn = CUresult (*)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *,
                                   const cuuint64_t *, const cuuint32_t *, const cuuint32_t *, CUtensorMapInterleave,
                                   CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
    const cuuint32_t step[5] = {1, 1, 1, 1, 1};
    return reinterpret_cast<encode_fn>(c->encode_tensor_map)(
               map, kind, (cuuint32_t)rank, const_cast<void *>(base), size, stride, box, step,
               CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_NONE,
               CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

static inline bool tensor_map_encode(cuda_context *c, CUtensorMap *map, f5_dtype type, int rank, const void *base,
                                     const cuuint64_t *size, const cuuint64_t *stride, const cuuint32_t *box) {
    const CUtensorMapDataType kind = type == F5_F32   ? CU_TENSOR_MAP_DATA_TYPE_FLOAT32
                                     : type == F5_F16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16
                                                      : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    return tensor_map_encode_as(c, map, kind, type != F5_F32, rank, base, size, stride, box);
}

/* Bytes, swizzled: the innermost box is 128 at most. */
static inline bool tensor_map_encode_bytes(cuda_context *c, CUtensorMap *map, int rank, const void *base,
                                           const cuuint64_t *size, const cuuint64_t *stride, const cuuint32_t *box) {
    return tensor_map_encode_as(c, map, CU_TENSOR_MAP_DATA_TYPE_UINT8, true, rank, base, size, stride, box);
}

#endif
