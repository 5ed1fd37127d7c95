/* cmd_pull.c — `f5tts pull`: a model by its name, or a file, from the model hub into the cache that upstream's package
 * shares; then it is converted. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api/f5tts.h"
#include "host/hub/model_sources.h"
#include "host/program/cli.h"
#include "host/program/model_make.h"
#if F5_HAVE_HUB
#include "host/hub/hub_pull.h"
#endif

/* More than any such file has. */
#define MAX_CHECKPOINT_BYTES ((int64_t)64 << 30)
#define MAX_VOCODER_BYTES ((int64_t)4 << 30)
#define MAX_VOCAB_BYTES ((int64_t)16 << 20)
#define MAX_CONFIG_BYTES ((int64_t)256 << 10)

typedef struct {
    cli_command command;
    model_wish wish;
    const char *given, *precision;
    bool no_convert, quiet;
    hub_place place;
    char licence[64]; /* of the checkpoint */
} pull_run;

#if F5_HAVE_HUB

/* ---- what is seen ------------------------------------------------------------------------------------------------ */

typedef struct {
    const pull_run *run;
    cli_progress bar;
    char file[256]; /* whose bar it is; "": none is shown */
    char label[264];
} watcher;

static void end_bar(watcher *w) {
    if (*w->file) cli_progress_end(&w->bar);
    *w->file = '\0';
}

/* In megabytes; of smaller files there is nothing to see. */
static void show_progress(void *user, const char *file, int64_t done, int64_t bytes) {
    watcher *w = user;
    if (w->run->quiet || bytes < 2000000 || bytes / 1000000 > INT32_MAX) return;
    if (strncmp(w->file, file, sizeof w->file - 1) != 0) {
        end_bar(w);
        snprintf(w->file, sizeof w->file, "%s", file);
        snprintf(w->label, sizeof w->label, "%s, MB", w->file);
        cli_progress_begin(&w->bar, w->label);
    }
    cli_progress_report(&w->bar, (int32_t)(done / 1000000), (int32_t)(bytes / 1000000));
    if (done == bytes) end_bar(w);
}

static void show_note(void *user, const char *message) {
    watcher *w = user;
    end_bar(w);
    if (!w->run->quiet) fprintf(stderr, "%s: %s\n", w->run->command.program, message);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

typedef struct {
    pull_run *run;
    watcher watcher;
    hub_events events;
    hub_client *client;
    char told[256]; /* the repository whose licence was told last */
} puller;

/* The licence, from the hub, else as it is known here. Not to know it is no reason to stop. */
static void tell_licence(puller *p, const hub_file *file, char licence[64]) {
    f5_error why = {0};
    const char *known = model_licence(file->repository);
    snprintf(licence, 64, "%s", known ? known : "");
    if (strcmp(p->told, file->repository) == 0) return;
    snprintf(p->told, sizeof p->told, "%s", file->repository);
    char answer[HUB_LICENCE];
    f5_status status = hub_client_licence(p->client, file, answer, &why);
    if (status == F5_OK && *answer) snprintf(licence, 64, "%s", answer);
    if (!p->run->quiet)
        printf("%s: licence %s%s\n", file->repository, *licence ? licence : "unknown: see its page on the hub",
               strstr(licence, "-nc") ? " (not for commercial use)" : "");
    fflush(stdout);
}

static f5_status pull_file(puller *p, const hub_file *file, int64_t max_bytes, bool may_miss, f5_error *error) {
    hub_pulled pulled;
    char commit[HUB_COMMIT];
    F5_TRY(hub_pull(p->client, &p->run->place, &p->events, file, max_bytes, &pulled, error));
    end_bar(&p->watcher);
    if (pulled.missing && may_miss) return F5_OK;
    if (pulled.missing) {
        char *url = hub_file_url(file, NULL);
        f5_status status =
            f5_fail(error, F5_E_IO, "%s: not found (404): the repository has no such file", url ? url : "");
        free(url);
        return status;
    }
    char *path = hub_cache_find(p->run->place.cache, file, commit);
    if (path && !p->run->quiet)
        printf("%s: %.2f MB, %s\n", path, (double)pulled.bytes * 1e-6, pulled.fetched ? "fetched" : "was there");
    fflush(stdout);
    f5_status status = path ? F5_OK : f5_fail(error, F5_E_IO, "%s: was fetched, and is not there", file->path);
    free(path);
    return status;
}

static f5_status pull_source(puller *p, const model_source *s, int64_t max_bytes, bool may_miss, f5_error *error) {
    char licence[64];
    if (!s->of_hub) return F5_OK;
    tell_licence(p, &s->hub, licence);
    return pull_file(p, &s->hub, max_bytes, may_miss, error);
}

static f5_status pull_sources(puller *p, const model_sources *s, bool vocab_named, f5_error *error) {
    if (s->checkpoint.of_hub) {
        tell_licence(p, &s->checkpoint.hub, p->run->licence);
        F5_TRY(pull_file(p, &s->checkpoint.hub, MAX_CHECKPOINT_BYTES, false, error));
    }
    F5_TRY(pull_source(p, &s->vocab, MAX_VOCAB_BYTES, !vocab_named, error));
    F5_TRY(pull_source(p, &s->vocoder_config, MAX_CONFIG_BYTES, false, error));
    return pull_source(p, &s->vocoder, MAX_VOCODER_BYTES, false, error);
}

static f5_status open_puller(puller *p, pull_run *r, f5_error *error) {
    *p = (puller){.run = r, .watcher = {.run = r}};
    p->events = (hub_events){show_progress, show_note, &p->watcher};
    return hub_client_open(&p->client, &r->place, &p->events, error);
}

static void close_puller(puller *p) {
    end_bar(&p->watcher);
    hub_client_close(p->client);
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

static f5_status convert(pull_run *r, bool by_name, f5_error *error) {
    model_sources s;
    char *vocab = model_usual_vocab(), *path = NULL;
    const model_making how = {r->command.program, r->precision, r->licence, by_name, true, r->quiet};
    f5_status status = model_sources_find(&s, &r->wish, &r->place, vocab, error);
    const model_source *missing = status == F5_OK ? model_sources_missing(&s) : NULL;
    if (missing)
        status =
            f5_fail(error, F5_E_IO, "%s of %s: is not on this machine, and HF_HUB_OFFLINE is set: nothing is fetched",
                    missing->hub.path, missing->hub.repository);
    if (status == F5_OK && r->no_convert) {
        model_sources_free(&s);
        free(vocab);
        return F5_OK;
    }
    if (status == F5_OK) status = model_make(&s, &r->place, &how, &path, error);
    if (status == F5_OK && !r->quiet) printf("%s: %s\n", s.name, path);
    if (status == F5_OK && !r->quiet && by_name) printf("  f5tts infer -m %s ...\n", s.name);
    model_sources_free(&s);
    free(vocab);
    free(path);
    return status;
}

static f5_status pull_model(pull_run *r, bool by_name, f5_error *error) {
    if (!r->place.offline) {
        puller p;
        model_sources s;
        f5_status status = model_sources_find(&s, &r->wish, &r->place, NULL, error);
        if (status == F5_OK) {
            status = open_puller(&p, r, error);
            if (status == F5_OK) status = pull_sources(&p, &s, r->wish.vocab_file != NULL, error);
            close_puller(&p);
        }
        model_sources_free(&s);
        F5_TRY(status);
    }
    return convert(r, by_name, error);
}

/* Files of the hub by their names: what a message of `f5tts infer` asked for. */
static f5_status pull_files(pull_run *r, const char *const *urls, f5_error *error) {
    puller p;
    if (r->place.offline) return f5_fail(error, F5_E_IO, "%s: HF_HUB_OFFLINE is set: nothing is fetched", r->given);
    f5_status status = open_puller(&p, r, error);
    for (; status == F5_OK && *urls; urls++) {
        model_source s = {.of_hub = true};
        status = hub_file_parse(&s.hub, *urls, error);
        if (status == F5_OK) status = pull_source(&p, &s, MAX_CHECKPOINT_BYTES, false, error);
    }
    close_puller(&p);
    return status;
}

static bool is_weights(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && (strcmp(dot, ".safetensors") == 0 || strcmp(dot, ".pt") == 0 || strcmp(dot, ".pth") == 0 ||
                   strcmp(dot, ".ckpt") == 0);
}

static f5_status pull(pull_run *r, f5_error *error) {
    static const char *const vocos[] = {"hf://" VOCODER_REPOSITORY "/config.yaml",
                                        "hf://" VOCODER_REPOSITORY "/pytorch_model.bin", NULL};
    static const char *const bigvgan[] = {"hf://" BIGVGAN_REPOSITORY "/config.json",
                                          "hf://" BIGVGAN_REPOSITORY "/bigvgan_generator.pt", NULL};
    F5_TRY(hub_place_find(&r->place, error));
    if (strcmp(r->given, "vocos") == 0) return pull_files(r, vocos, error);
    if (strcmp(r->given, "bigvgan") == 0) return pull_files(r, bigvgan, error);
    if (hub_is_url(r->given) && !is_weights(r->given)) {
        const char *const one[] = {r->given, NULL};
        return pull_files(r, one, error);
    }
    if (hub_is_url(r->given)) {
        r->wish.ckpt_file = r->given;
        return pull_model(r, false, error);
    }
    if (!model_kind_named(r->given))
        return f5_fail(error, F5_E_ARGUMENT,
                       "%s: is no model of upstream's: there are F5TTS_v1_Base, F5TTS_v1_Small, F5TTS_Base, "
                       "F5TTS_Base_bigvgan, E2TTS_Base, F5TTS_Small, vocos, bigvgan, and hf://OWNER/NAME/FILE",
                       r->given);
    if (r->wish.model)
        return f5_fail(error, F5_E_ARGUMENT, "--model: says what a file hf://... is of; %s is a model", r->given);
    r->wish.model = r->given;
    return pull_model(r, !model_wish_has_files(&r->wish), error);
}

#else

static f5_status pull(pull_run *r, f5_error *error) {
    (void)r;
    return f5_fail(
        error, F5_E_UNSUPPORTED,
        "this build cannot fetch: install libcurl4-gnutls-dev and nettle-dev and build again, or fetch the "
        "files by hand (https://huggingface.co/SWivid/F5-TTS, https://huggingface.co/charactr/vocos-mel-24khz) "
        "and give them to `f5tts convert`");
}

#endif

/* ---- command line ------------------------------------------------------------------------------------------------ */

int cmd_pull(int argc, char **argv) {
    int n_positional = 0;
    pull_run r = {.precision = "fp32"};
    const cli_option options[] = {
        {"vocab_file", "v", CLI_STRING, &r.wish.vocab_file, .argument = "FILE",
         .help = "the vocabulary of a file hf://...", .usual = "vocab.txt beside it, else upstream's",
         .kind = CLI_FILE},
        {"model_cfg", "mc", CLI_STRING, &r.wish.model_cfg, .argument = "FILE.yaml", .help = "its configuration",
         .usual = "that of --model", .kind = CLI_FILE},
        {"model", "m", CLI_STRING, &r.wish.model, .argument = "NAME", .help = "of which kind a file hf://... is",
         .usual = "as its path says, else F5TTS_v1_Base", .words = "F5TTS_v1_Base|F5TTS_Base|F5TTS_Small|E2TTS_Base"},
        {"dtype", NULL, CLI_STRING, &r.precision, .argument = "TYPE", .help = "how matrices are stored",
         .words = "fp32|fp16|bf16|int8"},
        {"no_convert", NULL, CLI_FLAG, &r.no_convert, .help = "fetch only; f5tts infer -m NAME converts it then"},
        {"quiet", "q", CLI_FLAG, &r.quiet, .help = "no progress, no summary"},
        {0}};
    r.command = (cli_command){
        .program = "f5tts pull",
        .usage = "NAME | hf://OWNER/NAME/FILE [options]",
        .summary =
            "Fetches a model from the model hub and converts it: F5TTS_v1_Base, F5TTS_Base, or a fine-tune's file. "
            "What a run that was ended has fetched is not fetched again.\n\n"
            "The files go into the cache of huggingface_hub, which upstream's package shares. HF_ENDPOINT, HF_HOME, "
            "HF_HUB_CACHE, HF_TOKEN, HF_HUB_OFFLINE and curl's variables for proxies are heeded. The licence of "
            "the weights is told: most are not for commercial use.\n",
        .positional_words = "F5TTS_v1_Base|F5TTS_Base|F5TTS_Base_bigvgan|E2TTS_Base|vocos|bigvgan",
        .examples = "# upstream's model, and speech of it\n"
                    "f5tts pull F5TTS_v1_Base\n"
                    "f5tts infer -m F5TTS_v1_Base -r me.wav -s \"What I say.\" -t \"A text.\"\n"
                    "# a fine-tune\n"
                    "f5tts pull hf://OWNER/NAME/model_last.safetensors -m F5TTS_Base\n",
        .options = options,
        .positional = &r.given,
        .max_positional = 1,
        .n_positional = &n_positional};
    cli_outcome outcome = cli_parse(&r.command, argc, argv);
    if (outcome != CLI_RUN) return cli_exit_code(outcome);
    if (n_positional == 0) return cli_usage_error(&r.command, "give the NAME of a model: F5TTS_v1_Base is one");
    if (strcmp(r.precision, "fp32") != 0 && strcmp(r.precision, "fp16") != 0 && strcmp(r.precision, "bf16") != 0 &&
        strcmp(r.precision, "int8") != 0)
        return cli_usage_error(&r.command, "--dtype %s: known are fp32, fp16, bf16 and int8", r.precision);
    f5_error error = {0};
    f5_status status = pull(&r, &error);
    hub_place_free(&r.place);
    if (status == F5_E_ARGUMENT) return cli_usage_error(&r.command, "%s", error.message);
    return status == F5_OK ? CLI_EXIT_OK : cli_failure(&r.command, "%s", error.message);
}
