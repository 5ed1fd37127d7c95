/* work_group.h — counts work that threads in the background still do, so that what they use can be freed after it. */
#ifndef F5_SERVER_WORK_GROUP_H
#define F5_SERVER_WORK_GROUP_H

#include <pthread.h>

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int count;
} work_group;

static inline void work_group_init(work_group *g) {
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
    g->count = 0;
}

/* by: 1 before the work is handed to a thread, -1 at its end or where it was not taken. Any thread. */
static inline void work_group_add(work_group *g, int by) {
    pthread_mutex_lock(&g->lock);
    g->count += by;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

/* Waits until none is left, and ends the group. */
static inline void work_group_end(work_group *g) {
    pthread_mutex_lock(&g->lock);
    while (g->count > 0) pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
}

#endif
