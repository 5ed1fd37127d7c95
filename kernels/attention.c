/* attention.c — the plain reference: blocks of queries walk over tiles of keys with a running softmax.
 *
 * Everything is kept with queries along the lanes of a vector: scores as s[key][query], the result as
 * o[channel][query]. Then both products are the same inner loop (cpu/simd.h), maximum and sum need no reduction across
 * lanes, and a query's result does not depend on which others share its block. A key tile is normalised and rotated
 * once for each block of queries, which costs about a tenth of the block's products. The five tiles that a thread holds
 * take 105 KB of its scratch memory. */
#include "kernels/attention.h"

#include <math.h>
#include <string.h>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/context.h"
#include "kernels/cpu/head.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/simd.h"
#include "kernels/pack_check.h"

#define SOFTMAX_SCALE 0.125f /* 1 / sqrt(ATTENTION_HEAD) */

enum { HEAD = ATTENTION_HEAD, QUERIES = 96, KEYS = 64 };
_Static_assert(QUERIES % SIMD_COLS == 0 && KEYS % SIMD_ROWS == 0 && HEAD % SIMD_ROWS == 0,
               "attention's tiles are whole blocks");

typedef struct {
    float q[HEAD][QUERIES]; /* scaled, so that scores need not be */
    float o[HEAD][QUERIES]; /* sum of p v */
    float highest[QUERIES]; /* of the scores so far */
    float sum[QUERIES];     /* of p so far */
    float rescale[QUERIES]; /* e^(old highest - new highest) */
} query_block;

typedef struct {
    query_block block;
    float k[KEYS][HEAD], v[KEYS][HEAD]; /* the keys at hand */
    float s[KEYS][QUERIES];             /* scores, then p */
} attention_scratch;
_Static_assert(sizeof(attention_scratch) <= CPU_SCRATCH_BYTES, "attention needs more scratch memory");

typedef struct {
    const attention_args *a;
    int32_t blocks; /* of queries, all sequences */
} attention_job;

/* Head `head` of q (part 0), k (1) or v (2) of a row. */
static const float *head_of(const attention_args *a, int32_t row, int part, int32_t head) {
    return (const float *)a->qkv + (((size_t)row * 3 + (size_t)part) * (size_t)a->heads + (size_t)head) * HEAD;
}

static const float *rope_of(const attention_args *a, int32_t position, int32_t head) {
    return head < a->rope_heads ? a->rope + (size_t)position * HEAD : NULL;
}

static void load_queries(const attention_args *a, int32_t begin, int32_t row, int32_t n, int32_t head, query_block *b) {
    memset(b, 0, sizeof *b);
    for (int32_t i = 0; i < n; i++) {
        float q[HEAD];
        cpu_prepare_head(head_of(a, row + i, 0, head), a->q_norm, rope_of(a, row + i - begin, head), q);
        for (int d = 0; d < HEAD; d++) b->q[d][i] = q[d] * SOFTMAX_SCALE;
    }
    for (int i = 0; i < QUERIES; i++) b->highest[i] = -INFINITY;
}

/* Scores become weights p = e^(s - highest); what was summed under a lower highest is scaled down to match. */
static void softmax(query_block *b, float s[KEYS][QUERIES], int32_t keys, int32_t width) {
    for (int32_t i = 0; i < width; i++) b->rescale[i] = b->highest[i];
    for (int32_t k = 0; k < keys; k++)
        for (int32_t i = 0; i < width; i++) b->highest[i] = s[k][i] > b->highest[i] ? s[k][i] : b->highest[i];
    for (int32_t i = 0; i < width; i++) {
        b->rescale[i] = cpu_exp(b->rescale[i] - b->highest[i]);
        b->sum[i] *= b->rescale[i];
    }
    for (int32_t k = 0; k < keys; k++)
        for (int32_t i = 0; i < width; i++) {
            s[k][i] = cpu_exp(s[k][i] - b->highest[i]);
            b->sum[i] += s[k][i];
        }
    for (int d = 0; d < HEAD; d++)
        for (int32_t i = 0; i < width; i++) b->o[d][i] *= b->rescale[i];
}

/* Adds `keys` keys from `row` on to the block. width: queries in it, rounded up to whole vectors. */
static void add_keys(const attention_args *a, int32_t begin, int32_t row, int32_t keys, int32_t head, int32_t width,
                     attention_scratch *scratch) {
    query_block *b = &scratch->block;
    float(*k)[HEAD] = scratch->k, (*v)[HEAD] = scratch->v, (*s)[QUERIES] = scratch->s;
    for (int32_t i = 0; i < keys; i++) {
        cpu_prepare_head(head_of(a, row + i, 1, head), a->k_norm, rope_of(a, row + i - begin, head), k[i]);
        memcpy(v[i], head_of(a, row + i, 2, head), sizeof v[i]); /* rows of qkv would all fall into one cache set */
    }
    const int32_t whole = (keys + SIMD_ROWS - 1) / SIMD_ROWS * SIMD_ROWS;
    for (int32_t i = keys; i < whole; i++) memset(k[i], 0, sizeof k[i]);

    simd_block block;
    for (int32_t i = 0; i < whole; i += SIMD_ROWS)
        for (int32_t q = 0; q < width; q += SIMD_COLS) {
            simd_multiply(&block, HEAD, k[i], HEAD, 1, &b->q[0][q], QUERIES);
            simd_store(&block, &s[i][q], QUERIES);
        }
    softmax(b, s, keys, width);
    for (int32_t d = 0; d < HEAD; d += SIMD_ROWS)
        for (int32_t q = 0; q < width; q += SIMD_COLS) {
            simd_multiply(&block, keys, &v[0][d], 1, HEAD, &s[0][q], QUERIES);
            simd_add(&block, &b->o[d][q], QUERIES);
        }
}

/* One head of a block of queries, over all keys of its sequence. */
static void attend(const attention_args *a, row_block q, int32_t head, attention_scratch *scratch) {
    query_block *b = &scratch->block;
    const int32_t width = (q.rows + SIMD_COLS - 1) / SIMD_COLS * SIMD_COLS;
    load_queries(a, q.begin, q.row, q.rows, head, b);
    for (int32_t k = q.begin; k < q.end; k += KEYS)
        add_keys(a, q.begin, k, q.end - k < KEYS ? q.end - k : KEYS, head, width, scratch);

    for (int32_t i = 0; i < q.rows; i++) {
        float *y = (float *)a->y + ((size_t)(q.row + i) * (size_t)a->heads + (size_t)head) * HEAD;
        const float scale = 1.0f / b->sum[i];
        for (int d = 0; d < HEAD; d++) y[d] = b->o[d][i] * scale;
    }
}

/* Neighbours have the same head, so they read the same keys. */
static void attend_all(const void *user, int32_t begin, int32_t end, void *scratch) {
    const attention_job *job = user;
    for (int32_t i = begin; i < end; i++)
        attend(job->a, block_at(job->a->pack, QUERIES, SIMD_COLS, i % job->blocks), i / job->blocks, scratch);
}

static f5_status check(const attention_args *a) {
    if (!a || !a->qkv || !a->y || a->y == a->qkv) return F5_E_ARGUMENT;
    if (a->rope_heads > 0 && !a->rope) return F5_E_ARGUMENT;
    if (((uintptr_t)a->qkv | (uintptr_t)a->y | (uintptr_t)a->rope) % 16 != 0) return F5_E_ARGUMENT;
    if (((uintptr_t)a->q_norm | (uintptr_t)a->k_norm) % 16 != 0) return F5_E_ARGUMENT;
    if (pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if (a->heads < 1 || a->rope_heads < 0 || a->rope_heads > a->heads) return F5_E_SHAPE;
    if (pack_longest(a->pack) > a->max_position) return F5_E_SHAPE;
    if (a->type != F5_F32) return F5_E_UNSUPPORTED;
    return F5_OK;
}

f5_status attention_ref(cpu_context *c, const attention_args *a) {
    F5_TRY(check(a));
    attention_job job = {.a = a, .blocks = block_count(a->pack, QUERIES, SIMD_COLS)};
    cpu_parallel(c, job.blocks * a->heads, 1, attend_all, &job);
    return F5_OK;
}

void rope_table_fill(float *rope, int32_t positions, const float *frequency) {
    double turn[HEAD / 2];
    for (int i = 0; i < HEAD / 2; i++) turn[i] = frequency ? (double)frequency[i] : pow(10000.0, -2.0 * i / HEAD);
    for (int32_t p = 0; p < positions; p++)
        for (int i = 0; i < HEAD / 2; i++) {
            float *pair = rope + ((size_t)p * (HEAD / 2) + (size_t)i) * 2;
            pair[0] = (float)cos(p * turn[i]);
            pair[1] = (float)sin(p * turn[i]);
        }
}

op_output attention_output(const attention_args *a) {
    return (op_output){.data = a->y, .type = a->type, .pack = a->pack, .cols = (int64_t)a->heads * ATTENTION_HEAD};
}

double attention_flop(const attention_args *a, op_lengths lengths) {
    double rows = a->pack->rows, length = rows / lengths.sequences; /* a pack may have more slots than sequences */
    return 4.0 * rows * length * a->heads * ATTENTION_HEAD;
}

double attention_bytes(const attention_args *a) {
    return 4.0 * a->pack->rows * a->heads * ATTENTION_HEAD * f5_dtype_bytes(a->type);
}
