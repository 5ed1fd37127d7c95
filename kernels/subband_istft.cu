/* subband_istft.cu — one pass: a block makes 32 frames of one band in shared memory and writes the samples of the 29
 * hops that these cover whole; the three frames that the overlap needs beside them are made again by the neighbours.
 * Inputs come 32 at a time: a warp's lanes are the frames, its weights the same for all lanes. Every sample gathers its
 * frames in order, so blocks cannot change a result. The reference's scratch is not used.
 * Bound by the convolution: 14 in (P + 2) FLOP a hop and band. 10 s of Flow-Matching-TTS, 862 frames at rate 16, 128
 * inputs, 4 bands of P 16: 1.8 GFLOP, 27 µs at 67 TFLOP/s; a tenth is made twice. */
#include "kernels/subband_istft.h"

#include "kernels/cuda/common/pack_tile.cuh"

static constexpr int kFrames = 32, kHops = kFrames - 3; /* hop q lies in frames q - 1 .. q + 2 */
static constexpr int kWarps = 8, kThreads = 32 * kWarps;
static constexpr int kTaps = SUBBAND_ISTFT_TAPS, kStep = 32; /* inputs at a time */
static constexpr int kRows = kFrames + kTaps - 1;            /* of x' that the frames are made of */
static constexpr int kColumns = SUBBAND_ISTFT_MAX_POINTS + 2, kEach = (kColumns + kWarps - 1) / kWarps;

typedef struct {
    float x[kRows][kStep + 1];
    float h[kFrames][kColumns + 1]; /* the columns of the band; then its spectrum */
    float frame[kFrames][SUBBAND_ISTFT_MAX_POINTS + 1];
    float cosine[SUBBAND_ISTFT_MAX_POINTS], sine[SUBBAND_ISTFT_MAX_POINTS];
} istft_shared;
static_assert(sizeof(istft_shared) <= 48 * 1024, "fits every device");

/* h of the band: lane l has frame l, warp w the columns w, w + 8, ... row0: of x', that the first frame begins with. */
static __device__ __forceinline__ void convolve(const subband_istft_args &a, istft_shared *shared, int begin,
                                                int length, int row0, int first_column) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, columns = a.points + 2;
    const int64_t tap = (int64_t)a.bands * columns * a.in;
    float acc[kEach] = {};
    for (int in = 0; in < a.in; in += kStep) {
        __syncthreads(); /* the last step's x has been read */
        for (int r = warp; r < kRows; r += kWarps) {
            const int j = row0 + r; /* row 0 of x' is row 1 of x, row j is row j - 1 */
            const int row = j > 0 ? j - 1 : min(1, length - 1);
            const bool inside = j >= 0 && j <= length && in + lane < a.in;
            shared->x[r][lane] = inside ? a.x[(size_t)(begin + row) * a.in + in + lane] : 0.0f;
        }
        __syncthreads();
        const int some = min(kStep, a.in - in);
#pragma unroll
        for (int i = 0; i < kEach; i++) {
            const int column = warp + kWarps * i;
            if (column >= columns) break;
            const float *w = a.w + (size_t)(first_column + column) * a.in + in;
            for (int k = 0; k < kTaps; k++, w += tap)
                for (int c = 0; c < some; c++) acc[i] = fmaf(shared->x[lane + k][c], w[c], acc[i]);
        }
    }
#pragma unroll
    for (int i = 0; i < kEach; i++) {
        const int column = warp + kWarps * i;
        if (column < columns) shared->h[lane][column] = acc[i] + a.bias[first_column + column];
    }
    __syncthreads();
}

/* Log magnitudes and phases to windowed frames. */
static __device__ __forceinline__ void transform(const subband_istft_args &a, istft_shared *shared) {
    const int half = a.points / 2, bins = half + 1;
    for (int i = threadIdx.x; i < kFrames * bins; i += kThreads) {
        const int m = i / bins, f = i % bins;
        const float magnitude = expf(shared->h[m][f]), phase = a.turn * sinf(shared->h[m][bins + f]);
        float sine, cosine;
        sincosf(phase, &sine, &cosine);
        shared->h[m][f] = magnitude * cosine;
        shared->h[m][bins + f] = magnitude * sine;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < kFrames * a.points; i += kThreads) {
        const int m = i / a.points, n = i % a.points;
        const float *re = shared->h[m], *im = re + bins;
        float sum = 0;
        for (int f = 1; f < half; f++) {
            const int angle = f * n % a.points;
            sum = fmaf(re[f], shared->cosine[angle], fmaf(-im[f], shared->sine[angle], sum));
        }
        const float ends = re[0] + (n % 2 ? -re[half] : re[half]);
        shared->frame[m][n] = (ends + 2.0f * sum) / (float)a.points * a.window[n];
    }
    __syncthreads();
}

__global__ void __launch_bounds__(kThreads) subband_istft_hops(subband_istft_args a, f5_pack pack) {
    __shared__ istft_shared shared;
    sequence_tile tile;
    if (!sequence_tile_find(&tile, pack.offsets, pack.n_seq, kHops, blockIdx.x, a.rate)) return;
    const int band = blockIdx.y, hop = a.points / 4;
    for (int i = threadIdx.x; i < a.points; i += kThreads)
        sincospif(2.0f * i / a.points, &shared.sine[i], &shared.cosine[i]);
    const int frame0 = tile.first - 1; /* frame -1, before the first, is made of nothing, and not read */
    convolve(a, &shared, tile.begin, tile.length, frame0 - kTaps / 2, band * (a.points + 2));
    transform(a, &shared);

    const int hops = min(kHops, tile.length - tile.first);
    for (int i = threadIdx.x; i < hops * hop; i += kThreads) {
        const int sample = tile.first * hop + i, t = sample + a.points / 2;
        const int newest = min(t / hop, tile.length), oldest = t < a.points ? 0 : (t - a.points) / hop + 1;
        float sum = 0, envelope = 0;
        for (int m = oldest; m <= newest; m++) {
            const int n = t - m * hop;
            sum += shared.frame[m - frame0][n];
            envelope += a.window[n] * a.window[n];
        }
        a.y[((size_t)tile.begin * hop + sample) * a.bands + band] = sum / envelope;
    }
}

extern "C" f5_status subband_istft_cuda(cuda_context *c, const subband_istft_args *a) {
    if (!a->pack || !a->x || !a->w || !a->bias || !a->window || !a->y || a->y == a->x)
        return f5_fail(&c->error, F5_E_ARGUMENT, "subband_istft: a pointer is NULL, or two are one that may not be");
    if (a->in < 1 || a->bands < 1 || a->bands > SUBBAND_ISTFT_MAX_BANDS || a->points < 4 ||
        a->points > SUBBAND_ISTFT_MAX_POINTS || a->points % 4 != 0)
        return f5_fail(&c->error, F5_E_SHAPE, "subband_istft: %d inputs, %d bands of %d points", a->in, a->bands,
                       a->points);
    if (a->rate < 1 || a->rate > SUBBAND_ISTFT_MAX_RATE || a->pack->rows > INT32_MAX / 16 / a->rate)
        return f5_fail(&c->error, F5_E_SHAPE, "subband_istft: rate %d of %d rows", a->rate, a->pack->rows);
    const int tiles = pack_tiles_max(a->pack, kHops, a->rate);
    if (a->pack->rows == 0 || tiles == 0) return F5_OK;
    subband_istft_hops<<<dim3(tiles, a->bands), kThreads, 0, c->stream>>>(*a, *a->pack);
    return cuda_launched(c, "subband_istft");
}
