/* pickle_values.h — the values that the pickle machine makes, its stack and its memo. Private to torch_pickle.c and
 * pickle_values.c. */
#ifndef F5_PICKLE_VALUES_H
#define F5_PICKLE_VALUES_H

#include "weights/convert/torch_pickle.h"

typedef enum {
    V_NONE,
    V_BOOL,
    V_INT,
    V_FLOAT,
    V_STRING,
    V_TUPLE,
    V_LIST,
    V_DICT,
    V_NAME, /* one of the allowed names */
    V_STORAGE,
    V_TENSOR
} value_kind;

/* A storage type is a name whose dtype matters later. */
typedef enum { NAME_ORDERED_DICT, NAME_REBUILD_TENSOR, NAME_REBUILD_PARAMETER, NAME_SIZE, NAME_STORAGE } name_kind;

typedef struct {
    const char *module, *name;
    name_kind kind;
    torch_type type;
} allowed_name;

typedef struct {
    value_kind kind;
    uint32_t count; /* bytes of a string, items of a tuple or list, values (two an item) of a dict */
    union {
        int64_t integer; /* V_BOOL, V_INT */
        const char *text;
        uint32_t items; /* V_TUPLE: first in the item table */
        struct {
            pickle_ref *item; /* [count] of a list; of a dict: key, value, key, value, ... */
            uint32_t capacity;
        } many; /* V_LIST, V_DICT */
        const allowed_name *name;
        torch_storage *store;
        torch_tensor *tensor;
    };
} value;

/* A growing array of any type: the same four lines for each, with one overflow check. */
typedef struct {
    void *data;
    uint32_t count, capacity;
} table;

struct torch_pickle {
    table values; /* value; a pickle_ref is its index */
    table stack;  /* pickle_ref */
    table marks;  /* uint32_t stack heights */
    table memo;   /* pickle_ref, PICKLE_ABSENT where unset */
    table items;  /* pickle_ref, of all tuples */
    pickle_ref root;
    /* while parsing */
    const uint8_t *bytes;
    size_t n, at;
    const char *path;
    f5_error *error;
};

/* "PATH: pickle near byte N: WHAT NAME" */
f5_status pickle_fail(torch_pickle *p, f5_status status, const char *what, const char *name);
#define BAD(p, ...) pickle_fail(p, F5_E_FORMAT, __VA_ARGS__)
#define UNSUPPORTED(p, ...) pickle_fail(p, F5_E_UNSUPPORTED, __VA_ARGS__)

/* A reference to a value stays good; a pointer to it only until the next push. */
static inline value *value_at(const torch_pickle *p, pickle_ref ref) {
    return (value *)p->values.data + ref;
}

static inline pickle_ref tuple_item(const torch_pickle *p, const value *tuple, uint32_t i) {
    return ((const pickle_ref *)p->items.data)[tuple->items + i];
}

f5_status push_ref(torch_pickle *p, table *t, pickle_ref ref);
f5_status push_value(torch_pickle *p, value v); /* a new value, onto the stack */
f5_status push_tuple(torch_pickle *p, const pickle_ref *from, uint32_t count);

/* The stack above the last mark is all that an opcode may take. */
f5_status pop(torch_pickle *p, pickle_ref *ref);
f5_status top(torch_pickle *p, pickle_ref *ref);
/* Removes the last mark and what is above it: *first [*count], valid until the next push. */
f5_status pop_mark(torch_pickle *p, const pickle_ref **first, uint32_t *count);

f5_status memo_put(torch_pickle *p, uint64_t index); /* the top of the stack */
f5_status memo_get(torch_pickle *p, uint64_t index);

/* Appends items [count] to a list, or pairs [count] (key, value, key, value, ...) to a dict. */
f5_status list_add(torch_pickle *p, pickle_ref list, const pickle_ref *items, uint32_t count);
f5_status dict_set(torch_pickle *p, pickle_ref dict, const pickle_ref *pairs, uint32_t count);

#endif
