/* cmd_check_voice.c — `f5tts check-voice`: is a recording good to learn a voice from? A line for each thing that
 * matters, with what to do where it is not. No model is needed. */
#include <stdio.h>

#include "host/api/f5tts.h"
#include "host/files/audio_file.h"
#include "host/program/cli.h"
#include "host/program/speech_options.h"
#include "host/program/voice_files.h"
#include "host/program/voice_params.h"

/* user: the recording's name, until it was printed. */
static void print_line(void *user, const char *what, int32_t good, const char *message) {
    const char **title = user;
    if (*title) printf("%s\n", *title);
    *title = NULL;
    printf("  %-9s %-5s %s\n", what, good ? "good" : "mind", message);
}

/* The transcript may be missing: then nothing is said about pace. */
static f5_status check(const char *path, const speech_options *o, const cli_command *command, f5_error *error) {
    audio_file recording;
    voice_files files = {0};
    f5_error why = {0};
    F5_TRY(audio_read(&recording, path, error));
    transcriber t = speech_options_transcriber(o, command);
    f5_status status = voice_files_named(&files, path, o->ref_text, &t, o->keep_whole, &why);
    transcriber_free(&t);
    if (status != F5_OK && (status != F5_E_ARGUMENT || o->transcribe)) { /* it is there and cannot be read, or heard */
        audio_free(&recording);
        return f5_fail(error, status, "%s", why.message);
    }
    const f5_voice_params p = voice_params_of(&recording, files.words, o->keep_whole);
    const char *title = path;
    status = f5_check_voice(&p, print_line, &title, &why);
    if (status != F5_OK) f5_fail(error, status, "%s: %s", path, why.message);
    audio_free(&recording);
    voice_files_free(&files);
    return status;
}

int cmd_check_voice(int argc, char **argv) {
    speech_options o;
    const char *path = NULL;
    int given = 0;
    cli_option options[16], *to = options;
    speech_options_init(&o);
    *to++ = (cli_option){"ref_text",
                         "s",
                         CLI_TEXT,
                         &o.ref_text,
                         .argument = "TEXT",
                         .help = "what the recording says",
                         .usual = "FILE.txt beside it, if it is there"};
    *to++ = (cli_option){"keep_whole", NULL, CLI_FLAG, &o.keep_whole,
                         .help = "as it would be used with this option of infer"};
    to = speech_options_transcribe(to, &o);
    *to = (cli_option){0};
    const cli_command command = {
        .program = "f5tts check-voice",
        .usage = "FILE [--ref_text TEXT]",
        .summary = "Says what is good and what is not about a recording of a voice: its level, clipping, noise, sample "
                   "rate and length, and the pace of its transcript. FILE is -: standard input.\n",
        .options = options,
        .positional = &path,
        .max_positional = 1,
        .n_positional = &given,
        .positional_kind = CLI_FILE};
    cli_outcome outcome = cli_parse(&command, argc, argv);
    if (outcome != CLI_RUN) return cli_exit_code(outcome);
    if (given == 0) return cli_usage_error(&command, "which FILE?");
    f5_error error = {0};
    if (speech_options_check(&o, &error) != F5_OK) return cli_usage_error(&command, "%s", error.message);
    return check(path, &o, &command, &error) == F5_OK ? CLI_EXIT_OK : cli_failure(&command, "%s", error.message);
}
