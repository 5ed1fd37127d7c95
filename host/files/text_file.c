/* text_file.c — reads until the end or the limit into memory that doubles. */
#include "host/files/text_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/utf8.h"

/* Everything there is, at most max_bytes + 1. Memory is kept one byte larger than what is read. */
static f5_status read_all(FILE *f, const char *path, size_t max_bytes, char **text, size_t *bytes, f5_error *error) {
    size_t room = 0;
    *bytes = 0;
    for (bool done = false; !done;) {
        size_t wanted = room ? 2 * room : 65536;
        char *more = realloc(*text, wanted);
        if (!more) return f5_fail(error, F5_E_MEMORY, "%s: no memory for a text", path);
        *text = more, room = wanted;
        *bytes += fread(*text + *bytes, 1, room - 1 - *bytes, f);
        if (*bytes > max_bytes)
            return f5_fail(error, F5_E_UNSUPPORTED, "%s: is longer than %zu bytes: split it", path, max_bytes);
        done = *bytes < room - 1;
    }
    if (ferror(f)) return f5_fail(error, F5_E_IO, "%s: cannot be read: %s", path, strerror(errno));
    (*text)[*bytes] = '\0';
    return F5_OK;
}

static f5_status check_text(const char *path, char *text, size_t *bytes, f5_error *error) {
    if (strncmp(text, "\xEF\xBB\xBF", 3) == 0) memmove(text, text + 3, (*bytes -= 3) + 1); /* a byte order mark */
    if (strlen(text) != *bytes)
        return f5_fail(error, F5_E_FORMAT, "%s: holds a zero byte; a text file is needed", path);
    size_t good = utf8_valid_prefix(text, *bytes);
    if (good != *bytes)
        return f5_fail(error, F5_E_FORMAT, "%s: malformed UTF-8 at byte %zu: save it as UTF-8", path, good);
    return F5_OK;
}

f5_status text_file_read(const char *path, size_t max_bytes, char **text, size_t *bytes, f5_error *error) {
    *text = NULL;
    bool standard_input = strcmp(path, "-") == 0;
    FILE *f = standard_input ? stdin : fopen(path, "rb");
    if (!f) return f5_fail(error, F5_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    size_t n = 0;
    const char *shown = standard_input ? "standard input" : path;
    f5_status status = read_all(f, shown, max_bytes, text, &n, error);
    if (!standard_input) fclose(f);
    if (status == F5_OK) status = check_text(shown, *text, &n, error);
    if (status != F5_OK) {
        free(*text);
        *text = NULL;
    }
    if (bytes) *bytes = n;
    return status;
}

f5_status text_line_error(f5_error *error, f5_status status, const char *file, int line, const char *format, ...) {
    f5_error what;
    va_list args;
    va_start(args, format);
    f5_format(what.message, sizeof what.message, format, args);
    va_end(args);
    return f5_fail(error, status, "%s:%d: %s", file, line, what.message);
}
