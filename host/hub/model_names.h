/* model_names.h — the models that upstream's program knows by name: their settings, and where their files are. */
#ifndef F5_MODEL_NAMES_H
#define F5_MODEL_NAMES_H

#include "host/api/f5tts.h"

typedef struct {
    const char *name;       /* "F5TTS_v1_Base" */
    const char *repository; /* "SWivid/F5-TTS" */
    const char *file;       /* of the checkpoint, in the folder `name` of the repository */
    const char *backbone;   /* "DiT", "UNetT" */
    const char *tokenizer;  /* "pinyin", "char" */
    const char *dim, *depth, *heads, *mask_padding;
    const char *pe_attn_head; /* NULL: not set */
    const char *vocoder;      /* "vocos", "bigvgan" */
} model_kind;

#define MODEL_USUAL "F5TTS_v1_Base" /* where upstream is told no name */
#define VOCODER_REPOSITORY "charactr/vocos-mel-24khz"
#define BIGVGAN_REPOSITORY "nvidia/bigvgan_v2_24khz_100band_256x"
#define MODEL_OF_BIGVGAN "F5TTS_Base_bigvgan"

/* NULL: no model of that name. */
const model_kind *model_kind_named(const char *name);

/* Model i of the list; NULL after the last. */
const model_kind *model_kind_at(int i);

/* The model whose name is a folder of a path, or how its file's name begins: "ckpts/F5TTS_Base/model_1.pt". NULL:
 * none. */
const model_kind *model_kind_of_path(const char *path);

/* Its configuration, as f5_convert takes it. Returns how many settings were written. */
#define MODEL_SETTINGS 20
int32_t model_kind_settings(const model_kind *kind, f5_setting setting[MODEL_SETTINGS]);

/* The licence of the weights of a repository that is known here; NULL: not known. */
const char *model_licence(const char *repository);

#endif
