/* pool.h — threads of the engine's own: they share out the items of one loop, and sleep between loops.
 *
 *   pool_run(pool, items, grain, task, user)     task(user, begin, end, scratch) over [0, items), every item once
 *
 * The calling thread works too, and a thread claims `grain` items at a time from one counter. A thread that the system
 * holds back therefore delays only the items that it has claimed. Which thread gets which items is left to chance: a
 * task's result must not depend on it.
 *
 * Threads are made at open and joined at close. If the system refuses some of them, the pool has fewer, at worst the
 * calling thread alone. A thread that waits spins for SPIN_NS and then sleeps. Signals are blocked in the pool's
 * threads, so a handler of the caller's does not run on their small stacks; only those that report a fault of the
 * thread's own (SIGSEGV, SIGBUS and the like) are not. A child made by fork has none of its parent's
 * threads: there pool_run does everything on the calling thread. One thread at a time may call pool_run. */
#ifndef F5_CPU_POOL_H
#define F5_CPU_POOL_H

#include <stddef.h>
#include <stdint.h>

#define POOL_MAX_THREADS 256

typedef struct cpu_pool cpu_pool;

/* Items [begin, end), by one thread. scratch: that thread's own memory, as many bytes as the pool was opened with,
 * aligned to 64, of no certain content. */
typedef void (*pool_task)(const void *user, int32_t begin, int32_t end, void *scratch);

/* The CPUs that the calling thread may run on, at most POOL_MAX_THREADS. */
int pool_cpus(void);

/* A pool of at most `threads` threads, the caller's included; NULL: no memory. */
cpu_pool *pool_open(int threads, size_t scratch_bytes);
void pool_close(cpu_pool *p); /* NULL is fine */

/* Threads that share a loop here: 1 in a child of the process that opened the pool. */
int pool_threads(const cpu_pool *p);

/* Bytes held: scratch and what belongs to it. */
size_t pool_bytes(const cpu_pool *p);

void pool_run(cpu_pool *p, int32_t items, int32_t grain, pool_task task, const void *user);

#endif
