/* attention_hopper.cuh — experimental */
#ifndef F5_ATTENTION_HOPPER_CUH
#define F5_ATTENTION_HOPPER_CUH

#include <cuda.h>

#include "attention_rows.cuh"
#include "wgmma.cuh"

#ifndef ATT_STAGES
#define ATT_STAGES 2
#endif
#ifndef ATT_TURNS
#define ATT_TURNS 1
#endif
#ifndef ATT_POLY
#define ATT_POLY 0 /* of 16 */
#endif
#ifndef ATT_LAZY
#define ATT_LAZY 1
#endif

namespace attention_hopper {

constexpr int kGroupQueries = 64, kKeys = 128, kStages = ATT_STAGES, kBoxRows = 64;
constexpr int kKeyTileBytes = kKeys * 128, kBoxBytes = kBoxRows * 128, kQueryTileBytes = kGroupQueries * 128;

constexpr int threads_for(int groups) {
    return (groups + 1) * 128;
}
constexpr int shared_bytes_for(int groups) {
    return 1024 + 2 * groups * kQueryTileBytes + 2 * kStages * kKeyTileBytes; /* 1024 to align */
}
__host__ __device__ constexpr int producer_registers(int groups) {
    return groups == 2 ? 24 : 32;
}
__host__ __device__ constexpr int group_registers(int groups) {
    return groups == 2 ? 240 : 160;
}

struct tensor_maps {
    CUtensorMap keys; /* the prepared ones */
    CUtensorMap qkv;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

struct barriers {
    uint64_t keys_full[kStages], keys_empty[kStages];
    uint64_t values_full[kStages], values_empty[kStages];
    uint64_t queries_full[2], queries_empty[2];
    uint64_t tail; /* a last tile of values, before its rows past the end are cleared */
};

/* The place of a tile in the ring of stages. */
template <int stages> struct ring {
    int stage = 0;
    uint32_t parity = 0;
    __device__ __forceinline__ void next() {
        if (++stage == stages) stage = 0, parity ^= 1;
    }
};

/* Tells the compiler that a value is the same in all lanes: it lives in a uniform register, and so does what is
 * computed from it. */
__device__ __forceinline__ int uniform(int x) {
    return __reduce_or_sync(0xffffffffu, x);
}

__device__ __forceinline__ int own_barrier(int group) {
    return 1 + group;
}
__device__ __forceinline__ int turn_barrier(int group) {
    return 4 + group;
}

struct work_item {
    int head, begin, length, first;
};

template <int groups> struct work_list {
    int per_head, count;
    __device__ __forceinline__ work_list(const attention_device &d) {
        per_head = uniform(count_tiles(d.offsets, d.n_seq, groups * kGroupQueries));
        count = per_head * d.heads;
    }
    __device__ __forceinline__ work_item at(const attention_device &d, int work) const {
        query_tile t;
        find_tile(&t, d.offsets, d.n_seq, groups * kGroupQueries, work % per_head);
        return {work / per_head, uniform(t.begin), uniform(t.length), uniform(t.first)};
    }
};

/* Keys of a last tile are counted up to the next multiple of 32, those of an only tile all. */
__device__ __forceinline__ int width_of_last(int length) {
    return length < kKeys ? kKeys : ceil_div(length % kKeys, 32) * 32;
}

/* ---- producer: one warp, converged throughout */
template <int groups>
__device__ __forceinline__ void feed(const attention_device &d, const tensor_maps &maps, unsigned char *query_tiles,
                                     unsigned char *key_tiles, unsigned char *value_tiles, barriers *b) {
    const int lane = threadIdx.x % 32;
    const work_list<groups> list(d);
    ring<kStages> at;
    ring<2> queries_at;
    uint32_t tail_parity = 0;
    for (int work = blockIdx.x; work < list.count; work += gridDim.x) {
        const work_item t = list.at(d, work);
        const bool prepared = t.head < d.prepared;
        const CUtensorMap *key_map = prepared ? &maps.keys : &maps.qkv;
        const int query_column = t.head * 64;
        const int key_column = (prepared ? t.head : d.heads + t.head) * 64, value_column = (2 * d.heads + t.head) * 64;

        barrier_wait(&b->queries_empty[queries_at.stage], queries_at.parity ^ 1);
        if (lane == 0) {
            uint64_t *full = &b->queries_full[queries_at.stage];
            barrier_expect(full, groups * kQueryTileBytes);
#pragma unroll
            for (int g = 0; g < groups; g++)
                tensor_load(query_tiles + (queries_at.stage * groups + g) * kQueryTileBytes, &maps.qkv, query_column,
                            t.begin + t.first + g * kGroupQueries, full);
        }
        queries_at.next();

        for (int first = 0; first < t.length; first += kKeys, at.next()) {
            unsigned char *key_tile = key_tiles + at.stage * kKeyTileBytes;
            unsigned char *value_tile = value_tiles + at.stage * kKeyTileBytes;
            const int live = t.length - first, row = t.begin + first;
            const bool whole = live > kBoxRows; // or the first box holds all
            const uint32_t bytes = whole ? kKeyTileBytes : kBoxBytes;
            barrier_wait(&b->keys_empty[at.stage], at.parity ^ 1);
            if (lane == 0) {
                uint64_t *full = &b->keys_full[at.stage];
                barrier_expect(full, bytes);
                tensor_load(key_tile, key_map, key_column, row, full);
                if (whole) tensor_load(key_tile + kBoxBytes, key_map, key_column, row + kBoxRows, full);
            }
            barrier_wait(&b->values_empty[at.stage], at.parity ^ 1);
            uint64_t *full = live < kKeys ? &b->tail : &b->values_full[at.stage];
            if (lane == 0) {
                barrier_expect(full, bytes);
                tensor_load(value_tile, &maps.qkv, value_column, row, full);
                if (whole) tensor_load(value_tile + kBoxBytes, &maps.qkv, value_column, row + kBoxRows, full);
            }
            if (live < kKeys) {
                // rows past the end belong to others and may hold anything: 0 * NaN must not reach the output
                barrier_wait(&b->tail, tail_parity);
                tail_parity ^= 1;
                const int used = width_of_last(t.length);
                for (int chunk = live * 8 + lane; chunk < used * 8; chunk += 32)
                    reinterpret_cast<uint4 *>(value_tile)[chunk] = make_uint4(0, 0, 0, 0);
                shared_fence_async();
                __syncwarp();
                if (lane == 0) barrier_arrive(&b->values_full[at.stage]);
            }
        }
    }
}

/* ---- a group */

struct softmax_state {
    float top[2], sum[2], shrink[2];
};

/* 2^x by the multiply-add pipe, x <= 8: 2^round(x) shifted into the exponent, times a cubic in the rest. */
__device__ __forceinline__ float ex2_cubic(float x) {
    x = fmaxf(x, -126.0f);
    const float shifted = x + 12582912.0f; // 1.5 * 2^23: the fraction is rounded away
    const float rest = x - (shifted - 12582912.0f);
    const float y = fmaf(fmaf(fmaf(0.05517167f, rest, 0.24261113f), rest, 0.69326099f), rest, 0.99992807f);
    return __int_as_float(__float_as_int(y) + (__float_as_int(shifted) << 23));
}

template <int width>
__device__ __forceinline__ void soften(float (&s)[width / 2], softmax_state &state, int live) {
    if (live < width) {
        const int column = threadIdx.x % 4 * 2;
#pragma unroll
        for (int i = 0; i < width / 2; i++)
            if (i / 4 * 8 + i % 2 + column >= live) s[i] = -INFINITY;
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float highest = fmaxf(s[2 * r], s[2 * r + 1]);
#pragma unroll
        for (int i = 4; i < width / 2; i += 4) highest = fmaxf(highest, fmaxf(s[i + 2 * r], s[i + 2 * r + 1]));
        highest = lanes_max<4>(highest);
        const float was = state.top[r];
#if ATT_LAZY
        if (highest > was + 8.0f / kScoreScale) state.top[r] = highest;
#else
        state.top[r] = fmaxf(was, highest);
#endif
        const float shift = state.top[r] * kScoreScale;
        state.shrink[r] = ex2((was - state.top[r]) * kScoreScale);
        float added[2] = {};
#pragma unroll
        for (int i = 0; i < width / 2; i += 4)
#pragma unroll
            for (int j = 0; j < 2; j++) {
                const float x = fmaf(s[i + 2 * r + j], kScoreScale, -shift);
#ifdef ATT_NOEXP
                s[i + 2 * r + j] = x;
#else
                s[i + 2 * r + j] = i % 16 / 4 * 2 + j < ATT_POLY / 2 ? ex2_cubic(x) : ex2(x);
#endif
                added[j] += s[i + 2 * r + j];
            }
        state.sum[r] = fmaf(state.sum[r], state.shrink[r], added[0] + added[1]);
    }
}

__device__ __forceinline__ uint64_t descriptor_at(uint32_t low) {
    return (uint64_t)(1u << 30 | 1024 >> 4) << 32 | low;
}
/* the low word; group stride in its upper half */
__device__ __forceinline__ uint32_t descriptor_low(const void *tile) {
    return (1024u >> 4) << 16 | (shared_address(tile) & 0x3ffff) >> 4;
}

/* Issues S = Q K^T, [64,width] over 64. */
template <typename T, int width> __device__ __forceinline__ void issue_scores(float (&s)[width / 2], uint32_t q, uint32_t k) {
#pragma unroll
    for (int step = 0; step < 4; step++)
        wgmma_64xn<T, width>(s, descriptor_at(q + step * (uint32_t)kStepAlongRow), descriptor_at(k + step * (uint32_t)kStepAlongRow), step > 0);
    wgmma_commit();
}

/* Issues O += P V, [64,64] over width. */
template <typename T, int width>
__device__ __forceinline__ void issue_output(float (&o)[32], const uint32_t (&p)[width / 4], uint32_t v) {
#pragma unroll
    for (int step = 0; step < width / 16; step++)
        wgmma_64x64<T>(o, p[4 * step], p[4 * step + 1], p[4 * step + 2], p[4 * step + 3], descriptor_at(v + step * (uint32_t)kStepDownRows),
                       true);
    wgmma_commit();
}

template <typename T, int width>
__device__ __forceinline__ void pack_weights(uint32_t (&p)[width / 4], const float (&s)[width / 2]) {
#pragma unroll
    for (int i = 0; i < width / 4; i++) p[i] = pack2<T>(s[2 * i], s[2 * i + 1]);
}

/* Four lanes hold four words each; lane l's word n becomes lane n's word l. */
__device__ __forceinline__ void transpose_words(uint32_t (&w)[4], int l) {
#pragma unroll
    for (int step = 1; step <= 2; step *= 2) {
        const bool upper = l & step;
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

template <typename T, int groups> struct group_task {
    const attention_device &d;
    barriers *b;
    const int group, lane;
    uint32_t q, k0, v0;
    ring<kStages> keys_at, values_at;
    float o[32];
    uint32_t p[32];
    softmax_state state;

    __device__ __forceinline__ void take_turn() {
        if (ATT_TURNS) named_sync(turn_barrier(group), 256);
    }
    __device__ __forceinline__ void pass_turn() {
        if (ATT_TURNS) named_arrive(turn_barrier(group + 1 == groups ? 0 : group + 1), 256);
    }
    __device__ __forceinline__ uint32_t key_tile() {
        return k0 + keys_at.stage * (kKeyTileBytes >> 4);
    }
    __device__ __forceinline__ uint32_t value_tile() {
        return v0 + values_at.stage * (kKeyTileBytes >> 4);
    }
    __device__ __forceinline__ void wait_keys() {
        barrier_wait(&b->keys_full[keys_at.stage], keys_at.parity);
    }
    __device__ __forceinline__ void wait_values() {
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
    __device__ __forceinline__ void shrink_output() {
        if (__any_sync(0xffffffffu, state.shrink[0] != 1.0f || state.shrink[1] != 1.0f)) {
            wgmma_wait<0>();
            wgmma_hold(o);
#pragma unroll
            for (int i = 0; i < 32; i++) o[i] *= state.shrink[i / 2 % 2];
        }
    }

    /* The first tile: nothing to overlap with. */
    template <int width> __device__ __forceinline__ void first_tile(int live) {
        float s[width / 2];
        wait_keys();
        take_turn();
        wgmma_hold(s);
        wgmma_fence();
        issue_scores<T, width>(s, q, key_tile());
        pass_turn();
        wgmma_wait<0>();
        wgmma_hold(s);
        release_keys();
        soften<width>(s, state, live);
        uint32_t packed[width / 4];
        pack_weights<T, width>(packed, s);
#pragma unroll
        for (int i = 0; i < width / 4; i++) p[i] = packed[i];
    }
    /* A further one: its scores beside the output of the last, which was whole. */
    template <int width> __device__ __forceinline__ void next_tile(int live) {
        float s[width / 2];
        wait_keys();
        wait_values(); // asked for before these keys
        take_turn();
        wgmma_hold(s);
        wgmma_hold(o);
        wgmma_fence();
        issue_scores<T, width>(s, q, key_tile());
#ifndef ATT_NOPV
        issue_output<T, kKeys>(o, p, value_tile());
#endif
        pass_turn();
        wgmma_wait<1>();
        wgmma_hold(s);
        release_keys();
        soften<width>(s, state, live);
        shrink_output();
        wgmma_wait<0>();
        wgmma_hold(o);
        release_values();
#pragma unroll
        for (int i = 0; i < width / 4; i++) p[i] = pack2<T>(s[2 * i], s[2 * i + 1]);
    }
    template <int width> __device__ __forceinline__ void last_output() {
        uint32_t packed[width / 4];
#pragma unroll
        for (int i = 0; i < width / 4; i++) packed[i] = p[i];
        wait_values();
        take_turn();
        wgmma_hold(o);
        wgmma_fence();
        issue_output<T, width>(o, packed, value_tile());
        pass_turn();
        wgmma_wait<0>();
        wgmma_hold(o);
        release_values();
    }
    template <int width> __device__ __forceinline__ void last_tile(int live) {
        next_tile<width>(live);
        last_output<width>();
    }

    __device__ __forceinline__ void run(int length) {
        state = {{-INFINITY, -INFINITY}, {0.0f, 0.0f}, {0.0f, 0.0f}};
#pragma unroll
        for (int i = 0; i < 32; i++) o[i] = 0.0f;
        const int whole = length / kKeys, live = length % kKeys;
        if (whole == 0) {
            first_tile<kKeys>(live);
            last_output<kKeys>();
            return;
        }
        first_tile<kKeys>(kKeys);
#pragma unroll 1
        for (int tile = 1; tile < whole; tile++) next_tile<kKeys>(kKeys);
        if (live == 0)
            last_output<kKeys>();
        else if (live <= 32)
            last_tile<32>(live);
        else if (live <= 64)
            last_tile<64>(live);
        else if (live <= 96)
            last_tile<96>(live);
        else
            last_tile<128>(live);
    }

    __device__ __forceinline__ void store(const work_item &t) {
        const int warp = threadIdx.x % 128 / 32;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const float scale = 1.0f / lanes_sum<4>(state.sum[r]);
            const int row = t.first + group * kGroupQueries + warp * 16 + lane / 4 + r * 8;
            T *y = static_cast<T *>(d.y) + (int64_t(t.begin + row) * d.heads + t.head) * 64 + lane % 4 * 8;
#pragma unroll
            for (int half = 0; half < 2; half++) {
                uint32_t w[4];
#pragma unroll
                for (int n = 0; n < 4; n++) {
                    const int i = 16 * half + 4 * n + 2 * r;
                    w[n] = pack2<T>(o[i] * scale, o[i + 1] * scale);
                }
                transpose_words(w, lane % 4);
                if (row < t.length) *reinterpret_cast<uint4 *>(y + half * 32) = make_uint4(w[0], w[1], w[2], w[3]);
            }
        }
    }
};

/* RMSNorm and RoPE of the queries, in place. */
template <typename T>
__device__ __forceinline__ void prepare_queries(const attention_device &d, const work_item &t, int group,
                                                unsigned char *tile) {
    const int thread = threadIdx.x % 128;
    const bool rotated = t.head < d.rope_heads;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int part = thread % 8, row = thread / 8 + i * 16, position = t.first + group * kGroupQueries + row;
        T *at = reinterpret_cast<T *>(tile + swizzled(row, part));
        float x[8];
        load8(x, at);
        prepare_row(x, part, d.q_norm, rotated ? d.rope + int64_t(position < t.length ? position : 0) * 64 : nullptr);
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
    const work_list<groups> list(d);
    ring<2> queries_at;
    group_task<T, groups> task = {d, b, group, lane, 0, descriptor_low(key_tiles), descriptor_low(value_tiles)};
    if (ATT_TURNS && group == groups - 1) named_arrive(turn_barrier(0), 256); // the first turn is group 0's

    for (int work = blockIdx.x; work < list.count; work += gridDim.x) {
        const work_item t = list.at(d, work);
        unsigned char *queries = query_tiles + (queries_at.stage * groups + group) * kQueryTileBytes;
        barrier_wait(&b->queries_full[queries_at.stage], queries_at.parity);
        if (t.head < d.rope_heads || d.q_norm) prepare_queries<T>(d, t, group, queries);
        task.q = descriptor_low(queries);
        task.run(t.length);
        if (lane == 0) barrier_arrive(&b->queries_empty[queries_at.stage]);
        queries_at.next();
        task.store(t);
    }
    if (ATT_TURNS && group == 0) named_sync(turn_barrier(0), 256); // takes the turn that nobody needs any more
}

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */

template <typename T, int groups>
__global__ void __launch_bounds__(threads_for(groups), 1)
    attend(const __grid_constant__ attention_device d, const __grid_constant__ tensor_maps maps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ __align__(1024) unsigned char tiles[];
    unsigned char *key_tiles = tiles, *value_tiles = key_tiles + kStages * kKeyTileBytes;
    unsigned char *query_tiles = value_tiles + kStages * kKeyTileBytes;
    barriers &b = *reinterpret_cast<barriers *>(query_tiles + 2 * groups * kQueryTileBytes);

    if (threadIdx.x == 0) {
        for (int stage = 0; stage < kStages; stage++) {
            barrier_init(&b.keys_full[stage], 1);
            barrier_init(&b.values_full[stage], 1);
            barrier_init(&b.keys_empty[stage], groups * 4); // one arrival of each warp
            barrier_init(&b.values_empty[stage], groups * 4);
        }
        for (int stage = 0; stage < 2; stage++) {
            barrier_init(&b.queries_full[stage], 1);
            barrier_init(&b.queries_empty[stage], groups * 4);
        }
        barrier_init(&b.tail, 1);
        barrier_init_fence();
    }
    __syncthreads();
    let_next_start();
    wait_for_previous();

    if (threadIdx.x < 128) {
        registers_give<producer_registers(groups)>();
        if (threadIdx.x < 32) feed<groups>(d, maps, query_tiles, key_tiles, value_tiles, &b);
    } else {
        registers_take<group_registers(groups)>();
        const int group = uniform(threadIdx.x / 128 - 1);
        multiply<T, groups>(d, group, query_tiles, key_tiles, value_tiles, &b);
    }
#else
    __trap(); // launched only where code for sm_90a is present: cuda_context.hopper
#endif
}

} // namespace attention_hopper

#endif
