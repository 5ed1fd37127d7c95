/* conv_pos.cu — a grouped convolution by the first of its ways that serves (plan/conv_pos.h).
 *
 * Within a group the convolution is a matrix product. Its one operand is the tile of x seen through a window that
 * slides one row per tap: the tile with its halo of 15 rows is copied to shared memory once, the weights stream through
 * tap by tap, and the window moves by changing the address that x is read from.
 *
 * Arithmetic bound: 2 rows dim gw 31 FLOP. 2812 rows, dim 1024 (gw 64): 11.4 GFLOP, 15 µs at 780 TFLOP/s. */
#include "kernels/conv_pos.h"

#include "kernels/cuda/common/conv_fma.cuh"
#include "kernels/cuda/plan/conv_pos.h"
#include "kernels/cuda/sm80/conv_pos.cuh"
#include "kernels/cuda/sm90/conv_pos.cuh"

/* ---- F32 units */

/* A group wider than 64 takes several blocks of 64 outputs. */
template <typename T, typename Y> __global__ void __launch_bounds__(kConvThreads) conv_pos_fma(conv_pos_sm80::args a) {
    __shared__ conv_shared<CONV_POS_TAPS - 1> shared;
    const pack_tile tile = pack_tile_find(a.pack.offsets, a.pack.n_seq, kConvRows, blockIdx.y);
    if (tile.rows == 0) return;
    const int gw = a.dim / CONV_POS_GROUPS, slabs = ceil_div(gw, kConvOuts);
    const int group = blockIdx.x / slabs * gw, out = blockIdx.x % slabs * kConvOuts;
    const conv_operands<T> operands = {static_cast<const T *>(a.x) + group,
                                       static_cast<const T *>(a.w) + (size_t)(group + out) * gw,
                                       gw,
                                       min(kConvOuts, gw - out),
                                       CONV_POS_TAPS,
                                       a.dim,
                                       (int64_t)a.dim * gw};
    float acc[4][4];
    conv_tile_fma(acc, operands, tile, &shared);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int row = threadIdx.x / 16 + 16 * i;
        if (row >= tile.rows) break;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int o = threadIdx.x % 16 + 16 * j;
            if (o >= operands.outs) break;
            const size_t at = (size_t)(tile.first + row) * a.dim + group + out + o;
            const float y = mish(acc[i][j] + a.bias[group + out + o]) + (a.residual ? a.residual[at] : 0.0f);
            static_cast<Y *>(a.y)[at] = from_float<Y>(y);
        }
    }
}

template <typename T> static f5_status launch_fma(cuda_context *c, const conv_pos_sm80::args &tensors, bool y_f32) {
    const int slabs = ceil_div(tensors.dim / CONV_POS_GROUPS, kConvOuts);
    const dim3 grid(CONV_POS_GROUPS * slabs, pack_tiles_max(&tensors.pack, kConvRows));
    if (y_f32)
        conv_pos_fma<T, float><<<grid, kConvThreads, 0, c->stream>>>(tensors);
    else
        conv_pos_fma<T, T><<<grid, kConvThreads, 0, c->stream>>>(tensors);
    return cuda_launched(c, "conv_pos");
}

/* ---- the ways, in the order of conv_pos_paths */

static conv_pos_sm80::args tensors_of(const conv_pos_args *a) {
    return {*a->pack, a->dim, a->x, a->w, a->bias, a->residual, a->y};
}

static f5_status run_sm90(cuda_context *c, const conv_pos_args *a) {
    return a->type == F5_F16 ? conv_pos_sm90::run<__half>(c, a) : conv_pos_sm90::run<__nv_bfloat16>(c, a);
}

static f5_status run_sm80(cuda_context *c, const conv_pos_args *a) {
    return a->type == F5_F16 ? conv_pos_sm80::run<__half>(c, tensors_of(a), a->y_f32)
                             : conv_pos_sm80::run<__nv_bfloat16>(c, tensors_of(a), a->y_f32);
}

static f5_status run_f32_units(cuda_context *c, const conv_pos_args *a) {
    return for_dtype(c, "conv_pos", a->type,
                     [&](auto zero) { return launch_fma<decltype(zero)>(c, tensors_of(a), a->y_f32); });
}

using run_fn = f5_status (*)(cuda_context *c, const conv_pos_args *a);
static constexpr run_fn run[] = {run_sm90, run_sm80, run_f32_units};
static_assert(sizeof run / sizeof *run == CONV_POS_PATHS && CONV_POS_SM90 == 0 && CONV_POS_SM80 == 1 &&
                  CONV_POS_F32_UNITS == 2,
              "plan/conv_pos.h lists the same ways");

extern "C" f5_status conv_pos_cuda(cuda_context *c, const conv_pos_args *a) {
    if (!a->pack || !a->x || !a->w || !a->bias || !a->y || a->y == a->x)
        return f5_fail(&c->error, F5_E_ARGUMENT, "conv_pos: a pointer is NULL, or y is x");
    if (a->dim < CONV_POS_GROUPS || a->dim % CONV_POS_GROUPS != 0)
        return f5_fail(&c->error, F5_E_SHAPE, "conv_pos: dim %d is not a multiple of %d", a->dim, CONV_POS_GROUPS);
    if (pack_tiles_max(a->pack, kConvRows) > 65535)
        return f5_fail(&c->error, F5_E_SHAPE, "conv_pos: %d rows are too many", a->pack->rows);
    if (a->pack->rows == 0 || a->pack->n_seq == 0) return F5_OK;
    return run[conv_pos_path_of(&c->arch, a)](c, a);
}
