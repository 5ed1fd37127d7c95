/* output_litter.c — a table of names. A slot is free, being filled, or live; the handler reads live ones alone, and
 * calls nothing but poll, unlink, rmdir, pthread_sigmask and what ends the process. */
#include "host/files/output_litter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOTS 192
#define NAME_BYTES 4096
#define MOST_WAITS 1000 /* of a millisecond */

enum { FREE, FILLING, LIVE_FILE, LIVE_FOLDER };

static struct {
    _Atomic int state;
    char name[NAME_BYTES];
} slot[SLOTS];

static _Atomic int making; /* threads that make something which is not remembered yet */

static int remember(const char *path, int state) {
    size_t bytes = strlen(path) + 1;
    if (bytes > NAME_BYTES) return -1;
    for (int i = 0; i < SLOTS; i++) {
        int expected = FREE;
        if (!atomic_compare_exchange_strong(&slot[i].state, &expected, FILLING)) continue;
        memcpy(slot[i].name, path, bytes);
        atomic_store(&slot[i].state, state);
        return i;
    }
    return -1;
}

int litter_add(const char *path) {
    return remember(path, LIVE_FILE);
}

/* Between making and remembering no handler runs: not on this thread, and on others it waits. */
static void hold(sigset_t *before) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, before);
    atomic_fetch_add(&making, 1);
}

static void release(const sigset_t *before) {
    atomic_fetch_sub(&making, 1);
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

int litter_create(const char *path, int *number) {
    sigset_t before;
    hold(&before);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), reason = errno;
    *number = fd >= 0 ? remember(path, LIVE_FILE) : -1;
    release(&before);
    errno = reason;
    return fd;
}

int litter_mkdir(const char *path) {
    sigset_t before;
    hold(&before);
    int failed = mkdir(path, 0777), reason = errno;
    if (!failed) remember(path, LIVE_FOLDER);
    release(&before);
    errno = reason;
    return failed;
}

void litter_forget(int number) {
    if (number >= 0) atomic_store(&slot[number].state, FREE);
}

/* Folders were made from the outside in: they go the other way round. A signal waits: its handler would pass over the
 * name that is being removed. */
void litter_sweep(void) {
    sigset_t before;
    hold(&before);
    for (int i = 0; i < SLOTS; i++) {
        int expected = LIVE_FILE;
        if (!atomic_compare_exchange_strong(&slot[i].state, &expected, FILLING)) continue;
        unlink(slot[i].name);
        atomic_store(&slot[i].state, FREE);
    }
    for (int i = SLOTS - 1; i >= 0; i--) {
        int expected = LIVE_FOLDER;
        if (!atomic_compare_exchange_strong(&slot[i].state, &expected, FILLING)) continue;
        rmdir(slot[i].name);
        atomic_store(&slot[i].state, FREE);
    }
    release(&before);
}

/* As process 1, as containers start it, nothing ends by a signal's own action: then by the exit code of one. */
static void end(int number) {
    for (int i = 0; i < MOST_WAITS && atomic_load(&making) > 0; i++) poll(NULL, 0, 1);
    litter_sweep();
    signal(number, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    _exit(128 + number);
}

void litter_watch(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction old, new = {.sa_handler = end};
        sigfillset(&new.sa_mask);
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL) sigaction(numbers[i], &new, NULL);
    }
    signal(SIGXFSZ, SIG_IGN);
}
