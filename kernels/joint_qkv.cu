/* joint_qkv.cu — eight lanes own a head of a row of y, each with eight neighbouring elements.
 * Memory bound: every row read and written once, rows * 3 * heads * 64 * 2 * size bytes. 2812 rows of frames and 704 of
 * text, 16 heads, 16 bits: 43 MB, 10 µs at 4.2 TB/s. */
#include "kernels/joint_qkv.h"

#include "kernels/cuda/common/attention_rows.cuh"

namespace {

constexpr int kThreads = 256;

/* joint_qkv_args as a kernel reads them; all device pointers. */
struct joint_device {
    const int32_t *x_offsets, *c_offsets, *y_offsets, *y_seq_of_row;
    int32_t rows, heads, rope_heads;
    const void *x, *c;
    const float *rope, *q_norm, *k_norm, *c_q_norm, *c_k_norm;
    void *y;
};

template <typename T>
__global__ void __launch_bounds__(kThreads) join_by_eights(const __grid_constant__ joint_device d) {
    let_next_start();
    wait_for_previous();
    const int64_t items = int64_t{d.rows} * 3 * d.heads * 8, item = blockIdx.x * int64_t{kThreads} + threadIdx.x;
    const int64_t head_row = (item < items ? item : items - 1) / 8; // whole warps stay: rows are summed across lanes
    const int lane = threadIdx.x % 8, row = (int)(head_row / (3 * d.heads)), column = (int)(head_row % (3 * d.heads));
    const int part = column / d.heads, head = column % d.heads, slot = d.y_seq_of_row[row];

    // the row in its own stream
    float v[8] = {}, prepared[8];
    const float *norm = d.q_norm, *angles = nullptr;
    if (slot >= 0) {
        const int at = row - d.y_offsets[slot], x_rows = d.x_offsets[slot + 1] - d.x_offsets[slot];
        const bool of_x = at < x_rows;
        const int position = of_x ? at : at - x_rows;
        const int64_t from = (of_x ? d.x_offsets[slot] : d.c_offsets[slot]) + int64_t{position};
        load8(v, static_cast<const T *>(of_x ? d.x : d.c) + (from * 3 * d.heads + column) * 64 + lane * 8);
        if (part == 0) norm = of_x ? d.q_norm : d.c_q_norm;
        if (part == 1) norm = of_x ? d.k_norm : d.c_k_norm;
        if (part < 2 && head < d.rope_heads) angles = d.rope + int64_t{position} * 64;
    }

    // every lane sums, since neighbouring lanes may have q and v; only q and k take what comes of it
#pragma unroll
    for (int i = 0; i < 8; i++) prepared[i] = v[i];
    prepare_row(prepared, lane, norm, angles);
#pragma unroll
    for (int i = 0; i < 8; i++) v[i] = part < 2 ? prepared[i] : v[i];
    if (item < items && slot >= 0) store8(static_cast<T *>(d.y) + head_row * 64 + lane * 8, v);
}

} // namespace

extern "C" f5_status joint_qkv_cuda(cuda_context *c, const joint_qkv_args *a) {
    if (!a->pack || !a->c_pack || !a->y_pack || (!a->x && a->pack->rows > 0) || (!a->c && a->c_pack->rows > 0) ||
        !a->y || (a->rope_heads > 0 && !a->rope))
        return f5_fail(&c->error, F5_E_ARGUMENT, "joint_qkv: a pointer is NULL");
    const int weights = !!a->q_norm + !!a->k_norm + !!a->c_q_norm + !!a->c_k_norm;
    if (weights != 0 && weights != 4) return f5_fail(&c->error, F5_E_ARGUMENT, "joint_qkv: %d of the 4 norms", weights);
    if (((uintptr_t)a->x | (uintptr_t)a->c | (uintptr_t)a->y | (uintptr_t)a->rope | (uintptr_t)a->q_norm |
         (uintptr_t)a->k_norm | (uintptr_t)a->c_q_norm | (uintptr_t)a->c_k_norm) %
        16)
        return f5_fail(&c->error, F5_E_ARGUMENT, "joint_qkv: a tensor is not 16-byte aligned");
    if (a->c_pack->n_seq != a->pack->n_seq || a->y_pack->n_seq != a->pack->n_seq)
        return f5_fail(&c->error, F5_E_ARGUMENT, "joint_qkv: packs of %d, %d and %d slots", a->pack->n_seq,
                       a->c_pack->n_seq, a->y_pack->n_seq);
    if (a->heads < 1 || a->rope_heads < 0 || a->rope_heads > a->heads)
        return f5_fail(&c->error, F5_E_SHAPE, "joint_qkv: %d heads, %d of them rotated", a->heads, a->rope_heads);
    if (a->y_pack->rows == 0) return F5_OK;
    const joint_device d = {a->pack->offsets,
                            a->c_pack->offsets,
                            a->y_pack->offsets,
                            a->y_pack->seq_of_row,
                            a->y_pack->rows,
                            a->heads,
                            a->rope_heads,
                            a->x,
                            a->c,
                            a->rope,
                            a->q_norm,
                            a->k_norm,
                            a->c_q_norm,
                            a->c_k_norm,
                            a->y};
    return for_dtype(c, "joint_qkv", a->type, [&](auto zero) {
        using T = decltype(zero);
        const int64_t items = int64_t{d.rows} * 3 * d.heads * 8;
        return cuda_launch_early(c, "joint_qkv", join_by_eights<T>,
                                 dim3((unsigned int)ceil_div<int64_t>(items, kThreads)), kThreads, 0, d);
    });
}
