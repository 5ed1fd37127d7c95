/* plan.h — how a call of an op would run on a GPU: its path, tile, stages and waves, from arguments and architecture
 * alone. Plain C: nothing here needs a GPU or nvcc, and no tensor is read. */
#ifndef F5_PLAN_PLAN_H
#define F5_PLAN_PLAN_H

#include "kernels/cuda/arch.h"
#include "kernels/op_list.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    char shape[48];       /* "2812x1024 -> 3072 fp16" */
    const char *path;     /* one of the op's ways: "sm90", "cuBLASLt"; "cuda" where an op has only one */
    char tile[16];        /* "128x256"; "": not ours to choose, or no tiles */
    int32_t stages;       /* of the ring in shared memory; 0: none, or not known */
    int32_t shared_bytes; /* of a block; 0: not known */
    double waves; /* tiles that the busiest multiprocessor takes; a fraction where tiles are split; 0: no tiles */
    double rate;  /* FLOP/s that bound this path's arithmetic; 0: not known */
} op_plan_line;

/* What an op with several ways does: plan/linear.h, attention.h, conv_pos.h, conv1d.h. Describes the way taken. */
typedef void (*op_describe)(const cuda_arch *arch, const void *args, op_lengths lengths, op_plan_line *line);
void linear_describe(const cuda_arch *arch, const void *args, op_lengths lengths, op_plan_line *line);
void linear_int8_describe(const cuda_arch *arch, const void *args, op_lengths lengths, op_plan_line *line);
void attention_describe(const cuda_arch *arch, const void *args, op_lengths lengths, op_plan_line *line);
void conv_pos_describe(const cuda_arch *arch, const void *args, op_lengths lengths, op_plan_line *line);
void conv1d_describe(const cuda_arch *arch, const void *args, op_lengths lengths, op_plan_line *line);

/* Any op's call: op is its name, args its arguments, output what they write. */
void plan_describe(const cuda_arch *arch, const char *op, const void *args, const op_output *output, op_lengths lengths,
                   op_plan_line *line);

#ifdef __cplusplus
}
#endif
#endif
