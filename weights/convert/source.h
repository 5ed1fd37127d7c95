/* source.h — one view of the checkpoints we read: named tensors, whatever the container.
 *
 * A .safetensors file is a flat map. A torch zip holds dicts; the state dict is `ema_model_state_dict`, else
 * `model_state_dict`, else the whole (Vocos' pytorch_model.bin). The prefix "ema_model." of F5-TTS's averaged weights
 * is taken off. The container is told by the file's first bytes, never by its name. Files are mapped; only source_read
 * touches the data of a tensor. */
#ifndef F5_SOURCE_H
#define F5_SOURCE_H

#include "kernels/dtype.h"
#include "weights/convert/torch_pickle.h"
#include "weights/convert/torch_zip.h"
#include "weights/safetensors.h"

#define SOURCE_MAX_KEY_BYTES 512

typedef struct {
    const char *key; /* terminated; without "ema_model." */
    int32_t rank;
    int64_t dims[SAFETENSORS_MAX_RANK];
    int64_t stride[SAFETENSORS_MAX_RANK]; /* in elements */
    int64_t elements;
    const char *type_name;
    bool readable; /* float32, float16 or bfloat16, and so `type` and `data` hold */
    f5_dtype type;
    const uint8_t *data; /* first element; aligned to nothing */
} source_tensor;

typedef struct {
    source_tensor *tensor; /* [count] sorted by key */
    int32_t count;
    const char *path;
    /* private */
    safetensors st;
    void *mapping;
    size_t mapping_bytes;
    torch_zip zip;
    torch_pickle *pickle;
    char *keys;
} source;

/* path must outlive the source. On failure *s is closed. Errors: F5_E_IO, F5_E_FORMAT (damaged, one key twice),
 * F5_E_UNSUPPORTED (another format, with what to do), F5_E_MEMORY. */
f5_status source_open(source *s, const char *path, f5_error *error);
void source_close(source *s); /* safe on a zeroed or closed source */

const source_tensor *source_find(const source *s, const char *key); /* NULL: none */

/* The elements in row-major order, widened to float: out [elements]. The tensor must be readable. */
void source_read(const source_tensor *tensor, float *out);

#endif
