/* linear_hopper.cuh — the matrix product for sm_90a, its epilogue included: one warp feeds tiles by the copy engine,
 * two warpgroups multiply 64 rows each of a tile of 128 rows by 128 to 256 columns.
 *
 *   producer   x [128,64] and w [columns,64], step after step, into a ring of 4 to 6 stages
 *   group g    64 rows: acc += x w^T over all steps, then bias, GELU or gate and residual, straight from registers
 *
 * Blocks stay for the whole launch and take tiles in turn (cuda/linear_plan.h says how wide); while the groups finish a
 * tile the producer fetches the next.
 *
 * The rows of w lie in shared memory in an order of their own, which costs nothing, as the copy engine's map of w is
 * 5-D: row 16g + 8j + 2q + e of a tile holds column 16g + 4q + 2j + e of y. So the four columns that a thread holds of
 * every sixteen are neighbours, and four threads fill whole sectors: 16 bytes each of F32, 8 of 16-bit.
 *
 * The addend of a tile, and the angles of its rows, are asked for before its first product and wait in registers, as
 * far as these reach. The first weights are fetched while the kernel in front still runs.
 *
 * Each element is one sum along `in` in steps of 16, whatever the tile: the same bits for a row in any bucket.
 *
 * Floor: 2·rows·in·out FLOP, see linear.cu; a step of 64 on a tile is 4 cycles a column of the matrix unit. What it
 * does not cover: the start of a launch, and the end of a tile, whose products are done and whose stores are not. */
#ifndef F5_LINEAR_HOPPER_CUH
#define F5_LINEAR_HOPPER_CUH

#include "../linear.h"
#include "linear_plan.h"
#include "tensor_map.cuh"
#include "wgmma.cuh"

namespace linear_hopper {

constexpr int kRows = 128, kStep = 64, kGroups = 2, kThreads = 128 * (1 + kGroups);
constexpr int kProducerRegisters = 40, kGroupRegisters = 232;
constexpr int kSharedBytes = 201 << 10, kMostStages = 6; /* dynamic; the rest is for barriers, bias and gate */
static_assert(128 * (kProducerRegisters + kGroups * kGroupRegisters) <= 65536, "register file");
static_assert(kRows == LINEAR_TILE_ROWS, "linear_plan.h counts tiles");

__host__ __device__ constexpr int stage_bytes(int columns) {
    return (kRows + columns) * kStep * 2;
}
__host__ __device__ constexpr int stages_for(int columns) {
    return (kSharedBytes - 1024) / stage_bytes(columns) < kMostStages ? (kSharedBytes - 1024) / stage_bytes(columns)
                                                                      : kMostStages;
}

struct tensor_maps {
    CUtensorMap x; /* [rows,in] in boxes of 128 rows */
    CUtensorMap w; /* [out/16, 2, 4, 2, in], see above; in boxes of a tile's columns */
};

struct product_args {
    const float *bias, *gate, *addend, *rope;
    const int32_t *offsets, *seq_of_row; /* of the pack (ROPE); NULL: all rows are one sequence */
    int heads, rope_heads;               /* (ROPE) */
    void *y;
    int rows, out, steps; /* of 64 along `in` */
    int row_tiles, tiles;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

struct barriers {
    uint64_t full[kMostStages], empty[kMostStages];
};

struct tile_place {
    int row, column;
};

/* Neighbours in a launch are tiles one below the other: they share w in L2. */
template <int columns> __device__ __forceinline__ tile_place find_tile(const product_args &d, int tile) {
    return {tile % d.row_tiles * kRows, tile / d.row_tiles * columns};
}

/* ---- producer: one warp */
template <int columns>
__device__ __forceinline__ void feed(const product_args &d, const tensor_maps &maps, unsigned char *stages,
                                     barriers *b) {
    constexpr int x_bytes = kRows * kStep * 2;
    const uint64_t passing = evict_first_policy(); // weights come once a step: L2 is for what comes back
    ring<stages_for(columns)> at;
    // the first weights need not wait for the kernel in front
    const tile_place first = find_tile<columns>(d, blockIdx.x);
    const int early = d.steps < stages_for(columns) ? d.steps : stages_for(columns);
    if (threadIdx.x == 0)
        for (int step = 0; step < early; step++) {
            barrier_expect(&b->full[step], stage_bytes(columns));
            tensor_load_group(stages + step * stage_bytes(columns) + x_bytes, &maps.w, step * kStep, first.column / 16,
                              &b->full[step], passing);
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
                tensor_load_group(x + x_bytes, &maps.w, step * kStep, t.column / 16, &b->full[at.stage], passing);
            }
            tensor_load(x, &maps.x, step * kStep, t.row, &b->full[at.stage]);
        }
    }
}

/* ---- a group: 128 threads, 64 rows; see wgmma.cuh for what a thread holds */

/* bias and gate of a tile's columns; two of each, so that a quick warp may fetch ahead of a slow one. */
template <int columns> struct vectors { float bias[2][columns], gate[2][columns]; };

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

/* Guarded accesses as predicates: a branch for each would keep the compiler from overlapping them. The load is not to
 * be put off: the point is to ask early. */
__device__ __forceinline__ float4 load_if(bool live, const float *p) {
    float4 v;
    asm volatile("{\n.reg .pred live;\nsetp.ne.b32 live, %5, 0;\nmov.b32 %0, 0;\nmov.b32 %1, 0;\nmov.b32 %2, 0;\n"
                 "mov.b32 %3, 0;\n@live ld.global.v4.f32 {%0,%1,%2,%3}, [%4];\n}\n"
                 : "=&f"(v.x), "=&f"(v.y), "=&f"(v.z), "=&f"(v.w)
                 : "l"(p), "r"((int)live)
                 : "memory");
    return v;
}
__device__ __forceinline__ void store_if(bool live, float *p, float4 v) {
    asm volatile(
        "{\n.reg .pred live;\nsetp.ne.b32 live, %5, 0;\n@live st.global.v4.f32 [%4], {%0,%1,%2,%3};\n}\n" ::"f"(v.x),
        "f"(v.y), "f"(v.z), "f"(v.w), "l"(p), "r"((int)live)
        : "memory");
}
__device__ __forceinline__ void store_if(bool live, void *p, uint32_t low, uint32_t high) {
    asm volatile("{\n.reg .pred live;\nsetp.ne.b32 live, %3, 0;\n@live st.global.v2.b32 [%2], {%0,%1};\n}\n" ::"r"(low),
                 "r"(high), "l"(p), "r"((int)live)
                 : "memory");
}

/* acc += x w^T over the tile's steps; gives back each stage as soon as it has been read. */
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

/* Where the angles of a row lie in the table, for columns `part` .. part + 3 of every sixteen. */
__device__ __forceinline__ const float *angles_of(const product_args &d, int row, int part) {
    int position = 0;
    if (row < d.rows) {
        const int sequence = d.seq_of_row ? d.seq_of_row[row] : 0;
        if (sequence >= 0) position = d.offsets ? row - d.offsets[sequence] : row;
    }
    return d.rope + int64_t{position} * 64 + part;
}

/* What the epilogue reads of a tile, as far as it is asked for before the first product. */
template <linear_epilogue epilogue, int columns> struct fetched {
    float4 angles[epilogue == LINEAR_ROPE ? 4 : 1][2]; /* by place in a head: they serve all heads of the tile */
    float4 addend[epilogue == LINEAR_RESIDUAL ? columns / 16 : 1][2];
};

/* The part of a tile that is a thread's: columns part .. part + 3 of every sixteen, of two rows. */
struct thread_place {
    int row[2];
    int wide[2];   /* columns of y from the tile's first on; 0 past the last row */
    int64_t at[2]; /* of the first element in y */
    int part;
};

/* ROPE: acc + bias, rotated, to 16 bits. The sixteens of a tile are taken by their place in a head, so that four angles
 * serve all its heads. Tiles start at multiples of 64. */
template <typename T, int columns>
__device__ __forceinline__ void rotate_and_store(const product_args &d, const float (&acc)[columns / 2],
                                                 const float *shared_bias, const fetched<LINEAR_ROPE, columns> &f,
                                                 const thread_place &p, int first_head) {
#pragma unroll
    for (int g = 0; g < columns / 16; g++) {
        const int head = first_head + g / 4; // of q, k and v together
        const bool rotated = head < 2 * d.heads && (head < d.heads ? head : head - d.heads) < d.rope_heads;
        const float4 bias = *reinterpret_cast<const float4 *>(shared_bias + 16 * g + p.part);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float4 by = f.angles[g % 4][half];
            const float a = acc[8 * g + 2 * half] + bias.x, b = acc[8 * g + 2 * half + 1] + bias.y;
            const float e = acc[8 * g + 4 + 2 * half] + bias.z, h = acc[8 * g + 4 + 2 * half + 1] + bias.w;
            store_if(16 * g < p.wide[half], static_cast<T *>(d.y) + p.at[half] + 16 * g,
                     rotated ? pack2<T>(a * by.x - b * by.y, b * by.x + a * by.y) : pack2<T>(a, b),
                     rotated ? pack2<T>(e * by.z - h * by.w, h * by.z + e * by.w) : pack2<T>(e, h));
        }
    }
}

/* Sixteens whose addend fits into registers beside the sums. */
template <int columns> constexpr int kAddendsAhead = columns <= 176 ? columns / 16 : columns == 192 ? 10 : 5;

/* The other epilogues. RESIDUAL asks for the rest of the addend as registers come free. */
template <typename T, linear_epilogue epilogue, int columns>
__device__ __forceinline__ void finish_and_store(const product_args &d, const float (&acc)[columns / 2],
                                                 const float *shared_bias, const float *shared_gate,
                                                 fetched<epilogue, columns> &f, const thread_place &p) {
    constexpr bool residual = epilogue == LINEAR_RESIDUAL;
#pragma unroll
    for (int g = 0; g < columns / 16; g++) {
        const float4 bias = *reinterpret_cast<const float4 *>(shared_bias + 16 * g + p.part);
        float4 gate = {};
        if (residual) gate = *reinterpret_cast<const float4 *>(shared_gate + 16 * g + p.part);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const bool live = 16 * g < p.wide[half];
            float a[4] = {acc[8 * g + 2 * half] + bias.x, acc[8 * g + 2 * half + 1] + bias.y,
                          acc[8 * g + 4 + 2 * half] + bias.z, acc[8 * g + 4 + 2 * half + 1] + bias.w};
            if constexpr (residual) {
                const float4 to = f.addend[g][half];
                store_if(live, static_cast<float *>(d.y) + p.at[half] + 16 * g,
                         make_float4(fmaf(gate.x, a[0], to.x), fmaf(gate.y, a[1], to.y), fmaf(gate.z, a[2], to.z),
                                     fmaf(gate.w, a[3], to.w)));
            } else {
                if (epilogue == LINEAR_GELU_TANH)
                    for (float &value : a) value = gelu_tanh(value);
                store_if(live, static_cast<T *>(d.y) + p.at[half] + 16 * g, pack2<T>(a[0], a[1]), pack2<T>(a[2], a[3]));
            }
        }
        // what this sixteen held, two others of addends may have
#pragma unroll
        for (int next = kAddendsAhead<columns> + 2 * g; next < kAddendsAhead<columns> + 2 * g + 2; next++)
            if (residual && next < columns / 16)
#pragma unroll
                for (int half = 0; half < 2; half++)
                    f.addend[next][half] = load_if(16 * next < p.wide[half], d.addend + p.at[half] + 16 * next);
    }
}

template <typename T, linear_epilogue epilogue, int columns>
__device__ __forceinline__ void work(const product_args &d, int group, const unsigned char *stages, barriers *b,
                                     vectors<columns> *v) {
    const int thread = threadIdx.x % 128, lane = threadIdx.x % 32, warp = thread / 32;
    const uint64_t x = tile_descriptor(stages + group * 64 * kStep * 2),
                   w = tile_descriptor(stages + kRows * kStep * 2);
    ring<stages_for(columns)> at;
    float acc[columns / 2] = {};
    int turn = 0;

    wait_for_previous();
    for (int tile = blockIdx.x; tile < d.tiles; tile += gridDim.x, turn ^= 1) {
        const tile_place t = find_tile<columns>(d, tile);
        thread_place p;
        p.part = lane % 4 * 4;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            p.row[half] = t.row + group * 64 + warp * 16 + lane / 4 + 8 * half;
            p.wide[half] = p.row[half] < d.rows ? d.out - t.column : 0;
            p.at[half] = int64_t{p.row[half]} * d.out + t.column + p.part;
        }

        // what the epilogue will want
        fetched<epilogue, columns> f;
        fetch_vector<columns>(v->bias[turn], d.bias, 0.0f, thread, t.column, d.out);
        if (epilogue == LINEAR_RESIDUAL)
            fetch_vector<columns>(v->gate[turn], d.gate, 1.0f, thread - 64, t.column, d.out);
        copy_commit();
#pragma unroll
        for (int half = 0; half < 2; half++) {
            if (epilogue == LINEAR_RESIDUAL)
#pragma unroll
                for (int g = 0; g < kAddendsAhead<columns>; g++)
                    f.addend[g][half] = load_if(16 * g < p.wide[half], d.addend + p.at[half] + 16 * g);
            if (epilogue == LINEAR_ROPE) {
                const float *angles = angles_of(d, p.row[half], p.part);
#pragma unroll
                for (int quarter = 0; quarter < 4; quarter++)
                    f.angles[quarter][half] = load_if(true, angles + 16 * quarter);
            }
        }

        multiply<T, columns>(acc, at, d.steps, x, w, b);

        copy_wait<0>();
        named_sync(1 + group, 128); // the group's own barrier: every thread's share of bias and gate is there
        if constexpr (epilogue == LINEAR_ROPE)
            rotate_and_store<T, columns>(d, acc, v->bias[turn], f, p, t.column / 64);
        else
            finish_and_store<T, epilogue, columns>(d, acc, v->bias[turn], v->gate[turn], f, p);
    }
}

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */

template <typename T, linear_epilogue epilogue, int columns>
__global__ void __launch_bounds__(kThreads, 1)
    product(const __grid_constant__ product_args d, const __grid_constant__ tensor_maps maps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ unsigned char dynamic_shared[];
    __shared__ barriers b;
    __shared__ alignas(16) vectors<columns> v[kGroups];
    unsigned char *stages = dynamic_shared + (-shared_address(dynamic_shared) & 1023u);

    if (threadIdx.x == 0) {
        tensor_map_prefetch(&maps.x);
        tensor_map_prefetch(&maps.w);
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
        if (threadIdx.x < 32) feed<columns>(d, maps, stages, &b);
    } else {
        registers_take<kGroupRegisters>();
        const int group = __shfl_sync(0xffffffffu, threadIdx.x / 128 - 1, 0);
        work<T, epilogue, columns>(d, group, stages, &b, &v[group]);
    }
#else
    __trap(); // launched only where code for sm_90a is present: cuda_context.hopper
#endif
}

/* ---- host */

/* What a box has past the last row of x or w is filled with zeros. */
static inline bool encode_maps(cuda_context *c, tensor_maps *maps, const linear_args *a, int32_t rows,
                               int32_t columns) {
    const cuuint64_t row_bytes = (cuuint64_t)a->in * 2, width = (cuuint64_t)a->in;
    const cuuint64_t x_size[2] = {width, (cuuint64_t)rows};
    const cuuint32_t x_box[2] = {kStep, kRows};
    const cuuint64_t w_size[5] = {width, 2, 4, 2, (cuuint64_t)a->out / 16};
    const cuuint64_t w_stride[4] = {row_bytes, 4 * row_bytes, 2 * row_bytes, 16 * row_bytes};
    const cuuint32_t w_box[5] = {kStep, 2, 4, 2, (cuuint32_t)columns / 16};
    return tensor_map_encode(c, &maps->x, a->type, 2, a->x, x_size, &row_bytes, x_box) &&
           tensor_map_encode(c, &maps->w, a->type, 5, a->w, w_size, w_stride, w_box);
}

template <typename T, linear_epilogue epilogue, int columns>
f5_status launch(cuda_context *c, const product_args &d, const tensor_maps &maps) {
    auto kernel = product<T, epilogue, columns>;
    F5_TRY(cuda_allow_shared(c, "linear", kernel, kSharedBytes));
    const int blocks = d.tiles < c->sm_count ? d.tiles : c->sm_count;
    return cuda_launch_early(c, "linear", kernel, dim3((unsigned int)blocks), kThreads, kSharedBytes, d, maps);
}

/* y = epilogue(x w^T + bias). in and out are multiples of 64, bias, gate and addend are 16-byte aligned, y is F32 for
 * RESIDUAL and T otherwise. */
template <typename T, linear_epilogue epilogue> f5_status run(cuda_context *c, const linear_args *a, int32_t rows) {
    const linear_plan plan = linear_choose(rows, a->out, c->sm_count, epilogue == LINEAR_ROPE ? 64 : 16);
    tensor_maps maps;
    if (plan.tiles > INT32_MAX / 2 || !encode_maps(c, &maps, a, rows, plan.columns))
        return f5_fail(&c->error, F5_E_DEVICE, "linear: no tensor maps for [%d,%d] x [%d,%d]", rows, a->in, a->out,
                       a->in);
    product_args d = {};
    d.bias = a->bias, d.gate = a->gate, d.addend = a->addend, d.y = a->y;
    d.rows = rows, d.out = a->out, d.steps = a->in / kStep;
    if (epilogue == LINEAR_ROPE) {
        d.rope = a->rope, d.heads = a->out / 192, d.rope_heads = a->rope_heads;
        if (a->pack) d.offsets = a->pack->offsets, d.seq_of_row = a->pack->seq_of_row;
    }
    d.row_tiles = (int)plan.row_tiles, d.tiles = (int)plan.tiles;
    switch (plan.columns) {
    case 128:
        return launch<T, epilogue, 128>(c, d, maps);
    case 176:
        if constexpr (epilogue != LINEAR_ROPE) return launch<T, epilogue, 176>(c, d, maps);
        break;
    case 192:
        return launch<T, epilogue, 192>(c, d, maps);
    }
    return launch<T, epilogue, 256>(c, d, maps);
}

} // namespace linear_hopper

#endif
