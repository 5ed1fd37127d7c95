/* conv1d.c — the plain reference: a tap is a matrix product of shifted rows, the taps add up in place. */
#include "kernels/conv1d.h"

#include "kernels/cpu/gemm.h"
#include "kernels/op_list.h"
#include "kernels/pack_check.h"

enum { TILE_ROWS = 256, TILE_COLS = 128, MAX_TAPS = 15 };

/* Rows [row, row + rows) and columns [col, col + cols) of y, in a sequence [begin, end). */
static void conv_tile(const conv1d_args *a, int32_t begin, int32_t end, int32_t row, int32_t rows, int32_t col,
                      int32_t cols) {
    const size_t in = (size_t)a->in, out = (size_t)a->out;
    float *y = a->y + (size_t)row * out + (size_t)col;
    for (int32_t r = 0; r < rows; r++)
        for (int32_t c = 0; c < cols; c++) y[(size_t)r * out + (size_t)c] = a->bias ? a->bias[col + c] : 0.0f;

    for (int32_t tap = 0; tap < a->taps; tap++) {
        const int32_t shift = tap - a->taps / 2;
        const int32_t first = row + shift < begin ? begin - shift : row; /* rows whose neighbour exists */
        const int32_t last = row + rows + shift > end ? end - shift : row + rows;
        if (first >= last) continue;
        const float *x = a->x + (size_t)(first + shift) * in;
        const float *w = a->w + ((size_t)tap * out + (size_t)col) * in;
        gemm_tile(last - first, cols, a->in, x, in, w, in, NULL, true, y + (size_t)(first - row) * out, out);
    }
}

f5_status conv1d_ref(const conv1d_args *a) {
    if (!a || !a->x || !a->w || !a->y || a->y == a->x) return F5_E_ARGUMENT;
    if (pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if (a->in < 1 || a->out < 1 || a->taps < 1 || a->taps > MAX_TAPS || a->taps % 2 == 0) return F5_E_SHAPE;

    const f5_pack *pack = a->pack;
    const int32_t out = a->out;
#pragma omp parallel
    for (int32_t s = 0; s < pack->n_seq; s++) {
        const int32_t begin = pack->offsets[s], end = pack->offsets[s + 1];
        const int32_t height = gemm_block_rows(end - begin, TILE_ROWS);
#pragma omp for collapse(2) schedule(dynamic) nowait
        for (int32_t col = 0; col < out; col += TILE_COLS)
            for (int32_t row = begin; row < end; row += height)
                conv_tile(a, begin, end, row, end - row < height ? end - row : height, col,
                          out - col < TILE_COLS ? out - col : TILE_COLS);
    }
    return F5_OK;
}

op_output conv1d_output(const conv1d_args *a) {
    return (op_output){.data = a->y, .pack = a->pack, .cols = a->out};
}

double conv1d_flop(const conv1d_args *a, op_lengths lengths) {
    (void)lengths;
    return 2.0 * a->pack->rows * a->in * a->out * a->taps;
}

double conv1d_bytes(const conv1d_args *a) {
    return 4.0 * a->pack->rows * ((double)a->in + a->out) +
           4.0 * a->out * ((double)a->taps * a->in + (a->bias != NULL));
}
