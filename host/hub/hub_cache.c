/* hub_cache.c — names are checked character by character before any becomes a path. */
#define _GNU_SOURCE /* asprintf */
#include "host/hub/hub_cache.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEME "hf://"
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

/* ---- names ------------------------------------------------------------------------------------------------------- */

bool hub_is_url(const char *text) {
    return strncmp(text, SCHEME, strlen(SCHEME)) == 0;
}

/* A part of a name that is fit for a path: letters, digits, dots and dashes, and neither "." nor "..". */
static bool is_name(const char *text, size_t bytes) {
    if (bytes == 0 || bytes > HUB_MAX_NAME || text[0] == '.' || text[0] == '-') return false;
    for (size_t i = 0; i < bytes; i++)
        if (!strchr(NAME_LETTERS, text[i]) || (i > 0 && text[i] == '.' && text[i - 1] == '.')) return false;
    return true;
}

/* Folders and a name that lead nowhere but down. */
static bool is_path(const char *path) {
    size_t bytes = strlen(path);
    if (bytes == 0 || bytes >= HUB_MAX_PATH) return false;
    for (const char *at = path;; at++) {
        size_t part = strcspn(at, "/");
        if (part == 0 || part > 255 || (at[0] == '.' && (part == 1 || (part == 2 && at[1] == '.')))) return false;
        for (size_t i = 0; i < part; i++)
            if ((unsigned char)at[i] < 0x20 || at[i] == 0x7f || at[i] == '\\') return false;
        at += part;
        if (!*at) return true;
    }
}

f5_status hub_file_parse(hub_file *file, const char *url, f5_error *error) {
    const char *owner = url + strlen(SCHEME);
    size_t owner_bytes = strcspn(owner, "/");
    const char *name = owner + owner_bytes + (owner[owner_bytes] == '/');
    size_t repository_bytes = strcspn(name, "/"), name_bytes = strcspn(name, "@/");
    const char *revision = name + name_bytes + (name[name_bytes] == '@');
    size_t revision_bytes = (size_t)(name + repository_bytes - revision);
    const char *path = name + repository_bytes + (name[repository_bytes] == '/');
    bool good = is_name(owner, owner_bytes) && is_name(name, name_bytes) && is_path(path) &&
                !memmem(owner, owner_bytes, "--", 2) && !memmem(name, name_bytes, "--", 2) &&
                (name_bytes == repository_bytes || is_name(revision, revision_bytes));
    if (!good)
        return f5_fail(error, F5_E_ARGUMENT,
                       "%s: hf://OWNER/NAME/FILE is wanted, as hf://SWivid/F5-TTS/F5TTS_v1_Base/vocab.txt", url);
    snprintf(file->repository, sizeof file->repository, "%.*s/%.*s", (int)owner_bytes, owner, (int)name_bytes, name);
    snprintf(file->revision, sizeof file->revision, "%.*s", name_bytes == repository_bytes ? 4 : (int)revision_bytes,
             name_bytes == repository_bytes ? "main" : revision);
    snprintf(file->path, sizeof file->path, "%s", path);
    return F5_OK;
}

char *hub_file_url(const hub_file *file, const char *commit) {
    const char *revision = commit && *commit ? commit : file->revision;
    bool usual = strcmp(revision, "main") == 0;
    char *url;
    return asprintf(&url, SCHEME "%s%s%s/%s", file->repository, usual ? "" : "@", usual ? "" : revision, file->path) < 0
               ? NULL
               : url;
}

bool hub_is_commit(const char *text) {
    return strlen(text) == HUB_COMMIT - 1 && strspn(text, "0123456789abcdef") == HUB_COMMIT - 1;
}

/* ---- the cache --------------------------------------------------------------------------------------------------- */

char *hub_cache_path(const char *cache, const hub_file *file, const char *name) {
    size_t owner = strcspn(file->repository, "/");
    char *path;
    return asprintf(&path, "%s/models--%.*s--%s/%s", cache, (int)owner, file->repository, file->repository + owner + 1,
                    name) < 0
               ? NULL
               : path;
}

/* The commit that a branch or a tag was at when it was fetched; false: it never was. */
static bool read_ref(const char *cache, const hub_file *file, char commit[HUB_COMMIT]) {
    char name[HUB_MAX_NAME + 8];
    snprintf(name, sizeof name, "refs/%s", file->revision);
    char *path = hub_cache_path(cache, file, name);
    FILE *ref = path ? fopen(path, "re") : NULL;
    free(path);
    if (!ref) return false;
    size_t n = fread(commit, 1, HUB_COMMIT - 1, ref);
    commit[n] = '\0';
    fclose(ref);
    return hub_is_commit(commit);
}

/* The file of a snapshot, to be freed; NULL: it is not there. changed receives the snapshot's time. */
static char *in_snapshot(const char *cache, const hub_file *file, const char *commit, struct timespec *changed) {
    char name[HUB_COMMIT + HUB_MAX_PATH + 16];
    struct stat there, folder;
    snprintf(name, sizeof name, "snapshots/%s", commit);
    char *path = hub_cache_path(cache, file, name);
    bool known = path && stat(path, &folder) == 0;
    free(path);
    if (!known) return NULL;
    *changed = folder.st_mtim;
    snprintf(name, sizeof name, "snapshots/%s/%s", commit, file->path);
    path = hub_cache_path(cache, file, name);
    if (path && stat(path, &there) == 0 && S_ISREG(there.st_mode)) return path;
    free(path);
    return NULL;
}

static bool is_later(const struct timespec *a, const struct timespec *b) {
    return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

char *hub_cache_find(const char *cache, const hub_file *file, char commit[HUB_COMMIT]) {
    struct timespec changed, newest = {0};
    bool of_commit = hub_is_commit(file->revision);
    char *found = NULL, *folder_path;
    if (of_commit) memcpy(commit, file->revision, HUB_COMMIT);
    if (of_commit || read_ref(cache, file, commit)) found = in_snapshot(cache, file, commit, &changed);
    if (found || of_commit || strcmp(file->revision, "main") != 0) return found;
    folder_path = hub_cache_path(cache, file, "snapshots");
    DIR *folder = folder_path ? opendir(folder_path) : NULL;
    free(folder_path);
    if (!folder) return NULL;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!hub_is_commit(entry->d_name)) continue;
        char *path = in_snapshot(cache, file, entry->d_name, &changed);
        if (!path || (found && !is_later(&changed, &newest))) {
            free(path);
            continue;
        }
        free(found);
        found = path;
        newest = changed;
        memcpy(commit, entry->d_name, HUB_COMMIT);
    }
    closedir(folder);
    return found;
}
