/* source.c — collects the tensors of a checkpoint, whatever its container, sorted by key. */
#include "weights/convert/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weights/convert/key_names.h"
#include "weights/convert/quote.h"
#include "weights/convert/torch_legacy.h"
#include "weights/convert/weight_norm.h"

_Static_assert(TORCH_MAX_DIMS <= SAFETENSORS_MAX_RANK, "a torch tensor's shape fits in a source_tensor");

/* ---- number types */

static void widen_half(float *to, const void *from, int64_t n) {
    dtype(F5_F16)->widen(to, from, n);
}
static void widen_bfloat(float *to, const void *from, int64_t n) {
    dtype(F5_BF16)->widen(to, from, n);
}
static void widen_float(float *to, const void *from, int64_t n) {
    dtype(F5_F32)->widen(to, from, n);
}
static void widen_double(float *to, const void *from, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, (const char *)from + i * (int64_t)sizeof value, sizeof value);
        to[i] = (float)value;
    }
}

static const source_number numbers[] = {{"float32", 4, widen_float},
                                        {"float16", 2, widen_half},
                                        {"bfloat16", 2, widen_bfloat},
                                        {"float64", 8, widen_double}};
_Static_assert(TORCH_FLOAT == 0 && TORCH_HALF == 1 && TORCH_BFLOAT16 == 2 && TORCH_DOUBLE == 3, "numbers' order");
_Static_assert(ST_F32 == 0 && ST_F16 == 1 && ST_BF16 == 2 && ST_F64 == 3, "numbers' order");
enum { NUMBERS = sizeof numbers / sizeof *numbers };

/* ---- what kind of file it is */

static bool begins(const uint8_t *head, size_t bytes, const char *magic, size_t length) {
    return bytes >= length && memcmp(head, magic, length) == 0;
}

/* Why the file is none of ours, or NULL when it may be a .safetensors: 8 bytes of length, then JSON. */
static const char *foreign_format(const uint8_t *head, size_t bytes) {
    if (bytes > 8 && head[8] == '{') return NULL; /* first of all: the length's bytes may look like any magic number */
    if (begins(head, bytes, "version https://git-lfs", 23))
        return "is a git-lfs pointer, not the file itself: fetch it with `git lfs pull`";
    if (bytes > 262 && memcmp(head + 257, "ustar", 5) == 0)
        return "is a tar archive, in which torch before 0.2 saved: load it with torch and torch.save it again";
    if (begins(head, bytes, "\x80", 1)) return "is a pickle, but none that torch.save writes";
    if (begins(head, bytes, "PK", 2)) return "is a damaged or split zip archive: get it again";
    return "is neither a .safetensors file nor one written by torch.save";
}

/* ---- keys */

/* Makes the keys the source's own: terminated, without wrappers, with room for a prefix before each. */
static f5_status take_keys(source *s, const char *const *key, const uint32_t *length, size_t prefix, f5_error *error) {
    size_t bytes = 1;
    for (int32_t i = 0; i < s->count; i++) bytes += prefix + length[i] + 1;
    s->keys = malloc(bytes);
    if (!s->keys) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", s->path);
    char *to = s->keys;
    for (int32_t i = 0; i < s->count; i++) {
        key_owner owner;
        s->tensor[i].key = to + prefix;
        to += prefix + key_plain(to + prefix, key[i], length[i], &owner) + 1;
        s->tensor[i].owner = (int)owner;
    }
    return F5_OK;
}

/* Puts the prefix where no key has it and it would help; take_keys left room before each. */
static void add_prefix(source *s, const source_wish *wish) {
    const size_t length = strlen(wish->prefix);
    bool fits = false;
    for (int32_t i = 0; i < s->count; i++)
        if (strncmp(s->tensor[i].key, wish->prefix, length) == 0) return;
    for (int32_t i = 0; i < s->count && !fits; i++) fits = wish->fits(wish->user, s->tensor[i].key);
    for (int32_t i = 0; i < s->count && fits; i++) {
        if (wish->bare(wish->user, s->tensor[i].key)) continue;
        size_t at = (size_t)(s->tensor[i].key - s->keys) - length;
        memcpy(s->keys + at, wish->prefix, length);
        s->tensor[i].key = s->keys + at;
    }
}

/* Where the keys name two sets of weights, keeps one. A few keys of the other owner are no second set: they stay and
 * are found not to fit. `unnamed` is whose weights those are that name nobody. */
static void choose_weights(source *s, bool plain, key_owner unnamed) {
    int32_t count[3] = {0}, kept = 0;
    for (int32_t i = 0; i < s->count; i++) {
        source_tensor *t = &s->tensor[i];
        if (t->owner == KEY_OF_ANY && t->rank > 0) t->owner = (int)unnamed; /* a scalar counts steps for all */
        if (t->rank > 0) count[t->owner]++;
    }
    int32_t averaged = count[KEY_OF_AVERAGED], others = count[KEY_OF_PLAIN];
    s->both = averaged > others / 2 && others > averaged / 2 && averaged && others;
    bool take_plain = s->both ? plain : others > averaged;
    s->weights = take_plain ? WEIGHTS_PLAIN : WEIGHTS_AVERAGED;
    for (int32_t i = 0; i < s->count && s->both; i++)
        if (s->tensor[i].owner != (int)(take_plain ? KEY_OF_AVERAGED : KEY_OF_PLAIN)) s->tensor[kept++] = s->tensor[i];
    if (s->both) s->count = kept;
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

/* ---- collecting tensors */

/* Both containers count their types from float32 on as `numbers` does. */
static void set_number(source_tensor *t, int type, const char *other) {
    t->number = type < NUMBERS ? &numbers[type] : NULL;
    t->type_name = t->number ? t->number->name : other;
}

/* Room for tensors and, until take_keys has copied them, for their keys. */
static f5_status take_room(source *s, size_t count, const char ***key, uint32_t **length, f5_error *error) {
    s->tensor = calloc(count + 1, sizeof *s->tensor);
    *key = malloc((count + 1) * sizeof **key);
    *length = malloc((count + 1) * sizeof **length);
    return s->tensor && *key && *length ? F5_OK : f5_fail(error, F5_E_MEMORY, "%s: out of memory", s->path);
}

static void list_safetensors(source *s, const char **key, uint32_t *length) {
    for (; s->count < s->st.count; s->count++) {
        const safetensors_tensor *from = &s->st.tensors[s->count];
        source_tensor *to = &s->tensor[s->count];
        *to = (source_tensor){.rank = from->rank, .elements = from->elements, .data = from->data};
        set_number(to, (int)from->dtype, safetensors_dtype_name(from->dtype));
        key[s->count] = from->name;
        length[s->count] = (uint32_t)strlen(from->name);
        int64_t stride = 1;
        for (int32_t d = from->rank - 1; d >= 0; d--) {
            to->dims[d] = from->dims[d];
            to->stride[d] = stride;
            if (from->elements) stride *= from->dims[d]; /* divides elements, so it fits */
        }
    }
}

/* The storage's bytes, which must be as many as the tensor's pickle says. */
static f5_status find_torch_data(const source *s, source_tensor *to, f5_error *error) {
    const torch_tensor *from = to->torch;
    char name[64] = "data/";
    size_t used = s->legacy ? 0 : strlen(name);
    const torch_zip_entry *entry = NULL;
    if (from->storage_key_length <= sizeof name - used) {
        memcpy(name + used, from->storage_key, from->storage_key_length);
        entry = torch_zip_find(&s->zip, name, used + from->storage_key_length);
    }
    if (!entry)
        return f5_fail(error, F5_E_FORMAT, "%s: the data of '%s' (storage '%s') is not in the archive", s->path,
                       quote(to->key, strlen(to->key)).text, quote(from->storage_key, from->storage_key_length).text);
    uint64_t element = torch_type_bytes(from->type), expected;
    if (__builtin_mul_overflow((uint64_t)from->storage_numel, element, &expected) || entry->size != expected)
        return f5_fail(error, F5_E_FORMAT, "%s: storage of '%s' should have %lld %s elements but has %llu bytes",
                       s->path, quote(to->key, strlen(to->key)).text, (long long)from->storage_numel,
                       torch_type_name(from->type), (unsigned long long)entry->size);
    to->data = from->numel ? entry->data + (uint64_t)from->offset * element : entry->data;
    return F5_OK;
}

static void set_torch_tensor(source_tensor *to, const torch_tensor *from) {
    *to = (source_tensor){.rank = from->dims, .elements = from->numel, .torch = from};
    set_number(to, (int)from->type, torch_type_name(from->type));
    memcpy(to->dims, from->shape, sizeof from->shape);
    for (int d = 0; d < from->dims; d++) /* of a dimension of one element torch saves any stride */
        to->stride[d] = from->shape[d] > 1 ? from->stride[d] : 0;
}

static f5_status list_dict(source *s, pickle_ref dict, const char **key, uint32_t *length, f5_error *error) {
    const uint32_t count = torch_pickle_items(s->pickle, dict);
    for (uint32_t i = 0; i < count; i++, s->count++) {
        pickle_ref value = torch_pickle_item(s->pickle, dict, i, &key[i], &length[i]);
        if (!key[i] || length[i] > SOURCE_MAX_KEY_BYTES || memchr(key[i], '\0', length[i]))
            return f5_fail(error, F5_E_FORMAT, "%s: a key of the state dict is not a string of 1 to %d bytes", s->path,
                           SOURCE_MAX_KEY_BYTES);
        const torch_tensor *tensor = torch_pickle_tensor(s->pickle, value);
        if (!tensor)
            return f5_fail(error, F5_E_FORMAT,
                           "%s: '%s' is not a tensor; expected ema_model_state_dict, model_state_dict, state_dict, "
                           "model or a plain state dict",
                           s->path, quote(key[i], length[i]).text);
        set_torch_tensor(&s->tensor[i], tensor);
    }
    return F5_OK;
}

static pickle_ref filled_dict(const source *s, pickle_ref root, const char *key) {
    pickle_ref dict = torch_pickle_find_dict(s->pickle, root, key);
    return dict != PICKLE_ABSENT && torch_pickle_items(s->pickle, dict) > 0 ? dict : PICKLE_ABSENT;
}

/* The dict of weights; *unnamed says whose they are, *said whether the file says so. Sets s->both where there are two.
 */
static pickle_ref choose_dict(source *s, bool plain, key_owner *unnamed, bool *said) {
    static const char *const names[] = {"model_state_dict", "state_dict", "model", "module", "generator"};
    const pickle_ref root = torch_pickle_root(s->pickle);
    pickle_ref averaged = filled_dict(s, root, "ema_model_state_dict"), others = PICKLE_ABSENT;
    for (size_t i = 0; i < sizeof names / sizeof *names && others == PICKLE_ABSENT; i++)
        others = filled_dict(s, root, names[i]);
    s->both = averaged != PICKLE_ABSENT && others != PICKLE_ABSENT;
    *unnamed = averaged != PICKLE_ABSENT && !(s->both && plain) ? KEY_OF_AVERAGED : KEY_OF_PLAIN;
    *said = *unnamed == KEY_OF_AVERAGED || s->both || filled_dict(s, root, "model_state_dict") != PICKLE_ABSENT;
    if (*unnamed == KEY_OF_AVERAGED) return averaged;
    return others != PICKLE_ABSENT ? others : root;
}

/* Keys, owners and the choice between them: the same for both containers. */
static f5_status settle(source *s, const source_wish *wish, key_owner unnamed, bool said, const char *const *key,
                        const uint32_t *length, f5_error *error) {
    const bool two_dicts = s->both;
    F5_TRY(take_keys(s, key, length, strlen(wish->prefix), error));
    for (int32_t i = 0; i < s->count; i++) said |= s->tensor[i].owner != KEY_OF_ANY;
    choose_weights(s, wish->plain, unnamed);
    s->both = s->both || two_dicts;
    if (!said) s->weights = WEIGHTS_UNSAID;
    add_prefix(s, wish);
    return F5_OK;
}

static f5_status collect_safetensors(source *s, const source_wish *wish, f5_error *error) {
    const char **key = NULL;
    uint32_t *length = NULL;
    F5_TRY(safetensors_open(&s->st, s->path, error));
    f5_status status = take_room(s, (size_t)s->st.count, &key, &length, error);
    if (status == F5_OK) {
        list_safetensors(s, key, length);
        status = settle(s, wish, KEY_OF_PLAIN, false, key, length, error);
    }
    free(key);
    free(length);
    return status;
}

static f5_status open_torch(source *s, f5_error *error) {
    const uint8_t *file = s->mapping;
    s->legacy = torch_legacy_is(file, s->mapping_bytes);
    if (s->legacy) return torch_legacy_open(&s->zip, &s->pickle, file, s->mapping_bytes, s->path, error);
    F5_TRY(torch_zip_open(&s->zip, file, s->mapping_bytes, s->path, error));
    const torch_zip_entry *pickle = torch_zip_find(&s->zip, "data.pkl", 8);
    return torch_pickle_parse(&s->pickle, pickle->data, pickle->size, s->path, error);
}

static f5_status collect_torch(source *s, const source_wish *wish, int file, size_t bytes, f5_error *error) {
    const char **key = NULL;
    uint32_t *length = NULL;
    void *mapping = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, file, 0);
    if (mapping == MAP_FAILED) return f5_fail(error, F5_E_IO, "%s: cannot map: %s", s->path, strerror(errno));
    s->mapping = mapping;
    s->mapping_bytes = bytes;
    F5_TRY(open_torch(s, error));
    key_owner unnamed;
    bool said;
    pickle_ref dict = choose_dict(s, wish->plain, &unnamed, &said);
    const uint32_t count = torch_pickle_items(s->pickle, dict);
    if (!count) return f5_fail(error, F5_E_FORMAT, "%s: holds no state dict, or an empty one", s->path);
    f5_status status = take_room(s, count, &key, &length, error);
    if (status == F5_OK) status = list_dict(s, dict, key, length, error);
    if (status == F5_OK) status = settle(s, wish, unnamed, said, key, length, error);
    free(key);
    free(length);
    for (int32_t i = 0; i < s->count && status == F5_OK; i++) status = find_torch_data(s, &s->tensor[i], error);
    return status;
}

static f5_status collect(source *s, const source_wish *wish, int file, f5_error *error) {
    struct stat info;
    if (fstat(file, &info) != 0) return f5_fail(error, F5_E_IO, "%s: %s", s->path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return f5_fail(error, F5_E_IO, "%s: not a regular file", s->path);
    uint8_t head[512];
    ssize_t got = pread(file, head, sizeof head, 0);
    if (got < 0) return f5_fail(error, F5_E_IO, "%s: %s", s->path, strerror(errno));
    if (torch_zip_is(head, (size_t)got) || torch_legacy_is(head, (size_t)got)) {
        F5_TRY(collect_torch(s, wish, file, (size_t)info.st_size, error));
    } else {
        const char *reason = foreign_format(head, (size_t)got);
        if (reason) return f5_fail(error, F5_E_UNSUPPORTED, "%s: %s", s->path, reason);
        F5_TRY(collect_safetensors(s, wish, error));
    }
    return sort_tensors(s, error);
}

f5_status source_open(source *s, const char *path, const source_wish *wish, f5_error *error) {
    *s = (source){.path = path};
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* never waits on a pipe */
    if (file < 0) return f5_fail(error, F5_E_IO, "%s: %s", path, strerror(errno));
    f5_status status = collect(s, wish ? wish : &(source_wish){.prefix = ""}, file, error);
    close(file);
    int32_t joined = 0;
    if (status == F5_OK) status = weight_norm_join(s, &joined, error);
    if (status == F5_OK && joined) status = sort_tensors(s, error);
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

/* The elements as they are stored. */
static void read_stored(const source_tensor *t, float *out) {
    const source_number *type = t->number;
    if (contiguous(t)) {
        type->widen(out, t->data, t->elements);
        return;
    }
    /* an odometer over the dimensions, the last one fastest */
    int64_t index[SAFETENSORS_MAX_RANK] = {0}, at = 0;
    for (int64_t i = 0; i < t->elements; i++) {
        type->widen(&out[i], t->data + at * type->bytes, 1);
        for (int32_t d = t->rank - 1; d >= 0; d--) {
            at += t->stride[d];
            if (++index[d] < t->dims[d]) break;
            at -= t->stride[d] * t->dims[d];
            index[d] = 0;
        }
    }
}

void source_read(const source_tensor *t, float *out) {
    read_stored(t, out);
    if (t->gain.number) weight_norm_apply(t, out);
}
