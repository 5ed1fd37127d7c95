/* config_file.c — walks over a TOML file's values once: those at the top are options, those below [voices] voices. */
#include "host/program/config_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/files/text_file.h"

#define ABOVE 4 /* folders above the file that may hold infer/examples/ */

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* A copy that lives as long as the configuration. */
static const char *own(config_file *c, char *path) {
    char **more = path ? realloc(c->owned, (size_t)(c->n_owned + 1) * sizeof *more) : NULL;
    if (!more) {
        free(path);
        return NULL;
    }
    c->owned = more;
    return c->owned[c->n_owned++] = path;
}

const char *config_find_file(config_file *c, const char *value) {
    if (value[0] == '/' || access(value, F_OK) == 0) return value;
    const char *slash = strrchr(c->toml.file, '/');
    int folder = slash ? (int)(slash - c->toml.file) : 1;
    int levels = strncmp(value, "infer/examples/", 15) == 0 ? ABOVE : 0;
    size_t room = strlen(c->toml.file) + strlen(value) + 3 * ABOVE + 3;
    char *path = malloc(room);
    if (!path) return NULL;
    for (int up = 0; up <= levels; up++) {
        int n = snprintf(path, room, "%.*s/", folder, slash ? c->toml.file : ".");
        for (int k = 0; k < up; k++) n += snprintf(path + n, room - (size_t)n, "../");
        snprintf(path + n, room - (size_t)n, "%s", value);
        if (access(path, F_OK) == 0) return own(c, path);
    }
    free(path);
    return value;
}

static bool names_file(const char *option) {
    static const char *const files[] = {"ref_audio", "gen_file",   "lexicon",  "init_noise",
                                        "ckpt_file", "vocab_file", "model_cfg"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(option, files[i]) == 0) return true;
    return false;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static f5_status refuse(const config_file *c, const toml_node *node, f5_status status, const char *message,
                        f5_error *error) {
    return text_line_error(error, status, c->toml.file, node->line, "%s", message);
}

/* An option's value. */
static f5_status take_option(config_file *c, const toml_node *node, const cli_option *options,
                             const cli_command *command, f5_error *error) {
    const cli_option *o = cli_find(options, node->path);
    bool empty = node->value && !*node->value;
    if (!node->value && o)
        return refuse(c, node, F5_E_ARGUMENT, "a table or an array stands where an option's value is wanted", error);
    if (!node->value) return F5_OK; /* a table of something else: its values are told */
    if (!o) {
        cli_warning(command, "%s:%d: %s is no option: passed over", c->toml.file, node->line, node->path);
        return F5_OK;
    }
    if (o->typed_only) {
        cli_warning(command, "%s:%d: %s runs a program, which no file may ask for: passed over, give it as --%s",
                    c->toml.file, node->line, node->path, node->path);
        return F5_OK;
    }
    if (empty && o->type != CLI_TEXT) return F5_OK;
    const char *value = node->value;
    if (!empty && names_file(node->path) && !(value = config_find_file(c, value)))
        return refuse(c, node, F5_E_MEMORY, "no memory for a file name", error);
    f5_error why;
    f5_status status = cli_set(options, node->path, value, &why);
    return status == F5_OK ? F5_OK : refuse(c, node, status, why.message, error);
}

/* The voice that "voices.NAME" or "voices.NAME.key" speaks of; it is made where it is new. */
static f5_status find_voice(config_file *c, const toml_node *node, const char *name, size_t bytes, config_voice **voice,
                            f5_error *error) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    for (size_t i = 0; i < bytes; i++)
        if (!strchr(letters, name[i]) && !((unsigned char)name[i] & 0x80))
            return refuse(c, node, F5_E_ARGUMENT, "a voice's name has letters, digits and _: no tag can name this one",
                          error);
    *voice = bytes == 4 && memcmp(name, "main", 4) == 0 ? &c->main : NULL;
    for (int i = 0; i < c->n_voices && !*voice; i++)
        if (strlen(c->voice[i].name) == bytes && memcmp(c->voice[i].name, name, bytes) == 0) *voice = &c->voice[i];
    if (!*voice) {
        if (c->n_voices == CONFIG_MAX_VOICES) return refuse(c, node, F5_E_UNSUPPORTED, "more than 256 voices", error);
        *voice = &c->voice[c->n_voices++];
    }
    if ((*voice)->name) return F5_OK;
    (*voice)->line = node->line;
    (*voice)->name = own(c, strndup(name, bytes));
    return (*voice)->name ? F5_OK : refuse(c, node, F5_E_MEMORY, "no memory for a name", error);
}

static f5_status take_voice(config_file *c, const toml_node *node, const cli_command *command, f5_error *error) {
    const char *name = node->path + strlen("voices.");
    size_t bytes = strcspn(name, ".");
    const char *key = name[bytes] ? name + bytes + 1 : NULL;
    if (!key && node->type != TOML_TABLE)
        return refuse(c, node, F5_E_ARGUMENT, "a voice is a table: [voices.NAME]", error);
    config_voice *voice = NULL;
    F5_TRY(find_voice(c, node, name, bytes, &voice, error));
    if (!key) return F5_OK;
    f5_error why;
    const char *audio = NULL;
    const cli_option keys[] = {{"ref_audio", .type = CLI_STRING, .value = &audio},
                               {"ref_text", .type = CLI_TEXT, .value = &voice->ref_text},
                               {"speed", .type = CLI_FLOAT, .value = &voice->speed, .min = 0.01, .max = 100},
                               {0}};
    if (!cli_find(keys, key) || !node->value) {
        cli_warning(command, "%s:%d: %s: a voice has ref_audio, ref_text and speed: passed over", c->toml.file,
                    node->line, node->path);
        return F5_OK;
    }
    f5_status status = cli_set(keys, key, node->value, &why);
    if (status != F5_OK) return refuse(c, node, status, why.message, error);
    if (audio && !(voice->ref_audio = config_find_file(c, audio)))
        return refuse(c, node, F5_E_MEMORY, "no memory for a file name", error);
    return F5_OK;
}

f5_status config_open(config_file *c, const char *path, const cli_option *options, const cli_command *command,
                      f5_error *error) {
    *c = (config_file){0};
    F5_TRY(toml_read(&c->toml, path, error));
    for (int i = 0; i < c->toml.count; i++) {
        const toml_node *node = &c->toml.node[i];
        if (strcmp(node->path, "voices") == 0 && node->type != TOML_TABLE)
            return refuse(c, node, F5_E_ARGUMENT, "voices is no value: [voices.NAME] begins a voice", error);
        if (strcmp(node->path, "voices") == 0) continue;
        if (strncmp(node->path, "voices.", 7) == 0)
            F5_TRY(take_voice(c, node, command, error));
        else
            F5_TRY(take_option(c, node, options, command, error));
    }
    for (int i = 0; i < c->n_voices; i++)
        if (!c->voice[i].ref_audio)
            return text_line_error(error, F5_E_ARGUMENT, c->toml.file, c->voice[i].line,
                                   "voice %s has no ref_audio: give it a recording", c->voice[i].name);
    return F5_OK;
}

void config_close(config_file *c) {
    for (int i = 0; i < c->n_owned; i++) free(c->owned[i]);
    free(c->owned);
    toml_free(&c->toml);
    *c = (config_file){0};
}
