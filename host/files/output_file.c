/* output_file.c — where the file system can, a file has no name until it is complete, so that nothing is left of a run
 * that was ended; elsewhere a temporary one, which is litter (output_litter.h). */
#define _GNU_SOURCE /* O_TMPFILE, fopencookie */
#include "host/files/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/files/output_litter.h"
#include "weights/replaced_file.h"

#define STREAM_BUFFER 65536
#define NAMES_TRIED 16

struct output_io {
    int fd;
    int failed; /* errno value of the first write that failed */
    bool direct, named;
    int litter;                      /* of the temporary name, if it is named */
    char target[OUTPUT_MAX_PATH];    /* the file */
    char temporary[OUTPUT_MAX_PATH]; /* beside it */
};

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

/* at < 0: where the file stands. A descriptor that does not wait, as a shared terminal's, is waited for here. */
static int write_all(output_io *io, int64_t at, const char *bytes, size_t n) {
    while (n > 0 && !io->failed) {
        ssize_t done = at < 0 ? write(io->fd, bytes, n) : pwrite(io->fd, bytes, n, at);
        if (done > 0) {
            bytes += done;
            n -= (size_t)done;
            at += at < 0 ? 0 : done;
        } else if (done < 0 && errno == EAGAIN) {
            poll(&(struct pollfd){.fd = io->fd, .events = POLLOUT}, 1, -1);
        } else if (done == 0 || errno != EINTR) {
            io->failed = done == 0 ? ENOSPC : errno;
        }
    }
    return io->failed;
}

int output_write(output_file *f, const void *bytes, size_t n) {
    return write_all(f->io, -1, bytes, n);
}

int output_rewrite(output_file *f, int64_t at, const void *bytes, size_t n) {
    return write_all(f->io, at, bytes, n);
}

int output_failed(const output_file *f) {
    return f->io->failed;
}

static ssize_t stream_write(void *io, const char *bytes, size_t n) {
    return write_all(io, -1, bytes, n) ? 0 : (ssize_t)n;
}

static int stream_seek(void *user, off64_t *offset, int whence) {
    output_io *io = user;
    off64_t at = io->direct ? -1 : lseek(io->fd, *offset, whence);
    if (at < 0) return -1;
    *offset = at;
    return 0;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* It is short: the target's own may be as long as a name can be. */
bool output_temporary_name(const char *target, char name[OUTPUT_MAX_PATH]) {
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    unsigned char random[12];
    char letters[sizeof random + 1] = "";
    const char *slash = strrchr(target, '/');
    int folder = slash ? (int)(slash + 1 - target) : 0;
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) return false;
    for (size_t i = 0; i < sizeof random; i++) letters[i] = digits[random[i] % 36];
    return snprintf(name, OUTPUT_MAX_PATH, "%.*s.f5tts-%s.part", folder, target, letters) < OUTPUT_MAX_PATH;
}

/* A file without a name, which vanishes with the process if it ends early; -1 where the file system has none. */
static int open_nameless(const char *target) {
    char *folder = access("/proc/self/fd", X_OK) == 0 ? output_folder(target) : NULL;
    int fd = folder ? open(folder, O_RDWR | O_TMPFILE | O_CLOEXEC, 0666) : -1;
    free(folder);
    return fd;
}

static int open_named(output_io *io) {
    for (int i = 0; i < NAMES_TRIED; i++) {
        if (!output_temporary_name(io->target, io->temporary)) break;
        int fd = litter_create(io->temporary, &io->litter);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

static int link_as(const output_io *io, const char *name) {
    char file[64];
    snprintf(file, sizeof file, "/proc/self/fd/%d", io->fd);
    return linkat(AT_FDCWD, file, AT_FDCWD, name, AT_SYMLINK_FOLLOW);
}

/* The nameless file gets its own name if nothing has it, else a temporary one, under which it can replace what is
 * there. */
static int name_it(output_io *io, bool *done) {
    *done = link_as(io, io->target) == 0;
    if (*done) return 0;
    for (int i = 0; i < NAMES_TRIED && errno == EEXIST; i++) {
        if (!output_temporary_name(io->target, io->temporary)) return ENAMETOOLONG;
        io->litter = litter_add(io->temporary);
        io->named = link_as(io, io->temporary) == 0;
        if (io->named) return 0;
        int reason = errno;
        litter_forget(io->litter);
        errno = reason;
    }
    return errno;
}

/* ---- beginning --------------------------------------------------------------------------------------------------- */

static int open_target(output_io *io, const char *path) {
    if (output_is_stdout(path)) {
        fflush(stdout);
        return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    }
    int open_already, end = 0; /* /dev/stdout and the like: opened anew, a file would be written from its beginning */
    if (io->direct && sscanf(io->target, "/proc/self/fd/%d%n", &open_already, &end) == 1 && !io->target[end])
        return fcntl(open_already, F_DUPFD_CLOEXEC, 3);
    if (io->direct) return open(io->target, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    int fd = open_nameless(io->target);
    if (fd < 0) {
        fd = open_named(io);
        io->named = fd >= 0;
    }
    struct stat there;
    if (fd < 0 || stat(io->target, &there) != 0 || file_made_like(fd, &there)) return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

f5_status output_begin(output_file *f, const char *path, f5_error *error) {
    *f = (output_file){.path = path};
    output_io *io = calloc(1, sizeof *io);
    if (!io) return f5_fail(error, F5_E_MEMORY, "%s: no memory to write it", path);
    io->litter = -1;
    f5_status status = output_resolve(path, io->target, &io->direct, error);
    if (status != F5_OK) {
        free(io);
        return status;
    }
    io->fd = open_target(io, path);
    int reason = errno;
    if (io->fd >= 0)
        f->stream = fopencookie(io, "wb", (cookie_io_functions_t){.write = stream_write, .seek = stream_seek});
    f->io = io;
    f->direct = io->direct;
    if (f->stream) {
        setvbuf(f->stream, NULL, _IOFBF, STREAM_BUFFER);
        return F5_OK;
    }
    output_abort(f);
    return f5_fail(error, F5_E_IO, "%s: cannot be written: %s", path, strerror(reason));
}

f5_status output_rename(output_file *f, const char *path, f5_error *error) {
    bool direct;
    f->path = path;
    return output_resolve(path, f->io->target, &direct, error);
}

/* ---- ending ------------------------------------------------------------------------------------------------------ */

void output_abort(output_file *f) {
    output_io *io = f->io;
    if (f->stream) fclose(f->stream);
    if (io) {
        if (io->fd >= 0) close(io->fd);
        if (io->named) unlink(io->temporary);
        litter_forget(io->litter);
        free(io);
    }
    *f = (output_file){0};
}

/* 0, or the errno value of what went wrong. */
static int finish(output_file *f) {
    output_io *io = f->io;
    bool done = false;
    if ((fflush(f->stream) != 0 || ferror(f->stream)) && !io->failed) io->failed = EIO;
    if (io->failed) return io->failed;
    if (!io->direct && fsync(io->fd) != 0) return errno;
    if (!io->direct && !io->named) {
        int reason = name_it(io, &done);
        if (reason) return reason;
    }
    int closed = close(io->fd);
    io->fd = -1;
    if (closed != 0) {
        int reason = errno;
        if (done) unlink(io->target);
        return reason;
    }
    if (io->direct || done) return 0;
    if (rename(io->temporary, io->target) != 0) return errno;
    io->named = false;
    return 0;
}

f5_status output_commit(output_file *f, f5_error *error) {
    int reason = finish(f);
    const char *path = f->path;
    output_abort(f);
    return reason ? f5_fail(error, F5_E_IO, "%s: cannot be written: %s", path, strerror(reason)) : F5_OK;
}
