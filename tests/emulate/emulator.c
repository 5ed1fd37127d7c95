/* emulator.c — the fibers of a block, their barriers, its shared memory, and the faults that end a launch. */
#define _GNU_SOURCE
#include "tests/emulate/emulator.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if !defined(__x86_64__)
#error "the fibers are switched in x86-64's own instructions"
#endif

enum { THREADS = 1024, WARP = 32, STACK = 128 << 10, NAMED = 16, SHARED = 256 << 10, CANARY = 256, STATICS = 16 };
enum { MOST_ALIGNED = 1024 };
enum { SHARED_DEFAULT = 48 << 10, SHARED_MAX = 227 << 10 };
enum wait { RUNS, AT_WARP, AT_BARRIER, AT_THING, LEFT };

typedef struct {
    char *to;
    const char *from; /* NULL: zeros */
    int bytes, group;
} late_copy;

/* A step that is done later than it is asked for. */
typedef struct {
    emulator_step step;
    int group;
    _Alignas(16) char of[EMULATOR_STEP];
} late_step;

typedef struct {
    late_step *at;
    int n, room;
} late_steps;

typedef struct {
    void *stack_pointer;
    enum wait wait;
    int barrier;       /* AT_BARRIER: its id */
    const void *thing; /* AT_THING */
    const char *file;
    int line; /* of what it waits for */
    late_copy *copies;
    int n_copies, room, groups; /* groups committed */
    late_steps products;
    int product_groups;
} fiber;

typedef struct {
    int arrived, threads;
} named_barrier;

typedef struct {
    const char *file;
    int line;
    size_t at, bytes;
} static_array;

emulator_index threadIdx, blockIdx, blockDim, gridDim;

static fiber fibers[THREADS];
static char *stacks, *shared; /* shared: CANARY or more, dynamic, CANARY, static arrays with CANARY after each */
static int n_threads, running;
static void *scheduler;
static void (*body)(void *);
static void *user;
static _Alignas(16) char slots[THREADS / WARP][2][WARP][EMULATOR_SLOT];
static int exchanges[THREADS / WARP];
static named_barrier named[NAMED];
static static_array statics[STATICS];
static int n_statics;
static late_steps block_steps;
static int due = -1; /* of block_steps: the fiber that goes on next does it */
static size_t shared_used, dynamic, dynamic_at, allowed = SHARED_DEFAULT;
static uint64_t order, state, launches;
static char fault[400];

/* ---- fibers */

/* Leaves this stack, whose pointer goes to *from, for another one. */
__attribute__((naked, noinline)) static void change_stack(void **from, void *to) {
    (void)from, (void)to;
    __asm__("push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
            "mov %rsp, (%rdi)\n mov %rsi, %rsp\n"
            "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n");
}

static void back_to_scheduler(void) {
    const int me = running;
    change_stack(&fibers[me].stack_pointer, scheduler);
}

static void fiber_begin(void) {
    body(user);
    fibers[running].wait = LEFT;
    back_to_scheduler();
}

static void fiber_prepare(int i) {
    fiber *f = &fibers[i];
    void **top = (void **)(stacks + (size_t)(i + 1) * STACK) - 2; /* the stack of a function that has been called */
    *top = (void *)fiber_begin;
    f->stack_pointer = top - 6;
    f->wait = RUNS, f->n_copies = f->groups = f->products.n = f->product_groups = 0;
}

static void fiber_run(int i) {
    running = i;
    const unsigned int t = (unsigned int)i;
    threadIdx = (emulator_index){t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
    change_stack(&scheduler, fibers[i].stack_pointer);
}

/* ---- faults */

void emulator_fail(const char *file, int line, const char *what) {
    const char *name = file && strstr(file, "kernels/") ? strstr(file, "kernels/") : file;
    if (!*fault)
        snprintf(fault, sizeof fault, "%s:%d: %s, block %u,%u,%u, thread %d", name ? name : "?", line, what, blockIdx.x,
                 blockIdx.y, blockIdx.z, running);
    back_to_scheduler();
    abort();
}

const char *emulator_fault(void) {
    return *fault ? fault : NULL;
}

void emulator_take_fault(char *to, size_t room) {
    snprintf(to, room, "%s", fault);
    *fault = 0;
}

static void on_signal(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    char what[100];
    snprintf(what, sizeof what, "memory outside every tensor at %p, later than here", info->si_addr);
    emulator_fail(fibers[running].file, fibers[running].line, what);
}

/* ---- shared memory */

static void shared_begin(size_t dynamic_bytes) {
    memset(shared, 0xff, shared_used > 0 ? shared_used : SHARED);
    dynamic = dynamic_bytes, dynamic_at = CANARY, n_statics = 0;
    shared_used = MOST_ALIGNED + (dynamic_bytes + 15) / 16 * 16 + CANARY;
}

static void shared_check(void) {
    size_t end = dynamic_at + dynamic;
    bool good = emulator_holds_poison(shared, dynamic_at);
    for (int i = 0; i < n_statics; end = statics[i].at + statics[i].bytes, i++)
        good = good && emulator_holds_poison(shared + end, statics[i].at - end);
    if (!good || !emulator_holds_poison(shared + end, shared_used - end))
        snprintf(fault, sizeof fault, "shared memory outside its arrays was written, block %u,%u,%u", blockIdx.x,
                 blockIdx.y, blockIdx.z);
}

void *emulator_shared(const char *file, int line, size_t bytes, size_t alignment) {
    for (int i = 0; i < n_statics; i++)
        if (statics[i].line == line && statics[i].bytes == bytes && strcmp(statics[i].file, file) == 0)
            return shared + statics[i].at;
    const size_t at = (shared_used + alignment - 1) / alignment * alignment, past = at + bytes + CANARY;
    size_t sum = bytes;
    for (int i = 0; i < n_statics; i++) sum += statics[i].bytes;
    if (n_statics == STATICS || past > SHARED || sum > SHARED_DEFAULT || sum + dynamic > SHARED_MAX)
        emulator_fail(file, line, "more shared memory than a block has");
    statics[n_statics++] = (static_array){file, line, at, bytes};
    shared_used = past;
    return shared + at;
}

void *emulator_dynamic_shared(size_t alignment) {
    if (alignment > MOST_ALIGNED) abort();
    if (alignment > CANARY) dynamic_at = alignment;
    return shared + dynamic_at;
}

uint32_t emulator_shared_address(const void *p) {
    const char *at = p;
    if (at < shared || at >= shared + shared_used) emulator_fail("?", 0, "an address that is not of shared memory");
    return (uint32_t)(at - shared);
}

void *emulator_shared_at(uint32_t address, size_t bytes) {
    if (address % bytes != 0 || address + bytes > shared_used) emulator_fail("?", 0, "a misaligned shared address");
    return shared + address;
}

/* ---- barriers */

static void wait_at(const char *file, int line, enum wait wait) {
    fiber *f = &fibers[running];
    f->file = file, f->line = line, f->wait = wait;
    back_to_scheduler();
}

static void arrive(const char *file, int line, int id, int threads) {
    named_barrier *b = &named[id];
    if (id < 1 || id >= NAMED || threads < WARP || threads % WARP != 0 || threads > n_threads ||
        (b->arrived > 0 && b->threads != threads))
        emulator_fail(file, line, "a named barrier of another number of threads");
    b->threads = threads;
    if (++b->arrived < threads) return;
    b->arrived = 0;
    for (int i = 0; i < n_threads; i++)
        if (fibers[i].wait == AT_BARRIER && fibers[i].barrier == id) fibers[i].wait = RUNS;
}

void emulator_barrier(const char *file, int line, int id, int threads) {
    fiber *f = &fibers[running];
    f->barrier = id, f->wait = AT_BARRIER;
    if (id != 0) arrive(file, line, id, threads);
    if (f->wait == AT_BARRIER) wait_at(file, line, AT_BARRIER);
}

void emulator_arrive(const char *file, int line, int id, int threads) {
    arrive(file, line, id, threads);
}

const char *emulator_exchange(const char *file, int line, unsigned int mask, const void *mine, size_t bytes) {
    const int warp = running / WARP, first = warp * WARP, parity = exchanges[warp] & 1;
    if (mask != 0xffffffffu || first + WARP > n_threads || bytes > EMULATOR_SLOT)
        emulator_fail(file, line, "a step of a warp that has not all of its lanes");
    memcpy(slots[warp][parity][running % WARP], mine, bytes);
    int here = 1;
    for (int i = first; i < first + WARP; i++) {
        if (i == running || fibers[i].wait == RUNS || fibers[i].wait == AT_BARRIER || fibers[i].wait == AT_THING)
            continue;
        if (fibers[i].wait == LEFT) emulator_fail(file, line, "a lane of the warp has left");
        if (fibers[i].line != line || strcmp(fibers[i].file, file) != 0)
            emulator_fail(file, line, "a lane of the warp takes another step");
        here++;
    }
    if (here < WARP) {
        wait_at(file, line, AT_WARP);
    } else {
        exchanges[warp]++;
        for (int i = first; i < first + WARP; i++) fibers[i].wait = RUNS;
    }
    return slots[warp][parity][0];
}

/* ---- asynchronous copies, and other steps that come late */

static uint64_t random_bits(void) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

/* Does a step come at once? */
static bool at_once(void) {
    return order == 1 || (order > 1 && random_bits() % 2);
}

static void copy_now(const late_copy *c) {
    if (c->from)
        memcpy(c->to, c->from, (size_t)c->bytes);
    else
        memset(c->to, 0, (size_t)c->bytes);
}

void emulator_copy(void *to, const void *from, int bytes) {
    fiber *f = &fibers[running];
    const late_copy copy = {to, from, bytes, f->groups};
    if ((uintptr_t)to % (uintptr_t)bytes != 0 || (uintptr_t)from % (uintptr_t)bytes != 0)
        emulator_fail("?", 0, "a misaligned cp.async");
    if (at_once()) {
        copy_now(&copy);
        return;
    }
    if (f->n_copies == f->room) {
        f->room = f->room ? 2 * f->room : 64;
        f->copies = realloc(f->copies, (size_t)f->room * sizeof *f->copies);
        if (!f->copies) abort();
    }
    f->copies[f->n_copies++] = copy;
}

void emulator_copy_commit(void) {
    fibers[running].groups++;
}

void emulator_copy_wait(int pending) {
    fiber *f = &fibers[running];
    int kept = 0;
    for (int i = 0; i < f->n_copies; i++) {
        if (f->copies[i].group < f->groups - pending)
            copy_now(&f->copies[i]);
        else
            f->copies[kept++] = f->copies[i];
    }
    f->n_copies = kept;
}

static void keep_step(late_steps *all, emulator_step step, const void *of, size_t bytes, int group) {
    if (bytes > EMULATOR_STEP) abort();
    if (all->n == all->room) {
        all->room = all->room ? 2 * all->room : 16;
        all->at = realloc(all->at, (size_t)all->room * sizeof *all->at);
        if (!all->at) abort();
    }
    late_step *kept = &all->at[all->n++];
    kept->step = step, kept->group = group;
    memcpy(kept->of, of, bytes);
}

void emulator_later(emulator_step step, const void *of, size_t bytes) {
    if (at_once())
        step(of);
    else
        keep_step(&block_steps, step, of, bytes, 0);
}

/* Nothing runs: a thread that waits for a thing does a step that was put off, and then looks again. */
static bool have_step_done(void) {
    for (int i = 0; i < n_threads && block_steps.n > 0; i++)
        if (fibers[i].wait == AT_THING) {
            due = order > 1 ? (int)(random_bits() % (uint64_t)block_steps.n) : 0;
            fibers[i].wait = RUNS;
            fiber_run(i);
            return true;
        }
    return false;
}

void emulator_wait(const char *file, int line, const void *thing) {
    fibers[running].thing = thing;
    wait_at(file, line, AT_THING);
    if (due < 0) return;
    const late_step step = block_steps.at[due];
    memmove(&block_steps.at[due], &block_steps.at[due + 1], (size_t)(--block_steps.n - due) * sizeof step);
    due = -1;
    step.step(step.of);
}

void emulator_wake(const void *thing) {
    for (int i = 0; i < n_threads; i++)
        if (fibers[i].wait == AT_THING && fibers[i].thing == thing) fibers[i].wait = RUNS;
}

void emulator_product(emulator_step step, const void *of, size_t bytes) {
    fiber *f = &fibers[running];
    if (at_once() && f->products.n == 0) /* in order */
        step(of);
    else
        keep_step(&f->products, step, of, bytes, f->product_groups);
}

void emulator_product_commit(void) {
    fibers[running].product_groups++;
}

void emulator_product_wait(int pending) {
    fiber *f = &fibers[running];
    int done = 0;
    for (; done < f->products.n && f->products.at[done].group < f->product_groups - pending; done++)
        f->products.at[done].step(f->products.at[done].of);
    f->products.n -= done;
    memmove(f->products.at, f->products.at + done, (size_t)f->products.n * sizeof *f->products.at);
}

/* ---- a launch */

void emulator_order(uint64_t seed) {
    order = seed;
    state = seed * 0x9e3779b97f4a7c15u | 1;
}

uint64_t emulator_launches(void) {
    return launches;
}

void emulator_allow_shared(size_t dynamic_bytes) {
    allowed = dynamic_bytes > SHARED_DEFAULT ? dynamic_bytes : SHARED_DEFAULT;
}

/* The numbers below n in this launch's order. */
static void arrange(int *at, int n) {
    for (int i = 0; i < n; i++) at[i] = order == 1 ? n - 1 - i : i;
    for (int i = n - 1; i > 0 && order > 1; i--) {
        const int j = (int)(random_bits() % (uint64_t)(i + 1)), was = at[i];
        at[i] = at[j], at[j] = was;
    }
}

/* A warp until no lane of it can go on; false where none could. */
static bool run_warp(int warp) {
    const int first = warp * WARP, lanes = n_threads - first < WARP ? n_threads - first : WARP;
    int at[WARP];
    bool moved = false, again = true;
    while (again) {
        again = false;
        arrange(at, lanes);
        for (int i = 0; i < lanes && !*fault; i++)
            if (fibers[first + at[i]].wait == RUNS) fiber_run(first + at[i]), again = moved = true;
    }
    return moved && !*fault;
}

/* Nothing runs: all that have not left wait for the same __syncthreads, or never will. */
static bool pass_block_barrier(void) {
    const fiber *one = NULL;
    for (int i = 0; i < n_threads; i++) {
        const fiber *f = &fibers[i];
        if (f->wait == LEFT) continue;
        if (!one) one = f;
        if (f->wait == AT_BARRIER && f->barrier == 0 && f->line == one->line && strcmp(f->file, one->file) == 0)
            continue;
        running = i;
        snprintf(fault, sizeof fault, "%.100s:%d: not all threads come here: %.100s:%d is where thread %d waits",
                 one->file, one->line, f->file, f->line, i);
        return false;
    }
    for (int i = 0; i < n_threads; i++)
        if (fibers[i].wait != LEFT) fibers[i].wait = RUNS;
    return one != NULL;
}

static void run_block(size_t dynamic_bytes) {
    int warps[THREADS / WARP];
    const int n_warps = (n_threads + WARP - 1) / WARP;
    shared_begin(dynamic_bytes);
    memset(named, 0, sizeof named);
    block_steps.n = 0, due = -1;
    memset(exchanges, 0, sizeof exchanges);
    for (int i = 0; i < n_threads; i++) fiber_prepare(i);
    do {
        bool moved = true;
        while (moved) {
            moved = false;
            arrange(warps, n_warps);
            for (int w = 0; w < n_warps && !*fault; w++) moved = run_warp(warps[w]) || moved;
            if (!moved && !*fault) moved = have_step_done();
        }
    } while (!*fault && pass_block_barrier());
    if (!*fault && block_steps.n > 0) snprintf(fault, sizeof fault, "a block ends before a copy that it asked for");
    if (!*fault) shared_check();
}

static bool launch_is_good(emulator_index grid, emulator_index block, size_t dynamic_bytes) {
    const uint64_t threads = (uint64_t)block.x * block.y * block.z;
    const bool good = threads >= 1 && threads <= THREADS && grid.x >= 1 && grid.x <= INT32_MAX && grid.y >= 1 &&
                      grid.y <= 65535 && grid.z >= 1 && grid.z <= 65535 && dynamic_bytes <= allowed;
    if (!good && !*fault)
        snprintf(fault, sizeof fault, "no device takes a grid of %u,%u,%u, blocks of %u,%u,%u, %zu bytes", grid.x,
                 grid.y, grid.z, block.x, block.y, block.z, dynamic_bytes);
    allowed = SHARED_DEFAULT;
    return good;
}

static void run_grid(emulator_index grid, size_t dynamic_bytes) {
    const uint64_t n = (uint64_t)grid.x * grid.y * grid.z;
    const uint64_t first = order > 1 ? random_bits() % n : 0;
    for (uint64_t i = 0; i < n && !*fault; i++) {
        const uint64_t at = order == 1 ? n - 1 - i : (first + i) % n;
        blockIdx = (emulator_index){(unsigned int)(at % grid.x), (unsigned int)(at / grid.x % grid.y),
                                    (unsigned int)(at / grid.x / grid.y)};
        run_block(dynamic_bytes);
    }
}

const char *emulator_launch(emulator_index grid, emulator_index dim, size_t dynamic_bytes, void (*kernel)(void *),
                            void *of) {
    launches++;
    if (*fault || !launch_is_good(grid, dim, dynamic_bytes)) return fault;
    if (!stacks) {
        void *made = mmap(NULL, (size_t)THREADS * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (made == MAP_FAILED || posix_memalign((void **)&shared, 1024, SHARED) != 0) abort();
        stacks = made;
    }
    static char signal_stack[64 << 10];
    const stack_t ours = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    stack_t before;
    struct sigaction caught = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER}, segv, bus;
    sigaltstack(&ours, &before);
    sigaction(SIGSEGV, &caught, &segv);
    sigaction(SIGBUS, &caught, &bus);
    gridDim = grid, blockDim = dim, body = kernel, user = of;
    n_threads = (int)(dim.x * dim.y * dim.z);
    run_grid(grid, dynamic_bytes);
    sigaction(SIGSEGV, &segv, NULL);
    sigaction(SIGBUS, &bus, NULL);
    sigaltstack(&before, NULL);
    return emulator_fault();
}
