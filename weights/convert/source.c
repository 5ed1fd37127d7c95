/* source.c — collects the tensors of a checkpoint, whatever its container, sorted by key. */
#include "weights/convert/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weights/convert/quote.h"

_Static_assert(TORCH_MAX_DIMS <= SAFETENSORS_MAX_RANK, "a torch tensor's shape fits in a source_tensor");

/* ---- what kind of file it is */

static bool begins(const uint8_t *head, size_t bytes, const char *magic, size_t length) {
    return bytes >= length && memcmp(head, magic, length) == 0;
}

/* Why the file is none of ours, or NULL when it may be a .safetensors: 8 bytes of length, then JSON. */
static const char *foreign_format(const uint8_t *head, size_t bytes) {
    if (bytes > 8 && head[8] == '{') return NULL; /* first of all: the length's bytes may look like any magic number */
    if (begins(head, bytes, "version https://git-lfs", 23))
        return "is a git-lfs pointer, not the file itself: fetch it with `git lfs pull`";
    if (begins(head, bytes, "\x80", 1) || (bytes > 262 && memcmp(head + 257, "ustar", 5) == 0))
        return "is in the torch.save format of before 1.6 (not a zip): load it with torch and torch.save it again";
    if (begins(head, bytes, "PK", 2)) return "is a damaged or split zip archive: get it again";
    return "is neither a .safetensors file nor a zip archive written by torch.save";
}

/* ---- collecting tensors */

static const char *without_prefix(const char *key) {
    static const char prefix[] = "ema_model.";
    return strncmp(key, prefix, sizeof prefix - 1) == 0 ? key + sizeof prefix - 1 : key;
}

static int by_key(const void *a, const void *b) {
    return strcmp(((const source_tensor *)a)->key, ((const source_tensor *)b)->key);
}

static f5_status sort_tensors(source *s, f5_error *error) {
    if (s->count) qsort(s->tensor, (size_t)s->count, sizeof *s->tensor, by_key);
    for (int32_t i = 0; i + 1 < s->count; i++)
        if (strcmp(s->tensor[i].key, s->tensor[i + 1].key) == 0)
            return f5_fail(error, F5_E_FORMAT, "%s: key '%s' is there twice", s->path,
                           quote(s->tensor[i].key, strlen(s->tensor[i].key)).text);
    return F5_OK;
}

/* The same words for both containers. */
static const char *type_name(safetensors_dtype dtype) {
    switch (dtype) {
    case ST_F32:
        return torch_type_name(TORCH_FLOAT);
    case ST_F16:
        return torch_type_name(TORCH_HALF);
    case ST_BF16:
        return torch_type_name(TORCH_BFLOAT16);
    default:
        return safetensors_dtype_name(dtype);
    }
}

static f5_status collect_safetensors(source *s, f5_error *error) {
    F5_TRY(safetensors_open(&s->st, s->path, error));
    s->tensor = calloc((size_t)s->st.count + 1, sizeof *s->tensor);
    if (!s->tensor) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", s->path);
    for (; s->count < s->st.count; s->count++) {
        const safetensors_tensor *from = &s->st.tensors[s->count];
        source_tensor *to = &s->tensor[s->count];
        *to = (source_tensor){.key = without_prefix(from->name),
                              .rank = from->rank,
                              .elements = from->elements,
                              .type_name = type_name(from->dtype),
                              .data = from->data};
        to->readable = safetensors_number_type(from->dtype, &to->type);
        int64_t stride = 1;
        for (int32_t d = from->rank - 1; d >= 0; d--) {
            to->dims[d] = from->dims[d];
            to->stride[d] = stride;
            if (from->elements) stride *= from->dims[d]; /* divides elements, so it fits */
        }
    }
    return F5_OK;
}

static f5_status torch_data(const source *s, const source_tensor *to, const torch_tensor *from, const uint8_t **data,
                            f5_error *error) {
    const char *key = to->key;
    char name[64] = "data/";
    size_t used = strlen(name);
    const torch_zip_entry *entry = NULL;
    if (from->storage_key_length <= sizeof name - used) {
        memcpy(name + used, from->storage_key, from->storage_key_length);
        entry = torch_zip_find(&s->zip, name, used + from->storage_key_length);
    }
    if (!entry)
        return f5_fail(error, F5_E_FORMAT, "%s: the data of '%s' (storage '%s') is not in the archive", s->path,
                       quote(key, strlen(key)).text, quote(from->storage_key, from->storage_key_length).text);
    uint64_t element = torch_type_bytes(from->type), expected;
    if (__builtin_mul_overflow((uint64_t)from->storage_numel, element, &expected) || entry->size != expected)
        return f5_fail(error, F5_E_FORMAT, "%s: storage of '%s' should have %lld %s elements but has %llu bytes",
                       s->path, quote(key, strlen(key)).text, (long long)from->storage_numel,
                       torch_type_name(from->type), (unsigned long long)entry->size);
    *data = from->numel ? entry->data + (uint64_t)from->offset * element : entry->data;
    return F5_OK;
}

static f5_status collect_torch_tensor(source *s, const char *key, const torch_tensor *from, f5_error *error) {
    source_tensor *to = &s->tensor[s->count++];
    *to = (source_tensor){.key = without_prefix(key),
                          .rank = from->dims,
                          .elements = from->numel,
                          .type_name = torch_type_name(from->type),
                          .readable = from->type <= TORCH_BFLOAT16,
                          .type = from->type == TORCH_HALF       ? F5_F16
                                  : from->type == TORCH_BFLOAT16 ? F5_BF16
                                                                 : F5_F32};
    memcpy(to->dims, from->shape, sizeof from->shape);
    for (int d = 0; d < from->dims; d++) /* of a dimension of one element torch saves any stride */
        to->stride[d] = from->shape[d] > 1 ? from->stride[d] : 0;
    return torch_data(s, to, from, &to->data, error);
}

/* Copies the keys, so that they are terminated. */
static f5_status collect_dict(source *s, pickle_ref dict, f5_error *error) {
    uint32_t count = torch_pickle_items(s->pickle, dict), length;
    const char *key;
    if (!count) return f5_fail(error, F5_E_FORMAT, "%s: holds no state dict, or an empty one", s->path);
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        pickle_ref value = torch_pickle_item(s->pickle, dict, i, &key, &length);
        if (!key || length > SOURCE_MAX_KEY_BYTES || memchr(key, '\0', length))
            return f5_fail(error, F5_E_FORMAT, "%s: a key of the state dict is not a string of 1 to %d bytes", s->path,
                           SOURCE_MAX_KEY_BYTES);
        if (!torch_pickle_tensor(s->pickle, value))
            return f5_fail(
                error, F5_E_FORMAT,
                "%s: '%s' is not a tensor; expected ema_model_state_dict, model_state_dict or a plain state dict",
                s->path, quote(key, length).text);
        bytes += (size_t)length + 1;
    }
    s->tensor = calloc(count, sizeof *s->tensor);
    s->keys = malloc(bytes);
    if (!s->tensor || !s->keys) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", s->path);
    char *copy = s->keys;
    for (uint32_t i = 0; i < count; i++) {
        pickle_ref value = torch_pickle_item(s->pickle, dict, i, &key, &length);
        if (length) memcpy(copy, key, length);
        copy[length] = '\0';
        F5_TRY(collect_torch_tensor(s, copy, torch_pickle_tensor(s->pickle, value), error));
        copy += length + 1;
    }
    return F5_OK;
}

static f5_status collect_torch(source *s, int file, size_t bytes, f5_error *error) {
    void *mapping = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, file, 0);
    if (mapping == MAP_FAILED) return f5_fail(error, F5_E_IO, "%s: cannot map: %s", s->path, strerror(errno));
    s->mapping = mapping;
    s->mapping_bytes = bytes;
    F5_TRY(torch_zip_open(&s->zip, mapping, bytes, s->path, error));
    const torch_zip_entry *pickle = torch_zip_find(&s->zip, "data.pkl", 8);
    F5_TRY(torch_pickle_parse(&s->pickle, pickle->data, pickle->size, s->path, error));
    pickle_ref root = torch_pickle_root(s->pickle);
    pickle_ref dict = torch_pickle_find_dict(s->pickle, root, "ema_model_state_dict");
    if (dict == PICKLE_ABSENT) dict = torch_pickle_find_dict(s->pickle, root, "model_state_dict");
    return collect_dict(s, dict == PICKLE_ABSENT ? root : dict, error);
}

static f5_status collect(source *s, int file, f5_error *error) {
    struct stat info;
    if (fstat(file, &info) != 0) return f5_fail(error, F5_E_IO, "%s: %s", s->path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return f5_fail(error, F5_E_IO, "%s: not a regular file", s->path);
    uint8_t head[512];
    ssize_t got = pread(file, head, sizeof head, 0);
    if (got < 0) return f5_fail(error, F5_E_IO, "%s: %s", s->path, strerror(errno));
    if (torch_zip_is(head, (size_t)got)) {
        F5_TRY(collect_torch(s, file, (size_t)info.st_size, error));
    } else {
        const char *reason = foreign_format(head, (size_t)got);
        if (reason) return f5_fail(error, F5_E_UNSUPPORTED, "%s: %s", s->path, reason);
        F5_TRY(collect_safetensors(s, error));
    }
    return sort_tensors(s, error);
}

f5_status source_open(source *s, const char *path, f5_error *error) {
    *s = (source){.path = path};
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* never waits on a pipe */
    if (file < 0) return f5_fail(error, F5_E_IO, "%s: %s", path, strerror(errno));
    f5_status status = collect(s, file, error);
    close(file);
    if (status != F5_OK) source_close(s);
    return status;
}

void source_close(source *s) {
    free(s->tensor);
    free(s->keys);
    torch_pickle_free(s->pickle);
    torch_zip_close(&s->zip);
    if (s->mapping) munmap(s->mapping, s->mapping_bytes);
    safetensors_close(&s->st);
    *s = (source){0};
}

const source_tensor *source_find(const source *s, const char *key) {
    const source_tensor wanted = {.key = key};
    return s->count ? bsearch(&wanted, s->tensor, (size_t)s->count, sizeof *s->tensor, by_key) : NULL;
}

/* ---- reading */

static bool contiguous(const source_tensor *t) {
    int64_t stride = 1;
    for (int32_t d = t->rank - 1; d >= 0; d--) {
        if (t->dims[d] != 1 && t->stride[d] != stride) return false;
        stride *= t->dims[d];
    }
    return true;
}

void source_read(const source_tensor *t, float *out) {
    const dtype_info *type = dtype(t->type);
    if (contiguous(t)) {
        type->widen(out, t->data, t->elements);
        return;
    }
    /* an odometer over the dimensions, the last one fastest */
    int64_t index[SAFETENSORS_MAX_RANK] = {0}, at = 0;
    for (int64_t i = 0; i < t->elements; i++) {
        type->widen(&out[i], t->data + at * (int64_t)type->bytes, 1);
        for (int32_t d = t->rank - 1; d >= 0; d--) {
            at += t->stride[d];
            if (++index[d] < t->dims[d]) break;
            at -= t->stride[d] * t->dims[d];
            index[d] = 0;
        }
    }
}
