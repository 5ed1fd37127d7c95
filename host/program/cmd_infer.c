/* cmd_infer.c — `f5tts infer`: a text spoken in the voice of a recording, or in several. Model and recording need not
 * be given: those that come with the program are taken (--voice chooses among these). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/api/f5tts.h"
#include "host/files/npy.h"
#include "host/files/output_litter.h"
#include "host/files/text_file.h"
#include "host/program/cli.h"
#include "host/program/command_options.h"
#include "host/program/model_file.h"
#include "host/program/speech_ipa.h"
#include "host/program/speech_options.h"
#include "host/program/speech_output.h"
#include "host/program/speech_progress.h"
#include "host/program/speech_voices.h"
#include "host/program/voice_files.h"

#define MAX_TEXT_BYTES (16 << 20) /* as many as f5_open allows */
#define MAX_LEXICON_BYTES (16 << 20)
#define OUTPUT_NAME_ROOM 64 /* for a name of our own, and a number that makes it the only one */

/* Everything that is held while the command runs. */
typedef struct {
    cli_command command;
    speech_options o;
    const char *config_path;
    bool show_text, quiet;
    config_file config;
    transcriber transcriber;
    speech_voices voices;
    char *model, *text, *output_path;
    bool sound_made;
    int reserved; /* litter: the output's name, where the program chose it; -1: none */
    size_t text_bytes;
    float *noise; /* [noise_frames,100] or NULL */
    int32_t noise_frames;
    f5_engine *engine;
    f5_lexicon *lexicon;
    espeak *speaker; /* makes phonemes of words; NULL: the model reads letters, or the text is IPA */
    speech_output output;
    speech_progress progress;
    f5_speak_stats stats;
    double open_seconds, voice_seconds, speak_seconds;
} infer_run;

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

static f5_status take_text(infer_run *r, f5_error *error) {
    if (r->o.gen_file)
        F5_TRY(text_file_read(r->o.gen_file, MAX_TEXT_BYTES, &r->text, &r->text_bytes, error));
    else if (!(r->text = strdup(r->o.gen_text)))
        return f5_fail(error, F5_E_MEMORY, "no memory for a text");
    r->text_bytes = strlen(r->text);
    return f5_text_is_blank(r->text) ? f5_fail(error, F5_E_ARGUMENT, "the text to speak is empty") : F5_OK;
}

static f5_status take_lexicon(infer_run *r, f5_error *error) {
    if (!r->o.lexicon) return F5_OK;
    char *words;
    size_t bytes;
    F5_TRY(text_file_read(r->o.lexicon, MAX_LEXICON_BYTES, &words, &bytes, error));
    f5_status status = f5_lexicon_open(words, bytes, r->o.lexicon, &r->lexicon, error);
    free(words);
    return status;
}

static f5_status name_output(infer_run *r, f5_error *error) {
    char usual[OUTPUT_NAME_ROOM];
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    size_t n = strftime(usual, sizeof usual, "infer_cli_%Y%m%d_%H%M%S.", &local);
    snprintf(usual + n, sizeof usual - n, "%s", speech_output_extension(&r->o));
    r->output_path = speech_output_path(&r->o, usual);
    return r->output_path ? F5_OK : f5_fail(error, F5_E_MEMORY, "no memory for a file name");
}

/* A name of our own is taken at once, so that no other run has it. */
static f5_status reserve_output(infer_run *r, f5_error *error) {
    if (r->o.output_file) return F5_OK;
    size_t room = strlen(r->output_path) + OUTPUT_NAME_ROOM;
    char *path = realloc(r->output_path, room);
    if (!path) return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
    r->output_path = path;
    F5_TRY(output_make_folder(path, error));
    return output_reserve(path, room, &r->reserved, error);
}

static void release_output(infer_run *r) {
    if (r->reserved >= 0 && !r->sound_made) unlink(r->output_path);
    litter_forget(r->reserved);
}

static f5_status check_outputs(const infer_run *r, f5_error *error) {
    const char *inputs[6 + CONFIG_MAX_VOICES] = {r->model,     r->voices.main.audio, r->o.gen_file,
                                                 r->o.lexicon, r->o.init_noise,      r->config_path};
    int n = 6;
    for (int i = 0; i < r->voices.n; i++) inputs[n++] = r->voices.tagged[i].audio;
    return speech_output_check(&r->o, r->output_path, inputs, n, error);
}

/* ---- work -------------------------------------------------------------------------------------------------------- */

static f5_status open_engine(infer_run *r, f5_error *error) {
    f5_open_params p;
    speech_options_open(&r->o, &p);
    p.model_path = r->model;
    if (r->text_bytes > (size_t)p.max_text_bytes) p.max_text_bytes = (int32_t)r->text_bytes;
    double started = cli_seconds();
    F5_TRY(f5_open(&p, &r->engine, error));
    r->open_seconds = cli_seconds() - started;
    speech_options_of_engine(&r->o, r->engine);
    return F5_OK;
}

static f5_status open_voices(infer_run *r, f5_error *error) {
    const voice_settings settings = {r->o.target_rms, r->o.keep_whole, speech_options_warn, &r->command};
    double started = cli_seconds();
    F5_TRY(speech_voices_open(&r->voices, r->engine, &settings, error));
    r->voice_seconds = cli_seconds() - started;
    return F5_OK;
}

static int take_audio(void *user, const f5_audio *audio) {
    infer_run *r = user;
    if (!r->quiet) speech_progress_piece(&r->progress, audio);
    return speech_output_take(&r->output, audio);
}

/* A chunk of --show_text: its number, voice, pause before it, length, words. */
static int show(void *user, const f5_said *c) {
    const infer_run *r = user;
    const char *voice = c->voice > 0 ? r->voices.voice[c->voice - 1].name : "main";
    printf("%d\t%s\t%.2f\t%.2f\t", c->index, voice, c->pause, c->seconds);
    for (size_t i = 0; i < c->bytes; i++) putchar((unsigned char)c->text[i] < ' ' ? ' ' : c->text[i]); /* one line */
    putchar('\n');
    return 0;
}

static f5_status speak(infer_run *r, f5_error *error) {
    f5_sample_params sample;
    f5_speak_params p;
    speech_options_sample(&r->o, &sample);
    speech_options_speak(&r->o, &sample, &p);
    p.text = r->text;
    p.noise = r->noise;
    p.noise_frames = r->noise_frames;
    p.voices = r->voices.voice;
    p.n_voices = r->voices.n;
    p.lexicon = r->lexicon;
    speech_ipa_use(&r->o, r->speaker, &p);
    p.warning = speech_options_warn;
    p.warning_user = &r->command;
    if (r->show_text) return f5_show_text(r->engine, r->voices.main_voice, &p, show, r, error);
    if (!r->quiet) {
        sample.progress = speech_progress_step;
        sample.progress_user = &r->progress;
    }
    p.audio = take_audio;
    p.audio_user = r;
    F5_TRY(reserve_output(r, error));
    F5_TRY(speech_output_begin(&r->output, &r->o, r->output_path, r->text, error));
    r->output.tell = cli_tell;
    r->output.tell_user = &r->command;
    f5_speak_stats_init(&r->stats);
    speech_progress_begin(&r->progress);
    f5_status status = f5_speak(r->engine, r->voices.main_voice, &p, &r->stats, error);
    speech_progress_end(&r->progress);
    r->speak_seconds = cli_seconds() - r->progress.bar.started;
    if (status == F5_E_CANCELLED && r->output.status != F5_OK)
        return f5_fail(error, r->output.status, "%s", r->output.error.message);
    F5_TRY(status);
    status = speech_output_end(&r->output, error);
    r->sound_made = r->output.wanted[OUTPUT_SOUND];
    return status;
}

/* Where the speech goes to standard output, the summary does not. */
static void print_summary(const infer_run *r) {
    FILE *to = speech_output_is_stdout(&r->o, r->output_path) ? stderr : stdout;
    const f5_speak_stats *s = &r->stats;
    f5_engine_info info;
    f5_engine_info_init(&info);
    if (f5_get_info(r->engine, &info, NULL) != F5_OK) return;
    double generated = s->generated_seconds;
    fprintf(to, "%s\n", r->output_path);
    fprintf(to, "  model      %s on %s, %s\n", info.name, info.device, info.precision);
    if (r->o.one_voice)
        fprintf(to, "  voice      the model's own, %d samples a second\n", info.sample_rate);
    else
        fprintf(to, "  reference  %.2f s of %s\n", s->reference_seconds, r->voices.main.audio);
    if (r->voices.n > 0) fprintf(to, "  voices     %d more of %s\n", r->voices.n, r->config_path);
    fprintf(to, "  generated  %.2f s", generated);
    if (s->chunks > 1) fprintf(to, " in %d chunks", s->chunks);
    if (r->o.remove_silence) fprintf(to, ", %.2f s without silence", r->output.seconds);
    fprintf(to, "; %d frames%s, %d tokens, seed %llu\n", s->frames, r->o.one_voice ? "" : " with the reference",
            s->tokens, (unsigned long long)r->o.seed);
    fprintf(to, "  time       open %.2f s, voice %.2f s, prepare %.3f s, %d steps %.3f s, vocoder %.3f s\n",
            r->open_seconds, r->voice_seconds, s->prepare_ms * 1e-3, r->o.nfe_step, s->ode_ms * 1e-3,
            s->vocos_ms * 1e-3);
    if (s->chunks > 1) fprintf(to, "  first      sound after %.3f s\n", s->first_ms * 1e-3);
    fprintf(to, "  RTF        %.4f (%.3f s for %.2f s of speech)\n", generated > 0 ? r->speak_seconds / generated : 0,
            r->speak_seconds, generated);
}

/* Cheap checks come first: a missing recording is told before the model is opened. */
static f5_status run(infer_run *r, f5_error *error) {
    F5_TRY(take_text(r, error));
    F5_TRY(name_output(r, error));
    if (!r->show_text) F5_TRY(check_outputs(r, error));
    if (r->o.init_noise) F5_TRY(npy_read(r->o.init_noise, r->o.mel_bands, &r->noise, &r->noise_frames, error));
    F5_TRY(take_lexicon(r, error));
    F5_TRY(speech_ipa_open(&r->o, r->model, &r->speaker, error));
    F5_TRY(speech_voices_check(&r->voices, error));
    F5_TRY(open_engine(r, error));
    F5_TRY(open_voices(r, error));
    F5_TRY(speak(r, error));
    if (!r->quiet && !r->show_text) print_summary(r);
    return F5_OK;
}

static void run_end(infer_run *r) {
    speech_output_abort(&r->output);
    release_output(r);
    speech_voices_close(&r->voices);
    f5_close(r->engine);
    f5_lexicon_close(r->lexicon);
    espeak_close(r->speaker);
    config_close(&r->config);
    transcriber_free(&r->transcriber);
    free(r->model);
    free(r->noise);
    free(r->output_path);
    free(r->text);
}

/* ---- command line ------------------------------------------------------------------------------------------------ */

static void fill_table(cli_option *to, speech_options *o, void *user) {
    infer_run *r = user;
    *to++ = (cli_option){"config",
                         "c",
                         CLI_STRING,
                         &r->config_path,
                         .argument = "FILE.toml",
                         .help = "options by their names and voices for tags, as upstream; the command line wins",
                         .kind = CLI_FILE};
    *to++ = (cli_option){"gen_text",         "t",
                         CLI_TEXT,           &o->gen_text,
                         .argument = "TEXT", .help = "what to speak; [NAME] switches voices, [pause 0.5s] is silence"};
    *to++ = (cli_option){"gen_file",         "f",
                         CLI_STRING,         &o->gen_file,
                         .argument = "FILE", .help = "the same from a file, or from standard input: -",
                         .kind = CLI_FILE};
    to = speech_options_voice(to, o);
    to = speech_options_transcribe(to, o);
    to = speech_options_model(to, o);
    to = speech_options_text(to, o);
    to = speech_options_speech(to, o);
    to = speech_options_solver(to, o);
    to = speech_options_folder(to, o);
    *to++ = (cli_option){"output_file",      "w",
                         CLI_STRING,         &o->output_file,
                         .argument = "FILE", .help = "name in it",
                         .kind = CLI_FILE,   .usual = "infer_cli_DATE_TIME.wav"};
    to = speech_options_output(to, o);
    to = speech_options_files(to, o);
    *to++ = (cli_option){"show_text", NULL, CLI_FLAG, &r->show_text,
                         .help = "speak nothing: print number, voice, pause, seconds and words of each piece"};
    *to++ = (cli_option){"quiet", "q", CLI_FLAG, &r->quiet, .help = "no progress, no summary"};
    to = speech_options_upstream(to, o);
    *to = (cli_option){0};
}

static int infer(infer_run *r, int argc, char **argv) {
    cli_option table[SPEECH_OPTIONS_MAX];
    f5_error error = {0};
    cli_outcome outcome =
        command_options_parse(&r->command, table, &r->o, fill_table, r, &r->config_path, &r->config, argc, argv);
    if (outcome != CLI_RUN) return cli_exit_code(outcome);
    if (r->o.ref_text && !r->o.ref_audio)
        return cli_usage_error(&r->command, "--ref_text: the words of which recording? give --ref_audio too");
    if (speech_options_check(&r->o, &error) != F5_OK) return cli_usage_error(&r->command, "%s", error.message);
    speech_voices_main(&r->o, &r->config);
    if (!r->o.seed_given) r->o.seed = random_seed();
    r->transcriber = speech_options_transcriber(&r->o, r->quiet ? NULL : &r->command);
    const model_wish wish = speech_options_wish(&r->o);
    f5_status status = model_file(&wish, r->command.program, r->quiet, &r->model, &error);
    f5_error why = {0}; /* told after what is wrong with the voices */
    const f5_status told = status == F5_OK ? speech_options_of_model(&r->o, r->model, true, &why) : F5_OK;
    if (status == F5_OK && r->o.one_voice && r->config.n_voices > 0)
        status =
            f5_fail(&error, F5_E_ARGUMENT, "%s: %s has one voice of its own, and no others", r->config_path, r->model);
    if (status == F5_OK)
        status =
            speech_voices_find(&r->voices, !r->o.one_voice, &r->o, &r->config, r->o.gen_file, &r->transcriber, &error);
    if (status == F5_OK && told != F5_OK) {
        status = told;
        error = why;
    }
    if (status == F5_E_ARGUMENT) return cli_usage_error(&r->command, "%s", error.message);
    if (status == F5_OK) status = run(r, &error);
    return status == F5_OK ? CLI_EXIT_OK : cli_failure(&r->command, "%s", error.message);
}

int cmd_infer(int argc, char **argv) {
    infer_run *r = calloc(1, sizeof *r);
    if (!r) return CLI_EXIT_FAILED;
    r->reserved = -1;
    r->command =
        (cli_command){.program = "f5tts infer",
                      .usage = "--gen_text TEXT [--model FILE.f5] [--ref_audio FILE --ref_text TEXT] [options]",
                      .summary = "Speaks a text of any length in the voice of a recording and writes a sound file.\n",
                      .examples = "# with what comes with the program\n"
                                  "f5tts infer -t \"Good morning.\" -o . -w morning.wav\n"
                                  "# in your voice, with a model made by f5tts convert\n"
                                  "f5tts infer -m v1_base.f5 -r me.wav -s \"What I say there.\" -f text.txt\n"};
    int exit_code = infer(r, argc, argv);
    run_end(r);
    free(r);
    return exit_code;
}
