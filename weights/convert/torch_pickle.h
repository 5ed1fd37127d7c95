/* torch_pickle.h — reads the pickles inside a torch.save file and executes nothing.
 *
 * A pickle is a program for a small stack machine. This one knows the opcodes that torch.save emits (protocols 2 to 5)
 * and a closed list of names: collections.OrderedDict, torch.Size, torch._utils._rebuild_tensor_v2,
 * torch._utils._rebuild_parameter and the storage types of torch. None is ever called: each is a case below that builds
 * plain data. Any other name is refused by name.
 *
 * Values live in one table and refer to one another by index, so references that share or loop cost nothing: no walk
 * here is recursive. Memory is bounded by a constant times the pickle's size, which is bounded by
 * TORCH_PICKLE_MAX_BYTES. The value of a float is parsed and forgotten.
 * Opcodes: pickletools.py of CPython. */
#ifndef F5_TORCH_PICKLE_H
#define F5_TORCH_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/error.h"

#define TORCH_PICKLE_MAX_BYTES (8u << 20)
#define TORCH_MAX_DIMS 8

typedef enum {
    TORCH_FLOAT,
    TORCH_HALF,
    TORCH_BFLOAT16,
    TORCH_DOUBLE,
    TORCH_LONG,
    TORCH_INT,
    TORCH_SHORT,
    TORCH_CHAR,
    TORCH_BYTE,
    TORCH_BOOL,
    TORCH_TYPES
} torch_type;

/* A block of numbers by its name: an archive's entry data/KEY. Strings point into the pickle. */
typedef struct {
    const char *key; /* not terminated */
    uint32_t key_length;
    torch_type type;
    int64_t numel;
} torch_storage;

/* A tensor as saved: a strided window on a storage. The window lies inside storage_numel elements, it has no more
 * elements than these, and no size, stride or offset is negative. Strings point into the pickle. */
typedef struct {
    torch_type type;
    int dims;
    int64_t shape[TORCH_MAX_DIMS];
    int64_t stride[TORCH_MAX_DIMS]; /* in elements */
    int64_t numel;
    int64_t offset; /* elements from the storage's start */
    int64_t storage_numel;
    const char *storage_key; /* not terminated */
    uint32_t storage_key_length;
} torch_tensor;

typedef struct torch_pickle torch_pickle;
typedef uint32_t pickle_ref; /* a value of a pickle */
#define PICKLE_ABSENT UINT32_MAX

size_t torch_type_bytes(torch_type type);
const char *torch_type_name(torch_type type); /* "float32", ... */

/* Reads one pickle and leaves what follows it. `bytes` must outlive the result; path is for messages. Errors:
 * F5_E_FORMAT, F5_E_UNSUPPORTED (a name outside the list, an opcode that torch.save does not emit), F5_E_MEMORY;
 * *pickle is then NULL. */
f5_status torch_pickle_parse(torch_pickle **pickle, const uint8_t *bytes, size_t n, const char *path, f5_error *error);
void torch_pickle_free(torch_pickle *pickle); /* NULL is fine */

pickle_ref torch_pickle_root(const torch_pickle *pickle);

/* Items of a dict, in the order they were set; 0 of anything else. */
uint32_t torch_pickle_items(const torch_pickle *pickle, pickle_ref dict);
/* Item i: its value; the key when it is a string, else *key is NULL. */
pickle_ref torch_pickle_item(const torch_pickle *pickle, pickle_ref dict, uint32_t i, const char **key,
                             uint32_t *key_length);
/* The dict (not any other value) under a string key of a dict, or PICKLE_ABSENT. */
pickle_ref torch_pickle_find_dict(const torch_pickle *pickle, pickle_ref dict, const char *key);
const torch_tensor *torch_pickle_tensor(const torch_pickle *pickle, pickle_ref value); /* NULL: not a tensor */

/* Items of a list; 0 of anything else. Item i, which must be there, as a text; NULL: it is none. */
uint32_t torch_pickle_length(const torch_pickle *pickle, pickle_ref list);
const char *torch_pickle_text(const torch_pickle *pickle, pickle_ref list, uint32_t i, uint32_t *length);
bool torch_pickle_integer(const torch_pickle *pickle, pickle_ref value, int64_t *number); /* false: not an integer */
bool torch_pickle_is_false(const torch_pickle *pickle, pickle_ref dict, const char *key); /* there, and False */

/* The storages that the pickle names, one a tensor: for (at = 0; (s = torch_pickle_storage(p, &at));). */
const torch_storage *torch_pickle_storage(const torch_pickle *pickle, pickle_ref *at);
size_t torch_pickle_bytes(const torch_pickle *pickle); /* how many bytes the pickle takes */

#endif
