/* safetensors_writer.c — declares everything first, then streams the data to a file that has no name until it is whole;
 * where the file system has no such files, to a temporary name. */
#define _GNU_SOURCE /* O_TMPFILE */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weights/replaced_file.h"
#include "weights/safetensors.h"

#define DATA_ALIGNMENT 64

/* Bytes that grow at the end; a failed allocation is remembered and reported once. */
typedef struct {
    char *bytes;
    size_t count, capacity;
    bool failed;
} text_buffer;

struct safetensors_writer {
    char *path, *temporary;        /* where it goes, and a name until then; NULL temporary: it has none */
    int fd;                        /* -1: closed */
    mode_t mode;                   /* to be created with */
    text_buffer metadata, tensors; /* members of the header so far */
    uint64_t declared, written;    /* bytes of data */
    int32_t count;
    bool begun;
};

static void append(text_buffer *b, const char *bytes, size_t count) {
    if (b->failed) return;
    if (b->capacity - b->count < count) {
        size_t capacity = b->capacity * 2 + count + 256;
        char *grown = realloc(b->bytes, capacity);
        if (!grown) {
            b->failed = true;
            return;
        }
        b->bytes = grown;
        b->capacity = capacity;
    }
    memcpy(b->bytes + b->count, bytes, count);
    b->count += count;
}

static void append_text(text_buffer *b, const char *text) {
    append(b, text, strlen(text));
}

static void append_number(text_buffer *b, uint64_t number) {
    char digits[24];
    append(b, digits, (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)number));
}

static void append_quoted(text_buffer *b, const char *text, size_t bytes) {
    size_t size = json_escape(NULL, 0, text, bytes) + 1;
    char *escaped = malloc(size);
    if (!escaped) {
        b->failed = true;
        return;
    }
    json_escape(escaped, size, text, bytes);
    append_text(b, "\"");
    append(b, escaped, size - 1);
    append_text(b, "\"");
    free(escaped);
}

static f5_status out_of_memory(const safetensors_writer *w, f5_error *error) {
    return f5_fail(error, F5_E_MEMORY, "%s: out of memory", w->path);
}

static f5_status cannot(const safetensors_writer *w, const char *what, f5_error *error) {
    return f5_fail(error, F5_E_IO, "%s: cannot %s: %s", w->path, what, strerror(errno));
}

/* The folder that the file goes to, "." where the path has none; to be freed. */
static char *folder_of(const char *path) {
    char *folder = malloc(strlen(path) + 2);
    if (!folder) return NULL;
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    memcpy(folder, path, length);
    memcpy(folder + length, ".", 2);
    return folder;
}

static void number_name(const safetensors_writer *w, char *name, size_t size, int i) {
    if (i)
        snprintf(name, size, "%s.part%d", w->path, i);
    else
        snprintf(name, size, "%s.part", w->path);
}

/* Creates a file of a name not taken yet: PATH.part, PATH.part1, ... */
static f5_status create_temporary(safetensors_writer *w, f5_error *error) {
    size_t size = strlen(w->path) + 16;
    char *name = malloc(size);
    if (!name) return out_of_memory(w, error);
    for (int i = 0; i < 100 && w->fd < 0; i++) {
        number_name(w, name, size, i);
        w->fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, w->mode);
        if (w->fd < 0 && errno != EEXIST) break;
    }
    if (w->fd < 0) {
        f5_status status = cannot(w, "create a file beside it", error);
        free(name);
        return status;
    }
    w->temporary = name;
    return F5_OK;
}

static f5_status create(safetensors_writer *w, f5_error *error) {
    char *folder = folder_of(w->path);
    if (!folder) return out_of_memory(w, error);
    if (access("/proc/self/fd", X_OK) == 0) w->fd = open(folder, O_WRONLY | O_TMPFILE | O_CLOEXEC, w->mode);
    free(folder);
    return w->fd >= 0 ? F5_OK : create_temporary(w, error);
}

/* Gives a file without a name its own, or a temporary one where that is taken. */
static f5_status give_name(safetensors_writer *w, f5_error *error) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", w->fd);
    if (linkat(AT_FDCWD, link, AT_FDCWD, w->path, AT_SYMLINK_FOLLOW) == 0) return F5_OK;
    size_t size = strlen(w->path) + 16;
    char *name = malloc(size);
    if (!name) return out_of_memory(w, error);
    int linked = -1;
    for (int i = 0; i < 100 && linked != 0 && errno == EEXIST; i++) {
        number_name(w, name, size, i);
        linked = linkat(AT_FDCWD, link, AT_FDCWD, name, AT_SYMLINK_FOLLOW);
    }
    if (linked != 0) {
        f5_status status = cannot(w, "give the finished file its name", error);
        free(name);
        return status;
    }
    w->temporary = name;
    return F5_OK;
}

/* A directory or device at `path` is refused here rather than after gigabytes of work. */
f5_status safetensors_writer_open(safetensors_writer **writer, const char *path, f5_error *error) {
    *writer = NULL;
    struct stat info;
    const bool replaces = stat(path, &info) == 0;
    if (replaces && !S_ISREG(info.st_mode))
        return f5_fail(error, F5_E_IO, "%s: exists and is not a regular file", path);
    safetensors_writer *w = calloc(1, sizeof *w);
    if (!w) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", path);
    w->fd = -1;
    w->mode = replaces ? info.st_mode & 0600 : 0666;
    w->path = strdup(path);
    f5_status status = w->path ? create(w, error) : f5_fail(error, F5_E_MEMORY, "%s: out of memory", path);
    if (status == F5_OK && replaces && !file_made_like(w->fd, &info))
        status = cannot(w, "give a new file its permissions", error);
    if (status != F5_OK)
        safetensors_writer_close(w);
    else
        *writer = w;
    return status;
}

f5_status safetensors_writer_metadata(safetensors_writer *w, const char *key, const char *value, size_t value_bytes,
                                      f5_error *error) {
    if (w->begun) return f5_fail(error, F5_E_ARGUMENT, "%s: metadata after the header was written", w->path);
    if (w->metadata.count) append_text(&w->metadata, ",");
    append_quoted(&w->metadata, key, strlen(key));
    append_text(&w->metadata, ":");
    append_quoted(&w->metadata, value, value_bytes);
    return w->metadata.failed ? out_of_memory(w, error) : F5_OK;
}

f5_status safetensors_writer_declare(safetensors_writer *w, const char *name, safetensors_dtype dtype, int32_t rank,
                                     const int64_t *dims, f5_error *error) {
    if (w->begun || rank < 0 || rank > SAFETENSORS_MAX_RANK || strlen(name) > SAFETENSORS_MAX_NAME_BYTES ||
        w->count == SAFETENSORS_MAX_TENSORS)
        return f5_fail(error, F5_E_ARGUMENT, "%s: tensor \"%.80s\" cannot be declared", w->path, name);
    text_buffer *b = &w->tensors;
    append_text(b, ",\n");
    append_quoted(b, name, strlen(name));
    append_text(b, ":{\"dtype\":\"");
    append_text(b, safetensors_dtype_name(dtype));
    append_text(b, "\",\"shape\":[");
    uint64_t bytes = safetensors_dtype_size(dtype), end;
    for (int32_t i = 0; i < rank; i++) {
        if (dims[i] < 0 || __builtin_mul_overflow(bytes, (uint64_t)dims[i], &bytes))
            return f5_fail(error, F5_E_ARGUMENT, "%s: tensor \"%.80s\": its shape overflows", w->path, name);
        if (i) append_text(b, ",");
        append_number(b, (uint64_t)dims[i]);
    }
    if (__builtin_add_overflow(w->declared, bytes, &end) || end > INT64_MAX / 2)
        return f5_fail(error, F5_E_ARGUMENT, "%s: tensor \"%.80s\": the file is too large", w->path, name);
    append_text(b, "],\"data_offsets\":[");
    append_number(b, w->declared);
    append_text(b, ",");
    append_number(b, end);
    append_text(b, "]}");
    w->declared = end;
    w->count++;
    return b->failed ? out_of_memory(w, error) : F5_OK;
}

static f5_status write_all(safetensors_writer *w, const void *data, size_t bytes, f5_error *error) {
    const char *from = data;
    while (bytes) {
        ssize_t done = write(w->fd, from, bytes);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return cannot(w, "write", error);
        from += done;
        bytes -= (size_t)done;
    }
    return F5_OK;
}

f5_status safetensors_writer_begin(safetensors_writer *w, f5_error *error) {
    if (w->begun) return f5_fail(error, F5_E_ARGUMENT, "%s: begun twice", w->path);
    text_buffer header = {0};
    append(&header, "\0\0\0\0\0\0\0\0", 8); /* the header's length, set below */
    append_text(&header, "{\"__metadata__\":{");
    append(&header, w->metadata.bytes ? w->metadata.bytes : "", w->metadata.count);
    append_text(&header, "}");
    append(&header, w->tensors.bytes ? w->tensors.bytes : "", w->tensors.count);
    append_text(&header, "}");
    while (header.count % DATA_ALIGNMENT && !header.failed) append_text(&header, " ");
    f5_status status = F5_OK;
    if (header.failed) {
        status = out_of_memory(w, error);
    } else if (header.count - 8 > SAFETENSORS_MAX_HEADER_BYTES) {
        status = f5_fail(error, F5_E_UNSUPPORTED, "%s: the header would be %zu bytes, the limit is %d", w->path,
                         header.count - 8, SAFETENSORS_MAX_HEADER_BYTES);
    } else {
        uint64_t length = header.count - 8;
        memcpy(header.bytes, &length, sizeof length);
        status = write_all(w, header.bytes, header.count, error);
    }
    free(header.bytes);
    w->begun = status == F5_OK;
    return status;
}

f5_status safetensors_writer_data(safetensors_writer *w, const void *data, size_t bytes, f5_error *error) {
    if (!w->begun || bytes > w->declared - w->written)
        return f5_fail(error, F5_E_ARGUMENT, "%s: more data than was declared", w->path);
    F5_TRY(write_all(w, data, bytes, error));
    w->written += bytes;
    return F5_OK;
}

/* The name itself must survive a power cut: the directory is synced too, where the file system can. */
static void sync_directory(const char *path) {
    char *folder = folder_of(path);
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

f5_status safetensors_writer_finish(safetensors_writer *w, f5_error *error) {
    if (!w->begun || w->written != w->declared)
        return f5_fail(error, F5_E_ARGUMENT, "%s: %llu bytes of data written, %llu declared", w->path,
                       (unsigned long long)w->written, (unsigned long long)w->declared);
    if (fsync(w->fd) != 0) return cannot(w, "write", error);
    if (!w->temporary) F5_TRY(give_name(w, error));
    int closed = close(w->fd);
    w->fd = -1;
    if (closed != 0) return cannot(w, "write", error);
    if (w->temporary && rename(w->temporary, w->path) != 0) return cannot(w, "rename the finished file to it", error);
    free(w->temporary);
    w->temporary = NULL;
    sync_directory(w->path);
    return F5_OK;
}

void safetensors_writer_close(safetensors_writer *w) {
    if (!w) return;
    if (w->fd >= 0) close(w->fd);
    if (w->temporary) unlink(w->temporary);
    free(w->temporary);
    free(w->path);
    free(w->metadata.bytes);
    free(w->tensors.bytes);
    free(w);
}
