/* convert.h — upstream's files into one .f5: configuration, vocabulary, acoustic model and vocoder.
 *
 * The manifest says which tensors there are, from which keys they come and how they are packed; this streams them
 * through, one source tensor in memory at a time. The result depends on the values alone: the same numbers from a
 * .safetensors, a .pt or a .pt without prefix give the same bytes. */
#ifndef F5_CONVERT_H
#define F5_CONVERT_H

#include "weights/convert/settings.h"
#include "weights/convert/source.h"
#include "weights/convert/vocab_file.h"
#include "weights/manifest.h"

typedef struct {
    const part_catalogue *parts; /* what this build has */
    settings config;             /* upstream's YAML, parsed by the caller; `file` is its name */
    const char *checkpoint_path; /* .safetensors or .pt */
    const char *vocab_path;      /* vocab.txt; NULL with the byte tokenizer, and where the text encoder has symbols */
    settings vocos_config;       /* config.yaml likewise */
    const char *vocos_path; /* pytorch_model.bin, or a .safetensors of the same keys; NULL where none is asked for */
    const char *output_path;
    const char *name;             /* NULL: model.name of the YAML */
    const char *normalize;        /* the model's speech.normalize; NULL: nothing */
    const char *license, *credit; /* of its rights; NULL: nothing is said */
    float short_speed;            /* its speech.short_speed, 1 being unchanged; 0: as upstream */
    manifest_types types;         /* how matrices are stored */
    int (*progress)(void *user, int32_t tensor, int32_t tensors); /* or NULL; non-zero cancels */
    void *progress_user;
    const char *pinyin_path; /* tables for Chinese, for models that spell it; NULL: without */
    bool plain_weights;      /* those of training, where the checkpoint holds averaged ones too */
    const char *lora_path;   /* the folder of an adapter to merge; NULL: none */
    float lora_scale;        /* multiplies its changes */
    bool stored_rotary;      /* RoPE's frequencies rounded as the checkpoint's, in which upstream has them */
    f5_status (*pinyin_check)(const void *data, size_t bytes, const char *where, f5_error *error); /* of their reader;
                                                                                     data lies as malloc places it */
} convert_options;

typedef struct {
    model_config config;
    int32_t tensors; /* the tables among them */
    int64_t parameters;
    size_t bytes;              /* of the tensors */
    char checkpoint_types[64]; /* number types met in the checkpoint: "float32" */
    char vocos_types[64];
    source_weights weights; /* which were taken */
    bool other_weights;     /* and the checkpoint holds the others too */
    int32_t merged;         /* weights that the adapter changed */
    vocab_repeats repeats;
} convert_summary;

/* The output appears under its name only when complete; *summary is filled on success.
 * Errors: F5_E_ARGUMENT, F5_E_IO, F5_E_FORMAT (keys missing or unknown, not finite, damaged files), F5_E_SHAPE,
 * F5_E_UNSUPPORTED, F5_E_MEMORY, F5_E_CANCELLED; the message names the file and the key. */
f5_status convert_run(const convert_options *options, convert_summary *summary, f5_error *error);

/* The first thing of convert_run: the output takes its name at the end, and must be none of the files that are read.
 * F5_E_ARGUMENT, F5_E_IO. */
f5_status convert_check_output(const convert_options *options, f5_error *error);

#endif
