/* linear_int8.cuh — the product of 8-bit operands for sm_90a: linear.cuh's kernel, whose stages of 128 bytes a row hold
 * 128 elements here instead of 64. The producer, the tiles, the ring and the epilogues are that file's; between product
 * and epilogue the sums become F32 by the scales of row and column.
 *
 * Floor: 2·rows·in·out operations at twice the rate of 16 bits, and half the bytes of operands. */
#ifndef F5_SM90_LINEAR_INT8_CUH
#define F5_SM90_LINEAR_INT8_CUH

#include "kernels/cuda/sm90/linear.cuh"
#include "kernels/linear_int8.h"

namespace linear_sm90 {

constexpr int kStepInt8 = LINEAR_INT8_STEP;

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

template <int columns> struct int8_vectors {
    epilogue_vectors<columns> of_16bit;
    float scale[2][columns];
};

/* Rounded here and nowhere later: were it one instruction with the sum of the bias in some tiles, and two in others, a
 * row's bits would depend on the tile. */
__device__ __forceinline__ float scaled(int sum, float row, float column) {
    return __fmul_rn((float)sum, __fmul_rn(row, column));
}

/* multiply() of linear.cuh in whole numbers. */
template <int columns>
__device__ __forceinline__ void multiply_int8(int (&acc)[columns / 2], ring<stages_for(columns)> &at, int steps,
                                              uint64_t x, uint64_t w, barriers *b) {
    constexpr uint64_t stage_step = stage_bytes(columns) >> 4;
    const int lane = threadIdx.x % 32;
    int last = 0;
    for (int step = 0; step < steps; step++) {
        barrier_wait(&b->full[at.stage], at.parity);
        wgmma_hold(acc);
        wgmma_fence();
#pragma unroll
        for (int i = 0; i < kStepInt8 / 32; i++)
            wgmma_s8_64xn<columns>(acc, x + at.stage * stage_step + i * kStepAlongRow,
                                   w + at.stage * stage_step + i * kStepAlongRow, step > 0 || i > 0);
        wgmma_commit();
        wgmma_hold(acc);
        if (step > 0) {
            wgmma_wait<1>();
            if (lane == 0) barrier_arrive(&b->empty[last]);
        }
        last = at.stage;
        at.next();
    }
    wgmma_wait<0>();
    wgmma_hold(acc);
    if (lane == 0) barrier_arrive(&b->empty[last]);
}

template <typename T, linear_epilogue epilogue, int columns>
__device__ __forceinline__ void consume_int8(const tile_args &d, int group, const unsigned char *stages, barriers *b,
                                             int8_vectors<columns> *vectors) {
    epilogue_vectors<columns> *v = &vectors->of_16bit;
    const int thread = threadIdx.x % 128, lane = threadIdx.x % 32, warp = thread / 32;
    const uint64_t x = tile_descriptor(stages + group * 64 * kStepInt8),
                   w = tile_descriptor(stages + kRows * kStepInt8);
    const int row_in_tile = group * 64 + warp * 16 + lane / 4; // and the eighth below
    ring<stages_for(columns)> at;
    int acc[columns / 2] = {};
    float4 angles[4][2]; // (ROPE) by place in a head: they serve all heads of the tile
    int buffer = 0, sequence[2];
    if (epilogue == LINEAR_ROPE)
        for (int half = 0; half < 2; half++)
            sequence[half] = sequence_of(d, find_tile<columns>(d, blockIdx.x).row + row_in_tile + 8 * half);

    for (int tile = blockIdx.x; tile < d.tiles; tile += gridDim.x, buffer ^= 1) {
        const tile_place t = find_tile<columns>(d, tile);
        thread_place p;
        p.part = lane % 4 * 4;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int row = t.row + row_in_tile + 8 * half;
            p.wide[half] = row < d.rows ? d.out - t.column : 0;
            p.at[half] = int64_t{row} * d.out + t.column + p.part;
            if (epilogue == LINEAR_ROPE) { // table and pack are there before the kernel in front has ended
                const float *from = angles_of(d, row, sequence[half], p.part);
#pragma unroll
                for (int quarter = 0; quarter < 4; quarter++) angles[quarter][half] = load_early(from + 16 * quarter);
                sequence[half] = sequence_of(d, find_tile<columns>(d, tile + gridDim.x).row + row_in_tile + 8 * half);
            }
        }
        if (tile == blockIdx.x) wait_for_previous();

        float row_scale[2];
#pragma unroll
        for (int half = 0; half < 2; half++)
            row_scale[half] = p.wide[half] > 0 ? d.x_scale[t.row + row_in_tile + 8 * half] : 0.0f;
        fetch_vector<columns>(v->bias[buffer], d.bias, 0.0f, thread, t.column, d.out);
        fetch_vector<columns>(vectors->scale[buffer], d.w_scale, 0.0f, thread - 64, t.column, d.out);
        if (epilogue == LINEAR_RESIDUAL)
            fetch_vector<columns>(v->gate[buffer], d.gate, 1.0f, thread - 64, t.column, d.out);
        copy_commit();

        multiply_int8<columns>(acc, at, d.steps, x, w, b);

        copy_wait<0>();
        named_sync(kGroupBarrier + group, 128); // bias, scales and gate of all threads are there
        float product[columns / 2];
#pragma unroll
        for (int g = 0; g < columns / 16; g++) {
            const float4 scale = *reinterpret_cast<const float4 *>(vectors->scale[buffer] + 16 * g + p.part);
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int i = 8 * g + 2 * half;
                product[i] = scaled(acc[i], row_scale[half], scale.x);
                product[i + 1] = scaled(acc[i + 1], row_scale[half], scale.y);
                product[i + 4] = scaled(acc[i + 4], row_scale[half], scale.z);
                product[i + 5] = scaled(acc[i + 5], row_scale[half], scale.w);
            }
        }
        if constexpr (epilogue == LINEAR_ROPE)
            rotate_and_store<T, columns>(d, product, v->bias[buffer], angles, p, t.column / 64);
        else if constexpr (epilogue == LINEAR_RESIDUAL)
            add_and_store<T, columns>(d, product, v->bias[buffer], v->gate[buffer], p, row_in_tile, stages, at, b);
        else
            finish_and_store<T, epilogue, columns>(d, product, v->bias[buffer], p);
    }
}

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */

template <typename T, linear_epilogue epilogue, int columns>
__global__ void __launch_bounds__(kThreads, 1)
    linear_int8_persistent_wgmma(const __grid_constant__ tile_args d, const __grid_constant__ tensor_maps maps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ unsigned char dynamic_shared[];
    __shared__ barriers b;
    __shared__ alignas(16) int8_vectors<columns> v[kGroups];
    unsigned char *stages = dynamic_shared + (-shared_address(dynamic_shared) & 1023u);

    if (threadIdx.x == 0) {
        tensor_map_prefetch(&maps.x);
        tensor_map_prefetch(&maps.w);
        if (epilogue == LINEAR_RESIDUAL) tensor_map_prefetch(&maps.addend);
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
        if (threadIdx.x < 32) produce<epilogue, columns, kStepInt8>(d, maps, stages, &b);
    } else {
        registers_take<kGroupRegisters>();
        const int group = __shfl_sync(0xffffffffu, threadIdx.x / 128 - 1, 0);
        consume_int8<T, epilogue, columns>(d, group, stages, &b, &v[group]);
    }
#else
    __trap(); // launched only where code for sm_90a is present: arch.code
#endif
}

} // namespace linear_sm90

#endif
