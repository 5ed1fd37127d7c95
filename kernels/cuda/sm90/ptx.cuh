/* ptx.cuh — each instruction of sm_90 that C++ has no word for, wrapped once: mbarriers, TMA, loads and stores that
 * stay where they stand, register moves. The warpgroup's matrix product is wgmma.cuh. PTX ISA 8.x section names in
 * brackets. */
#ifndef F5_SM90_PTX_CUH
#define F5_SM90_PTX_CUH

#include "kernels/cuda/sm80/ptx.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* ---- barriers in shared memory [mbarrier] */

__device__ __forceinline__ void barrier_init(uint64_t *barrier, uint32_t arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}
/* Makes initialised barriers visible to TMA. */
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

/* A flag in global memory, between blocks. All writes of the raising thread before the flag, and of the threads that it
 * has synchronised with, are visible to the waiting thread after it. */
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

/* A place in a ring of stages, and the parity that its barriers have in this pass. */
template <int stages> struct ring {
    int stage = 0;
    uint32_t parity = 0;
    __device__ __forceinline__ void next() {
        if (++stage == stages) stage = 0, parity ^= 1;
    }
    /* n >= 0 stages on. */
    __device__ __forceinline__ void skip(int n) {
        const int to = stage + n;
        stage = to % stages, parity ^= to / stages & 1;
    }
};

/* ---- tensor memory accelerator, TMA [cp.async.bulk.tensor]: one thread asks, the box arrives asynchronously */

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
/* Ordinary writes to shared memory before this are seen by TMA and by wgmma after it. */
__device__ __forceinline__ void shared_fence_async() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/* Four 8x8 matrices of 16-bit elements, each transposed on its way: lane i holds row i/4 and gives the address of
 * column i%8 of matrix i/8. [stmatrix] */
__device__ __forceinline__ void store_matrices_transposed(uint32_t shared, const uint32_t (&r)[4]) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(shared), "r"(r[0]),
                 "r"(r[1]), "r"(r[2]), "r"(r[3])
                 : "memory");
}

/* ---- global memory [ld, st] */

/* Loads that the compiler does not move: their point is to be issued early. */
__device__ __forceinline__ int load_early(const int32_t *p) {
    int v;
    asm volatile("ld.global.b32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
    return v;
}
__device__ __forceinline__ float4 load_early(const float *p) {
    float4 v;
    asm volatile("ld.global.v4.f32 {%0,%1,%2,%3}, [%4];"
                 : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
                 : "l"(p)
                 : "memory");
    return v;
}

/* Guarded stores as predicates: a branch for each would keep the compiler from overlapping them. */
__device__ __forceinline__ void store_if(bool live, void *p, uint4 v) {
    asm volatile(
        "{\n.reg .pred live;\nsetp.ne.b32 live, %5, 0;\n@live st.global.v4.b32 [%4], {%0,%1,%2,%3};\n}\n" ::"r"(v.x),
        "r"(v.y), "r"(v.z), "r"(v.w), "l"(p), "r"((int)live)
        : "memory");
}
__device__ __forceinline__ void store_if(bool live, void *p, float4 v) {
    asm volatile(
        "{\n.reg .pred live;\nsetp.ne.b32 live, %5, 0;\n@live st.global.v4.f32 [%4], {%0,%1,%2,%3};\n}\n" ::"f"(v.x),
        "f"(v.y), "f"(v.z), "f"(v.w), "l"(p), "r"((int)live)
        : "memory");
}
__device__ __forceinline__ void store_if(bool live, void *p, uint2 v) {
    asm volatile("{\n.reg .pred live;\nsetp.ne.b32 live, %3, 0;\n@live st.global.v2.b32 [%2], {%0,%1};\n}\n" ::"r"(v.x),
                 "r"(v.y), "l"(p), "r"((int)live)
                 : "memory");
}

/* Moves registers between the warpgroups of a block. [setmaxnreg] */
template <int registers> __device__ __forceinline__ void registers_give() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
}
template <int registers> __device__ __forceinline__ void registers_take() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
}

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */
#endif
