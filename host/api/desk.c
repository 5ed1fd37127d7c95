/* desk.c — a ticket lock with as many holders as there are desks. */
#include "host/api/desk.h"

#include <stdlib.h>

f5_status desk_make(desk **made, int32_t max_frames, int32_t max_batch, f5_error *error) {
    desk *d = *made = calloc(1, sizeof *d);
    if (d) {
        d->tokens = calloc(2 * (size_t)max_frames, sizeof *d->tokens);
        d->chunks = calloc((size_t)max_batch + 1, sizeof *d->chunks);
        d->jobs = calloc((size_t)max_batch, sizeof *d->jobs);
        d->tail = calloc((size_t)F5_MAX_CROSS_FADE * F5_SAMPLE_RATE, sizeof *d->tail);
        if (d->tokens && d->chunks && d->jobs && d->tail) return F5_OK;
    }
    desk_destroy(d);
    *made = NULL;
    return f5_fail(error, F5_E_MEMORY, "no memory for a text: lower max_frames or max_speaking");
}

void desk_destroy(desk *d) {
    if (!d) return;
    free(d->tokens);
    free(d->chunks);
    free(d->jobs);
    free(d->tail);
    free(d);
}

f5_status desk_room_init(desk_room *room, int32_t n, int32_t max_frames, int32_t max_batch, f5_error *error) {
    *room = (desk_room){.desks = calloc((size_t)n, sizeof *room->desks)};
    if (!room->desks) return f5_fail(error, F5_E_MEMORY, "no memory for %d texts: lower max_speaking", (int)n);
    if (pthread_mutex_init(&room->lock, NULL) != 0) goto no_lock;
    if (pthread_cond_init(&room->left_one, NULL) != 0) {
        pthread_mutex_destroy(&room->lock);
        goto no_lock;
    }
    for (; room->n < n; room->n++) {
        desk *d;
        f5_status status = desk_make(&d, max_frames, max_batch, error);
        if (status != F5_OK) {
            desk_room_destroy(room);
            return status;
        }
        room->desks[room->n] = d;
        d->next = room->free;
        room->free = d;
    }
    return F5_OK;
no_lock:
    free(room->desks);
    *room = (desk_room){0};
    return f5_fail(error, F5_E_MEMORY, "no memory for a lock");
}

void desk_room_destroy(desk_room *room) {
    if (!room->desks) return;
    for (int32_t i = 0; i < room->n; i++) desk_destroy(room->desks[i]);
    pthread_cond_destroy(&room->left_one);
    pthread_mutex_destroy(&room->lock);
    free(room->desks);
    *room = (desk_room){0};
}

/* room->lock is held. */
static void add_taken(desk_room *room, desk *d) {
    d->thread = pthread_self();
    d->next = room->taken;
    room->taken = d;
}

static void remove_taken(desk_room *room, desk *d) {
    desk **link = &room->taken;
    while (*link != d) link = &(*link)->next;
    *link = d->next;
}

bool desk_room_has_me(desk_room *room) {
    pthread_mutex_lock(&room->lock);
    const desk *d = room->taken;
    while (d && !pthread_equal(d->thread, pthread_self())) d = d->next;
    pthread_mutex_unlock(&room->lock);
    return d != NULL;
}

void desk_sit(desk_room *room, desk *d) {
    pthread_mutex_lock(&room->lock);
    add_taken(room, d);
    pthread_mutex_unlock(&room->lock);
}

void desk_rise(desk_room *room, desk *d) {
    pthread_mutex_lock(&room->lock);
    remove_taken(room, d);
    pthread_mutex_unlock(&room->lock);
}

desk *desk_take(desk_room *room) {
    pthread_mutex_lock(&room->lock);
    uint64_t mine = room->arrived++;
    while (mine >= room->left + (uint64_t)room->n) pthread_cond_wait(&room->left_one, &room->lock);
    desk *d = room->free;
    room->free = d->next;
    add_taken(room, d);
    pthread_mutex_unlock(&room->lock);
    return d;
}

void desk_leave(desk_room *room, desk *d) {
    pthread_mutex_lock(&room->lock);
    remove_taken(room, d);
    d->next = room->free;
    room->free = d;
    room->left++;
    pthread_cond_broadcast(&room->left_one);
    pthread_mutex_unlock(&room->lock);
}
