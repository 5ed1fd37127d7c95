/* output_path.c — paths are looked at as the kernel will look at them: links followed, limits asked for. */
#include "host/files/output_path.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "host/files/output_litter.h"

#define MAX_LINKS 40 /* as many as the kernel follows */

#define FD_FOLDER "/dev/fd/" /* a link to the next one; a shell's >(command) has names there */
#define OWN_FD_FOLDER "/proc/self/fd/"

bool output_is_stdout(const char *path) {
    return strcmp(path, "-") == 0;
}

bool output_goes_to_stdout(const char *path) {
    char real[OUTPUT_MAX_PATH];
    bool direct;
    if (output_is_stdout(path)) return true;
    return output_resolve(path, real, &direct, NULL) == F5_OK && direct && strcmp(real, OWN_FD_FOLDER "1") == 0;
}

char *output_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return strdup(".");
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* ---- which file it is -------------------------------------------------------------------------------------------- */

static f5_status too_long(const char *path, f5_error *error) {
    return f5_fail(error, F5_E_IO, "%s: cannot be written: %s", path, strerror(ENAMETOOLONG));
}

/* Follows one link at `real`. */
static f5_status follow(const char *path, char *real, f5_error *error) {
    char to[OUTPUT_MAX_PATH];
    ssize_t n = readlink(real, to, sizeof to - 1);
    if (n <= 0) return f5_fail(error, F5_E_IO, "%s: cannot be written: %s", path, strerror(errno));
    to[n] = '\0';
    char *slash = to[0] == '/' ? NULL : strrchr(real, '/');
    size_t folder = slash ? (size_t)(slash + 1 - real) : 0;
    if (folder + (size_t)n >= OUTPUT_MAX_PATH) return too_long(path, error);
    memcpy(real + folder, to, (size_t)n + 1);
    return F5_OK;
}

/* /dev/fd/63 as /proc/self/fd/63. */
static f5_status rename_fd_folder(const char *path, char *real, f5_error *error) {
    const size_t old = sizeof FD_FOLDER - 1, new = sizeof OWN_FD_FOLDER - 1, rest = strlen(real) + 1 - old;
    if (strncmp(real, FD_FOLDER, old) != 0) return F5_OK;
    if (new + rest > OUTPUT_MAX_PATH) return too_long(path, error);
    memmove(real + new, real + old, rest);
    memcpy(real, OWN_FD_FOLDER, new);
    return F5_OK;
}

f5_status output_resolve(const char *path, char *real, bool *direct, f5_error *error) {
    struct stat there;
    size_t bytes = strlen(path);
    *direct = output_is_stdout(path);
    if (bytes >= OUTPUT_MAX_PATH) return too_long(path, error);
    memcpy(real, path, bytes + 1);
    if (*direct) return F5_OK;
    for (int links = 0; lstat(real, &there) == 0 && S_ISLNK(there.st_mode); links++) {
        F5_TRY(rename_fd_folder(path, real, error));
        /* /dev/stdout leads to a link of the kernel's, which stands for an open file and names none */
        *direct = strncmp(real, "/proc/", 6) == 0;
        if (*direct) return F5_OK;
        if (links == MAX_LINKS) return f5_fail(error, F5_E_IO, "%s: cannot be written: %s", path, strerror(ELOOP));
        F5_TRY(follow(path, real, error));
    }
    if (stat(real, &there) != 0 || S_ISREG(there.st_mode)) return F5_OK;
    *direct = S_ISFIFO(there.st_mode) || S_ISCHR(there.st_mode);
    return *direct ? F5_OK : f5_fail(error, F5_E_IO, "%s: cannot be written: it exists and is not a file", path);
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
    char *folder = output_folder(path);
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
    if (stat(path, &a) == 0 && S_ISCHR(a.st_mode)) return F5_OK; /* /dev/null has room for all of them */
    bool same = output_goes_to_stdout(path) && output_goes_to_stdout(other);
    if (!same) same = output_identity(path, first) && output_identity(other, second) && strcmp(first, second) == 0;
    if (!same && stat(path, &a) == 0 && stat(other, &b) == 0) same = a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    return same ? f5_fail(error, F5_E_ARGUMENT, "%s: would overwrite %s: give another name", path, other) : F5_OK;
}

/* ---- whether it can be written ----------------------------------------------------------------------------------- */

/* The nearest folder of a file that exists, to be freed. */
static char *nearest_folder(const char *file) {
    char *folder = output_folder(file);
    while (folder && access(folder, F_OK) != 0 && errno == ENOENT) {
        char *above = output_folder(folder);
        free(folder);
        folder = above;
    }
    return folder;
}

static f5_status check_folder(const char *path, const char *file, f5_error *error) {
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
    char *folder = nearest_folder(file);
    struct stat there;
    if (!folder) return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
    int reason = access(folder, W_OK | X_OK) != 0 ? errno : 0;
    if (stat(folder, &there) == 0 && !S_ISDIR(there.st_mode)) reason = ENOTDIR; /* whatever its permissions */
    if (!reason && stat(file, &there) == 0 && access(file, W_OK) != 0) reason = errno;
    long most = pathconf(folder, _PC_NAME_MAX);
    free(folder);
    if (reason) return f5_fail(error, F5_E_IO, "%s: cannot be written: %s", path, strerror(reason));
    if (most <= 0) most = NAME_MAX;
    if (strlen(name) <= (size_t)most) return F5_OK;
    return f5_fail(error, F5_E_IO, "%s: cannot be written: the name has %zu bytes, %ld are possible", path,
                   strlen(name), most);
}

f5_status output_check(const char *path, f5_error *error) {
    size_t bytes = strlen(path);
    if (bytes == 0 || path[bytes - 1] == '/')
        return f5_fail(error, F5_E_IO, "%s: cannot be written: it names a folder", path);
    char real[OUTPUT_MAX_PATH], identity[OUTPUT_MAX_PATH];
    bool direct;
    F5_TRY(output_resolve(path, real, &direct, error));
    if (output_is_stdout(path)) return F5_OK;
    if (direct)
        return access(real, W_OK) == 0 ? F5_OK
                                       : f5_fail(error, F5_E_IO, "%s: cannot be written: %s", path, strerror(errno));
    return output_identity(real, identity) ? check_folder(path, identity, error) : too_long(path, error);
}

f5_status output_check_room(const char *path, int64_t bytes, f5_error *error) {
    char real[OUTPUT_MAX_PATH], identity[OUTPUT_MAX_PATH];
    bool direct;
    struct statvfs disk;
    struct rlimit limit;
    F5_TRY(output_resolve(path, real, &direct, error));
    if (direct || !output_identity(real, identity)) return F5_OK;
    char *folder = nearest_folder(identity);
    if (!folder) return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
    double room =
        statvfs(folder, &disk) == 0 && disk.f_blocks > 0 ? (double)disk.f_bavail * (double)disk.f_frsize : INFINITY;
    free(folder);
    int reason = room < (double)bytes ? ENOSPC : 0;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        (double)limit.rlim_cur < (double)bytes) {
        reason = EFBIG;
        room = (double)limit.rlim_cur;
    }
    if (!reason) return F5_OK;
    return f5_fail(error, F5_E_IO, "%s: cannot be written: %s: %.0f bytes are left, at least %lld are needed", path,
                   strerror(reason), room, (long long)bytes);
}

/* ---- names that are made ----------------------------------------------------------------------------------------- */

f5_status output_reserve(char *path, size_t room, int *number, f5_error *error) {
    char first[OUTPUT_MAX_PATH];
    size_t bytes = strlen(path);
    *number = -1;
    if (bytes >= sizeof first) return too_long(path, error);
    memcpy(first, path, bytes + 1);
    const char *slash = strrchr(first, '/'), *dot = strrchr(first, '.');
    int stem = (int)(dot && (!slash || dot > slash) ? (size_t)(dot - first) : bytes);
    for (int i = 2; i < 10000; i++) {
        int fd = litter_create(path, number);
        if (fd >= 0) {
            close(fd);
            return F5_OK;
        }
        if (errno != EEXIST) return f5_fail(error, F5_E_IO, "%s: cannot be written: %s", path, strerror(errno));
        if ((size_t)snprintf(path, room, "%.*s_%d%s", stem, first, i, first + stem) >= room)
            return too_long(first, error);
    }
    return f5_fail(error, F5_E_IO, "%s: cannot be written: so many of that name are there", first);
}

f5_status output_make_folder(const char *path, f5_error *error) {
    char *folder = output_folder(path);
    if (!folder) return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
    int reason = 0;
    for (char *at = folder + 1; !reason; at++) {
        char here = *at;
        if (here != '/' && here != '\0') continue;
        *at = '\0';
        if (litter_mkdir(folder) != 0 && errno != EEXIST) reason = errno;
        *at = here;
        if (here == '\0') break;
    }
    struct stat made;
    if (!reason && stat(folder, &made) != 0) reason = errno;
    if (!reason && !S_ISDIR(made.st_mode)) reason = ENOTDIR;
    free(folder);
    return reason ? f5_fail(error, F5_E_IO, "%s: cannot make its folder: %s", path, strerror(reason)) : F5_OK;
}
