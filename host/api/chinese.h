/* chinese.h — what an engine needs to make tokens of Chinese text: the model's tables and a scratch, which is for one
 * text at a time. It is held for some milliseconds at most, and no callback is called meanwhile. */
#ifndef F5_CHINESE_H
#define F5_CHINESE_H

#include <pthread.h>

#include "host/text/tokenizer.h"
#include "weights/model.h"

#define CHINESE_MAX_RUN 65536 /* characters in a row without punctuation or spaces */

typedef struct {
    pinyin_table table;
    void *scratch; /* NULL: the model has no tables, and nothing of this is used */
    size_t scratch_bytes;
    pthread_mutex_t lock; /* of the scratch */
} chinese;

/* Opens the model's tables, if it has some, for texts of up to max_text_bytes. F5_E_FORMAT (damaged ones), F5_E_MEMORY;
 * nothing is held then. */
f5_status chinese_init(chinese *c, const model *m, int32_t max_text_bytes, f5_error *error);
void chinese_destroy(chinese *c); /* safe on a zeroed one */

/* A tokenizer of the model, without ids yet, whose text may be Chinese. Between the two calls the scratch is this
 * thread's. */
tokenizer chinese_begin(chinese *c, const model *m);
void chinese_end(chinese *c);

#endif
