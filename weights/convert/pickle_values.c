/* pickle_values.c — the values that a pickle builds, in one growing array. */
#include "weights/convert/pickle_values.h"

#include <stdlib.h>
#include <string.h>

f5_status pickle_fail(torch_pickle *p, f5_status status, const char *what, const char *name) {
    return f5_fail(p->error, status, "%s: pickle near byte %zu: %s%s", p->path, p->at, what, name);
}

static f5_status table_reserve(torch_pickle *p, table *t, uint32_t more, size_t element) {
    if (more <= t->capacity - t->count) return F5_OK;
    uint64_t capacity = t->capacity ? t->capacity : 64;
    while (capacity < (uint64_t)t->count + more) capacity *= 2;
    void *data = capacity <= UINT32_MAX / 2 ? realloc(t->data, capacity * element) : NULL;
    if (!data) return pickle_fail(p, F5_E_MEMORY, "out of memory", "");
    t->data = data;
    t->capacity = (uint32_t)capacity;
    return F5_OK;
}

f5_status push_ref(torch_pickle *p, table *t, pickle_ref ref) {
    F5_TRY(table_reserve(p, t, 1, sizeof ref));
    ((pickle_ref *)t->data)[t->count++] = ref;
    return F5_OK;
}

static f5_status add_value(torch_pickle *p, value v, pickle_ref *ref) {
    F5_TRY(table_reserve(p, &p->values, 1, sizeof v));
    *ref = p->values.count++;
    *value_at(p, *ref) = v;
    return F5_OK;
}

f5_status push_value(torch_pickle *p, value v) {
    pickle_ref ref;
    F5_TRY(add_value(p, v, &ref));
    return push_ref(p, &p->stack, ref);
}

static uint32_t stack_floor(const torch_pickle *p) {
    return p->marks.count ? ((uint32_t *)p->marks.data)[p->marks.count - 1] : 0;
}

f5_status pop(torch_pickle *p, pickle_ref *ref) {
    if (p->stack.count <= stack_floor(p)) return BAD(p, "takes a value from an empty stack", "");
    *ref = ((pickle_ref *)p->stack.data)[--p->stack.count];
    return F5_OK;
}

f5_status top(torch_pickle *p, pickle_ref *ref) {
    F5_TRY(pop(p, ref));
    p->stack.count++;
    return F5_OK;
}

f5_status pop_mark(torch_pickle *p, const pickle_ref **first, uint32_t *count) {
    if (!p->marks.count) return BAD(p, "no mark on the stack", "");
    uint32_t floor = ((uint32_t *)p->marks.data)[--p->marks.count];
    *first = p->stack.data ? (const pickle_ref *)p->stack.data + floor : NULL; /* NULL + 0 is undefined in C */
    *count = p->stack.count - floor;
    p->stack.count = floor;
    return F5_OK;
}

f5_status push_tuple(torch_pickle *p, const pickle_ref *from, uint32_t count) {
    uint32_t first = p->items.count;
    F5_TRY(table_reserve(p, &p->items, count, sizeof *from));
    for (uint32_t i = 0; i < count; i++) ((pickle_ref *)p->items.data)[p->items.count++] = from[i];
    return push_value(p, (value){.kind = V_TUPLE, .count = count, .items = first});
}

/* ---- the memo */

f5_status memo_put(torch_pickle *p, uint64_t index) {
    pickle_ref ref;
    F5_TRY(top(p, &ref));
    if (index >= p->n) return BAD(p, "memo index out of range", ""); /* a writer numbers at most one per byte */
    while (p->memo.count <= index) F5_TRY(push_ref(p, &p->memo, PICKLE_ABSENT));
    ((pickle_ref *)p->memo.data)[index] = ref;
    return F5_OK;
}

f5_status memo_get(torch_pickle *p, uint64_t index) {
    pickle_ref ref = index < p->memo.count ? ((const pickle_ref *)p->memo.data)[index] : PICKLE_ABSENT;
    if (ref == PICKLE_ABSENT) return BAD(p, "reads a memo slot never written", "");
    return push_ref(p, &p->stack, ref);
}

static f5_status add_many(torch_pickle *p, value *to, const pickle_ref *items, uint32_t count) {
    if (count > to->many.capacity - to->count) {
        uint64_t capacity = to->many.capacity ? to->many.capacity : 16;
        while (capacity < (uint64_t)to->count + count) capacity *= 2;
        pickle_ref *item = capacity <= UINT32_MAX / 2 ? realloc(to->many.item, capacity * sizeof *item) : NULL;
        if (!item) return pickle_fail(p, F5_E_MEMORY, "out of memory", "");
        to->many.item = item;
        to->many.capacity = (uint32_t)capacity;
    }
    if (count) memcpy(to->many.item + to->count, items, count * sizeof *items);
    to->count += count;
    return F5_OK;
}

f5_status list_add(torch_pickle *p, pickle_ref list, const pickle_ref *items, uint32_t count) {
    value *to = value_at(p, list);
    return to->kind == V_LIST ? add_many(p, to, items, count) : BAD(p, "appends to something that is not a list", "");
}

f5_status dict_set(torch_pickle *p, pickle_ref dict, const pickle_ref *pairs, uint32_t count) {
    if (count % 2) return BAD(p, "a dict key without its value", "");
    value *to = value_at(p, dict);
    return to->kind == V_DICT ? add_many(p, to, pairs, count)
                              : BAD(p, "sets an item of something that is not a dict", "");
}

void torch_pickle_free(torch_pickle *p) {
    if (!p) return;
    for (uint32_t i = 0; i < p->values.count; i++) {
        value *v = value_at(p, i);
        if (v->kind == V_DICT || v->kind == V_LIST) free(v->many.item);
        if (v->kind == V_STORAGE) free(v->store);
        if (v->kind == V_TENSOR) free(v->tensor);
    }
    table *tables[] = {&p->values, &p->stack, &p->marks, &p->memo, &p->items};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) free(tables[i]->data);
    free(p);
}

/* ---- asking */

static const struct {
    size_t bytes;
    const char *name;
} types[TORCH_TYPES] = {
    [TORCH_FLOAT] = {4, "float32"},  [TORCH_HALF] = {2, "float16"}, [TORCH_BFLOAT16] = {2, "bfloat16"},
    [TORCH_DOUBLE] = {8, "float64"}, [TORCH_LONG] = {8, "int64"},   [TORCH_INT] = {4, "int32"},
    [TORCH_SHORT] = {2, "int16"},    [TORCH_CHAR] = {1, "int8"},    [TORCH_BYTE] = {1, "uint8"},
    [TORCH_BOOL] = {1, "bool"}};

size_t torch_type_bytes(torch_type type) {
    return types[type].bytes;
}
const char *torch_type_name(torch_type type) {
    return types[type].name;
}

pickle_ref torch_pickle_root(const torch_pickle *p) {
    return p->root;
}

uint32_t torch_pickle_items(const torch_pickle *p, pickle_ref dict) {
    const value *d = value_at(p, dict);
    return d->kind == V_DICT ? d->count / 2 : 0;
}

pickle_ref torch_pickle_item(const torch_pickle *p, pickle_ref dict, uint32_t i, const char **key,
                             uint32_t *key_length) {
    const pickle_ref *pair = value_at(p, dict)->many.item + 2 * (size_t)i;
    const value *k = value_at(p, pair[0]);
    *key = k->kind == V_STRING ? k->text : NULL;
    *key_length = k->kind == V_STRING ? k->count : 0;
    return pair[1];
}

pickle_ref torch_pickle_find_dict(const torch_pickle *p, pickle_ref dict, const char *key) {
    for (uint32_t i = torch_pickle_items(p, dict); i-- > 0;) { /* the last one set wins, as in Python */
        const char *k;
        uint32_t length;
        pickle_ref v = torch_pickle_item(p, dict, i, &k, &length);
        if (k && length == strlen(key) && memcmp(k, key, length) == 0)
            return value_at(p, v)->kind == V_DICT ? v : PICKLE_ABSENT;
    }
    return PICKLE_ABSENT;
}

const torch_tensor *torch_pickle_tensor(const torch_pickle *p, pickle_ref ref) {
    const value *v = value_at(p, ref);
    return v->kind == V_TENSOR ? v->tensor : NULL;
}

uint32_t torch_pickle_length(const torch_pickle *p, pickle_ref list) {
    const value *l = value_at(p, list);
    return l->kind == V_LIST ? l->count : 0;
}

const char *torch_pickle_text(const torch_pickle *p, pickle_ref list, uint32_t i, uint32_t *length) {
    const value *text = value_at(p, value_at(p, list)->many.item[i]);
    *length = text->kind == V_STRING ? text->count : 0;
    return text->kind == V_STRING ? text->text : NULL;
}

bool torch_pickle_integer(const torch_pickle *p, pickle_ref ref, int64_t *number) {
    const value *v = value_at(p, ref);
    if (v->kind == V_INT) *number = v->integer;
    return v->kind == V_INT;
}

bool torch_pickle_is_false(const torch_pickle *p, pickle_ref dict, const char *key) {
    bool no = false;
    for (uint32_t i = 0; i < torch_pickle_items(p, dict); i++) { /* the last one set wins, as in Python */
        const char *k;
        uint32_t length;
        const value *v = value_at(p, torch_pickle_item(p, dict, i, &k, &length));
        if (k && length == strlen(key) && memcmp(k, key, length) == 0) no = v->kind == V_BOOL && !v->integer;
    }
    return no;
}

const torch_storage *torch_pickle_storage(const torch_pickle *p, pickle_ref *at) {
    while (*at < p->values.count) {
        const value *v = value_at(p, (*at)++);
        if (v->kind == V_STORAGE) return v->store;
    }
    return NULL;
}

size_t torch_pickle_bytes(const torch_pickle *p) {
    return p->at;
}
