/* conv1d.c — the plain reference: a tap is a matrix product of shifted rows, the taps add up in place. */
#include "kernels/conv1d.h"

#include <math.h>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/context.h"
#include "kernels/cpu/gemm.h"
#include "kernels/pack_check.h"

enum { TILE_ROWS = 256, TILE_COLS = 128 };
_Static_assert(sizeof(gemm_scratch) <= CPU_SCRATCH_BYTES, "conv1d needs more scratch memory");

typedef struct {
    const conv1d_args *a;
    int32_t blocks; /* of rows, all sequences */
} conv_job;

/* y = bias and what is added to it, before the taps. */
static void conv_begin(const conv1d_args *a, size_t at, int32_t col, int32_t cols) {
    float *y = (float *)a->y + at;
    for (int32_t c = 0; c < cols; c++) {
        float v = a->bias ? a->bias[col + c] : 0.0f;
        if (a->residual) v += a->residual[at + (size_t)c];
        if (a->sum) v += a->sum[at + (size_t)c];
        y[c] = v;
    }
}

/* y = activation(gain y) once all taps are in it. */
static void conv_end(const conv1d_args *a, size_t at, int32_t cols) {
    float *y = (float *)a->y + at;
    for (int32_t c = 0; c < cols; c++) y[c] *= a->gain;
    for (int32_t c = 0; a->raw && c < cols; c++) a->raw[at + (size_t)c] = y[c];
    switch (a->activation) {
    case CONV1D_LINEAR:
        break;
    case CONV1D_LEAKY_RELU:
        for (int32_t c = 0; c < cols; c++) y[c] = y[c] < 0.0f ? a->slope * y[c] : y[c];
        break;
    case CONV1D_TANH:
        for (int32_t c = 0; c < cols; c++) y[c] = tanhf(y[c]);
        break;
    case CONV1D_CLAMP:
        for (int32_t c = 0; c < cols; c++) y[c] = y[c] > 1.0f ? 1.0f : y[c] < -1.0f ? -1.0f : y[c];
        break;
    }
}

/* Columns [col, col + cols) of a block of rows of y. */
static void conv_tile(const conv1d_args *a, row_block b, int32_t col, int32_t cols, gemm_scratch *scratch) {
    const size_t in = (size_t)a->in, out = (size_t)a->out, at = (size_t)b.row * out + (size_t)col;
    for (int32_t r = 0; r < b.rows; r++) conv_begin(a, at + (size_t)r * out, col, cols);

    for (int32_t tap = 0; tap < a->taps; tap++) {
        const int32_t shift = (tap - a->taps / 2) * a->dilation;
        const int32_t first = b.row + shift < b.begin ? b.begin - shift : b.row; /* rows whose neighbour exists */
        const int32_t last = b.row + b.rows + shift > b.end ? b.end - shift : b.row + b.rows;
        if (first >= last) continue;
        const float *x = (const float *)a->x + (size_t)(first + shift) * in;
        const float *w = (const float *)a->w + ((size_t)tap * out + (size_t)col) * in;
        float *y = (float *)a->y + at + (size_t)(first - b.row) * out;
        gemm_tile(scratch, last - first, cols, a->in, x, in, w, in, NULL, true, y, out);
    }
    for (int32_t r = 0; r < b.rows; r++) conv_end(a, at + (size_t)r * out, cols);
}

static void conv_tiles(const void *user, int32_t begin, int32_t end, void *scratch) {
    const conv_job *job = user;
    const conv1d_args *a = job->a;
    for (int32_t i = begin; i < end; i++) {
        const int32_t col = i / job->blocks * TILE_COLS;
        conv_tile(a, block_at_rated(a->pack, a->rate, TILE_ROWS, SIMD_ROWS, i % job->blocks), col,
                  a->out - col < TILE_COLS ? a->out - col : TILE_COLS, scratch);
    }
}

static bool sizes_are_good(const conv1d_args *a) {
    if (a->in < 1 || a->out < 1 || a->taps < 1 || a->taps > CONV1D_MAX_TAPS || a->taps % 2 == 0) return false;
    if (!pack_rate_fits(a->pack->rows, a->rate)) return false;
    return a->dilation >= 1 && a->dilation <= CONV1D_MAX_REACH && (a->taps - 1) * a->dilation <= CONV1D_MAX_REACH;
}

f5_status conv1d_ref(cpu_context *c, const conv1d_args *a) {
    if (!a || !a->x || !a->w || !a->y || a->y == a->x || a->raw == a->x || a->raw == a->y) return F5_E_ARGUMENT;
    if (pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if (!sizes_are_good(a)) return F5_E_SHAPE;
    if (a->activation < CONV1D_LINEAR || a->activation > CONV1D_CLAMP) return F5_E_ARGUMENT;
    if (a->type != F5_F32) return F5_E_UNSUPPORTED;

    conv_job job = {.a = a, .blocks = block_count_rated(a->pack, a->rate, TILE_ROWS, SIMD_ROWS)};
    cpu_parallel(c, (int64_t)job.blocks * ((a->out + TILE_COLS - 1) / TILE_COLS), 1, conv_tiles, &job);
    return F5_OK;
}

op_output conv1d_output(const conv1d_args *a) {
    return (op_output){
        .data = a->y, .pack = a->pack, .cols = (int64_t)a->rate * a->out, .type = a->y_f32 ? F5_F32 : a->type};
}

double conv1d_flop(const conv1d_args *a, op_lengths lengths) {
    (void)lengths;
    return 2.0 * a->pack->rows * a->rate * a->in * a->out * a->taps;
}

double conv1d_bytes(const conv1d_args *a) {
    const double operand = f5_dtype_bytes(a->type), y = a->y_f32 ? 4 : operand;
    const int beside = (a->residual != NULL) + (a->sum != NULL) + (a->raw != NULL);
    return (double)a->pack->rows * a->rate * (operand * a->in + (y + 4.0 * beside) * a->out) +
           a->out * (operand * a->taps * a->in + 4.0 * (a->bias != NULL));
}
