/* moments.c — preloaded into the program (tests/outputs_lib.py builds it): counts its calls that change the disk, and
 * at one of them raises a signal or fails. MOMENTS_AT says which, from 1; MOMENTS_SIGNAL the signal, before the call;
 * MOMENTS_WRITES counts writes into files alone, the MOMENTS_AT-th of which and all later ones have no room.
 * MOMENTS_COUNT names a file that gets the number of calls. MOMENTS_NO_TMPFILE and MOMENTS_NO_RENAME_FLAGS: as a file
 * system without files that have no name, and one, as NFS, that renames without flags alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int calls, writes;

static int number(const char *name) {
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

static void moment(void) {
    if (++calls == number("MOMENTS_AT") && number("MOMENTS_SIGNAL")) kill(getpid(), number("MOMENTS_SIGNAL"));
}

/* Is this write the one that fails, or after it? */
static int full(int fd) {
    struct stat there;
    if (!getenv("MOMENTS_WRITES") || fstat(fd, &there) != 0 || !S_ISREG(there.st_mode)) return 0;
    return ++writes >= number("MOMENTS_AT");
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t n) {
    if (fd > 2) moment();
    if (full(fd)) return errno = ENOSPC, -1;
    return REAL(write)(fd, bytes, n);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
    moment();
    if (full(fd)) return errno = ENOSPC, -1;
    return REAL(pwrite)(fd, bytes, n, at);
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (flags & (O_WRONLY | O_RDWR)) moment();
    if ((flags & O_TMPFILE) == O_TMPFILE && getenv("MOMENTS_NO_TMPFILE")) return errno = EOPNOTSUPP, -1;
    return REAL(open)(path, flags, mode);
}

int linkat(int a, const char *from, int b, const char *to, int flags) {
    moment();
    return REAL(linkat)(a, from, b, to, flags);
}

int rename(const char *from, const char *to) {
    moment();
    return REAL(rename)(from, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    moment();
    if (flags && getenv("MOMENTS_NO_RENAME_FLAGS")) return errno = EINVAL, -1;
    return REAL(renameat2)(a, from, b, to, flags);
}

int mkdir(const char *path, mode_t mode) {
    moment();
    return REAL(mkdir)(path, mode);
}

int unlink(const char *path) {
    moment();
    return REAL(unlink)(path);
}

int fsync(int fd) {
    moment();
    return REAL(fsync)(fd);
}

int close(int fd) {
    moment();
    return REAL(close)(fd);
}

__attribute__((destructor)) static void tell(void) {
    const char *path = getenv("MOMENTS_COUNT");
    FILE *f = path ? fopen(path, "w") : NULL;
    if (f) fprintf(f, "%d %d\n", calls, writes), fclose(f);
}
