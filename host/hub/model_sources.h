/* model_sources.h — which files a model is made of, and whether they are on this machine: upstream's options -m -p -v
 * -mc
 * --vocoder_name --load_vocoder_from_local mean what they mean there.
 *
 *   checkpoint     -p, else NAME/model_N.safetensors of the repository of upstream's model NAME
 *   configuration  -mc, else the settings of NAME
 *   vocabulary     -v, else vocab.txt beside a checkpoint that was named, else the usual one
 *   vocoder        that of NAME: charactr/vocos-mel-24khz or nvidia/bigvgan_v2_24khz_100band_256x, or with
 *                  --load_vocoder_from_local the last part of that in ../checkpoints
 *
 * A file is a path or hf://OWNER/NAME[@REVISION]/FILE; the latter is looked for in the cache that huggingface_hub
 * keeps. */
#ifndef F5_MODEL_SOURCES_H
#define F5_MODEL_SOURCES_H

#include <stdbool.h>

#include "host/hub/hub_cache.h"
#include "host/hub/hub_place.h"
#include "host/hub/model_names.h"

/* What a user asked for; NULL and "" are the same: not given. */
typedef struct {
    const char *model, *ckpt_file, *vocab_file, *model_cfg, *vocoder_name;
    bool vocoder_from_local;
    const char *vocoder_folder; /* config.yaml and pytorch_model.bin lie there */
} model_wish;

bool model_wish_has_files(const model_wish *wish); /* it has more than a name */

/* Does the name end as checkpoints do (.safetensors, .pt, .pth, .ckpt, .bin), or is it a file of the hub? */
bool model_is_checkpoint(const char *name);

typedef struct {
    bool of_hub;
    hub_file hub;            /* of_hub */
    char commit[HUB_COMMIT]; /* of_hub, and it is here: the commit that it is of */
    char *path;              /* where it lies; NULL: not on this machine. Owned */
} model_source;

typedef struct {
    char *name;             /* of the model; owned */
    const model_kind *kind; /* its settings; NULL: config_path has them */
    const char *config_path;
    const char *vocoder_name; /* "vocos", "bigvgan" */
    bool assumed;             /* nothing but the usual said that it is of this kind */
    model_source checkpoint, vocab, vocoder_config, vocoder;
} model_sources;

/* Finds them. usual_vocab (or NULL) is upstream's vocabulary as it comes with this program. F5_E_ARGUMENT: the wish is
 * none; F5_E_IO: a path that is not there. A file of
 * the hub that is not here is no error. model_sources_free follows in every case. The wish's strings must outlive it.
 */
f5_status model_sources_find(model_sources *sources, const model_wish *wish, const hub_place *place,
                             const char *usual_vocab, f5_error *error);
void model_sources_free(model_sources *sources);

/* The first source that is not on this machine; NULL: all are. */
const model_source *model_sources_missing(const model_sources *sources);

/* Looks again for a source of the hub. */
void model_source_find(model_source *source, const hub_place *place);

/* Lines that say what the model is made of: the same text, the same model. Files that were named are told by path, size
 * and time. To be freed; NULL: no memory. */
char *model_sources_text(const model_sources *sources, const char *precision);

/* The wish's vocoder is one that there is, and that of the model where upstream has the model: F5_E_ARGUMENT. */
f5_status model_wish_check(const model_wish *wish, f5_error *error);

/* The name of the model that is wished for: upstream's F5TTS_Base with bigvgan is F5TTS_Base_bigvgan. */
const char *model_wish_name(const model_wish *wish);

#endif
