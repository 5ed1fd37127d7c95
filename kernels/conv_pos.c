/* conv_pos.c — the plain reference: within a group a tap is a matrix product of shifted rows; 31 of them add up in a
 * tile, then Mish and the residual. */
#include "kernels/conv_pos.h"

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/context.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/math.h"
#include "kernels/pack_check.h"

/* A tile is [rows][a part of one group]; 64 columns are the whole group at width 1024. */
enum { TILE_ROWS = 256, TILE_COLS = 64 };
_Static_assert(TILE_ROWS % SIMD_ROWS == 0, "tiles are cut in whole blocks of rows");

typedef struct {
    gemm_scratch gemm;
    float tile[TILE_ROWS * TILE_COLS];
} conv_scratch;
_Static_assert(sizeof(conv_scratch) <= CPU_SCRATCH_BYTES, "conv_pos needs more scratch memory");

typedef struct {
    const conv_pos_args *a;
    int32_t blocks; /* of rows, all sequences */
    int32_t parts;  /* of a group's columns */
} conv_job;

/* Adds the taps to the tile [b.rows,cols]: columns [col, col + cols) of y lie in the group whose input begins at
 * channel from.
 */
static void add_taps(const conv_pos_args *a, row_block b, int32_t from, int32_t col, int32_t cols,
                     conv_scratch *scratch) {
    const int32_t group = a->dim / CONV_POS_GROUPS;
    const size_t dim = (size_t)a->dim;
    for (int32_t tap = 0; tap < CONV_POS_TAPS; tap++) {
        const int32_t shift = tap - CONV_POS_TAPS / 2;
        const int32_t first = b.row + shift < b.begin ? b.begin - shift : b.row; /* rows whose neighbour exists */
        const int32_t last = b.row + b.rows + shift > b.end ? b.end - shift : b.row + b.rows;
        if (first >= last) continue;
        const float *x = (const float *)a->x + (size_t)(first + shift) * dim + (size_t)from;
        const float *w = (const float *)a->w + ((size_t)tap * dim + (size_t)col) * (size_t)group;
        gemm_tile(&scratch->gemm, last - first, cols, group, x, dim, w, (size_t)group, NULL, true,
                  scratch->tile + (size_t)(first - b.row) * (size_t)cols, (size_t)cols);
    }
}

static void conv_tile(const conv_pos_args *a, row_block b, int32_t from, int32_t col, int32_t cols,
                      conv_scratch *scratch) {
    for (int32_t r = 0; r < b.rows; r++)
        for (int32_t i = 0; i < cols; i++) scratch->tile[r * cols + i] = a->bias[col + i];
    add_taps(a, b, from, col, cols, scratch);

    for (int32_t r = 0; r < b.rows; r++) {
        const float *c = scratch->tile + r * cols;
        const size_t at = (size_t)(b.row + r) * (size_t)a->dim + (size_t)col;
        const float *residual = a->residual ? a->residual + at : NULL;
        float *y = (float *)a->y + at;
        if (residual) {
            SIMD_LOOP
            for (int32_t i = 0; i < cols; i++) y[i] = residual[i] + cpu_mish(c[i]); /* y may be residual */
        } else {
            for (int32_t i = 0; i < cols; i++) y[i] = cpu_mish(c[i]);
        }
    }
}

static void conv_tiles(const void *user, int32_t begin, int32_t end, void *scratch) {
    const conv_job *job = user;
    const int32_t group = job->a->dim / CONV_POS_GROUPS;
    for (int32_t i = begin; i < end; i++) {
        const int32_t part = i % job->parts * TILE_COLS, tile = i / job->parts;
        const int32_t from = tile / job->blocks * group;
        conv_tile(job->a, block_at(job->a->pack, TILE_ROWS, SIMD_ROWS, tile % job->blocks), from, from + part,
                  group - part < TILE_COLS ? group - part : TILE_COLS, scratch);
    }
}

static f5_status check(const conv_pos_args *a) {
    if (!a || !a->x || !a->w || !a->bias || !a->y || a->y == a->x) return F5_E_ARGUMENT;
    if (pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if (a->dim < CONV_POS_GROUPS || a->dim % CONV_POS_GROUPS != 0) return F5_E_SHAPE;
    if (a->type != F5_F32) return F5_E_UNSUPPORTED;
    return F5_OK;
}

f5_status conv_pos_ref(cpu_context *c, const conv_pos_args *a) {
    F5_TRY(check(a));
    const int32_t group = a->dim / CONV_POS_GROUPS;
    conv_job job = {
        .a = a, .blocks = block_count(a->pack, TILE_ROWS, SIMD_ROWS), .parts = (group + TILE_COLS - 1) / TILE_COLS};
    cpu_parallel(c, CONV_POS_GROUPS * job.blocks * job.parts, 1, conv_tiles, &job);
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
