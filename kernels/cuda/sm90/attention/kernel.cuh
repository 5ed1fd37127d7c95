/* attention_sm90.cuh — flash attention for sm_90a: one warp feeds tiles by the copy engine, three warpgroups of 64
 * queries each consume them (the roles of FlashAttention-3).
 *
 *   producer    Q  K0 V0 K1 V1 ...      two buffers of queries, three stages of keys and of values; a full and an empty
 *                                       barrier each
 *   group g     S = Q K0, softmax; then per tile  { S' = Q Kj | O += P Vj-1 }  softmax S' while the product runs
 *
 * Within a group the product of one tile overlaps the softmax of the next; among groups a ring of named barriers hands
 * the turn to issue products round. Blocks stay for the whole launch, each with an equal range of it
 * (attention_plan.h); the queries of the next tile arrive while this one is multiplied, and with them which tile it is,
 * so that only the producer, who is ahead, ever reads the pack.
 *
 * Where a tile is divided the block that has its first steps does them before anything else, writes output, sums and
 * biases as they are, 54 KB, and raises a flag; the next block does the other steps last of all. A block waits only for
 * the one before it, and blocks start in the order of their numbers: the lowest that has not ended can always go on.
 *
 * Two things that the compiler must be led to; look for them in the SASS. wgmma_wait<0> for O stands behind a branch
 * that the softmax decides: nothing else keeps ptxas from moving the wait up in front of the softmax, which uses none
 * of its results, and with it the overlap is gone. And what steers the loop is uniform() in all lanes, so that
 * descriptors and barrier addresses live in uniform registers and a turn's products are issued back to back.
 *
 * Keys are counted in tiles of 128 from the start of the sequence, the rest rounded up to 32, 64, 96 or 128; a query's
 * bits depend on nothing else, neither on where a tile is divided nor on who has the other rows.
 *
 * Floor: 4·64·N·N FLOP a head and sequence, one exponential per 256 of them. 2 x 16 heads x 1406: 16.2 GFLOP, 21 µs at
 * 775 TFLOP/s; exponentials 17 µs at 16 a cycle and multiprocessor, so the two have to overlap. */
#ifndef F5_SM90_ATTENTION_KERNEL_CUH
#define F5_SM90_ATTENTION_KERNEL_CUH

#include "kernels/cuda/sm90/attention/consumer.cuh"
#include "kernels/cuda/sm90/attention/work.cuh"

namespace attention_sm90 {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* Keys that a last step is multiplied by, of which `live` are the sequence's: a multiple of 32, or all where it is a
 * block's first. */
__device__ __forceinline__ int width_of_last(int live, bool first) {
    return first ? kKeys : ceil_div(live, 32) * 32;
}

/* ---- producer: one warp, converged throughout */

/* Copies `live` rows of 64 columns, or 64 or 128 with what follows them, and lets `full` know. By one lane. */
__device__ __forceinline__ void copy_tile(unsigned char *tile, const CUtensorMap *map, int column, int row, int live,
                                          uint64_t *full) {
    const bool both = live > kBoxRows;
    barrier_expect(full, both ? 2 * kBoxBytes : kBoxBytes);
    tensor_load(tile, map, column, row, full);
    if (both) tensor_load(tile + kBoxBytes, map, column, row + kBoxRows, full);
}

__device__ __forceinline__ void produce(const attention_device &d, const work_list &list, const block_range &range,
                                     const tensor_maps &maps, const partial_tiles &partial, unsigned char *query_tiles,
                                     unsigned char *key_tiles, unsigned char *value_tiles, barriers *b) {
    const int lane = threadIdx.x % 32;
    ring<kQueryStages> queries_at;
    ring<kKeyStages> at;
    uint32_t tail_parity = 0;
    work_item t = {};
    for (int index = 0; range.item(d, list, index, &t); index++) {
        const bool prepared = t.head < d.prepared_heads;
        const CUtensorMap *key_map = prepared ? &maps.keys : &maps.qkv;
        const int key_column = (prepared ? t.head : d.heads + t.head) * 64, value_column = (2 * d.heads + t.head) * 64;

        // queries, a box to a group; rows past the end are multiplied like others and not stored
        barrier_wait(&b->queries_empty[queries_at.stage], queries_at.parity ^ 1);
        if (lane == 0) {
            unsigned char *tiles = query_tiles + queries_at.stage * kGroups * kQueryTileBytes;
            uint64_t *full = &b->queries_full[queries_at.stage];
            const int live = attention_live_groups(t.length, t.first);
            b->items[queries_at.stage] = t;
            if (t.from > 0) { // the block before has begun this tile
                flag_wait(&partial.flag[blockIdx.x - 1]);
                partial.flag[blockIdx.x - 1] = 0;
            }
            barrier_expect(full, live * kQueryTileBytes);
            for (int g = 0; g < live; g++)
                tensor_load(tiles + g * kQueryTileBytes, &maps.qkv, t.head * 64, t.begin + t.first + g * kGroupQueries,
                            full);
        }
        __syncwarp();
        queries_at.next();

        // keys and values
        for (int step = t.from; step < t.to; step++, at.next()) {
            unsigned char *value_tile = value_tiles + at.stage * kKeyTileBytes;
            const int live = t.length - step * kKeys, row = t.begin + step * kKeys;
            barrier_wait(&b->keys_empty[at.stage], at.parity ^ 1);
            if (lane == 0)
                copy_tile(key_tiles + at.stage * kKeyTileBytes, key_map, key_column, row, live,
                          &b->keys_full[at.stage]);
            barrier_wait(&b->values_empty[at.stage], at.parity ^ 1);
            if (lane == 0)
                copy_tile(value_tile, &maps.qkv, value_column, row, live,
                          live < kKeys ? &b->tail : &b->values_full[at.stage]);
            if (live < kKeys) {
                // rows past the end belong to others and may hold anything: 0 * NaN must not reach the output
                barrier_wait(&b->tail, tail_parity);
                tail_parity ^= 1;
                const int width = width_of_last(live, step == t.from);
                for (int chunk = live * 8 + lane; chunk < width * 8; chunk += 32)
                    reinterpret_cast<uint4 *>(value_tile)[chunk] = make_uint4(0, 0, 0, 0);
                shared_fence_async();
                __syncwarp();
                if (lane == 0) barrier_arrive(&b->values_full[at.stage]);
            }
        }
    }
    barrier_wait(&b->queries_empty[queries_at.stage], queries_at.parity ^ 1);
    if (lane == 0) {
        b->items[queries_at.stage].length = 0;
        barrier_arrive(&b->queries_full[queries_at.stage]);
    }
}

/* Tells the next block that its part of a tile is ready: another warp, so that no group waits for its writes. */
__device__ __forceinline__ void signal_next_block(const block_range &range, const partial_tiles &partial, barriers *b) {
    if (!range.ends_inside_tile()) return;
    barrier_wait(&b->partial_written, 0);
    if (threadIdx.x % 32 == 0) flag_raise(&partial.flag[blockIdx.x]);
}

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */

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
    __trap(); // launched only where code for sm_90a is present: cuda_context.hopper
#endif
}

} // namespace attention_sm90

#endif
