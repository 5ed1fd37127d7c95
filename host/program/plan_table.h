/* plan_table.h — the op calls of a synthesis as `f5tts info --plan --ops` shows them: a table that has each repeated
 * block once and one evaluation, or JSON with every call. */
#ifndef F5_PLAN_TABLE_H
#define F5_PLAN_TABLE_H

#include <stdbool.h>

#include "host/api/f5tts.h"

typedef struct plan_row plan_row;

typedef struct {
    const char *as, *precision; /* as given, or NULL */
    plan_row *rows;             /* [n] in the order of the calls; owned */
    size_t n, room;
    bool full; /* memory ran out, so that calls are missing */
} plan_table;

/* Asks for the plan of the engine's card, or of `as`. Errors: those of f5_plan_ops, and F5_E_MEMORY; *t holds nothing
 * then. */
f5_status plan_table_make(plan_table *t, const f5_engine *engine, const f5_plan_ops_params *wanted, f5_error *error);
void plan_table_free(plan_table *t); /* safe on a zeroed one */

/* A line a call: what comes before the steps, one evaluation of the velocity, what comes after, and the sums. Calls
 * that differ in the number of their block alone share a line, "x22". With `all` every call has its line. */
void plan_table_print(const plan_table *t, bool all);

/* "{...}": the sums, and every call. */
void plan_table_print_json(const plan_table *t);

#endif
