/* attention_hopper.cuh — flash attention for sm_90a: one warp feeds tiles by the copy engine, two or three warpgroups
 * of 64 queries each multiply them (the roles of FlashAttention-3).
 *
 *   producer    K0 V0 K1 V1 ...         two stages of each; a full and an empty barrier per stage
 *   group g     S = Q K0, softmax; then per tile  { S' = Q Kj | O += P Vj-1 }  softmax S' while the product runs
 *
 * Within a group the product of one tile overlaps the softmax of the next; among groups a ring of named barriers lets
 * one issue its products while the others are at their exponentials. Blocks stay for the whole launch and take tiles of
 * queries in turn, those of one head side by side so that they share keys in L2.
 *
 * Floor: 4·64·N·N FLOP a head and sequence, one exponential per 256 of them. 2 x 16 heads x 1406: 16.2 GFLOP, 21 µs at
 * 775 TFLOP/s; exponentials 17 µs at 16 a cycle and multiprocessor, so the two have to overlap. */
#ifndef F5_ATTENTION_HOPPER_CUH
#define F5_ATTENTION_HOPPER_CUH

#include <cuda.h>

#include "attention_rows.cuh"
#include "ptx.cuh"

namespace attention_hopper {

constexpr int kGroupQueries = 64, kKeys = 128, kStages = 2;
constexpr int kKeyTileBytes = kKeys * 128, kQueryTileBytes = kGroupQueries * 128;

constexpr int threads_for(int groups) {
    return (groups + 1) * 128;
}
constexpr int shared_bytes_for(int groups) {
    return 1024 + groups * kQueryTileBytes + 2 * kStages * kKeyTileBytes; /* 1024 to align */
}
/* Registers a thread: the block's share of 64 K, moved from the producer to the groups. */
__host__ __device__ constexpr int producer_registers(int groups) {
    return groups == 2 ? 40 : 32;
}
__host__ __device__ constexpr int group_registers(int groups) {
    return groups == 2 ? 232 : 160;
}
static_assert(128 * (producer_registers(2) + 2 * group_registers(2)) <= 65536, "register file");
static_assert(128 * (producer_registers(3) + 3 * group_registers(3)) <= 65536, "register file");

/* Where tiles of keys and values come from: [rows, heads*64] and [rows, 3*heads*64] as the copy engine sees them. */
struct tensor_maps {
    CUtensorMap keys; /* the prepared ones */
    CUtensorMap qkv;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

struct barriers {
    uint64_t keys_full[kStages], keys_empty[kStages];
    uint64_t values_full[kStages], values_empty[kStages];
    uint64_t tail; /* a last tile of values, before its rows past the end are cleared */
};

/* The place of a tile in the ring of stages. */
struct stage_counter {
    int stage = 0;
    uint32_t parity = 0;
    __device__ __forceinline__ void next() {
        if (++stage == kStages) stage = 0, parity ^= 1;
    }
};

/* Named barriers: 0 is __syncthreads; each group's own; each group's turn to issue products. */
__device__ __forceinline__ int own_barrier(int group) {
    return 1 + group;
}
__device__ __forceinline__ int turn_barrier(int group) {
    return 4 + group;
}

/* ---- producer: one warp, converged throughout */
template <int groups>
__device__ __forceinline__ void feed(const attention_device &d, const tensor_maps &maps, unsigned char *key_tiles,
                                     unsigned char *value_tiles, barriers *b) {
    const int lane = threadIdx.x % 32, per_head = count_tiles(d.offsets, d.n_seq, groups * kGroupQueries);
    stage_counter at;
    uint32_t tail_parity = 0;
    for (int work = blockIdx.x; work < per_head * d.heads; work += gridDim.x) {
        const int head = work / per_head;
        query_tile t;
        find_tile(&t, d.offsets, d.n_seq, groups * kGroupQueries, work % per_head);
        const bool prepared = head < d.prepared;
        const CUtensorMap *key_map = prepared ? &maps.keys : &maps.qkv;
        const int key_column = (prepared ? head : d.heads + head) * 64, value_column = (2 * d.heads + head) * 64;

        for (int first = 0; first < t.length; first += kKeys, at.next()) {
            unsigned char *key_tile = key_tiles + at.stage * kKeyTileBytes;
            unsigned char *value_tile = value_tiles + at.stage * kKeyTileBytes;
            barrier_wait(&b->keys_empty[at.stage], at.parity ^ 1);
            if (lane == 0) {
                barrier_expect(&b->keys_full[at.stage], kKeyTileBytes);
                tensor_load(key_tile, key_map, key_column, t.begin + first, &b->keys_full[at.stage]);
            }
            barrier_wait(&b->values_empty[at.stage], at.parity ^ 1);
            const int live = t.length - first;
            uint64_t *filled = live < kKeys ? &b->tail : &b->values_full[at.stage];
            if (lane == 0) {
                barrier_expect(filled, kKeyTileBytes);
                tensor_load(value_tile, &maps.qkv, value_column, t.begin + first, filled);
            }
            if (live < kKeys) {
                // rows past the end belong to others and may hold anything: 0 * NaN must not reach the output
                barrier_wait(&b->tail, tail_parity);
                tail_parity ^= 1;
                for (int chunk = live * 8 + lane; chunk < kKeys * 8; chunk += 32)
                    reinterpret_cast<uint4 *>(value_tile)[chunk] = make_uint4(0, 0, 0, 0);
                shared_fence_async();
                __syncwarp();
                if (lane == 0) barrier_arrive(&b->values_full[at.stage]);
            }
        }
    }
}

/* ---- a group: 128 threads, 64 queries. A thread holds rows r, r + 8 of its warp's 16, r = lane/4: two columns of
 * every eight, 2·(lane%4) and the next. */

struct softmax_state {
    float top[2], sum[2], shrink[2];
};

/* scores [64,128] become weights; the state moves on; shrink is what the output so far must be multiplied by. */
__device__ __forceinline__ void soften(float (&s)[64], softmax_state &state, int left) {
    if (left < kKeys) {
        const int column = threadIdx.x % 4 * 2;
#pragma unroll
        for (int i = 0; i < 64; i++)
            if (i / 4 * 8 + i % 2 + column >= left) s[i] = -INFINITY;
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float highest = state.top[r];
#pragma unroll
        for (int i = 0; i < 64; i += 4) highest = fmaxf(highest, fmaxf(s[i + 2 * r], s[i + 2 * r + 1]));
        highest = lanes_max<4>(highest);
        const float shift = highest * kScoreScale;
        state.shrink[r] = ex2(fmaf(state.top[r], kScoreScale, -shift));
        state.top[r] = highest;
        float added[2] = {};
#pragma unroll
        for (int i = 0; i < 64; i += 4)
#pragma unroll
            for (int j = 0; j < 2; j++) {
                s[i + 2 * r + j] = ex2(fmaf(s[i + 2 * r + j], kScoreScale, -shift));
                added[j] += s[i + 2 * r + j];
            }
        state.sum[r] = fmaf(state.sum[r], state.shrink[r], added[0] + added[1]);
    }
}

/* Issues S = Q K^T, [64,128] over 64. */
template <typename T> __device__ __forceinline__ void issue_scores(float (&s)[64], uint64_t q, uint64_t k) {
#pragma unroll
    for (int step = 0; step < 4; step++)
        wgmma_64x128<T>(s, q + step * kStepAlongRow, k + step * kStepAlongRow, step > 0);
    wgmma_commit();
}

/* Issues O += P V, [64,64] over 128. */
template <typename T>
__device__ __forceinline__ void issue_output(float (&o)[32], const uint32_t (&p)[32], uint64_t v, bool keep) {
#pragma unroll
    for (int step = 0; step < 8; step++)
        wgmma_64x64<T>(o, p[4 * step], p[4 * step + 1], p[4 * step + 2], p[4 * step + 3], v + step * kStepDownRows,
                       keep || step > 0);
    wgmma_commit();
}

/* Weights as A fragments: accumulator order is fragment order, two at a time. */
template <typename T> __device__ __forceinline__ void pack_weights(uint32_t (&p)[32], const float (&s)[64]) {
#pragma unroll
    for (int i = 0; i < 32; i++) p[i] = pack2<T>(s[2 * i], s[2 * i + 1]);
}

template <typename T, int groups>
__device__ __forceinline__ void multiply(const attention_device &d, int group, unsigned char *query_bytes,
                                         const unsigned char *key_tiles, const unsigned char *value_tiles,
                                         barriers *b) {
    const int thread = threadIdx.x % 128, lane = threadIdx.x % 32, warp = thread / 32;
    const int next_group = group + 1 == groups ? 0 : group + 1;
    const int per_head = count_tiles(d.offsets, d.n_seq, groups * kGroupQueries);
    const uint64_t q = tile_descriptor(query_bytes), k0 = tile_descriptor(key_tiles), v0 = tile_descriptor(value_tiles);
    constexpr uint64_t stage_step = kKeyTileBytes >> 4;
    stage_counter keys_at, values_at;
    if (group == groups - 1) named_arrive(turn_barrier(0), 256); // the first turn is group 0's

    for (int work = blockIdx.x; work < per_head * d.heads; work += gridDim.x) {
        const int head = work / per_head;
        query_tile t;
        find_tile(&t, d.offsets, d.n_seq, groups * kGroupQueries, work % per_head);
        t.first += group * kGroupQueries;

        // queries: made ready on their way into shared memory
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int part = thread % 8, row = thread / 8 + i * 16;
            float x[8];
            load_query<T>(x, d, t, row, head, part);
            store8(reinterpret_cast<T *>(query_bytes + swizzled(row, part)), x);
        }
        shared_fence_async();
        named_sync(own_barrier(group), 128);

        float s[64], o[32];
        uint32_t p[32];
        softmax_state state = {{-INFINITY, -INFINITY}, {0.0f, 0.0f}, {0.0f, 0.0f}};
#pragma unroll
        for (int i = 0; i < 32; i++) o[i] = 0.0f;

        // first tile of keys
        barrier_wait(&b->keys_full[keys_at.stage], keys_at.parity);
        wgmma_hold(s);
        wgmma_fence();
        issue_scores<T>(s, q, k0 + keys_at.stage * stage_step);
        wgmma_wait<0>();
        wgmma_hold(s);
        if (lane == 0) barrier_arrive(&b->keys_empty[keys_at.stage]);
        keys_at.next();
        soften(s, state, t.length);
        pack_weights<T>(p, s);

        // scores of this tile beside the output of the last one
        for (int first = kKeys; first < t.length; first += kKeys) {
            barrier_wait(&b->keys_full[keys_at.stage], keys_at.parity);
            barrier_wait(&b->values_full[values_at.stage], values_at.parity); // asked for before these keys
            named_sync(turn_barrier(group), 256);
            wgmma_hold(s);
            wgmma_hold(o);
            wgmma_fence();
            issue_scores<T>(s, q, k0 + keys_at.stage * stage_step);
            issue_output<T>(o, p, v0 + values_at.stage * stage_step, true);
            named_arrive(turn_barrier(next_group), 256);
            wgmma_wait<1>();
            wgmma_hold(s);
            if (lane == 0) barrier_arrive(&b->keys_empty[keys_at.stage]);
            keys_at.next();
            soften(s, state, t.length - first);
            wgmma_wait<0>();
            wgmma_hold(o);
            if (lane == 0) barrier_arrive(&b->values_empty[values_at.stage]);
            values_at.next();
#pragma unroll
            for (int i = 0; i < 32; i++) o[i] *= state.shrink[i / 2 % 2];
            pack_weights<T>(p, s);
        }

        // output of the last tile
        barrier_wait(&b->values_full[values_at.stage], values_at.parity);
        wgmma_hold(o);
        wgmma_fence();
        issue_output<T>(o, p, v0 + values_at.stage * stage_step, true);
        wgmma_wait<0>();
        wgmma_hold(o);
        if (lane == 0) barrier_arrive(&b->values_empty[values_at.stage]);
        values_at.next();

        // divide by the sum; through the queries' memory, so that whole rows are stored
        named_sync(own_barrier(group), 128);
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const float scale = 1.0f / lanes_sum<4>(state.sum[r]);
            const int row = warp * 16 + lane / 4 + r * 8;
#pragma unroll
            for (int n = 0; n < 8; n++)
                *reinterpret_cast<uint32_t *>(query_bytes + swizzled(row, n) + lane % 4 * 4) =
                    pack2<T>(o[4 * n + 2 * r] * scale, o[4 * n + 2 * r + 1] * scale);
        }
        named_sync(own_barrier(group), 128);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            // the chunk that this thread fills with queries next time: no barrier is needed in between
            const int part = thread % 8, row = thread / 8 + i * 16;
            if (t.first + row >= t.length) continue;
            T *y = static_cast<T *>(d.y) + (int64_t(t.begin + t.first + row) * d.heads + head) * 64 + part * 8;
            *reinterpret_cast<uint4 *>(y) = *reinterpret_cast<const uint4 *>(query_bytes + swizzled(row, part));
        }
    }
    if (group == 0) named_sync(turn_barrier(0), 256); // takes the turn that nobody needs any more
}

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */

template <typename T, int groups>
__global__ void __launch_bounds__(threads_for(groups), 1)
    attend(const __grid_constant__ attention_device d, const __grid_constant__ tensor_maps maps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ unsigned char dynamic_shared[];
    __shared__ barriers b;
    unsigned char *tiles = dynamic_shared + (-shared_address(dynamic_shared) & 1023u);
    unsigned char *key_tiles = tiles, *value_tiles = key_tiles + kStages * kKeyTileBytes;
    unsigned char *query_tiles = value_tiles + kStages * kKeyTileBytes;

    if (threadIdx.x == 0) {
        for (int stage = 0; stage < kStages; stage++) {
            barrier_init(&b.keys_full[stage], 1);
            barrier_init(&b.values_full[stage], 1);
            barrier_init(&b.keys_empty[stage], groups * 4); // one arrival of each warp
            barrier_init(&b.values_empty[stage], groups * 4);
        }
        barrier_init(&b.tail, 1);
        barrier_init_fence();
    }
    __syncthreads();
    let_next_start();
    wait_for_previous();

    if (threadIdx.x < 128) {
        registers_give<producer_registers(groups)>();
        if (threadIdx.x < 32) feed<groups>(d, maps, key_tiles, value_tiles, &b);
    } else {
        registers_take<group_registers(groups)>();
        const int group = __shfl_sync(0xffffffffu, threadIdx.x / 128 - 1, 0);
        multiply<T, groups>(d, group, query_tiles + group * kQueryTileBytes, key_tiles, value_tiles, &b);
    }
#else
    __trap(); // launched only where code for sm_90a is present: cuda_context.hopper
#endif
}

} // namespace attention_hopper

#endif
