/* npy.c — the header is a Python literal of three keys, read by a small parser of just these; the numbers follow it as
 * they lie in memory. The format: numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#include "host/files/npy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/files/output_file.h"
#include "runtime/finite.h"

#define MAX_HEADER_BYTES 4096

/* ---- header: {'descr': '<f4', 'fortran_order': False, 'shape': (N, 100), } --------------------------------------- */

typedef struct {
    const char *at, *end;
} cursor;

static void skip_blanks(cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t')) c->at++;
}

static bool take(cursor *c, const char *token) {
    size_t n = strlen(token);
    skip_blanks(c);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, token, n) != 0) return false;
    c->at += n;
    return true;
}

/* 'text' or "text" */
static bool take_string(cursor *c, const char *text) {
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s'", text);
    if (take(c, quoted)) return true;
    snprintf(quoted, sizeof quoted, "\"%s\"", text);
    return take(c, quoted);
}

static bool take_number(cursor *c, int64_t *value) {
    skip_blanks(c);
    const char *start = c->at;
    *value = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        if (*value > INT64_MAX / 10 - 9) return false;
        *value = *value * 10 + (*c->at - '0');
    }
    return c->at > start;
}

/* What is wrong with the header, or NULL. */
static const char *parse_header(const char *text, size_t bytes, int64_t *rows, int64_t *cols) {
    cursor c = {text, text + bytes};
    bool have_type = false, have_order = false, have_shape = false;
    if (!take(&c, "{")) return "the header is malformed";
    while (!take(&c, "}")) {
        if (take_string(&c, "descr")) {
            if (!take(&c, ":") || !take_string(&c, "<f4")) return "the numbers are not little-endian float32";
            have_type = true;
        } else if (take_string(&c, "fortran_order")) {
            if (!take(&c, ":") || !take(&c, "False")) return "the array is not in C order";
            have_order = true;
        } else if (take_string(&c, "shape")) {
            if (!take(&c, ":") || !take(&c, "(") || !take_number(&c, rows) || !take(&c, ",") ||
                !take_number(&c, cols) || (take(&c, ","), !take(&c, ")")))
                return "the array is not two-dimensional";
            have_shape = true;
        } else {
            return "the header is malformed";
        }
        if (!take(&c, ",") && c.at < c.end && *c.at != '}') return "the header is malformed";
    }
    skip_blanks(&c);
    if (c.at != c.end) return "the header is malformed";
    return have_type && have_order && have_shape ? NULL : "the header lacks descr, fortran_order or shape";
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static f5_status read_array(FILE *f, const char *path, int32_t cols, float **data, int32_t *rows, f5_error *error) {
    unsigned char head[12];
    struct stat info;
    if (fstat(fileno(f), &info) != 0 || !S_ISREG(info.st_mode))
        return f5_fail(error, F5_E_IO, "%s: is not a file", path);
    if (fread(head, 1, 10, f) != 10 || memcmp(head, "\x93NUMPY", 6) != 0)
        return f5_fail(error, F5_E_FORMAT, "%s: is not a .npy file", path);
    if (head[6] < 1 || head[6] > 3)
        return f5_fail(error, F5_E_FORMAT, "%s: .npy version %d; 1 to 3 can be read", path, head[6]);
    size_t header_bytes = head[8] | (size_t)head[9] << 8, start = 10;
    if (head[6] > 1) {
        if (fread(head + 10, 1, 2, f) != 2) return f5_fail(error, F5_E_FORMAT, "%s: is truncated", path);
        header_bytes |= (size_t)head[10] << 16 | (size_t)head[11] << 24;
        start = 12;
    }
    char header[MAX_HEADER_BYTES];
    if (header_bytes > sizeof header)
        return f5_fail(error, F5_E_FORMAT, "%s: a header of %zu bytes is too long", path, header_bytes);
    if (fread(header, 1, header_bytes, f) != header_bytes) return f5_fail(error, F5_E_FORMAT, "%s: is truncated", path);
    int64_t n = 0, width = 0;
    const char *wrong = parse_header(header, header_bytes, &n, &width);
    if (wrong) return f5_fail(error, F5_E_FORMAT, "%s: %s", path, wrong);
    if (width != cols || n < 1 || n > NPY_MAX_ROWS)
        return f5_fail(error, F5_E_FORMAT, "%s: the array is [%lld,%lld]; [1 to %d,%d] is needed", path, (long long)n,
                       (long long)width, NPY_MAX_ROWS, cols);
    int64_t wanted = n * cols * (int64_t)sizeof(float);
    if (info.st_size - (int64_t)(start + header_bytes) != wanted)
        return f5_fail(error, F5_E_FORMAT, "%s: an array [%lld,%d] takes %lld bytes, the file has %lld", path,
                       (long long)n, cols, (long long)wanted,
                       (long long)info.st_size - (long long)(start + header_bytes));
    *data = malloc((size_t)wanted);
    if (!*data) return f5_fail(error, F5_E_MEMORY, "%s: no memory for %lld bytes", path, (long long)wanted);
    if (fread(*data, 1, (size_t)wanted, f) != (size_t)wanted)
        return f5_fail(error, F5_E_IO, "%s: cannot be read", path);
    int64_t good = finite_until(*data, n * cols);
    if (good < n * cols)
        return f5_fail(error, F5_E_FORMAT, "%s: element [%lld,%lld] is not a finite number", path,
                       (long long)(good / cols), (long long)(good % cols));
    *rows = (int32_t)n;
    return F5_OK;
}

f5_status npy_read(const char *path, int32_t cols, float **data, int32_t *rows, f5_error *error) {
    *data = NULL;
    *rows = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* not to wait for the other end of a pipe */
    FILE *f = fd >= 0 ? fdopen(fd, "rb") : NULL;
    if (!f) {
        int reason = errno;
        if (fd >= 0) close(fd);
        return f5_fail(error, F5_E_IO, "%s: cannot be opened: %s", path, strerror(reason));
    }
    f5_status status = read_array(f, path, cols, data, rows, error);
    fclose(f);
    if (status != F5_OK) {
        free(*data);
        *data = NULL;
    }
    return status;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

f5_status npy_write(const char *path, const float *data, int32_t rows, int32_t cols, f5_error *error) {
    /* magic, version, length, text: 128 bytes in all, the last a newline, so that the numbers are aligned to 64 */
    char head[128];
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    char text[100];
    int n = snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", rows, cols);
    memcpy(head + 10, text, (size_t)n);
    head[sizeof head - 1] = '\n';
    output_file out;
    F5_TRY(output_begin(&out, path, error));
    fwrite(head, 1, sizeof head, out.stream);
    fwrite(data, sizeof *data, (size_t)rows * (size_t)cols, out.stream);
    return output_commit(&out, error);
}
