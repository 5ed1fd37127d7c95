/* backbone.h — a backbone turns state, time, text and reference into a velocity. One file a backbone, and one word in
 * models.c. */
#ifndef F5_BACKBONE_H
#define F5_BACKBONE_H

#include "runtime/models/stage.h"

#define BACKBONE_MAX_PACKS 2
#define BACKBONE_STATE_BYTES 256

/* What stays the same over the ODE. Rows are those of `pack`: all branches of all sequences, the conditional branch
 * first. */
typedef struct {
    const f5_pack *pack;      /* a row a frame */
    const f5_pack *own_packs; /* [n_packs] the backbone's own, see below */
    const int32_t *ids;       /* [R] token ids shifted by one; 0 = filler, and the whole null branch */
    const uint8_t *text_keep; /* [R] 1 = text, 0 = filler; the null branch keeps the mask of the text it does not see */
    const float *cond;        /* [R,100] mel of the reference; 0 elsewhere, and in the null branch */
} backbone_input;

/* What a pack of the backbone's own has to hold, all branches together. */
typedef struct {
    int64_t rows;              /* of the frames' pack, its tail included */
    int64_t frames, sequences; /* live */
    int64_t tokens;            /* live, at most one a frame */
    int32_t step;              /* the device likes multiples of so many rows */
} backbone_load;

/* What a backbone does in its own way that has one voice and its own text: no reference, no guidance, no filler, and
 * upstream's quadratic sway. */
typedef struct {
    int32_t text_pack;  /* the pack of its own whose rows are the tokens; ids are the tokens' own, not shifted */
    int32_t max_tokens; /* of one sequence */
    /* Does it run anything to know how long a text is? */
    bool (*predicts)(const model_config *config);
    /* ids [T] of the rows of `text` -> ln of the frames of each [T]. Only where it predicts. */
    f5_status (*log_durations)(const stage_context *c, const f5_pack *text, const int32_t *ids, float *logarithms);
    /* Frames of a text of n tokens, before they are cut to a whole number; NaN where the logarithms are. */
    double (*frames)(const model_config *config, const float *logarithms, int32_t n, float scale);
} own_rules;

/* Where the inverse of factors s [in] of an operand's channels goes: into the rows of a tensor that make these
 * channels, from row in * (first + step * block) on. */
typedef struct {
    const char *tensor; /* in the .f5 file, %d: the block; NULL: the list has ended */
    int32_t first, step;
    bool one_plus; /* a row stands for 1 + itself: v becomes (1 + v) / s - 1, others v / s */
} product_fold;

#define PRODUCT_FOLDS 4

/* A product of every block that may have operands of 8 bits, by names in which %d is the block. */
typedef struct {
    const char *label, *operand;          /* in traces: its own, and that of the call whose output it reads */
    const char *matrix;                   /* its tensor in the .f5 file, [out,in] */
    product_fold fold[PRODUCT_FOLDS + 1]; /* none: nothing there can take a factor */
} backbone_product;

typedef struct {
    model_part part;                  /* first */
    const stage_table *const *tables; /* [n_tables]; entry i is c->tables->backbone[i] */
    int32_t n_tables;

    /* Packs with other lengths than the frames': rows for time or text beside them. The length of a sequence in pack k,
     * and the rows that it gets for a load: never more than the most of all give. Each number of rows
     * is a graph of its own: few are better than exact ones. n_packs 0: none; pack_length and pack_rows may be NULL. */
    int32_t n_packs;
    int32_t (*pack_length)(int k, int32_t frames, int32_t n_tokens);
    int64_t (*pack_rows)(int k, const backbone_load *load);

    int32_t (*max_frames)(const model_config *config); /* of one sequence */

    /* Widest activation and widest product, from which devices size their scratch. */
    void (*widths)(const model_config *config, int64_t *activation, int64_t *product);

    /* What depends on time alone is computed once for all evaluations of a time grid: a row of floats each. times [n]
     * -> rows [n,row_width]. times and rows are device memory. What it takes from the arena is released by the caller.
     */
    int64_t (*row_width)(const model_config *config);
    f5_status (*fill_rows)(const stage_context *c, const float *times, int32_t n, float *rows);

    /* Computes what stays the same over the ODE and takes the working memory of an evaluation from the arena: state is
     * the backbone's own struct of pointers, in BACKBONE_STATE_BYTES: assert that it fits, and that the settings fit
     * PART_CONFIG_BYTES. The arena is released by the caller. */
    f5_status (*begin)(const stage_context *c, const backbone_input *in, void *state);

    /* Velocity v [R,100] at state x [R,100]; row is one of fill_rows: it changes from call to call and may serve
     * as a bias, gate, scale or shift. */
    f5_status (*velocity)(const stage_context *c, const void *state, const float *x, const float *row, float *v);

    const own_rules *own; /* NULL: a voice is a recording, as F5's */

    const backbone_product *products; /* [n_products] or NULL: for calibration.h */
    int32_t n_products;
} backbone;

static inline const backbone *backbone_of(const model_config *config) {
    return (const backbone *)config->part[PART_BACKBONE];
}

/* Rows of the longest pack of a call with so many rows of frames, all of them live: theirs, or one of the backbone's
 * own. */
static inline int64_t backbone_most_rows(const backbone *b, int64_t rows, int32_t sequences) {
    const backbone_load load = {.rows = rows, .frames = rows, .sequences = sequences, .tokens = rows, .step = 1};
    int64_t most = rows;
    for (int32_t k = 0; k < b->n_packs; k++) {
        const int64_t own = b->pack_rows(k, &load);
        if (own > most) most = own;
    }
    return most;
}

#endif
