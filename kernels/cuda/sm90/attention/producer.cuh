/* producer.cuh — the producer of attention's sm90 kernel: one warp, converged throughout, that brings queries, keys and
 * values to shared memory by TMA and announces which tile they are. */
#ifndef F5_SM90_ATTENTION_PRODUCER_CUH
#define F5_SM90_ATTENTION_PRODUCER_CUH

#include "kernels/cuda/sm90/attention/work.cuh"

namespace attention_sm90 {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* Keys that a last step is multiplied by, of which `live` are the sequence's: a multiple of 32, or all where it is a
 * block's first. */
__device__ __forceinline__ int width_of_last(int live, bool first) {
    return first ? kKeys : ceil_div(live, 32) * 32;
}

/* Copies `live` rows of 64 columns, rounded up to boxes of 64 rows, and lets `full` know. By one lane. */
__device__ __forceinline__ void copy_tile(unsigned char *tile, const CUtensorMap *map, int column, int row, int live,
                                          uint64_t *full) {
    const bool both = live > kBoxRows;
    barrier_expect(full, both ? 2 * kBoxBytes : kBoxBytes);
    tensor_load(tile, map, column, row, full);
    if (both) tensor_load(tile + kBoxBytes, map, column, row + kBoxRows, full);
}

__device__ __forceinline__ void produce(const attention_device &d, const work_list &list, const block_range &range,
                                        const tensor_maps &maps, const partial_tiles &partial,
                                        unsigned char *query_tiles, unsigned char *key_tiles,
                                        unsigned char *value_tiles, barriers *b) {
    const int lane = threadIdx.x % 32;
    ring<kQueryStages> queries_at;
    ring<kKeyStages> at;
    uint32_t tail_parity = 0;
    work_item t = {};
    for (int index = 0; range.item(d, list, index, &t); index++) {
        const bool prepared = t.head < d.prepared_heads;
        const CUtensorMap *key_map = prepared ? &maps.keys : &maps.qkv;
        const int key_column = (prepared ? t.head : d.heads + t.head) * 64, value_column = (2 * d.heads + t.head) * 64;

        // queries, a box to a group: rows past the end are multiplied like others and not stored
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

/* Tells the next block that the partial tile is there. By another warp, so that no group waits for its own writes. */
__device__ __forceinline__ void signal_next_block(const block_range &range, const partial_tiles &partial, barriers *b) {
    if (!range.ends_inside_tile()) return;
    barrier_wait(&b->partial_written, 0);
    if (threadIdx.x % 32 == 0) flag_raise(&partial.flag[blockIdx.x]);
}

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */

} // namespace attention_sm90

#endif
