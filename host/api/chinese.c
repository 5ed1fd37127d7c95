/* chinese.c — the tables for Chinese, opened once, and a lock around the scratch. */
#include "host/api/chinese.h"

#include <stdlib.h>

f5_status chinese_init(chinese *c, const model *m, int32_t max_text_bytes, f5_error *error) {
    *c = (chinese){0};
    if (!m->pinyin) return F5_OK;
    F5_TRY(pinyin_table_open(&c->table, m->pinyin, m->pinyin_bytes, "the model's tensor \"pinyin\"", error));
    const size_t bytes = TOKENIZER_SCRATCH_BYTES(max_text_bytes < CHINESE_MAX_RUN ? max_text_bytes : CHINESE_MAX_RUN);
    void *scratch = malloc(bytes);
    if (!scratch || pthread_mutex_init(&c->lock, NULL) != 0) {
        free(scratch);
        return f5_fail(error, F5_E_MEMORY, "no memory for %zu bytes of scratch for Chinese text", bytes);
    }
    c->scratch = scratch;
    c->scratch_bytes = bytes;
    return F5_OK;
}

void chinese_destroy(chinese *c) {
    if (!c->scratch) return;
    pthread_mutex_destroy(&c->lock);
    free(c->scratch);
    *c = (chinese){0};
}

tokenizer chinese_begin(chinese *c, const model *m) {
    tokenizer t = {.kind = m->config.tokenizer,
                   .v = &m->vocab,
                   .blanks = model_config_get(&m->config, PART_TEXT, "add_blank", 0) != 0};
    if (!c->scratch) return t;
    pthread_mutex_lock(&c->lock);
    t.pinyin = &c->table;
    t.scratch = c->scratch;
    t.scratch_bytes = c->scratch_bytes;
    return t;
}

void chinese_end(chinese *c) {
    if (c->scratch) pthread_mutex_unlock(&c->lock);
}
