/* hub_pull.c — ask, lock, continue, check, rename, link: in this order, so that every moment leaves a good cache. */
#define _GNU_SOURCE /* asprintf */
#include "host/hub/hub_pull.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "host/files/output_file.h"
#include "host/hub/hub_digest.h"

/* A file on its way. */
typedef struct {
    const hub_file *file;
    const hub_head *head;
    char *blob, *incomplete, *snapshot, *lock;
    int fd, lock_fd;
    int64_t at; /* bytes of it that are there */
    hub_digest digest;
} download;

static f5_status io_error(const char *path, f5_error *error) {
    return f5_fail(error, F5_E_IO, "%s: %s", path, strerror(errno));
}

static bool is_file(const char *path, int64_t bytes) {
    struct stat there;
    return stat(path, &there) == 0 && S_ISREG(there.st_mode) && there.st_size == bytes;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static f5_status name_all(download *d, const hub_place *place, f5_error *error) {
    char name[HUB_COMMIT + HUB_MAX_PATH + 32];
    snprintf(name, sizeof name, "blobs/%s", d->head->hash);
    d->blob = hub_cache_path(place->cache, d->file, name);
    snprintf(name, sizeof name, "blobs/%s.incomplete", d->head->hash);
    d->incomplete = hub_cache_path(place->cache, d->file, name);
    snprintf(name, sizeof name, "snapshots/%s/%s", d->head->commit, d->file->path);
    d->snapshot = hub_cache_path(place->cache, d->file, name);
    size_t owner = strcspn(d->file->repository, "/");
    if (asprintf(&d->lock, "%s/.locks/models--%.*s--%s/%s.lock", place->cache, (int)owner, d->file->repository,
                 d->file->repository + owner + 1, d->head->hash) < 0)
        d->lock = NULL;
    if (!d->blob || !d->incomplete || !d->snapshot || !d->lock)
        return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
    F5_TRY(output_make_folder(d->blob, error));
    F5_TRY(output_make_folder(d->snapshot, error));
    return output_make_folder(d->lock, error);
}

static void end(download *d) {
    if (d->fd >= 0) close(d->fd);
    if (d->lock_fd >= 0) close(d->lock_fd); /* which unlocks it */
    free(d->blob);
    free(d->incomplete);
    free(d->snapshot);
    free(d->lock);
}

/* Waits for whoever fetches the same file. A lock whose file was taken away meanwhile is none. */
static f5_status lock(download *d, const hub_events *events, f5_error *error) {
    for (;;) {
        struct stat held, there;
        d->lock_fd = open(d->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (d->lock_fd < 0) return io_error(d->lock, error);
        if (flock(d->lock_fd, LOCK_EX | LOCK_NB) != 0) {
            hub_note(events, "%s: another program fetches it: waiting", d->file->path);
            while (flock(d->lock_fd, LOCK_EX) != 0)
                if (errno != EINTR) return io_error(d->lock, error);
        }
        if (fstat(d->lock_fd, &held) == 0 && stat(d->lock, &there) == 0 && held.st_ino == there.st_ino) return F5_OK;
        close(d->lock_fd);
    }
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static f5_status restart(void *user, f5_error *error) {
    download *d = user;
    if (ftruncate(d->fd, 0) != 0 || lseek(d->fd, 0, SEEK_SET) != 0) return io_error(d->incomplete, error);
    d->at = 0;
    hub_digest_begin(&d->digest, d->head->hash, d->head->size);
    return F5_OK;
}

static f5_status add(void *user, const void *bytes, size_t n, f5_error *error) {
    download *d = user;
    for (const char *at = bytes; n > 0;) {
        ssize_t written = write(d->fd, at, n);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return io_error(d->incomplete, error);
        hub_digest_add(&d->digest, at, (size_t)written);
        d->at += written;
        at += written;
        n -= (size_t)written;
    }
    return F5_OK;
}

/* Opens what is there of the file, and takes it as its beginning. */
static f5_status open_incomplete(download *d, f5_error *error) {
    enum { BLOCK = 8192 };
    struct stat there;
    d->fd = open(d->incomplete, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (d->fd < 0 || fstat(d->fd, &there) != 0) return io_error(d->incomplete, error);
    if (!S_ISREG(there.st_mode)) return f5_fail(error, F5_E_IO, "%s: is no file", d->incomplete);
    F5_TRY(there.st_size > d->head->size ? restart(d, error) : F5_OK);
    hub_digest_begin(&d->digest, d->head->hash, d->head->size);
    char block[BLOCK];
    for (ssize_t n; (n = read(d->fd, block, BLOCK)) != 0; d->at += n) {
        if (n < 0 && errno == EINTR) {
            n = 0;
            continue;
        }
        if (n < 0) return io_error(d->incomplete, error);
        hub_digest_add(&d->digest, block, (size_t)n);
    }
    return F5_OK;
}

static f5_status check_room(const download *d, f5_error *error) {
    struct statvfs room;
    int64_t left = d->head->size - d->at;
    if (fstatvfs(d->fd, &room) != 0 || room.f_bavail > (uint64_t)left / room.f_frsize) return F5_OK;
    return f5_fail(error, F5_E_IO, "%s: no room: %.2f GB are still to come, %.2f GB are free", d->blob,
                   (double)left * 1e-9, (double)room.f_bavail * (double)room.f_frsize * 1e-9);
}

/* All bytes, and that they are the right ones. What an earlier run left may be wrong: then once more from the start. */
static f5_status fetch(download *d, hub_client *client, const hub_events *events, f5_error *error) {
    const hub_sink sink = {restart, add, d};
    F5_TRY(open_incomplete(d, error));
    F5_TRY(check_room(d, error));
    for (bool again = d->at > 0;; again = false) {
        if (d->at > 0 && d->at < d->head->size)
            hub_note(events, "%s: going on after %.1f MB", d->file->path, (double)d->at * 1e-6);
        if (d->at < d->head->size) F5_TRY(hub_client_get(client, d->file, d->head, d->at, &sink, error));
        if (d->at == d->head->size && hub_digest_is(&d->digest, d->head->hash)) break;
        if (!again) {
            unlink(d->incomplete);
            return f5_fail(error, F5_E_FORMAT,
                           "%s: what came is not what the hub says it is (hash %.12s... is wanted): taken away",
                           d->file->path, d->head->hash);
        }
        hub_note(events, "%s: what was left of it is wrong: fetching it again", d->file->path);
        F5_TRY(restart(d, error));
    }
    if (fsync(d->fd) != 0 || rename(d->incomplete, d->blob) != 0) return io_error(d->blob, error);
    return F5_OK;
}

/* ---- names of what came ------------------------------------------------------------------------------------------ */

/* snapshots/COMMIT/PATH as a link to ../../blobs/HASH, as many folders up as PATH goes down. Where there are no links,
 * the file itself is put there. The lock is held: a temporary name that is there is of a program that was killed. */
static f5_status link_snapshot(const download *d, f5_error *error) {
    char target[HUB_MAX_PATH * 3 + HUB_HASH + 16] = "../../";
    for (const char *c = d->file->path; *c; c++)
        if (*c == '/') strcat(target, "../");
    strcat(target, "blobs/");
    strcat(target, d->head->hash);
    char *temporary;
    if (asprintf(&temporary, "%s.f5tts-part", d->snapshot) < 0)
        return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
    unlink(temporary);
    bool linked = symlink(target, temporary) == 0 && rename(temporary, d->snapshot) == 0;
    if (!linked) {
        int reason = errno;
        unlink(temporary);
        errno = reason;
        linked = (reason == EPERM || reason == EOPNOTSUPP) && rename(d->blob, d->snapshot) == 0;
    }
    free(temporary);
    return linked ? F5_OK : io_error(d->snapshot, error);
}

/* refs/REVISION, unless it says so already. */
static f5_status note_commit(const hub_place *place, const hub_file *file, const char *commit, f5_error *error) {
    char name[HUB_MAX_NAME + 8], there[HUB_COMMIT] = "";
    if (hub_is_commit(file->revision)) return F5_OK;
    snprintf(name, sizeof name, "refs/%s", file->revision);
    char *path = hub_cache_path(place->cache, file, name);
    if (!path) return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
    FILE *old = fopen(path, "re");
    size_t n = old ? fread(there, 1, HUB_COMMIT - 1, old) : 0;
    there[n] = '\0';
    if (old) fclose(old);
    f5_status status = strcmp(there, commit) == 0 ? F5_OK : output_make_folder(path, error);
    if (status == F5_OK && strcmp(there, commit) != 0) {
        output_file ref;
        status = output_begin(&ref, path, error);
        if (status == F5_OK) {
            fputs(commit, ref.stream);
            status = output_commit(&ref, error);
        }
    }
    free(path);
    return status;
}

/* ------------------------------------------------------------------------------------------------------------------ */

static f5_status store(download *d, hub_client *client, const hub_place *place, const hub_events *events,
                       hub_pulled *pulled, f5_error *error) {
    F5_TRY(name_all(d, place, error));
    if (!is_file(d->snapshot, d->head->size)) {
        F5_TRY(lock(d, events, error));
        if (!is_file(d->blob, d->head->size)) {
            F5_TRY(fetch(d, client, events, error));
            pulled->fetched = true;
        }
        F5_TRY(link_snapshot(d, error));
    } /* of a cache that cannot be written to, only the reference may be out of date */
    f5_error why;
    f5_status status = note_commit(place, d->file, d->head->commit, &why);
    return status == F5_OK || !pulled->fetched ? F5_OK : f5_fail(error, status, "%s", why.message);
}

/* Before the hub is asked: a folder that cannot be written to, unless nothing may have to be. */
static f5_status check_folder(const hub_place *place, const hub_file *file, f5_error *error) {
    char commit[HUB_COMMIT], *there = hub_cache_find(place->cache, file, commit);
    char *probe = there ? NULL : hub_cache_path(place->cache, file, "blobs/x");
    f5_status status = probe ? output_check(probe, error) : F5_OK;
    free(probe);
    free(there);
    return status;
}

f5_status hub_pull(hub_client *client, const hub_place *place, const hub_events *events, const hub_file *file,
                   int64_t max_bytes, hub_pulled *pulled, f5_error *error) {
    *pulled = (hub_pulled){0};
    F5_TRY(check_folder(place, file, error));
    hub_head head;
    F5_TRY(hub_client_head(client, file, &head, error));
    pulled->missing = head.missing;
    if (head.missing) return F5_OK;
    if (head.size > max_bytes)
        return f5_fail(error, F5_E_FORMAT, "%s: %.2f MB are more than such a file has (%.2f MB at most)", file->path,
                       (double)head.size * 1e-6, (double)max_bytes * 1e-6);
    pulled->bytes = head.size;
    memcpy(pulled->commit, head.commit, HUB_COMMIT);
    download d = {.file = file, .head = &head, .fd = -1, .lock_fd = -1};
    f5_status status = store(&d, client, place, events, pulled, error);
    end(&d);
    return status;
}
