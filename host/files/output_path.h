/* output_path.h — what can be known of an output before the work: which file a path means, whether it can be written,
 * whether two are one. "-" is standard output. */
#ifndef F5_OUTPUT_PATH_H
#define F5_OUTPUT_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/error.h"

#define OUTPUT_MAX_PATH 4096

bool output_is_stdout(const char *path);
bool output_goes_to_stdout(const char *path); /* /dev/stdout and what leads there, too */

/* The file that is written for a path: where links of its last name lead, also to what is not there yet. real
 * [OUTPUT_MAX_PATH]. *direct: it is a pipe, a device or an open file of a process, which is written as it is. */
f5_status output_resolve(const char *path, char *real, bool *direct, f5_error *error);

/* Fails early where making the folder and the file would fail: for a path that exists and is neither a file nor a pipe
 * nor a device, a name that is too long, a file or a nearest folder that cannot be written to. */
f5_status output_check(const char *path, f5_error *error);

/* Fails where the disk or the process's limit on files has not so many bytes: F5_E_IO. */
f5_status output_check_room(const char *path, int64_t bytes, f5_error *error);

/* The file that a path names or will name, under one name however it is spelled: absolute, without links, "." and "..",
 * also of folders that are still to be made. identity [OUTPUT_MAX_PATH]; false: the path is too long. */
bool output_identity(const char *path, char *identity);

/* Refuses an output that would take the place of another file of the same command. F5_E_ARGUMENT names both. */
f5_status output_check_distinct(const char *path, const char *other, f5_error *error);

/* Makes the folder a file is to lie in, and those above it; one that exists is fine. Those made are litter while they
 * are empty (output_litter.h). */
f5_status output_make_folder(const char *path, f5_error *error);

/* Makes a new empty file of that name, or NAME_2.EXT, NAME_3.EXT and so on, whichever is not there; path [room] has the
 * name then. *number: it is litter until that is forgotten. */
f5_status output_reserve(char *path, size_t room, int *number, f5_error *error);

/* The folder of a file, to be freed; "." where the path has none. NULL: no memory. */
char *output_folder(const char *path);

#endif
