/* text_rows.cu — zeroing filler is elementwise; upsampling first finds which row each row copies, block by block.
 * Memory bound: 8 * rows * dim bytes. 1406 rows of 512: 5.8 MB, 1.4 µs. */
#include "kernels/text_rows.h"

#include "kernels/cuda/common/pack_tile.cuh"
#include "kernels/cuda/common/vec.cuh"

static constexpr int kThreads = 256;
static constexpr int kTile = 16; /* rows of a block that upsamples */
static_assert(kThreads % 32 == 0 && kTile <= kThreads, "a block finds its tile's rows with whole warps");

template <int V>
__global__ void __launch_bounds__(kThreads) text_rows_mask(text_rows_args a, int rows, const int *seq_of_row) {
    const int64_t width = a.dim / V, i = (int64_t)blockIdx.x * kThreads + threadIdx.x;
    if (i >= rows * width) return;
    const int row = (int)(i / width);
    float y[V] = {};
    if (seq_of_row[row] >= 0 && a.keep[row]) load_vec(y, a.x + i * V);
    store_vec(a.y + i * V, y);
}

/* How many of `flags` are set in lower threads of the block, and in the block. counts [warps] is shared memory. */
static __device__ __forceinline__ int rank_in_block(bool flag, int *counts, int *total) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const unsigned ballot = __ballot_sync(0xffffffffu, flag);
    __syncthreads(); /* counts of the last call have been read */
    if (lane == 0) counts[warp] = __popc(ballot);
    __syncthreads();
    int rank = __popc(ballot & ((1u << lane) - 1)), sum = 0;
    for (int w = 0; w < kThreads / 32; w++) {
        if (w < warp) rank += counts[w];
        sum += counts[w];
    }
    *total = sum;
    return rank;
}

/* Kept row (counted among the kept) that position p of N shows: the first n - N mod n of them fill N / n rows each. */
static __device__ __forceinline__ int kept_rank(int p, int n, int frames) {
    const int repeats = frames / n, once_more_from = n - frames % n, even = once_more_from * repeats;
    return p < even ? p / repeats : once_more_from + (p - even) / (repeats + 1);
}

template <int V> __global__ void __launch_bounds__(kThreads) text_rows_upsample(text_rows_args a, f5_pack pack) {
    __shared__ int counts[kThreads / 32];
    __shared__ int wanted[kTile], source[kTile]; /* rank among the kept, then the packed row itself */
    const pack_tile tile = pack_tile_find(pack.offsets, pack.n_seq, kTile, blockIdx.x);
    if (tile.rows == 0) return;
    const int frames = tile.end - tile.begin;

    /* count the kept rows of the sequence */
    int n = 0, total;
    for (int base = tile.begin; base < tile.end; base += kThreads) {
        const int row = base + threadIdx.x;
        rank_in_block(row < tile.end && a.keep[row], counts, &total);
        n += total;
    }

    /* find where the tile's kept rows lie */
    if (threadIdx.x < kTile) {
        const int p = tile.first - tile.begin + threadIdx.x;
        wanted[threadIdx.x] = n > 0 && threadIdx.x < tile.rows ? kept_rank(p, n, frames) : -1;
        source[threadIdx.x] = -1;
    }
    for (int base = tile.begin, before = 0; base < tile.end && n > 0; base += kThreads, before += total) {
        const int row = base + threadIdx.x;
        const bool kept = row < tile.end && a.keep[row];
        const int rank = before + rank_in_block(kept, counts, &total);
        for (int r = 0; kept && r < tile.rows; r++)
            if (wanted[r] == rank) source[r] = row;
    }
    __syncthreads();

    /* copy */
    const int width = a.dim / V;
    for (int i = threadIdx.x; i < tile.rows * width; i += kThreads) {
        const int r = i / width, d = (i % width) * V;
        float y[V] = {};
        if (source[r] >= 0) load_vec(y, a.x + (size_t)source[r] * a.dim + d);
        store_vec(a.y + (size_t)(tile.first + r) * a.dim + d, y);
    }
}

extern "C" f5_status text_rows_cuda(cuda_context *c, const text_rows_args *a) {
    const f5_pack *pack = a->pack;
    if (!pack || !a->keep || !a->x || !a->y) return f5_fail(&c->error, F5_E_ARGUMENT, "text_rows: a pointer is NULL");
    if (a->dim < 1) return f5_fail(&c->error, F5_E_SHAPE, "text_rows: dim %d", a->dim);
    if (a->mode != TEXT_ROWS_MASK && a->mode != TEXT_ROWS_UPSAMPLE)
        return f5_fail(&c->error, F5_E_ARGUMENT, "text_rows: mode %d", (int)a->mode);
    if (a->mode == TEXT_ROWS_UPSAMPLE && a->x == a->y)
        return f5_fail(&c->error, F5_E_ARGUMENT, "text_rows: upsampling cannot work in place");
    if (pack->rows == 0) return F5_OK;
    for_width(a->dim, aligned16(a->x, a->y), [&](auto width) {
        constexpr int V = decltype(width)::value;
        if (a->mode == TEXT_ROWS_MASK) {
            const int64_t vectors = (int64_t)pack->rows * (a->dim / V);
            text_rows_mask<V><<<(unsigned)ceil_div<int64_t>(vectors, kThreads), kThreads, 0, c->stream>>>(
                *a, pack->rows, pack->seq_of_row);
        } else {
            text_rows_upsample<V><<<pack_tiles_max(pack, kTile), kThreads, 0, c->stream>>>(*a, *pack);
        }
    });
    return cuda_launched(c, "text_rows");
}
