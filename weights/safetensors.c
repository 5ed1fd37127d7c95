/* safetensors.c — reads a .safetensors file by mapping it; everything its header says is checked before use. */
#include "weights/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors data is used in place: this needs a little-endian machine"
#endif

static const struct {
    const char *name;
    size_t size;
} dtypes[ST_DTYPES] = {
    [ST_F32] = {"F32", 4}, [ST_F16] = {"F16", 2}, [ST_BF16] = {"BF16", 2},
    [ST_F64] = {"F64", 8}, [ST_I64] = {"I64", 8}, [ST_I32] = {"I32", 4},
    [ST_U8] = {"U8", 1},   [ST_I8] = {"I8", 1},   [ST_BOOL] = {"BOOL", 1},
};

size_t safetensors_dtype_size(safetensors_dtype stored) {
    return dtypes[stored].size;
}
const char *safetensors_dtype_name(safetensors_dtype stored) {
    return dtypes[stored].name;
}

safetensors_dtype safetensors_dtype_of(f5_dtype type) {
    safetensors_dtype stored = ST_F32;
    while (strcmp(dtypes[stored].name, dtype(type)->stored) != 0) stored++;
    return stored;
}

bool safetensors_number_type(safetensors_dtype stored, f5_dtype *type) {
    for (int i = 0; i < DTYPES; i++)
        if (strcmp(dtype((f5_dtype)i)->stored, dtypes[stored].name) == 0) {
            *type = (f5_dtype)i;
            return true;
        }
    return false;
}

/* ---- one header entry ------------------------------------------------------------------------------------------- */

typedef struct {
    const json_document *header;
    const char *path;
    const uint8_t *data; /* the data section */
    int64_t data_bytes;
    f5_error *error;
} reader;

F5_PRINTF(4, 5)
static f5_status refuse(const reader *r, f5_status status, const char *name, const char *format, ...) {
    char shown[100], reason[256];
    json_escape(shown, sizeof shown, name, strlen(name));
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    return f5_fail(r->error, status, "%s: tensor \"%s\": %s", r->path, shown, reason);
}

static f5_status read_dtype(const reader *r, const json_node *node, safetensors_tensor *t) {
    if (node->type != JSON_STRING) return refuse(r, F5_E_FORMAT, t->name, "dtype is not a string");
    for (int i = 0; i < ST_DTYPES; i++)
        if (strcmp(node->text, dtypes[i].name) == 0) {
            t->dtype = (safetensors_dtype)i;
            return F5_OK;
        }
    char shown[24];
    json_escape(shown, sizeof shown, node->text, node->text_bytes);
    return refuse(r, F5_E_UNSUPPORTED, t->name, "unknown dtype \"%s\"", shown);
}

static f5_status read_shape(const reader *r, const json_node *node, safetensors_tensor *t) {
    if (node->type != JSON_ARRAY) return refuse(r, F5_E_FORMAT, t->name, "shape is not an array");
    if (node->count > SAFETENSORS_MAX_RANK)
        return refuse(r, F5_E_UNSUPPORTED, t->name, "%d dimensions, the limit is %d", (int)node->count,
                      SAFETENSORS_MAX_RANK);
    t->elements = 1;
    for (const json_node *n = json_first(r->header, node); n; n = json_next(r->header, n)) {
        int64_t size;
        if (!json_int64(n, &size) || size < 0)
            return refuse(r, F5_E_FORMAT, t->name, "shape holds something that is not a size");
        if (__builtin_mul_overflow(t->elements, size, &t->elements))
            return refuse(r, F5_E_FORMAT, t->name, "shape overflows");
        t->dims[t->rank++] = size;
    }
    return F5_OK;
}

static f5_status read_offsets(const reader *r, const json_node *node, safetensors_tensor *t) {
    int64_t range[2], bytes;
    if (node->type != JSON_ARRAY || node->count != 2)
        return refuse(r, F5_E_FORMAT, t->name, "data_offsets is not an array of two");
    const json_node *n = json_first(r->header, node);
    for (int i = 0; i < 2; i++, n = json_next(r->header, n))
        if (!json_int64(n, &range[i]) || range[i] < 0)
            return refuse(r, F5_E_FORMAT, t->name, "data_offsets holds something that is not an offset");
    if (range[0] > range[1]) return refuse(r, F5_E_FORMAT, t->name, "data_offsets run backwards");
    if (range[1] > r->data_bytes)
        return refuse(r, F5_E_FORMAT, t->name, "data ends at byte %lld of a data section of %lld: file cut short?",
                      (long long)range[1], (long long)r->data_bytes);
    if (__builtin_mul_overflow(t->elements, (int64_t)dtypes[t->dtype].size, &bytes) || bytes != range[1] - range[0])
        return refuse(r, F5_E_FORMAT, t->name, "shape and dtype do not fit the %lld bytes of data_offsets",
                      (long long)(range[1] - range[0]));
    t->data = r->data + range[0];
    t->bytes = (size_t)bytes;
    return F5_OK;
}

static f5_status read_tensor(const reader *r, const json_node *node, safetensors_tensor *t) {
    *t = (safetensors_tensor){.name = node->key};
    if (node->key_bytes == 0) return refuse(r, F5_E_FORMAT, t->name, "the name is empty");
    if (node->key_bytes > SAFETENSORS_MAX_NAME_BYTES)
        return refuse(r, F5_E_UNSUPPORTED, t->name, "a name of %u bytes, the limit is %d", (unsigned)node->key_bytes,
                      SAFETENSORS_MAX_NAME_BYTES);
    if (node->type != JSON_OBJECT) return refuse(r, F5_E_FORMAT, t->name, "its entry is not an object");
    const json_node *dtype = json_member(r->header, node, "dtype"), *shape = json_member(r->header, node, "shape"),
                    *offsets = json_member(r->header, node, "data_offsets");
    if (!dtype || !shape || !offsets || node->count != 3)
        return refuse(r, F5_E_FORMAT, t->name, "its entry must hold dtype, shape and data_offsets and nothing else");
    F5_TRY(read_dtype(r, dtype, t));
    F5_TRY(read_shape(r, shape, t));
    return read_offsets(r, offsets, t);
}

static f5_status read_metadata(const reader *r, const json_node *node, safetensors *st) {
    if (node->type != JSON_OBJECT) return f5_fail(r->error, F5_E_FORMAT, "%s: __metadata__ is not an object", r->path);
    if (node->count == 0) return F5_OK;
    st->metadata = calloc((size_t)node->count, sizeof *st->metadata);
    if (!st->metadata) return f5_fail(r->error, F5_E_MEMORY, "%s: out of memory for the metadata", r->path);
    for (const json_node *n = json_first(r->header, node); n; n = json_next(r->header, n)) {
        char shown[100];
        json_escape(shown, sizeof shown, n->key, n->key_bytes);
        if (n->type != JSON_STRING)
            return f5_fail(r->error, F5_E_FORMAT, "%s: metadata \"%s\" is not a string", r->path, shown);
        st->metadata[st->metadata_count++] = (safetensors_text){n->key, n->text, n->text_bytes};
    }
    return F5_OK;
}

/* ---- the whole header ------------------------------------------------------------------------------------------- */

static int compare_places(const void *left, const void *right) {
    const safetensors_tensor *a = left, *b = right;
    if (a->data != b->data) return (const uint8_t *)a->data < (const uint8_t *)b->data ? -1 : 1;
    return (a->bytes > b->bytes) - (a->bytes < b->bytes); /* empty ones before what shares their place */
}

static int compare_names(const void *left, const void *right) {
    const safetensors_tensor *a = left, *b = right;
    return strcmp(a->name, b->name);
}

/* Every byte of the data section belongs to exactly one tensor. */
static f5_status check_cover(const reader *r, safetensors *st) {
    qsort(st->tensors, (size_t)st->count, sizeof *st->tensors, compare_places);
    const uint8_t *expected = r->data;
    for (int32_t i = 0; i < st->count; i++) {
        const safetensors_tensor *t = &st->tensors[i];
        if ((const uint8_t *)t->data < expected)
            return refuse(r, F5_E_FORMAT, t->name, "its data overlaps another tensor's");
        if ((const uint8_t *)t->data > expected)
            return refuse(r, F5_E_FORMAT, t->name, "a gap of %lld bytes before its data",
                          (long long)((const uint8_t *)t->data - expected));
        expected += t->bytes;
    }
    int64_t left = r->data + r->data_bytes - expected;
    if (left)
        return f5_fail(r->error, F5_E_FORMAT, "%s: %lld bytes at the end belong to no tensor", r->path,
                       (long long)left);
    return F5_OK;
}

static f5_status read_entries(const reader *r, safetensors *st) {
    const json_node *root = &r->header->nodes[0];
    if (root->type != JSON_OBJECT) return f5_fail(r->error, F5_E_FORMAT, "%s: the header is not an object", r->path);
    if (root->count > SAFETENSORS_MAX_TENSORS + 1)
        return f5_fail(r->error, F5_E_UNSUPPORTED, "%s: %d tensors, the limit is %d", r->path, (int)root->count,
                       SAFETENSORS_MAX_TENSORS);
    st->tensors = calloc((size_t)root->count + 1, sizeof *st->tensors);
    if (!st->tensors) return f5_fail(r->error, F5_E_MEMORY, "%s: out of memory for the tensor list", r->path);
    for (const json_node *n = json_first(r->header, root); n; n = json_next(r->header, n)) {
        if (strcmp(n->key, "__metadata__") == 0)
            F5_TRY(read_metadata(r, n, st));
        else
            F5_TRY(read_tensor(r, n, &st->tensors[st->count++]));
    }
    F5_TRY(check_cover(r, st));
    qsort(st->tensors, (size_t)st->count, sizeof *st->tensors, compare_names);
    return F5_OK;
}

static f5_status map_file(safetensors *st, const char *path, f5_error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* opening a FIFO must not wait for its writer */
    if (fd < 0) return f5_fail(error, F5_E_IO, "%s: cannot open: %s", path, strerror(errno));
    struct stat info;
    f5_status status = F5_OK;
    if (fstat(fd, &info) != 0) {
        status = f5_fail(error, F5_E_IO, "%s: cannot stat: %s", path, strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        status = f5_fail(error, F5_E_IO, "%s: not a regular file", path);
    } else if (info.st_size < 8) {
        status = f5_fail(error, F5_E_FORMAT, "%s: %lld bytes is too short for a safetensors file", path,
                         (long long)info.st_size);
    } else {
        void *mapping = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (mapping == MAP_FAILED) {
            status = f5_fail(error, F5_E_IO, "%s: cannot map: %s", path, strerror(errno));
        } else {
            st->mapping = mapping;
            st->mapping_bytes = (size_t)info.st_size;
            st->stamp = file_stamp_of(fd, &info);
            return F5_OK;
        }
    }
    close(fd);
    return status;
}

static f5_status read_file(safetensors *st, const char *path, f5_error *error) {
    F5_TRY(map_file(st, path, error));
    const uint8_t *file = st->mapping;
    uint64_t header_bytes;
    memcpy(&header_bytes, file, sizeof header_bytes);
    if (header_bytes > st->mapping_bytes - 8)
        return f5_fail(error, F5_E_FORMAT,
                       "%s: not a safetensors file, or cut short: header of %llu bytes in a file of %zu", path,
                       (unsigned long long)header_bytes, st->mapping_bytes);
    if (header_bytes > SAFETENSORS_MAX_HEADER_BYTES)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: header of %llu bytes, the limit is %d", path,
                       (unsigned long long)header_bytes, SAFETENSORS_MAX_HEADER_BYTES);
    if (header_bytes == 0 || file[8] != '{')
        return f5_fail(error, F5_E_FORMAT, "%s: not a safetensors file: the header does not start with '{'", path);
    F5_TRY(json_parse(&st->header, (const char *)file + 8, (size_t)header_bytes, path, error));
    reader r = {.header = &st->header,
                .path = path,
                .data = file + 8 + header_bytes,
                .data_bytes = (int64_t)(st->mapping_bytes - 8 - header_bytes),
                .error = error};
    return read_entries(&r, st);
}

f5_status safetensors_open(safetensors *st, const char *path, f5_error *error) {
    *st = (safetensors){0};
    f5_status status = read_file(st, path, error);
    if (status != F5_OK) safetensors_close(st);
    return status;
}

void safetensors_close(safetensors *st) {
    if (st->mapping) {
        munmap(st->mapping, st->mapping_bytes);
        close(st->stamp.fd);
    }
    free(st->tensors);
    free(st->metadata);
    json_free(&st->header);
    *st = (safetensors){0};
}

/* ---- lookup ----------------------------------------------------------------------------------------------------- */

const safetensors_tensor *safetensors_find(const safetensors *st, const char *name) {
    safetensors_tensor wanted = {.name = name};
    return st->count ? bsearch(&wanted, st->tensors, (size_t)st->count, sizeof wanted, compare_names) : NULL;
}

const safetensors_text *safetensors_metadata(const safetensors *st, const char *key) {
    for (int32_t i = 0; i < st->metadata_count; i++)
        if (strcmp(st->metadata[i].key, key) == 0) return &st->metadata[i];
    return NULL;
}
