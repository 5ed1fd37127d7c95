/* hub_cache.h — files of the model hub by their names, and where they lie in the cache that huggingface_hub keeps:
 *
 *   CACHE/models--OWNER--NAME/refs/REVISION           the commit that a branch was at
 *   CACHE/models--OWNER--NAME/snapshots/COMMIT/PATH   a link into ...
 *   CACHE/models--OWNER--NAME/blobs/HASH              ... the file itself */
#ifndef F5_HUB_CACHE_H
#define F5_HUB_CACHE_H

#include <stdbool.h>

#include "kernels/error.h"

#define HUB_MAX_NAME 96
#define HUB_MAX_PATH 512
#define HUB_COMMIT 41 /* bytes of 40 hexadecimal digits and their end */

typedef struct {
    char repository[2 * HUB_MAX_NAME + 2]; /* "SWivid/F5-TTS" */
    char revision[HUB_MAX_NAME + 1];       /* "main": a branch, a tag, or a commit */
    char path[HUB_MAX_PATH];               /* "F5TTS_v1_Base/vocab.txt" */
} hub_file;

bool hub_is_url(const char *text); /* it begins with hf:// */

/* Reads hf://OWNER/NAME[@REVISION]/PATH. F5_E_ARGUMENT: it is none, or leads out of its folder ("..", control
 * characters). */
f5_status hub_file_parse(hub_file *file, const char *url, f5_error *error);

/* The inverse, and with a commit in the revision's place where one is given; to be freed, NULL: no memory. */
char *hub_file_url(const hub_file *file, const char *commit);

bool hub_is_commit(const char *text);

/* The folder of a repository in the cache, and a name below it; to be freed, NULL: no memory. */
char *hub_cache_path(const char *cache, const hub_file *file, const char *name);

/* Where the file lies, to be freed, and the commit that it is of; NULL where it is not in the cache. It is looked for
 * at the revision's commit, then, for a branch, in the other snapshots, the newest first. */
char *hub_cache_find(const char *cache, const hub_file *file, char commit[HUB_COMMIT]);

#endif
