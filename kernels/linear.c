/* linear.c — the plain reference: y is cut into tiles, a tile is one product by one thread, and the epilogue runs over
 * it while it is still in cache. Rows are independent of each other (cpu/gemm.h), so sequences need not be told apart.
 */
#include "kernels/linear.h"

#include <string.h>

#include "kernels/attention.h"
#include "kernels/cpu/blocks.h"
#include "kernels/cpu/context.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/math.h"
#include "kernels/pack_check.h"
#include "kernels/whole.h"

/* The higher a tile, the less of its time goes to rearranging w; the lower, the more threads find work. */
enum { TILE_ROWS = 512, TILE_COLS = GEMM_COLS };
_Static_assert(TILE_COLS % ATTENTION_HEAD == 0, "a tile has whole heads");
_Static_assert(sizeof(gemm_scratch) <= CPU_SCRATCH_BYTES, "linear needs more scratch memory");

typedef struct {
    const linear_args *a;
    int32_t rows;
    int32_t height, blocks; /* of a tile; of tiles one below the other */
} linear_job;

/* y += bias, then the activation. */
static void activate_row(linear_epilogue epilogue, int32_t n, const float *bias, float *restrict y) {
    if (bias)
        for (int32_t i = 0; i < n; i++) y[i] += bias[i];
    if (epilogue == LINEAR_SILU)
        for (int32_t i = 0; i < n; i++) y[i] = cpu_silu(y[i]);
    else if (epilogue == LINEAR_GELU_TANH)
        for (int32_t i = 0; i < n; i++) y[i] = cpu_gelu_tanh(y[i]);
    else if (epilogue == LINEAR_GELU_ERF)
        for (int32_t i = 0; i < n; i++) y[i] = cpu_gelu_erf(y[i]);
    else if (epilogue == LINEAR_RELU)
        for (int32_t i = 0; i < n; i++) y[i] = y[i] < 0 ? 0 : y[i];
}

/* y = addend + gate * bias: the product, times gate, is added on top. y may be addend. */
static void begin_residual_row(int32_t n, const float *addend, const float *gate, const float *bias, float *y) {
    if (y != addend) memcpy(y, addend, (size_t)n * sizeof *y);
    if (bias)
        for (int32_t i = 0; i < n; i++) y[i] += (gate ? gate[i] : 1.0f) * bias[i];
}

/* Rotates the heads in columns [col, col + n) of a row of [3, heads, 64] by its angles. Tiles have whole heads. */
static void rotate_row(const linear_args *a, int32_t col, int32_t n, const float *angles, float *y) {
    const int32_t heads = a->out / (3 * ATTENTION_HEAD);
    for (int32_t i = 0; i < n; i += ATTENTION_HEAD) {
        const int32_t head = (col + i) / ATTENTION_HEAD; /* of q, k and v together */
        if (head < 2 * heads && head % heads < a->rope_heads) cpu_rotate(ATTENTION_HEAD, angles, y + i);
    }
}

/* Rows [row, row + rows) and columns [col, col + cols) of y. */
static void tile(const linear_args *a, int32_t row, int32_t rows, int32_t col, int32_t cols, gemm_scratch *scratch) {
    const size_t in = (size_t)a->in, out = (size_t)a->out, at = (size_t)row * out + (size_t)col;
    const float *x = (const float *)a->x.data + (size_t)row * in, *w = (const float *)a->w.data + (size_t)col * in;
    const float *bias = a->bias ? a->bias + col : NULL;
    float *y = (float *)a->y.data + at;

    if (a->epilogue == LINEAR_RESIDUAL) {
        const float *addend = a->addend + at, *gate = a->gate ? a->gate + col : NULL;
        for (int32_t r = 0; r < rows; r++)
            begin_residual_row(cols, addend + (size_t)r * out, gate, bias, y + (size_t)r * out);
        gemm_tile(scratch, rows, cols, a->in, x, in, w, in, gate, true, y, out);
        return;
    }
    gemm_tile(scratch, rows, cols, a->in, x, in, w, in, NULL, false, y, out);
    if (a->x2.data) {
        x = (const float *)a->x2.data + (size_t)row * in, w = (const float *)a->w2.data + (size_t)col * in;
        gemm_tile(scratch, rows, cols, a->in, x, in, w, in, NULL, true, y, out);
    }
    for (int32_t r = 0; r < rows; r++) {
        activate_row(a->epilogue, cols, bias, y + (size_t)r * out);
        if (a->epilogue == LINEAR_ROPE)
            rotate_row(a, col, cols, a->rope + (size_t)pack_position(a->pack, row + r) * ATTENTION_HEAD,
                       y + (size_t)r * out);
    }
}

/* Tiles are numbered down the rows first: neighbours share their columns of w. */
static void tiles(const void *user, int32_t begin, int32_t end, void *scratch) {
    const linear_job *job = user;
    const int32_t out = job->a->out;
    for (int32_t i = begin; i < end; i++) {
        const int32_t row = i % job->blocks * job->height, col = i / job->blocks * TILE_COLS;
        tile(job->a, row, job->rows - row < job->height ? job->rows - row : job->height, col,
             out - col < TILE_COLS ? out - col : TILE_COLS, scratch);
    }
}

/* Weights of whole numbers: a row of w is widened, then all rows of x multiply it. */
static void columns_of_int8(const void *user, int32_t begin, int32_t end, void *scratch) {
    enum { LANES = 16 };
    const linear_job *job = user;
    const linear_args *a = job->a;
    float *w = scratch;
    for (int32_t col = begin; col < end; col++) {
        dtype(F5_I8)->widen(w, (const int8_t *)a->w.data + (size_t)col * (size_t)a->in, a->in);
        for (int32_t row = 0; row < job->rows; row++) {
            const float *x = (const float *)a->x.data + (size_t)row * (size_t)a->in;
            float lane[LANES] = {0}, sum = 0;
            for (int32_t i = 0; i < a->in; i += LANES)
                for (int32_t j = 0; j < LANES; j++) lane[j] += x[i + j] * w[i + j];
            for (int32_t j = 0; j < LANES; j++) sum += lane[j];
            float *y = (float *)a->y.data + (size_t)row * (size_t)a->out + col;
            *y = sum * a->w_scale[col] + (a->bias ? a->bias[col] : 0.0f);
        }
    }
}

static f5_status linear_of_int8(cpu_context *c, const linear_args *a) {
    if (!a->w_scale) return F5_E_ARGUMENT;
    if (a->in % WHOLE_WEIGHTS_MULTIPLE != 0 || a->in > (int32_t)(CPU_SCRATCH_BYTES / sizeof(float))) return F5_E_SHAPE;
    if (a->x.type != F5_F32 || a->y.type != F5_F32 || a->also.data || a->epilogue != LINEAR_NONE)
        return F5_E_UNSUPPORTED;
    const linear_job job = {.a = a, .rows = a->pack ? pack_live(a->pack) : a->rows};
    cpu_parallel(c, a->out, 16, columns_of_int8, &job);
    return F5_OK;
}

static f5_status check(const linear_args *a) {
    if (!a || !a->x.data || !a->w.data || !a->y.data) return F5_E_ARGUMENT;
    if ((int)a->epilogue < LINEAR_NONE || (int)a->epilogue > LINEAR_RELU) return F5_E_ARGUMENT;
    if (a->epilogue == LINEAR_RESIDUAL && !a->addend) return F5_E_ARGUMENT;
    if (((uintptr_t)a->x.data | (uintptr_t)a->w.data | (uintptr_t)a->y.data) % 16 != 0) return F5_E_ARGUMENT;
    if (!a->x2.data != !a->w2.data || ((uintptr_t)a->x2.data | (uintptr_t)a->w2.data) % 16 != 0) return F5_E_ARGUMENT;
    if (a->epilogue == LINEAR_ROPE && (!a->rope || (uintptr_t)a->rope % 16 != 0)) return F5_E_ARGUMENT;
    if (a->pack && pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if ((!a->pack && a->rows < 0) || a->in < 1 || a->out < 1) return F5_E_SHAPE;
    if (a->epilogue == LINEAR_ROPE) {
        if (a->out % (3 * ATTENTION_HEAD) != 0 || a->rope_heads < 0 || a->rope_heads > a->out / (3 * ATTENTION_HEAD))
            return F5_E_SHAPE;
        if ((a->pack ? pack_longest(a->pack) : a->rows) > a->max_position) return F5_E_SHAPE;
    }
    if (a->x2.data && (a->x2.type != a->x.type || a->w2.type != a->w.type || a->epilogue != LINEAR_NONE))
        return F5_E_UNSUPPORTED;
    if (a->w.type == F5_I8) return a->x2.data ? F5_E_UNSUPPORTED : F5_OK;
    if (a->x.type != F5_F32 || a->w.type != F5_F32 || a->y.type != F5_F32 || a->also.data) return F5_E_UNSUPPORTED;
    return F5_OK;
}

f5_status linear_ref(cpu_context *c, const linear_args *a) {
    F5_TRY(check(a));
    if (a->w.type == F5_I8) return linear_of_int8(c, a);
    const int32_t rows = a->pack ? pack_live(a->pack) : a->rows;
    const int32_t height = block_height(rows, TILE_ROWS, SIMD_ROWS);
    linear_job job = {.a = a, .rows = rows, .height = height, .blocks = (rows + height - 1) / height};
    cpu_parallel(c, job.blocks * ((a->out + TILE_COLS - 1) / TILE_COLS), 1, tiles, &job);
    return F5_OK;
}

op_output linear_output(const linear_args *a) {
    return (op_output){.data = a->y.data, .type = a->y.type, .pack = a->pack, .rows = a->rows, .cols = a->out};
}

double linear_flop(const linear_args *a, op_lengths lengths) {
    (void)lengths;
    return (a->x2.data ? 4.0 : 2.0) * op_rows(a->pack, a->rows) * a->in * a->out;
}

double linear_bytes(const linear_args *a) {
    /* w is counted in the type of x, which it has in calls that run; under a plan it may have another, the CPU's */
    const double rows = op_rows(a->pack, a->rows), in = a->x2.data ? 2.0 * a->in : a->in, out = a->out,
                 operand = f5_dtype_bytes(a->x.type);
    const double y = f5_dtype_bytes(a->y.type), rounded = a->also.data ? f5_dtype_bytes(a->also.type) : 0;
    const double vectors = 4.0 * out * ((a->bias != NULL) + (a->gate != NULL) + (a->w.type == F5_I8));
    const double weight = a->w.type == F5_I8 ? 1 : operand;
    return in * (operand * rows + weight * out) + rows * out * (y + rounded + (a->addend ? 4 : 0)) + vectors;
}
