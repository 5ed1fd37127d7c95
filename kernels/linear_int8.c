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

enum {
    TILE_ROWS = 528,         /* at most, a multiple of any block's height */
    TILE_COLS = 256,         /* at most */
    PANEL_BYTES = 256 << 10, /* of all panels: what a second cache of 512 KB holds beside rows of x and y */
    LINE = 256,              /* words of a row of w on their way into a panel */
    LINE_ROW = LINE + 16,
};

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

/* n <= TILE_COLS sums of a row, of columns col and on, to y. */
static void finish(const linear_int8_args *a, int32_t row, int32_t col, int32_t n, const int32_t *sums) {
    const size_t at = (size_t)row * (size_t)a->out + (size_t)col;
    const float x_scale = a->x_scale[row], *scale = a->w_scale + col, *bias = a->bias ? a->bias + col : NULL;
    float *y = (float *)a->y.data + at, made[TILE_COLS];
    for (int32_t i = 0; i < n; i++) made[i] = (float)sums[i] * (x_scale * scale[i]) + (bias ? bias[i] : 0.0f);
    if (a->epilogue == LINEAR_RESIDUAL) {
        const float *addend = a->addend + at, *gate = a->gate ? a->gate + col : NULL;
        SIMD_LOOP
        for (int32_t i = 0; i < n; i++) y[i] = addend[i] + (gate ? gate[i] : 1.0f) * made[i];
        return;
    }
    activate(a->epilogue, n, made);
    memcpy(y, made, (size_t)n * sizeof *y);
}

/* ---- tiles */

#ifdef GEMM_INT8_BLOCKS
_Static_assert(TILE_ROWS % INT8_ROWS == 0 && TILE_COLS % INT8_COLS == 0, "tiles are whole blocks");

typedef struct {
    uint32_t lines[SIMD_LANES][LINE_ROW];
    uint32_t words[]; /* INT8_ROWS rows of x, then the panels */
} int8_scratch;

/* panel [groups][INT8_COLS], zeros beyond the last column; what VNNI's offset of 128 adds to each sum. */
static void fill_panel(const linear_int8_args *a, bool fours, int32_t col, int32_t cols,
                       uint32_t lines[SIMD_LANES][LINE_ROW], uint32_t *panel, int32_t offset[INT8_COLS]) {
    const int32_t step = fours ? 4 : 2, groups = a->in / step;
    const int8_t *w = a->w + (size_t)col * (size_t)a->in;
    for (int32_t j = 0; j < INT8_COLS; j++) {
        int32_t sum = 0;
        for (int32_t i = 0; fours && j < cols && i < a->in; i++) sum += w[(size_t)j * (size_t)a->in + (size_t)i];
        offset[j] = 128 * sum;
    }
    for (int32_t j = 0; j < INT8_COLS; j += SIMD_LANES)
        for (int32_t g = 0; g < groups; g += LINE) {
            const int32_t some = groups - g < LINE ? groups - g : LINE, whole = some / SIMD_LANES * SIMD_LANES;
            for (int32_t i = 0; i < SIMD_LANES; i++)
                if (j + i < cols)
                    int8_words(fours, some * step, w + (size_t)(j + i) * (size_t)a->in + (size_t)(g * step), 0,
                               lines[i]);
                else
                    memset(lines[i], 0, sizeof lines[i]);
            uint32_t *to = panel + (size_t)g * INT8_COLS + (size_t)j;
            for (int32_t k = 0; k < whole; k += SIMD_LANES)
                simd_transpose((const float *)(const void *)&lines[0][k], LINE_ROW,
                               (float *)(void *)(to + (size_t)k * INT8_COLS), INT8_COLS);
            for (int32_t k = whole; k < some; k++)
                for (int32_t i = 0; i < SIMD_LANES; i++) to[(size_t)k * INT8_COLS + (size_t)i] = lines[i][k];
        }
}

static size_t panel_words(const linear_int8_args *a, bool fours) {
    return (size_t)(a->in / (fours ? 4 : 2)) * INT8_COLS;
}

/* Columns of a tile, whose panels lie in scratch memory beside a few rows of x; 0: not one panel fits. */
static int32_t columns_for(const linear_int8_args *a, bool fours) {
    const size_t taken =
        sizeof(int8_scratch) + (size_t)INT8_ROWS * (size_t)(a->in / (fours ? 4 : 2)) * sizeof(uint32_t);
    const size_t panel = panel_words(a, fours) * sizeof(uint32_t);
    if (taken + panel > CPU_SCRATCH_BYTES) return 0;
    const size_t fit = (CPU_SCRATCH_BYTES - taken) / panel, good = PANEL_BYTES / panel, most = TILE_COLS / INT8_COLS;
    const size_t panels = good < 1 ? 1 : good < fit ? good : fit;
    return (int32_t)(panels < most ? panels : most) * INT8_COLS;
}

static void tile(const int8_job *job, int32_t row, int32_t rows, int32_t col, int32_t cols, int8_scratch *scratch) {
    const linear_int8_args *a = job->a;
    const bool fours = job->fours;
    const int32_t groups = a->in / (fours ? 4 : 2);
    const size_t words = panel_words(a, fours);
    uint32_t *x = scratch->words, *panels = x + (size_t)INT8_ROWS * (size_t)groups;
    int32_t offset[TILE_COLS], sums[INT8_ROWS][TILE_COLS];
    for (int32_t j = 0; j < cols; j += INT8_COLS)
        fill_panel(a, fours, col + j, cols - j, scratch->lines, panels + (size_t)(j / INT8_COLS) * words, offset + j);
    for (int32_t r = 0; r < rows; r += INT8_ROWS) {
        const int32_t height = rows - r < INT8_ROWS ? rows - r : INT8_ROWS;
        for (int32_t i = 0; i < INT8_ROWS; i++) { /* rows past the last one repeat it */
            const int32_t of = row + r + (i < height ? i : height - 1);
            int8_words(fours, a->in, a->x + (size_t)of * (size_t)a->in, INT8_WITHOUT_SIGN,
                       x + (size_t)i * (size_t)groups);
        }
        for (int32_t j = 0; j < cols; j += INT8_COLS)
            int8_block(fours, groups, x, (size_t)groups, panels + (size_t)(j / INT8_COLS) * words, &sums[0][j],
                       TILE_COLS);
        for (int32_t i = 0; i < height; i++) {
            for (int32_t j = 0; fours && j < cols; j++) sums[i][j] -= offset[j];
            finish(a, row + r + i, col, cols, sums[i]);
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
    const int32_t rows = a->pack ? pack_live(a->pack) : a->rows;
    int8_job job = {.a = a, .rows = rows};
#ifdef GEMM_INT8_BLOCKS
    job.height = block_height(rows, TILE_ROWS, INT8_ROWS);
    job.blocks = (rows + job.height - 1) / job.height;
    job.fours = int8_has_fours();
    job.columns = columns_for(a, job.fours);
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
