/* loop.c — libevent's loop, a mailbox that an eventfd rings, and a few threads for work that takes time. */
#include "host/server/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 8
#define MAX_BACKGROUND 1024 /* tasks that wait */

typedef struct task {
    struct task *next;
    loop_fn work, done;
    void *user;
    loop_post post;
} task;

struct loop {
    struct event_base *base;
    struct event *rung;
    int bell; /* eventfd */
    pthread_mutex_t lock;
    pthread_cond_t some;
    loop_post *first, **last; /* the mailbox */
    task *tasks, **last_task;
    int waiting_tasks, threads;
    bool ending;
    pthread_t thread[MAX_THREADS];
};

struct loop_timer {
    struct event *event;
    loop_fn run;
    void *user;
};

double loop_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- the mailbox ------------------------------------------------------------------------------------------------- */

static void ring(loop *l) {
    uint64_t one = 1;
    while (write(l->bell, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

/* Runs what was posted until now; what these functions post runs in the next turn. */
static void take_posts(evutil_socket_t fd, short what, void *user) {
    (void)what;
    loop *l = user;
    uint64_t count;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR) {
    }
    pthread_mutex_lock(&l->lock);
    loop_post *post = l->first;
    l->first = NULL;
    l->last = &l->first;
    pthread_mutex_unlock(&l->lock);
    while (post) {
        loop_post *next = post->next; /* run may free it */
        post->run(post->user);
        post = next;
    }
}

void loop_send(loop *l, loop_post *post) {
    post->next = NULL;
    pthread_mutex_lock(&l->lock);
    bool empty = !l->first;
    *l->last = post;
    l->last = &post->next;
    pthread_mutex_unlock(&l->lock);
    if (empty) ring(l);
}

/* ---- background -------------------------------------------------------------------------------------------------- */

static void finish_task(void *user) {
    task *t = user;
    t->done(t->user);
    free(t);
}

static void *run_tasks(void *user) {
    loop *l = user;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->tasks && !l->ending) pthread_cond_wait(&l->some, &l->lock);
        task *t = l->tasks;
        if (!t) break;
        l->tasks = t->next;
        if (!l->tasks) l->last_task = &l->tasks;
        l->waiting_tasks--;
        pthread_mutex_unlock(&l->lock);
        t->work(t->user);
        loop_send(l, &t->post);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

f5_status loop_background(loop *l, loop_fn work, loop_fn done, void *user, f5_error *error) {
    task *t = malloc(sizeof *t);
    if (!t) return f5_fail(error, F5_E_MEMORY, "no memory for a task");
    *t = (task){.work = work, .done = done, .user = user};
    t->post = (loop_post){.run = finish_task, .user = t};
    pthread_mutex_lock(&l->lock);
    bool ending = l->ending, room = !ending && l->waiting_tasks < MAX_BACKGROUND;
    if (room) {
        *l->last_task = t;
        l->last_task = &t->next;
        l->waiting_tasks++;
        pthread_cond_signal(&l->some);
    }
    pthread_mutex_unlock(&l->lock);
    if (room) return F5_OK;
    free(t);
    if (ending) return f5_fail(error, F5_E_CANCELLED, "the server ends");
    return f5_fail(error, F5_E_LIMIT, "%d tasks wait already: try again later", MAX_BACKGROUND);
}

/* ---- timers ------------------------------------------------------------------------------------------------------ */

static void fire(evutil_socket_t fd, short what, void *user) {
    (void)fd;
    (void)what;
    loop_timer *t = user;
    t->run(t->user);
}

loop_timer *loop_timer_new(loop *l, loop_fn run, void *user) {
    loop_timer *t = malloc(sizeof *t);
    if (!t) return NULL;
    *t = (loop_timer){.run = run, .user = user};
    t->event = evtimer_new(l->base, fire, t);
    if (t->event) return t;
    free(t);
    return NULL;
}

void loop_timer_set(loop_timer *t, double seconds) {
    if (seconds < 0) seconds = 0;
    if (seconds > 1e8) seconds = 1e8;
    struct timeval after = {.tv_sec = (time_t)seconds};
    after.tv_usec = (suseconds_t)((seconds - (double)after.tv_sec) * 1e6);
    evtimer_add(t->event, &after);
}

void loop_timer_stop(loop_timer *t) {
    evtimer_del(t->event);
}

void loop_timer_free(loop_timer *t) {
    if (!t) return;
    event_free(t->event);
    free(t);
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

struct event_base *loop_base(loop *l) {
    return l->base;
}

f5_status loop_new(loop **made, int threads, f5_error *error) {
    loop *l = calloc(1, sizeof *l);
    *made = l;
    if (!l) return f5_fail(error, F5_E_MEMORY, "no memory for a loop");
    l->last = &l->first;
    l->last_task = &l->tasks;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->some, NULL);
    l->base = event_base_new();
    l->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->base && l->bell >= 0) l->rung = event_new(l->base, l->bell, EV_READ | EV_PERSIST, take_posts, l);
    f5_status status = l->rung && event_add(l->rung, NULL) == 0
                           ? F5_OK
                           : f5_fail(error, F5_E_MEMORY, "the system gives no event loop");
    while (status == F5_OK && l->threads < threads && l->threads < MAX_THREADS) {
        if (pthread_create(&l->thread[l->threads], NULL, run_tasks, l) != 0) break;
        l->threads++;
    }
    if (status == F5_OK && l->threads == 0) status = f5_fail(error, F5_E_MEMORY, "the system gives no thread");
    if (status != F5_OK) {
        loop_free(l);
        *made = NULL;
    }
    return status;
}

/* Ends the threads when they have done all that waits. */
static void end_threads(loop *l) {
    pthread_mutex_lock(&l->lock);
    l->ending = true;
    pthread_cond_broadcast(&l->some);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->threads; i++) pthread_join(l->thread[i], NULL);
    l->threads = 0;
}

static bool has_posts(loop *l) {
    pthread_mutex_lock(&l->lock);
    bool some = l->first != NULL;
    pthread_mutex_unlock(&l->lock);
    return some;
}

void loop_settle(loop *l) {
    if (!l) return;
    end_threads(l);
    while (has_posts(l)) take_posts(l->bell, 0, l);
}

void loop_free(loop *l) {
    if (!l) return;
    end_threads(l);
    if (l->rung) event_free(l->rung);
    if (l->base) event_base_free(l->base);
    if (l->bell >= 0) close(l->bell);
    pthread_cond_destroy(&l->some);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

void loop_run(loop *l) {
    event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

void loop_stop(loop *l) {
    event_base_loopbreak(l->base);
}
