/* live_blocks.c — loaded before libc: what libf5tts and its Triton backend have allocated and not freed, for as long as
 * a process lives. A block counts where one of those libraries stands anywhere on the stack that asked for it, so what
 * libc, Triton or a thread of ours allocates below us counts too.
 *
 *   F5_TEST_BLOCKS  a file, which is made and mapped: live_blocks.py reads it while the process runs
 *   F5_TEST_OF      the name of the program that is meant; others that inherit the environment are left alone
 *   F5_TEST_PLANT   every so manieth free of a block that we allocated ourselves is not done: a leak to be found
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unwind.h>

#define EXPORT __attribute__((visibility("default")))

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

enum { BUCKETS = 1 << 15, SLOTS = 16, FRAMES = 12, DEEPEST = 100 };

/* frames: offset << 1 | of the backend, from the innermost; 0 behind the last. Only frames of our libraries. */
typedef struct {
    _Atomic uintptr_t block; /* 0: the slot is free */
    uint64_t bytes, directly;
    uint64_t frames[FRAMES];
} slot_t;

typedef struct {
    _Atomic uint64_t made, freed, lost, planted;
    _Atomic uint32_t locks[BUCKETS];
    slot_t slots[BUCKETS][SLOTS];
} table_t;

static table_t *table;
static uint64_t plant;
static __thread bool inside __attribute__((tls_model("initial-exec")));

/* ---- whose it is ------------------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t frames[FRAMES];
    int n, depth;
    bool foreign, directly; /* foreign: code that is neither ours nor libc's stood before a frame of ours */
} asked_by;

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static _Unwind_Reason_Code look(struct _Unwind_Context *context, void *user) {
    asked_by *s = user;
    struct dl_find_object found;
    uintptr_t at = _Unwind_GetIP(context);
    if (!at || ++s->depth > DEEPEST) return _URC_END_OF_STACK;
    if (_dl_find_object((void *)(at - 1), &found) != 0) {
        s->foreign = true;
        return _URC_NO_REASON;
    }
    const char *name = base_name(found.dlfo_link_map->l_name);
    bool backend = strncmp(name, "libtriton_f5tts", 15) == 0;
    if (backend || strncmp(name, "libf5tts", 8) == 0) {
        if (s->n == 0) s->directly = !s->foreign;
        if (s->n < FRAMES) s->frames[s->n++] = (at - 1 - found.dlfo_link_map->l_addr) << 1 | backend;
    } else if (strncmp(name, "libc.so", 7) != 0 && strncmp(name, "live_blocks", 11) != 0)
        s->foreign = true; /* ld.so's too: libc keeps some ended threads' blocks for the next ones */
    return _URC_NO_REASON;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static uint32_t bucket_of(const void *p) {
    return (uint32_t)(((uintptr_t)p >> 4) * 0x9E3779B97F4A7C15u >> 40) & (BUCKETS - 1);
}

static slot_t *find(const void *p) {
    slot_t *slots = table->slots[bucket_of(p)];
    for (int i = 0; i < SLOTS; i++)
        if (atomic_load_explicit(&slots[i].block, memory_order_acquire) == (uintptr_t)p) return &slots[i];
    return NULL;
}

static void enter(const void *p, size_t bytes, const asked_by *s) {
    uint32_t bucket = bucket_of(p);
    slot_t *slots = table->slots[bucket];
    while (atomic_exchange_explicit(&table->locks[bucket], 1, memory_order_acquire)) sched_yield();
    int i = 0;
    while (i < SLOTS && atomic_load(&slots[i].block)) i++;
    if (i < SLOTS) {
        slots[i].bytes = bytes;
        slots[i].directly = s->directly;
        memcpy(slots[i].frames, s->frames, sizeof s->frames);
        atomic_store_explicit(&slots[i].block, (uintptr_t)p, memory_order_release);
        atomic_fetch_add(&table->made, 1);
    } else
        atomic_fetch_add(&table->lost, 1);
    atomic_store_explicit(&table->locks[bucket], 0, memory_order_release);
}

static void *noted(void *p, size_t bytes) {
    if (!p || !table || inside) return p;
    inside = true;
    asked_by s = {.n = 0};
    _Unwind_Backtrace(look, &s);
    if (s.n > 0) enter(p, bytes, &s);
    inside = false;
    return p;
}

/* True: it is to stay, as if nobody had freed it. */
static bool forgotten(void *p) {
    slot_t *s = p && table ? find(p) : NULL;
    if (!s) return false;
    if (plant && s->directly && atomic_fetch_add(&table->planted, 1) % plant == plant - 1) return true;
    atomic_store_explicit(&s->block, 0, memory_order_release);
    atomic_fetch_add(&table->freed, 1);
    return false;
}

/* ---- libc's functions -------------------------------------------------------------------------------------------- */

EXPORT void *malloc(size_t n) {
    return noted(__libc_malloc(n), n);
}

EXPORT void *calloc(size_t n, size_t size) {
    return noted(__libc_calloc(n, size), n * size);
}

EXPORT void free(void *p) {
    int kept = errno;
    if (!forgotten(p)) __libc_free(p);
    errno = kept;
}

EXPORT void *realloc(void *p, size_t n) {
    slot_t *s = p && table ? find(p) : NULL;
    slot_t was;
    if (s) {
        was = *s;
        atomic_store_explicit(&s->block, 0, memory_order_release);
        atomic_fetch_add(&table->freed, 1);
    }
    void *q = __libc_realloc(p, n);
    if (q) return noted(q, n);
    if (s && n > 0) { /* it failed: the old block lives */
        asked_by old = {.directly = was.directly};
        memcpy(old.frames, was.frames, sizeof was.frames);
        enter(p, was.bytes, &old);
    }
    return q;
}

EXPORT void *reallocarray(void *p, size_t n, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(p, bytes);
}

EXPORT void *memalign(size_t alignment, size_t n) {
    return noted(__libc_memalign(alignment, n), n);
}

EXPORT void *aligned_alloc(size_t alignment, size_t n) {
    return noted(__libc_memalign(alignment, n), n);
}

EXPORT int posix_memalign(void **p, size_t alignment, size_t n) {
    if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
    void *q = noted(__libc_memalign(alignment, n), n);
    if (!q) return ENOMEM;
    *p = q;
    return 0;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static void leave_child(void) {
    table = NULL;
}

static _Unwind_Reason_Code nothing(struct _Unwind_Context *context, void *user) {
    (void)context, (void)user;
    return _URC_END_OF_STACK;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("F5_TEST_BLOCKS"), *of = getenv("F5_TEST_OF"), *every = getenv("F5_TEST_PLANT");
    if (!path || !of || strcmp(of, program_invocation_short_name) != 0) return;
    if (every) plant = strtoull(every, NULL, 10);
    _Unwind_Backtrace(nothing, NULL); /* what the unwinder makes once is not ours */
    pthread_atfork(NULL, NULL, leave_child);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(table_t)) != 0) abort();
    void *at = mmap(NULL, sizeof(table_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) abort();
    close(fd);
    table = at;
}
