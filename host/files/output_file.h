/* output_file.h — a file that appears whole or not at all: written under a temporary name beside its own, then renamed.
 * An existing file is replaced, with its permissions; on failure it is left as it was. A link to a file stays: the file
 * that it leads to is replaced. */
#ifndef F5_OUTPUT_FILE_H
#define F5_OUTPUT_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "kernels/error.h"

typedef struct {
    const char *path; /* the caller's; must outlive this */
    char *target;     /* where a link of that path leads; NULL: it is none. Owned */
    char *temporary;  /* path of the file being written; owned */
    bool named;       /* it has that path already */
    FILE *stream;     /* binary, read and write */
} output_file;

/* Every begun file is ended by one of commit and abort; abort after commit or a failed begin does nothing. */
f5_status output_begin(output_file *f, const char *path, f5_error *error);
f5_status output_commit(output_file *f, f5_error *error); /* fails if any write failed; the file is then aborted */
void output_abort(output_file *f);

/* Fails early where making the folder and the file would fail: for a path that exists and is no file, or whose nearest
 * folder that exists cannot be written to. */
f5_status output_check(const char *path, f5_error *error);

/* The file that a path names or will name, under one name however it is spelled: absolute, without links, "." and "..",
 * also of folders that are still to be made. identity [OUTPUT_MAX_PATH]; false: the path is too long. */
#define OUTPUT_MAX_PATH 4096
bool output_identity(const char *path, char *identity);

/* Refuses an output that would take the place of another file of the same command. F5_E_ARGUMENT names both. */
f5_status output_check_distinct(const char *path, const char *other, f5_error *error);

/* Makes the folder a file is to lie in, and those above it; one that exists is fine. */
f5_status output_make_folder(const char *path, f5_error *error);

#endif
