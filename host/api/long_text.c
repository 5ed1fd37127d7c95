/* long_text.c — a ticket lock whose holder has the memory: texts are served in the order in which they come. */
#include "host/api/long_text.h"

#include <stdlib.h>

f5_status long_text_init(long_text *l, int32_t capacity, f5_error *error) {
    *l = (long_text){.tokens = calloc((size_t)capacity, sizeof *l->tokens)};
    if (!l->tokens) return f5_fail(error, F5_E_MEMORY, "no memory for %d tokens: lower max_frames", (int)capacity);
    if (pthread_mutex_init(&l->lock, NULL) == 0) {
        if (pthread_cond_init(&l->next, NULL) == 0) return F5_OK;
        pthread_mutex_destroy(&l->lock);
    }
    free(l->tokens);
    l->tokens = NULL;
    return f5_fail(error, F5_E_MEMORY, "no memory for a lock");
}

void long_text_destroy(long_text *l) {
    if (!l->tokens) return;
    pthread_cond_destroy(&l->next);
    pthread_mutex_destroy(&l->lock);
    free(l->tokens);
}

void long_text_enter(long_text *l) {
    pthread_mutex_lock(&l->lock);
    uint64_t mine = l->arrived++;
    while (l->left != mine) pthread_cond_wait(&l->next, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

void long_text_leave(long_text *l) {
    pthread_mutex_lock(&l->lock);
    l->left++;
    pthread_cond_broadcast(&l->next);
    pthread_mutex_unlock(&l->lock);
}
