/* linear_finish.cuh — the epilogues that cuBLASLt lacks, each a pass over its product: 12 to 16 bytes an element, most
 * of them from L2. */
#ifndef F5_LINEAR_FINISH_CUH
#define F5_LINEAR_FINISH_CUH

#include "kernels/cuda/common/epilogue.cuh"
#include "kernels/cuda/common/launch.cuh"
#include "kernels/cuda/common/rope.cuh"

namespace {

/* ---- an F32 product: bias, activation, gate, addend */

struct finish_args {
    const float *product; /* [rows,out] without bias; may be y */
    const float *bias, *gate, *addend;
    int64_t groups; /* rows * out / width */
    int32_t out;
};

/* A thread finishes `width` neighbours of a row: 8 by 16-byte accesses, or 1 where out is not a multiple of 8. */
template <typename T, linear_epilogue epilogue, int width>
__global__ void __launch_bounds__(256) finish_rows(finish_args f, T *y) {
    const int per_row = f.out / width;
    for (int64_t g = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; g < f.groups;
         g += int64_t{gridDim.x} * blockDim.x) {
        const int column = (int)(g % per_row) * width;
        float v[width], bias[width] = {}, gate[width], addend[width] = {};
#pragma unroll
        for (int i = 0; i < width; i++) gate[i] = 1.0f;
        if constexpr (width == 8) {
            load8(v, f.product + g * 8);
            if (f.bias) load8(bias, f.bias + column);
            if (epilogue == LINEAR_RESIDUAL) {
                if (f.gate) load8(gate, f.gate + column);
                load8(addend, f.addend + g * 8);
            }
        } else {
            v[0] = f.product[g];
            if (f.bias) bias[0] = f.bias[column];
            if (epilogue == LINEAR_RESIDUAL) {
                if (f.gate) gate[0] = f.gate[column];
                addend[0] = f.addend[g];
            }
        }
#pragma unroll
        for (int i = 0; i < width; i++) v[i] = linear_finish<epilogue>(v[i] + bias[i], gate[i], addend[i]);
        if constexpr (width == 8)
            store8(y + g * 8, v);
        else
            y[g] = from_float<T>(v[0]);
    }
}

template <typename T, linear_epilogue epilogue>
f5_status finish_launch(cuda_context *c, finish_args f, int32_t rows, void *y) {
    const bool wide = f.out % 8 == 0 && ((uintptr_t)f.bias | (uintptr_t)f.gate | (uintptr_t)f.addend) % 16 == 0;
    f.groups = int64_t{rows} * f.out / (wide ? 8 : 1);
    const unsigned int blocks = grid_for(c, f.groups, 256);
    if (wide)
        finish_rows<T, epilogue, 8><<<blocks, 256, 0, c->stream>>>(f, static_cast<T *>(y));
    else
        finish_rows<T, epilogue, 1><<<blocks, 256, 0, c->stream>>>(f, static_cast<T *>(y));
    return cuda_launched(c, "linear");
}

/* A bias in the type of y, as cuBLASLt wants it: one small kernel that a caller saves by giving bias_rounded. */
template <typename T> __global__ void bias_round(const float *bias, T *rounded, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) rounded[i] = from_float<T>(bias[i]);
}

f5_status round_bias_launch(cuda_context *c, const float *bias, int32_t out, f5_dtype type, void *rounded) {
    return for_dtype(c, "linear", type, [&](auto zero) {
        using T = decltype(zero);
        bias_round<<<ceil_div(out, 256), 256, 0, c->stream>>>(bias, static_cast<T *>(rounded), out);
        return cuda_launched(c, "linear");
    });
}

/* ---- RoPE of a product that has its bias */

/* y [rows, 3, heads, 64]: 8 elements of a row of q or k each thread, by 16-byte accesses. */
struct rotate_args {
    const float *rope;
    const int32_t *offsets, *seq_of_row; /* NULL: all rows are one sequence */
    int rows, heads, rope_heads;
};

template <typename T> __global__ void __launch_bounds__(256) rotate_rows(rotate_args a, T *y) {
    const int parts = 2 * a.rope_heads * 8;
    const int64_t item = blockIdx.x * int64_t{256} + threadIdx.x;
    if (item >= int64_t{a.rows} * parts) return;
    const int row = (int)(item / parts), part = (int)(item % parts) % 8, head = (int)(item % parts) / 8;
    const int sequence = a.seq_of_row ? a.seq_of_row[row] : 0;
    if (sequence < 0) return;
    const int position = a.offsets ? row - a.offsets[sequence] : row;
    T *at = y + (int64_t{row} * 3 * a.heads + head / a.rope_heads * a.heads + head % a.rope_heads) * 64 + part * 8;
    float v[8];
    load8(v, at);
    rotate8(v, a.rope + int64_t{position} * 64 + part * 8);
    store8(at, v);
}

f5_status rotate_launch(cuda_context *c, const linear_args *a, int32_t rows) {
    if (a->rope_heads == 0) return F5_OK;
    rotate_args r = {};
    r.rope = a->rope, r.rows = rows, r.heads = a->out / 192, r.rope_heads = a->rope_heads;
    if (a->pack) r.offsets = a->pack->offsets, r.seq_of_row = a->pack->seq_of_row;
    const int64_t blocks = ceil_div<int64_t>(int64_t{rows} * 2 * a->rope_heads * 8, 256);
    return for_dtype(c, "linear", a->x.type, [&](auto zero) {
        using T = decltype(zero);
        rotate_rows<<<(unsigned int)blocks, 256, 0, c->stream>>>(r, static_cast<T *>(a->y.data));
        return cuda_launched(c, "linear");
    });
}

} // namespace

#endif
