/* attention.h — the ways that attention has on a GPU, by types and architecture alone. Plain C: attention_paths is the
 * dispatch, the first way that serves is taken. How each way divides its work is attention_sm90.h and attention_sm80.h.
 *
 *   way          kernel                            for
 *   f32 units    common/attention_f32.cuh          F32
 *   sm90         sm90/attention/kernel.cuh         16 bits, where wgmma and TMA are
 *   sm80         sm80/attention.cuh                16 bits */
#ifndef F5_PLAN_ATTENTION_H
#define F5_PLAN_ATTENTION_H

#include "kernels/attention.h"
#include "kernels/cuda/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { ATTENTION_F32_UNITS = 0, ATTENTION_SM90, ATTENTION_SM80, ATTENTION_PATHS };

typedef struct {
    const char *name;
    bool (*serves)(const cuda_arch *arch, const attention_args *a);
    void (*describe)(const cuda_arch *arch, const attention_args *a, op_lengths lengths, op_plan_line *line);
} attention_path;

extern const attention_path attention_paths[ATTENTION_PATHS];

/* The first that serves. */
int attention_path_of(const cuda_arch *arch, const attention_args *a);

/* Stages of keys and values in shared memory, and a block's bytes; the kernels hold their own numbers against these. */
enum { ATTENTION_SM90_STAGES = 3, ATTENTION_SM80_STAGES = 2 };
#define ATTENTION_SM90_SHARED_BYTES (1024 + 2 * 192 * 128 + 2 * ATTENTION_SM90_STAGES * 128 * 128)
#define ATTENTION_SM80_SHARED_BYTES (2 * ATTENTION_SM80_STAGES * 64 * 128)
#define ATTENTION_F32_SHARED_BYTES (4 * 64 * 68 * 4)

#ifdef __cplusplus
}
#endif
#endif
