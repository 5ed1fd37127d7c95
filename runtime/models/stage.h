/* stage.h — what every stage of the model works with.
 *
 * A stage is ordinary C over the op table; it branches on shapes and configuration, never on tensor data, so the same
 * code runs under every table. Temporaries come from the arena and are given back on return. Pointers are device
 * pointers. Shape letters: R rows of a pack, N frames, D model width, F feed-forward width, H heads, T text width, C
 * vocoder width. Every status is that of the op that failed; its name is in ops->failure. */
#ifndef F5_STAGE_H
#define F5_STAGE_H

#include "runtime/arena.h"
#include "runtime/ops/ops.h"
#include "weights/model.h"

/* A table that depends on the configuration alone; computed once, at open. */
typedef struct {
    int64_t (*elements)(const model_config *config, int32_t max_frames); /* 0: this model has none */
    void (*fill)(float *to, const model_config *config, int32_t max_frames);
} stage_table;

#define STAGE_MAX_TABLES 4 /* of a part */
#define STAGE_TABLES(list) .tables = (list), .n_tables = STAGE_TABLE_COUNT(sizeof(list) / sizeof *(list))
/* n, and an error of the compiler where that is too many */
#define STAGE_TABLE_COUNT(n)                                                                                           \
    ((int32_t)((n) + 0 * sizeof(struct {                                                                               \
                         int few;                                                                                      \
                         _Static_assert((n) <= STAGE_MAX_TABLES, "more than STAGE_MAX_TABLES tables");                 \
                     })))

typedef struct {
    int32_t max_frames;                      /* that the engine was opened for: no sequence is longer */
    const float *backbone[STAGE_MAX_TABLES]; /* in the order of the part's list; NULL where there is none */
    const float *vocoder[STAGE_MAX_TABLES];
} stage_tables;

typedef struct {
    const model *model;
    ops *ops;
    arena *arena;
    const stage_tables *tables;
} stage_context;

#endif
