/* conv_pos.c — the plain reference: within a group a tap is a matrix product of shifted rows; 31 of them add up in a
 * tile, then Mish and the residual. */
#include "kernels/conv_pos.h"

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/math.h"
#include "kernels/op_list.h"
#include "kernels/pack_check.h"

/* A tile is [rows][a part of one group]; 64 columns are the whole group at width 1024. 64 KB of stack. */
enum { TILE_ROWS = 256, TILE_COLS = 64 };

/* Adds the taps to c [rows,cols]: columns [col, col + cols) of y lie in the group whose input begins at channel from.
 */
static void add_taps(const conv_pos_args *a, int32_t begin, int32_t end, int32_t row, int32_t rows, int32_t from,
                     int32_t col, int32_t cols, float *c) {
    const int32_t group = a->dim / CONV_POS_GROUPS;
    const size_t dim = (size_t)a->dim;
    for (int32_t tap = 0; tap < CONV_POS_TAPS; tap++) {
        const int32_t shift = tap - CONV_POS_TAPS / 2;
        const int32_t first = row + shift < begin ? begin - shift : row; /* rows whose neighbour exists */
        const int32_t last = row + rows + shift > end ? end - shift : row + rows;
        if (first >= last) continue;
        const float *x = (const float *)a->x + (size_t)(first + shift) * dim + (size_t)from;
        const float *w = (const float *)a->w + ((size_t)tap * dim + (size_t)col) * (size_t)group;
        gemm_tile(last - first, cols, group, x, dim, w, (size_t)group, NULL, true,
                  c + (size_t)(first - row) * (size_t)cols, (size_t)cols);
    }
}

static void conv_tile(const conv_pos_args *a, int32_t begin, int32_t end, int32_t row, int32_t rows, int32_t from,
                      int32_t col, int32_t cols) {
    float tile[TILE_ROWS * TILE_COLS];
    for (int32_t r = 0; r < rows; r++)
        for (int32_t i = 0; i < cols; i++) tile[r * cols + i] = a->bias[col + i];
    add_taps(a, begin, end, row, rows, from, col, cols, tile);

    for (int32_t r = 0; r < rows; r++) {
        const float *c = tile + r * cols;
        const size_t at = (size_t)(row + r) * (size_t)a->dim + (size_t)col;
        const float *residual = a->residual ? a->residual + at : NULL;
        float *y = (float *)a->y + at;
        if (residual) {
#pragma omp simd
            for (int32_t i = 0; i < cols; i++) y[i] = residual[i] + cpu_mish(c[i]); /* y may be residual */
        } else {
            for (int32_t i = 0; i < cols; i++) y[i] = cpu_mish(c[i]);
        }
    }
}

static f5_status check(const conv_pos_args *a) {
    if (!a || !a->x || !a->w || !a->bias || !a->y || a->y == a->x) return F5_E_ARGUMENT;
    if (pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if (a->dim < CONV_POS_GROUPS || a->dim % CONV_POS_GROUPS != 0) return F5_E_SHAPE;
    if (a->type != F5_F32) return F5_E_UNSUPPORTED;
    return F5_OK;
}

f5_status conv_pos_ref(const conv_pos_args *a) {
    const f5_status status = check(a);
    if (status != F5_OK) return status;

    const f5_pack *pack = a->pack;
    const int32_t group = a->dim / CONV_POS_GROUPS;
#pragma omp parallel
    for (int32_t s = 0; s < pack->n_seq; s++) {
        const int32_t begin = pack->offsets[s], end = pack->offsets[s + 1];
        const int32_t height = gemm_block_rows(end - begin, TILE_ROWS);
#pragma omp for collapse(2) schedule(dynamic) nowait
        for (int32_t g = 0; g < CONV_POS_GROUPS; g++)
            for (int32_t row = begin; row < end; row += height)
                for (int32_t i = 0; i < group; i += TILE_COLS)
                    conv_tile(a, begin, end, row, end - row < height ? end - row : height, g * group, g * group + i,
                              group - i < TILE_COLS ? group - i : TILE_COLS);
    }
    return F5_OK;
}

op_output conv_pos_output(const conv_pos_args *a) {
    return (op_output){.data = a->y, .type = a->y_f32 ? F5_F32 : a->type, .pack = a->pack, .cols = a->dim};
}

double conv_pos_flop(const conv_pos_args *a, op_lengths lengths) {
    (void)lengths;
    return 2.0 * a->pack->rows * a->dim * (a->dim / CONV_POS_GROUPS) * CONV_POS_TAPS;
}

double conv_pos_bytes(const conv_pos_args *a) {
    const double rows = a->pack->rows, dim = a->dim, operand = f5_dtype_bytes(a->type);
    const double row = operand + (a->residual ? 4 : 0) + (a->y_f32 ? 4 : operand);
    return rows * dim * row + operand * CONV_POS_TAPS * dim * (dim / CONV_POS_GROUPS) + 4 * dim;
}
