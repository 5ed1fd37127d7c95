/* models.c — the one table of models: a word a backbone, a word a vocoder. */
#include "runtime/models/models.h"

#include "runtime/models/backbone.h"
#include "runtime/models/vocoder.h"

#define BACKBONES(X) X(dit) X(unett) X(mmdit) X(fm_tts)
#define VOCODERS(X) X(vocos) X(bigvgan) X(mb_istft)

#define DECLARE_BACKBONE(name) extern const backbone backbone_##name;
#define DECLARE_VOCODER(name) extern const vocoder vocoder_##name;
BACKBONES(DECLARE_BACKBONE)
VOCODERS(DECLARE_VOCODER)

#define BACKBONE_PART(name) &backbone_##name.part,
#define VOCODER_PART(name) &vocoder_##name.part,
static const model_part *const backbones[] = {BACKBONES(BACKBONE_PART) NULL};
static const model_part *const vocoders[] = {VOCODERS(VOCODER_PART) NULL};

const part_catalogue models_catalogue = {backbones, vocoders};
