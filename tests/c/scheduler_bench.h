/* scheduler_bench.h — a scheduler whose run only pretends, and threads that line up at it. */
#ifndef F5_TEST_SCHEDULER_BENCH_H
#define F5_TEST_SCHEDULER_BENCH_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "runtime/scheduler.h"

enum { MAX_SEQUENCES = 4, BATCH_FRAMES = 100, STORE = 200, MAX_BATCHES = 20000, STEPS = 3 };

typedef struct {
    scheduler_call call; /* first */
    int kind, id;
    f5_status status;
    f5_error error;
    pthread_t owner;
    int refuse_at; /* a step, or 0 */
    atomic_int steps_heard;
    bool wrong_thread, wrong_order;
    atomic_bool served, let_go; /* serve_and_keep */
    atomic_bool unwanted;       /* what `wanted` says */
    atomic_int times_asked;
    struct bench *bench;
} request;

/* A scheduler, and what its run was given. */
typedef struct bench {
    scheduler s;
    scheduler_call *slots[MAX_SEQUENCES];
    atomic_bool hold, running; /* run waits while hold is set */
    atomic_int n, steps;       /* batches, and steps of all of them */
    struct {
        int n, first, last; /* calls, and their ids */
    } batches[MAX_BATCHES];
    int fail_above; /* batches of more calls are too large for memory */
    f5_status fail_with;
    int id_that_fails;
    request *listener;           /* whom the run waits for after its first step, for ten seconds at most */
    bool overlap, torn, unheard; /* laws broken inside run */
    uint8_t store[STORE];
} bench;

static void nap(void) {
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

static bool together(const scheduler_call *a, const scheduler_call *b) {
    return ((const request *)a)->kind == ((const request *)b)->kind;
}

static f5_status run(void *user, scheduler_call *const *calls, int32_t n, f5_error *error) {
    bench *b = user;
    if (atomic_exchange(&b->running, true)) b->overlap = true;
    int sequences = 0, frames = 0, k = atomic_load(&b->n);
    for (int32_t i = 0; i < n; i++) {
        const request *r = (const request *)calls[i];
        sequences += r->call.sequences;
        frames += r->call.frames;
        if (r->kind != ((const request *)calls[0])->kind) b->torn = true;
        memset(b->store + r->call.store_at, r->id & 255, (size_t)r->call.store_frames);
    }
    if (n > 1 && (sequences > MAX_SEQUENCES || frames > BATCH_FRAMES)) b->torn = true;
    if (k < MAX_BATCHES) {
        b->batches[k].n = n;
        b->batches[k].first = ((const request *)calls[0])->id;
        b->batches[k].last = ((const request *)calls[n - 1])->id;
    }
    atomic_store(&b->n, k + 1);
    f5_status status = F5_OK;
    if (b->fail_above && n > b->fail_above)
        status = f5_fail(error, F5_E_MEMORY, "%d are too many", n);
    else if (b->fail_with && (b->id_that_fails < 0 || b->id_that_fails == ((const request *)calls[0])->id))
        status = f5_fail(error, b->fail_with, "it broke");
    for (int step = 1; step <= STEPS && status == F5_OK; step++) {
        atomic_fetch_add(&b->steps, 1);
        if (scheduler_step(&b->s, step, STEPS)) status = f5_fail(error, F5_E_CANCELLED, "all cancelled");
        bool wait = b->listener && n > 1;
        for (int i = 0; wait && i < 50000 && atomic_load(&b->listener->steps_heard) == 0; i++) nap();
        if (wait && atomic_load(&b->listener->steps_heard) == 0) b->unheard = true;
    }
    while (atomic_load(&b->hold)) nap();
    atomic_store(&b->running, false);
    return status;
}

static bench *bench_new(int32_t batch_frames) {
    bench *b = calloc(1, sizeof *b);
    const scheduler_options options = {.max_sequences = MAX_SEQUENCES,
                                       .batch_frames = batch_frames,
                                       .store_frames = STORE,
                                       .together = together,
                                       .run = run,
                                       .user = b};
    b->id_that_fails = -1;
    assert_non_null(b);
    assert_int_equal(scheduler_init(&b->s, &options, b->slots, NULL), F5_OK);
    return b;
}

static void bench_free(bench *b) {
    assert_false(b->overlap);
    assert_false(b->torn);
    assert_false(b->unheard);
    assert_int_equal(scheduler_count(&b->s).waiting, 0);
    assert_null(b->s.active);
    scheduler_destroy(&b->s);
    free(b);
}

static int hear(void *user, int32_t step, int32_t steps) {
    request *r = user;
    int heard = atomic_fetch_add(&r->steps_heard, 1) + 1;
    if (!pthread_equal(r->owner, pthread_self())) r->wrong_thread = true;
    if (step != heard || steps != STEPS) r->wrong_order = true;
    return step == r->refuse_at;
}

static int wanted(void *user) {
    request *r = user;
    atomic_fetch_add(&r->times_asked, 1);
    if (!pthread_equal(r->owner, pthread_self())) r->wrong_thread = true;
    return atomic_load(&r->unwanted);
}

static void *serve(void *user) {
    request *r = user;
    r->owner = pthread_self();
    r->call.progress_user = r;
    r->status = scheduler_serve(&r->bench->s, &r->call, &r->error);
    if (r->status == F5_OK) scheduler_release(&r->bench->s, &r->call);
    return NULL;
}

/* Keeps the bench busy with call 0 while calls 1 .. n line up in that order, then lets them go. */
static void line_up(bench *b, request *r, int n) {
    pthread_t threads[64];
    assert_true(n < 64);
    atomic_store(&b->hold, true);
    for (int i = 0; i <= n; i++) {
        r[i].bench = b;
        r[i].id = i;
        if (r[i].call.sequences == 0) r[i].call.sequences = 1;
        assert_int_equal(pthread_create(&threads[i], NULL, serve, &r[i]), 0);
        while (i == 0 ? !atomic_load(&b->running) : scheduler_count(&b->s).waiting < i) nap();
    }
    atomic_store(&b->hold, false);
    for (int i = 0; i <= n; i++) pthread_join(threads[i], NULL);
}

#endif
