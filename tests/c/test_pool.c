/* test_pool.c — every item of a loop is done once, whatever threads there are; results written by one loop are seen by
 * the next. Under the thread sanitizer this is also the proof that the pool's waiting is understood.
 *
 * The pool is compiled into this file, so that a test can hold a thread back in front of the stores that others see. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static atomic_bool hesitates;

static void hesitate(void) {
    static _Thread_local unsigned turn;
    if (atomic_load(&hesitates) && ++turn % 3 == 0) nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
}

#undef atomic_store
#define atomic_store(object, value)                                                                                    \
    do {                                                                                                               \
        hesitate();                                                                                                    \
        atomic_store_explicit(object, value, memory_order_seq_cst);                                                    \
    } while (0)
/* the library's own are linked too */
#define pool_cpus hesitant_pool_cpus
#define pool_open hesitant_pool_open
#define pool_close hesitant_pool_close
#define pool_threads hesitant_pool_threads
#define pool_bytes hesitant_pool_bytes
#define pool_run hesitant_pool_run
#include "kernels/cpu/pool.c"

enum { MAX_ITEMS = 4000 };

typedef struct {
    int32_t *in, *out;
} job;

/* out = in + 1; plain memory, so a loop that is left too early is a race. */
static void add_one(const void *user, int32_t begin, int32_t end, void *scratch) {
    const job *j = user;
    memset(scratch, begin & 0xff, 64);
    for (int32_t i = begin; i < end; i++) j->out[i] = j->in[i] + 1;
}

static void check_loops(cpu_pool *p, int loops) {
    int32_t *a = calloc(MAX_ITEMS, sizeof *a), *b = calloc(MAX_ITEMS, sizeof *b);
    for (int i = 0; i < loops; i++) {
        const int32_t items = rand() % MAX_ITEMS + (i % 7 == 0 ? 0 : 1), grain = 1 + rand() % (i % 3 ? 9 : 700);
        const job forth = {a, b}, back = {b, a};
        for (int32_t k = 0; k < MAX_ITEMS; k++) a[k] = k, b[k] = -1;
        pool_run(p, items, grain, add_one, &forth);
        pool_run(p, items, grain, add_one, &back);
        for (int32_t k = 0; k < MAX_ITEMS; k++)
            if (a[k] != (k < items ? k + 2 : k)) fail_msg("item %d of %d by %d: %d", k, items, grain, a[k]);
        if (i % 50 == 0) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); /* the threads fall asleep */
    }
    free(a);
    free(b);
}

static void test_every_item_once(void **state) {
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        cpu_pool *p = pool_open(threads, 64);
        assert_non_null(p);
        assert_int_equal(pool_threads(p), threads);
        check_loops(p, 400);
        pool_close(p);
    }
    pool_close(NULL);
}

typedef struct {
    int32_t items;
    atomic_int *times;
} count_job;

static void count_item(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)scratch;
    const count_job *j = user;
    assert_true(begin >= 0 && end <= j->items);
    for (int32_t i = begin; i < end; i++) atomic_fetch_add_explicit(&j->times[i], 1, memory_order_relaxed);
}

/* A thread may come so late to a loop that the caller is just describing the next, longer one. */
static void test_threads_that_come_late(void **state) {
    (void)state;
    enum { ITEMS = 64, LOOPS = 2000 };
    static atomic_int times[ITEMS];
    atomic_store(&hesitates, true);
    for (int threads = 2; threads <= 4; threads++) {
        cpu_pool *p = pool_open(threads, 64);
        assert_non_null(p);
        for (int i = 0; i < LOOPS; i++) {
            const count_job count = {i % 2 ? 2 : 3 + rand() % (ITEMS - 2), times};
            pool_run(p, count.items, 1, count_item, &count);
            for (int32_t k = 0; k < ITEMS; k++) {
                const int done = atomic_exchange(&times[k], 0);
                if (done != (k < count.items))
                    fail_msg("loop %d: item %d of %d done %d times", i, k, count.items, done);
            }
        }
        pool_close(p);
    }
    atomic_store(&hesitates, false);
}

static void test_child_works_alone(void **state) {
    (void)state;
    cpu_pool *p = pool_open(3, 64);
    assert_non_null(p);
    check_loops(p, 3);
    const pid_t child = fork();
    if (child == 0) {
        if (pool_threads(p) != 1) _exit(1);
        check_loops(p, 10);
        pool_close(p);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(pool_threads(p), 3);
    check_loops(p, 3);
    pool_close(p);
}

static void fault(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)begin, (void)end, (void)scratch;
    const pthread_t *caller = user;
    char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!pthread_equal(pthread_self(), *caller)) *(volatile char *)page = 1;
    for (;;) pause();
}

static void exit_7(int signal) {
    (void)signal;
    _exit(7);
}

/* The caller's handler sees a fault on a thread of the pool. */
static void test_faults_are_reported(void **state) {
    (void)state;
    const pid_t child = fork();
    if (child == 0) {
        alarm(120);
        signal(SIGSEGV, exit_7);
        cpu_pool *p = pool_open(2, 64);
        const pthread_t caller = pthread_self();
        pool_run(p, 2, 1, fault, &caller);
        _exit(1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static void test_limits(void **state) {
    (void)state;
    assert_true(pool_cpus() >= 1 && pool_cpus() <= POOL_MAX_THREADS);
    cpu_pool *p = pool_open(-3, 1);
    assert_non_null(p);
    assert_int_equal(pool_threads(p), 1);
    pool_close(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_item_once),
                                       cmocka_unit_test(test_threads_that_come_late),
                                       cmocka_unit_test(test_child_works_alone),
                                       cmocka_unit_test(test_faults_are_reported), cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
