/* linear.c — the plain reference: each sequence is cut into tiles, a tile is one product by one thread, and the
 * epilogue runs over it while it is still in cache. */
#include "linear.h"

#include "cpu_gemm.h"
#include "cpu_math.h"
#include "pack_check.h"

/* The larger a tile, the less of its time goes to packing operands; the smaller, the more threads find work.
 * RESIDUAL needs the product apart from y, which may be its addend: 512 KB of stack, about a second-level cache. */
enum { TILE_ROWS = 512, TILE_COLS = 512, RESIDUAL_COLS = 256 };

/* t[i] += bias[i], then the activation. */
static void activate_row(linear_epilogue epilogue, int32_t n, const float *bias, float *restrict t) {
    if (bias)
        for (int32_t i = 0; i < n; i++) t[i] += bias[i];
    switch (epilogue) {
    case LINEAR_SILU:
        for (int32_t i = 0; i < n; i++) t[i] = cpu_silu(t[i]);
        break;
    case LINEAR_GELU_TANH:
        for (int32_t i = 0; i < n; i++) t[i] = cpu_gelu_tanh(t[i]);
        break;
    case LINEAR_GELU_ERF:
        for (int32_t i = 0; i < n; i++) t[i] = cpu_gelu_erf(t[i]);
        break;
    case LINEAR_NONE:
    case LINEAR_RESIDUAL:
        break;
    }
}

/* y = addend + gate * t. y may be addend, which the compiler cannot know to be harmless. */
static void add_row(int32_t n, const float *t, const float *gate, const float *addend, float *y) {
    if (gate) {
#pragma omp simd
        for (int32_t i = 0; i < n; i++) y[i] = addend[i] + gate[i] * t[i];
    } else {
#pragma omp simd
        for (int32_t i = 0; i < n; i++) y[i] = addend[i] + t[i];
    }
}

/* Rows [row, row + rows) and columns [col, col + cols) of y. */
static void plain_tile(const linear_args *a, int32_t row, int32_t rows, int32_t col, int32_t cols) {
    const size_t in = (size_t)a->in, out = (size_t)a->out;
    const float *x = (const float *)a->x + (size_t)row * in, *w = (const float *)a->w + (size_t)col * in;
    const float *bias = a->bias ? a->bias + col : NULL;
    float *y = (float *)a->y + (size_t)row * out + (size_t)col;
    gemm_tile(rows, cols, a->in, x, in, w, in, false, y, out);
    if (!bias && a->epilogue == LINEAR_NONE) return;
    for (int32_t r = 0; r < rows; r++) activate_row(a->epilogue, cols, bias, y + (size_t)r * out);
}

static void residual_tile(const linear_args *a, int32_t row, int32_t rows, int32_t col, int32_t cols) {
    float product[TILE_ROWS * RESIDUAL_COLS];
    const size_t in = (size_t)a->in, at = (size_t)row * (size_t)a->out + (size_t)col;
    const float *x = (const float *)a->x + (size_t)row * in, *w = (const float *)a->w + (size_t)col * in;
    const float *bias = a->bias ? a->bias + col : NULL, *gate = a->gate ? a->gate + col : NULL;
    gemm_tile(rows, cols, a->in, x, in, w, in, false, product, (size_t)cols);
    for (int32_t r = 0; r < rows; r++) {
        float *t = product + (size_t)r * (size_t)cols;
        const size_t here = at + (size_t)r * (size_t)a->out;
        activate_row(LINEAR_RESIDUAL, cols, bias, t);
        add_row(cols, t, gate, a->addend + here, (float *)a->y + here);
    }
}

static f5_status check(const linear_args *a) {
    if (!a || !a->x || !a->w || !a->y) return F5_E_ARGUMENT;
    if ((int)a->epilogue < LINEAR_NONE || (int)a->epilogue > LINEAR_RESIDUAL) return F5_E_ARGUMENT;
    if (a->epilogue == LINEAR_RESIDUAL && !a->addend) return F5_E_ARGUMENT;
    if (((uintptr_t)a->x | (uintptr_t)a->w | (uintptr_t)a->y) % 16 != 0) return F5_E_ARGUMENT;
    if (a->pack && pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if ((!a->pack && a->rows < 0) || a->in < 1 || a->out < 1) return F5_E_SHAPE;
    if (a->type != F5_F32) return F5_E_UNSUPPORTED;
    return F5_OK;
}

f5_status linear_ref(const linear_args *a) {
    const f5_status status = check(a);
    if (status != F5_OK) return status;

    const int32_t whole[2] = {0, a->rows};
    const int32_t *offsets = a->pack ? a->pack->offsets : whole;
    const int32_t n_seq = a->pack ? a->pack->n_seq : 1, out = a->out;
    const bool residual = a->epilogue == LINEAR_RESIDUAL;
    const int32_t width = residual ? RESIDUAL_COLS : TILE_COLS;

#pragma omp parallel
    for (int32_t s = 0; s < n_seq; s++) {
        const int32_t begin = offsets[s], end = offsets[s + 1];
        const int32_t height = gemm_block_rows(end - begin, TILE_ROWS);
#pragma omp for collapse(2) schedule(dynamic) nowait
        for (int32_t col = 0; col < out; col += width)
            for (int32_t row = begin; row < end; row += height) {
                const int32_t rows = end - row < height ? end - row : height;
                const int32_t cols = out - col < width ? out - col : width;
                (residual ? residual_tile : plain_tile)(a, row, rows, col, cols);
            }
    }
    return F5_OK;
}
