/* tune_trial.c — speaks the texts and compares mels. */
#include "host/program/tune_trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/program/cli.h"
#include "host/program/grow.h"

static f5_status no_memory(f5_error *error) {
    return f5_fail(error, F5_E_MEMORY, "no memory for the mels of the texts");
}

static void close_engine(tune_trial *t) {
    card_energy_close(&t->energy);
    f5_voice_close(t->opened);
    f5_close(t->engine);
    t->opened = NULL;
    t->engine = NULL;
}

f5_status tune_open(tune_trial *t, const char *precision, int32_t evaluations, f5_error *error) {
    close_engine(t);
    f5_open_params p;
    speech_options_open(t->o, &p);
    p.model_path = t->model;
    p.precision = precision;
    p.max_evaluations = evaluations;
    F5_TRY(f5_open(&p, &t->engine, error));
    const voice_settings settings = {t->o->target_rms, t->o->keep_whole, t->exact ? NULL : t->warning, t->warning_user};
    F5_TRY(voice_files_open(t->voice, t->engine, &settings, &t->opened, error));
    f5_engine_info info;
    f5_engine_info_init(&info);
    F5_TRY(f5_get_info(t->engine, &info, error));
    if (strcmp(info.device, "cpu") != 0) card_energy_open(&t->energy);
    return F5_OK;
}

/* Keeps the mel of every chunk, one behind the other. */
static int take_mel(void *user, const f5_audio *audio) {
    tune_mel *m = user;
    const size_t frame = F5_MEL_BANDS * sizeof *m->data;
    if (!grow((void **)&m->data, m->frames, audio->mel_frames, &m->room, frame)) return 1;
    if (audio->mel_frames > 0)
        memcpy(m->data + m->frames * F5_MEL_BANDS, audio->mel, (size_t)audio->mel_frames * frame);
    m->frames += audio->mel_frames;
    return 0;
}

static f5_status speak(tune_trial *t, int32_t i, tune_setting setting, tune_mel *mel, double *seconds,
                       f5_error *error) {
    f5_sample_params sample;
    f5_speak_params p;
    f5_speak_stats stats;
    speech_options_sample(t->o, &sample);
    sample.method = setting.method;
    sample.nfe = setting.steps;
    speech_options_speak(t->o, &sample, &p);
    p.text = t->text[i];
    p.audio = take_mel;
    p.audio_user = mel;
    f5_speak_stats_init(&stats);
    mel->frames = 0;
    f5_status status = f5_speak(t->engine, t->opened, &p, &stats, error);
    if (status == F5_E_CANCELLED) return no_memory(error);
    F5_TRY(status);
    *seconds = stats.generated_seconds;
    if (mel->frames > 0) return F5_OK;
    return f5_fail(error, F5_E_FORMAT, "nothing is to be heard of the text \"%s\"", t->text[i]);
}

f5_status tune_exact(tune_trial *t, int32_t steps, f5_error *error) {
    t->exact = calloc((size_t)t->n_texts, sizeof *t->exact);
    t->distance = calloc((size_t)t->n_texts, sizeof *t->distance);
    if (!t->exact || !t->distance) return no_memory(error);
    const tune_setting exact = {F5_METHOD_MIDPOINT, steps};
    t->speech_seconds = 0;
    for (int32_t i = 0; i < t->n_texts; i++) {
        double seconds;
        F5_TRY(speak(t, i, exact, &t->exact[i], &seconds, error));
        t->speech_seconds += seconds;
    }
    return F5_OK;
}

static double distance(const tune_mel *made, const tune_mel *exact) {
    double difference = 0, size = 0;
    for (int64_t i = 0; i < exact->frames * F5_MEL_BANDS; i++) {
        const double d = (double)made->data[i] - (double)exact->data[i];
        difference += d * d;
        size += (double)exact->data[i] * (double)exact->data[i];
    }
    return size > 0 ? sqrt(difference / size) : 0;
}

static int ascending(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* A GPU meets a size for the first time in the first of two passes; the second is the one that is timed. */
f5_status tune_try(tune_trial *t, tune_setting setting, tune_result *result, f5_error *error) {
    f5_engine_info info;
    f5_engine_info_init(&info);
    F5_TRY(f5_get_info(t->engine, &info, error));
    double started = 0, before = -1;
    for (int pass = strcmp(info.device, "cpu") == 0; pass < 2; pass++) {
        started = cli_seconds();
        before = card_energy_joules(&t->energy);
        for (int32_t i = 0; i < t->n_texts; i++) {
            double seconds;
            F5_TRY(speak(t, i, setting, &t->made, &seconds, error));
            if (t->made.frames != t->exact[i].frames)
                return f5_fail(error, F5_E_FORMAT, "the text \"%s\" has another length in another precision",
                               t->text[i]);
            t->distance[i] = distance(&t->made, &t->exact[i]);
        }
    }
    const double spent = cli_seconds() - started, after = card_energy_joules(&t->energy);
    qsort(t->distance, (size_t)t->n_texts, sizeof *t->distance, ascending);
    *result = (tune_result){.seconds = spent / t->speech_seconds,
                            .joules = before >= 0 && after >= 0 ? (after - before) / t->speech_seconds : -1,
                            .median = t->distance[t->n_texts / 2],
                            .worst = t->distance[t->n_texts - 1]};
    return F5_OK;
}

void tune_close(tune_trial *t) {
    close_engine(t);
    for (int32_t i = 0; i < t->n_texts && t->exact; i++) free(t->exact[i].data);
    free(t->exact);
    free(t->made.data);
    free(t->distance);
    *t = (tune_trial){0};
}
