/* calibration.c — operands are met in a trace: their largest numbers, and rows drawn from them. Then the products are
 * computed with the ops that an engine on the CPU has, exactly and in 8 bits. */
#include "runtime/calibration.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/linear.h"
#include "kernels/linear_int8.h"
#include "kernels/quantize.h"
#include "kernels/whole.h"
#include "runtime/devices/device.h"
#include "runtime/models/backbone.h"
#include "weights/rewrite.h"

enum { SAMPLES = 128, OF_A_CALL = 16 }; /* rows of an operand that are kept, and that a call may give */

static const float powers[] = {0.25f, 0.5f, 0.75f};

#define LEAST_GAIN 0.95f /* factors that leave more than this of the loss are not worth having */
#define RANGE 4096.0f    /* of a factor */

typedef struct {
    char operand[32];
    calibrated result;
    const manifest_tensor *matrix;
    const manifest_tensor *target[PRODUCT_FOLDS]; /* of line->fold */
    const backbone_product *line;
    int32_t block, in, out;
    const float *w;  /* [out,in] */
    float *rows;     /* [SAMPLES,in] */
    float *largest;  /* [in] of |x| */
    float *of_w;     /* [in] of |w| */
    float *factor;   /* [in] of the best factors */
    int64_t offered; /* rows that might have been kept */
} product;

struct calibration {
    model model;
    char *path;
    manifest_tensor *list; /* [count] of the model */
    int32_t count;
    product *product; /* [n] */
    calibrated *result;
    int32_t n;
    float *numbers; /* what the products' pointers point into */
    uint64_t random;
    bool whole; /* an op of 8 bits was met: what is taken has been rounded already */
};

/* ---- what there is to measure ------------------------------------------------------------------------------------ */

static void expand(char *to, size_t bytes, const char *pattern, int32_t block) {
    const char *mark = strstr(pattern, "%d");
    if (mark)
        snprintf(to, bytes, "%.*s%d%s", (int)(mark - pattern), pattern, (int)block, mark + 2);
    else
        snprintf(to, bytes, "%s", pattern);
}

static const manifest_tensor *find(const calibration *c, const char *pattern, int32_t block) {
    char name[64];
    expand(name, sizeof name, pattern, block);
    for (int32_t i = 0; i < c->count; i++)
        if (strcmp(c->list[i].name, name) == 0) return &c->list[i];
    return NULL;
}

static void describe(const calibration *c, product *p, const backbone_product *line, int32_t block) {
    *p = (product){.line = line, .block = block, .matrix = find(c, line->matrix, block)};
    expand(p->operand, sizeof p->operand, line->operand, block);
    expand(p->result.label, sizeof p->result.label, line->label, block);
    if (!p->matrix) return;
    for (int k = 0; line->fold[k].tensor; k++) p->target[k] = find(c, line->fold[k].tensor, block);
    const char *at = (const char *)c->model.weights[p->matrix->part] + p->matrix->address;
    p->w = ((const f5_matrix *)(const void *)at)->data;
    p->out = (int32_t)p->matrix->dims[0];
    p->in = (int32_t)p->matrix->dims[1];
}

/* Block by block, up to the one that has none. */
static f5_status list_products(calibration *c, f5_error *error) {
    const backbone *b = backbone_of(&c->model.config);
    c->product = calloc((size_t)c->count + 1, sizeof *c->product);
    if (!c->product) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", c->path);
    for (int32_t block = 0, before = -1; before < c->n; block++) {
        before = c->n;
        for (int32_t k = 0; k < b->n_products && c->n < c->count; k++) {
            describe(c, &c->product[c->n], &b->products[k], block);
            c->n += c->product[c->n].matrix != NULL;
        }
    }
    if (c->n > 0) return F5_OK;
    return f5_fail(error, F5_E_UNSUPPORTED, "%s: %s has no products in 8 bits to calibrate", c->path, b->part.kind);
}

static f5_status take_numbers(calibration *c, f5_error *error) {
    size_t total = 0;
    for (int32_t i = 0; i < c->n; i++) total += (size_t)c->product[i].in * (SAMPLES + 3);
    c->numbers = calloc(total, sizeof *c->numbers);
    if (!c->numbers) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", c->path);
    float *at = c->numbers;
    for (int32_t i = 0; i < c->n; i++) {
        product *p = &c->product[i];
        p->rows = at;
        p->largest = p->rows + (size_t)p->in * SAMPLES;
        p->of_w = p->largest + p->in;
        p->factor = p->of_w + p->in;
        at = p->factor + p->in;
    }
    return F5_OK;
}

f5_status calibration_open(calibration **opened, const part_catalogue *parts, const char *path, f5_error *error) {
    calibration *c = calloc(1, sizeof *c);
    *opened = c;
    if (!c) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", path);
    c->path = strdup(path);
    f5_status status =
        c->path ? model_open(&c->model, parts, path, error) : f5_fail(error, F5_E_MEMORY, "%s: out of memory", path);
    if (status == F5_OK) status = manifest_check_int8(&c->model.config, path, error);
    if (status == F5_OK && c->model.file_types.int8)
        status = f5_fail(error, F5_E_ARGUMENT, "%s: is in 8 bits already: calibrate what it was made of", path);
    if (status == F5_OK) status = manifest_list(&c->model.config, c->model.file_types, &c->list, &c->count, error);
    if (status == F5_OK) status = list_products(c, error);
    if (status == F5_OK) status = take_numbers(c, error);
    if (status == F5_OK) return F5_OK;
    calibration_close(c);
    *opened = NULL;
    return status;
}

void calibration_close(calibration *c) {
    if (!c) return;
    free(c->numbers);
    free(c->product);
    free(c->result);
    free(c->list);
    free(c->path);
    model_close(&c->model);
    free(c);
}

/* ---- what is met ------------------------------------------------------------------------------------------------- */

static uint64_t draw(calibration *c, uint64_t below) {
    c->random = c->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (c->random >> 33) % below;
}

/* The largest of all rows; and of some, evenly over the call, each of those ever offered is kept as likely as any. */
static void take_rows(calibration *c, product *p, const float *x, int64_t rows) {
    for (int64_t row = 0; row < rows; row++)
        for (int32_t i = 0; i < p->in; i++) {
            const float size = fabsf(x[row * p->in + i]);
            if (!(size <= p->largest[i])) p->largest[i] = size; /* NaN too */
        }
    const int64_t offers = rows < OF_A_CALL ? rows : OF_A_CALL;
    for (int64_t k = 0; k < offers; k++) {
        const uint64_t seen = (uint64_t)p->offered++, place = seen < SAMPLES ? seen : draw(c, seen + 1);
        if (place >= SAMPLES) continue;
        const int64_t row = k * rows / offers + (int64_t)draw(c, (uint64_t)(rows / offers));
        memcpy(p->rows + (size_t)place * (size_t)p->in, x + row * p->in, (size_t)p->in * sizeof *x);
    }
}

void calibration_take(void *user, const char *op, const char *label, const float *data, int64_t rows, int64_t cols,
                      double milliseconds) {
    calibration *c = user;
    (void)milliseconds;
    if (strcmp(op, "quantize") == 0 || strcmp(op, "linear_int8") == 0) c->whole = true;
    for (int32_t i = 0; i < c->n; i++)
        if (cols == c->product[i].in && strcmp(label, c->product[i].operand) == 0)
            take_rows(c, &c->product[i], data, rows);
}

/* ---- what is decided --------------------------------------------------------------------------------------------- */

/* Working memory for the widest of the products. */
typedef struct {
    ops *ops;
    float *x, *w;         /* [SAMPLES,in], [out,in] with factors */
    int8_t *x8, *w8;      /* the same as whole numbers */
    float *x_scale;       /* [SAMPLES] */
    float *w_scale;       /* [out] */
    float *exact, *lossy; /* [SAMPLES,out] */
    float *factor;        /* [in] */
} bench;

static f5_status take_bench(bench *b, const calibration *c, f5_error *error) {
    size_t in = 0, out = 0, w = 0;
    for (int32_t i = 0; i < c->n; i++) {
        const size_t rows = (size_t)c->product[i].out, columns = (size_t)c->product[i].in;
        if (columns > in) in = columns;
        if (rows > out) out = rows;
        if (rows * columns > w) w = rows * columns;
    }
    b->x = malloc(SAMPLES * in * sizeof *b->x);
    b->w = malloc(w * sizeof *b->w);
    b->x8 = malloc(SAMPLES * in);
    b->w8 = malloc(w);
    b->x_scale = malloc(SAMPLES * sizeof *b->x_scale);
    b->w_scale = malloc(out * sizeof *b->w_scale);
    b->exact = malloc(SAMPLES * out * sizeof *b->exact);
    b->lossy = malloc(SAMPLES * out * sizeof *b->lossy);
    b->factor = malloc(in * sizeof *b->factor);
    if (b->x && b->w && b->x8 && b->w8 && b->x_scale && b->w_scale && b->exact && b->lossy && b->factor) return F5_OK;
    return f5_fail(error, F5_E_MEMORY, "%s: out of memory", c->path);
}

static void free_bench(bench *b) {
    void *all[] = {b->x, b->w, b->x8, b->w8, b->x_scale, b->w_scale, b->exact, b->lossy, b->factor};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static int32_t rows_kept(const product *p) {
    return p->offered < SAMPLES ? (int32_t)p->offered : SAMPLES;
}

static f5_status compute_exactly(bench *b, const product *p) {
    return b->ops->linear(b->ops, p->result.label,
                          &(linear_args){.rows = rows_kept(p),
                                         .in = p->in,
                                         .out = p->out,
                                         .x = {p->rows, F5_F32},
                                         .w = {p->w, F5_F32},
                                         .y = {b->exact, F5_F32}});
}

/* What the product loses in 8 bits with these factors [in]. */
static f5_status measure(bench *b, const product *p, const float *factor, float *lost) {
    const int32_t n = rows_kept(p), in = p->in;
    for (int32_t row = 0; row < n; row++) {
        float *x = b->x + (size_t)row * (size_t)in;
        for (int32_t i = 0; i < in; i++) x[i] = p->rows[(size_t)row * (size_t)in + (size_t)i] / factor[i];
    }
    F5_TRY(
        b->ops->quantize(b->ops, p->result.label,
                         &(quantize_args){.rows = n, .dim = in, .x = {b->x, F5_F32}, .y = b->x8, .scale = b->x_scale}));
    for (int32_t row = 0; row < p->out; row++) {
        float *w = b->w + (size_t)row * (size_t)in;
        for (int32_t i = 0; i < in; i++) w[i] = p->w[(size_t)row * (size_t)in + (size_t)i] * factor[i];
    }
    F5_TRY(b->ops->quantize(
        b->ops, p->result.label,
        &(quantize_args){.rows = p->out, .dim = in, .x = {b->w, F5_F32}, .y = b->w8, .scale = b->w_scale}));
    F5_TRY(b->ops->linear_int8(b->ops, p->result.label,
                               &(linear_int8_args){.rows = n,
                                                   .in = in,
                                                   .out = p->out,
                                                   .x = b->x8,
                                                   .x_scale = b->x_scale,
                                                   .w = b->w8,
                                                   .w_scale = b->w_scale,
                                                   .y = {b->lossy, F5_F32}}));
    double difference = 0, size = 0;
    for (int64_t i = 0; i < (int64_t)n * p->out; i++) {
        const double d = (double)b->lossy[i] - (double)b->exact[i];
        difference += d * d;
        size += (double)b->exact[i] * (double)b->exact[i];
    }
    if (!isfinite(size) || !isfinite(difference)) return F5_E_FORMAT;
    *lost = size > 0 ? (float)sqrt(difference / size) : 0;
    return F5_OK;
}

/* s_j of calibration.h, about 1; 1 for a channel that is nothing on either side. */
static void factors(const product *p, float power, float *factor) {
    double logarithms = 0;
    int32_t counted = 0;
    for (int32_t i = 0; i < p->in; i++) {
        const bool both = p->largest[i] > 0 && p->of_w[i] > 0;
        factor[i] = both ? powf(p->largest[i], power) / powf(p->of_w[i], 1 - power) : 0;
        if (!both) continue;
        logarithms += log((double)factor[i]);
        counted++;
    }
    const float middle = counted ? expf((float)(logarithms / counted)) : 1;
    for (int32_t i = 0; i < p->in; i++)
        factor[i] = factor[i] > 0 ? fminf(fmaxf(factor[i] / middle, 1 / RANGE), RANGE) : 1;
}

static f5_status decide(bench *b, product *p, float most) {
    calibrated *r = &p->result;
    for (int32_t i = 0; i < p->in; i++) b->factor[i] = 1;
    F5_TRY(compute_exactly(b, p));
    F5_TRY(measure(b, p, b->factor, &r->plain));
    r->smoothed = r->plain;
    r->power = 0;
    for (int32_t row = 0; row < p->out; row++)
        for (int32_t i = 0; i < p->in; i++)
            p->of_w[i] = fmaxf(p->of_w[i], fabsf(p->w[(size_t)row * (size_t)p->in + (size_t)i]));
    for (size_t k = 0; k < sizeof powers / sizeof *powers && p->target[0]; k++) {
        float lost;
        factors(p, powers[k], b->factor);
        F5_TRY(measure(b, p, b->factor, &lost));
        if (!(lost < r->smoothed && lost < LEAST_GAIN * r->plain)) continue;
        memcpy(p->factor, b->factor, (size_t)p->in * sizeof *p->factor);
        r->smoothed = lost;
        r->power = powers[k];
    }
    r->wide = !(r->smoothed <= most);
    return F5_OK;
}

static f5_status check_met(const calibration *c, f5_error *error) {
    if (c->whole) return f5_fail(error, F5_E_ARGUMENT, "%s: was spoken in 8 bits: open the engine in fp32", c->path);
    for (int32_t i = 0; i < c->n; i++) {
        const product *p = &c->product[i];
        if (p->offered == 0)
            return f5_fail(error, F5_E_ARGUMENT, "%s: nothing was spoken that met %s", c->path, p->result.label);
        for (int32_t k = 0; k < p->in; k++)
            if (!isfinite(p->largest[k]))
                return f5_fail(error, F5_E_FORMAT, "%s: the operand of %s is not finite", c->path, p->result.label);
    }
    return F5_OK;
}

f5_status calibration_decide(calibration *c, float most, f5_error *error) {
    F5_TRY(check_met(c, error));
    bench b = {.ops = NULL};
    const device_choice cpu = {.precision = F5_F32};
    device *d;
    free(c->result);
    c->result = calloc((size_t)c->n, sizeof *c->result);
    if (!c->result) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", c->path);
    F5_TRY(device_cpu_open(&cpu, &(device_needs){.rows = SAMPLES}, &d, error));
    b.ops = d->ops;
    f5_status status = take_bench(&b, c, error);
    for (int32_t i = 0; i < c->n && status == F5_OK; i++) {
        status = decide(&b, &c->product[i], most);
        if (status != F5_OK)
            status = f5_fail(error, status, "%s: %s %s", c->path, c->product[i].result.label,
                             status == F5_E_FORMAT ? "gives numbers that are not finite: its weights are damaged"
                                                   : "could not be computed");
        c->result[i] = c->product[i].result;
    }
    free_bench(&b);
    d->close(d);
    return status;
}

const calibrated *calibration_products(const calibration *c, int32_t *n) {
    *n = c->n;
    return c->result;
}

/* ---- what is written --------------------------------------------------------------------------------------------- */

/* Lists of other types hold the same tensors: a matrix and its scales by their number, others by their place. */
static bool is_same(const manifest_tensor *a, const manifest_tensor *b) {
    return a->part == b->part && a->number == b->number && (a->number >= 0 || a->address == b->address);
}

/* Rows `first` .. first + in - 1 of the tensor make the operand's channels. */
static void fold(const product *p, const product_fold *f, const manifest_tensor *t, int64_t row, float *values) {
    const int64_t first = (int64_t)p->in * (f->first + (int64_t)f->step * p->block);
    if (t->rank > 1) {
        if (row < first || row >= first + p->in) return;
        for (int64_t i = 0; i < t->dims[1]; i++) values[i] /= p->factor[row - first];
        return;
    }
    for (int32_t i = 0; i < p->in; i++) {
        const float one = f->one_plus ? 1 : 0;
        values[first + i] = (one + values[first + i]) / p->factor[i] - one;
    }
}

static void edit(void *user, const manifest_tensor *t, int64_t row, float *values) {
    const calibration *c = user;
    for (int32_t i = 0; i < c->n; i++) {
        const product *p = &c->product[i];
        if (p->result.power == 0 || p->result.wide) continue;
        for (int k = 0; p->line->fold[k].tensor; k++)
            if (is_same(t, p->target[k])) fold(p, &p->line->fold[k], t, row, values);
        if (is_same(t, p->matrix))
            for (int32_t j = 0; j < p->in; j++) values[j] *= p->factor[j];
    }
}

f5_status calibration_write(const calibration *c, f5_dtype vocoder, const char *path, f5_error *error) {
    if (!c->result) return f5_fail(error, F5_E_ARGUMENT, "%s: calibration_decide comes first", c->path);
    manifest_types types = {.matrices = F5_F16, .vocoder = vocoder, .int8 = true};
    for (int32_t i = 0; i < c->n; i++)
        if (c->product[i].result.wide && !manifest_set_wide(&types, c->product[i].matrix->number))
            return f5_fail(error, F5_E_UNSUPPORTED, "%s: %s is past the %d matrices that may be of 8 or of 16 bits",
                           c->path, c->product[i].result.label, MANIFEST_MAX_WHOLE);
    return model_rewrite(&c->model, types, edit, (void *)c, path, error);
}
