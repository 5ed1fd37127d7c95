/* conv1d.cu — a convolution over time by the first of its ways that serves (plan/conv1d.h).
 *
 * It is a matrix product whose one operand is a tile of x seen through a window that slides `dilation` rows a tap: the
 * tile with its halo is copied to shared memory once for all taps, the weights stream through tap by tap, and the
 * window moves by changing the address that x is read from.
 *
 * Arithmetic bound where channels are many: 2 rate rows out in taps FLOP. BigVGAN, 938 frames: 1.7 TFLOP in 109
 * convolutions, 2.2 ms at 775 TFLOP/s of 16 bits, 6.6 ms as three products of an F32; the widest of them, 3752 rows of
 * 768 to 768 with 11 taps, 49 GFLOP, 63 µs. Memory bound where they are few: of its last stage, 240,128 rows of 24, a
 * call moves 2 + 2 bytes an element or, with a residual, 2 + 8: 23 or 58 MB, 5 or 13 µs at 4.3 TB/s. */
#include "kernels/conv1d.h"

#include "kernels/cuda/common/conv_fma.cuh"
#include "kernels/cuda/plan/conv1d.h"
#include "kernels/cuda/sm80/conv1d.cuh"
#include "kernels/cuda/sm80/conv1d_few.cuh"
#include "kernels/cuda/sm80/conv1d_split_f32.cuh"
#include "kernels/cuda/sm90/conv1d.cuh"

/* ---- F32 units: tiles lie along x of the grid, which has room for those of the highest rate */

template <typename T> __global__ void __launch_bounds__(kConvThreads) conv1d_tile(conv1d_args a, f5_pack pack) {
    __shared__ conv_shared<CONV1D_MAX_REACH> shared;
    const pack_tile tile = pack_tile_find(pack.offsets, pack.n_seq, kConvRows, blockIdx.x, a.rate);
    if (tile.rows == 0) return;
    const int out = blockIdx.y * kConvOuts;
    const conv_operands<T> operands = {static_cast<const T *>(a.x),
                                       static_cast<const T *>(a.w) + (size_t)out * a.in,
                                       a.in,
                                       min(kConvOuts, a.out - out),
                                       a.taps,
                                       a.in,
                                       (int64_t)a.out * a.in,
                                       a.dilation};
    float acc[4][4];
    conv_tile_fma(acc, operands, tile, &shared);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int row = threadIdx.x / 16 + 16 * i;
        if (row >= tile.rows) break;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int o = out + threadIdx.x % 16 + 16 * j;
            if (o < a.out) conv1d_finish<T>(a, (size_t)(tile.first + row) * a.out + o, o, acc[i][j]);
        }
    }
}

template <typename T> static f5_status launch_fma(cuda_context *c, const conv1d_args *a) {
    const dim3 blocks(pack_tiles_max(a->pack, kConvRows, a->rate), ceil_div(a->out, kConvOuts));
    conv1d_tile<T><<<blocks, kConvThreads, 0, c->stream>>>(*a, *a->pack);
    return cuda_launched(c, "conv1d");
}

/* ---- the ways, in the order of conv1d_paths */

static f5_status run_few_outputs(cuda_context *c, const conv1d_args *a) {
    return for_dtype(c, "conv1d", a->type, [&](auto zero) { return conv1d_few::run<decltype(zero)>(c, a); });
}

static f5_status run_sm90(cuda_context *c, const conv1d_args *a) {
    return a->type == F5_F16 ? conv1d_sm90::run<__half>(c, a) : conv1d_sm90::run<__nv_bfloat16>(c, a);
}

static f5_status run_sm80(cuda_context *c, const conv1d_args *a) {
    return a->type == F5_F16 ? conv1d_sm80::run<__half>(c, a) : conv1d_sm80::run<__nv_bfloat16>(c, a);
}

static f5_status run_f32_units(cuda_context *c, const conv1d_args *a) {
    return for_dtype(c, "conv1d", a->type, [&](auto zero) { return launch_fma<decltype(zero)>(c, a); });
}

using run_fn = f5_status (*)(cuda_context *c, const conv1d_args *a);
static constexpr run_fn run[] = {run_few_outputs, run_sm90, run_sm80, conv1d_split_f32::run, run_f32_units};
static_assert(sizeof run / sizeof *run == CONV1D_PATHS && CONV1D_FEW_OUTPUTS == 0 && CONV1D_SM90 == 1 &&
                  CONV1D_SM80 == 2 && CONV1D_SPLIT_F32 == 3 && CONV1D_F32_UNITS == 4,
              "plan/conv1d.h lists the same ways");

extern "C" f5_status conv1d_cuda(cuda_context *c, const conv1d_args *a) {
    if (!a->pack || !a->x || !a->w || !a->y || a->y == a->x || a->raw == a->x || a->raw == a->y)
        return f5_fail(&c->error, F5_E_ARGUMENT, "conv1d: a pointer is NULL, or two are one that may not be");
    if (a->in < 1 || a->out < 1 || a->taps < 1 || a->taps > CONV1D_MAX_TAPS || a->taps % 2 == 0)
        return f5_fail(&c->error, F5_E_SHAPE, "conv1d: %d to %d channels, %d taps; taps are odd, at most %d", a->in,
                       a->out, a->taps, CONV1D_MAX_TAPS);
    if (a->dilation < 1 || a->dilation > CONV1D_MAX_REACH || conv1d_reach(a) > CONV1D_MAX_REACH)
        return f5_fail(&c->error, F5_E_SHAPE, "conv1d: %d taps with dilation %d reach over more than %d rows", a->taps,
                       a->dilation, CONV1D_MAX_REACH);
    if (!pack_rate_fits(a->pack->rows, a->rate))
        return f5_fail(&c->error, F5_E_SHAPE, "conv1d: rate %d of %d rows", a->rate, a->pack->rows);
    if (a->activation < CONV1D_LINEAR || a->activation > CONV1D_CLAMP)
        return f5_fail(&c->error, F5_E_ARGUMENT, "conv1d: activation %d", (int)a->activation);
    if (ceil_div(a->out, kConvOuts) > 65535 / 3) // several tiles have 48 outputs and more
        return f5_fail(&c->error, F5_E_SHAPE, "conv1d: %d outputs are too many", a->out);
    if (a->pack->rows == 0 || a->pack->n_seq == 0) return F5_OK;
    return run[conv1d_path_of(&c->arch, a)](c, a);
}
