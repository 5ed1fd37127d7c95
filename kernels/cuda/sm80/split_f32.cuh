/* split_f32.cuh — F32 operands as pairs of F16 for the tensor cores: what linear and conv1d share.
 *
 * Of every row, 32 elements at a time are scaled by a power of two, so that the largest lies in [2^14, 2^15), and split
 * in two F16, v = high + low, which hold 23 of an F32's 24 bits. Then
 *   x w = low(x) high(w) + high(x) low(w) + high(x) high(w)        the part left out is 2^-24 of a product
 * and the sum of 32 is scaled back as it is added to the F32 total: an F32 product's error at the price of three of
 * F16. Beside it there is an error of 2^-39 of the largest |x| times the largest |w| of the 32, which shows where
 * neighbours are more than 10^5 apart; beyond 2^108 an operand overflows, and an infinity becomes NaN; below 2^-95 the
 * largest of the 32 is scaled by no more than 2^109, so that its last bits are lost from 2^-110 on. The tensor core
 * truncates (rounds toward zero) as it accumulates, which is one more reason to give it sums of 32 only. (TF32 needs no
 * scales, but takes twice as long.)
 *
 * In shared memory 32 elements of a row are 128 bytes, in chunks laid as `swizzled` says: first F32; then, in their
 * place, chunks 0 to 3 are 32 F16 `high` and chunks 4 to 7 `low`. */
#ifndef F5_SM80_SPLIT_F32_CUH
#define F5_SM80_SPLIT_F32_CUH

#include "kernels/cuda/common/launch.cuh"
#include "kernels/cuda/sm80/ptx.cuh"

namespace split_f32 {

__device__ __forceinline__ float largest_of(float4 v) {
    return fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w)));
}

/* Powers of two. */
struct scales {
    float scale, unscale;
};

/* largest: of the 32 magnitudes. */
__device__ __forceinline__ scales scales_of(float largest) {
    // 2^e <= largest < 2^(e + 1): times 2^(14 - e); rows of zeros and of the smallest numbers stay small
    const int e = max((int)(__float_as_uint(largest) >> 23), 32) - 127;
    return {__uint_as_float((uint32_t)(14 - e + 127) << 23), __uint_as_float((uint32_t)(e - 14 + 127) << 23)};
}

/* Two neighbours, scaled, as two F16 and what these leave. */
__device__ __forceinline__ void split_pair(float first, float second, float scale, uint32_t *high, uint32_t *low) {
    const float a = first * scale, b = second * scale;
    *high = pack2<__half>(a, b);
    const float2 rounded = unpack2<__half>(*high);
    *low = pack2<__half>(a - rounded.x, b - rounded.y);
}

/* Eight neighbours alike. */
__device__ __forceinline__ void split_eight(float4 first, float4 second, float scale, uint4 *high, uint4 *low) {
    uint32_t h[4], l[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const float4 four = i / 2 ? second : first;
        split_pair(i % 2 ? four.z : four.x, i % 2 ? four.w : four.y, scale, &h[i], &l[i]);
    }
    *high = make_uint4(h[0], h[1], h[2], h[3]);
    *low = make_uint4(l[0], l[1], l[2], l[3]);
}

/* part [32 rows, 8 eights outputs] += x w^T over 16 of the 32 elements, their `half`th half. x, w: shared addresses of
 * the rows that the lane points a matrix load at, row lane % 16 of x, row lane % 8 + lane / 16 * 8 of w; x_key: that
 * row of x, modulo 8, by which its chunks are permuted; w begins at a multiple of 8. The three products of a sum are
 * others apart. Where `eights` is odd, rows of w are read that no output has. */
template <int eights>
__device__ __forceinline__ void multiply(float (&part)[2][eights][4], uint32_t x, uint32_t x_key, uint32_t w,
                                         int half) {
    constexpr int sixteens = (eights + 1) / 2;
    uint32_t xs[2][2][4], ws[2][sixteens][4]; /* [high, low][sixteen rows or outputs] */
    const int lane = threadIdx.x % 32, x_chunk = 2 * half + lane / 16, w_chunk = 2 * half + lane / 8 % 2;
#pragma unroll
    for (int kind = 0; kind < 2; kind++) {
#pragma unroll
        for (int i = 0; i < 2; i++)
            load_matrices(xs[kind][i], x + i * 16 * 128 + (((x_chunk + kind * 4) ^ x_key) << 4));
            // first and second half of k for 8 rows of w, then for the next 8
#pragma unroll
        for (int i = 0; i < sixteens; i++)
            load_matrices(ws[kind][i], w + i * 16 * 128 + (((w_chunk + kind * 4) ^ (lane & 7)) << 4));
    }
#pragma unroll
    for (int term = 0; term < 3; term++)
#pragma unroll
        for (int i = 0; i < 2 * eights; i++) {
            const int m = i / eights, j = i % eights;
            const uint32_t(&b)[4] = ws[term == 1][j / 2];
            mma_16x8x16<__half>(part[m][j], xs[term == 0][m], b[j % 2 * 2], b[j % 2 * 2 + 1]);
        }
}

} // namespace split_f32

#endif
