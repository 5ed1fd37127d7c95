/* desk.c — a lock with as many holders as there are desks. Whoever leaves hands his desk to the oldest call that waits.
 */
#include "host/api/desk.h"

#include <stdlib.h>

#include "runtime/clock.h"
#include "runtime/scheduler.h"

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
    if (pthread_mutex_init(&room->lock, NULL) != 0) {
        free(room->desks);
        *room = (desk_room){0};
        return f5_fail(error, F5_E_MEMORY, "no memory for a lock");
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
}

void desk_room_destroy(desk_room *room) {
    if (!room->desks) return;
    for (int32_t i = 0; i < room->n; i++) desk_destroy(room->desks[i]);
    pthread_mutex_destroy(&room->lock);
    free(room->desks);
    *room = (desk_room){0};
}

/* ---- the lock is held in what follows, but where said ----------------------------------------------------------- */

static void add_taken(desk_room *room, desk *d, pthread_t thread) {
    d->thread = thread;
    d->next = room->taken;
    room->taken = d;
}

static void remove_taken(desk_room *room, desk *d) {
    desk **link = &room->taken;
    while (*link != d) link = &(*link)->next;
    *link = d->next;
}

/* A desk that nobody has goes to the oldest call that waits. */
static void hand_on(desk_room *room, desk *d) {
    desk_waiter *w = room->waiting;
    if (!w) {
        d->next = room->free;
        room->free = d;
        return;
    }
    room->waiting = w->next;
    add_taken(room, d, w->thread);
    w->given = d;
    pthread_cond_signal(&w->wake);
}

/* Is the call still wanted? The lock is given up meanwhile, and a desk may come. */
static bool ask(desk_room *room, int (*waits)(void *user), void *user) {
    pthread_mutex_unlock(&room->lock);
    bool stop = waits(user) != 0;
    pthread_mutex_lock(&room->lock);
    return !stop;
}

/* False: it is not wanted any more, and has left; else w->given. */
static bool wait_for_desk(desk_room *room, desk_waiter *w, int (*waits)(void *user), void *user) {
    desk_waiter **last = &room->waiting;
    while (*last) last = &(*last)->next;
    *last = w;
    bool wanted = true;
    while (!w->given && wanted) {
        const struct timespec until = clock_from_now(ASKED_SECONDS);
        if (!waits)
            pthread_cond_wait(&w->wake, &room->lock);
        else if (pthread_cond_timedwait(&w->wake, &room->lock, &until) != 0 && !w->given)
            wanted = ask(room, waits, user);
    }
    if (wanted && waits) wanted = ask(room, waits, user);
    if (wanted) return true;
    if (w->given) {
        remove_taken(room, w->given);
        hand_on(room, w->given);
        return false;
    }
    desk_waiter **link = &room->waiting;
    while (*link != w) link = &(*link)->next;
    *link = w->next;
    return false;
}

/* ---- the lock is not held --------------------------------------------------------------------------------------- */

bool desk_room_has_me(desk_room *room) {
    pthread_mutex_lock(&room->lock);
    const desk *d = room->taken;
    while (d && !pthread_equal(d->thread, pthread_self())) d = d->next;
    const desk_waiter *w = room->waiting;
    while (w && !pthread_equal(w->thread, pthread_self())) w = w->next;
    pthread_mutex_unlock(&room->lock);
    return d || w;
}

int32_t desk_room_waiting(desk_room *room) {
    int32_t n = 0;
    pthread_mutex_lock(&room->lock);
    for (const desk_waiter *w = room->waiting; w; w = w->next) n++;
    pthread_mutex_unlock(&room->lock);
    return n;
}

void desk_sit(desk_room *room, desk *d) {
    pthread_mutex_lock(&room->lock);
    add_taken(room, d, pthread_self());
    pthread_mutex_unlock(&room->lock);
}

void desk_rise(desk_room *room, desk *d) {
    pthread_mutex_lock(&room->lock);
    remove_taken(room, d);
    pthread_mutex_unlock(&room->lock);
}

f5_status desk_take(desk_room *room, int (*waits)(void *user), void *user, desk **taken, f5_error *error) {
    desk_waiter w = {.thread = pthread_self()};
    pthread_mutex_lock(&room->lock);
    *taken = room->free;
    if (*taken) {
        room->free = (*taken)->next;
        add_taken(room, *taken, w.thread);
        pthread_mutex_unlock(&room->lock);
        return F5_OK;
    }
    bool made = clock_cond_init(&w.wake), wanted = made && wait_for_desk(room, &w, waits, user);
    pthread_mutex_unlock(&room->lock);
    if (!made) return f5_fail(error, F5_E_MEMORY, "no memory for a condition variable");
    pthread_cond_destroy(&w.wake);
    *taken = w.given;
    return wanted ? F5_OK : f5_fail(error, F5_E_CANCELLED, SCHEDULER_CANCELLED);
}

void desk_leave(desk_room *room, desk *d) {
    pthread_mutex_lock(&room->lock);
    remove_taken(room, d);
    hand_on(room, d);
    pthread_mutex_unlock(&room->lock);
}
