/* context.c — the instruction sets of this build, best first, and which of them the CPU has. */
#include "kernels/cpu/context.h"

#include <string.h>

/* kernels/cpu/ops.c, as compiled for each set */
extern const cpu_ops cpu_op_table;
#ifdef F5_CPU_X86_SETS
extern const cpu_ops cpu_op_table_avx2, cpu_op_table_avx512;
#endif

#if defined(__x86_64__)
#define PLAIN_SET "sse2"
#elif defined(__aarch64__)
#define PLAIN_SET "neon"
#else
#define PLAIN_SET "plain"
#endif

static bool always(void) {
    return true;
}

/* The compiler's tests ask the operating system too, whether it keeps the registers. They name what
 * cmake/CpuSets.cmake compiles the set with. */
#ifdef F5_CPU_X86_SETS
static bool has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

static const struct {
    const char *name;
    bool (*runs_here)(void);
    const cpu_ops *ops;
} sets[] = {
#ifdef F5_CPU_X86_SETS
    {"avx512", has_avx512, &cpu_op_table_avx512},
    {"avx2", has_avx2, &cpu_op_table_avx2},
#endif
    {PLAIN_SET, always, &cpu_op_table},
};

static f5_status choose_set(cpu_context *c, const char *name, f5_error *error) {
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        if (name && strcmp(name, sets[i].name) != 0) continue;
        if (sets[i].runs_here()) {
            c->set = sets[i].name;
            c->ops = sets[i].ops;
            return F5_OK;
        }
        if (name) return f5_fail(error, F5_E_DEVICE, "device 'cpu:%s': this CPU has no %s; use 'cpu'", name, name);
    }
    return f5_fail(error, F5_E_ARGUMENT, "device 'cpu:%.32s': this build has no such instruction set; use 'cpu'", name);
}

f5_status cpu_context_open(cpu_context *c, int threads, const char *set, f5_error *error) {
    *c = (cpu_context){0};
    F5_TRY(choose_set(c, set, error));
    c->pool = pool_open(threads > 0 ? threads : pool_cpus(), CPU_SCRATCH_BYTES);
    if (!c->pool) return f5_fail(error, F5_E_MEMORY, "no memory for the threads' scratch: ask for fewer threads");
    return F5_OK;
}

void cpu_context_close(cpu_context *c) {
    pool_close(c->pool);
    *c = (cpu_context){0};
}
