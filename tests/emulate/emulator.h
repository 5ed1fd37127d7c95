/* emulator.h — CUDA kernels on the CPU: a block's threads are fibers of one operating system thread, which change
 * places at barriers, shuffles and other steps that a warp takes together. Blocks run one after the other.
 *
 * What is found: reads and writes outside a tensor or an array, misaligned vectors, barriers and shuffles that not all
 * reach, launches that no device takes, memory that was never written (it holds NaN), and races: the fibers run
 * forward, backward or in random order, asynchronous copies land late, at once or by chance, and results must not
 * depend on it. The first fault ends the launch with a message. What Hopper has beyond that is hopper.h. */
#ifndef F5_EMULATOR_H
#define F5_EMULATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    unsigned int x, y, z;
} emulator_index;

/* Where the running fiber is. CUDA's names are C's here. */
extern emulator_index threadIdx, blockIdx, blockDim, gridDim;

/* Runs body(user) as every thread of a grid. The fault, or NULL; it stays until emulator_take_fault. */
const char *emulator_launch(emulator_index grid, emulator_index block, size_t dynamic_bytes, void (*body)(void *user),
                            void *user);
const char *emulator_fault(void);
void emulator_take_fault(char *to, size_t room); /* "" where there is none */

/* 0 forward and late copies, 1 backward and copies at once, others: random orders by that seed. */
void emulator_order(uint64_t order);
uint64_t emulator_launches(void); /* since the library was loaded */

/* What the next launch may ask for beyond 48 KB. */
void emulator_allow_shared(size_t dynamic_bytes);

/* ---- memory: [bytes] from a multiple of 16 to the last 16 bytes of a page; beyond it nothing can be touched */
void *emulator_alloc(size_t bytes);
/* False: bytes around it have been written. Freed either way. */
bool emulator_free(void *memory);
bool emulator_holds_poison(const char *p, size_t n); /* which fresh memory holds */

/* ---- from kernels */

__attribute__((noreturn)) void emulator_fail(const char *file, int line, const char *what);

/* The block's array of the declaration at this place: the same for all its threads, poisoned, canaries around it. */
void *emulator_shared(const char *file, int line, size_t bytes, size_t alignment);
void *emulator_dynamic_shared(size_t alignment); /* no further aligned than it must be */
uint32_t emulator_shared_address(const void *p);
void *emulator_shared_at(uint32_t address, size_t bytes);

void emulator_barrier(const char *file, int line, int id, int threads); /* id 0: all threads that have not left */
void emulator_arrive(const char *file, int line, int id, int threads);
/* Shows `mine` to the warp and returns what its lanes show, EMULATOR_SLOT apart, until the warp's next step but one. */
#define EMULATOR_SLOT 64
const char *emulator_exchange(const char *file, int line, unsigned int mask, const void *mine, size_t bytes);

/* cp.async: of 8 or 16 bytes, or zeros where `from` is NULL. */
void emulator_copy(void *to, const void *from, int bytes);
void emulator_copy_commit(void);
void emulator_copy_wait(int pending);

/* ---- steps(of) of at most EMULATOR_STEP bytes, done late, at once or by chance */
#define EMULATOR_STEP 192
typedef void (*emulator_step)(const void *of);
/* One of the block: late is when nothing else can go on. Whoever waits for what it does waits by emulator_wait. */
void emulator_later(emulator_step step, const void *of, size_t bytes);
/* Until emulator_wake of the same thing, or no reason at all: the caller looks again. */
void emulator_wait(const char *file, int line, const void *thing);
void emulator_wake(const void *thing);
/* One of the thread: late is when it waits for the group that the next commit closes. */
void emulator_product(emulator_step step, const void *of, size_t bytes);
void emulator_product_commit(void);
void emulator_product_wait(int pending);

#ifdef __cplusplus
}
#endif
#endif
