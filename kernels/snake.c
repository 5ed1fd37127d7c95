/* snake.c — the plain reference: a block of rows and channels at a time, first at twice the rate, then down. */
#include "kernels/snake.h"

#include <math.h>
#include <stddef.h>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/context.h"
#include "kernels/cpu/math.h"
#include "kernels/pack_check.h"

enum { TILE_ROWS = 128, CHANNELS = 64, WIDE = 2 * TILE_ROWS + SNAKE_TAPS };

typedef struct {
    float at_twice[WIDE][CHANNELS]; /* a[2 row - 5 ...] of the block */
    float scale[CHANNELS], gain[CHANNELS];
} snake_scratch;
_Static_assert(sizeof(snake_scratch) <= CPU_SCRATCH_BYTES, "snake needs more scratch memory");

typedef struct {
    const snake_args *a;
    int32_t blocks; /* of rows, all sequences */
} snake_job;

static float filter(int k) {
    static const float half[SNAKE_TAPS / 2] = SNAKE_FILTER_HALF;
    return half[k < SNAKE_TAPS / 2 ? k : SNAKE_TAPS - 1 - k];
}

static int32_t within(int32_t i, int32_t first, int32_t last) {
    return i < first ? first : i > last ? last : i;
}

/* a[2m + odd] of n channels from `channel` on; m counts in packed rows. */
static void activate(const snake_args *a, const snake_scratch *s, row_block b, int32_t m, int32_t odd, int32_t channel,
                     int32_t n, float *to) {
    const float *x[SNAKE_TAPS / 2];
    float f[SNAKE_TAPS / 2];
    for (int i = 0; i < SNAKE_TAPS / 2; i++) { /* d = i - 2 - odd */
        const int32_t row = within(m - (i - 2 - odd), b.begin, b.end - 1);
        x[i] = (const float *)a->x + (size_t)row * (size_t)a->dim + (size_t)channel;
        f[i] = 2.0f * filter(2 * i + 1 - odd);
    }
    for (int32_t c = 0; c < n; c++) {
        float v = 0.0f;
        for (int i = 0; i < SNAKE_TAPS / 2; i++) v += f[i] * x[i][c];
        to[c] = v + s->gain[c] * cpu_sin_squared(v * s->scale[c]);
    }
}

static void snake_tile(const snake_args *a, row_block b, int32_t channel, int32_t n, snake_scratch *s) {
    for (int32_t c = 0; c < n; c++) {
        s->scale[c] = expf(a->alpha[channel + c]);
        s->gain[c] = 1.0f / (expf(a->beta[channel + c]) + 1e-9f);
    }
    const int32_t wide = 2 * b.rows + SNAKE_TAPS - 2;
    for (int32_t i = 0; i < wide; i++) {
        const int32_t j = within(2 * b.row - 5 + i, 2 * b.begin, 2 * b.end - 1);
        activate(a, s, b, j / 2, j % 2, channel, n, s->at_twice[i]);
    }
    for (int32_t r = 0; r < b.rows; r++) {
        float *y = (float *)a->y + (size_t)(b.row + r) * (size_t)a->dim + (size_t)channel;
        for (int32_t c = 0; c < n; c++) {
            float v = 0.0f;
            for (int k = 0; k < SNAKE_TAPS; k++) v += filter(k) * s->at_twice[2 * r + k][c];
            y[c] = v;
        }
    }
}

static void snake_tiles(const void *user, int32_t begin, int32_t end, void *scratch) {
    const snake_job *job = user;
    const snake_args *a = job->a;
    for (int32_t i = begin; i < end; i++) {
        const int32_t channel = i / job->blocks * CHANNELS;
        snake_tile(a, block_at_rated(a->pack, a->rate, TILE_ROWS, 1, i % job->blocks), channel,
                   a->dim - channel < CHANNELS ? a->dim - channel : CHANNELS, scratch);
    }
}

f5_status snake_ref(cpu_context *c, const snake_args *a) {
    if (!a || !a->x || !a->alpha || !a->beta || !a->y || a->y == a->x) return F5_E_ARGUMENT;
    if (pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if (a->dim < 1 || !pack_rate_fits(a->pack->rows, a->rate)) return F5_E_SHAPE;
    if (a->type != F5_F32) return F5_E_UNSUPPORTED;

    snake_job job = {.a = a, .blocks = block_count_rated(a->pack, a->rate, TILE_ROWS, 1)};
    cpu_parallel(c, (int64_t)job.blocks * ((a->dim + CHANNELS - 1) / CHANNELS), 1, snake_tiles, &job);
    return F5_OK;
}

op_output snake_output(const snake_args *a) {
    return (op_output){.data = a->y, .type = a->type, .pack = a->pack, .cols = (int64_t)a->rate * a->dim};
}

double snake_flop(const snake_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double snake_bytes(const snake_args *a) {
    const double y = f5_dtype_bytes(a->type), x = a->x_f32 ? 4 : y;
    return a->dim * ((x + y) * a->pack->rows * a->rate + 8);
}
