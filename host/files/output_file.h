/* output_file.h — a file that appears whole or not at all: it is written without a name, or under a temporary one in
 * the same folder, and gets its own when it is complete. An existing file is replaced, with its permissions; on failure
 * it is left as it was. A link to a file stays: the file that it leads to is replaced, or made.
 *
 * Standard output ("-"), pipes and devices are written as they are, byte after byte; there is nothing to take back. */
#ifndef F5_OUTPUT_FILE_H
#define F5_OUTPUT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "host/files/output_path.h"
#include "kernels/error.h"

typedef struct output_io output_io;

typedef struct {
    const char *path; /* the caller's; must outlive this */
    bool direct;      /* standard output, a pipe or a device */
    FILE *stream;     /* binary, for writing; only from where it stands where it is direct */
    output_io *io;
} output_file;

/* Every begun file is ended by one of commit and abort; abort after commit or a failed begin does nothing. To open a
 * pipe waits until somebody reads it. */
f5_status output_begin(output_file *f, const char *path, f5_error *error);
f5_status output_commit(output_file *f, f5_error *error); /* fails if any write failed; the file is then aborted */
void output_abort(output_file *f);

/* Bytes behind all others, or in place of some, past the stream. 0, or the errno value of this failure or of the first
 * one; also for sound_sink. A direct output cannot be rewritten. */
int output_write(output_file *f, const void *bytes, size_t n);
int output_rewrite(output_file *f, int64_t at, const void *bytes, size_t n);

/* The errno value of the first write that failed; 0: none did so far. */
int output_failed(const output_file *f);

/* A name in the target's folder that nobody has: random. false: it would be too long, or the system gives no
 * randomness. */
bool output_temporary_name(const char *target, char name[OUTPUT_MAX_PATH]);

/* Gives a begun file another name in the same folder; path must outlive f. */
f5_status output_rename(output_file *f, const char *path, f5_error *error);

#endif
