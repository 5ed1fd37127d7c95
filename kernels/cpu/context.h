/* context.h — what every op is given on the CPU besides its arguments: threads, scratch memory, an instruction set.
 *
 * The files of the ops, kernels/cpu/gemm.c and fft.c are compiled once for each instruction set (cmake/CpuSets.cmake),
 * and a context runs those of one set, chosen at open. With one set, a result is the same bits with any number
 * of threads, and on every machine whose libm is the same: expf, logf and sincosf are libm's, and glibc takes versions
 * of its own for CPUs with FMA, which the set sse2 meets on both kinds. Between sets sums are taken in other groups,
 * and only some sets round once for a multiply-add: results differ by a few units in the last place. */
#ifndef F5_CPU_CONTEXT_H
#define F5_CPU_CONTEXT_H

#include <stdbool.h>

#include "kernels/cpu/pool.h"
#include "kernels/error.h"
#include "kernels/op_list.h"

/* What a thread may use while it runs a task: the largest op's (conv_pos), and each op asserts that it fits. */
#define CPU_SCRATCH_BYTES (640 << 10)

/* The ops as compiled for one instruction set. */
typedef struct {
#define CPU_OP(name) f5_status (*name)(cpu_context * c, const name##_args *a);
    OPS_LIST(CPU_OP)
#undef CPU_OP
} cpu_ops;

typedef struct cpu_context {
    const cpu_ops *ops;
    const char *set; /* "avx512", "avx2", "sse2"; "neon"; "plain" */
    cpu_pool *pool;
} cpu_context;

/* threads: 0 is one for each CPU that the calling thread may run on. set: NULL is the best that this CPU has.
 * F5_E_ARGUMENT: no such set in this build, F5_E_DEVICE: this CPU lacks it, F5_E_MEMORY. *c is a caller's struct; on
 * failure it needs no close. Threads that the system refuses are done without. */
f5_status cpu_context_open(cpu_context *c, int threads, const char *set, f5_error *error);
void cpu_context_close(cpu_context *c);

/* task(user, begin, end, scratch) over [0, items), shared by the threads in claims of `grain` items (pool.h). */
static inline void cpu_parallel(const cpu_context *c, int64_t items, int32_t grain, pool_task task, const void *user) {
    pool_run(c->pool, (int32_t)items, grain, task, user);
}

/* Items worth a claim, given the elements that one item computes: some 10 us. */
static inline int32_t cpu_grain(int64_t elements) {
    return elements < 16384 ? (int32_t)(16384 / (elements > 0 ? elements : 1)) : 1;
}

#endif
