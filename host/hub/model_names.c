/* model_names.c — upstream's six configurations (f5_tts/configs), as far as they differ, and the one whose
 * sound BigVGAN makes. */
#include "host/hub/model_names.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define F5 "SWivid/F5-TTS"
#define E2 "SWivid/E2-TTS"
#define LATER "model_1250000.safetensors"
#define FIRST "model_1200000.safetensors"

static const model_kind kinds[] = {
    {"F5TTS_v1_Base", F5, LATER, "DiT", "pinyin", "1024", "22", "16", "true", NULL, "vocos"},
    {"F5TTS_v1_Small", F5, LATER, "DiT", "char", "768", "18", "12", "true", NULL, "vocos"},
    {"F5TTS_Base_bigvgan", F5, "model_1250000.pt", "DiT", "pinyin", "1024", "22", "16", "false", "1", "bigvgan"},
    {"F5TTS_Base", F5, FIRST, "DiT", "pinyin", "1024", "22", "16", "false", "1", "vocos"},
    {"F5TTS_Small", F5, LATER, "DiT", "pinyin", "768", "18", "12", "false", "1", "vocos"},
    {"E2TTS_Base", E2, FIRST, "UNetT", "pinyin", "1024", "24", "16", "false", "1", "vocos"},
    {"E2TTS_Small", F5, LATER, "UNetT", "pinyin", "768", "20", "12", "false", "1", "vocos"},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

const model_kind *model_kind_at(int i) {
    return i >= 0 && i < N_KINDS ? &kinds[i] : NULL;
}

const model_kind *model_kind_named(const char *name) {
    for (int i = 0; i < N_KINDS; i++)
        if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
    return NULL;
}

const model_kind *model_kind_of_path(const char *path) {
    for (const char *at = path;;) {
        size_t part = strcspn(at, "/");
        for (int i = 0; i < N_KINDS; i++) {
            size_t bytes = strlen(kinds[i].name);
            if (part >= bytes && memcmp(at, kinds[i].name, bytes) == 0 && (part == bytes || strchr("_.-", at[bytes])))
                return &kinds[i];
        }
        if (!at[part]) return NULL;
        at += part + 1;
    }
}

int32_t model_kind_settings(const model_kind *kind, f5_setting setting[MODEL_SETTINGS]) {
    const bool is_dit = strcmp(kind->backbone, "DiT") == 0;
    const struct {
        const char *path, *value;
    } all[MODEL_SETTINGS] = {{"model", ""},
                             {"model.name", kind->name},
                             {"model.tokenizer", kind->tokenizer},
                             {"model.backbone", kind->backbone},
                             {"model.arch", ""},
                             {"model.arch.dim", kind->dim},
                             {"model.arch.depth", kind->depth},
                             {"model.arch.heads", kind->heads},
                             {"model.arch.ff_mult", is_dit ? "2" : "4"},
                             {"model.arch.text_dim", is_dit ? "512" : NULL},
                             {"model.arch.text_mask_padding", kind->mask_padding},
                             {"model.arch.conv_layers", is_dit ? "4" : NULL},
                             {"model.arch.pe_attn_head", kind->pe_attn_head},
                             {"model.mel_spec", ""},
                             {"model.mel_spec.target_sample_rate", "24000"},
                             {"model.mel_spec.n_mel_channels", "100"},
                             {"model.mel_spec.hop_length", "256"},
                             {"model.mel_spec.win_length", "1024"},
                             {"model.mel_spec.n_fft", "1024"},
                             {"model.mel_spec.mel_spec_type", kind->vocoder}};
    int32_t n = 0;
    for (int i = 0; i < MODEL_SETTINGS; i++)
        if (all[i].value) setting[n++] = (f5_setting){all[i].path, *all[i].value ? all[i].value : NULL, 0};
    return n;
}

const char *model_licence(const char *repository) {
    static const char *const known[][2] = {
        {F5, "cc-by-nc-4.0"}, {E2, "cc-by-nc-4.0"}, {VOCODER_REPOSITORY, "mit"}, {BIGVGAN_REPOSITORY, "mit"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i][0], repository) == 0) return known[i][1];
    return NULL;
}
