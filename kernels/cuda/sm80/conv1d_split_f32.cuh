/* conv1d_split_f32.cuh — the convolution of F32 operands on the tensor cores, each as two F16 (split_f32.cuh).
 *
 * As conv1d.cuh beside this has it: a tile of x with its halo is the operand of every tap, a step is a tap of 32
 * inputs, weights stream through a ring. x is split once for all taps of its 32 inputs, a tap's weights as they come.
 *
 * Eight warps have 32 rows each and half or all of the tile's outputs. The order of a sum is chunks of 32 inputs, taps,
 * inputs, by the call's shape alone: the same bits for a row in any bucket. */
#ifndef F5_SM80_CONV1D_SPLIT_F32_CUH
#define F5_SM80_CONV1D_SPLIT_F32_CUH

#include "kernels/cuda/common/conv1d_finish.cuh"
#include "kernels/cuda/common/pack_tile.cuh"
#include "kernels/cuda/plan/conv1d.h"
#include "kernels/cuda/sm80/split_f32.cuh"

namespace conv1d_split_f32 {

constexpr int kStages = CONV1D_STAGES, kChunk = CONV1D_SPLIT_CHUNK, kThreads = 256;
static_assert(kStages == 3, "conv1d_buffers: a chunk of x comes two steps ahead");
typedef unsigned char chunk_row[kChunk * 4];

/* Of a call: chunks of inputs, buffers of x, rows of a buffer with the halo. */
struct layout {
    int chunks, buffers, x_rows;
};

__device__ __forceinline__ void copy_x(const conv1d_args &a, const pack_tile &tile, const layout &l, int chunk,
                                       chunk_row *to) {
    const int top = tile.first - (a.taps - 1) * a.dilation / 2, at = threadIdx.x % 8, in = chunk * kChunk + 4 * at;
    const float *x = static_cast<const float *>(a.x);
#pragma unroll 1
    for (int r = threadIdx.x / 8; r < l.x_rows; r += kThreads / 8) {
        const int row = top + r;
        const bool inside = row >= tile.begin && row < tile.end && in < a.in;
        copy16_async(shared_address(to) + swizzled(r, at), inside ? x + (size_t)row * a.in + in : x, inside);
    }
}

template <int outs>
__device__ __forceinline__ void copy_w(const conv1d_args &a, int chunk, int tap, int out, chunk_row *to) {
    const int at = threadIdx.x % 8, in = chunk * kChunk + 4 * at;
    const float *w = static_cast<const float *>(a.w);
#pragma unroll
    for (int o = threadIdx.x / 8; o < outs; o += kThreads / 8) {
        const bool live = out + o < a.out && in < a.in;
        copy16_async(shared_address(to) + swizzled(o, at), live ? w + ((size_t)tap * a.out + out + o) * a.in + in : w,
                     live);
    }
}

/* Rows in place, a row by four neighbouring threads: F32 becomes `high` and `low`. factor: what undoes each row's
 * scale. Whole warps call: those past the last row split zeros and keep nothing. */
__device__ __forceinline__ void split_rows(chunk_row *rows, int count, float *factor) {
    const int quarter = threadIdx.x % 4;
    unsigned char *from = rows[0];
#pragma unroll 1
    for (int first = 0; first < count; first += kThreads / 4) {
        const int row = first + threadIdx.x / 4;
        const bool live = row < count;
        float4 v[2] = {};
        if (live)
#pragma unroll
            for (int i = 0; i < 2; i++) v[i] = *reinterpret_cast<const float4 *>(from + swizzled(row, 2 * quarter + i));
        float largest = fmaxf(split_f32::largest_of(v[0]), split_f32::largest_of(v[1]));
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
        const split_f32::scales by = split_f32::scales_of(largest);
        uint4 high, low;
        split_f32::split_eight(v[0], v[1], by.scale, &high, &low);
        __syncwarp(); // all four have read what is written over
        if (!live) continue;
        *reinterpret_cast<uint4 *>(from + swizzled(row, quarter)) = high;
        *reinterpret_cast<uint4 *>(from + swizzled(row, quarter + 4)) = low;
        if (quarter == 0) factor[row] = by.unscale;
    }
}

/* eights: of a warp's outputs; across: warps side by side along the outputs. */
template <int eights, int across>
__global__ void __launch_bounds__(kThreads, 2) conv1d_split_f32_mma(conv1d_args a, f5_pack pack, layout l) {
    constexpr int outs = 8 * eights * across, rows = 256 / across, stage_rows = outs == 24 ? 32 : 64;
    extern __shared__ __align__(128) unsigned char memory[];
    chunk_row *x = reinterpret_cast<chunk_row *>(memory), *w = x + l.buffers * l.x_rows;
    float *x_factor = reinterpret_cast<float *>(w + kStages * stage_rows), *w_factor = x_factor + l.buffers * l.x_rows;
    const int steps = l.chunks * a.taps, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int out = blockIdx.y * outs, warp_row = warp / across * 32, warp_out = warp % across * 8 * eights;

    let_next_start();
    const pack_tile tile = pack_tile_find(pack.offsets, pack.n_seq, rows, blockIdx.x, a.rate);
    if (tile.rows > 0)
#pragma unroll
        for (int s = 0; s < kStages - 1; s++) // weights need not wait for the kernel in front
            if (s < steps) copy_w<outs>(a, s / a.taps, s % a.taps, out, w + s * stage_rows);
    wait_for_previous();
    if (tile.rows == 0) return;
#pragma unroll
    for (int s = 0; s < kStages - 1; s++) {
        if (s < steps && s % a.taps == 0) copy_x(a, tile, l, s / a.taps, x + s / a.taps * l.x_rows);
        copy_commit();
    }

    const float slope = conv1d_slope(a);
    float total[2][eights][4] = {};
    int tap = 0, buffer = 0, stage = 0;                                           // of this step
    int next = kStages - 1, next_tap = next % a.taps, next_chunk = next / a.taps; // of the one that is fetched
    int next_buffer = next_chunk % l.buffers, next_stage = kStages - 1;
    for (int step = 0; step < steps; step++, next++) {
        chunk_row *x_now = x + buffer * l.x_rows, *w_now = w + stage * stage_rows;
        float *of_rows = x_factor + buffer * l.x_rows;
        copy_wait<kStages - 2>();
        __syncthreads(); // this step's operands are there, and those of the step before have been read
        if (next < steps) {
            copy_w<outs>(a, next_chunk, next_tap, out, w + next_stage * stage_rows);
            if (next_tap == 0) copy_x(a, tile, l, next_chunk, x + next_buffer * l.x_rows);
        }
        copy_commit();
        if (tap == 0) split_rows(x_now, l.x_rows, of_rows);
        split_rows(w_now, outs, w_factor);
        __syncthreads();

        float part[2][eights][4] = {};
        const int row = warp_row + tap * a.dilation + lane % 16;
        const uint32_t x_at = shared_address(x_now[row]);
        const uint32_t w_at = shared_address(w_now[warp_out + lane % 8 + lane / 16 * 8]);
#pragma unroll
        for (int half = 0; half < kChunk / 16; half++) split_f32::multiply<eights>(part, x_at, row & 7, w_at, half);
        float of_row[2][2];
#pragma unroll
        for (int i = 0; i < 4; i++)
            of_row[i / 2][i % 2] = of_rows[warp_row + tap * a.dilation + lane / 4 + 16 * (i / 2) + 8 * (i % 2)];
#pragma unroll
        for (int j = 0; j < eights; j++) {
            const float2 by = *reinterpret_cast<const float2 *>(w_factor + warp_out + 8 * j + lane % 4 * 2);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                float *to = total[i / 2][j] + i % 2 * 2, *from = part[i / 2][j] + i % 2 * 2;
                to[0] = fmaf(from[0] * of_row[i / 2][i % 2], by.x, to[0]);
                to[1] = fmaf(from[1] * of_row[i / 2][i % 2], by.y, to[1]);
            }
        }
        if (++tap == a.taps) tap = 0, buffer = buffer + 1 == l.buffers ? 0 : buffer + 1;
        if (++next_tap == a.taps)
            next_tap = 0, next_chunk++, next_buffer = next_buffer + 1 == l.buffers ? 0 : next_buffer + 1;
        stage = stage + 1 == kStages ? 0 : stage + 1;
        next_stage = next_stage + 1 == kStages ? 0 : next_stage + 1;
    }

#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int r = warp_row + 16 * (i / 2) + 8 * (i % 2) + lane / 4;
        if (r >= tile.rows) continue;
#pragma unroll
        for (int j = 0; j < eights; j++) {
            const int o = out + warp_out + 8 * j + lane % 4 * 2;
            const float *sum = total[i / 2][j] + i % 2 * 2;
            if (o < a.out)
                conv1d_finish_pair<float>(a, slope, (size_t)(tile.first + r) * a.out + o, o,
                                          make_float2(sum[0], sum[1]));
        }
    }
}

template <int eights, int across> f5_status launch(cuda_context *c, const conv1d_args *a) {
    constexpr int rows = 256 / across, outs = 8 * eights * across;
    const int chunks = ceil_div(a->in, kChunk);
    const layout l = {chunks, conv1d_buffers(chunks, a->taps), rows + conv1d_reach(a)};
    auto kernel = conv1d_split_f32_mma<eights, across>;
    const int bytes = conv1d_split_shared_bytes(a);
    F5_TRY(cuda_allow_all_shared(c, "conv1d", kernel, bytes));
    const dim3 blocks(pack_tiles_max(a->pack, rows, a->rate), ceil_div(a->out, outs));
    return cuda_launch_early(c, "conv1d", kernel, blocks, kThreads, bytes, *a, *a->pack, l);
}

static inline f5_status run(cuda_context *c, const conv1d_args *a) {
    switch (conv1d_split_outs(a->out, a->taps)) {
    case 24:
        return launch<3, 1>(c, a);
    case 48:
        return launch<3, 2>(c, a);
    }
    return launch<4, 2>(c, a);
}

} // namespace conv1d_split_f32

#endif
