/* read_file.c — a whole regular file of bounded size into memory. */
#include "weights/convert/read_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static f5_status read_open(int file, const char *path, size_t limit, char **text, size_t *bytes, f5_error *error) {
    struct stat info;
    if (fstat(file, &info) != 0) return f5_fail(error, F5_E_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return f5_fail(error, F5_E_IO, "%s: not a regular file", path);
    if ((uint64_t)info.st_size > limit)
        return f5_fail(error, F5_E_FORMAT,
                       "%s: %lld bytes are more than such a file has (limit %zu); is it the right one?", path,
                       (long long)info.st_size, limit);
    size_t size = (size_t)info.st_size, got = 0;
    char *buffer = malloc(size + 1);
    if (!buffer) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", path);
    while (got < size) {
        ssize_t n = read(file, buffer + got, size - got);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            free(buffer);
            return f5_fail(error, F5_E_IO, "%s: %s", path, n < 0 ? strerror(errno) : "got shorter while being read");
        }
        got += (size_t)n;
    }
    buffer[size] = '\0';
    *text = buffer;
    *bytes = size;
    return F5_OK;
}

f5_status read_file(const char *path, size_t limit, char **text, size_t *bytes, f5_error *error) {
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* never waits on a pipe */
    if (file < 0) return f5_fail(error, F5_E_IO, "%s: %s", path, strerror(errno));
    f5_status status = read_open(file, path, limit, text, bytes, error);
    close(file);
    return status;
}
