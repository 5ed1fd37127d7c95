/* conv1d.cuh — the convolution as an implicit matrix product by mma.sync and cp.async, sm_80 and later, for 16-bit
 * operands.
 *
 * A tile of x with its halo is the operand of every tap: a tap moves only the row that it is read from. A step is a tap
 * of a chunk of 32, 48 or 64 inputs (plan/conv1d.h). Weights stream through a ring of stages, two steps ahead; the next
 * chunk of x is fetched with its first weights. A block has four or eight warps of 32 rows each, and 24 to 96 outputs.
 *
 * The order of a sum is chunks, taps, inputs in steps of 16, by the call's shape alone: the same bits for a row in any
 * bucket. */
#ifndef F5_SM80_CONV1D_CUH
#define F5_SM80_CONV1D_CUH

#include "kernels/cuda/common/conv1d_finish.cuh"
#include "kernels/cuda/common/pack_tile.cuh"
#include "kernels/cuda/plan/conv1d.h"
#include "kernels/cuda/sm80/ptx.cuh"

namespace conv1d_sm80 {

constexpr int kStages = CONV1D_STAGES;
static_assert(kStages == 3, "conv1d_buffers: a chunk of x comes two steps ahead");

/* Steps of a call, and where their operands lie in shared memory. Elements of 16 bits. */
struct layout {
    int chunk, chunks, buffers, pitch; /* pitch: 16 bytes past a row's chunk, so that matrix loads meet no bank twice */
    int x_rows;                        /* of a buffer, halo included */
};

/* Eight neighbours of a row that has `in`, `at` being the first; zeros past its end. Rows of an odd number of eight
 * bytes are copied by these. */
template <typename T> __device__ __forceinline__ void copy_eight(T *to, const T *row, int at, int in, bool inside) {
    if (in % 8 == 0) {
        copy16_async(shared_address(to), inside && at < in ? row + at : row, inside && at < in);
        return;
    }
#pragma unroll
    for (int i = 0; i < 8; i += 4) {
        const bool live = inside && at + i < in;
        copy8_async(shared_address(to + i), live ? row + at + i : row, live);
    }
}

/* Inputs from `first` on of x, halo included, for one step; zeros past the sequence and past the row. */
template <typename T>
__device__ __forceinline__ void copy_x(const conv1d_args &a, const pack_tile &tile, const layout &l, int first, T *to) {
    const int eighths = l.chunk / 8, top = tile.first - (a.taps - 1) * a.dilation / 2;
    for (int i = threadIdx.x; i < l.x_rows * eighths; i += blockDim.x) {
        const int r = i / eighths, at = i % eighths * 8, row = top + r;
        const bool inside = row >= tile.begin && row < tile.end;
        const T *x = static_cast<const T *>(a.x);
        copy_eight(to + r * l.pitch + at, inside ? x + (size_t)row * a.in : x, first + at, a.in, inside);
    }
}

/* Weights of a tap for `outs` outputs from `out` on; zeros past the last one and past the row. */
template <typename T, int outs>
__device__ __forceinline__ void copy_w(const conv1d_args &a, const layout &l, int first, int tap, int out, T *to) {
    const int eighths = l.chunk / 8;
    for (int i = threadIdx.x; i < outs * eighths; i += blockDim.x) {
        const int o = i / eighths, at = i % eighths * 8;
        const bool live = out + o < a.out;
        const T *w = static_cast<const T *>(a.w);
        copy_eight(to + o * l.pitch + at, live ? w + ((size_t)tap * a.out + out + o) * a.in : w, first + at, a.in,
                   live);
    }
}

/* acc[m][n]: rows 16 m of the warp's 32, outputs 8 n, in the layout of mma m16n8k16. x: the warp's first row. */
template <typename T, int outs>
__device__ __forceinline__ void multiply(float (&acc)[2][outs / 8][4], const T *x, const T *w, int chunk, int pitch) {
    const int lane = threadIdx.x % 32;
    const uint32_t x_at = shared_address(x + lane % 16 * pitch + lane / 16 * 8);
    const uint32_t w_at = shared_address(w + (lane % 8 + lane / 16 * 8) * pitch + lane / 8 % 2 * 8);
#pragma unroll 2
    for (int k = 0; k < chunk; k += 16) {
        uint32_t of_x[2][4];
#pragma unroll
        for (int m = 0; m < 2; m++) load_matrices(of_x[m], x_at + (16 * m * pitch + k) * 2);
#pragma unroll
        for (int n = 0; n < outs / 8; n += 2) {
            uint32_t of_w[4]; /* 16 outputs: low and high half of k for the first 8, then for the second */
            load_matrices(of_w, w_at + (8 * n * pitch + k) * 2);
#pragma unroll
            for (int m = 0; m < 2; m++) {
                mma_16x8x16<T>(acc[m][n], of_x[m], of_w[0], of_w[1]);
                if (n + 1 < outs / 8) mma_16x8x16<T>(acc[m][n + 1], of_x[m], of_w[2], of_w[3]);
            }
        }
    }
}

template <typename T, int outs, int warps>
__global__ void __launch_bounds__(32 * warps) conv1d_mma(conv1d_args a, f5_pack pack, layout l) {
    extern __shared__ __align__(16) unsigned char memory[];
    T *x = reinterpret_cast<T *>(memory), *w = x + l.buffers * l.x_rows * l.pitch;
    const int x_size = l.x_rows * l.pitch, w_size = outs * l.pitch, steps = l.chunks * a.taps;
    const int out = blockIdx.y * outs, lane = threadIdx.x % 32, warp = threadIdx.x / 32;

    let_next_start();
    const pack_tile tile = pack_tile_find(pack.offsets, pack.n_seq, 32 * warps, blockIdx.x, a.rate);
    if (tile.rows > 0)
#pragma unroll
        for (int s = 0; s < kStages - 1; s++) // weights need not wait for the kernel in front
            if (s < steps) copy_w<T, outs>(a, l, s / a.taps * l.chunk, s % a.taps, out, w + s * w_size);
    wait_for_previous();
    if (tile.rows == 0) return;
#pragma unroll
    for (int s = 0; s < kStages - 1; s++) {
        if (s < steps && s % a.taps == 0) copy_x<T>(a, tile, l, s / a.taps * l.chunk, x + s / a.taps * x_size);
        copy_commit();
    }

    const float slope = conv1d_slope(a);
    float acc[2][outs / 8][4] = {};
    int tap = 0, buffer = 0, stage = 0;                                           // of this step
    int next = kStages - 1, next_tap = next % a.taps, next_chunk = next / a.taps; // of the one that is fetched
    int next_buffer = next_chunk % l.buffers, next_stage = kStages - 1;
    for (int step = 0; step < steps; step++, next++) {
        copy_wait<kStages - 2>();
        __syncthreads(); // this step's operands are there, and those of the step before have been read
        if (next < steps) {
            copy_w<T, outs>(a, l, next_chunk * l.chunk, next_tap, out, w + next_stage * w_size);
            if (next_tap == 0) copy_x<T>(a, tile, l, next_chunk * l.chunk, x + next_buffer * x_size);
        }
        copy_commit();
        multiply<T, outs>(acc, x + buffer * x_size + (32 * warp + tap * a.dilation) * l.pitch, w + stage * w_size,
                          l.chunk, l.pitch);
        if (++tap == a.taps) tap = 0, buffer = buffer + 1 == l.buffers ? 0 : buffer + 1;
        if (++next_tap == a.taps)
            next_tap = 0, next_chunk++, next_buffer = next_buffer + 1 == l.buffers ? 0 : next_buffer + 1;
        stage = stage + 1 == kStages ? 0 : stage + 1;
        next_stage = next_stage + 1 == kStages ? 0 : next_stage + 1;
    }

#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int r = 32 * warp + 16 * m + 8 * half + lane / 4;
            if (r >= tile.rows) continue;
#pragma unroll
            for (int n = 0; n < outs / 8; n++) {
                const int o = out + 8 * n + lane % 4 * 2;
                if (o < a.out)
                    conv1d_finish_pair<T>(a, slope, (size_t)(tile.first + r) * a.out + o, o,
                                          make_float2(acc[m][n][2 * half], acc[m][n][2 * half + 1]));
            }
        }
}

template <typename T, int outs, int warps> f5_status launch(cuda_context *c, const conv1d_args *a) {
    layout l;
    l.chunk = conv1d_chunk(a->in, outs), l.chunks = ceil_div(a->in, l.chunk), l.pitch = l.chunk + 8;
    l.buffers = conv1d_buffers(l.chunks, a->taps), l.x_rows = 32 * warps + conv1d_reach(a);
    auto kernel = conv1d_mma<T, outs, warps>;
    const int bytes = conv1d_sm80_shared_bytes(a);
    F5_TRY(cuda_allow_all_shared(c, "conv1d", kernel, bytes));
    const dim3 blocks(pack_tiles_max(a->pack, 32 * warps, a->rate), ceil_div(a->out, outs));
    return cuda_launch_early(c, "conv1d", kernel, blocks, 32 * warps, bytes, *a, *a->pack, l);
}

template <typename T> f5_status run(cuda_context *c, const conv1d_args *a) {
    switch (conv1d_tile_outs(a->out)) {
    case 24:
        return launch<T, 24, 8>(c, a);
    case 48:
        return launch<T, 48, 4>(c, a);
    case 64:
        return launch<T, 64, 4>(c, a);
    }
    return launch<T, 96, 4>(c, a);
}

} // namespace conv1d_sm80

#endif
