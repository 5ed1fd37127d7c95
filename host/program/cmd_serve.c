/* cmd_serve.c — `f5tts serve`: the command line of the server, whose parts are in host/server/. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/program/cli.h"
#include "host/program/model_file.h"
#include "host/program/shipped.h"
#include "host/program/speech_ipa.h"
#include "host/program/speech_options.h"
#include "host/server/server_options.h"

#define LOG_FORMATS "json|text|none"
#define TABLE_MAX 64
#define OWN_VOICE "default" /* what a model's one voice is called, unless --voice names it */
#define APPEND(to, options)                                                                                            \
    ((cli_option *)memcpy(to, options, sizeof(options)) + sizeof(options) / sizeof((options)[0]))

static const server_options defaults = {.model_id = "f5-tts",
                                        .devices = "auto",
                                        .max_frames = 4096,
                                        .max_batch = 8,
                                        .default_voice = SHIPPED_VOICE,
                                        .host = "127.0.0.1",
                                        .port = 8080,
                                        .wyoming_port = -1,
                                        .wyoming_host = "127.0.0.1",
                                        .connections = 1024,
                                        .head_seconds = 10,
                                        .body_seconds = 30,
                                        .keep_alive_seconds = 75,
                                        .slow_seconds = 30,
                                        .head_bytes = 16384,
                                        .headers = 100,
                                        .body_megabytes = 32,
                                        .running = 16,
                                        .waiting = 64,
                                        .text_bytes = 65536,
                                        .buffer_megabytes = 256,
                                        .nfe_step = 32,
                                        .first_chunk = 1.5f,
                                        .drain_seconds = 30};

#define HEADING(title)                                                                                                 \
    { title, .type = CLI_HEADING }

static cli_option *engine_options(cli_option *to, server_options *o, bool *ipa) {
    const cli_option options[] = {
        HEADING("Model"),
        {"model", "m", CLI_STRING, &o->model, .argument = "FILE.f5", .help = "the model that speaks",
         .usual = "the voice that comes with it", .kind = CLI_MODEL},
        {"model_id", NULL, CLI_STRING, &o->model_id, .argument = "NAME",
         .help = "how clients call it, besides tts-1 and its like"},
        {"device", NULL, CLI_STRING, &o->devices, .argument = "LIST",
         .help = "auto, cpu, cuda, or several: cuda:0,cuda:1, an engine each"},
        {"precision", NULL, CLI_STRING, &o->precision, .argument = "TYPE", .help = "of the matrices",
         .usual = "fp16 on a GPU, fp32 on a CPU, int8 of such a file", .words = "fp32|fp16|bf16|int8"},
        {"vocoder_precision", NULL, CLI_STRING, &o->vocoder_precision, .argument = "TYPE",
         .help = "of the vocoder's; 16 bits: BigVGAN, MB-iSTFT on a GPU", .usual = "fp32", .words = "fp32|fp16|bf16"},
        {"max_frames", NULL, CLI_INT, &o->max_frames, .min = 64, .max = 1 << 20, .argument = "N",
         .help = "mel frames in one batch, recordings included", .unit = "frames"},
        {"max_batch", NULL, CLI_INT, &o->max_batch, .min = 1, .max = 64, .argument = "N",
         .help = "pieces of speech in one batch", .unit = "pieces"},
        {"threads", NULL, CLI_INT, &o->threads, .min = 0, .max = 1024, .argument = "N",
         .help = "that compute, on a CPU", .unit = "threads", .usual = "as many as there are CPUs"},
        {"languages", NULL, CLI_STRING, &o->languages, .argument = "LIST", .help = "that requests may normalize",
         .usual = "en,zh"},
        {"ipa", NULL, CLI_FLAG, ipa, .help = "of a model that reads phonemes: all texts are IPA"},
        {"warm", NULL, CLI_STRING, &o->warm, .argument = "LIST",
         .help = "seconds of speech that should be fast from the first on: 3,6,12"},
        HEADING("Work"),
        {"running", NULL, CLI_INT, &o->running, .min = 1, .max = 256, .argument = "N",
         .help = "that are spoken at a time", .unit = "requests"},
        {"waiting", NULL, CLI_INT, &o->waiting, .min = 0, .max = 65536, .argument = "N",
         .help = "that may wait beside them; more are answered 503", .unit = "requests"},
        {"nfe_step", NULL, CLI_INT, &o->nfe_step, .min = 1, .max = 64, .argument = "N", .given = &o->solver_given,
         .usual = "32, or what the model asks for", .help = "of the solver, for requests that do not say",
         .unit = "steps"},
        {"method", NULL, CLI_CHOICE, &o->method, .argument = "euler|midpoint|ab2", .given = &o->solver_given,
         .help = "the solver, for requests that do not say"},
        {"first_chunk", NULL, CLI_FLOAT, &o->first_chunk, .min = -1, .max = 22, .argument = "S",
         .help = "of the first piece of speech that is streamed, about, so that it comes early; 0: as the others",
         .unit = "seconds"},
        {"text_bytes", NULL, CLI_INT, &o->text_bytes, .min = 1, .max = 16 << 20, .argument = "N",
         .help = "of a request's text", .unit = "bytes"},
        {"drain_seconds", NULL, CLI_FLOAT, &o->drain_seconds, .min = 0, .max = 3600, .argument = "S",
         .help = "that SIGTERM leaves to what has begun", .unit = "seconds"}};
    return APPEND(to, options);
}

static cli_option *voice_options(cli_option *to, server_options *o, cli_list *alias) {
    const cli_option options[] = {
        HEADING("Voices"),
        {"voice", NULL, CLI_STRING, &o->default_voice, .argument = "NAME", .help = "of requests that name none",
         .kind = CLI_VOICE, .usual = "heart; of a model with a voice of its own that one, default"},
        {"voice_dir", NULL, CLI_STRING, &o->voice_dir, .argument = "DIR",
         .help = "recordings NAME.wav with their words NAME.txt, watched", .kind = CLI_FOLDER},
        {"upload_dir", NULL, CLI_STRING, &o->upload_dir, .argument = "DIR", .help = "where uploaded voices are kept",
         .kind = CLI_FOLDER, .usual = "voice_dir's folder"},
        {"voice_alias", NULL, CLI_LIST, alias, .argument = "NAME=VOICE",
         .help = "another name, as alloy=slt; may be given often"}};
    return APPEND(to, options);
}

static cli_option *socket_options(cli_option *to, server_options *o) {
    const cli_option options[] = {
        HEADING("Network"),
        {"host", NULL, CLI_STRING, &o->host, .argument = "ADDRESS", .help = "where it listens"},
        {"port", NULL, CLI_INT, &o->port, .min = 0, .max = 65535, .argument = "N", .help = "there; 0: one that is free",
         .unit = ""},
        {"wyoming_host", NULL, CLI_STRING, &o->wyoming_host, .argument = "ADDRESS",
         .help = "where it listens for Home Assistant"},
        {"wyoming_port", NULL, CLI_INT, &o->wyoming_port, .min = -1, .max = 65535, .argument = "N",
         .help = "there, usually 10200", .unit = "", .usual = "off"},
        {"api_keys", NULL, CLI_STRING, &o->key_file, .argument = "FILE",
         .help = "a key a line, one of which requests must show", .kind = CLI_FILE},
        {"cors_origin", NULL, CLI_STRING, &o->cors_origin, .argument = "ORIGIN",
         .help = "pages of this origin, or of any (*), may ask"},
        {"allowed_hosts", NULL, CLI_STRING, &o->allowed_hosts, .argument = "LIST",
         .help = "names by which it is called, besides localhost and addresses; .example.org: all within it; *: any",
         .usual = "any that a proxy hands on; see the README"},
        {"connections", NULL, CLI_INT, &o->connections, .min = 1, .max = 1 << 20, .argument = "N",
         .help = "open at a time", .unit = "connections"},
        {"connections_per_address", NULL, CLI_INT, &o->connections_per_address, .min = 0, .max = 1 << 20,
         .argument = "N", .help = "of one address", .unit = "connections", .usual = "no limit of its own"},
        {"head_seconds", NULL, CLI_FLOAT, &o->head_seconds, .min = 0.1, .max = 3600, .argument = "S",
         .help = "until the head of a request is here", .unit = "seconds"},
        {"body_seconds", NULL, CLI_FLOAT, &o->body_seconds, .min = 0.1, .max = 3600, .argument = "S",
         .help = "from there until its body is here, and one more for each MB", .unit = "seconds"},
        {"keep_alive_seconds", NULL, CLI_FLOAT, &o->keep_alive_seconds, .min = 0, .max = 3600, .argument = "S",
         .help = "between two requests", .unit = "seconds"},
        {"slow_seconds", NULL, CLI_FLOAT, &o->slow_seconds, .min = 0.1, .max = 3600, .argument = "S",
         .help = "after which a reader that takes less than 1 KB/s is cut", .unit = "seconds"},
        {"head_bytes", NULL, CLI_INT, &o->head_bytes, .min = 1024, .max = 65536, .argument = "N",
         .help = "of the head of a request", .unit = "bytes"},
        {"headers", NULL, CLI_INT, &o->headers, .min = 8, .max = 1000, .argument = "N", .help = "of a request",
         .unit = "headers"},
        {"body_megabytes", NULL, CLI_INT, &o->body_megabytes, .min = 1, .max = 1024, .argument = "N",
         .help = "of the body of a request", .unit = "MB"},
        {"buffer_megabytes", NULL, CLI_INT, &o->buffer_megabytes, .min = 1, .max = 65536, .argument = "N",
         .help = "of speech that waits to be read, from which nothing new begins", .unit = "MB"}};
    return APPEND(to, options);
}

static cli_option *other_options(cli_option *to, server_options *o) {
    const cli_option options[] = {HEADING("Other"),
                                  {"log_format", NULL, CLI_CHOICE, &o->log_format, .argument = LOG_FORMATS,
                                   .help = "of the access log: a JSON object a line, or text"},
                                  {"log_file", NULL, CLI_STRING, &o->log_file, .argument = "FILE",
                                   .help = "the access log", .usual = "standard output", .kind = CLI_FILE},
                                  {"no_page", NULL, CLI_FLAG, &o->no_page, .help = "no page at /"},
                                  {"check_config", NULL, CLI_FLAG, &o->check_config,
                                   .help = "open everything, say whether it is in order, and end"}};
    return APPEND(to, options);
}

/* What the model says of itself. *speaker: makes phonemes of words, where it reads them. */
static f5_status fit_model(server_options *o, bool ipa, const char *model, espeak **speaker, f5_error *error) {
    speech_options s = {.nfe_step = o->nfe_step, .method = o->method, .solver_given = o->solver_given, .ipa = ipa};
    F5_TRY(speech_options_of_model(&s, model, true, error));
    o->nfe_step = s.nfe_step;
    o->method = s.method;
    o->sound_rate = s.model_rate;
    o->one_voice = s.one_voice;
    o->reads_phonemes = s.reads_phonemes;
    memcpy(o->license, s.license, sizeof o->license);
    memcpy(o->credit, s.credit, sizeof o->credit);
    f5_speak_params_init(&o->phonemes);
    F5_TRY(speech_ipa_open(&s, model, speaker, error));
    speech_ipa_use(&s, *speaker, &o->phonemes);
    if (!o->one_voice) return F5_OK;
    const char *folder = o->voice_dir ? "--voice_dir" : o->upload_dir ? "--upload_dir" : NULL;
    if (folder)
        return f5_fail(error, F5_E_ARGUMENT, "%s: %s has one voice of its own and takes no recording", folder, model);
    if (o->default_voice == defaults.default_voice) o->default_voice = OWN_VOICE;
    return F5_OK;
}

static int run(const cli_command *command, const server_options *o) {
#if F5_HAVE_SERVER
    (void)command;
    return server_run(o);
#else
    (void)o;
    return cli_failure(command, "this build has no server, since it lacks %s: install it and build again",
                       F5_SERVER_LACKS);
#endif
}

int cmd_serve(int argc, char **argv) {
    server_options o = defaults;
    cli_list *alias = calloc(1, sizeof *alias);
    cli_option table[TABLE_MAX];
    cli_command command = {.program = "f5tts serve",
                           .usage = "[--model FILE.f5] [--port N] [options]",
                           .summary = "Speaks for programs: a server with OpenAI's speech API, and more.\n",
                           .options = table,
                           .examples = "f5tts serve --model v1_base.f5 --voice_dir voices --port 8080\n"};
    if (!alias) return CLI_EXIT_FAILED;
    bool ipa = false;
    cli_option *to = engine_options(table, &o, &ipa);
    to = voice_options(to, &o, alias);
    to = socket_options(to, &o);
    to = other_options(to, &o);
    *to = (cli_option){0};
    cli_outcome outcome = cli_parse(&command, argc, argv);
    int exit_code = cli_exit_code(outcome);
    char *model = NULL, *voices = NULL;
    espeak *speaker = NULL;
    f5_error error;
    const model_wish wish = {.model = o.model};
    if (outcome != CLI_RUN) {
        /* told already */
    } else if (model_file(&wish, command.program, false, &model, &error) != F5_OK ||
               fit_model(&o, ipa, model, &speaker, &error) != F5_OK) {
        exit_code = cli_failure(&command, "%s", error.message);
    } else {
        o.model = model;
        o.alias = alias->item;
        o.n_alias = alias->count;
        if (shipped_file(SHIPPED_VOICES, "", "", &voices, &error) == F5_OK) o.shipped_voices = voices;
        exit_code = run(&command, &o);
    }
    espeak_close(speaker);
    free(model);
    free(voices);
    free(alias);
    return exit_code;
}
