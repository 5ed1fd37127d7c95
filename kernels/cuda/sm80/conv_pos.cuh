/* conv_pos.cuh — the convolution by mma.sync and cp.async, sm_80 and later, for 16-bit groups of 16, 48 and 64
 * channels.
 *
 * A block has a tile of 128 rows and one group. The tile of x with its halo lies in shared memory, the weights stream
 * through a ring of stages tap by tap, and a tap moves only the address that x is read from. Fragments from shared
 * memory allow at most about 2700 of the 4300 FLOP a cycle that the tensor cores have. Every block reads its group's
 * 254 KB of weights, 89 MB in all, from L2. */
#ifndef F5_SM80_CONV_POS_CUH
#define F5_SM80_CONV_POS_CUH

#include "kernels/cuda/common/mish.cuh"
#include "kernels/cuda/common/pack_tile.cuh"
#include "kernels/cuda/plan/conv_pos.h"
#include "kernels/cuda/sm80/ptx.cuh"

namespace conv_pos_sm80 {

struct args {
    f5_pack pack;
    int dim;
    const void *x, *w;
    const float *bias, *residual;
    void *y;
};

constexpr int kRows = CONV_POS_SM80_TILE_ROWS; /* of a tile; a warp has 32 of them and all of the group's outputs */
constexpr int kWarps = 4;
constexpr int kHalo = CONV_POS_TAPS / 2;
constexpr int kStages = CONV_POS_SM80_STAGES; /* taps of weights in flight */
static_assert(kRows == 32 * kWarps && CONV_POS_TAPS % 2 == 1, "warps own 32 rows, taps are centred");

template <typename T, int GW> struct shared_tile {
    static constexpr int kPitch = GW + 8; /* elements; 16 bytes past the row: fragment loads without bank conflicts */
    T x[kRows + 2 * kHalo][kPitch];
    T w[kStages][GW][kPitch];
};

/* The weights of one tap and group into shared memory, asynchronously. */
template <typename T, int GW> __device__ __forceinline__ void copy_weights(T (*to)[GW + 8], const T *from) {
    for (int i = threadIdx.x; i < GW * GW / 8; i += 32 * kWarps)
        copy16_async(shared_address(&to[i / (GW / 8)][i % (GW / 8) * 8]), from + 8 * i, true);
}

/* acc[m][n]: rows 16 m of the warp's 32, outputs 8 n, in the layout of mma m16n8k16. */
template <typename T, int GW>
__device__ __forceinline__ void multiply_tap(float (&acc)[2][GW / 8][4], const T (*x)[GW + 8], const T (*w)[GW + 8]) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int k = 0; k < GW; k += 16) {
        uint32_t a[2][4];
#pragma unroll
        for (int m = 0; m < 2; m++) load_matrices(a[m], shared_address(&x[16 * m + lane % 16][k + lane / 16 * 8]));
#pragma unroll
        for (int n = 0; n < GW / 16; n++) {
            uint32_t b[4]; /* 16 outputs: low and high half of k for the first 8, then for the second */
            load_matrices(b, shared_address(&w[16 * n + lane % 8 + lane / 16 * 8][k + lane / 8 % 2 * 8]));
#pragma unroll
            for (int m = 0; m < 2; m++) {
                mma_16x8x16<T>(acc[m][2 * n], a[m], b[0], b[1]);
                mma_16x8x16<T>(acc[m][2 * n + 1], a[m], b[2], b[3]);
            }
        }
    }
}

template <typename T, int GW, bool Y_F32> __global__ void __launch_bounds__(32 * kWarps) conv_pos_mma(args a) {
    extern __shared__ __align__(16) unsigned char memory[];
    auto *shared = reinterpret_cast<shared_tile<T, GW> *>(memory);
    const pack_tile tile = pack_tile_find(a.pack.offsets, a.pack.n_seq, kRows, blockIdx.y);
    if (tile.rows == 0) return;
    const int column = blockIdx.x * GW, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const T *x = static_cast<const T *>(a.x) + column;
    const T *w = static_cast<const T *>(a.w) + (size_t)column * GW;
    const size_t tap_stride = (size_t)a.dim * GW;

    /* the tile of x with its halo, and the first taps */
    for (int i = threadIdx.x; i < (kRows + 2 * kHalo) * (GW / 8); i += 32 * kWarps) {
        const int r = i / (GW / 8), chunk = i % (GW / 8) * 8, row = tile.first - kHalo + r;
        const bool inside = row >= tile.begin && row < tile.end;
        copy16_async(shared_address(&shared->x[r][chunk]), inside ? x + (size_t)row * a.dim + chunk : x, inside);
    }
#pragma unroll
    for (int s = 0; s < kStages - 1; s++) {
        copy_weights<T, GW>(shared->w[s], w + s * tap_stride);
        copy_commit();
    }

    float acc[2][GW / 8][4] = {};
    for (int tap = 0; tap < CONV_POS_TAPS; tap++) {
        copy_wait<kStages - 2>();
        __syncthreads(); /* this tap's weights are there, and the slot of the tap before has been read */
        const int next = tap + kStages - 1;
        if (next < CONV_POS_TAPS) copy_weights<T, GW>(shared->w[next % kStages], w + next * tap_stride);
        copy_commit();
        multiply_tap<T, GW>(acc, shared->x + 32 * warp + tap, shared->w[tap % kStages]);
    }

    /* bias, Mish, residual */
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int r = 32 * warp + 16 * m + 8 * half + lane / 4;
            if (r >= tile.rows) continue;
            const size_t at = (size_t)(tile.first + r) * a.dim + column + lane % 4 * 2;
#pragma unroll
            for (int n = 0; n < GW / 8; n++) {
                const float2 bias = *reinterpret_cast<const float2 *>(a.bias + column + lane % 4 * 2 + 8 * n);
                float2 y = make_float2(mish(acc[m][n][2 * half] + bias.x), mish(acc[m][n][2 * half + 1] + bias.y));
                if (a.residual) {
                    const float2 before = *reinterpret_cast<const float2 *>(a.residual + at + 8 * n);
                    y.x += before.x, y.y += before.y;
                }
                if constexpr (Y_F32)
                    *reinterpret_cast<float2 *>(static_cast<float *>(a.y) + at + 8 * n) = y;
                else
                    *reinterpret_cast<uint32_t *>(static_cast<T *>(a.y) + at + 8 * n) = pack2<T>(y.x, y.y);
            }
        }
}

template <typename T, int GW> f5_status launch(cuda_context *c, const args &tensors, bool y_f32) {
    constexpr int bytes = (int)sizeof(shared_tile<T, GW>);
    static_assert(bytes <= 99 * 1024, "fits every device since sm_80");
    static_assert(bytes == CONV_POS_SM80_SHARED_BYTES(GW), "plan/conv_pos.h");
    const dim3 grid(CONV_POS_GROUPS, pack_tiles_max(&tensors.pack, kRows));
    auto *kernel = y_f32 ? conv_pos_mma<T, GW, true> : conv_pos_mma<T, GW, false>;
    F5_TRY(cuda_allow_shared(c, "conv_pos", kernel, bytes));
    kernel<<<grid, 32 * kWarps, bytes, c->stream>>>(tensors);
    return cuda_launched(c, "conv_pos");
}

/* dim / 16 is 16, 48 or 64. */
template <typename T> f5_status run(cuda_context *c, const args &a, bool y_f32) {
    switch (a.dim / CONV_POS_GROUPS) {
    case 16:
        return launch<T, 16>(c, a, y_f32);
    case 48:
        return launch<T, 48>(c, a, y_f32);
    }
    return launch<T, 64>(c, a, y_f32);
}

} // namespace conv_pos_sm80

#endif
