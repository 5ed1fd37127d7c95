/* snake.cu — a thread walks down sixteen rows of one channel, with the twelve values at twice the rate that a row of y
 * weighs in registers: two more are made for every row, each from six rows of x that its warp's lanes read side by
 * side. Ten of these values are made again by the thread above, which costs 31 % of the arithmetic and no memory
 * traffic. Memory bound: 8 bytes for each element of x. BigVGAN, 938 frames: a call of its later stages has 5.8 million
 * elements, 46 MB, 9.6 µs at 4.8 TB/s; 37 * 3 calls, the first eighteen half as large, 0.98 ms. Two accurate sines an
 * element, some 60 instructions, are 11 µs of a call: both bounds are near. */
#include "kernels/snake.h"

#include "kernels/cuda/common/pack_tile.cuh"

static constexpr int kThreads = 256;
static constexpr int kStrip = 16; /* rows of a thread */
static constexpr int kStrips = 8; /* of a tile */
static constexpr int kTile = kStrip * kStrips;
static constexpr int kHalf = SNAKE_TAPS / 2;
static_assert(SNAKE_TAPS == 12 && SNAKE_REACH == 5, "the sums are written for twelve taps");

__constant__ float snake_half_filter[kHalf] = SNAKE_FILTER_HALF;

/* k is known when the loops are unrolled. */
static __device__ __forceinline__ float filter(int k) {
    return snake_half_filter[k < kHalf ? k : SNAKE_TAPS - 1 - k];
}

/* One channel of a sequence. */
typedef struct {
    const float *x; /* its row 0 of the pack */
    int64_t stride;
    int begin, last; /* rows of the sequence, both within */
    float scale, gain;
} snake_channel;

static __device__ __forceinline__ float activated(const snake_channel &c, float v) {
    const float s = sinf(v * c.scale);
    return fmaf(c.gain, s * s, v);
}

/* The two values of row m at twice the rate, or twice the end that lies nearest where there is no such row. */
static __device__ __forceinline__ void pair_at(const snake_channel &c, int m, float *even, float *odd) {
    const int row = min(max(m, c.begin), c.last);
    float x[kHalf + 1];
#pragma unroll
    for (int i = 0; i <= kHalf; i++) x[i] = c.x[c.stride * min(max(row + 3 - i, c.begin), c.last)];
    float a = 0, b = 0;
#pragma unroll
    for (int i = 0; i < kHalf; i++) {
        b = fmaf(2.0f * filter(2 * i), x[i], b);         /* d = i - 3 */
        a = fmaf(2.0f * filter(2 * i + 1), x[i + 1], a); /* d = i - 2 */
    }
    *even = m > c.last ? activated(c, b) : activated(c, a);
    *odd = m < c.begin ? *even : m > c.last ? *even : activated(c, b);
}

__global__ void __launch_bounds__(kThreads) snake_strips(snake_args a, f5_pack pack) {
    const pack_tile tile = pack_tile_find(pack.offsets, pack.n_seq, kTile, blockIdx.x, a.rate);
    const int item = blockIdx.y * kThreads + threadIdx.x, strip = item / a.dim, d = item % a.dim;
    const int first = tile.first + strip * kStrip, rows = min(kStrip, tile.rows - strip * kStrip);
    if (strip >= kStrips || rows <= 0) return; /* also where there is no such tile, whose rows are 0 */
    const snake_channel c = {
        a.x + d, a.dim, tile.begin, tile.end - 1, expf(a.alpha[d]), 1.0f / (expf(a.beta[d]) + 1e-9f)};

    /* at[k] = a[2 row + k - 5]: the values of rows row - 3 (the odd one) to row + 3 (the even one) */
    float at[SNAKE_TAPS], unused;
    pair_at(c, first - 3, &unused, &at[0]);
#pragma unroll
    for (int i = 0; i < 5; i++) pair_at(c, first - 2 + i, &at[1 + 2 * i], &at[2 + 2 * i]);
    float next;
    pair_at(c, first + 3, &at[11], &next);
    float *y = a.y + (size_t)first * a.dim + d;
    for (int r = 0; r < rows; r++, y += a.dim) {
        float v = 0;
#pragma unroll
        for (int k = 0; k < SNAKE_TAPS; k++) v = fmaf(filter(k), at[k], v);
        *y = v;
#pragma unroll
        for (int k = 0; k < SNAKE_TAPS - 2; k++) at[k] = at[k + 2];
        at[10] = next;
        pair_at(c, first + r + 4, &at[11], &next);
    }
}

extern "C" f5_status snake_cuda(cuda_context *c, const snake_args *a) {
    if (!a->pack || !a->x || !a->alpha || !a->beta || !a->y || a->y == a->x)
        return f5_fail(&c->error, F5_E_ARGUMENT, "snake: a pointer is NULL, or y is x");
    if (a->dim < 1 || a->dim > 65535 * (kThreads / kStrips) || !pack_rate_fits(a->pack->rows, a->rate))
        return f5_fail(&c->error, F5_E_SHAPE, "snake: %d channels, rate %d of %d rows", a->dim, a->rate, a->pack->rows);
    const int tiles = pack_tiles_max(a->pack, kTile, a->rate);
    if (a->pack->rows == 0 || tiles == 0) return F5_OK;
    snake_strips<<<dim3(tiles, ceil_div(kStrips * a->dim, kThreads)), kThreads, 0, c->stream>>>(*a, *a->pack);
    return cuda_launched(c, "snake");
}
