/* embed.cu — one thread copies four values of a table row and adds the position. Once per request.
 * Memory bound: 12 * rows * dim bytes with positions. 2812 rows of 512: 17 MB, 4 µs.
 * An id outside the table, or a row past the position table, is the caller's error; nothing outside is read, and the
 * row becomes NaN, so that it shows. The tail is zeroed. */
#include "kernels/embed.h"

#include "kernels/cuda/common/vec.cuh"

static constexpr int kThreads = 256;

template <int V> __global__ void __launch_bounds__(kThreads) embed_thread_per_vector(embed_args a, f5_pack pack) {
    const int64_t width = a.dim / V, i = (int64_t)blockIdx.x * kThreads + threadIdx.x;
    if (i >= pack.rows * width) return;
    const int row = (int)(i / width), d = (int)(i % width) * V;
    const int s = pack.seq_of_row[row];

    float y[V] = {};
    if (s >= 0 && (!a.keep || a.keep[row])) {
        const int id = a.ids[row], at = row - pack.offsets[s];
        const int p = a.clamp && at >= a.max_position ? a.max_position - 1 : at;
        const bool inside = (unsigned)id < (unsigned)a.table_rows && (!a.positions || p < a.max_position);
        float position[V] = {};
        if (inside) load_vec(y, a.table + (size_t)id * a.dim + d);
        if (inside && a.positions) load_vec(position, a.positions + (size_t)p * a.dim + d);
#pragma unroll
        for (int e = 0; e < V; e++) y[e] = inside ? y[e] + position[e] : __int_as_float(0x7fffffff);
    }
    store_vec(a.y + i * V, y);
}

extern "C" f5_status embed_cuda(cuda_context *c, const embed_args *a) {
    if (!a->pack || !a->ids || !a->table || !a->y) return f5_fail(&c->error, F5_E_ARGUMENT, "embed: a pointer is NULL");
    if (a->dim < 2 || a->dim % 2 != 0 || a->table_rows < 1)
        return f5_fail(&c->error, F5_E_SHAPE, "embed: a table of %d rows of %d; dim must be even", a->table_rows,
                       a->dim);
    if (a->positions && a->max_position < 1)
        return f5_fail(&c->error, F5_E_SHAPE, "embed: a table of %d positions", a->max_position);
    if (a->pack->rows == 0) return F5_OK;
    for_width(a->dim, aligned16(a->table, a->positions, a->y), [&](auto width) {
        constexpr int V = decltype(width)::value;
        const int64_t vectors = (int64_t)a->pack->rows * (a->dim / V);
        embed_thread_per_vector<V>
            <<<(unsigned)ceil_div<int64_t>(vectors, kThreads), kThreads, 0, c->stream>>>(*a, *a->pack);
    });
    return cuda_launched(c, "embed");
}
