/* text_stream.c — tokens to rows of their own: embedding plus position. */
#include "runtime/models/text_stream.h"

#include "kernels/embed.h"
#include "kernels/take_rows.h"
#include "weights/convert/upstream.h"

#define MAX_POSITIONS 1024 /* rows of upstream's position table */

typedef struct {
    int32_t dim; /* D */
} text_stream_config;

typedef struct {
    const float *embedding; /* [V+1,D] */
} text_stream_weights;

_Static_assert(sizeof(text_stream_config) <= PART_CONFIG_BYTES, "settings fit");

static const text_stream_config *settings_of(const model_config *config) {
    return config_of(config, PART_TEXT);
}

int32_t text_stream_dim(const model_config *config) {
    return settings_of(config)->dim;
}

/* ---- settings and tensors ---------------------------------------------------------------------------------------- */

static const part_field fields[] = {
    {"dim", NULL, offsetof(text_stream_config, dim), FIELD_INTEGER, 16, 8192, 1024},
};

static void read_upstream(upstream *from, model_config *config) {
    text_stream_config *t = (text_stream_config *)(void *)config->settings[PART_TEXT].bytes;
    t->dim = upstream_int(from, "model.arch.dim", 0);
}

enum { D = -1, V1 = -2 /* vocab_size + 1 */ };

static int64_t dimension(const model_config *config, int16_t symbol) {
    return symbol == D ? settings_of(config)->dim : (int64_t)config->vocab_size + 1;
}

static int32_t count(const model_config *config, int16_t repeat) {
    (void)config, (void)repeat;
    return 1;
}

static const part_line lines[] = {
    {"words.embedding",
     {V1, D},
     PLAIN,
     PACK_COPY,
     "transformer.text_embed.text_embed.weight",
     .address = offsetof(text_stream_weights, embedding)},
};

const model_part text_stream_part = {
    .kind = "TextStream",
    .prefix = "words.",
    .title = "words.embedding",
    PART_FIELDS(fields),
    PART_LINES(lines),
    .weights_bytes = sizeof(text_stream_weights),
    .dimension = dimension,
    .count = count,
    .read_upstream = read_upstream,
};

/* ---- positions --------------------------------------------------------------------------------------------------- */

static int32_t position_rows(int32_t max_frames) {
    return max_frames < MAX_POSITIONS ? max_frames : MAX_POSITIONS;
}

static int64_t positions_elements(const model_config *config, int32_t max_frames) {
    return (int64_t)position_rows(max_frames) * settings_of(config)->dim;
}

static void positions_fill(float *to, const model_config *config, int32_t max_frames) {
    position_table_fill(to, position_rows(max_frames), settings_of(config)->dim);
}

const stage_table text_stream_positions_table = {positions_elements, positions_fill};

/* ---- the rows ---------------------------------------------------------------------------------------------------- */

/* A batch has a token id for every frame; the filler behind a text is embedded too, and not taken. */
f5_status text_stream_embed(const stage_context *c, const backbone_input *in, const f5_pack *pack,
                            const float *positions, float *scratch, float *y) {
    const text_stream_weights *w = c->model->weights[PART_TEXT];
    const int32_t dim = text_stream_dim(&c->model->config);
    ops *o = c->ops;
    ops_at(o, "text", -1);
    F5_TRY(o->embed(o, "embed",
                    &(embed_args){.pack = in->pack,
                                  .dim = dim,
                                  .table_rows = c->model->config.vocab_size + 1,
                                  .max_position = position_rows(c->tables->max_frames),
                                  .ids = in->ids,
                                  .table = w->embedding,
                                  .positions = positions,
                                  .clamp = true,
                                  .y = scratch}));
    return o->take_rows(
        o, "words",
        &(take_rows_args){
            .pack = in->pack, .y_pack = pack, .dim = dim, .mode = TAKE_FIRST, .x = scratch, .y = y, .type = F5_F32});
}
