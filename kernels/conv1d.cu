/* conv1d.cu — tiles of 64 rows by 64 outputs on the F32 units (cuda/common/conv_fma.cuh), in F32.
 * Arithmetic bound: 2 rate rows out in taps FLOP. Vocos' embedding, 1406 rows, 100 to 512, 7 taps: 1.0 GFLOP, 15 µs at
 * 67 TFLOP/s, of which the 28 inputs that pad 100 to 128 add a quarter. BigVGAN, 938 frames: 1.7 TFLOP in 109
 * convolutions, 25 ms; the widest of them, 3752 rows of 768 to 768 with 11 taps, 49 GFLOP, 0.73 ms. Below 64 outputs a
 * tile is not full: of BigVGAN's last two stages (48 and 24 wide, 6 % of the FLOP) a quarter and more than half is
 * idle. */
#include "kernels/conv1d.h"

#include "kernels/cuda/common/conv_fma.cuh"

static __device__ __forceinline__ float activated(const conv1d_args &a, float v) {
    switch (a.activation) {
    case CONV1D_LINEAR:
        break;
    case CONV1D_LEAKY_RELU:
        return v < 0.0f ? a.slope * v : v;
    case CONV1D_TANH:
        return tanhf(v);
    case CONV1D_CLAMP:
        return v > 1.0f ? 1.0f : v < -1.0f ? -1.0f : v;
    }
    return v;
}

/* Tiles lie along x of the grid, which has room for those of the highest rate. */
__global__ void __launch_bounds__(kConvThreads) conv1d_tile(conv1d_args a, f5_pack pack) {
    __shared__ conv_shared<CONV1D_MAX_REACH> shared;
    const pack_tile tile = pack_tile_find(pack.offsets, pack.n_seq, kConvRows, blockIdx.x, a.rate);
    if (tile.rows == 0) return;
    const int out = blockIdx.y * kConvOuts;
    const conv_operands<float> operands = {
        a.x,  a.w + (size_t)out * a.in, a.in,      min(kConvOuts, a.out - out), a.taps,
        a.in, (int64_t)a.out * a.in,    a.dilation};
    float acc[4][4];
    conv_tile_fma(acc, operands, tile, &shared);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int row = threadIdx.x / 16 + 16 * i;
        if (row >= tile.rows) break;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int o = out + threadIdx.x % 16 + 16 * j;
            if (o >= a.out) continue;
            const size_t at = (size_t)(tile.first + row) * a.out + o;
            float v = acc[i][j] + (a.bias ? a.bias[o] : 0.0f);
            if (a.residual) v += a.residual[at];
            if (a.sum) v += a.sum[at];
            v *= a.gain;
            if (a.raw) a.raw[at] = v;
            a.y[at] = activated(a, v);
        }
    }
}

extern "C" f5_status conv1d_cuda(cuda_context *c, const conv1d_args *a) {
    if (!a->pack || !a->x || !a->w || !a->y || a->y == a->x || a->raw == a->x || a->raw == a->y)
        return f5_fail(&c->error, F5_E_ARGUMENT, "conv1d: a pointer is NULL, or two are one that may not be");
    if (a->in < 1 || a->out < 1 || a->taps < 1 || a->taps > CONV1D_MAX_TAPS || a->taps % 2 == 0)
        return f5_fail(&c->error, F5_E_SHAPE, "conv1d: %d to %d channels, %d taps; taps are odd, at most %d", a->in,
                       a->out, a->taps, CONV1D_MAX_TAPS);
    if (a->dilation < 1 || a->dilation > CONV1D_MAX_REACH || (a->taps - 1) * a->dilation > CONV1D_MAX_REACH)
        return f5_fail(&c->error, F5_E_SHAPE, "conv1d: %d taps with dilation %d reach over more than %d rows", a->taps,
                       a->dilation, CONV1D_MAX_REACH);
    if (!pack_rate_fits(a->pack->rows, a->rate))
        return f5_fail(&c->error, F5_E_SHAPE, "conv1d: rate %d of %d rows", a->rate, a->pack->rows);
    if (a->activation < CONV1D_LINEAR || a->activation > CONV1D_CLAMP)
        return f5_fail(&c->error, F5_E_ARGUMENT, "conv1d: activation %d", (int)a->activation);
    const int tiles = pack_tiles_max(a->pack, kConvRows, a->rate);
    if (ceil_div(a->out, kConvOuts) > 65535)
        return f5_fail(&c->error, F5_E_SHAPE, "conv1d: %d outputs are too many", a->out);
    if (a->pack->rows == 0 || tiles == 0) return F5_OK;
    conv1d_tile<<<dim3(tiles, ceil_div(a->out, kConvOuts)), kConvThreads, 0, c->stream>>>(*a, *a->pack);
    return cuda_launched(c, "conv1d");
}
