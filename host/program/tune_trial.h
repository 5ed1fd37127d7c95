/* tune_trial.h — a model's texts spoken with one setting after another: how long each takes, and how far what comes of
 * it is from the exact solution of the model's ODE. That is the midpoint method of very many steps in fp32. */
#ifndef F5_TUNE_TRIAL_H
#define F5_TUNE_TRIAL_H

#include "host/api/f5tts.h"
#include "host/program/card_energy.h"
#include "host/program/speech_options.h"
#include "host/program/voice_files.h"

#define TUNE_METHODS "euler|midpoint|ab2" /* F5_METHOD_, in order */

typedef struct {
    int32_t method, steps;
} tune_setting;

static inline int32_t tune_evaluations(tune_setting s) {
    return s.steps * (s.method == F5_METHOD_MIDPOINT ? 2 : 1);
}

/* Of all texts. */
typedef struct {
    double seconds, joules; /* of work, for a second of speech; joules negative: the card does not tell */
    double median, worst;   /* relative L2 distance of a text's mel from the exact one */
} tune_result;

typedef struct {
    float *data; /* [frames,100] */
    int64_t frames, room;
} tune_mel;

typedef struct {
    const speech_options *o; /* of engine, voice and speech; not of the solver */
    const char *model;
    const voice_files *voice;
    const char *const *text; /* [n_texts] */
    int32_t n_texts;
    f5_warning_fn warning;
    void *warning_user;
    tune_mel *exact; /* [n_texts], once they are made */
    tune_mel made;
    double *distance; /* [n_texts] */
    double speech_seconds;
    f5_engine *engine;
    f5_voice *opened;
    card_energy energy; /* of an engine on a GPU */
} tune_trial;

/* Opens engine and voice in this precision ("fp32"; NULL: the device's own), in place of those that were open, for
 * settings of so many evaluations. tune_close follows in every case. */
f5_status tune_open(tune_trial *t, const char *precision, int32_t evaluations, f5_error *error);

/* Makes the exact solution, or holds a setting against it. F5_E_FORMAT: a text came out as long as nothing. */
f5_status tune_exact(tune_trial *t, int32_t steps, f5_error *error);
f5_status tune_try(tune_trial *t, tune_setting setting, tune_result *result, f5_error *error);
void tune_close(tune_trial *t); /* also of one that is closed */

#endif
