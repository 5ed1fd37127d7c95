/* cmd_batch.c — `f5tts batch`: the lines of a list, spoken by several threads that call one engine, which packs what
 * they ask for. All lines are looked at before the first is spoken; a line that fails is told, the rest is done. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api/f5tts.h"
#include "host/files/list_file.h"
#include "host/files/npy.h"
#include "host/files/text_file.h"
#include "host/program/batch_line.h"
#include "host/program/cli.h"
#include "host/program/command_options.h"
#include "host/program/model_file.h"
#include "host/program/speech_ipa.h"
#include "host/program/speech_output.h"
#include "host/program/speech_voices.h"
#include "host/program/voice_cache.h"

#define MAX_TEXT_BYTES (16 << 20) /* as many as f5_open allows */
#define MAX_PARALLEL 64
#define KEPT_VOICES MAX_PARALLEL /* as many as can be in use */

/* Everything that is held while the command runs. */
typedef struct {
    cli_command command;
    speech_options o;
    const char *config_path, *list_path;
    int32_t parallel;
    bool overwrite, quiet;
    config_file config;
    transcriber transcriber; /* what it heard before the work is what it says later */
    batch_plan plan;
    char *model;
    f5_engine *engine;
    espeak *speaker;      /* makes phonemes of words; NULL: the model reads letters, or all texts are IPA */
    f5_error no_speaker;  /* why a line that needs it has none */
    speech_voices voices; /* those of tags */
    voice_cache *cache;
    pthread_mutex_t lock; /* of what follows */
    list_file *list;
    cli_progress progress;
    int32_t done, spoken, failed;
    double seconds;
    bool over; /* the list is at its end */
} batch_run;

static const char *shown(const batch_run *r) {
    return strcmp(r->list_path, "-") == 0 ? "standard input" : r->list_path;
}

/* ---- before the work --------------------------------------------------------------------------------------------- */

static f5_status plan_line(batch_run *r, const list_line *line, f5_error *error) {
    batch_line b;
    F5_TRY(batch_line_make(&b, line, &r->o, &r->config, &r->transcriber, error));
    const char *inputs[] = {r->list_path, r->config_path, r->model, r->o.lexicon};
    f5_status status = batch_plan_add(&r->plan, &b, r->overwrite, inputs, 4, error);
    f5_error *why = &r->no_speaker;
    if (status == F5_OK && !r->speaker && why->status == F5_OK &&
        batch_plan_state(&r->plan, line->number) == BATCH_TO_DO)
        speech_ipa_open(&b.o, r->model, &r->speaker, why);
    batch_line_free(&b);
    return status;
}

/* Looks at every line; bad ones are told. Words for a model that reads phonemes end the run where libespeak-ng is not.
 */
static f5_status plan_all(batch_run *r, f5_error *error) {
    list_line line;
    for (;;) {
        f5_error why;
        f5_status status = list_next(r->list, &line, &why);
        if (status != F5_OK && status != F5_E_FORMAT) return f5_fail(error, status, "%s", why.message);
        if (status == F5_OK && line.number == 0) return list_rewind(r->list, error);
        if (status == F5_E_FORMAT) {
            cli_failure(&r->command, "%s", why.message);
        } else if ((status = plan_line(r, &line, &why)) != F5_OK) {
            cli_failure(&r->command, "%s:%d: %s", shown(r), (int)line.number, why.message);
        }
        if (r->no_speaker.status != F5_OK)
            return f5_fail(error, r->no_speaker.status, "%s:%d: %s", shown(r), (int)line.number, r->no_speaker.message);
        if (status != F5_OK) F5_TRY(batch_plan_bad(&r->plan, line.number, error));
    }
}

static f5_status open_all(batch_run *r, f5_error *error) {
    f5_open_params p;
    speech_options_open(&r->o, &p);
    p.model_path = r->model;
    p.max_evaluations = r->plan.max_evaluations;
    p.max_text_bytes = MAX_TEXT_BYTES;
    p.max_speaking = r->parallel;
    if (*r->plan.languages) p.languages = r->plan.languages;
    F5_TRY(f5_open(&p, &r->engine, error));
    speech_options_of_engine(&r->o, r->engine);
    r->cache = voice_cache_new(r->engine, KEPT_VOICES);
    if (!r->cache) return f5_fail(error, F5_E_MEMORY, "no memory for voices");
    const voice_settings settings = {r->o.target_rms, r->o.keep_whole, speech_options_warn, &r->command};
    return speech_voices_open(&r->voices, r->engine, &settings, error);
}

/* ---- a line ------------------------------------------------------------------------------------------------------ */

typedef struct {
    batch_run *run;
    int32_t number;
} line_context;

static void warn_line(void *user, f5_warning_kind kind, const char *message) {
    (void)kind;
    const line_context *c = user;
    cli_warning(&c->run->command, "%s:%d: %s", shown(c->run), (int)c->number, message);
}

static void tell_line(void *user, const char *message) {
    const line_context *c = user;
    cli_warning(&c->run->command, "%s:%d: %s", shown(c->run), (int)c->number, message);
}

/* What a line needs beside its options. */
typedef struct {
    char *text;
    float *noise;
    f5_lexicon *lexicon;
    const f5_voice *voice, *cached;
    speech_output output;
} line_inputs;

static f5_status take_inputs(batch_run *r, const batch_line *b, line_context *context, line_inputs *in,
                             f5_speak_params *p, f5_error *error) {
    p->text = b->o.gen_text;
    if (b->o.gen_file) {
        F5_TRY(text_file_read(b->o.gen_file, MAX_TEXT_BYTES, &in->text, NULL, error));
        if (f5_text_is_blank(in->text)) return f5_fail(error, F5_E_ARGUMENT, "%s: is empty", b->o.gen_file);
        p->text = in->text;
    }
    if (b->o.init_noise) F5_TRY(npy_read(b->o.init_noise, b->o.mel_bands, &in->noise, &p->noise_frames, error));
    p->noise = in->noise;
    if (b->o.lexicon) {
        char *words;
        size_t bytes;
        F5_TRY(text_file_read(b->o.lexicon, MAX_TEXT_BYTES, &words, &bytes, error));
        f5_status status = f5_lexicon_open(words, bytes, b->o.lexicon, &in->lexicon, error);
        free(words);
        F5_TRY(status);
    }
    p->lexicon = in->lexicon;
    speech_ipa_use(&b->o, r->speaker, p);
    if (b->o.one_voice) return F5_OK;
    if (b->config_voice >= 0) {
        in->voice = r->voices.voice[b->config_voice].voice;
        return F5_OK;
    }
    const voice_settings settings = {b->o.target_rms, b->o.keep_whole, warn_line, context};
    F5_TRY(voice_cache_get(r->cache, &b->files, &settings, &in->cached, error));
    in->voice = in->cached;
    return F5_OK;
}

static f5_status speak_line(batch_run *r, const batch_line *b, line_inputs *in, double *seconds, f5_error *error) {
    line_context context = {r, b->number};
    f5_sample_params sample;
    f5_speak_params p;
    speech_options_sample(&b->o, &sample);
    speech_options_speak(&b->o, &sample, &p);
    F5_TRY(take_inputs(r, b, &context, in, &p, error));
    p.voices = r->voices.voice;
    p.n_voices = r->voices.n;
    p.warning = warn_line;
    p.warning_user = &context;
    p.audio = speech_output_take;
    p.audio_user = &in->output;
    F5_TRY(speech_output_begin(&in->output, &b->o, b->path, p.text, error));
    in->output.tell = tell_line;
    in->output.tell_user = &context;
    f5_status status = f5_speak(r->engine, in->voice, &p, NULL, error);
    if (status == F5_E_CANCELLED && in->output.status != F5_OK)
        return f5_fail(error, in->output.status, "%s", in->output.error.message);
    F5_TRY(status);
    status = speech_output_end(&in->output, error);
    *seconds = in->output.seconds;
    return status;
}

/* ---- the threads ------------------------------------------------------------------------------------------------- */

/* The next line to speak; false: there is none. The lock is held. */
static bool next_line(batch_run *r, list_line *line, batch_line *b) {
    while (!r->over) {
        f5_error why;
        f5_status status = list_next(r->list, line, &why);
        r->over = (status != F5_OK && status != F5_E_FORMAT) || (status == F5_OK && line->number == 0);
        if (status != F5_OK || line->number == 0 || batch_plan_state(&r->plan, line->number) != BATCH_TO_DO) continue;
        status = batch_line_make(b, line, &r->o, &r->config, &r->transcriber, &why);
        if (status == F5_OK) return true;
        r->failed++; /* a file that was there is gone */
        cli_failure(&r->command, "%s:%d: %s", shown(r), (int)line->number, why.message);
    }
    return false;
}

static void finish_line(batch_run *r, const batch_line *b, f5_status status, double seconds, const f5_error *why) {
    r->done++;
    if (status == F5_OK) {
        r->spoken++;
        r->seconds += seconds;
    } else {
        r->failed++;
        if (r->progress.terminal && !r->quiet) fputc('\n', stderr);
        cli_failure(&r->command, "%s:%d: %s", shown(r), (int)b->number, why->message);
    }
    if (!r->quiet) cli_progress_report(&r->progress, r->done, r->plan.to_do);
}

static void *work(void *user) {
    batch_run *r = user;
    list_line line;
    batch_line b;
    pthread_mutex_lock(&r->lock);
    while (next_line(r, &line, &b)) {
        pthread_mutex_unlock(&r->lock);
        line_inputs in = {0};
        f5_error why = {0};
        double seconds = 0;
        f5_status status = speak_line(r, &b, &in, &seconds, &why);
        speech_output_abort(&in.output);
        if (in.cached) voice_cache_release(r->cache, in.cached);
        f5_lexicon_close(in.lexicon);
        free(in.noise);
        free(in.text);
        pthread_mutex_lock(&r->lock);
        finish_line(r, &b, status, seconds, &why);
        batch_line_free(&b);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* This thread is one of them; where the system refuses some, the others do the work. */
static void speak_all(batch_run *r) {
    pthread_t thread[MAX_PARALLEL];
    int wanted = r->parallel < r->plan.to_do ? r->parallel : r->plan.to_do, n = 0;
    cli_progress_begin(&r->progress, "lines");
    while (n < wanted - 1 && pthread_create(&thread[n], NULL, work, r) == 0) n++;
    work(r);
    for (int i = 0; i < n; i++) pthread_join(thread[i], NULL);
    cli_progress_end(&r->progress);
}

static f5_status run(batch_run *r, f5_error *error) {
    const model_wish wish = speech_options_wish(&r->o);
    F5_TRY(model_file(&wish, r->command.program, r->quiet, &r->model, error));
    F5_TRY(speech_options_of_model(&r->o, r->model, true, error));
    if (r->o.one_voice && r->config.n_voices > 0)
        return f5_fail(error, F5_E_ARGUMENT, "%s: %s has one voice of its own, and no others", r->config_path,
                       r->model);
    F5_TRY(list_open(&r->list, r->list_path, batch_is_name, NULL, error));
    F5_TRY(plan_all(r, error));
    r->failed = r->plan.bad;
    double started = cli_seconds();
    if (r->plan.to_do > 0) {
        F5_TRY(open_all(r, error));
        started = cli_seconds();
        speak_all(r);
    }
    if (r->quiet) return F5_OK;
    double wall = cli_seconds() - started;
    printf("%s: %d spoken, %d there already, %d failed\n", shown(r), r->spoken, r->plan.there, r->failed);
    if (r->spoken > 0)
        printf("  %.2f s of speech in %.3f s, RTF %.4f, seed %llu\n", r->seconds, wall,
               r->seconds > 0 ? wall / r->seconds : 0, (unsigned long long)r->o.seed);
    return F5_OK;
}

static void run_end(batch_run *r) {
    voice_cache_free(r->cache);
    speech_voices_close(&r->voices);
    f5_close(r->engine);
    espeak_close(r->speaker);
    list_close(r->list);
    batch_plan_free(&r->plan);
    config_close(&r->config);
    transcriber_free(&r->transcriber);
    free(r->model);
}

/* ---- command line ------------------------------------------------------------------------------------------------ */

static void fill_table(cli_option *to, speech_options *o, void *user) {
    batch_run *r = user;
    r->parallel = 16;
    *to++ = (cli_option){"config",
                         "c",
                         CLI_STRING,
                         &r->config_path,
                         .argument = "FILE.toml",
                         .help = "options by their names and voices, as upstream; the command line wins",
                         .kind = CLI_FILE};
    to = speech_options_voice(to, o);
    to = speech_options_transcribe(to, o);
    to = speech_options_model(to, o);
    to = speech_options_text(to, o);
    to = speech_options_speech(to, o);
    to = speech_options_solver(to, o);
    to = speech_options_folder(to, o);
    to = speech_options_output(to, o);
    *to++ = (cli_option){"overwrite", NULL, CLI_FLAG, &r->overwrite,
                         .help = "speak lines again whose output is there already"};
    *to++ = (cli_option){"parallel",      NULL,
                         CLI_INT,         &r->parallel,
                         .min = 1,        .max = MAX_PARALLEL,
                         .argument = "N", .help = "lines under way at a time",
                         .unit = "lines"};
    *to++ = (cli_option){"quiet", "q", CLI_FLAG, &r->quiet, .help = "no progress, no summary"};
    to = speech_options_upstream(to, o);
    *to = (cli_option){0};
}

static int batch(batch_run *r, int argc, char **argv) {
    cli_option table[SPEECH_OPTIONS_MAX];
    f5_error error = {0};
    int n_positional = 0;
    r->command.positional = &r->list_path;
    r->command.max_positional = 1;
    r->command.n_positional = &n_positional;
    cli_outcome outcome =
        command_options_parse(&r->command, table, &r->o, fill_table, r, &r->config_path, &r->config, argc, argv);
    if (outcome != CLI_RUN) return cli_exit_code(outcome);
    if (n_positional == 0) return cli_usage_error(&r->command, "give a LIST of lines, or - for standard input");
    speech_voices_main(&r->o, &r->config);
    if (speech_options_check(&r->o, &error) != F5_OK) return cli_usage_error(&r->command, "%s", error.message);
    if (!r->o.seed_given) r->o.seed = random_seed();
    r->transcriber = speech_options_transcriber(&r->o, r->quiet ? NULL : &r->command);
    f5_status status = speech_voices_find(&r->voices, false, &r->o, &r->config, r->list_path, &r->transcriber, &error);
    if (status == F5_E_ARGUMENT) return cli_usage_error(&r->command, "%s", error.message);
    if (status == F5_OK) status = run(r, &error);
    if (status != F5_OK) return cli_failure(&r->command, "%s", error.message);
    return r->failed > 0 ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

int cmd_batch(int argc, char **argv) {
    batch_run *r = calloc(1, sizeof *r);
    if (!r) return CLI_EXIT_FAILED;
    pthread_mutex_init(&r->lock, NULL);
    r->command = (cli_command){
        .program = "f5tts batch",
        .usage = "LIST [--output_dir DIR] [options]",
        .summary =
            "Speaks every line of a list into a file of its own.\n\n"
            "A line is TEXT, or TEXT <tab> VOICE <tab> OUTPUT; a first line of option names says otherwise. Or it is a "
            "JSON object: {\"text\": ..., \"voice\": ..., \"output\": ..., \"speed\": 0.9}. VOICE is one of the "
            "configuration's, or one that comes with the program; OUTPUT is by default the line's number, 000012.wav. "
            "What is there already is not spoken again. LIST may be -, standard input.\n",
        .positional_kind = CLI_FILE,
        .examples = "f5tts batch lines.tsv -o out\n"};
    int exit_code = batch(r, argc, argv);
    run_end(r);
    pthread_mutex_destroy(&r->lock);
    free(r);
    return exit_code;
}
