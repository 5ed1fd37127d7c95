/* time_row.cu — a thread copies four neighbouring elements of a row of y (one where the width is no multiple of four).
 * Memory bound: rows * dim * 8 bytes. 2812 rows of 1024: 23 MB, 5.5 µs at 4.2 TB/s. */
#include "kernels/time_row.h"

#include "kernels/cuda/common/vec.cuh"

static constexpr int kThreads = 256;

/* front: what a sequence of y has beyond that of x lies in front. */
template <int V>
__global__ void __launch_bounds__(kThreads)
    time_row_move(int rows, int dim, bool front, const int32_t *x_offsets, const int32_t *y_offsets,
                  const int32_t *y_seq_of_row, const float *x, const float *row, float *y) {
    let_next_start();
    wait_for_previous();
    const int width = dim / V;
    const int64_t i = (int64_t)blockIdx.x * kThreads + threadIdx.x;
    if (i >= (int64_t)rows * width) return;
    const int at = (int)(i / width), column = (int)(i % width) * V, slot = y_seq_of_row[at];
    if (slot < 0) return;
    const int x_begin = x_offsets[slot], x_rows = x_offsets[slot + 1] - x_begin;
    const int y_begin = y_offsets[slot], y_rows = y_offsets[slot + 1] - y_begin;
    const int from = at - y_begin - (front ? y_rows - x_rows : 0);
    float v[V] = {};
    if (from >= 0 && from < x_rows)
        load_vec(v, x + (size_t)(x_begin + from) * dim + column);
    else if (row)
        load_vec(v, row + column);
    store_vec(y + i * V, v);
}

extern "C" f5_status time_row_cuda(cuda_context *c, const time_row_args *a) {
    const f5_pack *from = a->pack, *to = a->y_pack;
    if (!from || !to || !a->x || !a->y) return f5_fail(&c->error, F5_E_ARGUMENT, "time_row: a pointer is NULL");
    if (a->mode != TIME_ROW_PUT && a->mode != TIME_ROW_AFTER)
        return f5_fail(&c->error, F5_E_ARGUMENT, "time_row: mode %d", (int)a->mode);
    if (from->n_seq != to->n_seq)
        return f5_fail(&c->error, F5_E_ARGUMENT, "time_row: packs of %d and %d slots", from->n_seq, to->n_seq);
    if (a->dim < 1) return f5_fail(&c->error, F5_E_SHAPE, "time_row: dim %d", a->dim);
    if (to->rows == 0) return F5_OK;
    f5_status status = F5_OK;
    for_width(a->dim, aligned16(a->x, a->row, a->y), [&](auto vec) {
        constexpr int V = decltype(vec)::value;
        const int64_t vectors = (int64_t)to->rows * (a->dim / V);
        status = cuda_launch_early(
            c, "time_row", time_row_move<V>, dim3((unsigned int)ceil_div<int64_t>(vectors, kThreads)), kThreads, 0,
            to->rows, a->dim, a->mode == TIME_ROW_PUT, from->offsets, to->offsets, to->seq_of_row, a->x, a->row, a->y);
    });
    return status;
}
