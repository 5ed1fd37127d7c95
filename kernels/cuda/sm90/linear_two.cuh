/* linear_two.cuh — the sum of two products, y = x w^T + x2 w2^T + bias in F32, as linear.cuh's one product over twice
 * the steps: the first half of a tile's steps comes from x and w, the second from x2 and w2. Groups, ring and stores
 * are that file's, and each element is still one sum. E2-TTS's skip connections: [x | skip] by one matrix, without a
 * copy that lays the two side by side.
 *
 * Floor: linear.cuh's, of 2·in. */
#ifndef F5_SM90_LINEAR_TWO_CUH
#define F5_SM90_LINEAR_TWO_CUH

#include "kernels/cuda/sm90/linear.cuh"

namespace linear_sm90 {

struct tensor_maps_of_two {
    CUtensorMap x[2], w[2];
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* linear.cuh's producer, whose weights do not wait for the kernel in front either. One warp. */
template <int columns>
__device__ __forceinline__ void produce_two(const tile_args &d, const tensor_maps_of_two &maps, unsigned char *stages,
                                            barriers *b) {
    constexpr int x_bytes = kRows * kStep * 2;
    const uint64_t passing = evict_first_policy();
    const int half = d.steps / 2, early = d.steps < stages_for(columns) ? d.steps : stages_for(columns);
    ring<stages_for(columns)> at;
    const auto load_w = [&](int step, int column, int stage) {
        const int second = step >= half;
        barrier_expect(&b->full[stage], stage_bytes(columns));
        tensor_load_group(stages + stage * stage_bytes(columns) + x_bytes, &maps.w[second],
                          (step - second * half) * kStep, column / 16, &b->full[stage], passing);
    };
    if (threadIdx.x == 0)
        for (int step = 0; step < early; step++) load_w(step, find_tile<columns>(d, blockIdx.x).column, step);
    wait_for_previous();
    for (int tile = blockIdx.x; tile < d.tiles; tile += gridDim.x) {
        const tile_place t = find_tile<columns>(d, tile);
        for (int step = 0; step < d.steps; step++, at.next()) {
            const int second = step >= half;
            barrier_wait(&b->empty[at.stage], at.parity ^ 1);
            if (threadIdx.x != 0) continue;
            if (tile != blockIdx.x || step >= early) load_w(step, t.column, at.stage);
            tensor_load(stages + at.stage * stage_bytes(columns), &maps.x[second], (step - second * half) * kStep,
                        t.row, &b->full[at.stage]);
        }
    }
}

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */

template <typename T, int columns>
__global__ void __launch_bounds__(kThreads, 1)
    linear_two_persistent_wgmma(const __grid_constant__ tile_args d, const __grid_constant__ tensor_maps_of_two maps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ unsigned char dynamic_shared[];
    __shared__ barriers b;
    __shared__ alignas(16) epilogue_vectors<columns> v[kGroups];
    unsigned char *stages = dynamic_shared + (-shared_address(dynamic_shared) & 1023u);

    if (threadIdx.x == 0) {
        for (int i = 0; i < 2; i++) tensor_map_prefetch(&maps.x[i]), tensor_map_prefetch(&maps.w[i]);
        for (int stage = 0; stage < stages_for(columns); stage++) {
            barrier_init(&b.full[stage], 1);
            barrier_init(&b.empty[stage], kGroups * 4); // one arrival of each warp that reads the stage
        }
        barrier_init_fence();
    }
    __syncthreads();
    let_next_start();

    if (threadIdx.x < 128) {
        registers_give<kProducerRegisters>();
        if (threadIdx.x < 32) produce_two<columns>(d, maps, stages, &b);
    } else {
        registers_take<kGroupRegisters>();
        const int group = __shfl_sync(0xffffffffu, threadIdx.x / 128 - 1, 0);
        consume<T, LINEAR_NONE, columns, true>(d, group, stages, &b, &v[group]);
    }
#else
    __trap(); // launched only where code for sm_90a is present: arch.code
#endif
}

} // namespace linear_sm90

#endif
