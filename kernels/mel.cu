/* mel.cu — a block transforms four frames: reflected samples, window, FFT, magnitude, and the few bins each band of the
 * bank weighs, all in shared memory.
 * 1406 frames read 1.4 MB of samples (four times, from cache) and write 0.6 MB; about 60 thousand instructions a frame
 * put the floor near 2 µs. Once per reference clip. */
#include "kernels/mel.h"

#include "kernels/cuda/common/fft.cuh"
#include "kernels/cuda/common/launch.cuh"

static constexpr int kFrames = 4; /* of a block */
static constexpr int kThreads = kFrames * FFT_THREADS;
static constexpr float kFloor = 1e-5f;
static constexpr float kTopHz = 12000.0f;
static constexpr float kLeastPower = 1e-9f; /* of a bin, BigVGAN's */
static_assert(MEL_FFT == FFT_POINTS && MEL_BINS == FFT_BINS, "mel and the FFT disagree about the transform");

/* Corner i of the 102 that bound the triangles, in bins; mel.c has the formulas. */
static __device__ __forceinline__ float corner_bin(mel_form form, int i) {
    const float part = (float)i / (MEL_BANDS + 1);
    float hz;
    if (form == MEL_VOCOS) {
        hz = 700.0f * (exp10f(log10f(1.0f + kTopHz / 700.0f) * part) - 1.0f);
    } else {
        const float step = logf(6.4f) / 27.0f, mel = (15.0f + logf(kTopHz / 1000.0f) / step) * part;
        hz = mel < 15.0f ? mel * (200.0f / 3.0f) : 1000.0f * expf((mel - 15.0f) * step);
    }
    return hz * ((float)MEL_FFT / MEL_RATE);
}

/* Sample i of the clip mirrored about its first and its last sample, neither repeated. */
static __device__ __forceinline__ float reflected(const float *samples, int64_t n, int64_t i) {
    if (i < 0) i = -i;
    if (i >= n) i = 2 * (n - 1) - i;
    return samples[i];
}

__global__ void __launch_bounds__(kThreads) mel_four_frames(mel_args a, int64_t frames, int before) {
    __shared__ float2 twiddles[FFT_POINTS];
    __shared__ float2 work[kFrames][FFT_WORK];
    __shared__ float magnitude[kFrames][MEL_BINS];
    const int f = threadIdx.x / FFT_THREADS, j = threadIdx.x % FFT_THREADS;
    const int64_t frame = (int64_t)blockIdx.x * kFrames + f;

    /* the samples are on their way while the table is made */
    float2 v[8];
    const int64_t first = frame * MEL_HOP - before;
#pragma unroll
    for (int r = 0; r < 8; r++) {
        const int64_t i = first + 2 * (j + FFT_THREADS * r);
        v[r] = make_float2(0, 0);
        if (frame < frames)
            v[r] = make_float2(reflected(a.samples, a.n_samples, i), reflected(a.samples, a.n_samples, i + 1));
    }
    fft_twiddles(twiddles);
    __syncthreads();

    /* window: 0.5 - 0.5 cos(2 pi i / 1024), and the cosines are in the table */
#pragma unroll
    for (int r = 0; r < 8; r++) {
        const int i = 2 * (j + FFT_THREADS * r);
        v[r].x *= 0.5f - 0.5f * twiddles[i].x;
        v[r].y *= 0.5f - 0.5f * twiddles[i + 1].x;
    }
    fft512(v, work[f], twiddles, j);
    __syncthreads();
#pragma unroll
    for (int r = 0; r < 8; r++) work[f][fft_at(j + FFT_THREADS * r)] = v[r];
    __syncthreads();
    for (int k = j; k < MEL_BINS; k += FFT_THREADS) {
        const float2 bin = fft_real_bin(work[f], twiddles, k);
        magnitude[f][k] = sqrtf(bin.x * bin.x + bin.y * bin.y + (a.form == MEL_BIGVGAN ? kLeastPower : 0.0f));
    }
    __syncthreads();

    /* a band weighs the bins between its two outer corners; one more either side covers their rounding. A thread has a
     * band of two frames, which share its weights. */
    for (int i = threadIdx.x; i < kFrames / 2 * MEL_BANDS; i += kThreads) {
        const int g = i / MEL_BANDS * 2, band = i % MEL_BANDS;
        const int low = max((int)corner_bin(a.form, band) - 1, 0);
        const int high = min((int)corner_bin(a.form, band + 2) + 2, MEL_BINS - 1);
        float sum[2] = {};
#pragma unroll 8
        for (int k = low; k <= high; k++) {
            const float weight = a.bank[k * MEL_BANDS + band];
            sum[0] += magnitude[g][k] * weight;
            sum[1] += magnitude[g + 1][k] * weight;
        }
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int64_t to = (int64_t)blockIdx.x * kFrames + g + e;
            if (to < frames) a.y[to * MEL_BANDS + band] = logf(sum[e] < kFloor ? kFloor : sum[e]); /* NaN stays */
        }
    }
}

extern "C" f5_status mel_cuda(cuda_context *c, const mel_args *a) {
    if (!a->samples || !a->bank || !a->y) return f5_fail(&c->error, F5_E_ARGUMENT, "mel: a pointer is NULL");
    if (a->form != MEL_VOCOS && a->form != MEL_BIGVGAN)
        return f5_fail(&c->error, F5_E_ARGUMENT, "mel: form %d", (int)a->form);
    if (a->n_samples <= mel_before(a->form))
        return f5_fail(&c->error, F5_E_SHAPE, "mel: %lld samples; at least %d are needed", (long long)a->n_samples,
                       (int)mel_before(a->form) + 1);
    const int64_t frames = mel_frames_of(a->form, a->n_samples);
    mel_four_frames<<<(unsigned)ceil_div<int64_t>(frames, kFrames), kThreads, 0, c->stream>>>(*a, frames,
                                                                                              mel_before(a->form));
    return cuda_launched(c, "mel");
}
