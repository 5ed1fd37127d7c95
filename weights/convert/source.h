/* source.h — one view of the checkpoints we read: named tensors, whatever the container.
 *
 * A .safetensors file is a flat map. A torch file holds dicts; the state dict is `ema_model_state_dict` or
 * `model_state_dict` (or `state_dict`, `model`, `module`; BigVGAN's `generator`), else the whole (Vocos'
 * pytorch_model.bin). Keys lose what wrappers put around them (key_names.h), and weights that torch keeps as direction
 * and length are joined (weight_norm.h). The container is told by the file's first bytes, never by its name. Files are
 * mapped; only source_read touches the data of a tensor.
 *
 * A file may hold two sets of weights, those of training and their running average. One of them is read. */
#ifndef F5_SOURCE_H
#define F5_SOURCE_H

#include <stdbool.h>

#include "weights/convert/torch_pickle.h"
#include "weights/convert/torch_zip.h"
#include "weights/safetensors.h"

#define SOURCE_MAX_KEY_BYTES 512

/* What is wanted of a file. */
typedef struct {
    bool plain;         /* the weights of training where there are both; else the averaged ones */
    const char *prefix; /* goes before every key where no key of the file has it, "transformer."; "": none */
    bool (*fits)(const void *user, const char *key); /* the key would, with the prefix: one at least must */
    bool (*bare)(const void *user, const char *key); /* it goes without the prefix */
    const void *user;
} source_wish;

/* Which set of weights the tensors are. */
typedef enum { WEIGHTS_UNSAID, WEIGHTS_AVERAGED, WEIGHTS_PLAIN } source_weights;

/* How numbers are stored. */
typedef struct {
    const char *name;
    int64_t bytes;
    void (*widen)(float *to, const void *from, int64_t n); /* float64 is rounded to the nearest float */
} source_number;

/* The lengths of a weight that is kept as direction and length (weight_norm.h). */
typedef struct {
    const uint8_t *data;
    int64_t stride;
    const source_number *number; /* NULL: it is not */
} source_gain;

typedef struct {
    const char *key; /* terminated, without wrappers */
    int32_t rank;
    int64_t dims[SAFETENSORS_MAX_RANK];
    int64_t stride[SAFETENSORS_MAX_RANK]; /* in elements */
    int64_t elements;
    const char *type_name;
    const source_number *number; /* NULL: not one of float16, bfloat16, float32, float64: it cannot be read */
    const uint8_t *data;         /* first element; aligned to nothing */
    source_gain gain;            /* private */
    const torch_tensor *torch;   /* private */
    int owner;                   /* private */
} source_tensor;

typedef struct {
    source_tensor *tensor; /* [count] sorted by key */
    int32_t count;
    source_weights weights;
    bool both; /* the file holds another set too */
    const char *path;
    /* private */
    safetensors st;
    void *mapping;
    size_t mapping_bytes;
    torch_zip zip; /* a torch file's storages */
    bool legacy;   /* by their keys alone */
    torch_pickle *pickle;
    char *keys;
} source;

/* path must outlive the source. wish NULL: nothing in particular. On failure *s is closed. Errors: F5_E_IO, F5_E_FORMAT
 * (damaged, one key twice), F5_E_UNSUPPORTED (another format, with what to do), F5_E_MEMORY. */
f5_status source_open(source *s, const char *path, const source_wish *wish, f5_error *error);
void source_close(source *s); /* safe on a zeroed or closed source */

const source_tensor *source_find(const source *s, const char *key); /* NULL: none */

/* The elements in row-major order as float: out [elements]. The tensor must have a number type. */
void source_read(const source_tensor *tensor, float *out);

#endif
