/* torch_legacy.c — walks the pickles of an old torch.save file and finds the numbers behind them. */
#include "weights/convert/torch_legacy.h"

#include <stdlib.h>
#include <string.h>

#include "weights/convert/quote.h"

#define PROTOCOL 1001

/* Reads the file from front to back. */
typedef struct {
    const uint8_t *file;
    size_t bytes, at;
    const char *path;
    f5_error *error;
} walk;

/* The bytes of the magic number's pickle; 0: it is none. A frame, which only newer protocols have, is a hint. */
static size_t magic_bytes(const uint8_t *file, size_t bytes) {
    static const uint8_t magic[13] = {0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};
    if (bytes < 2 || file[0] != 0x80) return 0;
    size_t at = bytes > 11 && file[2] == 0x95 ? 11 : 2;
    return bytes - at >= sizeof magic && memcmp(file + at, magic, sizeof magic) == 0 ? at + sizeof magic : 0;
}

bool torch_legacy_is(const uint8_t *file, size_t bytes) {
    return magic_bytes(file, bytes) > 0;
}

static f5_status next_pickle(walk *w, torch_pickle **pickle) {
    size_t left = w->bytes - w->at, room = left < TORCH_PICKLE_MAX_BYTES ? left : TORCH_PICKLE_MAX_BYTES;
    F5_TRY(torch_pickle_parse(pickle, w->file + w->at, room, w->path, w->error));
    w->at += torch_pickle_bytes(*pickle);
    return F5_OK;
}

static f5_status check_protocol(walk *w) {
    torch_pickle *p;
    int64_t protocol = 0;
    F5_TRY(next_pickle(w, &p));
    bool number = torch_pickle_integer(p, torch_pickle_root(p), &protocol);
    torch_pickle_free(p);
    if (number && protocol == PROTOCOL) return F5_OK;
    return f5_fail(w->error, F5_E_UNSUPPORTED, "%s: a file of torch before 1.6 with protocol %lld, only %d is read",
                   w->path, (long long)protocol, PROTOCOL);
}

static f5_status check_machine(walk *w) {
    torch_pickle *p;
    F5_TRY(next_pickle(w, &p));
    bool big = torch_pickle_is_false(p, torch_pickle_root(p), "little_endian");
    torch_pickle_free(p);
    if (!big) return F5_OK;
    return f5_fail(w->error, F5_E_UNSUPPORTED,
                   "%s: saved on a big-endian machine; save it again on a little-endian one", w->path);
}

static int by_key(const void *a, const void *b) {
    const torch_storage *left = *(const torch_storage *const *)a, *right = *(const torch_storage *const *)b;
    uint32_t shorter = left->key_length < right->key_length ? left->key_length : right->key_length;
    int order = memcmp(left->key, right->key, shorter);
    return order ? order : (left->key_length > right->key_length) - (left->key_length < right->key_length);
}

/* The storages of the object, sorted by key: (*list)[*count], the caller's to free. */
static f5_status list_storages(const walk *w, const torch_pickle *object, const torch_storage ***list, size_t *count) {
    *count = 0;
    for (pickle_ref at = 0; torch_pickle_storage(object, &at);) ++*count;
    *list = malloc((*count + 1) * sizeof **list);
    if (!*list) return f5_fail(w->error, F5_E_MEMORY, "%s: out of memory", w->path);
    pickle_ref at = 0;
    for (size_t i = 0; i < *count; i++) (*list)[i] = torch_pickle_storage(object, &at);
    qsort(*list, *count, sizeof **list, by_key);
    return F5_OK;
}

/* One storage: its length, then its elements. */
static f5_status take_storage(walk *w, const torch_storage *s, torch_zip_entry *entry) {
    uint64_t numel, size;
    quoted_name q = quote(s->key, s->key_length);
    if (w->bytes - w->at < sizeof numel)
        return f5_fail(w->error, F5_E_FORMAT, "%s: ends before storage '%s'; the file is cut short, get it again",
                       w->path, q.text);
    memcpy(&numel, w->file + w->at, sizeof numel);
    w->at += sizeof numel;
    if (__builtin_mul_overflow(numel, (uint64_t)torch_type_bytes(s->type), &size) || size > w->bytes - w->at)
        return f5_fail(w->error, F5_E_FORMAT, "%s: storage '%s' of %llu elements reaches beyond the file: cut short?",
                       w->path, q.text, (unsigned long long)numel);
    *entry = (torch_zip_entry){
        .name = s->key, .name_length = s->key_length, .data = w->file + w->at, .size = size, .begin = w->at};
    w->at += size;
    return F5_OK;
}

static f5_status take_storages(walk *w, const torch_pickle *keys, const torch_storage **list, size_t count,
                               torch_zip *storages) {
    const pickle_ref root = torch_pickle_root(keys);
    const uint32_t n = torch_pickle_length(keys, root);
    storages->entry = calloc((size_t)n + 1, sizeof *storages->entry);
    if (!storages->entry) return f5_fail(w->error, F5_E_MEMORY, "%s: out of memory", w->path);
    for (uint32_t i = 0; i < n; i++) {
        torch_storage wanted = {0};
        const torch_storage *key = &wanted, **found = NULL;
        wanted.key = torch_pickle_text(keys, root, i, &wanted.key_length);
        if (wanted.key && count) found = bsearch(&key, list, count, sizeof *list, by_key);
        if (!found) return f5_fail(w->error, F5_E_FORMAT, "%s: the file holds a storage that no tensor is in", w->path);
        F5_TRY(take_storage(w, *found, &storages->entry[storages->count++]));
    }
    return torch_zip_sort(storages, w->path, w->error);
}

f5_status torch_legacy_open(torch_zip *storages, torch_pickle **object, const uint8_t *file, size_t bytes,
                            const char *path, f5_error *error) {
    walk w = {.file = file, .bytes = bytes, .at = magic_bytes(file, bytes), .path = path, .error = error};
    *storages = (torch_zip){0};
    *object = NULL;
    torch_pickle *keys = NULL;
    const torch_storage **list = NULL;
    size_t count = 0;
    F5_TRY(check_protocol(&w));
    F5_TRY(check_machine(&w));
    F5_TRY(next_pickle(&w, object));
    f5_status status = next_pickle(&w, &keys);
    if (status == F5_OK) status = list_storages(&w, *object, &list, &count);
    if (status == F5_OK) status = take_storages(&w, keys, list, count, storages);
    free(list);
    torch_pickle_free(keys);
    return status;
}
