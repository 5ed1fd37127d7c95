/* linear_split_f32.cuh — the product of F32 operands on the tensor cores (split_f32.cuh), all epilogues of one element
 * included: a launch splits the rows of x and w into scratch, another multiplies.
 *
 * Floor: 6·rows·in·out FLOP at some 550 TFLOP/s of mma.sync on an H200. Vocos, 937 rows, 512 -> 1536: 8 µs; on the F32
 * units (67 TFLOP/s) 22 µs. The first launch reads both operands once and leaves them as large in L2; the second reads
 * 16 KB a step of a tile from there, 94 MB in that product.
 *
 * A block has 64 rows by 64 outputs and one, two or four groups of four warps, which divide the steps of 32 along `in`
 * among them: each has its own ring of stages and its own barrier; a warp multiplies 32 rows by 32 outputs. What the
 * scratch cannot hold at once is done in parts, of rows and of outputs.
 *
 * Each element is one sum in one order, by `in` alone: the same bits for a row in any bucket. */
#ifndef F5_SM80_LINEAR_SPLIT_F32_CUH
#define F5_SM80_LINEAR_SPLIT_F32_CUH

#include "kernels/cuda/common/epilogue.cuh"
#include "kernels/cuda/common/launch.cuh"
#include "kernels/cuda/common/reduce.cuh"
#include "kernels/cuda/plan/linear.h"
#include "kernels/cuda/sm80/split_f32.cuh"

namespace linear_split_f32 {

constexpr int kTile = LINEAR_SPLIT_TILE, kStep = 32, kGroup = 128 /* threads */, kStages = LINEAR_SPLIT_STAGES;
constexpr int kSplitThreads = 256, kPerRow = kStep / 8; /* of the first launch: threads to 32 elements of a row */
static_assert(kGroup == kTile / 32 * (kTile / 32) * 32, "warps of a tile");

/* Named barriers of a block; 0 is __syncthreads. */
enum named_barrier { kGroupBarrier = 1 /* + group: its 128 threads */ };

/* 32 elements of 64 rows of x, then of w: 32 F16 `high` and 32 `low`, in chunks laid as `swizzled` says; and what
 * undoes the scale of each. */
struct ring_stage {
    unsigned char row[2 * kTile][kStep * 4];
    float unscale[2 * kTile];
};
struct group_memory {
    ring_stage ring[kStages];
};

struct args {
    const float *x, *w, *bias, *gate, *addend;
    float *y;
    int rows, in, out;
};

/* An operand in scratch. Rows are padded to whole tiles; what lies past the last is anything. */
struct split_operand {
    unsigned char *halves; /* [padded,steps,128] 32 `high`, 32 `low` */
    float *unscale;        /* [steps,padded] */
    int padded;
};

/* ---- the first launch: four threads split 32 elements of a row, zeros past its end */

struct split_args {
    const float *from[2]; /* x and w: [rows,in] */
    split_operand to[2];
    int rows[2];
    int in, steps;
};

static __global__ void __launch_bounds__(kSplitThreads) linear_split_f32_operands(split_args a) {
    let_next_start();
    wait_for_previous();
    int64_t item = (blockIdx.x * int64_t{kSplitThreads} + threadIdx.x) / kPerRow;
    const bool of_w = item >= int64_t{a.rows[0]} * a.steps;
    if (of_w) item -= int64_t{a.rows[0]} * a.steps;
    const int row = (int)(item / a.steps), step = (int)(item % a.steps), quarter = threadIdx.x % kPerRow;
    const bool live = row < (of_w ? a.rows[1] : a.rows[0]);
    const split_operand to = of_w ? a.to[1] : a.to[0];
    const float *from = (of_w ? a.from[1] : a.from[0]) + int64_t{row} * a.in;
    float4 v[2] = {};
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const int at = step * kStep + 8 * quarter + 4 * i;
        if (live && at < a.in) v[i] = *reinterpret_cast<const float4 *>(from + at);
    }
    float largest = fmaxf(split_f32::largest_of(v[0]), split_f32::largest_of(v[1]));
    largest = lanes_max<kPerRow>(largest);
    const split_f32::scales by = split_f32::scales_of(largest);
    uint4 high, low;
    split_f32::split_eight(v[0], v[1], by.scale, &high, &low);
    if (!live) return;
    uint4 *halves = reinterpret_cast<uint4 *>(to.halves + (int64_t{row} * a.steps + step) * (4 * kStep));
    halves[quarter] = high, halves[quarter + 4] = low;
    if (quarter == 0) to.unscale[int64_t{step} * to.padded + row] = by.unscale;
}

/* ---- the second */

struct product_args {
    split_operand x, w;
    const float *bias, *gate, *addend; /* of this part's first output; the addend of its first row, too */
    float *y;
    int rows, out, steps; /* of this part */
    int stride;           /* outputs of a whole row of y */
};

/* A thread's part of a step of both operands: every 16th row, 16 bytes; and of what undoes the scales. */
struct fetcher {
    const unsigned char *x, *w;
    const float *unscale;
    int64_t rows_on; /* bytes between its rows */
    int64_t scales_on;
};

__device__ __forceinline__ void fetch(ring_stage *to, const fetcher &f, int step) {
    const int thread = threadIdx.x % kGroup, r = thread / 8, chunk = thread % 8;
    const uint32_t at = shared_address(to->row) + swizzled(r, chunk);
#pragma unroll
    for (int i = 0; i < kTile / 16; i++) {
        copy16_async(at + i * 16 * 128, f.x + i * f.rows_on + step * (4 * kStep), true);
        copy16_async(at + (kTile + i * 16) * 128, f.w + i * f.rows_on + step * (4 * kStep), true);
    }
    if (thread < 2 * kTile / 4)
        copy16_async(shared_address(to->unscale + 4 * thread), f.unscale + step * f.scales_on, true);
}

/* [m][j]: rows 16 m, outputs 8 j of the warp's; a thread's two of row lane / 4, then two of row + 8. */
typedef float sums[2][4][4];

/* Two neighbours of a vector of any alignment. */
__device__ __forceinline__ float2 pair_of(const float *v, int at, float otherwise) {
    return v ? make_float2(v[at], v[at + 1]) : make_float2(otherwise, otherwise);
}

template <linear_epilogue epilogue, int groups>
__global__ void __launch_bounds__(groups *kGroup, 512 / (groups * kGroup)) linear_split_f32_mma(product_args a) {
    extern __shared__ __align__(128) unsigned char memory[];
    const int thread = threadIdx.x % kGroup, group = threadIdx.x / kGroup, lane = thread % 32, warp = thread / 32;
    group_memory *mine = reinterpret_cast<group_memory *>(memory) + group;
    const int first_row = blockIdx.x * kTile, first_out = blockIdx.y * kTile;
    const int warp_row = warp / 2 * 32, warp_out = warp % 2 * 32;
    const int in_row = warp_row + lane / 4, in_out = warp_out + lane % 4 * 2; /* the thread's first in the tile */
    fetcher from;
    from.rows_on = int64_t{16} * a.steps * (4 * kStep);
    from.x = a.x.halves + (int64_t{first_row + thread / 8} * a.steps) * (4 * kStep) + thread % 8 * 16;
    from.w = a.w.halves + (int64_t{first_out + thread / 8} * a.steps) * (4 * kStep) + thread % 8 * 16;
    const bool of_w = thread >= kTile / 4;
    from.unscale = of_w ? a.w.unscale + first_out + 4 * thread - kTile : a.x.unscale + first_row + 4 * thread;
    from.scales_on = of_w ? a.w.padded : a.x.padded;

    let_next_start();
    wait_for_previous();
#pragma unroll
    for (int s = 0; s < kStages - 1; s++) {
        if (group + s * groups < a.steps) fetch(&mine->ring[s], from, group + s * groups);
        copy_commit();
    }
    if constexpr (epilogue == LINEAR_RESIDUAL) { /* the addend on its way to L2, half a row of the tile a thread */
        const int r = first_row + thread / 2, o = first_out + thread % 2 * 32;
        if (group == 0 && r < a.rows && o < a.out) prefetch_l2(a.addend + (size_t)r * a.stride + o);
    }

    // walk `in`: multiply a step, scale it back into the total
    sums total = {};
    int at = 0, into = kStages - 1; // places in the ring
    for (int step = group; step < a.steps; step += groups) {
        const ring_stage *stage = &mine->ring[at];
        copy_wait<kStages - 2>();
        named_sync(kGroupBarrier + group, kGroup); // this step is there, and the stage of the one before has been read
        if (step + (kStages - 1) * groups < a.steps) fetch(&mine->ring[into], from, step + (kStages - 1) * groups);
        copy_commit();

        sums part = {};
        const uint32_t x = shared_address(stage->row[warp_row + lane % 16]);
        const uint32_t w = shared_address(stage->row[kTile + warp_out + lane % 8 + lane / 16 * 8]);
#pragma unroll
        for (int half = 0; half < kStep / 16; half++) split_f32::multiply<4>(part, x, lane & 7, w, half);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const float2 by = *reinterpret_cast<const float2 *>(stage->unscale + kTile + in_out + 8 * j);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int m = i / 2, half = i % 2;
                const float of_row = stage->unscale[in_row + 16 * m + 8 * half];
                float *to = total[m][j] + 2 * half;
                to[0] = fmaf(part[m][j][2 * half] * of_row, by.x, to[0]);
                to[1] = fmaf(part[m][j][2 * half + 1] * of_row, by.y, to[1]);
            }
        }
        at = at + 1 == kStages ? 0 : at + 1;
        into = into + 1 == kStages ? 0 : into + 1;
    }

    // add the other groups' sums to the first's, in order
    if constexpr (groups > 1) {
        copy_wait<0>();
        __syncthreads();                                              // all have read their stages
        float4 *passed = reinterpret_cast<float4 *>(memory) + thread; // [groups - 1][8][kGroup]
        if (group > 0) {
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const float *four = total[i / 4][i % 4];
                passed[((group - 1) * 8 + i) * kGroup] = make_float4(four[0], four[1], four[2], four[3]);
            }
        }
        __syncthreads();
        if (group > 0) return;
#pragma unroll
        for (int g = 0; g < groups - 1; g++)
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const float4 four = passed[(g * 8 + i) * kGroup];
                float *to = total[i / 4][i % 4];
                to[0] += four.x, to[1] += four.y, to[2] += four.z, to[3] += four.w;
            }
    }

    // epilogue
    const int row = first_row + in_row, out = first_out + in_out;
    float2 addend[2][2][4] = {}; /* [m][half][j] */
    if constexpr (epilogue == LINEAR_RESIDUAL) {
#pragma unroll
        for (int i = 0; i < 16; i++) {
            const int m = i / 8, half = i / 4 % 2, j = i % 4, r = row + 16 * m + 8 * half, o = out + 8 * j;
            if (r < a.rows && o < a.out)
                addend[m][half][j] = *reinterpret_cast<const float2 *>(a.addend + (size_t)r * a.stride + o);
        }
    }
#pragma unroll
    for (int j = 0; j < 4; j++) {
        const int o = out + 8 * j;
        if (o >= a.out) continue;
        const float2 bias = pair_of(a.bias, o, 0.0f), gate = pair_of(a.gate, o, 1.0f);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int m = i / 2, half = i % 2, r = row + 16 * m + 8 * half;
            if (r >= a.rows) continue;
            const float *sum = total[m][j] + 2 * half;
            const float2 to = addend[m][half][j];
            const float2 v = make_float2(linear_finish<epilogue>(sum[0] + bias.x, gate.x, to.x),
                                         linear_finish<epilogue>(sum[1] + bias.y, gate.y, to.y));
            *reinterpret_cast<float2 *>(a.y + (size_t)r * a.stride + o) = v;
        }
    }
}

template <linear_epilogue epilogue, int groups> f5_status launch_product(cuda_context *c, const product_args &a) {
    constexpr int bytes = groups * (int)sizeof(group_memory);
    static_assert(bytes == groups * LINEAR_SPLIT_GROUP_BYTES, "plan/linear.h");
    auto kernel = linear_split_f32_mma<epilogue, groups>;
    F5_TRY(cuda_allow_shared(c, "linear", kernel, bytes));
    return cuda_launch_early(c, "linear", kernel, dim3(ceil_div(a.rows, kTile), ceil_div(a.out, kTile)),
                             groups * kGroup, bytes, a);
}

/* The rows from first_row on and the outputs from first_out on that the scratch holds, split and multiplied. */
static inline f5_status run_part(cuda_context *c, linear_epilogue epilogue, const args &a, int first_row, int rows,
                                 int first_out, int outs) {
    const int steps = ceil_div(a.in, kStep), x_padded = ceil_div(rows, kTile) * kTile,
              w_padded = ceil_div(outs, kTile) * kTile;
    split_args s = {};
    s.from[0] = a.x + (size_t)first_row * a.in, s.from[1] = a.w + (size_t)first_out * a.in;
    s.rows[0] = rows, s.rows[1] = outs, s.in = a.in, s.steps = steps;
    unsigned char *halves = static_cast<unsigned char *>(c->fixed_scratch);
    float *unscale = reinterpret_cast<float *>(halves + (size_t)(x_padded + w_padded) * steps * (4 * kStep));
    s.to[0] = {halves, unscale, x_padded};
    s.to[1] = {halves + (size_t)x_padded * steps * (4 * kStep), unscale + (size_t)x_padded * steps, w_padded};
    const int64_t threads = int64_t{rows + outs} * steps * kPerRow;
    F5_TRY(cuda_launch_early(c, "linear", linear_split_f32_operands,
                             dim3((unsigned int)ceil_div<int64_t>(threads, kSplitThreads)), kSplitThreads, 0, s));
    const size_t at = (size_t)first_row * a.out + first_out;
    const product_args p = {s.to[0],
                            s.to[1],
                            a.bias ? a.bias + first_out : nullptr,
                            a.gate ? a.gate + first_out : nullptr,
                            a.addend ? a.addend + at : nullptr,
                            a.y + at,
                            rows,
                            outs,
                            steps,
                            a.out};
    return for_epilogue(epilogue, [&](auto one) {
        switch (linear_split_groups(&c->arch, a.in)) {
        case 1:
            return launch_product<one.value, 1>(c, p);
        case 2:
            return launch_product<one.value, 2>(c, p);
        }
        return launch_product<one.value, 4>(c, p);
    });
}

/* in is a multiple of 4, out of 2; x and w are 16-byte aligned, y and addend 8. */
static inline f5_status run(cuda_context *c, linear_epilogue epilogue, const args &a) {
    const int64_t tile_bytes = int64_t{ceil_div(a.in, kStep)} * kTile * (4 * kStep + 4);
    const int64_t tiles = (int64_t)c->fixed_bytes / tile_bytes; /* of both operands */
    if (tiles < 2)
        return f5_fail(&c->error, F5_E_MEMORY, "linear: rows of %d F32 need %lld bytes of workspace, it has %zu", a.in,
                       (long long)(2 * tile_bytes), c->fixed_bytes);
    const int64_t w_tiles = ceil_div(a.out, kTile), x_tiles = ceil_div(a.rows, kTile);
    const int64_t w_most = x_tiles + w_tiles <= tiles ? w_tiles : w_tiles < tiles / 2 ? w_tiles : tiles / 2;
    const int outs = (int)(w_most * kTile), rows = (int)((tiles - w_most < x_tiles ? tiles - w_most : x_tiles) * kTile);
    for (int out = 0; out < a.out; out += outs)
        for (int row = 0; row < a.rows; row += rows)
            F5_TRY(run_part(c, epilogue, a, row, a.rows - row < rows ? a.rows - row : rows, out,
                            a.out - out < outs ? a.out - out : outs));
    return F5_OK;
}

} // namespace linear_split_f32

#endif
