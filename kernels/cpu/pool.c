/* pool.c — one word says which loop runs and how much of it is unclaimed; threads wait on two futexes.
 *
 * `ticket` holds the number of the loop and the count of its unclaimed items. A claim is a compare-and-swap on it: if
 * that succeeds, the loop it names still had unclaimed items, so its description (task, user, items, grain) was still
 * in place when it was read. The next loop is described only when all items of this one are done. A late thread may
 * read the next description beside this loop's ticket. That does no harm, because the ticket of a loop without
 * unclaimed items says so by itself: nothing in a description can make it claimable.
 * Waiting is Linux's futex and not a condition variable: a futex has no state that a fork could break. */
#define _GNU_SOURCE
#include "kernels/cpu/pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The ops of a synthesis follow each other within some 10 us. A thread that slept would take 50 us to come back. */
#define SPIN_NS 30000

/* Of a thread; ops take a few KB of it, sanitizers more. */
#define STACK_BYTES (512 << 10)

#define LINE 64

typedef struct {
    cpu_pool *pool;
    pthread_t id;
    void *scratch;
} pool_thread;

struct cpu_pool {
    _Atomic uint64_t ticket; /* number of the loop << 32 | unclaimed items */
    _Atomic(pool_task) task;
    _Atomic(const void *) user;
    _Atomic int32_t items, grain;

    _Alignas(LINE) _Atomic uint32_t done; /* items; the caller's futex */
    atomic_bool caller_sleeps;

    _Alignas(LINE) _Atomic uint32_t bell; /* number of the loop; the threads' futex */
    _Atomic int32_t sleepers;
    atomic_bool closing;

    pid_t pid; /* the process that has the threads */
    int threads;
    size_t bytes;
    uint8_t *scratch;
    pool_thread thread[]; /* [threads]; the first is the caller */
};

/* ---- waiting ---------------------------------------------------------------------------------------------------- */

static void futex_wait(_Atomic uint32_t *word, uint32_t value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void spin_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Spins until (*word == value) == until, or time is up. */
static void spin(const _Atomic uint32_t *word, uint32_t value, bool until) {
    const int64_t end = now_ns() + SPIN_NS;
    do {
        for (int i = 0; i < 32; i++) {
            if ((atomic_load_explicit(word, memory_order_relaxed) == value) == until) return;
            spin_pause();
        }
    } while (now_ns() < end);
}

/* The number of the next loop after the one numbered `seen`. */
static uint32_t wait_for_bell(cpu_pool *p, uint32_t seen) {
    spin(&p->bell, seen, false);
    uint32_t bell = atomic_load(&p->bell);
    if (bell != seen) return bell;
    atomic_fetch_add(&p->sleepers, 1);
    while ((bell = atomic_load(&p->bell)) == seen) futex_wait(&p->bell, seen);
    atomic_fetch_sub(&p->sleepers, 1);
    return bell;
}

static void ring_bell(cpu_pool *p, uint32_t number, int wanted) {
    atomic_store(&p->bell, number);
    if (atomic_load(&p->sleepers) > 0) futex_wake(&p->bell, wanted);
}

static void wait_for_done(cpu_pool *p, uint32_t items) {
    spin(&p->done, items, true);
    if (atomic_load(&p->done) == items) return;
    atomic_store(&p->caller_sleeps, true);
    for (uint32_t done; (done = atomic_load(&p->done)) != items;) futex_wait(&p->done, done);
    atomic_store(&p->caller_sleeps, false);
}

/* ---- working ---------------------------------------------------------------------------------------------------- */

/* Claims items of the present loop until none is left. */
static void work(cpu_pool *p, void *scratch) {
    uint64_t ticket = atomic_load(&p->ticket);
    for (int32_t left; (left = (int32_t)(uint32_t)ticket) > 0;) {
        const pool_task task = atomic_load_explicit(&p->task, memory_order_relaxed);
        const void *user = atomic_load_explicit(&p->user, memory_order_relaxed);
        const int32_t items = atomic_load_explicit(&p->items, memory_order_relaxed);
        const int32_t grain = atomic_load_explicit(&p->grain, memory_order_relaxed);
        const int32_t begin = items - left, count = left < grain ? left : grain;
        if (!atomic_compare_exchange_strong(&p->ticket, &ticket, ticket - (uint32_t)count)) continue;

        task(user, begin, begin + count, scratch);
        const uint32_t done = atomic_fetch_add(&p->done, (uint32_t)count) + (uint32_t)count;
        if (done == (uint32_t)items && atomic_load(&p->caller_sleeps)) futex_wake(&p->done, 1);
        ticket = atomic_load(&p->ticket);
    }
}

static void *thread_main(void *user) {
    const pool_thread *t = user;
    uint32_t seen = 0;
    for (;;) {
        seen = wait_for_bell(t->pool, seen);
        if (atomic_load(&t->pool->closing)) return NULL;
        work(t->pool, t->scratch);
    }
}

int pool_threads(const cpu_pool *p) {
    return p->pid == getpid() ? p->threads : 1;
}

size_t pool_bytes(const cpu_pool *p) {
    return p->bytes;
}

void pool_run(cpu_pool *p, int32_t items, int32_t grain, pool_task task, const void *user) {
    if (items <= 0) return;
    if (items <= grain || pool_threads(p) == 1) {
        task(user, 0, items, p->scratch);
        return;
    }
    atomic_store_explicit(&p->task, task, memory_order_relaxed);
    atomic_store_explicit(&p->user, user, memory_order_relaxed);
    atomic_store_explicit(&p->items, items, memory_order_relaxed);
    atomic_store_explicit(&p->grain, grain, memory_order_relaxed);
    atomic_store_explicit(&p->done, 0, memory_order_relaxed);
    const uint32_t number = (uint32_t)(atomic_load(&p->ticket) >> 32) + 1;
    atomic_store(&p->ticket, (uint64_t)number << 32 | (uint32_t)items);
    ring_bell(p, number, (items - 1) / grain); /* as many as there are claims beside the caller's first */
    work(p, p->scratch);
    wait_for_done(p, (uint32_t)items);
}

/* ---- open and close --------------------------------------------------------------------------------------------- */

int pool_cpus(void) {
    /* a mask too small for the machine is refused: take larger ones */
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
        cpu_set_t *mask = CPU_ALLOC(cpus);
        if (!mask) return 1;
        const size_t bytes = CPU_ALLOC_SIZE(cpus);
        const int known = sched_getaffinity(0, bytes, mask) == 0 ? CPU_COUNT_S(bytes, mask) : 0;
        CPU_FREE(mask);
        if (known > 0) return known < POOL_MAX_THREADS ? known : POOL_MAX_THREADS;
    }
    return 1;
}

/* Signals that a thread brings on itself stay open: if they are blocked, the process dies without the report of a
 * sanitizer or of the caller's handler. */
static void signals_to_block(sigset_t *set) {
    static const int own_fault[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    sigfillset(set);
    for (size_t i = 0; i < sizeof own_fault / sizeof *own_fault; i++) sigdelset(set, own_fault[i]);
}

/* Makes threads until there are as many as wanted or the system refuses. */
static void start_threads(cpu_pool *p, int threads) {
    sigset_t blocked, before;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return;
    signals_to_block(&blocked);
    if (pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0 &&
        pthread_sigmask(SIG_SETMASK, &blocked, &before) == 0) {
        while (p->threads < threads) {
            pool_thread *t = &p->thread[p->threads];
            if (pthread_create(&t->id, &attributes, thread_main, t) != 0) break;
            p->threads++;
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attributes);
}

cpu_pool *pool_open(int threads, size_t scratch_bytes) {
    if (threads < 1) threads = 1;
    if (threads > POOL_MAX_THREADS) threads = POOL_MAX_THREADS;
    const size_t each = (scratch_bytes + LINE - 1) / LINE * LINE;
    const size_t head = (sizeof(cpu_pool) + (size_t)threads * sizeof(pool_thread) + LINE - 1) / LINE * LINE;
    const size_t bytes = head + (size_t)threads * each;
    cpu_pool *p = aligned_alloc(LINE, bytes);
    if (!p) return NULL;
    *p = (cpu_pool){.pid = getpid(), .threads = 1, .bytes = bytes, .scratch = (uint8_t *)p + head};
    for (int i = 0; i < threads; i++) p->thread[i] = (pool_thread){.pool = p, .scratch = p->scratch + (size_t)i * each};
    start_threads(p, threads);
    return p;
}

void pool_close(cpu_pool *p) {
    if (!p) return;
    if (pool_threads(p) > 1) {
        atomic_store(&p->closing, true);
        ring_bell(p, atomic_load(&p->bell) + 1, p->threads);
        for (int i = 1; i < p->threads; i++) pthread_join(p->thread[i].id, NULL);
    }
    free(p);
}
