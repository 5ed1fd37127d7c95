/* linear.cuh — the matrix product for sm_90a, its epilogue included, a persistent kernel: one producer warp brings
 * tiles by TMA, two consumer warpgroups multiply 64 rows each of a tile of 128 rows by 64 to 256 columns.
 *
 *   producer     x [128,64] and w [columns,64], step after step, into a ring of 4 to 6 stages; where there is an
 * addend, then its [128,columns] too, in pieces of 64 or 32 columns consumer g   64 rows: acc += x w^T over all steps,
 * then bias, GELU or gate and addend, straight from registers
 *
 * Blocks stay for the whole launch and take one tile after another (plan/linear.h says how wide); while the consumers
 * finish a tile the producer fetches the next.
 *
 * The rows of w lie in shared memory in an order of their own, which costs nothing: TMA reads w through a 5-D map,
 * [out / 16, 2, 4, 2, in]. Of every sixteen rows,
 *
 *   place in the tile    0  1   2  3   4  5   6  7 |  8  9  10 11  12 13  14 15      8 j + 2 q + e
 *   column of y          0  1   4  5   8  9  12 13 |  2  3   6  7  10 11  14 15      4 q + 2 j + e
 *   held by lane % 4     0  0   1  1   2  2   3  3 |  0  0   1  1   2  2   3  3      q
 *
 * so that of y a lane holds columns 4 q .. 4 q + 3, four neighbours, instead of two pairs that are 8 apart
 * (wgmma.cuh's fragment), and four lanes fill whole sectors: 16 bytes each of F32. Of 16 bits they hold 8 each, and
 * swap so that they write 64 in a row too.
 *
 * The angles of a tile's rows are prefetched into registers before the tile's first wgmma. The first weights are
 * fetched while the kernel in front still runs.
 *
 * Each element is one sum along `in` in steps of 16, whatever the tile: the same bits for a row in any bucket.
 *
 * Floor: 2·rows·in·out FLOP, see linear.cu; a step of 64 on a tile takes the tensor cores 4 cycles a column. The floor
 * leaves out the start of a launch, and the end of a tile, whose products are done and whose stores are not. */
#ifndef F5_SM90_LINEAR_CUH
#define F5_SM90_LINEAR_CUH

#include "kernels/cuda/plan/linear.h"
#include "kernels/cuda/sm90/tensor_map.cuh"
#include "kernels/cuda/sm90/wgmma.cuh"
#include "kernels/linear.h"

namespace linear_sm90 {

constexpr int kRows = 128, kStep = 64, kGroups = 2, kThreads = 128 * (1 + kGroups);
constexpr int kProducerRegisters = 40, kGroupRegisters = 232;
constexpr int kSharedBytes = LINEAR_SM90_SHARED_BYTES, kMaxStages = LINEAR_SM90_MAX_STAGES;
constexpr int kLayerBytes = kRows * 16 * 4; /* a piece of the addend is layers of 16 columns */
static_assert(128 * (kProducerRegisters + kGroups * kGroupRegisters) <= 65536, "register file");
static_assert(kRows == LINEAR_TILE_ROWS, "plan/linear.h counts tiles");

/* Named barriers of a block; 0 is __syncthreads. */
enum named_barrier { kGroupBarrier = 1 /* + group: the 128 threads of a consumer warpgroup */ };

__host__ __device__ constexpr int stage_bytes(int columns) {
    return LINEAR_SM90_STAGE_BYTES(columns);
}
__host__ __device__ constexpr int stages_for(int columns) {
    return LINEAR_SM90_STAGES(columns);
}

/* Layers of a piece: as many as a stage holds, of four. */
__host__ __device__ constexpr int piece_layers(int columns) {
    return columns < 128 ? 2 : 4;
}

static_assert(stage_bytes(256) == (kRows + 256) * kStep * 2, "plan/linear.h");
static_assert(piece_layers(128) * kLayerBytes <= stage_bytes(128) && piece_layers(64) * kLayerBytes <= stage_bytes(64),
              "a piece fits into a stage");

struct tensor_maps {
    CUtensorMap x;      /* [rows,in] in boxes of 128 rows */
    CUtensorMap w;      /* [out/16, 2, 4, 2, in], drawn above; in boxes of a tile's columns */
    CUtensorMap addend; /* [out/16, rows, 16] F32 in boxes of 128 rows (RESIDUAL) */
};

struct tile_args {
    const float *bias, *gate, *rope;
    const int32_t *offsets, *seq_of_row; /* of the pack (ROPE); NULL: all rows are one sequence */
    int heads, rope_heads;               /* (ROPE) */
    void *y, *also;                      /* also: of RESIDUAL, y once more in 16 bits, or NULL */
    int rows, out, steps;                /* of 64 along `in`, of 128 whole numbers */
    int row_tiles, tiles;
    const float *x_scale, *w_scale; /* of whole numbers: [rows], [out] */
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

struct barriers {
    uint64_t full[kMaxStages], empty[kMaxStages];
};

struct tile_place {
    int row, column;
};

/* Neighbours in a launch are tiles one below the other: they share w in L2. */
template <int columns> __device__ __forceinline__ tile_place find_tile(const tile_args &d, int tile) {
    return {tile % d.row_tiles * kRows, tile / d.row_tiles * columns};
}

/* ---- producer: one warp. elements: of a step, which is 128 bytes */
template <linear_epilogue epilogue, int columns, int elements = kStep>
__device__ __forceinline__ void produce(const tile_args &d, const tensor_maps &maps, unsigned char *stages,
                                        barriers *b) {
    constexpr int x_bytes = kRows * kStep * 2;
    const uint64_t passing = evict_first_policy(); // weights come once a step: L2 is for tensors that are read again
    ring<stages_for(columns)> at;
    // the first weights need not wait for the kernel in front
    const tile_place first = find_tile<columns>(d, blockIdx.x);
    const int early = d.steps < stages_for(columns) ? d.steps : stages_for(columns);
    if (threadIdx.x == 0)
        for (int step = 0; step < early; step++) {
            barrier_expect(&b->full[step], stage_bytes(columns));
            tensor_load_group(stages + step * stage_bytes(columns) + x_bytes, &maps.w, step * elements,
                              first.column / 16, &b->full[step], passing);
        }
    wait_for_previous();
    for (int tile = blockIdx.x; tile < d.tiles; tile += gridDim.x) {
        const tile_place t = find_tile<columns>(d, tile);
        for (int step = 0; step < d.steps; step++, at.next()) {
            unsigned char *x = stages + at.stage * stage_bytes(columns);
            const bool w_is_there = tile == blockIdx.x && step < early;
            barrier_wait(&b->empty[at.stage], at.parity ^ 1);
            if (threadIdx.x != 0) continue;
            if (!w_is_there) {
                barrier_expect(&b->full[at.stage], stage_bytes(columns));
                tensor_load_group(x + x_bytes, &maps.w, step * elements, t.column / 16, &b->full[at.stage], passing);
            }
            tensor_load(x, &maps.x, step * elements, t.row, &b->full[at.stage]);
        }
        if constexpr (epilogue == LINEAR_RESIDUAL)
            for (int from = 0; from < columns / 16; from += piece_layers(columns), at.next()) {
                barrier_wait(&b->empty[at.stage], at.parity ^ 1);
                if (threadIdx.x != 0) continue;
                const int layers = min(columns / 16 - from, piece_layers(columns));
                barrier_expect(&b->full[at.stage], layers * kLayerBytes);
                for (int layer = 0; layer < layers; layer++)
                    tensor_load_layer(stages + at.stage * stage_bytes(columns) + layer * kLayerBytes, &maps.addend,
                                      t.row, t.column / 16 + from + layer, &b->full[at.stage]);
            }
    }
}

/* ---- consumer: a warpgroup, 64 rows; wgmma.cuh draws what a thread holds */

/* bias and gate of a tile's columns; two of each, so that a quick warp may fetch ahead of a slow one. */
template <int columns> struct epilogue_vectors { float bias[2][columns], gate[2][columns]; };

template <int columns>
__device__ __forceinline__ void fetch_vector(float *shared, const float *v, float otherwise, int thread, int first,
                                             int out) {
    if (thread < 0 || thread >= columns / 4) return;
    if (v)
        copy16_async(shared_address(shared + 4 * thread), first + 4 * thread < out ? v + first + 4 * thread : v,
                     first + 4 * thread < out);
    else
        *reinterpret_cast<float4 *>(shared + 4 * thread) = make_float4(otherwise, otherwise, otherwise, otherwise);
}

/* a / (1 + exp(-2u)) = a/2 (1 + tanh u), u = sqrt(2/pi) (a + 0.044715 a^3) */
__device__ __forceinline__ float gelu_tanh(float a) {
    return a * rcp(1.0f + ex2(a * fmaf(a * a, -0.1029432395f, -2.3022081985f))); // -2u / ln 2
}

/* max(a, 0) - |a|/2 erfc(|a| / sqrt 2), which is a/2 (1 + erf(a / sqrt 2)). erfc(z) = t 2^(p(t) - z^2 / ln 2) with
 * t = 1 / (1 + 0.4 z) and p fitted to it, 8e-8 of erfc; from 16 on it is 0. A NaN stays. */
__device__ __forceinline__ float gelu_erf(float a) {
    const float size = fminf(fabsf(a), 16.0f), t = rcp(fmaf(size, 0.28284271f, 1.0f));
    float p = -0.28968468f;
    p = fmaf(p, t, 1.28545207f), p = fmaf(p, t, -2.04058693f), p = fmaf(p, t, 1.32044748f);
    p = fmaf(p, t, -0.5548764f), p = fmaf(p, t, 0.39724466f), p = fmaf(p, t, 0.58571196f);
    p = fmaf(p, t, 1.44399213f), p = fmaf(p, t, -2.14770042f);
    const float half = 0.5f * size * t * ex2(fmaf(size * size, -0.72134752f, p));
    return (a < 0 ? 0.0f : a) - half;
}

/* Two neighbouring sixteens of a row, 16 bits an element, of which a thread holds 4 columns each, the first at y.
 * Threads with an even quarter take 8 columns of the first from their neighbour, the others give these and take 8 of
 * the second: four threads then write 64 bytes. */
template <typename T>
__device__ __forceinline__ void store_two_sixteens(T *y, int left, int part, uint2 first, uint2 second) {
    const bool odd = part & 4;
    const uint2 kept = odd ? second : first, given = odd ? first : second;
    const uint2 got = {__shfl_xor_sync(0xffffffffu, given.x, 1), __shfl_xor_sync(0xffffffffu, given.y, 1)};
    store_if(left > (odd ? 16 : 0), y + (odd ? 12 : 0),
             odd ? make_uint4(got.x, got.y, kept.x, kept.y) : make_uint4(kept.x, kept.y, got.x, got.y));
}

/* acc += x w^T over the tile's steps; releases each stage as soon as it has been read. */
template <typename T, int columns>
__device__ __forceinline__ void multiply(float (&acc)[columns / 2], ring<stages_for(columns)> &at, int steps,
                                         uint64_t x, uint64_t w, barriers *b) {
    constexpr uint64_t stage_step = stage_bytes(columns) >> 4;
    const int lane = threadIdx.x % 32;
    int last = 0;
    for (int step = 0; step < steps; step++) {
        barrier_wait(&b->full[at.stage], at.parity);
        wgmma_hold(acc);
        wgmma_fence();
#pragma unroll
        for (int i = 0; i < kStep / 16; i++)
            wgmma_64xn<T, columns>(acc, x + at.stage * stage_step + i * kStepAlongRow,
                                   w + at.stage * stage_step + i * kStepAlongRow, step > 0 || i > 0);
        wgmma_commit();
        wgmma_hold(acc);
        if (step > 0) {
            wgmma_wait<1>();
            if (lane == 0) barrier_arrive(&b->empty[last]);
        }
        last = at.stage;
        at.next();
    }
    wgmma_wait<0>();
    wgmma_hold(acc);
    if (lane == 0) barrier_arrive(&b->empty[last]);
}

/* The sequence that a row belongs to, or -1; loaded a tile ahead. */
__device__ __forceinline__ int sequence_of(const tile_args &d, int row) {
    if (row >= d.rows) return -1;
    return d.seq_of_row ? load_early(d.seq_of_row + row) : 0;
}

/* Where the angles of a row lie in the table, for columns `part` .. part + 3 of every sixteen. */
__device__ __forceinline__ const float *angles_of(const tile_args &d, int row, int sequence, int part) {
    int position = 0;
    if (sequence >= 0) position = d.offsets ? row - d.offsets[sequence] : row;
    return d.rope + int64_t{position} * 64 + part;
}

/* The part of a tile that is a thread's: columns part .. part + 3 of every sixteen, of two rows. */
struct thread_place {
    int wide[2];   /* columns of y from the tile's first on; 0 past the last row */
    int64_t at[2]; /* of the first element in y */
    int part;
};

/* ROPE: acc + bias, rotated, to 16 bits. The sixteens of a tile are taken by their place in a head, so that four angles
 * serve all its heads. Tiles start at multiples of 64. */
template <typename T, int columns>
__device__ __forceinline__ void rotate_and_store(const tile_args &d, const float (&acc)[columns / 2],
                                                 const float *shared_bias, const float4 (&angles)[4][2],
                                                 const thread_place &p, int first_head) {
    uint2 before[2];
#pragma unroll
    for (int g = 0; g < columns / 16; g++) {
        const int head = first_head + g / 4; // of q, k and v together
        const bool rotated = head < 2 * d.heads && (head < d.heads ? head : head - d.heads) < d.rope_heads;
        const float4 bias = *reinterpret_cast<const float4 *>(shared_bias + 16 * g + p.part);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float4 by = angles[g % 4][half];
            const float a = acc[8 * g + 2 * half] + bias.x, b = acc[8 * g + 2 * half + 1] + bias.y;
            const float e = acc[8 * g + 4 + 2 * half] + bias.z, h = acc[8 * g + 4 + 2 * half + 1] + bias.w;
            const uint2 made = {rotated ? pack2<T>(a * by.x - b * by.y, b * by.x + a * by.y) : pack2<T>(a, b),
                                rotated ? pack2<T>(e * by.z - h * by.w, h * by.z + e * by.w) : pack2<T>(e, h)};
            if (g % 2 == 0)
                before[half] = made;
            else
                store_two_sixteens(static_cast<T *>(d.y) + p.at[half] + 16 * (g - 1), p.wide[half] - 16 * (g - 1),
                                   p.part, before[half], made);
        }
    }
}

/* NONE, GELU_TANH, GELU_ERF and RELU: to 16 bits. Where there is arithmetic enough to hide the stores, swapping costs
 * more than it saves. */
template <typename T, linear_epilogue epilogue, int columns>
__device__ __forceinline__ void finish_and_store(const tile_args &d, const float (&acc)[columns / 2],
                                                 const float *shared_bias, const thread_place &p) {
    constexpr int swapped = epilogue == LINEAR_NONE ? columns / 32 * 2 : 0; // sixteens; 176 columns are eleven
    uint2 before[2];
#pragma unroll
    for (int g = 0; g < columns / 16; g++) {
        const float4 bias = *reinterpret_cast<const float4 *>(shared_bias + 16 * g + p.part);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float a[4] = {acc[8 * g + 2 * half] + bias.x, acc[8 * g + 2 * half + 1] + bias.y,
                          acc[8 * g + 4 + 2 * half] + bias.z, acc[8 * g + 4 + 2 * half + 1] + bias.w};
            if (epilogue == LINEAR_GELU_TANH)
                for (float &value : a) value = gelu_tanh(value);
            if (epilogue == LINEAR_GELU_ERF)
                for (float &value : a) value = gelu_erf(value);
            if (epilogue == LINEAR_RELU)
                for (float &value : a) value = value < 0 ? 0.0f : value;
            const uint2 made = {pack2<T>(a[0], a[1]), pack2<T>(a[2], a[3])};
            T *y = static_cast<T *>(d.y) + p.at[half] + 16 * g;
            if (g >= swapped)
                store_if(16 * g < p.wide[half], y, made);
            else if (g % 2 == 0)
                before[half] = made;
            else
                store_two_sixteens(y - 16, p.wide[half] - 16 * (g - 1), p.part, before[half], made);
        }
    }
}

/* NONE to F32. */
template <int columns>
__device__ __forceinline__ void store_f32(const tile_args &d, const float (&acc)[columns / 2], const float *shared_bias,
                                          const thread_place &p) {
#pragma unroll
    for (int g = 0; g < columns / 16; g++) {
        const float4 bias = *reinterpret_cast<const float4 *>(shared_bias + 16 * g + p.part);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float4 made = {acc[8 * g + 2 * half] + bias.x, acc[8 * g + 2 * half + 1] + bias.y,
                                 acc[8 * g + 4 + 2 * half] + bias.z, acc[8 * g + 4 + 2 * half + 1] + bias.w};
            store_if(16 * g < p.wide[half], static_cast<float *>(d.y) + p.at[half] + 16 * g, made);
        }
    }
}

/* RESIDUAL: F32, and 16 bits where they are wanted, with the addend from the ring. A piece lies as 4 or 2 x [128 rows,
 * 16 columns], so that a warp reads 512 bytes in a row. */
template <typename T, int columns>
__device__ __forceinline__ void add_and_store(const tile_args &d, const float (&acc)[columns / 2],
                                              const float *shared_bias, const float *shared_gate, const thread_place &p,
                                              int row_in_tile, const unsigned char *stages,
                                              ring<stages_for(columns)> &at, barriers *b) {
    constexpr int layers = piece_layers(columns);
#pragma unroll
    for (int g = 0; g < columns / 16; g++) {
        if (g % layers == 0) barrier_wait(&b->full[at.stage], at.parity);
        const float *piece = reinterpret_cast<const float *>(stages + at.stage * stage_bytes(columns));
        const float4 bias = *reinterpret_cast<const float4 *>(shared_bias + 16 * g + p.part);
        const float4 gate = *reinterpret_cast<const float4 *>(shared_gate + 16 * g + p.part);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float4 to =
                *reinterpret_cast<const float4 *>(piece + (g % layers * kRows + row_in_tile + 8 * half) * 16 + p.part);
            const float4 made = {fmaf(gate.x, acc[8 * g + 2 * half] + bias.x, to.x),
                                 fmaf(gate.y, acc[8 * g + 2 * half + 1] + bias.y, to.y),
                                 fmaf(gate.z, acc[8 * g + 4 + 2 * half] + bias.z, to.z),
                                 fmaf(gate.w, acc[8 * g + 4 + 2 * half + 1] + bias.w, to.w)};
            store_if(16 * g < p.wide[half], static_cast<float *>(d.y) + p.at[half] + 16 * g, made);
            if (d.also)
                store_if(16 * g < p.wide[half], static_cast<T *>(d.also) + p.at[half] + 16 * g,
                         make_uint2(pack2<T>(made.x, made.y), pack2<T>(made.z, made.w)));
        }
        if (g % layers == layers - 1 || g == columns / 16 - 1) {
            __syncwarp();
            if (threadIdx.x % 32 == 0) barrier_arrive(&b->empty[at.stage]);
            at.next();
        }
    }
}

/* to_f32: y is F32, of NONE. */
template <typename T, linear_epilogue epilogue, int columns, bool to_f32 = false>
__device__ __forceinline__ void consume(const tile_args &d, int group, const unsigned char *stages, barriers *b,
                                        epilogue_vectors<columns> *v) {
    const int thread = threadIdx.x % 128, lane = threadIdx.x % 32, warp = thread / 32;
    const uint64_t x = tile_descriptor(stages + group * 64 * kStep * 2),
                   w = tile_descriptor(stages + kRows * kStep * 2);
    const int row_in_tile = group * 64 + warp * 16 + lane / 4; // and the eighth below
    ring<stages_for(columns)> at;
    float acc[columns / 2] = {};
    float4 angles[4][2]; // (ROPE) by place in a head: they serve all heads of the tile
    int buffer = 0, sequence[2];
    if (epilogue == LINEAR_ROPE)
        for (int half = 0; half < 2; half++)
            sequence[half] = sequence_of(d, find_tile<columns>(d, blockIdx.x).row + row_in_tile + 8 * half);

    for (int tile = blockIdx.x; tile < d.tiles; tile += gridDim.x, buffer ^= 1) {
        const tile_place t = find_tile<columns>(d, tile);
        thread_place p;
        p.part = lane % 4 * 4;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int row = t.row + row_in_tile + 8 * half;
            p.wide[half] = row < d.rows ? d.out - t.column : 0;
            p.at[half] = int64_t{row} * d.out + t.column + p.part;
            if (epilogue == LINEAR_ROPE) { // table and pack are there before the kernel in front has ended
                const float *from = angles_of(d, row, sequence[half], p.part);
#pragma unroll
                for (int quarter = 0; quarter < 4; quarter++) angles[quarter][half] = load_early(from + 16 * quarter);
                sequence[half] = sequence_of(d, find_tile<columns>(d, tile + gridDim.x).row + row_in_tile + 8 * half);
            }
        }
        if (tile == blockIdx.x) wait_for_previous();

        // bias and gate of the epilogue
        fetch_vector<columns>(v->bias[buffer], d.bias, 0.0f, thread, t.column, d.out);
        if (epilogue == LINEAR_RESIDUAL)
            fetch_vector<columns>(v->gate[buffer], d.gate, 1.0f, thread - 64, t.column, d.out);
        copy_commit();

        multiply<T, columns>(acc, at, d.steps, x, w, b);

        copy_wait<0>();
        named_sync(kGroupBarrier + group, 128); // bias and gate of all threads are there
        if constexpr (epilogue == LINEAR_ROPE)
            rotate_and_store<T, columns>(d, acc, v->bias[buffer], angles, p, t.column / 64);
        else if constexpr (epilogue == LINEAR_RESIDUAL)
            add_and_store<T, columns>(d, acc, v->bias[buffer], v->gate[buffer], p, row_in_tile, stages, at, b);
        else if constexpr (to_f32)
            store_f32<columns>(d, acc, v->bias[buffer], p);
        else
            finish_and_store<T, epilogue, columns>(d, acc, v->bias[buffer], p);
    }
}

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */

template <typename T, linear_epilogue epilogue, int columns>
__global__ void __launch_bounds__(kThreads, 1)
    linear_persistent_wgmma(const __grid_constant__ tile_args d, const __grid_constant__ tensor_maps maps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ unsigned char dynamic_shared[];
    __shared__ barriers b;
    __shared__ alignas(16) epilogue_vectors<columns> v[kGroups];
    unsigned char *stages = dynamic_shared + (-shared_address(dynamic_shared) & 1023u);

    if (threadIdx.x == 0) {
        tensor_map_prefetch(&maps.x);
        tensor_map_prefetch(&maps.w);
        if (epilogue == LINEAR_RESIDUAL) tensor_map_prefetch(&maps.addend);
        for (int stage = 0; stage < stages_for(columns); stage++) {
            barrier_init(&b.full[stage], 1);
            barrier_init(&b.empty[stage], kGroups * 4); // one arrival of each warp that reads the stage
        }
        barrier_init_fence();
    }
    __syncthreads();
    let_next_start();

    if (threadIdx.x < 128) {
        registers_give<kProducerRegisters>();
        if (threadIdx.x < 32) produce<epilogue, columns>(d, maps, stages, &b);
    } else {
        registers_take<kGroupRegisters>();
        const int group = __shfl_sync(0xffffffffu, threadIdx.x / 128 - 1, 0);
        consume<T, epilogue, columns>(d, group, stages, &b, &v[group]);
    }
#else
    __trap(); // launched only where code for sm_90a is present: arch.code
#endif
}

} // namespace linear_sm90

#endif
