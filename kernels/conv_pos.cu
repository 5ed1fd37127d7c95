/* conv_pos.cu — within a group the convolution is a matrix product whose one operand is the tile of x seen through a
 * window that slides one row per tap: the tile with its halo of 15 rows is staged once, the weights stream through
 * shared memory tap by tap, and the window moves by changing the address that x is read from.
 *
 * Arithmetic bound: 2 rows dim gw 31 FLOP. 2812 rows, dim 1024 (gw 64): 11.4 GFLOP, 15 us at 780 TFLOP/s.
 *
 *   16-bit, groups of 64, on Hopper        cuda/conv_pos_sm90.cuh
 *   16-bit, groups of 16, 48 and 64        conv_pos_mma
 *   the rest                               the F32 units, cuda/conv_fma.cuh
 *
 * conv_pos_mma: fragments from shared memory allow at most about 2700 of the 4300 FLOP a cycle that the matrix unit
 * has. Weights: every block reads its group's 254 KB, 89 MB in all, from the L2. */
#include "kernels/conv_pos.h"

#include "kernels/cuda/common/conv_fma.cuh"
#include "kernels/cuda/common/mish.cuh"
#include "kernels/cuda/sm80/ptx.cuh"
#include "kernels/cuda/sm90/conv_pos.cuh"

static constexpr int kRows = 128; /* of a tile; a warp has 32 of them and all of the group's outputs */
static constexpr int kWarps = 4;
static constexpr int kHalo = CONV_POS_TAPS / 2;
static constexpr int kStages = 3; /* taps of weights in flight */
static_assert(kRows == 32 * kWarps && CONV_POS_TAPS % 2 == 1, "warps own 32 rows, taps are centred");
static_assert(CONV_POS_TAPS <= kConvMaxTaps, "the staged halo of the F32 path holds the taps");

typedef struct {
    f5_pack pack;
    int dim;
    const void *x, *w;
    const float *bias, *residual;
    void *y;
} conv_pos_tensors;

template <typename T, int GW> struct conv_pos_shared {
    static constexpr int kPitch = GW + 8; /* elements; 16 bytes past the row: fragment loads without bank conflicts */
    T x[kRows + 2 * kHalo][kPitch];
    T w[kStages][GW][kPitch];
};

/* The weights of one tap and group into shared memory, asynchronously. */
template <typename T, int GW> static __device__ __forceinline__ void stage_weights(T (*to)[GW + 8], const T *from) {
    for (int i = threadIdx.x; i < GW * GW / 8; i += 32 * kWarps)
        copy16_async(shared_address(&to[i / (GW / 8)][i % (GW / 8) * 8]), from + 8 * i, true);
}

/* acc[m][n]: rows 16 m of the warp's 32, outputs 8 n, in the layout of mma m16n8k16. */
template <typename T, int GW>
static __device__ __forceinline__ void multiply_tap(float (&acc)[2][GW / 8][4], const T (*x)[GW + 8],
                                                    const T (*w)[GW + 8]) {
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

template <typename T, int GW, bool Y_F32>
__global__ void __launch_bounds__(32 * kWarps) conv_pos_mma(conv_pos_tensors a) {
    extern __shared__ __align__(16) unsigned char memory[];
    auto *shared = reinterpret_cast<conv_pos_shared<T, GW> *>(memory);
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
        stage_weights<T, GW>(shared->w[s], w + s * tap_stride);
        copy_commit();
    }

    float acc[2][GW / 8][4] = {};
    for (int tap = 0; tap < CONV_POS_TAPS; tap++) {
        copy_wait<kStages - 2>();
        __syncthreads(); /* this tap's weights are there, and the slot of the tap before has been read */
        const int next = tap + kStages - 1;
        if (next < CONV_POS_TAPS) stage_weights<T, GW>(shared->w[next % kStages], w + next * tap_stride);
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

/* A group wider than 64 takes several blocks of 64 outputs. */
template <typename T, typename Y> __global__ void __launch_bounds__(kConvThreads) conv_pos_fma(conv_pos_tensors a) {
    __shared__ conv_shared shared;
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

template <typename T, int GW>
static f5_status launch_mma(cuda_context *c, const conv_pos_tensors &tensors, bool y_f32) {
    constexpr int bytes = (int)sizeof(conv_pos_shared<T, GW>);
    static_assert(bytes <= 99 * 1024, "fits every device since sm_80");
    const dim3 grid(CONV_POS_GROUPS, pack_tiles_max(&tensors.pack, kRows));
    auto *kernel = y_f32 ? conv_pos_mma<T, GW, true> : conv_pos_mma<T, GW, false>;
    F5_TRY(cuda_allow_shared(c, "conv_pos", kernel, bytes));
    kernel<<<grid, 32 * kWarps, bytes, c->stream>>>(tensors);
    return cuda_launched(c, "conv_pos");
}

template <typename T> static f5_status launch_fma(cuda_context *c, const conv_pos_tensors &tensors, bool y_f32) {
    const int slabs = ceil_div(tensors.dim / CONV_POS_GROUPS, kConvOuts);
    const dim3 grid(CONV_POS_GROUPS * slabs, pack_tiles_max(&tensors.pack, kConvRows));
    if (y_f32)
        conv_pos_fma<T, float><<<grid, kConvThreads, 0, c->stream>>>(tensors);
    else
        conv_pos_fma<T, T><<<grid, kConvThreads, 0, c->stream>>>(tensors);
    return cuda_launched(c, "conv_pos");
}

extern "C" f5_status conv_pos_cuda(cuda_context *c, const conv_pos_args *a) {
    if (!a->pack || !a->x || !a->w || !a->bias || !a->y || a->y == a->x)
        return f5_fail(&c->error, F5_E_ARGUMENT, "conv_pos: a pointer is NULL, or y is x");
    if (a->dim < CONV_POS_GROUPS || a->dim % CONV_POS_GROUPS != 0)
        return f5_fail(&c->error, F5_E_SHAPE, "conv_pos: dim %d is not a multiple of %d", a->dim, CONV_POS_GROUPS);
    if (pack_tiles_max(a->pack, kConvRows) > 65535)
        return f5_fail(&c->error, F5_E_SHAPE, "conv_pos: %d rows are too many", a->pack->rows);
    if (a->pack->rows == 0 || a->pack->n_seq == 0) return F5_OK;
    const conv_pos_tensors tensors = {*a->pack, a->dim, a->x, a->w, a->bias, a->residual, a->y};
    return for_dtype(c, "conv_pos", a->type, [&](auto zero) {
        using T = decltype(zero);
        if constexpr (sizeof(T) == 2) {
            switch (a->dim / CONV_POS_GROUPS) {
            case 16: /* demo */
                return launch_mma<T, 16>(c, tensors, a->y_f32);
            case 48: /* Small */
                return launch_mma<T, 48>(c, tensors, a->y_f32);
            case 64: /* Base */
                return c->hopper && !c->force_portable ? conv_pos_sm90::run<T>(c, a)
                                                       : launch_mma<T, 64>(c, tensors, a->y_f32);
            }
        }
        return launch_fma<T>(c, tensors, a->y_f32);
    });
}
