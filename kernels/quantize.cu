/* quantize.cu — one warp owns a row and keeps it in registers: its largest magnitude, then the row once more from
 * there. Memory bound: rows * dim * (size of x + 1) bytes. 2812 rows of 2048 in 16 bits: 17 MB, 4.1 µs at 4.2 TB/s; x
 * has just been written and lies in L2. */
#include "kernels/quantize.h"

#include "kernels/cuda/common/whole.cuh"
#include "kernels/whole.h"

namespace {

constexpr int kWarps = 4; /* rows of a block */

/* dim = 256 * CHUNKS: lane l holds elements 8 l .. 8 l + 7 of every 256. */
template <typename T, int CHUNKS>
__global__ void __launch_bounds__(32 * kWarps) quantize_warp_per_row(int rows, const T *x, int8_t *y, float *scale) {
    const int lane = threadIdx.x % 32, row = blockIdx.x * kWarps + threadIdx.x / 32;
    let_next_start();
    wait_for_previous();
    if (row >= rows) return;
    constexpr int dim = 256 * CHUNKS;
    const T *from = x + (size_t)row * dim + 8 * lane;
    float v[CHUNKS][8];
    uint32_t largest = 0;
#pragma unroll
    for (int i = 0; i < CHUNKS; i++) load8(v[i], from + 256 * i);
#pragma unroll
    for (int i = 0; i < CHUNKS; i++)
#pragma unroll
        for (int e = 0; e < 8; e++) largest = max(largest, magnitude(v[i][e]));
    const whole_scale s = whole_scale_of(lanes_largest(largest));
    int8_t *to = y + (size_t)row * dim + 8 * lane;
#pragma unroll
    for (int i = 0; i < CHUNKS; i++)
        *reinterpret_cast<uint2 *>(to + 256 * i) = make_uint2(whole4(v[i][0], v[i][1], v[i][2], v[i][3], s.by),
                                                              whole4(v[i][4], v[i][5], v[i][6], v[i][7], s.by));
    if (lane == 0) scale[row] = s.scale;
}

/* Any dim that is a multiple of 8: the row is read twice, the second time from cache. */
template <typename T>
__global__ void __launch_bounds__(32 * kWarps)
    quantize_warp_per_row_any(int rows, int dim, const T *x, int8_t *y, float *scale) {
    const int lane = threadIdx.x % 32, row = blockIdx.x * kWarps + threadIdx.x / 32;
    let_next_start();
    wait_for_previous();
    if (row >= rows) return;
    const T *from = x + (size_t)row * dim;
    float v[8];
    uint32_t largest = 0;
    for (int d = 8 * lane; d < dim; d += 256) {
        load8(v, from + d);
        for (int e = 0; e < 8; e++) largest = max(largest, magnitude(v[e]));
    }
    const whole_scale s = whole_scale_of(lanes_largest(largest));
    for (int d = 8 * lane; d < dim; d += 256) {
        load8(v, from + d);
        *reinterpret_cast<uint2 *>(y + (size_t)row * dim + d) =
            make_uint2(whole4(v[0], v[1], v[2], v[3], s.by), whole4(v[4], v[5], v[6], v[7], s.by));
    }
    if (lane == 0) scale[row] = s.scale;
}

} // namespace

extern "C" f5_status quantize_cuda(cuda_context *c, const quantize_args *a) {
    if (a->rows < 0 || a->dim < 1 || a->dim % WHOLE_MULTIPLE != 0)
        return f5_fail(&c->error, F5_E_SHAPE, "quantize: %d rows of %d", a->rows, a->dim);
    if (a->rows == 0) return F5_OK;
    if (!a->x.data || !a->y || !a->scale || ((uintptr_t)a->x.data | (uintptr_t)a->y) % 16 != 0)
        return f5_fail(&c->error, F5_E_ARGUMENT, "quantize: x, y or scale is NULL, or x or y not 16-byte aligned");
    const dim3 blocks((unsigned int)ceil_div(a->rows, kWarps));
    return for_dtype(c, "quantize", a->x.type, [&](auto zero) {
        using T = decltype(zero);
        auto run = [&](auto kernel) {
            return cuda_launch_early(c, "quantize", kernel, blocks, 32 * kWarps, 0, a->rows,
                                     static_cast<const T *>(a->x.data), a->y, a->scale);
        };
        switch (a->dim) { /* the widths that ship */
        case 256:
            return run(quantize_warp_per_row<T, 1>);
        case 512:
            return run(quantize_warp_per_row<T, 2>);
        case 768:
            return run(quantize_warp_per_row<T, 3>);
        case 1024:
            return run(quantize_warp_per_row<T, 4>);
        case 1536:
            return run(quantize_warp_per_row<T, 6>);
        case 2048:
            return run(quantize_warp_per_row<T, 8>);
        }
        return cuda_launch_early(c, "quantize", quantize_warp_per_row_any<T>, blocks, 32 * kWarps, 0, a->rows, a->dim,
                                 static_cast<const T *>(a->x.data), a->y, a->scale);
    });
}
