/* istft.cu — one pass: a block transforms sixteen frames in shared memory and writes the samples of the twelve in the
 * middle; the two either side are the halo that the overlap needs, transformed again by the neighbours. Every sample
 * gathers the frames that cover it in order, so blocks cannot change a result. The reference's scratch is not used.
 * Reads 4104 bytes of each row once from memory and a third of it again from cache, writes 1024: 1406 rows are 7.2 MB,
 * 1.7 µs; about 50 thousand instructions a transformed frame put the floor near 3 µs. */
#include "kernels/istft.h"

#include "kernels/cuda/common/fft.cuh"
#include "kernels/cuda/common/launch.cuh"

static constexpr int kFrames = 16; /* transformed by a block */
static constexpr int kHalo = 2;    /* a sample of hop c lies in frames c - 2 .. c + 2 (CENTER: c - 1 .. c + 2) */
static constexpr int kHops = kFrames - 2 * kHalo;
static constexpr int kThreads = kFrames * FFT_THREADS;
static constexpr int kWindow = FFT_POINTS, kHop = kWindow / 4;
static constexpr int kSharedBytes =
    (FFT_POINTS + kFrames * FFT_WORK) * (int)sizeof(float2) + kWindow * (int)sizeof(float);
static constexpr float kMaxMagnitude = 100.0f;
static_assert(ISTFT_BINS == FFT_BINS && FFT_WORK >= FFT_BINS && 2 * FFT_WORK >= kWindow,
              "a frame's work area holds all");
static_assert(kHops * kHop % kThreads == 0 && kThreads % kHop == 0, "as many samples for every thread");
static_assert(kSharedBytes <= 99 * 1024 && kThreads <= 1024, "fits every device since sm_80");

/* One row of h to one windowed frame in `work`, by 64 threads; the block's barriers are inside. h NULL: zeros. */
static __device__ __forceinline__ void transform(const float *h, const float *window, float2 *work,
                                                 const float2 *twiddles, int j) {
    constexpr int kBins = (ISTFT_BINS + FFT_THREADS - 1) / FFT_THREADS; /* of a thread */
    float level[kBins], angle[kBins];
#pragma unroll
    for (int i = 0; i < kBins; i++) { /* all are asked for before the first is used */
        const int k = min(j + FFT_THREADS * i, ISTFT_BINS - 1);
        level[i] = h ? h[k] : 0.0f, angle[i] = h ? h[ISTFT_BINS + k] : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < kBins; i++) {
        const int k = j + FFT_THREADS * i;
        if (k >= ISTFT_BINS) continue;
        const float e = expf(level[i]), magnitude = !h ? 0.0f : e > kMaxMagnitude ? kMaxMagnitude : e; /* NaN stays */
        float sine, cosine;
        sincosf(angle[i], &sine, &cosine);
        const bool real = k == 0 || k == ISTFT_BINS - 1;
        work[k] = make_float2(magnitude * cosine, real ? 0.0f : magnitude * sine);
    }
    __syncthreads();

    /* swapping the parts before and after makes the forward transform the inverse one */
    float2 v[8];
#pragma unroll
    for (int r = 0; r < 8; r++) {
        const float2 z = fft_tangled(work, twiddles, j + FFT_THREADS * r);
        v[r] = make_float2(z.y, z.x);
    }
    fft512(v, work, twiddles, j);
    __syncthreads();
#pragma unroll
    for (int r = 0; r < 8; r++) {
        const int n = j + FFT_THREADS * r; /* samples 2 n and 2 n + 1 */
        const float2 w = reinterpret_cast<const float2 *>(window)[n];
        work[n] = make_float2(v[r].y * (1.0f / 512) * w.x, v[r].x * (1.0f / 512) * w.y);
    }
    __syncthreads();
}

__global__ void __launch_bounds__(kThreads) istft_block_of_hops(istft_args a, f5_pack pack) {
    extern __shared__ float2 shared[];
    float2 *twiddles = shared, *work = shared + FFT_POINTS;
    float *window = reinterpret_cast<float *>(work + kFrames * FFT_WORK);
    const int first = (int)blockIdx.x * kHops - kHalo; /* row of the first transformed frame */

    /* tables and the pack need not wait */
    let_next_start();
    fft_twiddles(twiddles);
    for (int i = threadIdx.x; i < kWindow; i += kThreads) window[i] = a.window[i];
    constexpr int kSamples = kHops * kHop / kThreads, kApart = kThreads / kHop; /* of a thread; hops between them */
    int begin[kSamples], frames[kSamples];                                      /* of each one's sequence */
    int64_t to_y[kSamples];
#pragma unroll
    for (int i = 0; i < kSamples; i++) {
        const int to = first + kHalo + (int)threadIdx.x / kHop + kApart * i,
                  s = to < pack.rows ? pack.seq_of_row[to] : -1;
        begin[i] = s < 0 ? 0 : pack.offsets[s], frames[i] = s < 0 ? 0 : pack.offsets[s + 1] - begin[i];
        to_y[i] = s < 0 ? 0 : a.sample_offsets[s];
    }
    const int f = threadIdx.x / FFT_THREADS, row = first + f;
    const bool live = row >= 0 && row < pack.rows && pack.seq_of_row[row] >= 0;
    wait_for_previous();
    transform(live ? a.h + (size_t)row * 2 * ISTFT_BINS : nullptr, window, work + f * FFT_WORK, twiddles,
              threadIdx.x % FFT_THREADS);

    /* gather: hop `at` of the sequence, sample t of its untrimmed overlap-add */
    const int trim = a.padding == ISTFT_CENTER ? kWindow / 2 : (kWindow - kHop) / 2;
#pragma unroll
    for (int i = 0; i < kSamples; i++) {
        const int to = first + kHalo + (int)threadIdx.x / kHop + kApart * i, at = to - begin[i];
        if (frames[i] == 0 || (a.padding == ISTFT_CENTER && at == frames[i] - 1)) continue;
        const int sample = at * kHop + threadIdx.x % kHop, t = sample + trim;
        const int newest = min(t / kHop, frames[i] - 1), oldest = t < kWindow ? 0 : (t - kWindow) / kHop + 1;
        float sum = 0, envelope = 0;
        for (int frame = oldest; frame <= newest; frame++) {
            const int n = t - frame * kHop;
            const float w = window[n];
            sum += reinterpret_cast<const float *>(work + (to + frame - at - first) * FFT_WORK)[n];
            envelope += w * w;
        }
        a.y[to_y[i] + sample] = sum / envelope;
    }
}

extern "C" f5_status istft_cuda(cuda_context *c, const istft_args *a) {
    if (!a->pack || !a->h || !a->window || !a->sample_offsets || !a->y)
        return f5_fail(&c->error, F5_E_ARGUMENT, "istft: a pointer is NULL");
    if (a->padding != ISTFT_CENTER && a->padding != ISTFT_SAME)
        return f5_fail(&c->error, F5_E_ARGUMENT, "istft: padding %d", (int)a->padding);
    if (a->pack->rows == 0) return F5_OK;
    F5_TRY(cuda_allow_shared(c, "istft", istft_block_of_hops, kSharedBytes));
    return cuda_launch_early(c, "istft", istft_block_of_hops, dim3(ceil_div(a->pack->rows, kHops)), kThreads,
                             kSharedBytes, *a, *a->pack);
}
