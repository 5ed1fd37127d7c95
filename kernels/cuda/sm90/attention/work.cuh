/* work.cuh — the ranges of plan/attention_sm90.h, found on the device by whole warps, because lengths are not known on
 * the host.
 *
 * The line of tiles is all those of head 0, sequence by sequence, then those of head 1, ...: neighbours read the same
 * keys. */
#ifndef F5_SM90_ATTENTION_WORK_CUH
#define F5_SM90_ATTENTION_WORK_CUH

#include "kernels/cuda/sm90/attention/layout.cuh"

namespace attention_sm90 {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

__device__ __forceinline__ int lanes_prefix_sum(int v) {
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
        const int below = __shfl_up_sync(0xffffffffu, v, distance);
        if (threadIdx.x % 32 >= distance) v += below;
    }
    return v;
}

/* All tiles of the launch. */
struct work_list {
    int per_head;              /* tiles */
    int64_t cost = 0;          /* of a head */
    int64_t max_tile_cost = 0; /* of its tiles */
    __device__ __forceinline__ explicit work_list(const attention_device &d) {
        per_head = 0;
        for (int s = threadIdx.x % 32; s < d.n_seq; s += 32) {
            const int length = d.offsets[s + 1] - d.offsets[s];
            per_head += attention_tiles(length), cost += attention_sequence_cost(length);
            max_tile_cost = max(max_tile_cost, attention_tile_cost(length, attention_live_groups(length, 0)));
        }
#pragma unroll
        for (int distance = 16; distance > 0; distance /= 2) {
            per_head += __shfl_xor_sync(0xffffffffu, per_head, distance);
            cost += __shfl_xor_sync(0xffffffffu, cost, distance);
            max_tile_cost = max(max_tile_cost, __shfl_xor_sync(0xffffffffu, max_tile_cost, distance));
        }
        per_head = uniform(per_head);
    }
    __device__ __forceinline__ work_item at(const attention_device &d, int tile) const {
        sequence_tile t;
        sequence_tile_find(&t, d.offsets, d.n_seq, kTileQueries, tile % per_head);
        return {tile / per_head,
                uniform(t.begin),
                uniform(t.length),
                uniform(t.first),
                0,
                uniform(attention_steps(t.length))};
    }
    /* The position nearest to `target` of the cost of all heads, which is below 2^31. */
    __device__ __forceinline__ attention_position position_at(const attention_device &d, int target) const {
        const int head = target / (int)cost;
        int before = head * per_head;
        target -= head * (int)cost;
        for (int group = 0; head < d.heads; group += 32) {
            const int s = group + threadIdx.x % 32;
            const int length = s < d.n_seq ? d.offsets[s + 1] - d.offsets[s] : 0;
            const int costs = lanes_prefix_sum((int)attention_sequence_cost(length));
            const int tiles = lanes_prefix_sum(attention_tiles(length));
            const unsigned int owners = __ballot_sync(0xffffffffu, target < costs);
            if (owners) {
                const int owner = __ffs(owners) - 1;
                const int before_it = costs - (int)attention_sequence_cost(length);
                attention_position position = attention_position_at(
                    __shfl_sync(0xffffffffu, length, owner), target - __shfl_sync(0xffffffffu, before_it, owner));
                position.tile += before + __shfl_sync(0xffffffffu, tiles - attention_tiles(length), owner);
                return position;
            }
            target -= __shfl_sync(0xffffffffu, costs, 31);
            before += __shfl_sync(0xffffffffu, tiles, 31);
        }
        return {before, 0};
    }
    /* Where the range of block `index` begins and that of the block before ends. */
    __device__ __forceinline__ attention_position begin_of(const attention_device &d, int index) const {
        const int tiles = per_head * d.heads, blocks = gridDim.x;
        const int64_t all = cost * d.heads;
        if (!attention_splits_tiles(all, max_tile_cost, tiles, blocks))
            return {attention_whole_tiles_before(tiles, blocks, index), 0};
        return position_at(d, attention_cost_before((int)all, blocks, index));
    }
};

/* What a block multiplies: from one position to another. The partial tile for the next block comes first, so that the
 * next block waits briefly; the partial tile of the block before comes last. */
struct block_range {
    attention_position begin, end;
    __device__ __forceinline__ block_range(const attention_device &d, const work_list &list)
        : begin(list.begin_of(d, blockIdx.x)), end(list.begin_of(d, blockIdx.x + 1)) {}
    __device__ __forceinline__ bool ends_inside_tile() const { return end.step > 0; }
    __device__ __forceinline__ bool within_tile() const { return begin.tile == end.tile; }
    /* Item `index` of the range, 0, 1, ...; false past the last. */
    __device__ __forceinline__ bool item(const attention_device &d, const work_list &list, int index,
                                         work_item *t) const {
        if (ends_inside_tile() && index == 0) {
            *t = list.at(d, end.tile);
            t->to = end.step;
            if (within_tile()) t->from = begin.step;
            return true;
        }
        const int tile = begin.tile + (begin.step > 0) + index - ends_inside_tile();
        if (tile < end.tile) {
            *t = list.at(d, tile);
            return true;
        }
        if (tile > end.tile || begin.step == 0 || within_tile()) return false;
        *t = list.at(d, begin.tile);
        t->from = begin.step;
        return true;
    }
};

#endif

} // namespace attention_sm90

#endif
