/* output_file.c — files that appear whole or not at all, by a temporary file in the same folder and one rename. Where
 * the file system can, that file has no name until it is complete, so that nothing is left of a run that was ended. */
#define _GNU_SOURCE /* O_TMPFILE */
#include "host/files/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static f5_status check_replaceable(const char *real, const char *path, f5_error *error) {
    struct stat there;
    if (stat(real, &there) == 0 && !S_ISREG(there.st_mode))
        return f5_fail(error, F5_E_IO, "%s: cannot be written: it exists and is not a file", path);
    return F5_OK;
}

/* The folder of a file, to be freed; "." where the path has none. */
static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return strdup(".");
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* The same of a path whose folder may still have to be made, component by component. */
static bool identity_by_parts(const char *path, char *identity) {
    char real[PATH_MAX];
    size_t n = 0;
    bool there = true; /* what was read so far exists */
    if (path[0] != '/') {
        if (!getcwd(identity, OUTPUT_MAX_PATH)) return false;
        n = strcmp(identity, "/") ? strlen(identity) : 0;
    }
    for (const char *at = path; *at;) {
        size_t name = strcspn(at, "/");
        if (name == 2 && at[0] == '.' && at[1] == '.') {
            while (n > 0 && identity[--n] != '/') continue;
            there = true; /* perhaps */
        } else if (name > 0 && !(name == 1 && *at == '.')) {
            if (n + name + 2 > OUTPUT_MAX_PATH) return false;
            identity[n++] = '/';
            memcpy(identity + n, at, name);
            n += name;
        }
        identity[n] = '\0';
        if (n > 0) there = there && realpath(identity, real);
        if (there && n > 0) { /* a link leads elsewhere */
            n = strcmp(real, "/") ? strlen(real) : 0;
            memcpy(identity, real, n + 1);
        }
        at += name + (at[name] != '\0');
    }
    return true;
}

bool output_identity(const char *path, char *identity) {
    if (realpath(path, identity)) return true;
    char *folder = folder_of(path);
    bool known = folder && realpath(folder, identity);
    free(folder);
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = known ? strlen(identity) : 0;
    if (!known || strcmp(name, "..") == 0 || n + strlen(name) + 2 > OUTPUT_MAX_PATH)
        return identity_by_parts(path, identity);
    sprintf(identity + n, "%s%s", strcmp(identity, "/") ? "/" : "", name);
    return true;
}

f5_status output_check_distinct(const char *path, const char *other, f5_error *error) {
    struct stat a, b;
    bool fresh =
        stat(path, &a) != 0 && !strstr(path, ".."); /* ".." may lead back from a folder that is not there yet */
    if (fresh && strcmp(path, other) != 0 && stat(other, &b) == 0) return F5_OK;
    char first[OUTPUT_MAX_PATH], second[OUTPUT_MAX_PATH];
    bool same = output_identity(path, first) && output_identity(other, second) && strcmp(first, second) == 0;
    if (!same && stat(path, &a) == 0 && stat(other, &b) == 0) same = a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    return same ? f5_fail(error, F5_E_ARGUMENT, "%s: would overwrite %s: give another name", path, other) : F5_OK;
}

/* A file without a name, which vanishes with the process if it ends early; -1 where the file system has none. */
static int open_nameless(const char *path) {
    char *folder = access("/proc/self/fd", X_OK) == 0 ? folder_of(path) : NULL;
    int fd = folder ? open(folder, O_RDWR | O_TMPFILE | O_CLOEXEC, 0666) : -1;
    free(folder);
    return fd;
}

/* Where a link leads, to be freed; NULL where path is none, or leads nowhere. */
static char *target_of(const char *path) {
    struct stat there;
    return lstat(path, &there) == 0 && S_ISLNK(there.st_mode) ? realpath(path, NULL) : NULL;
}

/* Gives the nameless file its temporary name. One of that name is left from a process that had this one's number. */
static bool give_name(const output_file *f) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fileno(f->stream));
    for (int again = 0; again < 2; again++) {
        if (linkat(AT_FDCWD, link, AT_FDCWD, f->temporary, AT_SYMLINK_FOLLOW) == 0) return true;
        if (errno != EEXIST || unlink(f->temporary) != 0) break;
    }
    return false;
}

f5_status output_begin(output_file *f, const char *path, f5_error *error) {
    *f = (output_file){.path = path};
    F5_TRY(check_replaceable(path, path, error));
    f->target = target_of(path);
    const char *file = f->target ? f->target : path;
    size_t room = strlen(file) + 32;
    f->temporary = malloc(room);
    if (!f->temporary) {
        output_abort(f);
        return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
    }
    snprintf(f->temporary, room, "%s.part-%ld", file, (long)getpid());
    struct stat there;
    bool name_good = lstat(f->temporary, &there) == 0 || errno == ENOENT;
    int fd = name_good ? open_nameless(file) : -1;
    f->named = fd < 0;
    if (fd < 0) fd = open(f->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) f->stream = fdopen(fd, "w+b");
    if (f->stream && (stat(file, &there) != 0 || fchmod(fd, there.st_mode & 0777) == 0)) return F5_OK;
    int reason = errno;
    if (fd >= 0 && !f->stream) {
        close(fd);
        if (f->named) unlink(f->temporary);
    }
    output_abort(f);
    return f5_fail(error, F5_E_IO, "%s: cannot be written: %s", path, strerror(reason));
}

void output_abort(output_file *f) {
    if (f->stream) {
        fclose(f->stream);
        if (f->named) unlink(f->temporary);
    }
    free(f->target);
    free(f->temporary);
    *f = (output_file){0};
}

f5_status output_commit(output_file *f, f5_error *error) {
    int failed = ferror(f->stream), reason = failed ? EIO : 0;
    if (!failed && (fflush(f->stream) != 0 || fsync(fileno(f->stream)) != 0)) {
        failed = 1;
        reason = errno;
    }
    if (!failed && !f->named) {
        f->named = give_name(f);
        failed = !f->named;
        reason = errno;
    }
    if (fclose(f->stream) != 0 && !failed) {
        failed = 1;
        reason = errno;
    }
    f->stream = NULL;
    if (!failed && rename(f->temporary, f->target ? f->target : f->path) != 0) {
        failed = 1;
        reason = errno;
    }
    if (failed && f->named) unlink(f->temporary);
    const char *path = f->path;
    output_abort(f);
    return failed ? f5_fail(error, F5_E_IO, "%s: cannot be written: %s", path, strerror(reason)) : F5_OK;
}

f5_status output_check(const char *path, f5_error *error) {
    size_t bytes = strlen(path);
    if (bytes == 0 || path[bytes - 1] == '/')
        return f5_fail(error, F5_E_IO, "%s: cannot be written: it names a folder", path);
    char real[OUTPUT_MAX_PATH];
    if (!output_identity(path, real)) return f5_fail(error, F5_E_IO, "%.200s...: cannot be written: too long", path);
    F5_TRY(check_replaceable(real, path, error));
    char *folder = folder_of(real);
    while (folder && access(folder, F_OK) != 0 && errno == ENOENT) {
        char *above = folder_of(folder);
        free(folder);
        folder = above;
    }
    if (!folder) return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
    struct stat there;
    int reason = access(folder, W_OK | X_OK) != 0 ? errno : 0;
    if (stat(folder, &there) == 0 && !S_ISDIR(there.st_mode)) reason = ENOTDIR; /* whatever its permissions */
    free(folder);
    return reason ? f5_fail(error, F5_E_IO, "%s: cannot be written: %s", path, strerror(reason)) : F5_OK;
}

f5_status output_make_folder(const char *path, f5_error *error) {
    char *folder = folder_of(path);
    if (!folder) return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
    int reason = 0;
    for (char *at = folder + 1; !reason; at++) {
        char here = *at;
        if (here != '/' && here != '\0') continue;
        *at = '\0';
        if (mkdir(folder, 0777) != 0 && errno != EEXIST) reason = errno;
        *at = here;
        if (here == '\0') break;
    }
    struct stat made;
    if (!reason && stat(folder, &made) != 0) reason = errno;
    if (!reason && !S_ISDIR(made.st_mode)) reason = ENOTDIR;
    free(folder);
    return reason ? f5_fail(error, F5_E_IO, "%s: cannot make its folder: %s", path, strerror(reason)) : F5_OK;
}
