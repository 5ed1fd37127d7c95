/* linear_split_f32.cuh — the product of F32 operands on the tensor cores (split_f32.cuh), all epilogues of one element
 * included.
 *
 * Floor: 6·rows·in·out FLOP at some 550 TFLOP/s of mma.sync on an H200. Vocos, 937 rows, 512 -> 1536: 8 µs; on the F32
 * units (67 TFLOP/s) 22 µs.
 *
 * A block has 64 rows by 64 outputs and one, two or four groups of four warps, which divide the steps of 32 along `in`
 * among them: each has its own ring of stages and its own barrier. Of a step a thread splits one row of x or w, in
 * place; then a warp multiplies 32 rows by 32 outputs. One group multiplies while another splits, waits or stores, in
 * the same block or in the next, for several share a multiprocessor. Weights of the first steps are fetched before the
 * kernel in front ends.
 *
 * Each element is one sum in one order, by `in` alone: the same bits for a row in any bucket. */
#ifndef F5_SM80_LINEAR_SPLIT_F32_CUH
#define F5_SM80_LINEAR_SPLIT_F32_CUH

#include "kernels/cuda/common/epilogue.cuh"
#include "kernels/cuda/common/launch.cuh"
#include "kernels/cuda/plan/linear.h"
#include "kernels/cuda/sm80/split_f32.cuh"

namespace linear_split_f32 {

constexpr int kRows = LINEAR_SPLIT_TILE, kOuts = LINEAR_SPLIT_TILE, kStep = 32,
              kGroup = 128; /* threads of a group: a row of a stage each */
constexpr int kStages = LINEAR_SPLIT_STAGES;
static_assert(kGroup == kRows + kOuts && kGroup == kRows / 32 * (kOuts / 32) * 32,
              "threads, rows and warps of a stage");

/* Named barriers of a block; 0 is __syncthreads. */
enum named_barrier { kGroupBarrier = 1 /* + group: its 128 threads */ };

/* 32 elements of 64 rows of x, then of w: F32, later 32 F16 `high` and 32 `low`, in chunks laid as `swizzled` says. */
struct ring_stage {
    unsigned char row[kRows + kOuts][kStep * 4];
};
struct group_memory {
    ring_stage ring[kStages];
    float unscale[kRows + kOuts]; /* of the step at hand */
};

struct args {
    const float *x, *w, *bias, *gate, *addend;
    float *y;
    int rows, in, out;
};

/* Elements k to k + 31 of the tile's rows of x or w (64 from `first` on) into half a stage; zeros past the row
 * or the matrix. */
__device__ __forceinline__ void fetch(unsigned char (*to)[kStep * 4], const float *from, int first, int rows, int k,
                                      int in) {
    const int r = threadIdx.x % kGroup / 8, chunk = threadIdx.x % 8, at = k + 4 * chunk;
#pragma unroll
    for (int i = 0; i < kRows; i += kGroup / 8) {
        const bool live = first + r + i < rows && at < in;
        copy16_async(shared_address(to) + swizzled(r + i, chunk),
                     live ? from + (size_t)(first + r + i) * in + at : from, live);
    }
}

/* A row of a stage in place: F32 becomes `high` and `low` of 2^14 .. 2^15. Returns the factor that undoes the scale. */
__device__ __forceinline__ float split_row(unsigned char *stage_rows, int row) {
    float4 v[8];
#pragma unroll
    for (int c = 0; c < 8; c++) v[c] = *reinterpret_cast<const float4 *>(stage_rows + swizzled(row, c));
    float largest = 0;
#pragma unroll
    for (int c = 0; c < 8; c++) largest = fmaxf(largest, split_f32::largest_of(v[c]));
    const split_f32::scales by = split_f32::scales_of(largest);
#pragma unroll
    for (int c = 0; c < 4; c++) {
        uint4 high, low;
        split_f32::split_eight(v[2 * c], v[2 * c + 1], by.scale, &high, &low);
        *reinterpret_cast<uint4 *>(stage_rows + swizzled(row, c)) = high;
        *reinterpret_cast<uint4 *>(stage_rows + swizzled(row, c + 4)) = low;
    }
    return by.unscale;
}

/* [m][j]: rows 16 m, outputs 8 j of the warp's; a thread's two of row lane / 4, then two of row + 8. */
typedef float sums[2][4][4];

/* Two neighbours of a vector of any alignment. */
__device__ __forceinline__ float2 pair_of(const float *v, int at, float otherwise) {
    return v ? make_float2(v[at], v[at + 1]) : make_float2(otherwise, otherwise);
}

template <linear_epilogue epilogue, int groups>
__global__ void __launch_bounds__(groups *kGroup, 512 / (groups * kGroup)) linear_split_f32_mma(args a) {
    extern __shared__ __align__(128) unsigned char memory[];
    const int thread = threadIdx.x % kGroup, group = threadIdx.x / kGroup, lane = thread % 32, warp = thread / 32;
    group_memory *mine = reinterpret_cast<group_memory *>(memory) + group;
    const int first_row = blockIdx.x * kRows, first_out = blockIdx.y * kOuts;
    const int warp_row = warp / 2 * 32, warp_out = warp % 2 * 32;
    const int in_row = warp_row + lane / 4, in_out = warp_out + lane % 4 * 2; /* the thread's first in the tile */
    constexpr int stride = groups * kStep; /* from a step of this group to the next */

    // fill the ring: weights need not wait for the kernel in front
    let_next_start();
#pragma unroll
    for (int s = 0; s < kStages - 1; s++)
        fetch(mine->ring[s].row + kRows, a.w, first_out, a.out, group * kStep + s * stride, a.in);
    wait_for_previous();
#pragma unroll
    for (int s = 0; s < kStages - 1; s++) {
        fetch(mine->ring[s].row, a.x, first_row, a.rows, group * kStep + s * stride, a.in);
        copy_commit();
    }
    if constexpr (epilogue == LINEAR_RESIDUAL) { /* the addend on its way to L2, half a row of the tile a thread */
        const int r = first_row + thread / 2, o = first_out + thread % 2 * 32;
        if (group == 0 && r < a.rows && o < a.out) prefetch_l2(a.addend + (size_t)r * a.out + o);
    }

    // walk `in`: split a step in place, multiply it, scale it back into the total
    sums total = {};
    int at = 0, into = kStages - 1; // places in the ring
    for (int k = group * kStep; k < a.in; k += stride) {
        ring_stage *stage = &mine->ring[at];
        copy_wait<kStages - 2>();
        named_sync(kGroupBarrier + group, kGroup); // this step is there, and the stage of the one before has been read
        if (k + (kStages - 1) * stride < a.in) {
            fetch(mine->ring[into].row + kRows, a.w, first_out, a.out, k + (kStages - 1) * stride, a.in);
            fetch(mine->ring[into].row, a.x, first_row, a.rows, k + (kStages - 1) * stride, a.in);
        }
        copy_commit();
        mine->unscale[thread] = split_row(stage->row[0], thread);
        named_sync(kGroupBarrier + group, kGroup);

        sums part = {};
        const uint32_t x = shared_address(stage->row[warp_row + lane % 16]);
        const uint32_t w = shared_address(stage->row[kRows + warp_out + lane % 8 + lane / 16 * 8]);
#pragma unroll
        for (int half = 0; half < kStep / 16; half++)
            if (half == 0 || k + 16 * half < a.in) split_f32::multiply<4>(part, x, lane & 7, w, half);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const float2 by = *reinterpret_cast<const float2 *>(mine->unscale + kRows + in_out + 8 * j);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int m = i / 2, half = i % 2;
                const float of_row = mine->unscale[in_row + 16 * m + 8 * half];
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
                addend[m][half][j] = *reinterpret_cast<const float2 *>(a.addend + (size_t)r * a.out + o);
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
            *reinterpret_cast<float2 *>(a.y + (size_t)r * a.out + o) = v;
        }
    }
}

template <linear_epilogue epilogue, int groups> f5_status launch(cuda_context *c, const args &a) {
    constexpr int bytes = groups * (int)sizeof(group_memory);
    static_assert(bytes == groups * LINEAR_SPLIT_GROUP_BYTES, "plan/linear.h");
    auto kernel = linear_split_f32_mma<epilogue, groups>;
    F5_TRY(cuda_allow_shared(c, "linear", kernel, bytes));
    return cuda_launch_early(c, "linear", kernel, dim3(ceil_div(a.rows, kRows), ceil_div(a.out, kOuts)),
                             groups * kGroup, bytes, a);
}

/* in is a multiple of 4, out of 2; x and w are 16-byte aligned, y and addend 8. */
static inline f5_status run(cuda_context *c, linear_epilogue epilogue, const args &a) {
    return for_epilogue(epilogue, [&](auto one) {
        switch (linear_split_groups(&c->arch, a.in)) {
        case 1:
            return launch<one.value, 1>(c, a);
        case 2:
            return launch<one.value, 2>(c, a);
        }
        return launch<one.value, 4>(c, a);
    });
}

} // namespace linear_split_f32

#endif
