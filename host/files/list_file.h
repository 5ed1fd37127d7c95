/* list_file.h — a list of many lines, each with named values: tab-separated, or one JSON object a line.
 *
 * A tab-separated line is text, voice, output. Where each cell of the first line that is not blank is a known name,
 * that line is a header instead and says what the columns are. An empty cell is a value not given. A list is JSON lines
 * if its name ends in .jsonl or .ndjson, or if it ends in neither .tsv nor .txt and its first character is '{'; values
 * are then strings, numbers, true, false or null (not given). Blank lines are skipped, a byte order mark is too. Lines
 * are read one at a time, so the memory taken does not depend on their number. */
#ifndef F5_LIST_FILE_H
#define F5_LIST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/error.h"

#define LIST_MAX_LINE_BYTES (1 << 20)
#define LIST_MAX_LINES 1000000
#define LIST_MAX_VALUES 64

typedef struct {
    const char *name, *value; /* UTF-8 without NUL; numbers as text, "true" and "false" */
} list_value;

typedef struct {
    int32_t number;                    /* in the file, from 1 */
    list_value value[LIST_MAX_VALUES]; /* [count]; until the next list_next */
    int32_t count;
} list_line;

typedef struct list_file list_file;

/* Opens a list ("-": standard input, which is copied). is_name says which names a header may have; it is not asked
 * about JSON's, which the caller checks. path must outlive the list. Errors name the file: F5_E_IO, F5_E_MEMORY,
 * F5_E_UNSUPPORTED (JSON lines where the build lacks jansson). */
f5_status list_open(list_file **list, const char *path, bool (*is_name)(void *user, const char *name), void *user,
                    f5_error *error);
void list_close(list_file *list); /* NULL is fine */

/* The next line that is not blank; line->number is 0 after the last. F5_E_FORMAT is a bad line, "FILE:LINE: what is
 * wrong", after which the next call goes on; after any other error (a read error, a limit passed) the list is at its
 * end. */
f5_status list_next(list_file *list, list_line *line, f5_error *error);

/* Reads the list again from its start. F5_E_IO where it is no file. */
f5_status list_rewind(list_file *list, f5_error *error);

#endif
