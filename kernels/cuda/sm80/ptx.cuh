/* ptx.cuh — each instruction that C++ has no word for, wrapped once. PTX ISA 8.x section names in brackets. */
#ifndef F5_PTX_CUH
#define F5_PTX_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

__device__ __forceinline__ uint32_t shared_address(const void *p) {
    return (uint32_t)__cvta_generic_to_shared(p);
}

/* 2^x, within 2 ulp; ex2(-inf) = 0. */
__device__ __forceinline__ float ex2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* 1 / x, within 1 ulp; rcp(inf) = 0. */
__device__ __forceinline__ float rcp(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* Tiles of 64 columns of 16 bits in shared memory: rows of 128 bytes, the 16-byte chunks of row r permuted by
 * chunk ^ (r % 8), so that neither a row nor a column of chunks meets a bank twice. Byte offset of a chunk. */
__device__ __forceinline__ uint32_t swizzled(int row, int chunk) {
    return row * 128 + ((chunk ^ (row & 7)) << 4);
}

/* ---- sm_80: asynchronous copies, matrix fragments */

/* 16 bytes from global to shared memory; zeros where `live` is false (src must still be a valid address). */
__device__ __forceinline__ void copy16_async(uint32_t shared, const void *src, bool live) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(src), "r"(live ? 16 : 0)
                 : "memory");
}
__device__ __forceinline__ void copy_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int pending> __device__ __forceinline__ void copy_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

/* Asks for the 128 bytes around p to be brought into L2. */
__device__ __forceinline__ void prefetch_l2(const void *p) {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
}

/* Four 8x8 matrices of 16-bit elements; lane i gives the address of row i%8 of matrix i/8. */
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], uint32_t shared) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared)
                 : "memory");
}
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&r)[4], uint32_t shared) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared)
                 : "memory");
}

/* d [16,8] F32 += a [16,16] . b [16,8], a row-major, b column-major. [mma.m16n8k16] */
template <typename T>
__device__ __forceinline__ void mma_16x8x16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);
template <>
__device__ __forceinline__ void mma_16x8x16<__half>(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <>
__device__ __forceinline__ void mma_16x8x16<__nv_bfloat16>(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                                           uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* d [16,8] F32 += a [16,8] . b [8,8], TF32: F32 of which the unit reads the high 19 bits. [mma.m16n8k8] */
__device__ __forceinline__ void mma_16x8x8_tf32(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* Named barriers among `threads` threads of a block; 0 is __syncthreads. */
__device__ __forceinline__ void named_sync(int id, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
__device__ __forceinline__ void named_arrive(int id, int threads) {
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* ---- sm_90: barriers in shared memory [mbarrier], the copy engine [cp.async.bulk.tensor] */

__device__ __forceinline__ void barrier_init(uint64_t *barrier, uint32_t arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}
/* Makes initialised barriers visible to the copy engine. */
__device__ __forceinline__ void barrier_init_fence() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void barrier_arrive(uint64_t *barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
/* Arrives, and holds the phase open until so many bytes have been copied in. */
__device__ __forceinline__ void barrier_expect(uint64_t *barrier, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
                 : "memory");
}
/* Waits for the phase of this parity to end; parity 1 of a fresh barrier has ended. */
__device__ __forceinline__ void barrier_wait(uint64_t *barrier, uint32_t parity) {
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@!done bra again;\n"
                 "}\n" ::"r"(shared_address(barrier)),
                 "r"(parity)
                 : "memory");
}

/* A flag in global memory, between blocks: what the raising thread and those it has waited for wrote before is seen by
 * the waiting one, and those that it lets go on, after. */
__device__ __forceinline__ void flag_raise(uint32_t *flag) {
    __threadfence();
    asm volatile("st.relaxed.gpu.global.u32 [%0], 1;" ::"l"(flag) : "memory");
}
__device__ __forceinline__ void flag_wait(const uint32_t *flag) {
    uint32_t raised;
    do {
        asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(raised) : "l"(flag) : "memory");
    } while (!raised);
}

/* A place in a ring of stages, and the parity that its barriers have this time round. */
template <int stages> struct ring {
    int stage = 0;
    uint32_t parity = 0;
    __device__ __forceinline__ void next() {
        if (++stage == stages) stage = 0, parity ^= 1;
    }
};

/* A box of a 2-D tensor, corner (column, row), into shared memory; completes on `barrier`. */
__device__ __forceinline__ void tensor_load(void *shared, const void *map, int column, int row, uint64_t *barrier) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], "
        "[%4];" ::"r"(shared_address(shared)),
        "l"(map), "r"(column), "r"(row), "r"(shared_address(barrier))
        : "memory");
}
/* A box of a 5-D tensor, corner (column, 0, 0, 0, group), with a policy for L2. */
__device__ __forceinline__ void tensor_load_group(void *shared, const void *map, int column, int group,
                                                  uint64_t *barrier, uint64_t policy) {
    asm volatile(
        "cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.L2::cache_hint [%0], "
        "[%1, {%2, %4, %4, %4, %3}], [%5], %6;" ::"r"(shared_address(shared)),
        "l"(map), "r"(column), "r"(group), "r"(0), "r"(shared_address(barrier)), "l"(policy)
        : "memory");
}
/* A box of a 3-D tensor, corner (0, row, layer). */
__device__ __forceinline__ void tensor_load_layer(void *shared, const void *map, int row, int layer,
                                                  uint64_t *barrier) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], "
        "[%5];" ::"r"(shared_address(shared)),
        "l"(map), "r"(0), "r"(row), "r"(layer), "r"(shared_address(barrier))
        : "memory");
}
/* What is loaded under this policy leaves L2 before anything else. */
__device__ __forceinline__ uint64_t evict_first_policy() {
    uint64_t policy;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    return policy;
}
/* Fetches a tensor map before its first use. */
__device__ __forceinline__ void tensor_map_prefetch(const void *map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}
/* Ordinary writes to shared memory before this are seen by the copy engine and the matrix unit after it. */
__device__ __forceinline__ void shared_fence_async() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/* Four 8x8 matrices of 16-bit elements, each turned on its way: lane i holds row i/4 and gives the address of column
 * i%8 of matrix i/8. [stmatrix] */
__device__ __forceinline__ void store_matrices_transposed(uint32_t shared, const uint32_t (&r)[4]) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(shared), "r"(r[0]),
                 "r"(r[1]), "r"(r[2]), "r"(r[3])
                 : "memory");
}

template <int registers> __device__ __forceinline__ void registers_give() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
}
template <int registers> __device__ __forceinline__ void registers_take() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
}

/* ---- sm_90a: the warpgroup matrix unit [wgmma]
 *
 * Operands in shared memory are tiles laid as `swizzled` says, which is the copy engine's 128-byte swizzle; they start
 * at multiples of 1024 bytes. One descriptor serves both orders: 1024 bytes from one group of 8 rows to the next. */

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

__device__ __forceinline__ void wgmma_fence() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int pending> __device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}

/* Keeps the compiler from moving uses of accumulators across an asynchronous product. */
template <int n> __device__ __forceinline__ void wgmma_hold(float (&d)[n]) {
#pragma unroll
    for (int i = 0; i < n; i++) asm volatile("" : "+f"(d[i])::"memory");
}

#define F5_ACC4(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define F5_ACC16(d, i) F5_ACC4(d, i), F5_ACC4(d, i + 4), F5_ACC4(d, i + 8), F5_ACC4(d, i + 12)
#define F5_D32                                                                                                         \
    "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,"  \
    "%30,%31}"

/* d [64,64] (+)= a [64,16] . b [16,64], a in registers, b in shared memory with its columns along the row. */
#define F5_WGMMA_64(type)                                                                                              \
    asm volatile("{\n.reg .pred keep;\nsetp.ne.b32 keep, %37, 0;\n"                                                    \
                 "wgmma.mma_async.sync.aligned.m64n64k16.f32." type "." type " " F5_D32                                \
                 ", {%32,%33,%34,%35}, %36, keep, 1, 1, 1;\n}\n"                                                       \
                 : F5_ACC16(d, 0), F5_ACC16(d, 16)                                                                     \
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "l"(b), "r"((int)keep))

template <typename T>
__device__ __forceinline__ void wgmma_64x64(float (&d)[32], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                                            uint64_t b, bool keep);
template <>
__device__ __forceinline__ void wgmma_64x64<__half>(float (&d)[32], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                                                    uint64_t b, bool keep) {
    F5_WGMMA_64("f16");
}
template <>
__device__ __forceinline__ void wgmma_64x64<__nv_bfloat16>(float (&d)[32], uint32_t a0, uint32_t a1, uint32_t a2,
                                                           uint32_t a3, uint64_t b, bool keep) {
    F5_WGMMA_64("bf16");
}

#undef F5_WGMMA_64
#undef F5_D32
#undef F5_ACC16
#undef F5_ACC4

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */
#endif
