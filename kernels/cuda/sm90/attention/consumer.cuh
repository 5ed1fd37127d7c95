/* consumer.cuh — a consumer warpgroup of attention's sm90 kernel: 128 threads that multiply 64 queries. Scores, the
 * probabilities P and the output O lie as wgmma.cuh's accumulator fragment. */
#ifndef F5_SM90_ATTENTION_CONSUMER_CUH
#define F5_SM90_ATTENTION_CONSUMER_CUH

#include "kernels/cuda/sm90/attention/layout.cuh"
#include "kernels/cuda/sm90/attention/softmax.cuh"
#include "kernels/cuda/sm90/wgmma.cuh"

namespace attention_sm90 {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

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
        wgmma_64x64_registers<T>(o, p[4 * step], p[4 * step + 1], p[4 * step + 2], p[4 * step + 3],
                                 descriptor_of(v + step * (uint32_t)kStepDownRows), true);
    wgmma_commit();
}

/* Four neighbouring lanes hold four words each: word n of lane l goes to lane n as its word l. */
__device__ __forceinline__ void transpose_words(uint32_t (&w)[4]) {
#pragma unroll
    for (int distance = 1; distance <= 2; distance *= 2) {
        const bool upper = threadIdx.x & distance;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (i & distance) continue;
            const uint32_t got = __shfl_xor_sync(0xffffffffu, upper ? w[i] : w[i + distance], distance);
            if (upper)
                w[i] = got;
            else
                w[i + distance] = got;
        }
    }
}

/* A warpgroup at work: its place in the rings, and the tile in its registers. */
template <typename T> struct consumer {
    const attention_device &d;
    barriers *b;
    const int group, lane;
    uint32_t q, keys, values; /* descriptors: this group's queries; stage 0 */
    ring<kKeyStages> keys_at, values_at;
    float o[32];    /* [64,64] output so far */
    uint32_t p[32]; /* [64,128] P of the last tile, as A fragments */
    softmax_state state;

    /* The scheduler barrier goes round the groups: a group issues its wgmmas while the others are in their softmax. It
     * is handed on when the group's scores are there, so that the next group's do not share the tensor cores with them.
     */
    __device__ __forceinline__ void scheduler_barrier_sync() { named_sync(kSchedulerBarrier + group, 256); }
    __device__ __forceinline__ void scheduler_barrier_arrive() {
        named_arrive(kSchedulerBarrier + (group + 1 == kGroups ? 0 : group + 1), 256);
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
    template <int width> __device__ __forceinline__ void pack_probabilities(const float (&s)[width / 2]) {
#pragma unroll
        for (int i = 0; i < width / 4; i++) p[i] = pack2<T>(s[2 * i], s[2 * i + 1]);
    }

    /* After the last probabilities of a tile: rescales if one may overflow, adds them to the row sums, then releases
     * the key stage. */
    template <int width>
    __device__ __forceinline__ void accumulate_sum(float (&s)[width / 2], float (&partial_sum)[4], int live) {
        if (overflows(partial_sum)) {
            rescale<T, width>(s, o, state, partial_sum, descriptor_address(q), descriptor_address(key_tile()), live);
            pack_probabilities<width>(s);
        }
        state.sum[0] += partial_sum[0] + partial_sum[1];
        state.sum[1] += partial_sum[2] + partial_sum[3];
        release_keys();
    }

    /* The first tile of keys: nothing to overlap with. fresh: the sequence's first. */
    __device__ __forceinline__ void first_tile(bool fresh, int live) {
        float s[kKeys / 2], partial_sum[4] = {};
        wait_keys();
        scheduler_barrier_sync();
        wgmma_hold(s);
        wgmma_fence();
        issue_scores<T, kKeys>(s, q, key_tile());
        wgmma_wait<0>();
        wgmma_hold(s);
        scheduler_barrier_arrive();
        mask_scores<kKeys>(s, live);
        if (fresh) {
#pragma unroll
            for (int r = 0; r < 2; r++) state.max_log2[r] = max_log2_of(s, r);
        }
        exponentiate<0, kKeys / 2>(s, state, partial_sum);
        pack_probabilities<kKeys>(s);
        accumulate_sum<kKeys>(s, partial_sum, live);
    }

    /* A further one: its scores beside the output of the tile before, which was whole. */
    template <int width> __device__ __forceinline__ void next_tile(int live) {
        constexpr int kBefore = kExponentiatedBefore < width / 2 ? kExponentiatedBefore : width / 2;
        float s[width / 2], partial_sum[4] = {};
        wait_keys();
        wait_values(); // the producer brings them before these keys
        scheduler_barrier_sync();
        wgmma_hold(s);
        wgmma_hold(o);
        wgmma_fence();
        issue_scores<T, width>(s, q, key_tile());
        issue_output<T, kKeys>(o, p, value_tile());
        wgmma_wait<1>();
        wgmma_hold(s);
        scheduler_barrier_arrive();
        mask_scores<width>(s, live);
        exponentiate<0, kBefore>(s, state, partial_sum);

        // waits either way: what the branch depends on holds the wait back
        if (overflows(partial_sum)) {
            wgmma_wait<0>();
            wgmma_hold(o);
        }
        wgmma_wait<0>();
        wgmma_hold(o);
        release_values();
        exponentiate<kBefore, width / 2>(s, state, partial_sum);
        pack_probabilities<width>(s);
        accumulate_sum<width>(s, partial_sum, live);
    }

    /* The output of the last tile. */
    template <int width> __device__ __forceinline__ void last_output() {
        uint32_t last_p[width / 4];
#pragma unroll
        for (int i = 0; i < width / 4; i++) last_p[i] = p[i];
        wait_values();
        scheduler_barrier_sync();
        wgmma_hold(o);
        wgmma_fence();
        issue_output<T, width>(o, last_p, value_tile());
        scheduler_barrier_arrive();
        wgmma_wait<0>();
        wgmma_hold(o);
        release_values();
    }
    template <int width> __device__ __forceinline__ void last_tile(int live) {
        next_tile<width>(live);
        last_output<width>();
    }

    /* Steps from .. to-1 of a sequence of this length. Only its last is narrow, and only if it is not the first here.
     */
    __device__ __forceinline__ void attend_keys(int length, int from, int to) {
        const int whole = length / kKeys, rest = length % kKeys;
        first_tile(from == 0, length - from * kKeys);
        const int end = min(to, rest > 96 ? whole + 1 : whole); // of the steps over 128 keys
#pragma unroll 1
        for (int step = from + 1; step < end; step++) next_tile<kKeys>(length - step * kKeys);
        if (to <= max(end, from + 1))
            last_output<kKeys>();
        else if (rest <= 32)
            last_tile<32>(rest);
        else if (rest <= 64)
            last_tile<64>(rest);
        else
            last_tile<96>(rest);
    }

    /* The same for a group whose queries are all past the end: releases every stage and passes the scheduler barrier
     * on. */
    __device__ __forceinline__ void pass_keys(int from, int to) {
#pragma unroll 1
        for (int step = from; step < to; step++) {
            wait_keys();
            release_keys();
            scheduler_barrier_sync();
            scheduler_barrier_arrive();
            wait_values();
            release_values();
        }
        scheduler_barrier_sync();
        scheduler_barrier_arrive();
    }

    __device__ __forceinline__ void start() {
        state = {{0.0f, 0.0f}, {0.0f, 0.0f}};
#pragma unroll
        for (int i = 0; i < 32; i++) o[i] = 0.0f;
    }
    /* Output and softmax as the steps of the block before left them; and the same for the next block. */
    __device__ __forceinline__ void load_partial(const float4 *from) {
        from += group * kPartialChunks * 128 + threadIdx.x % 128;
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const float4 v = __ldcg(from + i * 128);
            o[4 * i] = v.x, o[4 * i + 1] = v.y, o[4 * i + 2] = v.z, o[4 * i + 3] = v.w;
        }
        const float4 v = __ldcg(from + 8 * 128);
        state = {{v.x, v.y}, {v.z, v.w}};
    }
    __device__ __forceinline__ void store_partial(float4 *to) const {
        to += group * kPartialChunks * 128 + threadIdx.x % 128;
#pragma unroll
        for (int i = 0; i < 8; i++)
            __stcg(to + i * 128, make_float4(o[4 * i], o[4 * i + 1], o[4 * i + 2], o[4 * i + 3]));
        __stcg(to + 8 * 128, make_float4(state.max_log2[0], state.max_log2[1], state.sum[0], state.sum[1]));
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
    named_sync(kGroupBarrier + group, 128);
}

template <typename T>
__device__ __forceinline__ void consume(const attention_device &d, const partial_tiles &partial, int group,
                                        unsigned char *query_tiles, const unsigned char *key_tiles,
                                        const unsigned char *value_tiles, barriers *b) {
    const int lane = threadIdx.x % 32;
    ring<kQueryStages> queries_at;
    consumer<T> g = {d, b, group, lane, 0, descriptor_low(key_tiles), descriptor_low(value_tiles)};
    if (group == kGroups - 1) named_arrive(kSchedulerBarrier, 256); // group 0 issues first

    while (true) {
        barrier_wait(&b->queries_full[queries_at.stage], queries_at.parity);
        const work_item &t = b->items[queries_at.stage];
        const int length = uniform(t.length);
        if (length == 0) break;
        const int from = uniform(t.from), to = uniform(t.to);
        if (group < uniform(attention_live_groups(length, t.first))) {
            unsigned char *queries = query_tiles + (queries_at.stage * kGroups + group) * kQueryTileBytes;
            if (from == 0)
                g.start();
            else
                g.load_partial(partial.state + (blockIdx.x - 1) * (kPartialBytes / 16));
            if (t.head < d.rope_heads || d.q_norm) prepare_queries<T>(d, t, group, queries);
            g.q = descriptor_low(queries);
            g.attend_keys(length, from, to);
            if (to == attention_steps(length))
                g.store(t);
            else
                g.store_partial(partial.state + blockIdx.x * (kPartialBytes / 16));
        } else {
            g.pass_keys(from, to);
        }
        __syncwarp(); // all lanes have read the item, and written the partial tile
        if (lane == 0) {
            if (to < attention_steps(length)) barrier_arrive(&b->partial_written);
            barrier_arrive(&b->queries_empty[queries_at.stage]);
        }
        queries_at.next();
    }
    if (group == 0) named_sync(kSchedulerBarrier, 256); // the last arrival is left over
}

#endif

} // namespace attention_sm90

#endif
