/* snake.cu — a thread walks down thirty rows of one or two channels, with the twelve values at twice the rate that a
 * row of y weighs in registers, and six rows of x from which the next two of them are made; the rows of x that six
 * rows of y will need are loaded while the six before are made. Twelve of these values are made again by the thread
 * above, which costs a fifth of the arithmetic and no memory traffic. Threads at a sequence's ends, where rows stand
 * for others, take each value's rows anew.
 *
 * A sine is of whole turns: v e^alpha / pi less the nearest whole number, then a polynomial, or the hardware's sine
 * where the result is rounded to 16 bits.
 *
 * Memory bound: of a call of BigVGAN's later stages, 938 frames, 5.8 million elements of 2 to 4 bytes read and as many
 * written: 46 MB in F32, 10.7 µs at 4.3 TB/s; 23 or 35 MB with 16 bits. Near it is the arithmetic, some 60 instructions
 * an element: 12 µs a call, and 1.3 ms for all 109 calls. */
#include "kernels/snake.h"

#include "kernels/cuda/common/pack_tile.cuh"
#include "kernels/cuda/common/vec.cuh"

static constexpr int kThreads = 128;
static constexpr int kBlock = 6;  /* rows made in one go: twelve values at twice the rate are six rows */
static constexpr int kStrip = 30; /* rows of a thread */
static constexpr int kStrips = 4; /* of a tile */
static constexpr int kTile = kStrip * kStrips;
static constexpr int kHalf = SNAKE_TAPS / 2;
static_assert(SNAKE_TAPS == 2 * kBlock && SNAKE_REACH == 5 && kStrip % kBlock == 0, "the sums are written for these");

/* k is known when the loops are unrolled. */
static __device__ __forceinline__ float filter(int k) {
    constexpr float half[kHalf] = SNAKE_FILTER_HALF;
    return half[k < kHalf ? k : SNAKE_TAPS - 1 - k];
}

/* turns: e^alpha / pi; gain: of sin². */
typedef struct {
    float turns, gain;
} snake_channel;

/* sin(pi t), t within -1/2 .. 1/2. */
template <bool exact> static __device__ __forceinline__ float sine_of_turn(float t) {
    if (!exact) return __sinf(3.14159265f * t);
    const float s = t * t; /* error 5e-9, fitted on the interval */
    return t * fmaf(fmaf(fmaf(fmaf(0.077560387f, s, -0.598242127f), s, 2.55006973f), s, -5.16770968f), s, 3.14159264f);
}

template <bool exact> static __device__ __forceinline__ float activated(const snake_channel &c, float v) {
    const float turns = v * c.turns, whole = (turns + 12582912.0f) - 12582912.0f; /* 1.5 2^23: rounds to nearest */
    const float left = turns - whole; /* more than half of a turn only where F32 tells no turns apart any more */
    const float s = sine_of_turn<exact>(fabsf(left) > 0.5f ? 0.5f : left);
    return fmaf(c.gain, s * s, v);
}

/* Before the activation: a[2m-1] and a[2m], which both see rows m - 3 to m + 2, here x[0] to x[5]. */
static __device__ __forceinline__ float odd_below(const float *x) {
    float v = 0;
#pragma unroll
    for (int i = 0; i < kHalf; i++) v = fmaf(2.0f * filter(2 * i), x[5 - i], v); /* of m - 1: d = i - 3 */
    return v;
}
static __device__ __forceinline__ float even_at(const float *x) {
    float v = 0;
#pragma unroll
    for (int i = 0; i < kHalf; i++) v = fmaf(2.0f * filter(2 * i + 1), x[5 - i], v); /* d = i - 2 */
    return v;
}

/* y of a row from the twelve values a[2 row - 5] on, of which the first lies at `first` of the ring. */
static __device__ __forceinline__ float down(const float (&ring)[SNAKE_TAPS], int first) {
    float v = 0;
#pragma unroll
    for (int k = 0; k < SNAKE_TAPS; k++) v = fmaf(filter(k), ring[(first + k) % SNAKE_TAPS], v);
    return v;
}

/* ---- at a sequence's ends: one value at a time */

/* Place i of the 2 length values at twice the rate, or the end that lies nearest. x: of the sequence's row 0. */
template <bool exact, typename X>
static __device__ __forceinline__ float value_at(const snake_channel &c, const X *x, int64_t stride, int length,
                                                 int i) {
    const int place = min(max(i, 0), 2 * length - 1), m = (place + 1) / 2;
    float rows[kHalf];
#pragma unroll
    for (int j = 0; j < kHalf; j++) rows[j] = to_float(x[stride * min(max(m - 3 + j, 0), length - 1)]);
    return activated<exact>(c, place % 2 ? odd_below(rows) : even_at(rows));
}

template <bool exact, typename X, typename Y>
static __device__ __noinline__ void strip_at_end(snake_channel c, const X *x, Y *y, int64_t stride, int length,
                                                 int first, int rows) {
    float ring[SNAKE_TAPS];
#pragma unroll 1
    for (int i = 0; i < rows + kBlock - 1; i++) { /* the two values more that row first + i - 5 needs */
#pragma unroll
        for (int k = 0; k < SNAKE_TAPS - 2; k++) ring[k] = ring[k + 2];
        const int row = first + i - (kBlock - 1);
        ring[10] = value_at<exact>(c, x, stride, length, 2 * row + 5);
        ring[11] = value_at<exact>(c, x, stride, length, 2 * row + 6);
        if (row >= first) y[stride * row] = from_float<Y>(down(ring, 0));
    }
}

/* ---- where every row that is seen is the sequence's: V channels side by side. x and y: of the strip's first row */

template <bool exact, int V, typename X, typename Y>
static __device__ __forceinline__ void strip_within(const snake_channel (&c)[V], const X *x, Y *y, int64_t stride) {
    float ring[V][SNAKE_TAPS], rows[V][2 * kBlock - 1], ahead[kBlock][V];
    x -= 5 * stride;
#pragma unroll
    for (int i = 0; i < 2 * kBlock - 1; i++, x += stride) { /* rows -5 to 5 */
        load_vec<X, V>(ahead[0], x);
#pragma unroll
        for (int e = 0; e < V; e++) rows[e][i] = ahead[0][e];
    }
#pragma unroll
    for (int i = 0; i < kBlock; i++, x += stride) load_vec<X, V>(ahead[i], x); /* rows 6 to 11 */
#pragma unroll
    for (int i = 0; i < kBlock; i++)
#pragma unroll
        for (int e = 0; e < V; e++) {
            ring[e][2 * i] = activated<exact>(c[e], odd_below(rows[e] + i));
            ring[e][2 * i + 1] = activated<exact>(c[e], even_at(rows[e] + i));
        }
#pragma unroll 1
    for (int block = 0; block < kStrip / kBlock; block++) {
#pragma unroll
        for (int e = 0; e < V; e++) { /* the five rows that follow the block's first, and six more */
#pragma unroll
            for (int i = 0; i < kBlock - 1; i++) rows[e][i] = rows[e][i + kBlock];
#pragma unroll
            for (int i = 0; i < kBlock; i++) rows[e][kBlock - 1 + i] = ahead[i][e];
        }
        if (block + 1 < kStrip / kBlock)
#pragma unroll
            for (int i = 0; i < kBlock; i++, x += stride) load_vec<X, V>(ahead[i], x);
#pragma unroll
        for (int i = 0; i < kBlock; i++, y += stride) {
            float made[V];
#pragma unroll
            for (int e = 0; e < V; e++) {
                made[e] = down(ring[e], 2 * i);
                ring[e][2 * i] = activated<exact>(c[e], odd_below(rows[e] + i));
                ring[e][2 * i + 1] = activated<exact>(c[e], even_at(rows[e] + i));
            }
            store_vec<Y, V>(y, made);
        }
    }
}

template <typename X, typename Y, int V>
__global__ void __launch_bounds__(kThreads) snake_strips(snake_args a, f5_pack pack) {
    constexpr bool exact = sizeof(Y) == 4;
    const int wide = a.dim / V, item = blockIdx.y * kThreads + threadIdx.x, strip = item / wide, d = item % wide * V;
    let_next_start();
    const pack_tile tile = pack_tile_find(pack.offsets, pack.n_seq, kTile, blockIdx.x, a.rate);
    const int rows = min(kStrip, tile.rows - strip * kStrip), length = tile.end - tile.begin;
    const int first = tile.first - tile.begin + strip * kStrip; /* in its sequence */
    const bool live = strip < kStrips && rows > 0;              /* not where there is no such tile, whose rows are 0 */
    snake_channel c[V];
#pragma unroll
    for (int e = 0; e < V; e++)
        if (live) c[e] = {expf(a.alpha[d + e]) * 0.318309886f, 1.0f / (expf(a.beta[d + e]) + 1e-9f)};
    wait_for_previous();
    if (!live) return;
    const int64_t stride = a.dim;
    const X *x = static_cast<const X *>(a.x) + stride * tile.begin + d;
    Y *y = static_cast<Y *>(a.y) + stride * tile.begin + d;
    if (first >= 5 && first + kStrip + 5 < length)
        strip_within<exact, V>(c, x + stride * first, y + stride * first, stride);
    else
        for (int e = 0; e < V; e++) strip_at_end<exact>(c[e], x + e, y + e, stride, length, first, rows);
}

template <typename X, typename Y> static f5_status launch(cuda_context *c, const snake_args *a) {
    const bool pairs = a->dim % 2 == 0 && ((uintptr_t)a->x | (uintptr_t)a->y) % 8 == 0;
    auto *kernel = pairs ? snake_strips<X, Y, 2> : snake_strips<X, Y, 1>;
    const int across = pairs ? a->dim / 2 : a->dim;
    const dim3 blocks(pack_tiles_max(a->pack, kTile, a->rate), ceil_div(kStrips * across, kThreads));
    return cuda_launch_early(c, "snake", kernel, blocks, kThreads, 0, *a, *a->pack);
}

extern "C" f5_status snake_cuda(cuda_context *c, const snake_args *a) {
    if (!a->pack || !a->x || !a->alpha || !a->beta || !a->y || a->y == a->x)
        return f5_fail(&c->error, F5_E_ARGUMENT, "snake: a pointer is NULL, or y is x");
    if (a->dim < 1 || a->dim > 65535 * (kThreads / kStrips) || !pack_rate_fits(a->pack->rows, a->rate))
        return f5_fail(&c->error, F5_E_SHAPE, "snake: %d channels, rate %d of %d rows", a->dim, a->rate, a->pack->rows);
    if (a->pack->rows == 0 || pack_tiles_max(a->pack, kTile, a->rate) == 0) return F5_OK;
    return for_dtype(c, "snake", a->type, [&](auto zero) {
        using T = decltype(zero);
        return a->x_f32 ? launch<float, T>(c, a) : launch<T, T>(c, a);
    });
}
