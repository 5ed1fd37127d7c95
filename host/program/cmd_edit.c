/* cmd_edit.c — `f5tts edit`: words of a recording are replaced in its own voice, the rest is kept (upstream's
 * f5_tts/infer/speech_edit.py). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api/f5tts.h"
#include "host/files/audio_file.h"
#include "host/program/cli.h"
#include "host/program/model_file.h"
#include "host/program/speech_options.h"
#include "host/program/speech_output.h"
#include "host/program/speech_progress.h"
#include "host/program/voice_files.h"

/* Everything that is held while the command runs. */
typedef struct {
    cli_command command;
    speech_options o;
    const char *audio, *text;
    cli_list edit; /* as given: "1.42-2.44=0.9" */
    f5_edit_span span[F5_MAX_EDITS];
    bool quiet;
    char *model, *output_path;
    audio_file recording;
    f5_engine *engine;
    speech_output output;
    speech_progress progress;
} edit_run;

/* A number without a sign at *at, which moves behind it. */
static bool take_seconds(const char **at, double *seconds) {
    if (**at < '0' || **at > '9') return false;
    char *end;
    *seconds = strtod(*at, &end);
    *at = end;
    return *seconds < 1e6;
}

/* START-END or START-END=DURATION, in seconds. */
static bool parse_edit(const char *text, f5_edit_span *span) {
    *span = (f5_edit_span){0};
    if (!take_seconds(&text, &span->start) || *text++ != '-' || !take_seconds(&text, &span->end)) return false;
    if (*text == '\0') return true;
    return *text++ == '=' && take_seconds(&text, &span->duration) && *text == '\0' && span->duration > 0;
}

static f5_status edit(edit_run *r, f5_speak_stats *stats, f5_error *error) {
    f5_sample_params sample;
    speech_options_sample(&r->o, &sample);
    if (!r->quiet) {
        sample.progress = speech_progress_step;
        sample.progress_user = &r->progress;
    }
    f5_edit_params p;
    f5_edit_params_init(&p);
    p.samples = r->recording.samples;
    p.n_frames = r->recording.n_frames;
    p.channels = r->recording.channels;
    p.sample_rate = r->recording.sample_rate;
    p.target_rms = r->o.target_rms;
    p.text = r->text;
    p.edits = r->span;
    p.n_edits = r->edit.count;
    p.seed = r->o.seed;
    p.sample = &sample;
    p.exact = r->o.exact;
    p.audio = speech_output_take;
    p.audio_user = &r->output;
    p.warning = speech_options_warn;
    p.warning_user = &r->command;
    F5_TRY(speech_output_begin(&r->output, &r->o, r->output_path, r->text, error));
    r->output.tell = cli_tell;
    r->output.tell_user = &r->command;
    speech_progress_begin(&r->progress);
    f5_status status = f5_edit(r->engine, &p, stats, error);
    speech_progress_end(&r->progress);
    if (status == F5_E_CANCELLED && r->output.status != F5_OK)
        return f5_fail(error, r->output.status, "%s", r->output.error.message);
    F5_TRY(status);
    return speech_output_end(&r->output, error);
}

static f5_status run(edit_run *r, f5_error *error) {
    const model_wish wish = speech_options_wish(&r->o);
    F5_TRY(model_file(&wish, r->command.program, r->quiet, &r->model, error));
    F5_TRY(speech_options_of_model(&r->o, r->model, false, error));
    char usual[32];
    snprintf(usual, sizeof usual, "edited.%s", speech_output_extension(&r->o));
    r->output_path = speech_output_path(&r->o, usual);
    if (!r->output_path) return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
    const char *inputs[] = {r->model, r->audio};
    F5_TRY(speech_output_check(&r->o, r->output_path, inputs, 2, error));
    F5_TRY(audio_read(&r->recording, r->audio, error));
    f5_open_params open;
    speech_options_open(&r->o, &open);
    open.model_path = r->model;
    F5_TRY(f5_open(&open, &r->engine, error));
    f5_speak_stats stats;
    f5_speak_stats_init(&stats);
    F5_TRY(edit(r, &stats, error));
    if (!r->quiet)
        fprintf(speech_output_is_stdout(&r->o, r->output_path) ? stderr : stdout,
                "%s\n  %.2f s, of which %.2f s were kept of %s; seed %llu\n", r->output_path, r->output.seconds,
                stats.reference_seconds, r->audio, (unsigned long long)r->o.seed);
    return F5_OK;
}

static void run_end(edit_run *r) {
    speech_output_abort(&r->output);
    f5_close(r->engine);
    audio_free(&r->recording);
    free(r->model);
    free(r->output_path);
}

static int edit_command(edit_run *r, int argc, char **argv) {
    cli_option table[SPEECH_OPTIONS_MAX], *to = table;
    speech_options *o = &r->o;
    speech_options_init(o);
    *to++ = (cli_option){
        "audio",         "r", CLI_STRING, &r->audio, .argument = "FILE", .help = "the recording", .kind = CLI_FILE,
        .required = true};
    *to++ = (cli_option){"text",
                         "t",
                         CLI_STRING,
                         &r->text,
                         .argument = "TEXT",
                         .help = "all that it shall say, kept words included",
                         .required = true};
    *to++ = (cli_option){"edit",
                         "e",
                         CLI_LIST,
                         &r->edit,
                         .argument = "START-END[=S]",
                         .help = "which seconds of it are replaced, and by how many",
                         .required = true};
    *to++ = (cli_option){"target_rms",
                         NULL,
                         CLI_FLOAT,
                         &o->target_rms,
                         .min = 1e-6,
                         .max = 1,
                         .argument = "X",
                         .help = "a quieter recording is raised to this level meanwhile",
                         .unit = "of full scale"};
    to = speech_options_model(to, o);
    to = speech_options_upstream(to, o);
    to = speech_options_solver(to, o);
    to = speech_options_folder(to, o);
    *to++ = (cli_option){"output_file",      "w",
                         CLI_STRING,         &o->output_file,
                         .argument = "FILE", .help = "name in it",
                         .kind = CLI_FILE,   .usual = "edited.wav"};
    *to++ = (cli_option){"save_mel",
                         NULL,
                         CLI_STRING,
                         &o->save_mel,
                         .argument = "FILE.npy",
                         .help = "write the mel [frames,100] too",
                         .kind = CLI_FILE};
    *to++ = (cli_option){
        "spectrogram",   NULL, CLI_STRING, &o->spectrogram, .argument = "FILE.png", .help = "write its picture too",
        .kind = CLI_FILE};
    to = speech_options_sound(to, o);
    *to++ = (cli_option){"exact", NULL, CLI_FLAG, &o->exact,
                         .help = "upstream's samples: with a burst at both ends, which is otherwise kept away"};
    *to++ = (cli_option){"quiet", "q", CLI_FLAG, &r->quiet, .help = "no progress, no summary"};
    *to = (cli_option){0};
    r->command.options = table;
    cli_outcome outcome = cli_parse(&r->command, argc, argv);
    if (outcome != CLI_RUN) return cli_exit_code(outcome);
    if (f5_text_is_blank(r->text)) return cli_usage_error(&r->command, "--text is blank");
    for (int i = 0; i < r->edit.count; i++)
        if (!parse_edit(r->edit.item[i], &r->span[i]))
            return cli_usage_error(&r->command,
                                   "--edit %s: START-END or START-END=DURATION is wanted, in seconds, as "
                                   "1.42-2.44=0.9",
                                   r->edit.item[i]);
    if (!o->seed_given) o->seed = random_seed();
    f5_error error = {0};
    return run(r, &error) == F5_OK ? CLI_EXIT_OK : cli_failure(&r->command, "%s", error.message);
}

int cmd_edit(int argc, char **argv) {
    edit_run *r = calloc(1, sizeof *r);
    if (!r) return CLI_EXIT_FAILED;
    r->command =
        (cli_command){.program = "f5tts edit",
                      .usage = "--audio FILE --text TEXT --edit START-END[=S] [--edit ...] [options]",
                      .summary = "Replaces words of a recording in its own voice; the rest stays as it was.\n"};
    int exit_code = edit_command(r, argc, argv);
    run_end(r);
    free(r);
    return exit_code;
}
