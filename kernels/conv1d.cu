/* conv1d.cu — tiles of 64 rows by 64 outputs on the F32 units (cuda/common/conv_fma.cuh). Once per request, in F32.
 * Arithmetic bound: 2 rows out in taps FLOP. 1406 rows, 100 to 512, 7 taps: 1.0 GFLOP, 15 µs at 67 TFLOP/s, of which
 * the 28 inputs that pad 100 to 128 add a quarter. */
#include "kernels/conv1d.h"

#include "kernels/cuda/common/conv_fma.cuh"

static constexpr int kMaxTaps = 15;
static_assert(kMaxTaps <= kConvMaxTaps, "the halo in shared memory holds the taps");

__global__ void __launch_bounds__(kConvThreads) conv1d_tile(conv1d_args a, f5_pack pack) {
    __shared__ conv_shared shared;
    const pack_tile tile = pack_tile_find(pack.offsets, pack.n_seq, kConvRows, blockIdx.y);
    if (tile.rows == 0) return;
    const int out = blockIdx.x * kConvOuts;
    const conv_operands<float> operands = {a.x,  a.w + (size_t)out * a.in, a.in, min(kConvOuts, a.out - out), a.taps,
                                           a.in, (int64_t)a.out * a.in};
    float acc[4][4];
    conv_tile_fma(acc, operands, tile, &shared);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int row = threadIdx.x / 16 + 16 * i;
        if (row >= tile.rows) break;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int o = out + threadIdx.x % 16 + 16 * j;
            if (o < a.out) a.y[(size_t)(tile.first + row) * a.out + o] = acc[i][j] + (a.bias ? a.bias[o] : 0.0f);
        }
    }
}

extern "C" f5_status conv1d_cuda(cuda_context *c, const conv1d_args *a) {
    if (!a->pack || !a->x || !a->w || !a->y || a->y == a->x)
        return f5_fail(&c->error, F5_E_ARGUMENT, "conv1d: a pointer is NULL, or y is x");
    if (a->in < 1 || a->out < 1 || a->taps < 1 || a->taps > kMaxTaps || a->taps % 2 == 0)
        return f5_fail(&c->error, F5_E_SHAPE, "conv1d: %d to %d channels, %d taps; taps are odd, at most %d", a->in,
                       a->out, a->taps, kMaxTaps);
    const int tiles = pack_tiles_max(a->pack, kConvRows);
    if (tiles > 65535) return f5_fail(&c->error, F5_E_SHAPE, "conv1d: %d rows are too many", a->pack->rows);
    if (a->pack->rows == 0 || tiles == 0) return F5_OK;
    conv1d_tile<<<dim3(ceil_div(a->out, kConvOuts), tiles), kConvThreads, 0, c->stream>>>(*a, *a->pack);
    return cuda_launched(c, "conv1d");
}
