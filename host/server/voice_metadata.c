/* voice_metadata.c — reads what may be anyone's file. */
#define _GNU_SOURCE /* memfd_create */
#include "host/server/voice_metadata.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weights/utf8.h"

f5_status metadata_text(const safetensors *st, const char *key, size_t max_bytes, const char **text, f5_error *error) {
    const safetensors_text *found = safetensors_metadata(st, key);
    *text = found ? found->value : NULL;
    if (!found ||
        (found->value_bytes <= max_bytes && utf8_valid_prefix(found->value, found->value_bytes) == found->value_bytes))
        return F5_OK;
    return f5_fail(error, F5_E_FORMAT, "its %s is longer than %zu bytes, or is not UTF-8", key, max_bytes);
}

f5_status metadata_number(const safetensors *st, const char *key, int64_t most, int64_t otherwise, int64_t *number,
                          f5_error *error) {
    const safetensors_text *found = safetensors_metadata(st, key);
    *number = otherwise;
    if (!found) return F5_OK;
    size_t n = strspn(found->value, "0123456789");
    if (n >= 1 && n <= 18 && n == found->value_bytes) *number = strtoll(found->value, NULL, 10);
    return n >= 1 && n <= 18 && n == found->value_bytes && *number <= most
               ? F5_OK
               : f5_fail(error, F5_E_FORMAT, "its %s is no number up to %lld", key, (long long)most);
}

f5_status metadata_format(const safetensors *st, const char *name, int newest, f5_error *error) {
    const safetensors_text *format = safetensors_metadata(st, "format");
    int64_t version;
    if (!format || strcmp(format->value, name) != 0)
        return f5_fail(error, F5_E_FORMAT, "its metadata has no format \"%s\"", name);
    F5_TRY(metadata_number(st, "version", INT32_MAX, 0, &version, error));
    if (version < 1 || version > newest)
        return f5_fail(error, F5_E_UNSUPPORTED, "has version %lld of its format, and this program reads 1 to %d",
                       (long long)version, newest);
    return F5_OK;
}

f5_status metadata_put(safetensors_writer *w, const char *key, const char *text, f5_error *error) {
    return text && *text ? safetensors_writer_metadata(w, key, text, strlen(text), error) : F5_OK;
}

f5_status metadata_put_number(safetensors_writer *w, const char *key, int64_t number, f5_error *error) {
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)number);
    return metadata_put(w, key, digits, error);
}

/* A copy in memory of a file of at most max_bytes. */
static f5_status copy_file(const char *path, int64_t max_bytes, int *copy, f5_error *error) {
    *copy = -1;
    int from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat there;
    if (from < 0 || fstat(from, &there) != 0 || !S_ISREG(there.st_mode)) {
        int why = from < 0 ? errno : EINVAL;
        if (from >= 0) close(from);
        return f5_fail(error, F5_E_IO, "%.300s: cannot be read: %s", path, strerror(why));
    }
    int to = memfd_create("f5tts voice", MFD_CLOEXEC);
    char block[16384];
    int64_t total = 0;
    ssize_t got = 1, put = 0;
    while (to >= 0 && total <= max_bytes && (got = read(from, block, sizeof block)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 || (put = write(to, block, (size_t)got)) != got) break;
        total += got;
    }
    int why = errno;
    close(from);
    if (to >= 0 && got == 0) {
        *copy = to;
        return F5_OK;
    }
    if (to >= 0) close(to);
    if (total > max_bytes)
        return f5_fail(error, F5_E_UNSUPPORTED, "%.300s: is larger than %lld MB", path, (long long)(max_bytes >> 20));
    return f5_fail(error, F5_E_IO, "%.300s: cannot be read: %s", path, strerror(why));
}

f5_status metadata_open(safetensors *st, int *copy, const char *path, int64_t max_bytes, f5_error *error) {
    char copied[32];
    f5_error why = {0};
    F5_TRY(copy_file(path, max_bytes, copy, error));
    snprintf(copied, sizeof copied, "/proc/self/fd/%d", *copy);
    f5_status status = safetensors_open(st, copied, &why);
    if (status == F5_OK) return F5_OK;
    close(*copy);
    size_t n = strlen(copied);
    bool named = strncmp(why.message, copied, n) == 0; /* the copy, which says nothing to anyone */
    return f5_fail(error, status, "%s%s%s", path, named ? "" : ": ", why.message + (named ? n : 0));
}
