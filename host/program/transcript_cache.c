/* transcript_cache.c — XDG_CACHE_HOME/f5tts/transcripts/HASH.txt, or ~/.cache/f5tts/transcripts/HASH.txt. A file gets
 * its name when it is whole. */
#define _GNU_SOURCE /* mkostemp */
#include "host/program/transcript_cache.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/api/f5tts.h"
#include "host/files/text_file.h"

#define MAX_WORDS_BYTES 65536

/* The path, with the folders above it made if `make`. false: there is no home, or it is too long. */
static bool find_path(char path[PATH_MAX], uint64_t hash, bool make) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = cache && *cache == '/' ? snprintf(path, PATH_MAX, "%s/", cache)
            : home && *home == '/' ? snprintf(path, PATH_MAX, "%s/.cache/", home)
                                   : -1;
    if (n < 0 || n > PATH_MAX - 64) return false;
    if (make) mkdir(path, 0700);
    n += snprintf(path + n, PATH_MAX - (size_t)n, "f5tts/");
    if (make) mkdir(path, 0700);
    n += snprintf(path + n, PATH_MAX - (size_t)n, "transcripts/");
    if (make) mkdir(path, 0700);
    snprintf(path + n, PATH_MAX - (size_t)n, "%016llx.txt", (unsigned long long)hash);
    return true;
}

/* What is no file, or says nothing, counts as not there. */
char *transcript_find(uint64_t hash) {
    char path[PATH_MAX], *words = NULL;
    struct stat there;
    if (!find_path(path, hash, false) || stat(path, &there) != 0 || !S_ISREG(there.st_mode)) return NULL;
    if (text_file_read(path, MAX_WORDS_BYTES, &words, NULL, NULL) != F5_OK) return NULL;
    if (!f5_text_is_blank(words)) return words;
    free(words);
    return NULL;
}

void transcript_keep(uint64_t hash, const char *words) {
    char path[PATH_MAX], whole[PATH_MAX];
    if (!find_path(whole, hash, true)) return;
    if ((size_t)snprintf(path, sizeof path, "%s.XXXXXX", whole) >= sizeof path) return;
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) return;
    size_t bytes = strlen(words);
    bool written = write(fd, words, bytes) == (ssize_t)bytes;
    if (close(fd) != 0 || !written || rename(path, whole) != 0) unlink(path);
}
