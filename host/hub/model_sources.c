/* model_sources.c — each file by the same three steps: what was asked for, what is usual, where it lies. */
#define _GNU_SOURCE /* open_memstream */
#include "host/hub/model_sources.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCAL_FOLDER "../checkpoints/"

/* The files of a vocoder: its name, where they are at the hub, and in which folder upstream has them. */
typedef struct {
    const char *name, *repository, *folder, *config, *weights;
} vocoder_files;

static const vocoder_files vocoders[] = {
    {"vocos", VOCODER_REPOSITORY, "vocos-mel-24khz", "config.yaml", "pytorch_model.bin"},
    {"bigvgan", BIGVGAN_REPOSITORY, "bigvgan_v2_24khz_100band_256x", "config.json", "bigvgan_generator.pt"}};

static const char *given(const char *value) {
    return value && *value ? value : NULL;
}

bool model_wish_has_files(const model_wish *w) {
    return given(w->ckpt_file) || given(w->vocab_file) || given(w->model_cfg) || w->vocoder_from_local ||
           given(w->vocoder_folder);
}

bool model_is_checkpoint(const char *name) {
    static const char *const endings[] = {".safetensors", ".pt", ".pth", ".ckpt", ".bin"};
    const char *slash = strrchr(name, '/'), *dot = strrchr(slash ? slash : name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (strcmp(dot, endings[i]) == 0) return true;
    return hub_is_url(name);
}

/* ---- one file ---------------------------------------------------------------------------------------------------- */

void model_source_find(model_source *s, const hub_place *place) {
    free(s->path);
    s->path = hub_cache_find(place->cache, &s->hub, s->commit);
}

static f5_status take_hub(model_source *s, const char *repository, const char *folder, const char *file,
                          const hub_place *place, f5_error *error) {
    s->of_hub = true;
    snprintf(s->hub.repository, sizeof s->hub.repository, "%s", repository);
    snprintf(s->hub.revision, sizeof s->hub.revision, "main");
    int n = snprintf(s->hub.path, sizeof s->hub.path, "%s%s%s", folder, *folder ? "/" : "", file);
    if (n >= (int)sizeof s->hub.path) return f5_fail(error, F5_E_ARGUMENT, "%s...: a name too long", folder);
    model_source_find(s, place);
    return F5_OK;
}

/* A file that was named: a path, or one of the hub. */
static f5_status take_named(model_source *s, const char *name, const char *option, const hub_place *place,
                            f5_error *error) {
    struct stat there;
    if (hub_is_url(name)) {
        s->of_hub = true;
        F5_TRY(hub_file_parse(&s->hub, name, error));
        model_source_find(s, place);
        return F5_OK;
    }
    if (stat(name, &there) != 0) return f5_fail(error, F5_E_IO, "%s: %s: %s", option, name, strerror(errno));
    if (S_ISDIR(there.st_mode)) return f5_fail(error, F5_E_IO, "%s: %s: is a folder: name the file", option, name);
    s->path = strdup(name);
    return s->path ? F5_OK : f5_fail(error, F5_E_MEMORY, "no memory for a file name");
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

/* A name that becomes a folder of the hub and a file's name here. */
static bool is_model_name(const char *name) {
    size_t bytes = strlen(name);
    return bytes > 0 && bytes < 64 && name[0] != '.' && !strpbrk(name, "/\\") && strcmp(name, "..") != 0;
}

/* NULL and "" are vocos; NULL: no vocoder of this name. */
static const vocoder_files *vocoder_named(const char *name) {
    if (!given(name)) return &vocoders[0];
    for (size_t i = 0; i < sizeof vocoders / sizeof *vocoders; i++)
        if (strcmp(vocoders[i].name, name) == 0) return &vocoders[i];
    return NULL;
}

/* The model and the vocoder belong together. As upstream has it, F5TTS_Base with bigvgan is another model. */
static f5_status fit_vocoder(const model_kind **kind, const model_wish *w, f5_error *error) {
    const char *wanted = given(w->vocoder_name);
    if (!wanted || !*kind || strcmp((*kind)->vocoder, wanted) == 0) return F5_OK;
    if (strcmp((*kind)->name, "F5TTS_Base") == 0 && strcmp(wanted, "bigvgan") == 0) {
        *kind = model_kind_named(MODEL_OF_BIGVGAN);
        return F5_OK;
    }
    return f5_fail(error, F5_E_ARGUMENT,
                   "--vocoder_name %s: the sound of %s is made by %s, that of " MODEL_OF_BIGVGAN " by bigvgan", wanted,
                   (*kind)->name, (*kind)->vocoder);
}

f5_status model_wish_check(const model_wish *w, f5_error *error) {
    if (!vocoder_named(w->vocoder_name))
        return f5_fail(error, F5_E_ARGUMENT, "--vocoder_name %s: must be one of vocos|bigvgan", w->vocoder_name);
    const model_kind *kind = given(w->model) && !given(w->model_cfg) ? model_kind_named(w->model) : NULL;
    return fit_vocoder(&kind, w, error);
}

const char *model_wish_name(const model_wish *w) {
    const model_kind *kind = given(w->model) ? model_kind_named(w->model) : NULL;
    f5_error why;
    return kind && fit_vocoder(&kind, w, &why) == F5_OK ? kind->name : w->model;
}

/* Which model it is: by its name, by the checkpoint's path, else the usual one. */
static f5_status take_kind(model_sources *s, const model_wish *w, const char *checkpoint, f5_error *error) {
    const char *name = given(w->model);
    s->config_path = given(w->model_cfg);
    if (name && model_is_checkpoint(name)) name = NULL;
    if (name && !is_model_name(name)) return f5_fail(error, F5_E_ARGUMENT, "model %s: is no name of a model", name);
    if (name) s->kind = model_kind_named(name);
    if (name && !s->kind && !s->config_path)
        return f5_fail(error, F5_E_IO,
                       "model %s: neither a file, nor a model that was converted, nor a name of upstream's "
                       "(F5TTS_v1_Base, F5TTS_Base, ...): `f5tts models` lists what is here",
                       name);
    if (!name && checkpoint) s->kind = model_kind_of_path(checkpoint);
    if (!name && !s->kind) {
        s->kind = model_kind_named(MODEL_USUAL);
        s->assumed = !s->config_path;
    }
    const model_kind *before = s->kind;
    if (!s->config_path) F5_TRY(fit_vocoder(&s->kind, w, error));
    s->name = strdup(name && s->kind == before ? name : s->kind->name);
    if (s->config_path) s->kind = NULL;
    if (!s->name) return f5_fail(error, F5_E_MEMORY, "no memory for a name");
    return F5_OK;
}

static f5_status take_checkpoint(model_sources *s, const char *named, const hub_place *place, f5_error *error) {
    if (named) return take_named(&s->checkpoint, named, "--ckpt_file", place, error);
    const model_kind *known = model_kind_named(s->name), *usual = model_kind_named(MODEL_USUAL);
    if (!known) known = usual;
    return take_hub(&s->checkpoint, known->repository, s->name, known->file, place, error);
}

/* vocab.txt in the folder of a checkpoint that was named. */
static f5_status take_vocab_beside(model_sources *s, const hub_place *place, f5_error *error) {
    if (s->checkpoint.of_hub) {
        const char *path = s->checkpoint.hub.path, *slash = strrchr(path, '/');
        s->vocab.of_hub = true;
        s->vocab.hub = s->checkpoint.hub;
        int n = snprintf(s->vocab.hub.path, HUB_MAX_PATH, "%.*svocab.txt", slash ? (int)(slash + 1 - path) : 0, path);
        if (n >= HUB_MAX_PATH) return f5_fail(error, F5_E_ARGUMENT, "%s...: a name too long", path);
        model_source_find(&s->vocab, place);
        return F5_OK;
    }
    const char *path = s->checkpoint.path, *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash + 1 - path) : 0, room = folder + sizeof "vocab.txt";
    s->vocab.path = malloc(room);
    if (!s->vocab.path) return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
    snprintf(s->vocab.path, room, "%.*svocab.txt", (int)folder, path);
    if (access(s->vocab.path, R_OK) == 0) return F5_OK;
    free(s->vocab.path);
    s->vocab.path = NULL;
    return F5_OK;
}

static f5_status take_vocab(model_sources *s, const model_wish *w, bool named, const char *usual,
                            const hub_place *place, f5_error *error) {
    if (given(w->vocab_file)) return take_named(&s->vocab, w->vocab_file, "--vocab_file", place, error);
    if (named) F5_TRY(take_vocab_beside(s, place, error));
    if (s->vocab.path || !usual) return F5_OK;
    s->vocab.of_hub = false;
    s->vocab.path = strdup(usual);
    return s->vocab.path ? F5_OK : f5_fail(error, F5_E_MEMORY, "no memory for a file name");
}

/* The vocoder's two files in a folder that `option` has named. */
static f5_status take_vocoder_of(model_sources *s, const vocoder_files *v, const char *folder, const char *option,
                                 const hub_place *place, f5_error *error) {
    char path[HUB_MAX_PATH];
    int n = snprintf(path, sizeof path, "%s/%s", folder, v->config);
    if (n + (int)strlen(v->weights) >= HUB_MAX_PATH)
        return f5_fail(error, F5_E_ARGUMENT, "%s %.40s...: a name too long", option, folder);
    F5_TRY(take_named(&s->vocoder_config, path, option, place, error));
    snprintf(path, sizeof path, "%.*s/%s", n - (int)strlen(v->config) - 1, folder, v->weights);
    return take_named(&s->vocoder, path, option, place, error);
}

static f5_status take_vocoder(model_sources *s, const model_wish *w, const hub_place *place, f5_error *error) {
    const vocoder_files *v = vocoder_named(s->kind ? s->kind->vocoder : w->vocoder_name);
    char local[96];
    s->vocoder_name = v->name;
    snprintf(local, sizeof local, LOCAL_FOLDER "%s", v->folder);
    if (w->vocoder_from_local) return take_vocoder_of(s, v, local, "--load_vocoder_from_local", place, error);
    if (given(w->vocoder_folder)) return take_vocoder_of(s, v, w->vocoder_folder, "--vocoder_folder", place, error);
    F5_TRY(take_hub(&s->vocoder_config, v->repository, "", v->config, place, error));
    return take_hub(&s->vocoder, v->repository, "", v->weights, place, error);
}

f5_status model_sources_find(model_sources *s, const model_wish *w, const hub_place *place, const char *usual_vocab,
                             f5_error *error) {
    *s = (model_sources){0};
    const char *named = given(w->ckpt_file), *model = given(w->model);
    if (!named && model && model_is_checkpoint(model)) named = model;
    F5_TRY(model_wish_check(w, error));
    F5_TRY(take_kind(s, w, named, error));
    F5_TRY(take_checkpoint(s, named, place, error));
    F5_TRY(take_vocab(s, w, named, usual_vocab, place, error));
    return take_vocoder(s, w, place, error);
}

void model_sources_free(model_sources *s) {
    free(s->name);
    free(s->checkpoint.path);
    free(s->vocab.path);
    free(s->vocoder_config.path);
    free(s->vocoder.path);
    *s = (model_sources){0};
}

const model_source *model_sources_missing(const model_sources *s) {
    const model_source *all[] = {&s->checkpoint, &s->vocab, &s->vocoder_config, &s->vocoder};
    for (int i = 0; i < 4; i++)
        if (!all[i]->path && all[i]->of_hub) return all[i];
    return NULL;
}

/* ---- the text ---------------------------------------------------------------------------------------------------- */

static void tell(FILE *to, const char *what, const model_source *s) {
    struct stat there;
    char *url = s->of_hub ? hub_file_url(&s->hub, s->commit) : NULL;
    char *real = s->of_hub || !s->path ? NULL : realpath(s->path, NULL);
    fprintf(to, "%s %s", what, url ? url : real ? real : "");
    if (real && stat(real, &there) == 0)
        fprintf(to, ", %lld bytes of %lld.%09ld", (long long)there.st_size, (long long)there.st_mtim.tv_sec,
                there.st_mtim.tv_nsec);
    putc('\n', to);
    free(real);
    free(url);
}

char *model_sources_text(const model_sources *s, const char *precision) {
    char *text = NULL;
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);
    if (!to) return NULL;
    tell(to, "checkpoint", &s->checkpoint);
    tell(to, "vocabulary", &s->vocab);
    tell(to, "vocoder", &s->vocoder);
    fprintf(to, "model %s\n", s->name);
    if (s->config_path) {
        const model_source config = {.path = (char *)s->config_path};
        tell(to, "configuration", &config);
    }
    fprintf(to, "precision %s\n", precision);
    if (fclose(to) == 0) return text;
    free(text);
    return NULL;
}
