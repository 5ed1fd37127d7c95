/* adapter.h — a LoRA adapter as PEFT saves it, merged into a checkpoint while that is converted.
 *
 * A folder with adapter_config.json and adapter_model.safetensors (or .bin). For every linear layer that it names
 *   W + scale * alpha / r * B A          (alpha / sqrt(r) with use_rslora), W [out,in], A [r,in], B [out,r],
 * computed in double. Layers of modules_to_save come whole. Anything else that PEFT can do is refused by name: DoRA,
 * convolutions, embeddings, trained biases, initialisations that change W (PiSSA, OLoRA, LoftQ, CorDA), other methods.
 * fan_in_fan_out changes nothing: PEFT turns it off for layers of nn.Linear, and all layers here are.
 * Source: peft 0.10, tuners/lora/layer.py and model.py, utils/save_and_load.py. */
#ifndef F5_ADAPTER_H
#define F5_ADAPTER_H

#include "weights/convert/source.h"
#include "weights/manifest.h"

/* One changed weight. */
typedef struct {
    const char *key;            /* upstream's, of the weight */
    const source_tensor *a, *b; /* [r,in], [out,r]; NULL: the weight is replaced */
    const source_tensor *whole; /* by this one */
    double scale;
} adapter_change;

typedef struct {
    adapter_change *change; /* [count] sorted by key */
    int32_t count;
    /* private */
    source file;
    char *config_path, *model_path;
    float *a, *b; /* the largest A and B */
    double *row;  /* the widest layer */
} adapter;

/* Where an adapter's two files lie; the caller frees both. NULL, NULL on F5_E_MEMORY. */
f5_status adapter_paths(const char *folder, char **config_path, char **model_path, f5_error *error);

/* Opens the adapter and finds the place of each of its tensors among wanted [count] (sorted by key, must outlive the
 * adapter): each must have one, with the right shape. scale multiplies every change but those of whole layers. On
 * failure *a is closed. Errors: F5_E_IO, F5_E_FORMAT, F5_E_SHAPE, F5_E_UNSUPPORTED, F5_E_MEMORY; messages name the file
 * and the tensor or setting. */
f5_status adapter_open(adapter *a, const char *folder, float scale, const source_wish *wish,
                       const manifest_source *wanted, size_t count, f5_error *error);
void adapter_close(adapter *a); /* safe on a zeroed or closed one */

/* Changes values, the weight `key` in row-major order, if the adapter has it. */
void adapter_apply(const adapter *a, const manifest_source *key, float *values);

#endif
