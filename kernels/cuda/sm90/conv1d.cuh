/* conv1d.cuh — the convolution for sm_90a, a persistent kernel: producers bring operands, two consumer warpgroups
 * multiply. A tile has 128, 256 or 512 rows by 192, 96, 48 or 24 outputs (plan/conv1d.h).
 *
 *   warp 0        w, [outs,64] of a tap and 64 inputs, step after step, by TMA into a ring of stages
 *   warps 1 to 3  x, 64 inputs of the tile's rows with their halo, once for all taps, into one of two buffers; rows
 *                 outside the sequence are zero, which TMA cannot know
 *   consumer g    half of the rows, in blocks of 64: acc += x[rows + tap dilation] w[tap]^T over all steps, then the
 *                 epilogue from registers
 *
 * Where a tile is as wide as 192 outputs a block has its multiprocessor alone, and nothing would hide the loads of
 * residual and sum: they come through the ring too, behind the tile's weights, in pieces of [3][128 rows][16].
 *
 * x lies in chunks of 8 inputs, [8][rows][8]: without a swizzle the next row is 16 bytes on, whatever the row, so that
 * a tap is another start address. The rows of w lie in the order that linear.cuh draws, so that of every sixteen
 * outputs a lane holds four neighbours; 24 outputs lie as they are, and of every eight a lane holds two. Where tiles
 * are narrow two blocks share a multiprocessor: one multiplies while the other loads and stores.
 *
 * Each element is one sum over chunks of 64 inputs, taps, steps of 16: the same bits for a row in any bucket. */
#ifndef F5_SM90_CONV1D_CUH
#define F5_SM90_CONV1D_CUH

#include "kernels/cuda/common/conv1d_finish.cuh"
#include "kernels/cuda/common/pack_tile.cuh"
#include "kernels/cuda/common/vec.cuh"
#include "kernels/cuda/plan/conv1d.h"
#include "kernels/cuda/sm90/tensor_map.cuh"
#include "kernels/cuda/sm90/wgmma.cuh"

namespace conv1d_sm90 {

constexpr int kStep = CONV1D_SM90_CHUNK; /* inputs of a step */
constexpr int kGroups = 2, kThreads = 128 * (1 + kGroups), kCopiers = 96;

template <int n> struct shape {
    static constexpr int outs = n, rows = CONV1D_SM90_ROWS(n), blocks = CONV1D_SM90_BLOCKS(n); /* to a multiprocessor */
    static constexpr int high = rows / (64 * kGroups); /* blocks of 64 rows that a group has */
    static constexpr int stages = CONV1D_SM90_STAGES(n), stage_bytes = n * kStep * 2;
    static constexpr bool ring_adds = n == 192;      /* residual and sum come through the ring */
    static constexpr int wide = n % 16 == 0 ? 4 : 2; /* neighbours of a row that a lane holds together */
    /* Registers of a producer and of a consumer come out of what a block has at its start, else setmaxnreg waits for
     * ever. */
    static constexpr int producer_registers = 40, group_registers = blocks == 2 ? 96 : 232;
    static_assert(128 * (producer_registers + kGroups * group_registers) <=
                      65536 / blocks / kThreads / 8 * 8 * kThreads,
                  "register file");
    static_assert(stage_bytes % 1024 == 0 && rows % (64 * kGroups) == 0, "swizzled stages; a warpgroup has 64 rows");
};

/* A piece of residual or sum: as many outputs as a stage has room for. */
constexpr int kPieceOuts = 48, kLayerBytes = 128 * 16 * 4;

struct tensor_maps {
    CUtensorMap w;
    CUtensorMap addend[2]; /* [out/16, rows, 16] F32 in boxes of 128 rows */
};

struct tile_args {
    conv1d_args a;
    f5_pack pack;
    int chunks, columns;     /* of 64 inputs; tiles along the outputs */
    int addends;             /* of tensor_maps: residual, sum or both, as far as the call has them */
    int pitch, buffer_bytes; /* of x */
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

template <int stages> struct barriers {
    uint64_t full[stages], empty[stages]; /* of weights */
    uint64_t there[2], read[2];           /* of x */
    int row_tiles;                        /* of the pack */
};

/* Tiles of the pack's rows. Called by a whole warp. */
__device__ __forceinline__ int count_row_tiles(const f5_pack &pack, int tile_rows, int rate) {
    int tiles = 0;
    for (int s = threadIdx.x % 32; s < pack.n_seq; s += 32)
        tiles += ceil_div(rate * (pack.offsets[s + 1] - pack.offsets[s]), tile_rows);
#pragma unroll
    for (int lane = 16; lane > 0; lane /= 2) tiles += __shfl_xor_sync(0xffffffffu, tiles, lane);
    return tiles;
}

/* A tile without a swizzle: 8 rows of 16 bytes are a matrix, the next 8 rows follow, and `pitch` rows on are the next 8
 * inputs. */
__device__ __forceinline__ uint64_t x_descriptor(const void *rows, int pitch) {
    return (uint64_t)(128 >> 4) << 32 | (uint64_t)pitch << 16 | (shared_address(rows) & 0x3ffff) >> 4;
}

/* ---- producers */

/* A warp. Neighbours in a launch are tiles one below the other: they share w in L2. */
template <typename S>
__device__ __forceinline__ void produce_w(const tile_args &d, const tensor_maps &maps, unsigned char *stages,
                                          barriers<S::stages> *b) {
    const uint64_t passing = evict_first_policy(); // L2 is for what the next kernel reads again
    ring<S::stages> at;
    for (int tile = blockIdx.x; tile < b->row_tiles * d.columns; tile += gridDim.x) {
        const int out = tile / b->row_tiles * S::outs;
        for (int chunk = 0; chunk < d.chunks; chunk++)
#pragma unroll 1
            for (int tap = 0; tap < d.a.taps; tap++, at.next()) {
                unsigned char *to = stages + at.stage * S::stage_bytes;
                barrier_wait(&b->empty[at.stage], at.parity ^ 1);
                if (threadIdx.x != 0) continue;
                barrier_expect(&b->full[at.stage], S::stage_bytes);
                if constexpr (S::wide == 4)
                    tensor_load_group(to, &maps.w, chunk * kStep, (tap * d.a.out + out) / 16, &b->full[at.stage],
                                      passing);
                else
                    tensor_load(to, &maps.w, chunk * kStep, tap * d.a.out + out, &b->full[at.stage]);
            }
        if (!S::ring_adds || d.addends == 0) continue;
        wait_for_previous(); // weights need not
        const pack_tile t = pack_tile_find(d.pack.offsets, d.pack.n_seq, S::rows, tile % b->row_tiles, d.a.rate);
        for (int i = 0; i < d.addends; i++)
            for (int from = 0; from < S::outs; from += kPieceOuts, at.next()) {
                barrier_wait(&b->empty[at.stage], at.parity ^ 1);
                if (threadIdx.x != 0) continue;
                barrier_expect(&b->full[at.stage], kPieceOuts / 16 * kLayerBytes);
                for (int layer = 0; layer < kPieceOuts / 16; layer++)
                    tensor_load_layer(stages + at.stage * S::stage_bytes + layer * kLayerBytes, &maps.addend[i],
                                      t.first, (out + from) / 16 + layer, &b->full[at.stage]);
            }
    }
}

/* Inputs from `first` on of the tile's rows, halo included; zeros outside the sequence and past the row. Rows past the
 * tile's last hold what they held: sums of rows that are not stored. */
template <typename T, int eighths>
__device__ __forceinline__ void copy_x(const conv1d_args &a, const pack_tile &t, int first, int pitch, uint32_t to) {
    constexpr int step = kCopiers / eighths; // rows from one of a thread's to its next
    const int thread = threadIdx.x - 32, at = thread % eighths, reach = (a.taps - 1) * a.dilation;
    const int top = t.first - reach / 2, last = top + t.rows + reach;
    const int end = first + 8 * at < a.in ? t.end : t.begin; // past the row nothing is inside
    const T *x = static_cast<const T *>(a.x);
    int row = top + thread / eighths;
    const T *from = x + (int64_t)row * a.in + first + 8 * at;
    to += (at * pitch + thread / eighths) * 16;
#pragma unroll 1
    for (; row < last; row += step, from += step * a.in, to += step * 16) {
        const bool inside = row >= t.begin && row < end;
        copy16_async(to, inside ? from : x, inside);
    }
}

/* 96 threads. */
template <typename T, typename S, int tail>
__device__ __forceinline__ void produce_x(const tile_args &d, unsigned char *buffers, barriers<S::stages> *b) {
    ring<2> to;
    wait_for_previous();
    for (int tile = blockIdx.x; tile < b->row_tiles * d.columns; tile += gridDim.x) {
        const pack_tile t = pack_tile_find(d.pack.offsets, d.pack.n_seq, S::rows, tile % b->row_tiles, d.a.rate);
        for (int chunk = 0; chunk < d.chunks; chunk++, to.next()) {
            const uint32_t place = shared_address(buffers + to.stage * d.buffer_bytes);
            barrier_wait(&b->read[to.stage], to.parity ^ 1);
            if (tail == 4 || chunk + 1 < d.chunks)
                copy_x<T, 8>(d.a, t, chunk * kStep, d.pitch, place);
            else
                copy_x<T, 2 * tail>(d.a, t, chunk * kStep, d.pitch, place);
            copy_commit();
            copy_wait<0>();
            shared_fence_async();
            barrier_arrive(&b->there[to.stage]);
        }
    }
}

/* ---- consumer: a warpgroup, its blocks of 64 rows; wgmma.cuh draws what a thread holds */

/* Where a group is in the ring and the buffers; what its last products, which may still run, read and no later ones
 * do. */
template <int stages> struct consumer_place {
    ring<stages> w;
    ring<2> x;
    int last, last_buffer;
};

/* acc += one chunk of inputs, all taps, `steps` times 16 inputs; releases each stage and buffer once it has been
 * read. */
template <typename T, typename S, int steps>
__device__ __forceinline__ void multiply_chunk(float (&acc)[S::high][S::outs / 2], const tile_args &d, bool keep,
                                               uint64_t x, uint64_t w, consumer_place<S::stages> *p,
                                               barriers<S::stages> *b) {
    const bool speaks = threadIdx.x % 32 == 0;
    x += p->x.stage * (d.buffer_bytes >> 4);
    barrier_wait(&b->there[p->x.stage], p->x.parity);
    for (int tap = 0; tap < d.a.taps; tap++, x += d.a.dilation) {
        const uint64_t of_w = w + p->w.stage * (S::stage_bytes >> 4);
        barrier_wait(&b->full[p->w.stage], p->w.parity);
#pragma unroll
        for (int i = 0; i < S::high; i++) wgmma_hold(acc[i]);
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < steps; k++)
#pragma unroll
            for (int i = 0; i < S::high; i++)
                wgmma_64xn<T, S::outs>(acc[i], x + k * 2 * d.pitch + i * 64, of_w + k * kStepAlongRow, keep || k > 0);
        wgmma_commit();
#pragma unroll
        for (int i = 0; i < S::high; i++) wgmma_hold(acc[i]);
        wgmma_wait<1>();
        if (speaks && p->last >= 0) barrier_arrive(&b->empty[p->last]);
        if (speaks && p->last_buffer >= 0) barrier_arrive(&b->read[p->last_buffer]);
        p->last = p->w.stage, p->last_buffer = -1;
        p->w.next();
        keep = true;
    }
    p->last_buffer = p->x.stage;
    p->x.next();
}

/* acc = the sum over the tile's steps. */
template <typename T, typename S, int tail>
__device__ __forceinline__ void multiply(float (&acc)[S::high][S::outs / 2], const tile_args &d, uint64_t x, uint64_t w,
                                         consumer_place<S::stages> *p, barriers<S::stages> *b) {
    const int whole = d.chunks - (tail < 4);
    p->last = -1, p->last_buffer = -1;
    for (int chunk = 0; chunk < whole; chunk++) multiply_chunk<T, S, 4>(acc, d, chunk > 0, x, w, p, b);
    if (tail < 4) multiply_chunk<T, S, tail>(acc, d, whole > 0, x, w, p, b);
    wgmma_wait<0>();
#pragma unroll
    for (int i = 0; i < S::high; i++) wgmma_hold(acc[i]);
    if (threadIdx.x % 32 == 0) barrier_arrive(&b->empty[p->last]), barrier_arrive(&b->read[p->last_buffer]);
}

/* acc += a tile of residual or sum, piece by piece out of the ring. row: of the tile. */
template <typename S>
__device__ __forceinline__ void add_pieces(float (&acc)[S::outs / 2], int row, const unsigned char *stages,
                                           ring<S::stages> &at, barriers<S::stages> *b) {
    constexpr int layers = kPieceOuts / 16;
    static_assert(S::rows == 128 && layers * kLayerBytes <= S::stage_bytes && S::outs % kPieceOuts == 0, "pieces");
#pragma unroll
    for (int g = 0; g < S::outs / 16; g++) {
        if (g % layers == 0) barrier_wait(&b->full[at.stage], at.parity);
        const float *piece = reinterpret_cast<const float *>(stages + at.stage * S::stage_bytes);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float more[4];
            load_vec<float, 4>(more, piece + (g % layers * 128 + row + 8 * half) * 16 + threadIdx.x % 4 * 4);
#pragma unroll
            for (int j = 0; j < 4; j++) acc[8 * g + 4 * (j / 2) + 2 * half + j % 2] += more[j];
        }
        if (g % layers == layers - 1) {
            __syncwarp();
            if (threadIdx.x % 32 == 0) barrier_arrive(&b->empty[at.stage]);
            at.next();
        }
    }
}

/* Of 64 rows a thread's two, bias to activation; residual and sum only where the ring has not brought them. at: of its
 * first output in y, which is output o. */
template <typename T, typename S>
__device__ __forceinline__ void finish(const conv1d_args &a, const float (&acc)[S::outs / 2], const bool (&live)[2],
                                       const size_t (&at)[2], int o) {
    constexpr int wide = S::wide, pieces = S::outs / (4 * wide);
    constexpr int batch = S::blocks == 1 ? 6 : S::outs == 48 ? 1 : 3; // pieces whose residual is loaded together
    static_assert(pieces % batch == 0, "whole batches");
    const float slope = conv1d_slope(a);
#pragma unroll
    for (int first = 0; first < pieces; first += batch) {
        float before[batch][2][wide] = {};
#pragma unroll
        for (int i = 0; i < batch; i++)
#pragma unroll
            for (int half = 0; half < 2; half++)
                if (!S::ring_adds && a.residual && live[half])
                    load_vec<float, wide>(before[i][half], a.residual + at[half] + 4 * wide * (first + i));
        if (!S::ring_adds && a.sum)
#pragma unroll
            for (int i = 0; i < batch; i++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    float more[wide] = {};
                    if (live[half]) load_vec<float, wide>(more, a.sum + at[half] + 4 * wide * (first + i));
#pragma unroll
                    for (int j = 0; j < wide; j++) before[i][half][j] += more[j];
                }
#pragma unroll
        for (int i = 0; i < batch; i++) {
            const int piece = first + i, column = 4 * wide * piece;
            float bias[wide] = {};
            if (a.bias) load_vec<float, wide>(bias, a.bias + o + column);
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float v[wide];
#pragma unroll
                for (int j = 0; j < wide; j++)
                    v[j] = (acc[2 * wide * piece + 4 * (j / 2) + 2 * half + j % 2] + bias[j] + before[i][half][j]) *
                           a.gain;
                if (!live[half]) continue;
                if (a.raw) store_vec<float, wide>(a.raw + at[half] + column, v);
#pragma unroll
                for (int j = 0; j < wide; j++) v[j] = v[j] < 0.0f ? slope * v[j] : v[j];
                if (a.y_f32)
                    store_vec<float, wide>(static_cast<float *>(a.y) + at[half] + column, v);
                else
                    store_vec<T, wide>(static_cast<T *>(a.y) + at[half] + column, v);
            }
        }
    }
}

template <typename T, typename S, int tail>
__device__ __forceinline__ void consume(const tile_args &d, int group, const unsigned char *stages,
                                        const unsigned char *buffers, barriers<S::stages> *b) {
    const int lane = threadIdx.x % 32, in_group = threadIdx.x % 128 / 32 * 16 + lane / 4, top = group * 64 * S::high;
    const uint64_t x = x_descriptor(buffers + top * 16, d.pitch), w = tile_descriptor(stages);
    consumer_place<S::stages> p;
    float acc[S::high][S::outs / 2] = {};
    wait_for_previous();
    for (int tile = blockIdx.x; tile < b->row_tiles * d.columns; tile += gridDim.x) {
        const pack_tile t = pack_tile_find(d.pack.offsets, d.pack.n_seq, S::rows, tile % b->row_tiles, d.a.rate);
        multiply<T, S, tail>(acc, d, x, w, &p, b);
        const int o = tile / b->row_tiles * S::outs + lane % 4 * S::wide;
        if constexpr (S::ring_adds)
            for (int i = 0; i < d.addends; i++) add_pieces<S>(acc[0], top + in_group, stages, p.w, b);
#pragma unroll
        for (int i = 0; i < S::high; i++) {
            const int row = top + 64 * i + in_group; // and the eighth below
            const bool live[2] = {row < t.rows, row + 8 < t.rows};
            const size_t at = (size_t)(t.first + row) * d.a.out + o, both[2] = {at, at + (size_t)8 * d.a.out};
            finish<T, S>(d.a, acc[i], live, both, o);
        }
    }
}

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */

/* tail: steps of 16 in the last chunk of inputs. */
template <typename T, int outs, int tail>
__global__ void __launch_bounds__(kThreads, shape<outs>::blocks)
    conv1d_wgmma(const __grid_constant__ tile_args d, const __grid_constant__ tensor_maps maps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    using S = shape<outs>;
    extern __shared__ unsigned char dynamic_shared[];
    unsigned char *stages = dynamic_shared + (-shared_address(dynamic_shared) & 1023u);
    unsigned char *buffers = stages + S::stages * S::stage_bytes;
    barriers<S::stages> *b = reinterpret_cast<barriers<S::stages> *>(buffers + 2 * d.buffer_bytes);
    static_assert(sizeof *b <= CONV1D_SM90_BARRIER_BYTES, "plan/conv1d.h");
    if (threadIdx.x == 0) {
        tensor_map_prefetch(&maps.w);
        for (int stage = 0; stage < S::stages; stage++) {
            barrier_init(&b->full[stage], 1);
            barrier_init(&b->empty[stage], kGroups * 4); // one arrival of each warp that reads the stage
        }
        for (int buffer = 0; buffer < 2; buffer++) {
            barrier_init(&b->there[buffer], kCopiers);
            barrier_init(&b->read[buffer], kGroups * 4);
        }
        barrier_init_fence();
    }
    if (threadIdx.x < 32) {
        const int row_tiles = count_row_tiles(d.pack, S::rows, d.a.rate);
        if (threadIdx.x == 0) b->row_tiles = row_tiles;
    }
    __syncthreads();
    let_next_start();

    if (threadIdx.x < 128) {
        registers_give<S::producer_registers>();
        if (threadIdx.x >= 32) {
            produce_x<T, S, tail>(d, buffers, b);
        } else {
            produce_w<S>(d, maps, stages, b);
            wait_for_previous();
        }
    } else {
        registers_take<S::group_registers>();
        const int group = __shfl_sync(0xffffffffu, threadIdx.x / 128 - 1, 0);
        consume<T, S, tail>(d, group, stages, buffers, b);
    }
#else
    __trap(); // launched only where code for sm_90a is present: arch.code
#endif
}

/* ---- host */

/* w as [taps out / 16, 2, 4, 2, in], drawn in linear.cuh, or as it is; *addends is how many there are. */
template <typename S> bool encode_maps(cuda_context *c, tensor_maps *maps, int *addends, const conv1d_args *a) {
    const cuuint64_t row_bytes = (cuuint64_t)a->in * 2, rows = (cuuint64_t)a->taps * a->out;
    if (S::wide == 4) {
        const cuuint64_t size[5] = {(cuuint64_t)a->in, 2, 4, 2, rows / 16};
        const cuuint64_t stride[4] = {row_bytes, 4 * row_bytes, 2 * row_bytes, 16 * row_bytes};
        const cuuint32_t box[5] = {kStep, 2, 4, 2, S::outs / 16};
        if (!tensor_map_encode(c, &maps->w, a->type, 5, a->w, size, stride, box)) return false;
    } else {
        const cuuint64_t size[2] = {(cuuint64_t)a->in, rows};
        const cuuint32_t box[2] = {kStep, S::outs};
        if (!tensor_map_encode(c, &maps->w, a->type, 2, a->w, size, &row_bytes, box)) return false;
    }
    const float *const addend[2] = {a->residual ? a->residual : a->sum, a->residual ? a->sum : nullptr};
    const cuuint64_t size[3] = {16, (cuuint64_t)a->rate * a->pack->rows, (cuuint64_t)a->out / 16};
    const cuuint64_t stride[2] = {(cuuint64_t)a->out * 4, 64};
    const cuuint32_t box[3] = {16, 128, 1};
    for (*addends = 0; S::ring_adds && *addends < 2 && addend[*addends]; ++*addends)
        if (!tensor_map_encode(c, &maps->addend[*addends], F5_F32, 3, addend[*addends], size, stride, box))
            return false;
    return true;
}

template <typename T, int outs, int tail> f5_status launch(cuda_context *c, const conv1d_args *a) {
    using S = shape<outs>;
    tensor_maps maps = {};
    int addends;
    if (!encode_maps<S>(c, &maps, &addends, a))
        return f5_fail(&c->error, F5_E_DEVICE, "conv1d: no tensor maps for %d to %d channels", a->in, a->out);
    const int pitch = conv1d_sm90_pitch(outs, conv1d_reach(a));
    const tile_args d = {
        *a, *a->pack, ceil_div(a->in, kStep), a->out / outs, addends, pitch, conv1d_sm90_eighths(a->in) * pitch * 16};
    const int64_t tiles = (int64_t)pack_tiles_max(a->pack, S::rows, a->rate) * d.columns;
    const int64_t most = (int64_t)S::blocks * c->arch.sm_count;
    auto kernel = conv1d_wgmma<T, outs, tail>;
    const int bytes = conv1d_sm90_shared_bytes(a);
    if (tiles > INT32_MAX / 2) return f5_fail(&c->error, F5_E_SHAPE, "conv1d: more tiles than a launch may have");
    F5_TRY(cuda_allow_all_shared(c, "conv1d", kernel, bytes));
    return cuda_launch_early(c, "conv1d", kernel, dim3((unsigned int)(tiles < most ? tiles : most)), kThreads, bytes, d,
                             maps);
}

/* The widths of conv1d_sm90_outs; every tensor is 16-byte aligned. */
template <typename T> f5_status run(cuda_context *c, const conv1d_args *a) {
    switch (conv1d_sm90_outs(a->in, a->out)) {
    case 24:
        return launch<T, 24, 2>(c, a);
    case 48:
        return launch<T, 48, 3>(c, a);
    case 192:
        return launch<T, 192, 4>(c, a);
    }
    return conv1d_sm90_tail(a->in) == 4 ? launch<T, 96, 4>(c, a) : launch<T, 96, 2>(c, a);
}

} // namespace conv1d_sm90

#endif
