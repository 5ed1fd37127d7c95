/* linear_turns.cuh — the product of linear.cuh with GELU_TANH, by two consumer warpgroups that take turns: each has
 * tiles of its own, 128 rows by 128 columns, and while one works on what it has multiplied the other multiplies.
 *
 *   producer     the tiles of a block one after another, as linear.cuh's does
 *   consumer g   every second tile: all its 128 rows, two products of 64 a step; GELU and stores as linear.cuh's
 *
 * A group begins when the other has seen the last stage of its tile full: before that the parity of a stage could not
 * tell one pass of the ring from the next but one. Steps are linear.cuh's, of 16-bit operands or of whole numbers
 * (linear_int8.cuh), and so are the bits.
 *
 * Floor: linear.cuh's. Only a block's last tile is finished while nothing multiplies; a step's 32 KB feed the tensor
 * cores for 512 cycles. */
#ifndef F5_SM90_LINEAR_TURNS_CUH
#define F5_SM90_LINEAR_TURNS_CUH

#include "kernels/cuda/sm90/linear_int8.cuh"

namespace linear_sm90 {

constexpr int kTurnColumns = LINEAR_TURN_COLUMNS, kHalves = 2; /* a tile's rows: twice 64 */
constexpr int kTurnProducerRegisters = 24, kTurnGroupRegisters = 240;
static_assert(128 * (kTurnProducerRegisters + kGroups * kTurnGroupRegisters) <= 65536, "register file");

/* Named barriers of a block, behind linear.cuh's. */
enum turn_barrier { kTurn = kGroupBarrier + kGroups /* + group: it may begin; the threads of both groups */ };

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

template <typename Operand> using sum_of = typename std::conditional<sizeof(Operand) == 1, int, float>::type;

template <typename Operand>
__device__ __forceinline__ void wgmma_turn(sum_of<Operand> (&acc)[kTurnColumns / 2], uint64_t x, uint64_t w,
                                           bool keep) {
    if constexpr (sizeof(Operand) == 1)
        wgmma_s8_64xn<kTurnColumns>(acc, x, w, keep);
    else
        wgmma_64xn<Operand, kTurnColumns>(acc, x, w, keep);
}

/* multiply() of linear.cuh over 128 rows. other: the group whose turn is next, or -1. */
template <typename Operand>
__device__ __forceinline__ void multiply_turn(sum_of<Operand> (&acc)[kHalves][kTurnColumns / 2],
                                              ring<stages_for(kTurnColumns)> &at, int steps, uint64_t x, uint64_t w,
                                              barriers *b, int other) {
    constexpr uint64_t stage_step = stage_bytes(kTurnColumns) >> 4, half_step = 64 * kStep * 2 >> 4;
    const int lane = threadIdx.x % 32;
    int last = 0;
    for (int step = 0; step < steps; step++) {
        barrier_wait(&b->full[at.stage], at.parity);
        wgmma_hold(acc[0]), wgmma_hold(acc[1]);
        wgmma_fence();
#pragma unroll
        for (int i = 0; i < kStep / 16; i++)
#pragma unroll
            for (int half = 0; half < kHalves; half++)
                wgmma_turn<Operand>(acc[half], x + at.stage * stage_step + half * half_step + i * kStepAlongRow,
                                    w + at.stage * stage_step + i * kStepAlongRow, step > 0 || i > 0);
        wgmma_commit();
        wgmma_hold(acc[0]), wgmma_hold(acc[1]);
        if (step > 0) {
            wgmma_wait<1>();
            if (lane == 0) barrier_arrive(&b->empty[last]);
        }
        last = at.stage;
        at.next();
    }
    if (other >= 0) named_arrive(kTurn + other, 128 * kGroups);
    wgmma_wait<0>();
    wgmma_hold(acc[0]), wgmma_hold(acc[1]);
    if (lane == 0) barrier_arrive(&b->empty[last]);
}

/* A sum with its scales; of 16-bit operands it has none. */
__device__ __forceinline__ float in_f32(int sum, float row, float column) {
    return scaled(sum, row, column);
}
__device__ __forceinline__ float in_f32(float sum, float, float) {
    return sum;
}

/* What is a thread's of 64 rows of a tile, the first at row_in_tile. */
__device__ __forceinline__ thread_place place_of(const tile_args &d, tile_place t, int row_in_tile, int part) {
    thread_place p;
    p.part = part;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int row = t.row + row_in_tile + 8 * half;
        p.wide[half] = row < d.rows ? d.out - t.column : 0;
        p.at[half] = int64_t{row} * d.out + t.column + part;
    }
    return p;
}

template <typename Operand, typename T, linear_epilogue epilogue>
__device__ __forceinline__ void consume_turns(const tile_args &d, int group, const unsigned char *stages, barriers *b,
                                              int8_vectors<kTurnColumns> *vectors) {
    constexpr int columns = kTurnColumns;
    constexpr bool int8 = sizeof(Operand) == 1;
    epilogue_vectors<columns> *v = &vectors->of_16bit;
    const int thread = threadIdx.x % 128, lane = threadIdx.x % 32, warp = thread / 32;
    const uint64_t x = tile_descriptor(stages), w = tile_descriptor(stages + kRows * kStep * 2);
    const int row_in_half = warp * 16 + lane / 4, part = lane % 4 * 4; // and the eighth row below
    ring<stages_for(columns)> at;
    sum_of<Operand> acc[kHalves][columns / 2] = {};
    int buffer = 0;
    if (group > 0) at.skip(d.steps), named_arrive(kTurn, 128 * kGroups); // group 0 begins

    for (int tile = blockIdx.x + group * gridDim.x; tile < d.tiles; tile += kGroups * gridDim.x, buffer ^= 1) {
        const tile_place t = find_tile<columns>(d, tile);
        float row_scale[kHalves][2];
        if (tile < kGroups * gridDim.x) wait_for_previous();
        if (int8)
            for (int i = 0; i < kHalves; i++)
                for (int half = 0; half < 2; half++) {
                    const int row = t.row + 64 * i + row_in_half + 8 * half;
                    row_scale[i][half] = row < d.rows ? d.x_scale[row] : 0.0f;
                }
        fetch_vector<columns>(v->bias[buffer], d.bias, 0.0f, thread, t.column, d.out);
        if (int8) fetch_vector<columns>(vectors->scale[buffer], d.w_scale, 0.0f, thread - 32, t.column, d.out);
        copy_commit();

        named_sync(kTurn + group, 128 * kGroups);
        multiply_turn<Operand>(acc, at, d.steps, x, w, b, tile + (int)gridDim.x < d.tiles ? group ^ 1 : -1);

        copy_wait<0>();
        named_sync(kGroupBarrier + group, 128); // bias and scales of all threads are there
        float product[kHalves][columns / 2];
#pragma unroll
        for (int i = 0; i < kHalves; i++) {
#pragma unroll
            for (int g = 0; g < columns / 16; g++) {
                float4 scale = {};
                if constexpr (int8) scale = *reinterpret_cast<const float4 *>(vectors->scale[buffer] + 16 * g + part);
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    const int first = 8 * g + 2 * half;
                    product[i][first] = in_f32(acc[i][first], row_scale[i][half], scale.x);
                    product[i][first + 1] = in_f32(acc[i][first + 1], row_scale[i][half], scale.y);
                    product[i][first + 4] = in_f32(acc[i][first + 4], row_scale[i][half], scale.z);
                    product[i][first + 5] = in_f32(acc[i][first + 5], row_scale[i][half], scale.w);
                }
            }
            const thread_place p = place_of(d, t, 64 * i + row_in_half, part);
            finish_and_store<T, epilogue, columns>(d, product[i], v->bias[buffer], p);
        }
        at.skip(d.steps); // the other group's
    }
}

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */

/* Operand: of x and w. T: of y. */
template <typename Operand, typename T, linear_epilogue epilogue>
__global__ void __launch_bounds__(kThreads, 1)
    linear_turns_wgmma(const __grid_constant__ tile_args d, const __grid_constant__ tensor_maps maps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    constexpr int columns = kTurnColumns;
    extern __shared__ unsigned char dynamic_shared[];
    __shared__ barriers b;
    __shared__ alignas(16) int8_vectors<columns> v[kGroups];
    unsigned char *stages = dynamic_shared + (-shared_address(dynamic_shared) & 1023u);

    if (threadIdx.x == 0) {
        tensor_map_prefetch(&maps.x);
        tensor_map_prefetch(&maps.w);
        for (int stage = 0; stage < stages_for(columns); stage++) {
            barrier_init(&b.full[stage], 1);
            barrier_init(&b.empty[stage], 4); // one arrival of each warp of the group that reads the stage
        }
        barrier_init_fence();
    }
    __syncthreads();
    let_next_start();

    if (threadIdx.x < 128) {
        registers_give<kTurnProducerRegisters>();
        if (threadIdx.x < 32) produce<epilogue, columns, 128 / sizeof(Operand)>(d, maps, stages, &b);
    } else {
        registers_take<kTurnGroupRegisters>();
        const int group = __shfl_sync(0xffffffffu, threadIdx.x / 128 - 1, 0);
        consume_turns<Operand, T, epilogue>(d, group, stages, &b, &v[group]);
    }
#else
    __trap(); // launched only where code for sm_90a is present: arch.code
#endif
}

} // namespace linear_sm90

#endif
