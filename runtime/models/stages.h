/* stages.h — the model, in pipeline order: text encoder, condition, DiT, ODE, Vocos.
 *
 * Each stage is ordinary C over the op table; it branches on shapes and configuration, never on tensor data, so the
 * same code runs under every table. Temporaries come from the arena and are given back on return. Pointers are device
 * pointers. Shape letters: R rows of a pack, N frames, D model width, F feed-forward width, H heads, T text width,
 * C vocoder width. Every status is that of the op that failed; its name is in ops->failure. */
#ifndef F5_STAGES_H
#define F5_STAGES_H

#include "kernels/dtype.h"
#include "runtime/arena.h"
#include "runtime/ops/ops.h"
#include "runtime/request.h"
#include "runtime/solver/schedule.h"
#include "weights/model.h"

/* Constant tables, filled at open. */
typedef struct {
    int32_t max_position;   /* rows of rope */
    int32_t text_positions; /* rows of positions */
    const float *rope;      /* [max_position,32,2] */
    const float *positions; /* [text_positions,T], NULL for a text encoder without blocks */
    const float *mel_bank;  /* [513,100] */
    const float *window;    /* [1024] periodic Hann */
} stage_tables;

/* What every stage works with. */
typedef struct {
    const model *model;
    ops *ops;
    arena *arena;
    const stage_tables *tables;
} stage_context;

/* Working memory of a ConvNeXt block, and its sizes. */
typedef struct {
    int32_t dim, hidden_dim;
    f5_dtype type;      /* of its matrix operands */
    void *normed;       /* [R,dim] type */
    void *hidden;       /* [R,hidden_dim] type */
    float *grn_scratch; /* [n_seq,hidden_dim], read with GRN only */
} convnext_buffers;

/* One block in place, x [R,dim] F32. With GRN where the weights have it, with a layer scale where they have one. */
f5_status convnext_block(const stage_context *c, const f5_pack *pack, const convnext_weights *w,
                         const convnext_buffers *b, float *x);

/* Text features of every branch: y [R,T] from ids [R] (shifted by one, 0 = filler) and keep [R] (1 = text). */
f5_status text_encode(const stage_context *c, const f5_pack *pack, const int32_t *ids, const uint8_t *keep, float *y);

/* The part of the input projection that stays the same over the ODE: y [R,D] = cond W_c + text W_t + bias. */
f5_status condition_project(const stage_context *c, const f5_pack *pack, const float *cond, const float *text,
                            float *y);

/* Working memory of one velocity evaluation. What a block needs in turn lies in the same place where it can, so that
 * more of it is found in a GPU's L2: the attention's operand where its result will be; the feed-forward's, and what is
 * hidden in it, where q, k and v were. */
typedef struct {
    float *h;       /* [R,D] residual stream */
    float *h0;      /* [R,D] input of the blocks, kept for the long skip; NULL without */
    void *normed_a; /* [R,D] operand type: for the attention, and the exit */
    void *normed_m; /* [R,D] for the feed-forward */
    void *qkv;      /* [R,3,H,64] */
    void *attended; /* [R,H,64], and [R,D] between the two convolutions */
    void *hidden;   /* [R,F] */
} dit_buffers;

bool dit_buffers_take(const stage_context *c, int32_t rows, dit_buffers *b);

/* Velocity v [R,100] at state x [R,100]; base [R,D] from condition_project, modulation a row of the schedule. */
f5_status dit_velocity(const stage_context *c, const dit_buffers *b, const f5_pack *pack, const float *x,
                       const float *base, const float *modulation, float *v);

typedef struct {
    const f5_pack *pack;
    int32_t branches;
    const float *base;   /* [R,D] */
    const uint8_t *keep; /* [R] frames replaced at the end */
    const float *kept;   /* [R,100] by these */
    float *x;            /* [R,100] noise in, mel out */
} ode_args;

f5_status ode_run(const stage_context *c, const schedule *s, const synth_solver *solver, const ode_args *a);

/* mel [R,100] -> samples, sequence by sequence at sample_offsets [n_seq+1]. */
f5_status vocos_decode(const stage_context *c, const f5_pack *pack, const float *mel, const int64_t *sample_offsets,
                       float *samples);

#endif
