/* long_text.h — memory for the tokens of a text that is too long for its caller's stack: for one text at a time, in the
 * order in which they come. A text of that length is rare, so that one place is enough. */
#ifndef F5_LONG_TEXT_H
#define F5_LONG_TEXT_H

#include <pthread.h>
#include <stdint.h>

#include "kernels/error.h"

#define LONG_TEXT_TOKENS 4096 /* texts of up to so many have them on the stack: 16 KB */

typedef struct {
    int32_t *tokens;        /* [capacity] of the text whose turn it is */
    pthread_mutex_t lock;   /* guards what follows */
    pthread_cond_t next;    /* a text left */
    uint64_t arrived, left; /* texts so far; number `left` has its turn */
} long_text;

f5_status long_text_init(long_text *l, int32_t capacity, f5_error *error); /* F5_E_MEMORY; nothing is held then */
void long_text_destroy(long_text *l);                                      /* safe on a zeroed one */

/* Waits until every text that came before has left. The caller holds nothing meanwhile but its stack. */
void long_text_enter(long_text *l);
void long_text_leave(long_text *l);

#endif
