/* kernel.cuh — flash attention for sm_90a, a persistent kernel with the roles of FlashAttention-3: one producer warp
 * brings tiles by TMA, three consumer warpgroups of 64 queries each multiply them on the tensor cores.
 *
 *   producer    Q  K0 V0 K1 V1 ...      two buffers of queries, three stages of keys and of values; a full and an empty
 *                                       mbarrier each
 *   consumer g  S = Q K0, softmax; then per tile  { S' = Q Kj | O += P Vj-1 }  online softmax of S' while the second
 *               product runs
 *
 * Within a group the product of one tile overlaps the softmax of the next. Among groups the scheduler barrier, a ring
 * of named barriers, lets one group after the other issue its products. Blocks stay for the whole launch, each with an
 * equal range of the work, stream-K style (plan/attention_sm90.h). The queries of the next tile arrive while this one
 * is multiplied, and with them which tile it is, so that only the producer, which is ahead, ever reads the pack.
 *
 * Where a tile is split, the block that has its first steps does them before anything else, writes output, sums and
 * maxima as they are, 54 KB, and raises a flag. The next block does the other steps last of all. A block waits only for
 * the one before it, and blocks start in the order of their numbers: the lowest that has not ended can always go on.
 *
 * Two properties depend on the compiler; verify them in the SASS after every change. wgmma_wait<0> for O stands behind
 * a branch that the softmax decides: nothing else keeps ptxas from moving the wait up in front of the softmax, which
 * uses none of its results, and with it the overlap is gone. And the values that steer the loop are uniform() in all
 * lanes, so that descriptors and barrier addresses live in uniform registers and a group's products are issued back to
 * back.
 *
 * Keys are counted in tiles of 128 from the start of the sequence, the rest rounded up to 32, 64, 96 or 128. A query's
 * bits depend on nothing else, neither on where a tile is split nor on which sequences have the other rows.
 *
 * Floor: 4·64·N·N FLOP a head and sequence, one exponential per 256 of them. 2 x 16 heads x 1406: 16.2 GFLOP, 21 µs at
 * 775 TFLOP/s; exponentials 17 µs at 16 a cycle and multiprocessor, so the two have to overlap. */
#ifndef F5_SM90_ATTENTION_KERNEL_CUH
#define F5_SM90_ATTENTION_KERNEL_CUH

#include "kernels/cuda/sm90/attention/consumer.cuh"
#include "kernels/cuda/sm90/attention/producer.cuh"

namespace attention_sm90 {

template <typename T>
__global__ void __launch_bounds__(kThreads, 1)
    attention_wgmma(const __grid_constant__ attention_device d, const __grid_constant__ tensor_maps maps,
                    const __grid_constant__ partial_tiles partial) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ __align__(1024) unsigned char tiles[];
    unsigned char *key_tiles = tiles, *value_tiles = key_tiles + kKeyStages * kKeyTileBytes;
    unsigned char *query_tiles = value_tiles + kKeyStages * kKeyTileBytes;
    barriers *b = reinterpret_cast<barriers *>(query_tiles + kQueryStages * kGroups * kQueryTileBytes);

    if (threadIdx.x == 0) {
        for (int stage = 0; stage < kKeyStages; stage++) {
            barrier_init(&b->keys_full[stage], 1);
            barrier_init(&b->values_full[stage], 1);
            barrier_init(&b->keys_empty[stage], kGroups * 4); // one arrival of each warp
            barrier_init(&b->values_empty[stage], kGroups * 4);
        }
        for (int stage = 0; stage < kQueryStages; stage++) {
            barrier_init(&b->queries_full[stage], 1);
            barrier_init(&b->queries_empty[stage], kGroups * 4);
        }
        barrier_init(&b->tail, 1);
        barrier_init(&b->partial_written, kGroups * 4);
        barrier_init_fence();
    }
    __syncthreads();
    let_next_start();

    if (threadIdx.x < 128) {
        registers_give<kProducerRegisters>();
        if (threadIdx.x < 64) {
            const work_list list(d); // from the pack, which no kernel writes
            const block_range range(d, list);
            if (threadIdx.x == 0) tensor_map_prefetch(&maps.qkv);
            wait_for_previous();
            if (threadIdx.x < 32)
                produce(d, list, range, maps, partial, query_tiles, key_tiles, value_tiles, b);
            else
                signal_next_block(range, partial, b);
        } else {
            wait_for_previous();
        }
    } else {
        registers_take<kGroupRegisters>();
        wait_for_previous();
        const int group = uniform(threadIdx.x / 128 - 1);
        consume<T>(d, partial, group, query_tiles, key_tiles, value_tiles, b);
    }
#else
    __trap(); // launched only where code for sm_90a is present: arch.code
#endif
}

} // namespace attention_sm90

#endif
