/* cmd_models.c — `f5tts models`: the models that are on this machine, one a line, or where one of them lies. */
#define _GNU_SOURCE /* asprintf */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/api/f5tts.h"
#include "host/files/text_file.h"
#include "host/hub/model_sources.h"
#include "host/program/cli.h"
#include "host/program/model_file.h"
#include "host/program/model_make.h"
#include "host/program/model_settings.h"
#include "host/program/shipped.h"

#define MAX_DESCRIPTION_BYTES (64 << 10)

/* What follows "key " on its line of a description, to be freed; "-" where there is none. */
static char *value_of(const char *text, const char *key) {
    size_t bytes = strlen(key);
    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        if (strncmp(line, key, bytes) == 0 && line[bytes] == ' ')
            return strndup(line + bytes + 1, strcspn(line + bytes + 1, "\n"));
    }
    return strdup("-");
}

/* Control characters, which a file may have brought, are shown as '?'. */
static void print_text(const char *text) {
    for (const char *c = text; *c; c++) putchar((unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c);
}

static void print_line(const char *name, int64_t bytes, const char *precision, const char *licence, const char *from,
                       const char *path) {
    const char *const cells[] = {precision, licence, from};
    print_text(name);
    printf("  %.1f MB", (double)bytes * 1e-6);
    for (int i = 0; i < 3; i++) {
        fputs(i ? ", " : "  ", stdout);
        print_text(cells[i]);
    }
    fputs("\n    ", stdout);
    print_text(path);
    putchar('\n');
}

/* A .f5 file; its licence as it says, else as the text beside it does; `from` where no text beside it says that. */
static void print_model(const char *name, const char *path, const char *from) {
    struct stat there;
    f5_error why = {0};
    f5_model_file *file = NULL;
    f5_model_info info;
    if (stat(path, &there) != 0 || !S_ISREG(there.st_mode)) return;
    size_t stem = strlen(path) - 3;
    char *beside = NULL, *text = NULL;
    if (asprintf(&beside, "%.*s.txt", (int)stem, path) < 0) beside = NULL;
    if (!beside || text_file_read(beside, MAX_DESCRIPTION_BYTES, &text, NULL, &why) != F5_OK) text = NULL;
    bool good = model_describe(path, &file, &info, &why) == F5_OK;
    char *told_licence = text ? value_of(text, "licence") : NULL,
         *told_from = text ? value_of(text, "checkpoint") : NULL;
    char line[288];
    snprintf(line, sizeof line, "licence %s",
             good && *info.license ? info.license
             : told_licence        ? told_licence
                                   : "unknown");
    print_line(name, there.st_size, good ? info.precision : "damaged", line, told_from ? told_from : from, path);
    f5_model_file_close(file);
    free(told_licence);
    free(told_from);
    free(text);
    free(beside);
}

static int is_model(const struct dirent *entry) {
    size_t n = strlen(entry->d_name);
    return n > 3 && entry->d_name[0] != '.' && strcmp(entry->d_name + n - 3, ".f5") == 0;
}

/* The models of a folder, by name. */
static void print_folder(const char *folder) {
    struct dirent **entry = NULL;
    int n = scandir(folder, &entry, is_model, alphasort);
    for (int i = 0; i < n; i++) {
        char *path = model_place(folder, entry[i]->d_name, "");
        entry[i]->d_name[strlen(entry[i]->d_name) - 3] = '\0';
        if (path) print_model(entry[i]->d_name, path, "not known");
        free(path);
        free(entry[i]);
    }
    free(entry);
}

/* Upstream's models in the hub's cache, which `infer -m NAME` converts when it is asked to. */
static void print_cached(const hub_place *place) {
    const model_kind *kind;
    for (int i = 0; (kind = model_kind_at(i)); i++) {
        hub_file file = {.revision = "main"};
        char commit[HUB_COMMIT];
        struct stat there;
        snprintf(file.repository, sizeof file.repository, "%s", kind->repository);
        snprintf(file.path, sizeof file.path, "%s/%s", kind->name, kind->file);
        char *own = model_place(place->models, kind->name, ".f5"), *path = hub_cache_find(place->cache, &file, commit);
        bool made = own && stat(own, &there) == 0;
        if (path && !made && stat(path, &there) == 0) {
            char licence[80];
            snprintf(licence, sizeof licence, "licence %s", model_licence(kind->repository));
            print_line(kind->name, there.st_size, "as upstream has it", licence,
                       "in the cache of the hub: -m converts it", path);
        }
        free(path);
        free(own);
    }
}

/* Where the model lies that the options name; what is said while it is made goes to stderr. */
static int print_path(const cli_command *command, const model_wish *wish) {
    f5_error error = {0};
    char *path = NULL;
    f5_status status = model_file(wish, command->program, false, &path, &error);
    if (status == F5_OK && (puts(path) < 0 || fflush(stdout) != 0))
        status = f5_fail(&error, F5_E_IO, "standard output cannot be written");
    free(path);
    return status == F5_OK ? CLI_EXIT_OK : cli_failure(command, "%s", error.message);
}

int cmd_models(int argc, char **argv) {
    model_wish wish = {0};
    bool path = false;
    const cli_option options[] = {
        {"path", NULL, CLI_FLAG, &path,
         .help = "prints where the model lies that the options below name, after converting it where it has not been"},
        {"model", "m", CLI_TEXT, &wish.model, .argument = "MODEL",
         .help = "with --path: as in f5tts infer; so the rest"},
        {"ckpt_file", "p", CLI_TEXT, &wish.ckpt_file, .argument = "FILE", .help = "upstream's checkpoint"},
        {"vocab_file", "v", CLI_TEXT, &wish.vocab_file, .argument = "FILE", .help = "its vocabulary"},
        {"model_cfg", "mc", CLI_TEXT, &wish.model_cfg, .argument = "FILE.yaml", .help = "its configuration"},
        {"load_vocoder_from_local", NULL, CLI_FLAG, &wish.vocoder_from_local,
         .help = "the vocoder of ../checkpoints/vocos-mel-24khz"},
        {"vocoder_folder", NULL, CLI_TEXT, &wish.vocoder_folder, .argument = "DIR",
         .help = "the vocoder of that folder: config.yaml and pytorch_model.bin"},
        {0}};
    const cli_command command = {.program = "f5tts models",
                                 .usage = "[--path [-m MODEL] [-p FILE] [-v FILE] [-mc FILE.yaml]]",
                                 .summary =
                                     "Lists the models that are on this machine: name, megabytes, how matrices are "
                                     "stored, licence of the weights, where they are from, and the path.\n",
                                 .options = options};
    cli_outcome outcome = cli_parse(&command, argc, argv);
    if (outcome != CLI_RUN) return cli_exit_code(outcome);
    if (path) return print_path(&command, &wish);
    if (wish.model || model_wish_has_files(&wish))
        return cli_usage_error(&command, "the options that name a model belong to --path: add it");
    f5_error error = {0};
    hub_place place;
    if (hub_place_find(&place, &error) != F5_OK) {
        hub_place_free(&place);
        return cli_failure(&command, "%s", error.message);
    }
    char *shipped = NULL;
    if (shipped_file(SHIPPED_VOICES, SHIPPED_MODEL, "", &shipped, &error) == F5_OK)
        print_model("(default)", shipped, "comes with the program");
    free(shipped);
    print_folder(place.models);
    print_folder(place.converted);
    print_cached(&place);
    hub_place_free(&place);
    return CLI_EXIT_OK;
}
