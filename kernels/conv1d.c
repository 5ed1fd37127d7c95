/* conv1d.c — the plain reference: a tap is a matrix product of shifted rows, the taps add up in place. */
#include "kernels/conv1d.h"

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/context.h"
#include "kernels/cpu/gemm.h"
#include "kernels/pack_check.h"

enum { TILE_ROWS = 256, TILE_COLS = 128, MAX_TAPS = 15 };
_Static_assert(sizeof(gemm_scratch) <= CPU_SCRATCH_BYTES, "conv1d needs more scratch memory");

typedef struct {
    const conv1d_args *a;
    int32_t blocks; /* of rows, all sequences */
} conv_job;

/* Columns [col, col + cols) of a block of rows of y. */
static void conv_tile(const conv1d_args *a, row_block b, int32_t col, int32_t cols, gemm_scratch *scratch) {
    const size_t in = (size_t)a->in, out = (size_t)a->out;
    float *y = a->y + (size_t)b.row * out + (size_t)col;
    for (int32_t r = 0; r < b.rows; r++)
        for (int32_t c = 0; c < cols; c++) y[(size_t)r * out + (size_t)c] = a->bias ? a->bias[col + c] : 0.0f;

    for (int32_t tap = 0; tap < a->taps; tap++) {
        const int32_t shift = tap - a->taps / 2;
        const int32_t first = b.row + shift < b.begin ? b.begin - shift : b.row; /* rows whose neighbour exists */
        const int32_t last = b.row + b.rows + shift > b.end ? b.end - shift : b.row + b.rows;
        if (first >= last) continue;
        const float *x = a->x + (size_t)(first + shift) * in;
        const float *w = a->w + ((size_t)tap * out + (size_t)col) * in;
        gemm_tile(scratch, last - first, cols, a->in, x, in, w, in, NULL, true, y + (size_t)(first - b.row) * out, out);
    }
}

static void conv_tiles(const void *user, int32_t begin, int32_t end, void *scratch) {
    const conv_job *job = user;
    const int32_t out = job->a->out;
    for (int32_t i = begin; i < end; i++) {
        const int32_t col = i / job->blocks * TILE_COLS;
        conv_tile(job->a, block_at(job->a->pack, TILE_ROWS, SIMD_ROWS, i % job->blocks), col,
                  out - col < TILE_COLS ? out - col : TILE_COLS, scratch);
    }
}

f5_status conv1d_ref(cpu_context *c, const conv1d_args *a) {
    if (!a || !a->x || !a->w || !a->y || a->y == a->x) return F5_E_ARGUMENT;
    if (pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if (a->in < 1 || a->out < 1 || a->taps < 1 || a->taps > MAX_TAPS || a->taps % 2 == 0) return F5_E_SHAPE;

    conv_job job = {.a = a, .blocks = block_count(a->pack, TILE_ROWS, SIMD_ROWS)};
    cpu_parallel(c, job.blocks * ((a->out + TILE_COLS - 1) / TILE_COLS), 1, conv_tiles, &job);
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
