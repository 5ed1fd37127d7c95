/* plan.c — a call's line: the ops with several ways answer for themselves, the others have one. */
#include "kernels/cuda/plan/plan.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *op;
    op_describe describe;
} several_ways[] = {{"linear", linear_describe},
                    {"linear_int8", linear_int8_describe},
                    {"attention", attention_describe},
                    {"conv_pos", conv_pos_describe},
                    {"conv1d", conv1d_describe}};

static void describe_output(const op_output *y, op_plan_line *line) {
    const long long rows = y->pack ? y->pack->rows : y->rows;
    if (y->cols_at) /* known on the device only */
        snprintf(line->shape, sizeof line->shape, "samples %s", dtype(y->type)->name);
    else
        snprintf(line->shape, sizeof line->shape, "%lldx%lld %s", rows, (long long)y->cols, dtype(y->type)->name);
}

void plan_describe(const cuda_arch *arch, const char *op, const void *args, const op_output *output, op_lengths lengths,
                   op_plan_line *line) {
    *line = (op_plan_line){.path = "cuda", .rate = arch->rate_f32};
    describe_output(output, line);
    for (size_t i = 0; i < sizeof several_ways / sizeof *several_ways; i++)
        if (strcmp(several_ways[i].op, op) == 0) several_ways[i].describe(arch, args, lengths, line);
}
