/* consent_store.c — a list in memory of what the folder holds; each change is on the disk before it is in the list. */
#include "host/server/consent_store.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "host/files/output_file.h"
#include "host/server/work_group.h"

#define ENDING ".safetensors"

typedef enum { ADD, RENAME, REMOVE } change;

typedef struct job {
    struct job *next;
    consent_store *store;
    change change;
    consent consent; /* as it shall be */
    char path[OUTPUT_MAX_PATH];
    int fd;
    consent_done_fn done;
    void *user;
    f5_status status;
    f5_error error;
} job;

struct consent_store {
    loop *loop;
    char *folder;     /* NULL: nothing is kept */
    consent *consent; /* [n] of room for CONSENT_STORE_MAX; the oldest first */
    int n;
    job *jobs;
    work_group working;
};

/* ---- the list ---------------------------------------------------------------------------------------------------- */

int consent_store_count(const consent_store *s) {
    return s->n;
}

const consent *consent_store_at(const consent_store *s, int i) {
    return i >= 0 && i < s->n ? &s->consent[s->n - 1 - i] : NULL;
}

static int index_of(const consent_store *s, const char *id) {
    int i = s->n - 1;
    while (i >= 0 && strcmp(s->consent[i].id, id) != 0) i--;
    return i;
}

const consent *consent_store_find(const consent_store *s, const char *id) {
    int i = index_of(s, id);
    return i >= 0 ? &s->consent[i] : NULL;
}

static int compare_consents(const void *a, const void *b) {
    const consent *x = a, *y = b;
    if (x->file.created_at != y->file.created_at) return x->file.created_at < y->file.created_at ? -1 : 1;
    return strcmp(x->id, y->id);
}

/* ---- changes ----------------------------------------------------------------------------------------------------- */

static void free_job(job *j) {
    if (j->fd >= 0) close(j->fd);
    free(j);
}

static void write_change(void *user) {
    job *j = user;
    char copied[32];
    snprintf(copied, sizeof copied, "/proc/self/fd/%d", j->fd);
    if (j->change == REMOVE) {
        if (unlink(j->path) != 0 && errno != ENOENT)
            j->status =
                f5_fail(&j->error, F5_E_IO, "consent %s: cannot be removed: %s", j->consent.id, strerror(errno));
    } else {
        j->status = consent_file_write(&j->consent.file, j->path, j->change == ADD ? copied : NULL, &j->error);
    }
    work_group_add(&j->store->working, -1);
}

static void take_change(void *user) {
    job *j = user;
    consent_store *s = j->store;
    job **at = &s->jobs;
    while (*at != j) at = &(*at)->next;
    *at = j->next;
    int i = j->status == F5_OK ? index_of(s, j->consent.id) : -1;
    if (j->status == F5_OK && j->change == ADD) s->consent[s->n++] = j->consent; /* room was kept for it */
    if (i >= 0 && j->change == RENAME) s->consent[i] = j->consent;
    if (i >= 0 && j->change == REMOVE)
        memmove(s->consent + i, s->consent + i + 1, (size_t)(--s->n - i) * sizeof *s->consent);
    j->done(j->user, j->status, j->error.message, j->consent.id);
    free_job(j);
}

/* Starts a change. Of one consent there is one at a time. fd is taken. */
static f5_status start_change(consent_store *s, change what, const consent *c, int fd, consent_done_fn done, void *user,
                              f5_error *error) {
    int pending = 0, adding = 0;
    bool same = false;
    for (const job *j = s->jobs; j; j = j->next) {
        pending++;
        adding += j->change == ADD;
        same |= strcmp(j->consent.id, c->id) == 0;
    }
    f5_status status = F5_OK;
    if (pending >= CONSENT_STORE_MAX_PENDING || same)
        status = f5_fail(error, F5_E_LIMIT, "%d consents are being written: try again in a second", pending);
    else if (what == ADD && s->n + adding >= CONSENT_STORE_MAX)
        status = f5_fail(error, F5_E_UNSUPPORTED, "there are %d consents, which is the most: delete one first", s->n);
    job *j = status == F5_OK ? calloc(1, sizeof *j) : NULL;
    if (!j) {
        if (fd >= 0) close(fd);
        return status == F5_OK ? f5_fail(error, F5_E_MEMORY, "no memory for a consent") : status;
    }
    j->store = s;
    j->change = what;
    j->consent = *c;
    j->fd = fd;
    j->done = done;
    j->user = user;
    snprintf(j->path, sizeof j->path, "%s/%s" ENDING, s->folder, c->id);
    work_group_add(&s->working, 1);
    status = loop_background(s->loop, write_change, take_change, j, error);
    if (status == F5_OK) {
        j->next = s->jobs;
        s->jobs = j;
        return F5_OK;
    }
    work_group_add(&s->working, -1);
    free_job(j);
    return status;
}

static bool make_id(char id[40]) {
    unsigned char random[12];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) return false;
    size_t n = (size_t)sprintf(id, "cons_");
    for (size_t i = 0; i < sizeof random; i++) n += (size_t)sprintf(id + n, "%02x", random[i]);
    return true;
}

f5_status consent_store_add(consent_store *s, const consent_file *given, int fd, consent_done_fn done, void *user,
                            f5_error *error) {
    consent c = {.file = *given};
    c.file.created_at = (int64_t)time(NULL);
    f5_status status = F5_OK;
    if (!s->folder)
        status = f5_fail(error, F5_E_UNSUPPORTED, "this server keeps nothing: it was started without --upload_dir");
    else if (!make_id(c.id))
        status = f5_fail(error, F5_E_MEMORY, "the system gives no random numbers");
    if (status == F5_OK) return start_change(s, ADD, &c, fd, done, user, error);
    close(fd);
    return status;
}

static f5_status change_one(consent_store *s, change what, const char *id, const char *name, consent_done_fn done,
                            void *user, f5_error *error) {
    const consent *found = consent_store_find(s, id);
    if (!found) return f5_fail(error, F5_E_ARGUMENT, "there is no consent %s", id);
    consent c = *found;
    if (name) snprintf(c.file.name, sizeof c.file.name, "%s", name);
    return start_change(s, what, &c, -1, done, user, error);
}

f5_status consent_store_rename(consent_store *s, const char *id, const char *name, consent_done_fn done, void *user,
                               f5_error *error) {
    return change_one(s, RENAME, id, name, done, user, error);
}

f5_status consent_store_remove(consent_store *s, const char *id, consent_done_fn done, void *user, f5_error *error) {
    return change_one(s, REMOVE, id, NULL, done, user, error);
}

/* ---- the store --------------------------------------------------------------------------------------------------- */

static void load_one(consent_store *s, const char *file) {
    size_t n = strlen(file), ending = strlen(ENDING);
    if (n <= ending || n - ending >= sizeof s->consent->id || strcmp(file + n - ending, ENDING) != 0 ||
        strncmp(file, "cons_", 5) != 0 || 5 + strspn(file + 5, "0123456789abcdef") != n - ending ||
        s->n == CONSENT_STORE_MAX)
        return;
    consent *c = &s->consent[s->n];
    char path[OUTPUT_MAX_PATH];
    f5_error error;
    snprintf(path, sizeof path, "%s/%s", s->folder, file);
    snprintf(c->id, sizeof c->id, "%.*s", (int)(n - ending), file);
    if (consent_file_read(&c->file, path, &error) == F5_OK)
        s->n++;
    else
        fprintf(stderr, "f5tts serve: %s; this consent is left out\n", error.message);
}

static f5_status load(consent_store *s, const char *folder, f5_error *error) {
    size_t room = strlen(folder) + sizeof "/consents/x";
    s->folder = malloc(room);
    s->consent = calloc(CONSENT_STORE_MAX, sizeof *s->consent);
    if (!s->folder || !s->consent) return f5_fail(error, F5_E_MEMORY, "no memory for consents");
    snprintf(s->folder, room, "%s/consents/x", folder);
    F5_TRY(output_make_folder(s->folder, error));
    s->folder[strlen(s->folder) - 2] = '\0';
    DIR *d = opendir(s->folder);
    if (!d) return f5_fail(error, F5_E_IO, "%s: the folder cannot be read: %s", s->folder, strerror(errno));
    for (const struct dirent *file; (file = readdir(d));) load_one(s, file->d_name);
    closedir(d);
    qsort(s->consent, (size_t)s->n, sizeof *s->consent, compare_consents);
    return F5_OK;
}

f5_status consent_store_new(consent_store **made, loop *l, const char *folder, f5_error *error) {
    *made = NULL;
    consent_store *s = calloc(1, sizeof *s);
    if (!s) return f5_fail(error, F5_E_MEMORY, "no memory for consents");
    s->loop = l;
    work_group_init(&s->working);
    f5_status status = folder ? load(s, folder, error) : F5_OK;
    if (status == F5_OK)
        *made = s;
    else
        consent_store_free(s);
    return status;
}

void consent_store_free(consent_store *s) {
    if (!s) return;
    work_group_end(&s->working);
    while (s->jobs) {
        job *j = s->jobs;
        s->jobs = j->next;
        j->done(j->user, F5_E_CANCELLED, "the server ends", j->consent.id);
        free_job(j);
    }
    free(s->consent);
    free(s->folder);
    free(s);
}
