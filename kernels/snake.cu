/* snake.cu — a thread walks down thirty rows of one or two channels, with the twelve values at twice the rate that a
 * row of y weighs in registers, and six rows of x from which the next two of them are made; the rows of x that six
 * rows of y will need are loaded while the six before are made. Twelve of these values are made again by the thread
 * above, which costs a fifth of the arithmetic and no memory traffic. At a sequence's ends rows and values stand for
 * others: there a thread walks the same way, with a choice at each of them.
 *
 * A sine is of whole turns: v e^alpha / pi less the nearest whole number, then a polynomial; where the result is
 * rounded to 16 bits it is the hardware's.
 *
 * Memory bound: of a call of BigVGAN's later stages, 938 frames, 5.8 million elements of 2 to 4 bytes read and as many
 * written: 46 MB in F32, 10.7 µs at 4.3 TB/s; 23 or 35 MB with 16 bits. Near it is the arithmetic, some 44 instructions
 * an element of 16 bits: 9 µs a call, and 0.9 ms for all 109 calls. */
#include "kernels/snake.h"

#include "kernels/cuda/common/pack_tile.cuh"
#include "kernels/cuda/common/vec.cuh"

static constexpr int kThreads = 128;
static constexpr int kBlock = 6;      /* rows made in one go: twelve values at twice the rate are six rows */
static constexpr int kStrip = 30;     /* rows of a thread */
static constexpr int kMaxStrips = 32; /* of a tile */
static constexpr int kHalf = SNAKE_TAPS / 2;
static_assert(SNAKE_TAPS == 2 * kBlock && SNAKE_REACH == 5 && kStrip % kBlock == 0, "the sums are written for these");

/* k is known when the loops are unrolled. */
static __device__ __forceinline__ float filter(int k) {
    constexpr float half[kHalf] = SNAKE_FILTER_HALF;
    return half[k < kHalf ? k : SNAKE_TAPS - 1 - k];
}

/* by: e^alpha, where exact in turns of pi; gain: of sin². */
typedef struct {
    float by, gain;
} snake_channel;

/* sin(pi t), t within -1/2 .. 1/2. */
static __device__ __forceinline__ float sine_of_turn(float t) {
    const float s = t * t; /* error 5e-9, fitted on the interval */
    return t * fmaf(fmaf(fmaf(fmaf(0.077560387f, s, -0.598242127f), s, 2.55006973f), s, -5.16770968f), s, 3.14159264f);
}

template <bool exact> static __device__ __forceinline__ float activated(const snake_channel &c, float v) {
    float s;
    if (exact) {
        const float turns = v * c.by, whole = (turns + 12582912.0f) - 12582912.0f; /* 1.5 2^23: rounds to nearest */
        const float left = turns - whole; /* more than half of a turn only where F32 tells no turns apart any more */
        s = sine_of_turn(fabsf(left) > 0.5f ? 0.5f : left);
    } else {
        s = __sinf(v * c.by);
    }
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

/* V channels side by side, kStrip rows from `first` of a sequence on, of which `rows` are stored. x and y: of the
 * sequence's row 0. at_end: rows that are seen, and values of them, may lie beyond the sequence's ends. */
template <bool exact, bool at_end, int V, typename X, typename Y>
static __device__ __forceinline__ void make_strip(const snake_channel (&c)[V], const X *x, Y *y, int64_t stride,
                                                  int length, int first, int rows) {
    using pair = vec_of<X, V>;
    const auto row_of_x = [&](int row) {
        return *reinterpret_cast<const pair *>(x + stride * (at_end ? min(max(row, 0), length - 1) : row));
    };
    float ring[V][SNAKE_TAPS], seen[V][2 * kBlock - 1];
    pair ahead[kBlock];
#pragma unroll
    for (int i = 0; i < 2 * kBlock - 1; i++) { /* rows -5 to 5 */
        const pair made = row_of_x(first - 5 + i);
#pragma unroll
        for (int e = 0; e < V; e++) seen[e][i] = to_float(made.v[e]);
    }
#pragma unroll
    for (int i = 0; i < kBlock; i++) ahead[i] = row_of_x(first + 6 + i);
#pragma unroll
    for (int i = 0; i < kBlock; i++) /* places 2 first - 5 to 2 first + 6 at twice the rate */
#pragma unroll
        for (int e = 0; e < V; e++) {
            ring[e][2 * i] = activated<exact>(c[e], odd_below(seen[e] + i));
            ring[e][2 * i + 1] = activated<exact>(c[e], even_at(seen[e] + i));
        }
    if (at_end)
#pragma unroll
        for (int e = 0; e < V; e++) {
#pragma unroll
            for (int k = 7; k < SNAKE_TAPS; k++)
                if (2 * first - 5 + k >= 2 * length) ring[e][k] = ring[e][k - 1];
#pragma unroll
            for (int k = 0; k < 5; k++)
                if (first == 0) ring[e][k] = ring[e][5];
        }
#pragma unroll 1
    for (int block = 0; block < kStrip / kBlock; block++) {
        const int top = first + block * kBlock;
        if (at_end && top >= first + rows) break;
#pragma unroll
        for (int e = 0; e < V; e++) { /* the five rows that follow the block's first, and six more */
#pragma unroll
            for (int i = 0; i < kBlock - 1; i++) seen[e][i] = seen[e][i + kBlock];
#pragma unroll
            for (int i = 0; i < kBlock; i++) seen[e][kBlock - 1 + i] = to_float(ahead[i].v[e]);
        }
        if (block + 1 < kStrip / kBlock)
#pragma unroll
            for (int i = 0; i < kBlock; i++) ahead[i] = row_of_x(top + 2 * kBlock + i);
#pragma unroll
        for (int i = 0; i < kBlock; i++) {
            float made[V];
#pragma unroll
            for (int e = 0; e < V; e++) {
                made[e] = down(ring[e], 2 * i);
                float *odd = &ring[e][2 * i], *even = &ring[e][2 * i + 1]; /* places 2 row + 7 and 2 row + 8 */
                const float before = ring[e][(2 * i + SNAKE_TAPS - 1) % SNAKE_TAPS];
                *odd = activated<exact>(c[e], odd_below(seen[e] + i));
                *even = activated<exact>(c[e], even_at(seen[e] + i));
                if (at_end && 2 * (top + i) + 7 >= 2 * length) *odd = before;
                if (at_end && 2 * (top + i) + 8 >= 2 * length) *even = *odd;
            }
            if (!at_end || top + i < first + rows) store_vec<Y, V>(y + stride * (top + i), made);
        }
    }
}

template <typename X, typename Y, int V>
__global__ void __launch_bounds__(kThreads) snake_strips(snake_args a, f5_pack pack, int strips) {
    constexpr bool exact = sizeof(Y) == 4;
    const int wide = a.dim / V, item = blockIdx.y * kThreads + threadIdx.x, strip = item / wide, d = item % wide * V;
    let_next_start();
    const pack_tile tile = pack_tile_find(pack.offsets, pack.n_seq, kStrip * strips, blockIdx.x, a.rate);
    const int rows = min(kStrip, tile.rows - strip * kStrip), length = tile.end - tile.begin;
    const int first = tile.first - tile.begin + strip * kStrip; /* in its sequence */
    const bool live = strip < strips && rows > 0;               /* not where there is no such tile, whose rows are 0 */
    snake_channel c[V];
#pragma unroll
    for (int e = 0; e < V; e++)
        if (live) c[e] = {expf(a.alpha[d + e]) * (exact ? 0.318309886f : 1.0f), 1.0f / (expf(a.beta[d + e]) + 1e-9f)};
    wait_for_previous();
    if (!live) return;
    const int64_t stride = a.dim;
    const X *x = static_cast<const X *>(a.x) + stride * tile.begin + d;
    Y *y = static_cast<Y *>(a.y) + stride * tile.begin + d;
    if (first >= 5 && first + kStrip + 5 < length)
        make_strip<exact, false, V>(c, x, y, stride, length, first, kStrip);
    else
        make_strip<exact, true, V>(c, x, y, stride, length, first, rows);
}

/* Strips of a tile: the fewest that leave the least threads without work. */
static int strips_of(int wide) {
    int best = 1;
    double best_idle = 1;
    for (int strips = 1; strips <= kMaxStrips; strips++) {
        const double idle = 1 - (double)strips * wide / (ceil_div(strips * wide, kThreads) * kThreads);
        if (idle < best_idle) best = strips, best_idle = idle;
    }
    return best;
}

template <typename X, typename Y> static f5_status launch(cuda_context *c, const snake_args *a) {
    const bool pairs = a->dim % 2 == 0 && ((uintptr_t)a->x | (uintptr_t)a->y) % 8 == 0;
    auto *kernel = pairs ? snake_strips<X, Y, 2> : snake_strips<X, Y, 1>;
    const int across = pairs ? a->dim / 2 : a->dim;
    const int strips = strips_of(across);
    const dim3 blocks(pack_tiles_max(a->pack, kStrip * strips, a->rate), ceil_div(strips * across, kThreads));
    return cuda_launch_early(c, "snake", kernel, blocks, kThreads, 0, *a, *a->pack, strips);
}

extern "C" f5_status snake_cuda(cuda_context *c, const snake_args *a) {
    if (!a->pack || !a->x || !a->alpha || !a->beta || !a->y || a->y == a->x)
        return f5_fail(&c->error, F5_E_ARGUMENT, "snake: a pointer is NULL, or y is x");
    if (a->dim < 1 || a->dim > 65535 * (kThreads / kMaxStrips) || !pack_rate_fits(a->pack->rows, a->rate))
        return f5_fail(&c->error, F5_E_SHAPE, "snake: %d channels, rate %d of %d rows", a->dim, a->rate, a->pack->rows);
    if (a->pack->rows == 0 || a->pack->n_seq == 0) return F5_OK;
    return for_dtype(c, "snake", a->type, [&](auto zero) {
        using T = decltype(zero);
        return a->x_f32 ? launch<float, T>(c, a) : launch<T, T>(c, a);
    });
}
