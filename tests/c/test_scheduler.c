/* test_scheduler.c — the laws of runtime/scheduler.h with a run that only pretends: who goes with whom, in what order,
 * what becomes of errors and cancellations. Run plain and under each sanitizer. */
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

#include "tests/c/scheduler_bench.h"
#include "tests/c/seed.h"

static void assert_batch(const bench *b, int k, int n, int first, int last) {
    assert_int_equal(b->batches[k].n, n);
    assert_int_equal(b->batches[k].first, first);
    assert_int_equal(b->batches[k].last, last);
}

/* ---- who goes with whom */

static void a_lone_call_runs_at_once(void **state) {
    (void)state;
    bench *b = bench_new(BATCH_FRAMES);
    for (int i = 0; i < 5; i++) {
        request r = {.bench = b, .call = {.sequences = 1, .frames = 10, .progress = hear}};
        serve(&r); /* on this thread, there is no other */
        assert_int_equal(r.status, F5_OK);
        assert_int_equal(r.steps_heard, STEPS);
        assert_int_equal(r.call.batch_sequences, 1);
        assert_true(r.call.wait_ms < 1000); /* it is interrupted on a busy machine */
    }
    scheduler_counts counts = scheduler_count(&b->s);
    assert_int_equal(counts.calls, 5);
    assert_int_equal(counts.batches, 5);
    assert_int_equal(counts.shared, 0);
    bench_free(b);
}

static void the_oldest_leads(void **state) {
    (void)state;
    bench *b = bench_new(BATCH_FRAMES);
    /* kinds of 1 .. 9:  a b a a c b a a a   at most four sequences a batch */
    static const int kinds[] = {0, 0, 1, 0, 0, 2, 1, 0, 0, 0};
    request r[10] = {0};
    for (int i = 0; i < 10; i++) {
        r[i].kind = kinds[i];
        r[i].call.frames = 10;
    }
    line_up(b, r, 9);
    assert_int_equal(b->n, 5);
    assert_batch(b, 1, 4, 1, 7); /* 1 3 4 7 */
    assert_batch(b, 2, 2, 2, 6); /* 2 6 */
    assert_batch(b, 3, 1, 5, 5);
    assert_batch(b, 4, 2, 8, 9);
    assert_int_equal(r[4].call.batch_sequences, 4);
    assert_int_equal(scheduler_count(&b->s).shared, 3);
    bench_free(b);
}

static void limits_of_a_batch(void **state) {
    (void)state;
    bench *b = bench_new(BATCH_FRAMES);
    /* 1 leads; 2 would be too many frames; 3 fits beside it; 4 has too many sequences; 5 fits. Then 2, which is larger
     * than any batch of several, by itself; then 4 with 6. */
    static const int32_t frames[] = {1, 60, 150, 30, 3, 10, 1}, sequences[] = {1, 1, 1, 2, 3, 1, 1};
    request r[7] = {0};
    for (int i = 0; i < 7; i++) r[i].call = (scheduler_call){.frames = frames[i], .sequences = sequences[i]};
    line_up(b, r, 6);
    assert_int_equal(b->n, 4);
    assert_batch(b, 1, 3, 1, 5);
    assert_batch(b, 2, 1, 2, 2);
    assert_batch(b, 3, 2, 4, 6);
    bench_free(b);
}

static void packing_nothing(void **state) {
    (void)state;
    bench *b = bench_new(1);
    request r[4] = {0};
    for (int i = 0; i < 4; i++) r[i].call.frames = 1;
    line_up(b, r, 3);
    assert_int_equal(b->n, 4);
    bench_free(b);
}

static void larger_than_the_limits(void **state) {
    (void)state;
    bench *b = bench_new(BATCH_FRAMES);
    request many = {.bench = b, .call = {.sequences = MAX_SEQUENCES + 1}};
    request wide = {.bench = b, .call = {.sequences = 1, .store_frames = STORE + 1}};
    serve(&many);
    serve(&wide);
    assert_int_equal(many.status, F5_E_LIMIT);
    assert_int_equal(wide.status, F5_E_LIMIT);
    assert_int_equal(b->n, 0);
    bench_free(b);
}

/* ---- callbacks, and the store */

static int inner_status;

static int call_again(void *user, int32_t step, int32_t steps) {
    (void)step, (void)steps;
    bench *b = user;
    request r = {.bench = b, .call = {.sequences = 1}};
    serve(&r);
    inner_status = r.status;
    assert_non_null(strstr(r.error.message, "callback"));
    return 0;
}

static void a_callback_that_calls_again(void **state) {
    (void)state;
    bench *b = bench_new(BATCH_FRAMES);
    scheduler_call call = {.sequences = 1, .progress = call_again, .progress_user = b};
    request r = {.call = call, .bench = b};
    assert_int_equal(scheduler_serve(&b->s, &r.call, NULL), F5_OK);
    assert_int_equal(inner_status, F5_E_ARGUMENT);
    /* and until it is released */
    request again = {.bench = b, .call = {.sequences = 1}};
    serve(&again);
    assert_int_equal(again.status, F5_E_ARGUMENT);
    scheduler_release(&b->s, &r.call);
    serve(&again);
    assert_int_equal(again.status, F5_OK);
    bench_free(b);
}

static void *serve_and_keep(void *user) {
    request *r = user;
    r->status = scheduler_serve(&r->bench->s, &r->call, NULL);
    atomic_store(&r->served, true);
    while (!atomic_load(&r->let_go)) nap();
    scheduler_release(&r->bench->s, &r->call);
    return NULL;
}

/* A call whose thread keeps its part of the store. */
static void keep_store(bench *b, request *r, pthread_t *thread, int id, int32_t frames) {
    *r = (request){.bench = b, .id = id, .call = {.sequences = 1, .store_frames = frames}};
    assert_int_equal(pthread_create(thread, NULL, serve_and_keep, r), 0);
    while (!atomic_load(&r->served)) nap();
    assert_int_equal(r->status, F5_OK);
}

static void let_go(request *r, pthread_t thread) {
    atomic_store(&r->let_go, true);
    pthread_join(thread, NULL);
}

static void a_store_is_its_owners_until_released(void **state) {
    (void)state;
    bench *b = bench_new(BATCH_FRAMES);
    static const int32_t frames[] = {80, 50, 70};
    request keepers[3], small, none = {.bench = b, .id = 21, .call = {.sequences = 1}};
    pthread_t threads[3], thread;
    for (int i = 0; i < 3; i++) keep_store(b, &keepers[i], &threads[i], 10 + i, frames[i]);
    assert_int_equal(keepers[0].call.store_at, 0);
    assert_int_equal(keepers[1].call.store_at, 80);
    assert_int_equal(keepers[2].call.store_at, 130);
    let_go(&keepers[1], threads[1]); /* a hole of 50 */
    keep_store(b, &small, &thread, 20, 50);
    assert_int_equal(small.call.store_at, 80);
    let_go(&small, thread);
    serve(&none);
    assert_int_equal(none.status, F5_OK);
    /* one that finds no room leads and waits; another behind it waits too; both go on when there is room */
    request waits[2] = {{.bench = b, .id = 22, .call = {.sequences = 1, .store_frames = 60}},
                        {.bench = b, .id = 23, .call = {.sequences = 1}}};
    pthread_t waiting[2];
    int before = atomic_load(&b->n);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&waiting[i], NULL, serve, &waits[i]), 0);
        while (scheduler_count(&b->s).waiting < i + 1) nap();
    }
    nap();
    assert_int_equal(b->n, before);
    let_go(&keepers[2], threads[2]);
    for (int i = 0; i < 2; i++) {
        pthread_join(waiting[i], NULL);
        assert_int_equal(waits[i].status, F5_OK);
    }
    assert_int_equal(waits[0].call.store_at, 80);
    for (int i = 0; i < 80; i++) assert_int_equal(b->store[i], 10); /* the first keeper's still */
    let_go(&keepers[0], threads[0]);
    bench_free(b);
}

/* ---- errors and cancellation */

static void too_large_together(void **state) {
    (void)state;
    bench *b = bench_new(BATCH_FRAMES);
    b->fail_above = 1;
    request r[4] = {0};
    line_up(b, r, 3);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(r[i].status, F5_OK);
        assert_int_equal(r[i].call.batch_sequences, 1);
    }
    assert_int_equal(b->n, 1 + 1 + 3); /* one by one after all */
    assert_int_equal(scheduler_count(&b->s).batches, 2);
    bench_free(b);

    b = bench_new(BATCH_FRAMES);
    b->fail_above = 1;
    b->fail_with = F5_E_MEMORY; /* call 2 even by itself */
    b->id_that_fails = 2;
    request again[4] = {0};
    line_up(b, again, 3);
    for (int i = 0; i < 4; i++) assert_int_equal(again[i].status, i == 2 ? F5_E_MEMORY : F5_OK);
    assert_string_equal(again[2].error.message, "it broke");
    assert_int_equal(again[2].error.status, F5_E_MEMORY);
    bench_free(b);
}

static void a_lost_device(void **state) {
    (void)state;
    bench *b = bench_new(BATCH_FRAMES);
    b->fail_with = F5_E_DEVICE;
    request r[8] = {0};
    for (int i = 0; i < 8; i++) r[i].kind = i == 3;
    line_up(b, r, 7);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(r[i].status, F5_E_DEVICE);
        assert_string_equal(r[i].error.message, "it broke");
    }
    assert_int_equal(b->n, 4); /* nobody was run again */
    bench_free(b);
}

static void cancelling(void **state) {
    (void)state;
    for (int who = 0; who < 16; who++) { /* every subset of a batch of four */
        bench *b = bench_new(BATCH_FRAMES);
        request r[5] = {0};
        for (int i = 1; i < 5; i++) {
            r[i].call.progress = hear;
            r[i].refuse_at = who >> (i - 1) & 1 ? 2 : 0;
        }
        line_up(b, r, 4);
        assert_batch(b, 1, 4, 1, 4);
        for (int i = 1; i < 5; i++) {
            assert_int_equal(r[i].status, r[i].refuse_at ? F5_E_CANCELLED : F5_OK);
            assert_int_equal(r[i].steps_heard, r[i].refuse_at ? 2 : STEPS);
            assert_false(r[i].wrong_thread || r[i].wrong_order);
        }
        /* call 0 ran before; a batch that nobody wants is over at once, any other to its end */
        assert_int_equal(atomic_load(&b->steps), STEPS + (who == 15 ? 2 : STEPS));
        bench_free(b);
    }
}

static void a_lone_call_is_over_when_cancelled(void **state) {
    (void)state;
    bench *b = bench_new(BATCH_FRAMES);
    request r = {.bench = b, .refuse_at = 1, .call = {.sequences = 1, .progress = hear}};
    serve(&r);
    assert_int_equal(r.status, F5_E_CANCELLED);
    assert_string_equal(r.error.message, "all cancelled"); /* the run was told */
    assert_int_equal(r.steps_heard, 1);
    bench_free(b);
}

/* Calls 1 to 3 wait for call 0; every subset of them is cancelled meanwhile, leaves before it ends, and is not run. */
static void cancelled_while_they_wait(void **state) {
    (void)state;
    for (int who = 1; who < 8; who++) {
        bench *b = bench_new(BATCH_FRAMES);
        request r[4] = {0};
        pthread_t threads[4];
        atomic_store(&b->hold, true);
        for (int i = 0; i < 4; i++) {
            r[i] = (request){.bench = b, .id = i, .call = {.sequences = 1, .progress = hear, .waits = wanted}};
            assert_int_equal(pthread_create(&threads[i], NULL, serve, &r[i]), 0);
            while (i == 0 ? !atomic_load(&b->running) : scheduler_count(&b->s).waiting < i) nap();
        }
        int left = 0;
        for (int i = 1; i < 4; i++) atomic_store(&r[i].unwanted, who >> (i - 1) & 1);
        for (int i = 1; i < 4; i++) {
            if (r[i].unwanted)
                pthread_join(threads[i], NULL);
            else
                left++;
        }
        assert_int_equal(scheduler_count(&b->s).waiting, left);
        atomic_store(&b->hold, false);
        for (int i = 0; i < 4; i++) {
            if (!r[i].unwanted) pthread_join(threads[i], NULL);
            assert_int_equal(r[i].status, r[i].unwanted ? F5_E_CANCELLED : F5_OK);
            assert_int_equal(r[i].steps_heard, r[i].unwanted ? 0 : STEPS);
            assert_false(r[i].wrong_thread || r[i].wrong_order);
            if (r[i].unwanted) assert_string_equal(r[i].error.message, "cancelled while it waited");
        }
        assert_int_equal(r[0].times_asked, 0); /* it had not to wait */
        assert_int_equal(atomic_load(&b->n), left ? 2 : 1);
        if (left) assert_int_equal(b->batches[1].n, left);
        assert_int_equal(atomic_load(&b->steps), left ? 2 * STEPS : STEPS);
        bench_free(b);
    }
}

static int wanted_while_held(void *user) {
    return !atomic_load(&((request *)user)->bench->hold);
}

/* One that nobody wants when its turn comes, and that was not asked since, is asked then. */
static void asked_before_it_leads(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        bench *b = bench_new(BATCH_FRAMES);
        request r[2] = {0};
        r[1].call.waits = wanted_while_held;
        line_up(b, r, 1);
        assert_int_equal(r[1].status, F5_E_CANCELLED);
        assert_int_equal(atomic_load(&b->n), 1);
        bench_free(b);
    }
}

/* One that leads and finds no room in the store leaves before there is any; the next one leads, and is run. */
static void cancelled_while_it_waits_for_the_store(void **state) {
    (void)state;
    bench *b = bench_new(BATCH_FRAMES);
    request keeper, r[2] = {{.id = 1, .call = {.store_frames = 1, .waits = wanted}}, {.id = 2}};
    pthread_t kept, threads[2];
    keep_store(b, &keeper, &kept, 0, STORE);
    for (int i = 0; i < 2; i++) {
        r[i].bench = b;
        r[i].call.sequences = 1;
        assert_int_equal(pthread_create(&threads[i], NULL, serve, &r[i]), 0);
        while (scheduler_count(&b->s).waiting < i + 1) nap();
    }
    atomic_store(&r[0].unwanted, true);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    assert_int_equal(r[0].status, F5_E_CANCELLED);
    assert_int_equal(r[1].status, F5_OK);
    assert_int_equal(atomic_load(&b->n), 2);
    let_go(&keeper, kept);
    bench_free(b);
}

static void all_hear_while_it_runs(void **state) {
    (void)state;
    bench *b = bench_new(BATCH_FRAMES);
    request r[4] = {0};
    r[3].call.progress = hear;
    b->listener = &r[3];
    line_up(b, r, 3);
    assert_batch(b, 1, 3, 1, 3);
    assert_int_equal(r[3].steps_heard, STEPS);
    bench_free(b);
}

static int last_only(void *user, int32_t step, int32_t steps) {
    *(int *)user += 100 * step + steps;
    return 0;
}

static f5_status run_deferred(void *user, scheduler_call *const *calls, int32_t n, f5_error *error) {
    (void)calls, (void)n, (void)error;
    return scheduler_step(user, 32, 32) ? F5_E_CANCELLED : F5_OK;
}

static void a_run_that_reports_its_end(void **state) {
    (void)state;
    scheduler s;
    scheduler_call *slots[1];
    int heard = 0;
    const scheduler_options options = {
        .max_sequences = 1, .batch_frames = 1, .together = together, .run = run_deferred, .user = &s};
    assert_int_equal(scheduler_init(&s, &options, slots, NULL), F5_OK);
    scheduler_call call = {.sequences = 1, .progress = last_only, .progress_user = &heard};
    assert_int_equal(scheduler_serve(&s, &call, NULL), F5_OK);
    scheduler_release(&s, &call);
    assert_int_equal(heard, 3232);
    scheduler_destroy(&s);
}

/* ---- all at once */

typedef struct {
    bench *b;
    uint64_t state;
    int id, served, cancelled, wrong;
} client;

static int pick(client *c, int32_t below) {
    return random_below(&c->state, below);
}

enum { CLIENTS = 12, CALLS = 300 };

static void *be_client(void *user) {
    client *c = user;
    for (int i = 0; i < CALLS; i++) {
        request r = {.bench = c->b, .id = c->id, .kind = pick(c, 3), .owner = pthread_self()};
        r.call.sequences = 1 + pick(c, 2);
        r.call.frames = 1 + pick(c, 60);
        r.call.store_frames = pick(c, 2) ? 1 + pick(c, STORE / 2) : 0;
        r.call.progress = pick(c, 2) ? hear : NULL;
        r.call.progress_user = &r;
        r.refuse_at = pick(c, 4) == 0 ? 1 + pick(c, STEPS) : 0;
        f5_status status = scheduler_serve(&c->b->s, &r.call, &r.error);
        bool refused = r.call.progress && r.refuse_at;
        if (status != (refused ? F5_E_CANCELLED : F5_OK)) c->wrong++;
        if (r.call.progress && r.steps_heard != (refused ? r.refuse_at : STEPS)) c->wrong++;
        if (r.wrong_thread || r.wrong_order) c->wrong++;
        c->served += status == F5_OK;
        c->cancelled += status == F5_E_CANCELLED;
        if (status != F5_OK) continue;
        for (int32_t f = 0; f < r.call.store_frames; f++) {
            if (c->b->store[r.call.store_at + f] != c->id) c->wrong++;
        }
        if (pick(c, 20) == 0) nap();
        scheduler_release(&c->b->s, &r.call);
    }
    return NULL;
}

static void a_crowd(void **state) {
    (void)state;
    bench *b = bench_new(BATCH_FRAMES);
    uint64_t seed = random_seed();
    client clients[CLIENTS];
    pthread_t threads[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (client){.b = b, .id = i + 1, .state = seed + (uint64_t)i};
        assert_int_equal(pthread_create(&threads[i], NULL, be_client, &clients[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(clients[i].wrong, 0);
        assert_int_equal(clients[i].served + clients[i].cancelled, CALLS);
    }
    scheduler_counts counts = scheduler_count(&b->s);
    assert_int_equal(counts.calls, CLIENTS * CALLS);
    assert_true(counts.shared > 0);
    bench_free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_call_runs_at_once),
        cmocka_unit_test(the_oldest_leads),
        cmocka_unit_test(limits_of_a_batch),
        cmocka_unit_test(packing_nothing),
        cmocka_unit_test(larger_than_the_limits),
        cmocka_unit_test(a_callback_that_calls_again),
        cmocka_unit_test(a_store_is_its_owners_until_released),
        cmocka_unit_test(too_large_together),
        cmocka_unit_test(a_lost_device),
        cmocka_unit_test(cancelling),
        cmocka_unit_test(a_lone_call_is_over_when_cancelled),
        cmocka_unit_test(cancelled_while_they_wait),
        cmocka_unit_test(asked_before_it_leads),
        cmocka_unit_test(cancelled_while_it_waits_for_the_store),
        cmocka_unit_test(all_hear_while_it_runs),
        cmocka_unit_test(a_run_that_reports_its_end),
        cmocka_unit_test(a_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
