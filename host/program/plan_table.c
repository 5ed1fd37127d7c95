/* plan_table.c — keeps the op calls that f5_plan_ops tells, merges those that differ in the number of their block
 * alone, and prints them. */
#include "host/program/plan_table.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/files/json_text.h"
#include "host/program/cli.h"

enum { LABEL_BYTES = 96, SHAPE_BYTES = 48, NAME_BYTES = 24 };

struct plan_row {
    char label[LABEL_BYTES], shape[SHAPE_BYTES], op[NAME_BYTES], path[NAME_BYTES], tile[NAME_BYTES];
    int32_t stages, evaluation;
    double waves, flop, bytes, floor_us;
};

typedef struct {
    size_t calls;
    double flop, bytes, floor_us;
    bool unknown; /* a call has no floor: the card's rates are not known */
} plan_sum;

/* ---- the calls --------------------------------------------------------------------------------------------------- */

static void keep(void *user, const f5_plan_op *op) {
    plan_table *t = user;
    if (t->n == t->room) {
        size_t room = t->room ? 2 * t->room : 1024;
        plan_row *rows = t->full ? NULL : realloc(t->rows, room * sizeof *rows);
        t->full = !rows;
        if (t->full) return;
        t->rows = rows, t->room = room;
    }
    plan_row *r = &t->rows[t->n++];
    *r = (plan_row){.stages = op->stages,
                    .evaluation = op->evaluation,
                    .waves = op->waves,
                    .flop = op->flop,
                    .bytes = op->bytes,
                    .floor_us = op->floor_us};
    snprintf(r->label, sizeof r->label, "%s", op->label);
    snprintf(r->shape, sizeof r->shape, "%s", op->shape);
    snprintf(r->op, sizeof r->op, "%s", op->op);
    snprintf(r->path, sizeof r->path, "%s", op->path);
    snprintf(r->tile, sizeof r->tile, "%s", op->tile);
}

f5_status plan_table_make(plan_table *t, const f5_engine *engine, const f5_plan_ops_params *wanted, f5_error *error) {
    *t = (plan_table){.as = wanted->as, .precision = wanted->precision};
    f5_plan_ops_params params = *wanted;
    params.op = keep;
    params.op_user = t;
    f5_status status = f5_plan_ops(engine, &params, error);
    if (status == F5_OK && t->full) status = f5_fail(error, F5_E_MEMORY, "no memory for a plan of %zu calls", t->n);
    if (status != F5_OK) plan_table_free(t);
    return status;
}

void plan_table_free(plan_table *t) {
    free(t->rows);
    *t = (plan_table){0};
}

static void add(plan_sum *sum, const plan_row *r) {
    sum->calls++;
    sum->flop += r->flop;
    sum->bytes += r->bytes;
    sum->floor_us += r->floor_us;
    sum->unknown |= r->floor_us <= 0 && r->bytes > 0;
}

static plan_sum sum_rows(const plan_table *t, size_t from, size_t to) {
    plan_sum sum = {0};
    for (size_t i = from; i < to; i++) add(&sum, &t->rows[i]);
    return sum;
}

/* Rows [from,to) of evaluation k are found from `from` on; its end is where another begins. */
static size_t end_of(const plan_table *t, size_t from, int32_t evaluation) {
    while (from < t->n && t->rows[from].evaluation == evaluation) from++;
    return from;
}

static int32_t evaluations(const plan_table *t) {
    int32_t most = 0;
    for (size_t i = 0; i < t->n; i++)
        if (t->rows[i].evaluation > most) most = t->rows[i].evaluation;
    return most;
}

/* ---- as a table -------------------------------------------------------------------------------------------------- */

/* "dit.3.qkv" as "dit.*.qkv": the name of a call in any of its blocks. */
static void general_label(char general[LABEL_BYTES], const char *label) {
    size_t n = 0;
    for (const char *at = label; *at;) {
        bool number = at > label && at[-1] == '.' && isdigit((unsigned char)*at);
        size_t digits = number ? strspn(at, "0123456789") : 0;
        bool whole = digits && at[digits] == '.';
        general[n++] = whole ? '*' : *at;
        at += whole ? digits : 1;
    }
    general[n] = '\0';
}

/* Do they differ in the number of their block alone? */
static bool same_work(const plan_row *a, const plan_row *b) {
    char name[2][LABEL_BYTES];
    general_label(name[0], a->label);
    general_label(name[1], b->label);
    return strcmp(name[0], name[1]) == 0 && strcmp(a->op, b->op) == 0 && strcmp(a->shape, b->shape) == 0 &&
           strcmp(a->path, b->path) == 0 && strcmp(a->tile, b->tile) == 0 && a->stages == b->stages &&
           a->waves == b->waves && a->flop == b->flop && a->bytes == b->bytes && a->floor_us == b->floor_us;
}

static void print_numbers(double flop, double bytes, double floor_us, bool unknown) {
    printf(" %9.3f %9.3f", flop * 1e-9, bytes * 1e-6);
    if (unknown)
        printf(" %9s\n", "-");
    else
        printf(" %9.1f\n", floor_us);
}

enum { LABEL_WIDTH = 26, OP_WIDTH = 11, SHAPE_WIDTH = 28, PATH_WIDTH = 12, TILE_WIDTH = 8 };

static void print_row(const plan_row *r, size_t times) {
    char label[LABEL_BYTES], count[24] = "", stages[16] = "", waves[16] = "";
    snprintf(label, sizeof label, "%s", r->label);
    if (times > 1) {
        general_label(label, r->label);
        snprintf(count, sizeof count, "x%zu", times);
    }
    if (r->stages) snprintf(stages, sizeof stages, "%d", (int)r->stages);
    if (r->waves > 0) snprintf(waves, sizeof waves, "%.2f", r->waves);
    printf("  %-*s %-4s %-*s %-*s %-*s %-*s %6s %7s", LABEL_WIDTH, label, count, OP_WIDTH, r->op, SHAPE_WIDTH, r->shape,
           PATH_WIDTH, r->path, TILE_WIDTH, r->tile, stages, waves);
    print_numbers(r->flop, r->bytes, r->floor_us, r->floor_us <= 0 && r->bytes > 0);
}

/* The first of the calls that do the same work stands for all of them. */
static void print_rows(const plan_table *t, size_t from, size_t to, bool all) {
    for (size_t i = from; i < to; i++) {
        size_t times = 1, before = 0;
        for (size_t k = from; !all && k < to; k++) {
            if (k == i || !same_work(&t->rows[k], &t->rows[i])) continue;
            times++;
            before += k < i;
        }
        if (before == 0) print_row(&t->rows[i], times);
    }
}

static void print_sum(const char *name, const plan_sum *sum) {
    char calls[32];
    snprintf(calls, sizeof calls, "%zu calls", sum->calls);
    printf("%-*s %-*s", LABEL_WIDTH + 2, name, 5 + OP_WIDTH + SHAPE_WIDTH + PATH_WIDTH + TILE_WIDTH + 18, calls);
    print_numbers(sum->flop, sum->bytes, sum->floor_us, sum->unknown);
}

void plan_table_print(const plan_table *t, bool all) {
    const int32_t last = evaluations(t);
    printf("ops             as %s%s%s; GFLOP, MB and floor of one call\n", t->as ? t->as : "this device",
           t->precision ? " in " : "", t->precision ? t->precision : "");
    printf("  %-*s %-4s %-*s %-*s %-*s %-*s %6s %7s %9s %9s %10s\n", LABEL_WIDTH, "label", "", OP_WIDTH, "op",
           SHAPE_WIDTH, "shape", PATH_WIDTH, "path", TILE_WIDTH, "tile", "stages", "waves", "GFLOP", "MB", "floor µs");
    size_t first = end_of(t, 0, 0), end = end_of(t, first, 1), at = end;
    printf("before the steps\n");
    print_rows(t, 0, first, all);
    if (!all) {
        printf("each of %d evaluations\n", (int)last);
        print_rows(t, first, end, false);
        while (at < t->n && t->rows[at].evaluation > 0) at++;
    } else {
        at = first;
        for (int32_t k = 1; k <= last; k++) {
            size_t to = end_of(t, at, k);
            printf("evaluation %d of %d\n", (int)k, (int)last);
            print_rows(t, at, to, true);
            at = to;
        }
    }
    printf("after the steps\n");
    print_rows(t, at, t->n, all);
    const plan_sum once = sum_rows(t, first, end), whole = sum_rows(t, 0, t->n);
    print_sum("an evaluation", &once);
    print_sum("the synthesis", &whole);
}

/* ---- as JSON ----------------------------------------------------------------------------------------------------- */

static void print_json_name(const char *key, const char *value) {
    printf("\"%s\":", key);
    if (value)
        json_write_string(stdout, value, strlen(value));
    else
        printf("null");
    putchar(',');
}

/* Floors that are not known are null. */
static void print_json_numbers(double flop, double bytes, double floor_us, bool unknown) {
    printf("\"flop\":%.0f,\"bytes\":%.0f,\"floor_us\":", flop, bytes);
    if (unknown)
        printf("null");
    else
        printf("%.6g", floor_us);
}

static void print_json_sum(const char *name, const plan_sum *sum) {
    printf("\"%s\":{\"calls\":%zu,", name, sum->calls);
    print_json_numbers(sum->flop, sum->bytes, sum->floor_us, sum->unknown);
    printf("},");
}

void plan_table_print_json(const plan_table *t) {
    const size_t first = end_of(t, 0, 0), end = end_of(t, first, 1);
    const plan_sum once = sum_rows(t, first, end), whole = sum_rows(t, 0, t->n);
    putchar('{');
    print_json_name("as", t->as);
    print_json_name("precision", t->precision);
    printf("\"evaluations\":%d,", (int)evaluations(t));
    print_json_sum("evaluation", &once);
    print_json_sum("synthesis", &whole);
    printf("\"calls\":[");
    for (size_t i = 0; i < t->n; i++) {
        const plan_row *r = &t->rows[i];
        printf(i ? ",{" : "{");
        print_json_name("label", r->label);
        print_json_name("op", r->op);
        print_json_name("shape", r->shape);
        print_json_name("path", r->path);
        print_json_name("tile", r->tile);
        printf("\"stages\":%d,\"evaluation\":%d,\"waves\":%.6g,", (int)r->stages, (int)r->evaluation, r->waves);
        print_json_numbers(r->flop, r->bytes, r->floor_us, r->floor_us <= 0 && r->bytes > 0);
        putchar('}');
    }
    printf("]}");
}
