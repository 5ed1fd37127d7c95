/* torch_pickle.c — runs the opcodes of torch.save's pickles on values; nothing of the file is executed. */
#include "weights/convert/torch_pickle.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/convert/pickle_values.h"
#include "weights/convert/quote.h"

static const allowed_name allowed[] = {
    {"collections", "OrderedDict", NAME_ORDERED_DICT, TORCH_TYPES},
    {"torch._utils", "_rebuild_tensor_v2", NAME_REBUILD_TENSOR, TORCH_TYPES},
    {"torch._utils", "_rebuild_parameter", NAME_REBUILD_PARAMETER, TORCH_TYPES},
    {"torch", "Size", NAME_SIZE, TORCH_TYPES},
    {"torch", "FloatStorage", NAME_STORAGE, TORCH_FLOAT},
    {"torch", "HalfStorage", NAME_STORAGE, TORCH_HALF},
    {"torch", "BFloat16Storage", NAME_STORAGE, TORCH_BFLOAT16},
    {"torch", "DoubleStorage", NAME_STORAGE, TORCH_DOUBLE},
    {"torch", "LongStorage", NAME_STORAGE, TORCH_LONG},
    {"torch", "IntStorage", NAME_STORAGE, TORCH_INT},
    {"torch", "ShortStorage", NAME_STORAGE, TORCH_SHORT},
    {"torch", "CharStorage", NAME_STORAGE, TORCH_CHAR},
    {"torch", "ByteStorage", NAME_STORAGE, TORCH_BYTE},
    {"torch", "BoolStorage", NAME_STORAGE, TORCH_BOOL},
};

/* ---- reading */

static f5_status take(torch_pickle *p, uint64_t count, const uint8_t **bytes) {
    if (count > p->n - p->at) return BAD(p, "cut short", "");
    *bytes = p->bytes + p->at;
    p->at += count;
    return F5_OK;
}

static f5_status take_uint(torch_pickle *p, int width, uint64_t *number) {
    const uint8_t *bytes = NULL;
    F5_TRY(take(p, (uint64_t)width, &bytes));
    *number = 0;
    for (int i = width - 1; i >= 0; i--) *number = *number << 8 | bytes[i];
    return F5_OK;
}

static f5_status push_string(torch_pickle *p, int width) {
    uint64_t length;
    const uint8_t *text = NULL;
    F5_TRY(take_uint(p, width, &length));
    F5_TRY(take(p, length, &text));
    return push_value(p, (value){.kind = V_STRING, .count = (uint32_t)length, .text = (const char *)text});
}

static f5_status push_long(torch_pickle *p, int width) {
    uint64_t length, bits = 0;
    const uint8_t *bytes = NULL;
    F5_TRY(take_uint(p, width, &length));
    if (length > 8) return UNSUPPORTED(p, "an integer of more than 64 bits", "");
    F5_TRY(take(p, length, &bytes));
    for (uint64_t i = 0; i < length; i++) bits |= (uint64_t)bytes[i] << (8 * i);
    if (length && length < 8 && bytes[length - 1] & 0x80) bits |= ~UINT64_C(0) << (8 * length);
    return push_value(p, (value){.kind = V_INT, .integer = (int64_t)bits});
}

static f5_status push_int(torch_pickle *p, int width) {
    uint64_t bits;
    F5_TRY(take_uint(p, width, &bits));
    return push_value(p,
                      (value){.kind = V_INT, .integer = width == 4 ? (int64_t)(int32_t)(uint32_t)bits : (int64_t)bits});
}

static f5_status push_small_tuple(torch_pickle *p, int count) {
    pickle_ref item[3];
    for (int i = count - 1; i >= 0; i--) F5_TRY(pop(p, &item[i]));
    return push_tuple(p, item, (uint32_t)count);
}

/* ---- dicts and lists */

static f5_status set_item(torch_pickle *p) {
    pickle_ref pair[2], dict;
    F5_TRY(pop(p, &pair[1]));
    F5_TRY(pop(p, &pair[0]));
    F5_TRY(top(p, &dict));
    return dict_set(p, dict, pair, 2);
}

static f5_status set_items(torch_pickle *p) {
    const pickle_ref *first;
    uint32_t count;
    pickle_ref dict;
    F5_TRY(pop_mark(p, &first, &count));
    F5_TRY(top(p, &dict));
    return dict_set(p, dict, first, count);
}

static f5_status append(torch_pickle *p) {
    pickle_ref item, list;
    F5_TRY(pop(p, &item));
    F5_TRY(top(p, &list));
    return list_add(p, list, &item, 1);
}

static f5_status append_many(torch_pickle *p) {
    const pickle_ref *first;
    uint32_t count;
    pickle_ref list;
    F5_TRY(pop_mark(p, &first, &count));
    F5_TRY(top(p, &list));
    return list_add(p, list, first, count);
}

/* ---- names and what stands for calls */

static bool text_is(const char *text, size_t length, const char *literal) {
    return length == strlen(literal) && memcmp(text, literal, length) == 0;
}

static f5_status push_name(torch_pickle *p, const char *module, size_t module_length, const char *name,
                           size_t name_length) {
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (text_is(module, module_length, allowed[i].module) && text_is(name, name_length, allowed[i].name))
            return push_value(p, (value){.kind = V_NAME, .name = &allowed[i]});
    return f5_fail(
        p->error, F5_E_UNSUPPORTED,
        "%s: its pickle asks for the Python object %s.%s; only tensors and plain containers are read, nothing is "
        "executed: save the state dict alone",
        p->path, quote(module, module_length).text, quote(name, name_length).text);
}

static f5_status read_global(torch_pickle *p) {
    const char *line[2];
    size_t length[2];
    for (int i = 0; i < 2; i++) {
        const uint8_t *begin = p->bytes + p->at, *end = memchr(begin, '\n', p->n - p->at);
        if (!end) return BAD(p, "a name without its end", "");
        line[i] = (const char *)begin;
        length[i] = (size_t)(end - begin);
        p->at += length[i] + 1;
    }
    return push_name(p, line[0], length[0], line[1], length[1]);
}

static f5_status read_stack_global(torch_pickle *p) {
    pickle_ref ref[2];
    F5_TRY(pop(p, &ref[1]));
    F5_TRY(pop(p, &ref[0]));
    const value *module = value_at(p, ref[0]), *name = value_at(p, ref[1]);
    if (module->kind != V_STRING || name->kind != V_STRING) return BAD(p, "a name that is not a string", "");
    return push_name(p, module->text, module->count, name->text, name->count);
}

/* ('storage', TYPE, KEY, device, elements): how torch.save names the entry data/KEY. Before torch 1.6 a sixth item said
 * whether the storage is a view of another. */
static f5_status read_persistent(torch_pickle *p) {
    static const value_kind kinds[5] = {V_STRING, V_NAME, V_STRING, V_STRING, V_INT};
    pickle_ref ref;
    F5_TRY(pop(p, &ref));
    const value *id = value_at(p, ref), *part[5];
    if (id->kind != V_TUPLE || id->count < 5 || id->count > 6) return BAD(p, "a persistent id that is not torch's", "");
    for (uint32_t i = 0; i < 5; i++) {
        part[i] = value_at(p, tuple_item(p, id, i));
        if (part[i]->kind != kinds[i]) return BAD(p, "a persistent id that is not torch's", "");
    }
    if (!text_is(part[0]->text, part[0]->count, "storage") || part[1]->name->kind != NAME_STORAGE)
        return BAD(p, "a persistent id that is not a storage", "");
    if (part[4]->integer < 0) return BAD(p, "a storage of negative size", "");
    if (id->count == 6 && value_at(p, tuple_item(p, id, 5))->kind != V_NONE)
        return UNSUPPORTED(p, "a storage that is a view of another: save the file again with torch", "");
    torch_storage *s = malloc(sizeof *s);
    if (!s) return pickle_fail(p, F5_E_MEMORY, "out of memory", "");
    *s = (torch_storage){part[2]->text, part[2]->count, part[1]->name->type, part[4]->integer};
    f5_status status = push_value(p, (value){.kind = V_STORAGE, .store = s});
    if (status != F5_OK) free(s);
    return status;
}

/* Fills shape, stride and numel; the window must lie inside the storage. */
static f5_status set_window(torch_pickle *p, torch_tensor *t, const value *size, const value *stride) {
    int64_t last = t->offset;
    bool inside = true;
    t->numel = 1;
    for (uint32_t i = 0; i < size->count; i++) {
        const value *n = value_at(p, tuple_item(p, size, i)), *s = value_at(p, tuple_item(p, stride, i));
        int64_t reach;
        if (n->kind != V_INT || s->kind != V_INT || n->integer < 0 || s->integer < 0)
            return BAD(p, "a tensor with a size or stride that is not a whole number of at least 0", "");
        t->shape[i] = n->integer;
        t->stride[i] = s->integer;
        if (__builtin_mul_overflow(t->numel, n->integer, &t->numel)) return BAD(p, "a tensor too large to exist", "");
        if (n->integer > 0 &&
            (__builtin_mul_overflow(n->integer - 1, s->integer, &reach) || __builtin_add_overflow(last, reach, &last)))
            inside = false;
    }
    if (t->numel > 0 && (!inside || last >= t->storage_numel))
        return BAD(p, "a tensor reaches beyond its storage ", quote(t->storage_key, t->storage_key_length).text);
    if (t->numel > t->storage_numel) /* it repeats elements: a small file would become a large model */
        return BAD(p, "a tensor is larger than its storage ", quote(t->storage_key, t->storage_key_length).text);
    return F5_OK;
}

/* (storage, offset, size, stride, requires_grad, hooks [, metadata]) */
static f5_status rebuild_tensor(torch_pickle *p, const value *args) {
    static const value_kind kinds[4] = {V_STORAGE, V_INT, V_TUPLE, V_TUPLE};
    const value *part[4];
    if (args->count < 6 || args->count > 7) return BAD(p, "a tensor with a wrong number of fields", "");
    for (uint32_t i = 0; i < 4; i++) {
        part[i] = value_at(p, tuple_item(p, args, i));
        if (part[i]->kind != kinds[i]) return BAD(p, "a tensor with a field of the wrong kind", "");
    }
    if (part[2]->count > TORCH_MAX_DIMS) return UNSUPPORTED(p, "a tensor of more than 8 dimensions", "");
    if (part[2]->count != part[3]->count) return BAD(p, "a tensor with another number of strides than sizes", "");
    if (part[1]->integer < 0) return BAD(p, "a tensor with a negative offset", "");
    torch_tensor *t = calloc(1, sizeof *t);
    if (!t) return pickle_fail(p, F5_E_MEMORY, "out of memory", "");
    const torch_storage *s = part[0]->store;
    t->type = s->type;
    t->dims = (int)part[2]->count;
    t->offset = part[1]->integer;
    t->storage_numel = s->numel;
    t->storage_key = s->key;
    t->storage_key_length = s->key_length;
    f5_status status = set_window(p, t, part[2], part[3]);
    if (status == F5_OK) status = push_value(p, (value){.kind = V_TENSOR, .tensor = t});
    if (status != F5_OK) free(t);
    return status;
}

static f5_status reduce(torch_pickle *p) {
    pickle_ref args_ref, name_ref;
    F5_TRY(pop(p, &args_ref));
    F5_TRY(pop(p, &name_ref));
    const value *args = value_at(p, args_ref), *name = value_at(p, name_ref);
    if (name->kind != V_NAME || args->kind != V_TUPLE) return BAD(p, "calls something that is not a known name", "");
    switch (name->name->kind) {
    case NAME_ORDERED_DICT:
        if (args->count) return UNSUPPORTED(p, "an OrderedDict made from arguments", "");
        return push_value(p, (value){.kind = V_DICT});
    case NAME_REBUILD_TENSOR:
        return rebuild_tensor(p, args);
    case NAME_REBUILD_PARAMETER: /* (tensor, requires_grad, hooks): the tensor itself */
        if (args->count < 1 || value_at(p, tuple_item(p, args, 0))->kind != V_TENSOR)
            return BAD(p, "a parameter that is not a tensor", "");
        return push_ref(p, &p->stack, tuple_item(p, args, 0));
    case NAME_SIZE:
        if (args->count != 1 || value_at(p, tuple_item(p, args, 0))->kind != V_TUPLE)
            return BAD(p, "a torch.Size that is not a tuple", "");
        return push_ref(p, &p->stack, tuple_item(p, args, 0));
    case NAME_STORAGE:
        break;
    }
    return BAD(p, "calls a storage type", "");
}

/* torch attaches `_metadata` to the OrderedDict of a state dict; dropped. */
static f5_status build(torch_pickle *p) {
    pickle_ref state, object;
    F5_TRY(pop(p, &state));
    F5_TRY(top(p, &object));
    if (value_at(p, object)->kind != V_DICT || value_at(p, state)->kind != V_DICT)
        return BAD(p, "attaches state to something that is not a dict", "");
    return F5_OK;
}

/* ---- the machine */

static f5_status stop(torch_pickle *p) {
    if (p->marks.count || p->stack.count != 1) return BAD(p, "ends with other than one value on the stack", "");
    p->root = *(pickle_ref *)p->stack.data;
    return F5_OK;
}

static f5_status step(torch_pickle *p, uint8_t opcode) {
    uint64_t number;
    const pickle_ref *first;
    const uint8_t *skipped = NULL;
    uint32_t count;
    pickle_ref ref;
    switch (opcode) {
    case 0x80: /* PROTO */
        F5_TRY(take_uint(p, 1, &number));
        return number >= 2 && number <= 5 ? F5_OK : UNSUPPORTED(p, "a pickle protocol other than 2 to 5", "");
    case 0x95:
        return take(p, 8, &skipped); /* FRAME: only a hint for buffering */
    case 'N':
        return push_value(p, (value){.kind = V_NONE});
    case 0x88:
        return push_value(p, (value){.kind = V_BOOL, .integer = 1}); /* NEWTRUE */
    case 0x89:
        return push_value(p, (value){.kind = V_BOOL}); /* NEWFALSE */
    case 'J':
        return push_int(p, 4); /* BININT */
    case 'K':
        return push_int(p, 1); /* BININT1 */
    case 'M':
        return push_int(p, 2); /* BININT2 */
    case 0x8a:
        return push_long(p, 1); /* LONG1 */
    case 0x8b:
        return push_long(p, 4); /* LONG4 */
    case 'G':                   /* BINFLOAT: no use for its value */
        F5_TRY(take(p, 8, &skipped));
        return push_value(p, (value){.kind = V_FLOAT});
    case 'X':
        return push_string(p, 4); /* BINUNICODE */
    case 0x8c:
        return push_string(p, 1); /* SHORT_BINUNICODE */
    case 0x8d:
        return push_string(p, 8); /* BINUNICODE8 */
    case ')':
        return push_tuple(p, NULL, 0);
    case 0x85:
        return push_small_tuple(p, 1);
    case 0x86:
        return push_small_tuple(p, 2);
    case 0x87:
        return push_small_tuple(p, 3);
    case 't': /* TUPLE */
        F5_TRY(pop_mark(p, &first, &count));
        return push_tuple(p, first, count);
    case ']':
        return push_value(p, (value){.kind = V_LIST});
    case 'a':
        return append(p);
    case 'e':
        return append_many(p);
    case '}':
        return push_value(p, (value){.kind = V_DICT});
    case 's':
        return set_item(p);
    case 'u':
        return set_items(p);
    case '(':
        return push_ref(p, &p->marks, p->stack.count); /* MARK */
    case '0':
        return pop(p, &ref);
    case 'q': /* BINPUT */
        F5_TRY(take_uint(p, 1, &number));
        return memo_put(p, number);
    case 'r': /* LONG_BINPUT */
        F5_TRY(take_uint(p, 4, &number));
        return memo_put(p, number);
    case 0x94:
        return memo_put(p, p->memo.count); /* MEMOIZE */
    case 'h':                              /* BINGET */
        F5_TRY(take_uint(p, 1, &number));
        return memo_get(p, number);
    case 'j': /* LONG_BINGET */
        F5_TRY(take_uint(p, 4, &number));
        return memo_get(p, number);
    case 'c':
        return read_global(p);
    case 0x93:
        return read_stack_global(p);
    case 'Q':
        return read_persistent(p);
    case 'R':
        return reduce(p);
    case 'b':
        return build(p);
    default:
        break;
    }
    char code[8];
    snprintf(code, sizeof code, "0x%02x", opcode);
    return UNSUPPORTED(p, "torch.save does not write opcode ", code);
}

f5_status torch_pickle_parse(torch_pickle **pickle, const uint8_t *bytes, size_t n, const char *path, f5_error *error) {
    *pickle = NULL;
    if (n > TORCH_PICKLE_MAX_BYTES)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: a pickle of %zu bytes is over the limit of %u", path, n,
                       TORCH_PICKLE_MAX_BYTES);
    torch_pickle *p = calloc(1, sizeof *p);
    if (!p) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", path);
    p->bytes = bytes;
    p->n = n;
    p->path = path;
    p->error = error;
    f5_status status = F5_OK;
    uint8_t opcode = 0;
    while (status == F5_OK && opcode != '.') {
        if (p->at == n) {
            status = BAD(p, "ends without a stop", "");
        } else {
            opcode = bytes[p->at++];
            status = opcode == '.' ? stop(p) : step(p, opcode);
        }
    }
    p->error = NULL;
    if (status == F5_OK)
        *pickle = p;
    else
        torch_pickle_free(p);
    return status;
}
