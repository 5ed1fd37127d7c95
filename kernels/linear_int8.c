/* linear_int8.c — the plain reference: exact sums of whole numbers, then the epilogue. y is cut into tiles; w of a tile
 * is rearranged once and stays in the second cache while a few rows after another pass over it (cpu/gemm_int8.h). Rows
 * too long for that, and CPUs without those blocks, go number by number: to the same sums. */
#include "kernels/linear_int8.h"

#include "kernels/attention.h"
#include "kernels/cpu/blocks.h"
#include "kernels/cpu/context.h"
#include "kernels/cpu/gemm_int8.h"
#include "kernels/cpu/math.h"
#include "kernels/pack_check.h"

enum { TILE_ROWS = 512, MAX_PANELS = 16 };

typedef struct {
    const linear_int8_args *a;
    int32_t rows;
    int32_t height, blocks; /* of a tile; of tiles one below the other */
    int32_t columns;        /* of a tile */
    bool fours;
} int8_job;

static int32_t dot(const int8_t *x, const int8_t *w, int32_t n) {
    int32_t sum = 0;
    for (int32_t i = 0; i < n; i++) sum += (int32_t)x[i] * (int32_t)w[i];
    return sum;
}

static void activate(linear_epilogue epilogue, int32_t n, float *y) {
    if (epilogue == LINEAR_SILU)
        for (int32_t i = 0; i < n; i++) y[i] = cpu_silu(y[i]);
    else if (epilogue == LINEAR_GELU_TANH)
        for (int32_t i = 0; i < n; i++) y[i] = cpu_gelu_tanh(y[i]);
    else if (epilogue == LINEAR_GELU_ERF)
        for (int32_t i = 0; i < n; i++) y[i] = cpu_gelu_erf(y[i]);
}

/* n sums of a row, of columns col and on, to y. */
static void finish(const linear_int8_args *a, int32_t row, int32_t col, int32_t n, const int32_t *sums) {
    const size_t at = (size_t)row * (size_t)a->out + (size_t)col;
    const float x_scale = a->x_scale[row], *scale = a->w_scale + col, *bias = a->bias ? a->bias + col : NULL;
    float *y = (float *)a->y.data + at, made[SIMD_COLS];
    for (int32_t i = 0; i < n; i++) made[i] = (float)sums[i] * (x_scale * scale[i]) + (bias ? bias[i] : 0.0f);
    if (a->epilogue == LINEAR_RESIDUAL) {
        const float *addend = a->addend + at, *gate = a->gate ? a->gate + col : NULL;
        for (int32_t i = 0; i < n; i++) y[i] = addend[i] + (gate ? gate[i] : 1.0f) * made[i];
        return;
    }
    activate(a->epilogue, n, made);
    memcpy(y, made, (size_t)n * sizeof *y);
}

/* ---- tiles */

#ifdef GEMM_INT8_BLOCKS
/* panel [groups][SIMD_COLS], zeros beyond the last column; what VNNI's offset of 128 adds to each sum. */
static void fill_panel(const linear_int8_args *a, bool fours, int32_t col, int32_t cols, uint32_t *panel,
                       int32_t *offset) {
    const int32_t step = fours ? 4 : 2, groups = a->in / step;
    for (int32_t j = 0; j < SIMD_COLS; j++) {
        offset[j] = 0;
        if (j >= cols) {
            for (int32_t g = 0; g < groups; g++) panel[(size_t)g * SIMD_COLS + (size_t)j] = 0;
            continue;
        }
        const int8_t *w = a->w + (size_t)(col + j) * (size_t)a->in;
        int32_t sum = 0;
        for (int32_t i = 0; i < a->in; i++) sum += w[i];
        if (fours) offset[j] = 128 * sum;
        for (int32_t g = 0; g < groups; g++)
            panel[(size_t)g * SIMD_COLS + (size_t)j] = int8_word(fours, w + (size_t)g * (size_t)step, 0);
    }
}

static size_t panel_words(const linear_int8_args *a, bool fours) {
    return (size_t)(a->in / (fours ? 4 : 2)) * SIMD_COLS;
}

/* Panels of w that scratch memory holds beside a few rows of x; 0: not one. */
static int32_t panels_for(const linear_int8_args *a, bool fours) {
    const size_t x = (size_t)SIMD_ROWS * (size_t)(a->in / (fours ? 4 : 2)), room = CPU_SCRATCH_BYTES / sizeof(uint32_t);
    if (x >= room) return 0;
    const size_t fit = (room - x) / panel_words(a, fours);
    return (int32_t)(fit < MAX_PANELS ? fit : MAX_PANELS);
}

static void tile(const int8_job *job, int32_t row, int32_t rows, int32_t col, int32_t cols, uint32_t *scratch) {
    const linear_int8_args *a = job->a;
    const bool fours = job->fours;
    const int32_t step = fours ? 4 : 2, groups = a->in / step;
    const size_t words = panel_words(a, fours);
    uint32_t *x = scratch, *panels = scratch + (size_t)SIMD_ROWS * (size_t)groups;
    int32_t offset[MAX_PANELS][SIMD_COLS];
    for (int32_t j = 0; j < cols; j += SIMD_COLS)
        fill_panel(a, fours, col + j, cols - j, panels + (size_t)(j / SIMD_COLS) * words, offset[j / SIMD_COLS]);
    for (int32_t r = 0; r < rows; r += SIMD_ROWS) {
        const int32_t height = rows - r < SIMD_ROWS ? rows - r : SIMD_ROWS;
        for (int32_t i = 0; i < SIMD_ROWS; i++) { /* rows past the last one repeat it */
            const int32_t of = row + r + (i < height ? i : height - 1);
            const int8_t *from = a->x + (size_t)of * (size_t)a->in;
            for (int32_t g = 0; g < groups; g++)
                x[(size_t)i * (size_t)groups + (size_t)g] =
                    int8_word(fours, from + (size_t)g * (size_t)step, INT8_WITHOUT_SIGN);
        }
        for (int32_t j = 0; j < cols; j += SIMD_COLS) {
            int32_t sums[SIMD_ROWS][SIMD_COLS];
            int8_block(fours, groups, x, (size_t)groups, panels + (size_t)(j / SIMD_COLS) * words, sums);
            for (int32_t i = 0; i < height; i++) {
                for (int32_t k = 0; k < SIMD_COLS; k++) sums[i][k] -= offset[j / SIMD_COLS][k];
                finish(a, row + r + i, col + j, cols - j < SIMD_COLS ? cols - j : SIMD_COLS, sums[i]);
            }
        }
    }
}

static void tiles(const void *user, int32_t begin, int32_t end, void *scratch) {
    const int8_job *job = user;
    for (int32_t i = begin; i < end; i++) {
        const int32_t row = i % job->blocks * job->height, col = i / job->blocks * job->columns;
        const int32_t rows = job->rows - row < job->height ? job->rows - row : job->height;
        const int32_t left = job->a->out - col;
        tile(job, row, rows, col, left < job->columns ? left : job->columns, scratch);
    }
}
#endif

/* ---- number by number */

static void rows_of_y(const void *user, int32_t begin, int32_t end, void *scratch) {
    const linear_int8_args *a = user;
    (void)scratch;
    for (int32_t row = begin; row < end; row++)
        for (int32_t col = 0; col < a->out; col++) {
            const int32_t sum = dot(a->x + (size_t)row * (size_t)a->in, a->w + (size_t)col * (size_t)a->in, a->in);
            finish(a, row, col, 1, &sum);
        }
}

static void rotated_rows(const void *user, int32_t begin, int32_t end, void *scratch) {
    const linear_int8_args *a = user;
    const int32_t heads = a->out / (3 * ATTENTION_HEAD);
    (void)scratch;
    for (int32_t row = begin; row < end; row++) {
        const float *angles = a->rope + (size_t)pack_position(a->pack, row) * ATTENTION_HEAD;
        float *y = (float *)a->y.data + (size_t)row * (size_t)a->out;
        for (int32_t head = 0; head < 2 * heads; head++)
            if (head % heads < a->rope_heads) cpu_rotate(ATTENTION_HEAD, angles, y + (size_t)head * ATTENTION_HEAD);
    }
}

static f5_status check(const linear_int8_args *a) {
    if (!a || !a->x || !a->x_scale || !a->w || !a->w_scale || !a->y.data) return F5_E_ARGUMENT;
    if ((int)a->epilogue < LINEAR_NONE || (int)a->epilogue > LINEAR_ROPE) return F5_E_ARGUMENT;
    if (a->epilogue == LINEAR_RESIDUAL && !a->addend) return F5_E_ARGUMENT;
    if (((uintptr_t)a->x | (uintptr_t)a->w | (uintptr_t)a->y.data) % 16 != 0) return F5_E_ARGUMENT;
    if (a->epilogue == LINEAR_ROPE && (!a->rope || (uintptr_t)a->rope % 16 != 0)) return F5_E_ARGUMENT;
    if (a->pack && pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if ((!a->pack && a->rows < 0) || a->in < 1 || a->out < 1) return F5_E_SHAPE;
    if (a->in % LINEAR_INT8_IN_MULTIPLE != 0 || a->in > LINEAR_INT8_MAX_IN) return F5_E_SHAPE;
    if (a->epilogue == LINEAR_ROPE) {
        if (a->out % (3 * ATTENTION_HEAD) != 0 || a->rope_heads < 0 || a->rope_heads > a->out / (3 * ATTENTION_HEAD))
            return F5_E_SHAPE;
        if ((a->pack ? pack_longest(a->pack) : a->rows) > a->max_position) return F5_E_SHAPE;
    }
    return a->y.type == F5_F32 ? F5_OK : F5_E_UNSUPPORTED;
}

f5_status linear_int8_ref(cpu_context *c, const linear_int8_args *a) {
    F5_TRY(check(a));
    const int32_t rows = a->pack ? pack_live(a->pack) : a->rows, height = block_height(rows, TILE_ROWS, SIMD_ROWS);
    int8_job job = {.a = a, .rows = rows, .height = height, .blocks = (rows + height - 1) / height};
#ifdef GEMM_INT8_BLOCKS
    job.fours = int8_has_fours();
    job.columns = panels_for(a, job.fours) * SIMD_COLS;
    if (job.columns > 0)
        cpu_parallel(c, (int64_t)job.blocks * ((a->out + job.columns - 1) / job.columns), 1, tiles, &job);
#endif
    if (job.columns == 0) cpu_parallel(c, rows, 1, rows_of_y, a);
    if (a->epilogue == LINEAR_ROPE) cpu_parallel(c, rows, cpu_grain(a->out), rotated_rows, a);
    return F5_OK;
}

op_output linear_int8_output(const linear_int8_args *a) {
    return (op_output){.data = a->y.data, .type = a->y.type, .pack = a->pack, .rows = a->rows, .cols = a->out};
}

double linear_int8_flop(const linear_int8_args *a, op_lengths lengths) {
    (void)lengths;
    return 2.0 * op_rows(a->pack, a->rows) * a->in * a->out;
}

double linear_int8_bytes(const linear_int8_args *a) {
    const double rows = op_rows(a->pack, a->rows), in = a->in, out = a->out;
    const double vectors = 4.0 * (rows + out * (1 + (a->bias != NULL) + (a->gate != NULL)));
    return in * (rows + out) + rows * out * (f5_dtype_bytes(a->y.type) + (a->addend ? 4 : 0)) + vectors;
}
