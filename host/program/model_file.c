/* model_file.c — from what is there already to what has to be made. Nothing is fetched here: that is `f5tts pull`. */
#include "host/program/model_file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/program/model_make.h"
#include "host/program/shipped.h"

static bool is_given(const char *value) {
    return value && *value;
}

/* It is spelled as a file, or lies there. A folder of a model's name, as those of upstream's checkpoints, is none. */
static bool is_model_file(const char *name) {
    struct stat there;
    size_t bytes = strlen(name);
    if (strchr(name, '/') || (bytes > 3 && strcmp(name + bytes - 3, ".f5") == 0)) return true;
    return stat(name, &there) == 0 && !S_ISDIR(there.st_mode);
}

static f5_status take(char **path, char *found, f5_error *error) {
    *path = found;
    return found ? F5_OK : f5_fail(error, F5_E_MEMORY, "no memory for a file name");
}

/* Which command fetches the first file that is not here. */
static f5_status not_here(const model_sources *s, const model_source *missing, bool by_name, f5_error *error) {
    char *url = hub_file_url(&missing->hub, NULL);
    bool of_vocoder = missing == &s->vocoder || missing == &s->vocoder_config;
    const char *what = of_vocoder && !by_name ? s->vocoder_name : by_name ? s->name : url ? url : "";
    f5_status status = f5_fail(error, F5_E_IO,
                               "model %s: %s is not on this machine: `f5tts pull %s` fetches it from the hub, or "
                               "set HF_HUB_CACHE to the folder that has it",
                               s->name, url ? url : "", what);
    free(url);
    return status;
}

static f5_status make(const model_wish *wish, const hub_place *place, const model_making *how, char **path,
                      f5_error *error) {
    model_sources s;
    char *vocab = model_usual_vocab();
    f5_status status = model_sources_find(&s, wish, place, vocab, error);
    const model_source *missing = status == F5_OK ? model_sources_missing(&s) : NULL;
    if (missing) status = not_here(&s, missing, how->by_name, error);
    if (status == F5_OK) status = model_make(&s, place, how, path, error);
    model_sources_free(&s);
    free(vocab);
    return status;
}

f5_status model_file(const model_wish *asked, const char *program, bool quiet, char **path, f5_error *error) {
    F5_TRY(model_wish_check(asked, error));
    model_wish of_name = *asked;
    of_name.model = model_wish_name(asked);
    const model_wish *wish = &of_name;
    bool files = model_wish_has_files(wish), named = is_given(wish->model);
    if (!files && !named) {
        f5_error why = {0};
        f5_status status = shipped_file(SHIPPED_VOICES, SHIPPED_MODEL, "", path, &why);
        return status == F5_OK
                   ? F5_OK
                   : f5_fail(error, status, "no --model is given, and %s: give --model FILE.f5", why.message);
    }
    bool checkpoint = named && model_is_checkpoint(wish->model);
    bool is_file = named && !checkpoint && is_model_file(wish->model);
    if (is_file && files)
        return f5_fail(error, F5_E_ARGUMENT,
                       "--model %s: a model file has its configuration, vocabulary and vocoder: leave out -p, -v, -mc "
                       "and --load_vocoder_from_local",
                       wish->model);
    if (is_file) return take(path, strdup(wish->model), error);
    if (checkpoint && is_given(wish->ckpt_file))
        return f5_fail(error, F5_E_ARGUMENT, "--model and --ckpt_file: both name a checkpoint, give one");

    bool by_name = named && !files && !checkpoint;
    char *here = by_name ? model_place(".", wish->model, ".f5") : NULL;
    if (here && access(here, F_OK) == 0) return take(path, here, error);
    free(here);
    hub_place place;
    f5_status status = hub_place_find(&place, error);
    char *own = status == F5_OK && by_name ? model_place(place.models, wish->model, ".f5") : NULL;
    if (own && access(own, R_OK) == 0) {
        *path = own;
        own = NULL;
    } else if (status == F5_OK) {
        const model_making how = {.program = program, .precision = "fp32", .by_name = by_name, .quiet = quiet};
        status = make(wish, &place, &how, path, error);
    }
    free(own);
    hub_place_free(&place);
    return status;
}
