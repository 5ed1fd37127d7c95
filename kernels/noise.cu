/* noise.cu — one thread makes one Philox block: four neighbouring values of a sequence.
 * Arithmetic bound and tiny: 1406 rows of 100 are 35 thousand blocks of about 200 instructions, under 1 µs. */
#include "kernels/noise.h"

#include "kernels/cuda/common/vec.cuh"

static constexpr int kThreads = 256;

/* The generator of noise.c, word for word. */
static __device__ __forceinline__ void philox(uint64_t block, uint64_t seed, uint32_t words[4]) {
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = 0, c3 = 0;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const uint32_t low0 = 0xD2511F53u * c0, high0 = __umulhi(0xD2511F53u, c0);
        const uint32_t low1 = 0xCD9E8D57u * c2, high1 = __umulhi(0xCD9E8D57u, c2);
        c0 = high1 ^ c1 ^ k0, c1 = low1;
        c2 = high0 ^ c3 ^ k1, c3 = low0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    words[0] = c0, words[1] = c1, words[2] = c2, words[3] = c3;
}

/* Box-Muller on the top 24 bits of two words; 2 v is exact, so sincospi sees the angle unrounded. */
static __device__ __forceinline__ void normal_pair(uint32_t a, uint32_t b, float *y0, float *y1) {
    const float u = (float)((a >> 8) + 1) * 0x1p-24f, v = (float)(b >> 8) * 0x1p-24f;
    const float r = sqrtf(-2.0f * logf(u));
    float sine, cosine;
    sincospif(2.0f * v, &sine, &cosine);
    *y0 = r * cosine;
    *y1 = r * sine;
}

static __device__ __forceinline__ void normal_block(uint64_t block, uint64_t seed, float (&y)[4]) {
    uint32_t words[4];
    philox(block, seed, words);
    normal_pair(words[0], words[1], &y[0], &y[1]);
    normal_pair(words[2], words[3], &y[2], &y[3]);
}

/* V 4: a row is whole blocks, one thread writes one of them. V 1: a thread makes a block for one value of it. */
template <int V> __global__ void __launch_bounds__(kThreads) noise_thread_per_block(noise_args a, f5_pack pack) {
    const int64_t width = a.dim / V, i = (int64_t)blockIdx.x * kThreads + threadIdx.x;
    if (i >= pack.rows * width) return;
    const int s = pack.seq_of_row[i / width];
    if (s < 0) return;
    const uint64_t element = (uint64_t)(i * V - (int64_t)pack.offsets[s] * a.dim);
    float y[4];
    normal_block(element / 4, a.seeds[s], y);
    if constexpr (V == 4) {
        store_vec(a.y + 4 * i, y);
    } else {
        const int e = (int)(element % 4);
        a.y[i] = e == 0 ? y[0] : e == 1 ? y[1] : e == 2 ? y[2] : y[3];
    }
}

extern "C" f5_status noise_cuda(cuda_context *c, const noise_args *a) {
    if (!a->pack || !a->seeds || !a->y) return f5_fail(&c->error, F5_E_ARGUMENT, "noise: a pointer is NULL");
    if (a->dim < 1) return f5_fail(&c->error, F5_E_SHAPE, "noise: dim %d", a->dim);
    if (a->pack->rows == 0) return F5_OK;
    for_width(a->dim, aligned16(a->y), [&](auto width) {
        constexpr int V = decltype(width)::value;
        const int64_t vectors = (int64_t)a->pack->rows * (a->dim / V);
        noise_thread_per_block<V>
            <<<(unsigned)ceil_div<int64_t>(vectors, kThreads), kThreads, 0, c->stream>>>(*a, *a->pack);
    });
    return cuda_launched(c, "noise");
}
