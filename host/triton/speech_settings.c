/* speech_settings.c — a table of settings: each has a name, a type and a range. */
#include "host/triton/speech_settings.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/error.h"

enum { STEPS, REAL, YES_NO, WORD, METHOD, SEED };

static const struct {
    const char *name;
    int type;
    double least, most;
    size_t at; /* in speech_settings */
} table[] = {{"seed", SEED, 0, 0, 0},
             {"nfe_step", STEPS, 1, 1024, offsetof(speech_settings, nfe)},
             {"nfe", STEPS, 1, 1024, offsetof(speech_settings, nfe)},
             {"method", METHOD, 0, 0, offsetof(speech_settings, method)},
             {"cfg_strength", REAL, 0, 100, offsetof(speech_settings, cfg)},
             {"sway_sampling_coef", REAL, -1, 1.75, offsetof(speech_settings, sway)},
             {"speed", REAL, 0.01, 100, offsetof(speech_settings, speed)},
             {"fix_duration", REAL, 0, F5_MAX_FIX_DURATION, offsetof(speech_settings, fix_duration)},
             {"cross_fade_duration", REAL, 0, F5_MAX_CROSS_FADE, offsetof(speech_settings, cross_fade)},
             {"sentence_pause", REAL, 0, F5_MAX_PAUSE, offsetof(speech_settings, sentence_pause)},
             {"paragraph_pause", REAL, 0, F5_MAX_PAUSE, offsetof(speech_settings, paragraph_pause)},
             {"first_chunk", REAL, F5_FIRST_UPSTREAM, 22, offsetof(speech_settings, first_chunk)},
             {"normalize", WORD, 0, 0, offsetof(speech_settings, normalize)},
             {"ssml", YES_NO, 0, 0, offsetof(speech_settings, ssml)}};

void speech_settings_init(speech_settings *s) {
    f5_speak_params p;
    f5_sample_params sample;
    f5_speak_params_init(&p);
    f5_sample_params_init(&sample);
    *s = (speech_settings){.nfe = sample.nfe,
                           .method = sample.method,
                           .cfg = sample.cfg,
                           .sway = sample.sway,
                           .speed = p.speed,
                           .cross_fade = p.cross_fade,
                           .sentence_pause = p.sentence_pause,
                           .paragraph_pause = p.paragraph_pause,
                           .first_chunk = p.first_chunk};
}

f5_status speech_settings_of_model(speech_settings *s, const char *model, f5_error *error) {
    f5_model_file *file;
    f5_model_info info;
    f5_model_info_init(&info);
    if (s->solver_given) return F5_OK;
    F5_TRY(f5_describe(model, &file, error));
    f5_status status = f5_model_file_info(file, &info, error);
    f5_model_file_close(file);
    if (status != F5_OK || info.default_nfe == 0) return status;
    s->nfe = info.default_nfe;
    s->method = info.default_method;
    return F5_OK;
}

bool read_whole(const char *text, int64_t least, int64_t most, int64_t *to) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool digits = *text == '-' ? text[1] >= '0' && text[1] <= '9' : *text >= '0' && *text <= '9';
    if (!digits || *end || errno || value < least || value > most) return false;
    *to = value;
    return true;
}

static bool value_whole(const setting_value *v, int64_t least, int64_t most, int64_t *to) {
    if (v->type == SETTING_TEXT) return read_whole(v->text, least, most, to);
    if (v->type != SETTING_WHOLE || v->whole < least || v->whole > most) return false;
    *to = v->whole;
    return true;
}

static bool value_real(const setting_value *v, double least, double most, float *to) {
    double value = v->type == SETTING_WHOLE ? (double)v->whole : v->real;
    char *end = NULL;
    if (v->type == SETTING_BOOL) return false;
    if (v->type == SETTING_TEXT) {
        value = strtod(v->text, &end);
        if (end == v->text || *end) return false;
    }
    if (!(value >= least && value <= most)) return false; /* NaN is not */
    *to = (float)value;
    return true;
}

static bool value_yes_no(const setting_value *v, bool *to) {
    bool text = v->type == SETTING_TEXT;
    bool yes = text ? strcmp(v->text, "true") == 0 || strcmp(v->text, "1") == 0 : v->whole == 1;
    bool no = text ? strcmp(v->text, "false") == 0 || strcmp(v->text, "0") == 0 : v->whole == 0;
    if (v->type == SETTING_REAL || (!yes && !no)) return false;
    *to = yes;
    return true;
}

static bool value_method(const setting_value *v, int32_t *to) {
    static const char *const words[] = {"euler", "midpoint", "ab2"};
    static const int32_t methods[] = {F5_METHOD_EULER, F5_METHOD_MIDPOINT, F5_METHOD_AB2};
    for (int i = 0; v->type == SETTING_TEXT && i < 3; i++) {
        if (strcmp(v->text, words[i]) != 0) continue;
        *to = methods[i];
        return true;
    }
    return false;
}

f5_status speech_settings_set(speech_settings *s, const char *name, const setting_value *value, bool *known,
                              f5_error *error) {
    size_t i = 0, n = sizeof table / sizeof *table;
    int64_t whole = 0;
    while (i < n && strcmp(table[i].name, name) != 0) i++;
    *known = i < n;
    if (!*known) return F5_OK;
    void *to = (char *)s + table[i].at;
    double least = table[i].least, most = table[i].most;
    s->solver_given |= table[i].type == METHOD || table[i].type == STEPS;
    switch (table[i].type) {
    case SEED:
        if (!value_whole(value, 0, INT64_MAX, &whole))
            return f5_fail(error, F5_E_ARGUMENT, "the parameter seed must be a whole number from 0 to 2^63 - 1");
        s->seed = (uint64_t)whole;
        s->seed_given = true;
        return F5_OK;
    case STEPS:
        if (!value_whole(value, (int64_t)least, (int64_t)most, &whole))
            return f5_fail(error, F5_E_ARGUMENT, "the parameter %s must be a whole number from %g to %g", name, least,
                           most);
        *(int32_t *)to = (int32_t)whole;
        return F5_OK;
    case REAL:
        if (value_real(value, least, most, to)) return F5_OK;
        return f5_fail(error, F5_E_ARGUMENT, "the parameter %s must be a number from %g to %g", name, least, most);
    case YES_NO:
        if (value_yes_no(value, to)) return F5_OK;
        return f5_fail(error, F5_E_ARGUMENT, "the parameter %s must be true or false", name);
    case METHOD:
        if (value_method(value, to)) return F5_OK;
        return f5_fail(error, F5_E_ARGUMENT, "the parameter method must be euler, midpoint or ab2");
    default:
        if (value->type == SETTING_TEXT && strlen(value->text) < sizeof s->normalize) {
            snprintf(to, sizeof s->normalize, "%s", value->text);
            return F5_OK;
        }
        return f5_fail(error, F5_E_ARGUMENT, "the parameter %s must be a short text: \"none\", \"en\"", name);
    }
}
