/* conv1d_few.cuh — a convolution to at most 4 outputs, as a vocoder's last one: a thread has a row and all its outputs.
 * The tile of x with its halo and all weights lie in shared memory, in F32; an odd number of floats from row to row
 * spreads rows over the banks. The order of a sum is taps, inputs. */
#ifndef F5_SM80_CONV1D_FEW_CUH
#define F5_SM80_CONV1D_FEW_CUH

#include "kernels/cuda/common/conv1d_finish.cuh"
#include "kernels/cuda/common/pack_tile.cuh"
#include "kernels/cuda/plan/conv1d.h"

namespace conv1d_few {

constexpr int kRows = CONV1D_FEW_ROWS;

/* outs: 1 or 4, of which the call may have fewer. */
template <typename T, int outs>
__global__ void __launch_bounds__(kRows) conv1d_thread_per_row(conv1d_args a, f5_pack pack) {
    extern __shared__ __align__(16) float few_memory[];
    const pack_tile tile = pack_tile_find(pack.offsets, pack.n_seq, kRows, blockIdx.x, a.rate);
    if (tile.rows == 0) return;
    const int reach = (a.taps - 1) * a.dilation, pitch = a.in | 1, top = tile.first - reach / 2;
    float *x = few_memory, *w = x + (kRows + reach) * pitch;
    for (int i = threadIdx.x; i < (kRows + reach) * a.in; i += kRows) {
        const int r = i / a.in, c = i % a.in, row = top + r;
        const bool inside = row >= tile.begin && row < tile.end;
        x[r * pitch + c] = inside ? to_float(static_cast<const T *>(a.x)[(size_t)row * a.in + c]) : 0.0f;
    }
    for (int i = threadIdx.x; i < a.taps * outs * a.in; i += kRows) { /* [taps,in,outs] */
        const int o = i % outs, c = i / outs % a.in, tap = i / outs / a.in;
        w[i] = o < a.out ? to_float(static_cast<const T *>(a.w)[(tap * a.out + o) * a.in + c]) : 0.0f;
    }
    __syncthreads();

    float acc[outs] = {};
    for (int tap = 0; tap < a.taps; tap++) {
        const float *of_row = x + (threadIdx.x + tap * a.dilation) * pitch, *of_tap = w + tap * a.in * outs;
        for (int c = 0; c < a.in; c++)
#pragma unroll
            for (int o = 0; o < outs; o++) acc[o] = fmaf(of_row[c], of_tap[c * outs + o], acc[o]);
    }
    if ((int)threadIdx.x >= tile.rows) return;
#pragma unroll
    for (int o = 0; o < outs; o++)
        if (o < a.out) conv1d_finish<T>(a, (size_t)(tile.first + threadIdx.x) * a.out + o, o, acc[o]);
}

template <typename T> f5_status run(cuda_context *c, const conv1d_args *a) {
    const int bytes = CONV1D_FEW_SHARED_BYTES(a->in, a->taps, conv1d_reach(a), a->out);
    auto *kernel = a->out == 1 ? conv1d_thread_per_row<T, 1> : conv1d_thread_per_row<T, CONV1D_FEW_OUTS>;
    F5_TRY(cuda_allow_all_shared(c, "conv1d", kernel, bytes));
    kernel<<<pack_tiles_max(a->pack, kRows, a->rate), kRows, bytes, c->stream>>>(*a, *a->pack);
    return cuda_launched(c, "conv1d");
}

} // namespace conv1d_few

#endif
