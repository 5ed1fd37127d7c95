/* fft.cuh — the real transform of 1024 points, by 64 threads in shared memory (mel.cu, istft.cu).
 *
 * Two neighbouring real samples make one complex one, so the work is a complex transform of 512 = 8^3 points: three
 * radix-8 passes (Stockham: each writes its output in order), thread j holding the points j + 64 r in registers. The
 * untangling of even and odd halves is left to the reader of a bin (fft_real_bin) or the writer of one
 * (fft_tangled): both need two bins, k and 512 - k, so the bins go through shared memory once.
 *
 * Several groups of 64 threads of a block transform several frames in lockstep: the barriers are the block's, so every
 * thread of the block must make every call. F32, twiddles to the last bit: relative L2 error about 2e-7. */
#ifndef F5_CUDA_FFT_CUH
#define F5_CUDA_FFT_CUH

#include <cuda_runtime.h>

#include "kernels/cpu/fft.h" /* the sizes */

#define FFT_THREADS 64 /* threads of one transform */
#define FFT_WORK 576   /* float2 of shared memory of one transform: 512 points, one pad in nine */

/* Fills w[k] = exp(-2 pi i k / 1024), k < 1024, by all threads of the block. No barrier. */
static __device__ __forceinline__ void fft_twiddles(float2 *w) {
    for (int k = threadIdx.x; k < FFT_POINTS; k += blockDim.x) {
        float sine, cosine;
        sincospif((float)k * (-2.0f / FFT_POINTS), &sine, &cosine);
        w[k] = make_float2(cosine, sine);
    }
}

static __device__ __forceinline__ float2 complex_add(float2 a, float2 b) {
    return make_float2(a.x + b.x, a.y + b.y);
}
static __device__ __forceinline__ float2 complex_sub(float2 a, float2 b) {
    return make_float2(a.x - b.x, a.y - b.y);
}
static __device__ __forceinline__ float2 complex_mul(float2 a, float2 b) {
    return make_float2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}
static __device__ __forceinline__ float2 times_minus_i(float2 a) {
    return make_float2(a.y, -a.x);
}

static __device__ __forceinline__ void dft4(float2 &a, float2 &b, float2 &c, float2 &d) {
    const float2 s = complex_add(a, c), t = complex_sub(a, c);
    const float2 u = complex_add(b, d), v = times_minus_i(complex_sub(b, d));
    a = complex_add(s, u);
    b = complex_add(t, v);
    c = complex_sub(s, u);
    d = complex_sub(t, v);
}

/* v[r] = sum_n v[n] exp(-2 pi i n r / 8), in order. */
static __device__ __forceinline__ void dft8(float2 v[8]) {
    const float h = 0.70710678118654752f;
    float2 e0 = complex_add(v[0], v[4]), e1 = complex_add(v[1], v[5]);
    float2 e2 = complex_add(v[2], v[6]), e3 = complex_add(v[3], v[7]);
    float2 o0 = complex_sub(v[0], v[4]), o1 = complex_sub(v[1], v[5]);
    float2 o2 = complex_sub(v[2], v[6]), o3 = complex_sub(v[3], v[7]);
    o1 = make_float2(h * (o1.x + o1.y), h * (o1.y - o1.x));
    o2 = times_minus_i(o2);
    o3 = make_float2(h * (o3.y - o3.x), -h * (o3.x + o3.y));
    dft4(e0, e1, e2, e3);
    dft4(o0, o1, o2, o3);
    v[0] = e0, v[2] = e1, v[4] = e2, v[6] = e3;
    v[1] = o0, v[3] = o1, v[5] = o2, v[7] = o3;
}

/* Where point i lies in the work area: one pad after every eight spreads the passes' strides over all banks. */
static __device__ __forceinline__ int fft_at(int i) {
    return i + (i >> 3);
}

/* One pass: thread j transforms points j + 64 r of blocks of SPAN finished points each. */
template <int SPAN> static __device__ __forceinline__ void fft_pass(float2 v[8], float2 *work, const float2 *w, int j) {
    if (SPAN > 1) {
        __syncthreads();
#pragma unroll
        for (int r = 0; r < 8; r++) v[r] = work[fft_at(j + 64 * r)];
#pragma unroll
        for (int r = 1; r < 8; r++) v[r] = complex_mul(v[r], w[(j % SPAN) * r * (FFT_POINTS / 8 / SPAN)]);
    }
    dft8(v);
    if (SPAN < 64) {
        __syncthreads();
#pragma unroll
        for (int r = 0; r < 8; r++) work[fft_at((j / SPAN) * 8 * SPAN + j % SPAN + r * SPAN)] = v[r];
    }
}

/* v[r] = z[j + 64 r] -> v[r] = Z[j + 64 r], Z[k] = sum_n z[n] exp(-2 pi i n k / 512). Overwrites work after a barrier;
 * ends without one: put a barrier before the next use of work. */
static __device__ __forceinline__ void fft512(float2 v[8], float2 *work, const float2 *w, int j) {
    fft_pass<1>(v, work, w, j);
    fft_pass<8>(v, work, w, j);
    fft_pass<64>(v, work, w, j);
}

/* Bin k = 0..512 of the real transform, from Z of z[n] = x[2n] + i x[2n+1] lying at work[fft_at(k)]. */
static __device__ __forceinline__ float2 fft_real_bin(const float2 *work, const float2 *w, int k) {
    const float2 a = work[fft_at(k & 511)], b = work[fft_at((512 - k) & 511)];
    const float2 even = make_float2(0.5f * (a.x + b.x), 0.5f * (a.y - b.y));
    const float2 odd = make_float2(0.5f * (a.y + b.y), 0.5f * (b.x - a.x));
    return complex_add(even, complex_mul(odd, w[k]));
}

/* Point k = 0..511 of the 512-point spectrum whose inverse is x[2n] + i x[2n+1], from the real signal's bins x [513]
 * (bins 0 and 512 real). Inverse of the 512 points: swap the parts, fft512, swap back, divide by 512. */
static __device__ __forceinline__ float2 fft_tangled(const float2 *x, const float2 *w, int k) {
    const float2 a = x[k], b = x[512 - k];
    const float2 even = make_float2(0.5f * (a.x + b.x), 0.5f * (a.y - b.y));
    const float2 odd = make_float2(0.5f * (a.x - b.x), 0.5f * (a.y + b.y));
    const float2 turned = complex_mul(odd, make_float2(w[k].x, -w[k].y));
    return make_float2(even.x - turned.y, even.y + turned.x);
}

#endif
