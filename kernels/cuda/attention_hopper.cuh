/* attention_hopper.cuh — flash attention for sm_90a: one warp feeds tiles by the copy engine, two or three warpgroups
 * of 64 queries each multiply them (the roles of FlashAttention-3).
 *
 *   producer    Q  K0 V0 K1 V1 ...      two buffers of queries, three stages of keys and of values; a full and an empty
 *                                       barrier each
 *   group g     S = Q K0, softmax; then per tile  { S' = Q Kj | O += P Vj-1 }  softmax S' while the product runs
 *
 * Within a group the product of one tile overlaps the softmax of the next; among groups a ring of named barriers hands
 * the turn to issue products round. Blocks stay for the whole launch and take tiles of queries in turn, those of one
 * head side by side so that they share keys in L2; the queries of the next tile arrive while this one is multiplied,
 * and with them which tile it is, so that only the producer, who is ahead, ever reads the pack.
 *
 * Two things that the compiler must be led to; look for them in the SASS. wgmma_wait<0> for O stands behind a branch
 * that the softmax decides: nothing else keeps ptxas from moving the wait up in front of the softmax, which uses none
 * of its results, and with it the overlap is gone. And what steers the loop is uniform() in all lanes, so that
 * descriptors and barrier addresses live in uniform registers and a turn's products are issued back to back.
 *
 * Keys are counted in tiles of 128 from the start of the sequence, the rest rounded up to 32, 64, 96 or 128; a query's
 * bits depend on nothing else, neither on the groups of a block nor on who has the other rows.
 *
 * Floor: 4·64·N·N FLOP a head and sequence, one exponential per 256 of them. 2 x 16 heads x 1406: 16.2 GFLOP, 21 µs at
 * 775 TFLOP/s; exponentials 17 µs at 16 a cycle and multiprocessor, so the two have to overlap. */
#ifndef F5_ATTENTION_HOPPER_CUH
#define F5_ATTENTION_HOPPER_CUH

#include <cuda.h>

#include "attention_rows.cuh"
#include "attention_softmax.cuh"
#include "wgmma.cuh"

namespace attention_hopper {

constexpr int kGroupQueries = 64, kKeys = 128, kBoxRows = 64; /* the copy engine brings 64 rows at a time */
constexpr int kKeyStages = 3, kQueryStages = 2;
constexpr int kBoxBytes = kBoxRows * 128, kKeyTileBytes = kKeys * 128, kQueryTileBytes = kGroupQueries * 128;
static_assert(kKeyTileBytes == 2 * kBoxBytes && kQueryTileBytes == kBoxBytes, "boxes to a tile");

/* Of a thread's 64 scores of a tile, those that become weights before it waits for the output, whose operands the
 * packed weights overwrite. The rest come after, so that packing and adding up fall between exponentials. */
constexpr int kWeighedBefore = 16;

constexpr int threads_for(int groups) {
    return (groups + 1) * 128;
}
constexpr int shared_bytes_for(int groups) {
    return 1024 + kQueryStages * groups * kQueryTileBytes + 2 * kKeyStages * kKeyTileBytes; /* 1024 for barriers */
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

/* Where tiles come from: [rows, prepared*64] and [rows, 3*heads*64] as the copy engine sees them. */
struct tensor_maps {
    CUtensorMap keys; /* the prepared ones */
    CUtensorMap qkv;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* A tile of queries, handed from the producer to the groups. */
struct work_item {
    int head, begin, length, first; /* the sequence's first row and rows; the tile's first row in it */
};

struct barriers {
    work_item items[kQueryStages]; /* whose queries these are; length 0: no more */
    uint64_t queries_full[kQueryStages], queries_empty[kQueryStages];
    uint64_t keys_full[kKeyStages], keys_empty[kKeyStages];
    uint64_t values_full[kKeyStages], values_empty[kKeyStages];
    uint64_t tail; /* a last tile of values, before its rows past the end are cleared */
};
static_assert(sizeof(barriers) <= 1024, "shared_bytes_for");

/* x, which is the same in all lanes, in a way that shows the compiler that it is. */
__device__ __forceinline__ int uniform(int x) {
    return (int)__reduce_or_sync(0xffffffffu, (unsigned int)x);
}

/* Named barriers: 0 is __syncthreads; each group's own; each group's turn to issue products. */
__device__ __forceinline__ int own_barrier(int group) {
    return 1 + group;
}
__device__ __forceinline__ int turn_barrier(int group) {
    return 4 + group;
}

/* ---- work: tiles of `groups` times 64 queries of one head; block b takes b, b + blocks, ... */

template <int groups> struct work_list {
    int per_head, count;
    __device__ __forceinline__ explicit work_list(const attention_device &d) {
        per_head = uniform(count_tiles(d.offsets, d.n_seq, groups * kGroupQueries));
        count = per_head * d.heads;
    }
    __device__ __forceinline__ work_item at(const attention_device &d, int work) const {
        sequence_tile t;
        sequence_tile_find(&t, d.offsets, d.n_seq, groups * kGroupQueries, work % per_head);
        return {work / per_head, uniform(t.begin), uniform(t.length), uniform(t.first)};
    }
};

/* Keys that the last tile of a sequence is multiplied by, a multiple of 32; an only tile is multiplied whole. */
__device__ __forceinline__ int width_of_last(int length) {
    return length < kKeys ? kKeys : ceil_div(length % kKeys, 32) * 32;
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

template <int groups>
__device__ __forceinline__ void feed(const attention_device &d, const work_list<groups> &list, const tensor_maps &maps,
                                     unsigned char *query_tiles, unsigned char *key_tiles, unsigned char *value_tiles,
                                     barriers *b) {
    const int lane = threadIdx.x % 32;
    ring<kQueryStages> queries_at;
    ring<kKeyStages> at;
    uint32_t tail_parity = 0;
    for (int work = blockIdx.x; work < list.count; work += gridDim.x) {
        const work_item t = list.at(d, work);
        const bool prepared = t.head < d.prepared;
        const CUtensorMap *key_map = prepared ? &maps.keys : &maps.qkv;
        const int key_column = (prepared ? t.head : d.heads + t.head) * 64, value_column = (2 * d.heads + t.head) * 64;

        // queries, a box to a group; rows past the end are multiplied like others and not stored
        barrier_wait(&b->queries_empty[queries_at.stage], queries_at.parity ^ 1);
        if (lane == 0) {
            unsigned char *tiles = query_tiles + queries_at.stage * groups * kQueryTileBytes;
            uint64_t *full = &b->queries_full[queries_at.stage];
            b->items[queries_at.stage] = t;
            barrier_expect(full, groups * kQueryTileBytes);
#pragma unroll
            for (int g = 0; g < groups; g++)
                tensor_load(tiles + g * kQueryTileBytes, &maps.qkv, t.head * 64, t.begin + t.first + g * kGroupQueries,
                            full);
        }
        queries_at.next();

        // keys and values
        for (int first = 0; first < t.length; first += kKeys, at.next()) {
            unsigned char *value_tile = value_tiles + at.stage * kKeyTileBytes;
            const int live = t.length - first, row = t.begin + first;
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
                const int width = width_of_last(t.length);
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

/* ---- a group: 128 threads, 64 queries. A thread holds rows r, r + 8 of its warp's 16, r = lane/4: two columns of
 * every eight, 2·(lane%4) and the next. */

/* Issues S = Q K^T, [64,width] over 64. q, k: lower words of tile descriptors; v alike. */
template <typename T, int width>
__device__ __forceinline__ void issue_scores(float (&s)[width / 2], uint32_t q, uint32_t k) {
#pragma unroll
    for (int step = 0; step < 4; step++)
        wgmma_64xn<T, width>(s, descriptor_of(q + step * (uint32_t)kStepAlongRow),
                             descriptor_of(k + step * (uint32_t)kStepAlongRow), step > 0);
    wgmma_commit();
}

/* Issues O += P V, [64,64] over width. */
template <typename T, int width>
__device__ __forceinline__ void issue_output(float (&o)[32], const uint32_t (&p)[width / 4], uint32_t v) {
#pragma unroll
    for (int step = 0; step < width / 16; step++)
        wgmma_64x64<T>(o, p[4 * step], p[4 * step + 1], p[4 * step + 2], p[4 * step + 3],
                       descriptor_of(v + step * (uint32_t)kStepDownRows), true);
    wgmma_commit();
}

/* Four neighbouring lanes hold four words each: word n of lane l goes to lane n as its word l. */
__device__ __forceinline__ void transpose_words(uint32_t (&w)[4]) {
#pragma unroll
    for (int step = 1; step <= 2; step *= 2) {
        const bool upper = threadIdx.x & step;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (i & step) continue;
            const uint32_t got = __shfl_xor_sync(0xffffffffu, upper ? w[i] : w[i + step], step);
            if (upper)
                w[i] = got;
            else
                w[i + step] = got;
        }
    }
}

/* One group at work: its place in the rings, and the tile in its registers. */
template <typename T, int groups> struct group_state {
    const attention_device &d;
    barriers *b;
    const int group, lane;
    uint32_t q, keys, values; /* descriptors: this group's queries; stage 0 */
    ring<kKeyStages> keys_at, values_at;
    float o[32];    /* [64,64] output so far */
    uint32_t p[32]; /* [64,128] weights of the last tile, as A fragments: accumulator order is fragment order */
    softmax_state state;

    __device__ __forceinline__ void take_turn() { named_sync(turn_barrier(group), 256); }
    __device__ __forceinline__ void pass_turn() {
        named_arrive(turn_barrier(group + 1 == groups ? 0 : group + 1), 256);
    }
    __device__ __forceinline__ uint32_t key_tile() const { return keys + keys_at.stage * (kKeyTileBytes >> 4); }
    __device__ __forceinline__ uint32_t value_tile() const { return values + values_at.stage * (kKeyTileBytes >> 4); }
    __device__ __forceinline__ void wait_keys() const { barrier_wait(&b->keys_full[keys_at.stage], keys_at.parity); }
    __device__ __forceinline__ void wait_values() const {
        barrier_wait(&b->values_full[values_at.stage], values_at.parity);
    }
    __device__ __forceinline__ void release_keys() {
        if (lane == 0) barrier_arrive(&b->keys_empty[keys_at.stage]);
        keys_at.next();
    }
    __device__ __forceinline__ void release_values() {
        if (lane == 0) barrier_arrive(&b->values_empty[values_at.stage]);
        values_at.next();
    }
    template <int width> __device__ __forceinline__ void pack_weights(const float (&s)[width / 2]) {
#pragma unroll
        for (int i = 0; i < width / 4; i++) p[i] = pack2<T>(s[2 * i], s[2 * i + 1]);
    }

    /* The first tile of keys: nothing to overlap with. */
    __device__ __forceinline__ void first_tile(int live) {
        float s[kKeys / 2];
        wait_keys();
        take_turn();
        wgmma_hold(s);
        wgmma_fence();
        issue_scores<T, kKeys>(s, q, key_tile());
        pass_turn();
        wgmma_wait<0>();
        wgmma_hold(s);
        release_keys();
        raise_top<kKeys>(s, state, live);
        weigh<0, kKeys / 2>(s, state);
        pack_weights<kKeys>(s);
    }

    /* A further one: its scores beside the output of the tile before, which was whole. */
    template <int width> __device__ __forceinline__ void next_tile(int live) {
        float s[width / 2];
        wait_keys();
        wait_values(); // asked for before these keys
        take_turn();
        wgmma_hold(s);
        wgmma_hold(o);
        wgmma_fence();
        issue_scores<T, width>(s, q, key_tile());
        issue_output<T, kKeys>(o, p, value_tile());
        pass_turn();
        wgmma_wait<1>();
        wgmma_hold(s);
        release_keys();
        raise_top<width>(s, state, live);
        weigh<0, kWeighedBefore>(s, state);

        // the output: shrunk where a maximum rose (by 1, exactly, in the rows of the warp where none did)
        if (__any_sync(0xffffffffu, state.shrink[0] != 1.0f || state.shrink[1] != 1.0f)) {
            wgmma_wait<0>();
            wgmma_hold(o);
#pragma unroll
            for (int i = 0; i < 32; i++) o[i] *= state.shrink[i / 2 % 2];
        }
        wgmma_wait<0>();
        wgmma_hold(o);
        release_values();
        weigh<kWeighedBefore, width / 2>(s, state);
        pack_weights<width>(s);
    }

    /* The output of the last tile. */
    template <int width> __device__ __forceinline__ void last_output() {
        uint32_t weights[width / 4];
#pragma unroll
        for (int i = 0; i < width / 4; i++) weights[i] = p[i];
        wait_values();
        take_turn();
        wgmma_hold(o);
        wgmma_fence();
        issue_output<T, width>(o, weights, value_tile());
        pass_turn();
        wgmma_wait<0>();
        wgmma_hold(o);
        release_values();
    }
    template <int width> __device__ __forceinline__ void last_tile(int live) {
        next_tile<width>(live);
        last_output<width>();
    }

    /* All keys of a sequence of this length. */
    __device__ __forceinline__ void attend_keys(int length) {
        state = {{-INFINITY, -INFINITY}, {0.0f, 0.0f}, {0.0f, 0.0f}};
#pragma unroll
        for (int i = 0; i < 32; i++) o[i] = 0.0f;
        const int whole = length / kKeys, rest = length % kKeys;
        if (whole == 0) {
            first_tile(rest);
            last_output<kKeys>();
            return;
        }
        first_tile(kKeys);
#pragma unroll 1
        for (int tile = 1; tile < whole; tile++) next_tile<kKeys>(kKeys);
        if (rest == 0)
            last_output<kKeys>();
        else if (rest <= 32)
            last_tile<32>(rest);
        else if (rest <= 64)
            last_tile<64>(rest);
        else if (rest <= 96)
            last_tile<96>(rest);
        else
            last_tile<128>(rest);
    }

    /* Divides by the sum and stores, 16 bytes a lane: four lanes have 64 bytes of a row between them. */
    __device__ __forceinline__ void store(const work_item &t) const {
        const int warp = threadIdx.x % 128 / 32;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const float scale = 1.0f / lanes_sum<4>(state.sum[r]);
            const int row = t.first + group * kGroupQueries + warp * 16 + lane / 4 + r * 8;
            T *y = static_cast<T *>(d.y) + (int64_t(t.begin + row) * d.heads + t.head) * 64 + lane % 4 * 8;
#pragma unroll
            for (int half = 0; half < 2; half++) {
                uint32_t words[4];
#pragma unroll
                for (int n = 0; n < 4; n++) {
                    const int i = 16 * half + 4 * n + 2 * r;
                    words[n] = pack2<T>(o[i] * scale, o[i + 1] * scale);
                }
                transpose_words(words);
                if (row < t.length)
                    *reinterpret_cast<uint4 *>(y + half * 32) = make_uint4(words[0], words[1], words[2], words[3]);
            }
        }
    }
};

/* RMSNorm and RoPE of a group's queries, in place. */
template <typename T>
__device__ __forceinline__ void prepare_queries(const attention_device &d, const work_item &t, int group,
                                                unsigned char *tile) {
    const int thread = threadIdx.x % 128;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int part = thread % 8, row = thread / 8 + i * 16;
        const int position = min(t.first + group * kGroupQueries + row, t.length - 1);
        T *at = reinterpret_cast<T *>(tile + swizzled(row, part));
        float x[8];
        load8(x, at);
        prepare_row(x, part, d.q_norm, t.head < d.rope_heads ? d.rope + int64_t(position) * 64 : nullptr);
        store8(at, x);
    }
    shared_fence_async();
    named_sync(own_barrier(group), 128);
}

template <typename T, int groups>
__device__ __forceinline__ void multiply(const attention_device &d, int group, unsigned char *query_tiles,
                                         const unsigned char *key_tiles, const unsigned char *value_tiles,
                                         barriers *b) {
    const int lane = threadIdx.x % 32;
    ring<kQueryStages> queries_at;
    group_state<T, groups> g = {d, b, group, lane, 0, descriptor_low(key_tiles), descriptor_low(value_tiles)};
    if (group == groups - 1) named_arrive(turn_barrier(0), 256); // the first turn is group 0's

    while (true) {
        barrier_wait(&b->queries_full[queries_at.stage], queries_at.parity);
        const work_item &t = b->items[queries_at.stage];
        const int length = uniform(t.length);
        if (length == 0) break;
        unsigned char *queries = query_tiles + (queries_at.stage * groups + group) * kQueryTileBytes;
        if (t.head < d.rope_heads || d.q_norm) prepare_queries<T>(d, t, group, queries);
        g.q = descriptor_low(queries);
        g.attend_keys(length);
        g.store(t);
        __syncwarp(); // all lanes have read the item
        if (lane == 0) barrier_arrive(&b->queries_empty[queries_at.stage]);
        queries_at.next();
    }
    if (group == 0) named_sync(turn_barrier(0), 256); // takes the turn that nobody needs any more
}

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */

template <typename T, int groups>
__global__ void __launch_bounds__(threads_for(groups), 1)
    attend(const __grid_constant__ attention_device d, const __grid_constant__ tensor_maps maps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ __align__(1024) unsigned char tiles[];
    unsigned char *key_tiles = tiles, *value_tiles = key_tiles + kKeyStages * kKeyTileBytes;
    unsigned char *query_tiles = value_tiles + kKeyStages * kKeyTileBytes;
    barriers *b = reinterpret_cast<barriers *>(query_tiles + kQueryStages * groups * kQueryTileBytes);

    if (threadIdx.x == 0) {
        for (int stage = 0; stage < kKeyStages; stage++) {
            barrier_init(&b->keys_full[stage], 1);
            barrier_init(&b->values_full[stage], 1);
            barrier_init(&b->keys_empty[stage], groups * 4); // one arrival of each warp
            barrier_init(&b->values_empty[stage], groups * 4);
        }
        for (int stage = 0; stage < kQueryStages; stage++) {
            barrier_init(&b->queries_full[stage], 1);
            barrier_init(&b->queries_empty[stage], groups * 4);
        }
        barrier_init(&b->tail, 1);
        barrier_init_fence();
    }
    __syncthreads();
    let_next_start();

    if (threadIdx.x < 128) {
        registers_give<producer_registers(groups)>();
        const work_list<groups> list(d); // from the pack, which no kernel writes
        if (threadIdx.x == 0) tensor_map_prefetch(&maps.qkv);
        wait_for_previous();
        if (threadIdx.x < 32) feed<groups>(d, list, maps, query_tiles, key_tiles, value_tiles, b);
    } else {
        registers_take<group_registers(groups)>();
        wait_for_previous();
        const int group = uniform(threadIdx.x / 128 - 1);
        multiply<T, groups>(d, group, query_tiles, key_tiles, value_tiles, b);
    }
#else
    __trap(); // launched only where code for sm_90a is present: cuda_context.hopper
#endif
}

} // namespace attention_hopper

#endif
