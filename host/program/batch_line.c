/* batch_line.c — a line's values are options, set by name over a copy of those of the run. */
#include "host/program/batch_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/program/shipped.h"
#include "host/program/speech_output.h"

/* Options that a line may have; text and output under these names, the rest as on the command line. */
static void line_table(cli_option *to, speech_options *o) {
    *to++ = (cli_option){"text", .type = CLI_TEXT, .value = &o->gen_text};
    *to++ = (cli_option){"gen_text", .type = CLI_TEXT, .value = &o->gen_text};
    *to++ = (cli_option){"gen_file", .type = CLI_STRING, .value = &o->gen_file};
    *to++ = (cli_option){"output", .type = CLI_STRING, .value = &o->output_file};
    *to++ = (cli_option){"output_file", .type = CLI_STRING, .value = &o->output_file};
    *to++ = (cli_option){"output_dir", .type = CLI_STRING, .value = &o->output_dir};
    to = speech_options_voice(to, o);
    to = speech_options_text(to, o);
    to = speech_options_speech(to, o);
    to = speech_options_solver(to, o);
    to = speech_options_output(to, o);
    to = speech_options_files(to, o);
    *to = (cli_option){0};
}

bool batch_is_name(void *user, const char *name) {
    (void)user;
    cli_option table[SPEECH_OPTIONS_MAX];
    speech_options o;
    line_table(table, &o);
    return cli_find(table, name) != NULL;
}

/* A voice by its name: one of the configuration, or one that comes with the program. */
static f5_status find_voice(batch_line *b, const config_file *config, transcriber *t, f5_error *error) {
    b->config_voice = -1;
    if (b->o.one_voice) return F5_OK;
    if (b->o.ref_audio) return voice_files_named(&b->files, b->o.ref_audio, b->o.ref_text, t, b->o.keep_whole, error);
    for (int i = 0; b->o.voice && i < config->n_voices; i++) {
        if (strcmp(config->voice[i].name, b->o.voice) != 0) continue;
        b->config_voice = i;
        if (b->o.speed == 0) b->o.speed = config->voice[i].speed;
        return F5_OK;
    }
    return voice_files_shipped(&b->files, b->o.voice ? b->o.voice : SHIPPED_VOICE, error);
}

/* Copies the line's texts, sets the options. */
static f5_status set_values(batch_line *b, const list_line *line, f5_error *error) {
    size_t bytes = 0;
    for (int32_t i = 0; i < line->count; i++) bytes += strlen(line->value[i].value) + 1;
    b->memory = malloc(bytes + 1);
    if (!b->memory) return f5_fail(error, F5_E_MEMORY, "no memory for a line");
    cli_option table[SPEECH_OPTIONS_MAX];
    line_table(table, &b->o);
    char *at = b->memory;
    for (int32_t i = 0; i < line->count; i++) {
        size_t length = strlen(line->value[i].value) + 1;
        memcpy(at, line->value[i].value, length);
        F5_TRY(cli_set(table, line->value[i].name, at, error));
        at += length;
    }
    return F5_OK;
}

static f5_status make(batch_line *b, const list_line *line, const config_file *config, transcriber *t,
                      f5_error *error) {
    const speech_options usual = b->o;
    b->o.gen_text = b->o.gen_file = b->o.output_file = NULL;
    b->o.voice = b->o.ref_audio = b->o.ref_text = NULL;
    F5_TRY(set_values(b, line, error));
    if (!b->o.voice && !b->o.ref_audio) { /* no voice of its own */
        if (b->o.ref_text) return f5_fail(error, F5_E_ARGUMENT, "ref_text: the words of which recording?");
        b->o.voice = usual.voice, b->o.ref_audio = usual.ref_audio, b->o.ref_text = usual.ref_text;
    }
    if (!b->o.gen_file && f5_text_is_blank(b->o.gen_text))
        return f5_fail(error, F5_E_ARGUMENT, "the text to speak is empty");
    F5_TRY(speech_options_check(&b->o, error));
    F5_TRY(speech_options_fit(&b->o, "this model", error));
    char name[32];
    snprintf(name, sizeof name, "%06d.%s", (int)line->number, speech_output_extension(&b->o));
    b->path = speech_output_path(&b->o, name);
    if (!b->path) return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
    if (output_goes_to_stdout(b->path))
        return f5_fail(error, F5_E_ARGUMENT, "output %s: a list's lines go into files", b->path);
    return find_voice(b, config, t, error);
}

f5_status batch_line_make(batch_line *b, const list_line *line, const speech_options *usual, const config_file *config,
                          transcriber *t, f5_error *error) {
    *b = (batch_line){.number = line->number, .o = *usual};
    f5_status status = make(b, line, config, t, error);
    if (status != F5_OK) batch_line_free(b);
    return status;
}

void batch_line_free(batch_line *b) {
    free(b->memory);
    free(b->path);
    voice_files_free(&b->files);
    *b = (batch_line){0};
}
