/* command_options.c — the command line is read twice: to learn of the file, and then over what the file said. */
#include "host/program/command_options.h"

#include <string.h>

static bool is_file_name(const char *model) {
    return model && strpbrk(model, "/.");
}

/* What the command line says about the text, the voice or the model replaces all that the file says about it. The name
 * of a model says what its files are of, and so goes with them. */
static void drop_replaced(speech_options *o, const speech_options *line, const char *usual_text) {
    if (line->gen_text != usual_text && !line->gen_file) o->gen_file = NULL;
    if (line->ref_audio || line->voice) o->ref_audio = o->ref_text = o->voice = NULL;
    if (is_file_name(line->model)) {
        o->ckpt_file = o->vocab_file = o->model_cfg = NULL;
        o->load_vocoder_from_local = false;
    }
    if (line->ckpt_file && is_file_name(o->model)) o->model = NULL;
}

cli_outcome command_options_parse(cli_command *command, cli_option table[SPEECH_OPTIONS_MAX], speech_options *o,
                                  command_table fill, void *user, const char **config_path, config_file *config,
                                  int argc, char **argv) {
    *config = (config_file){0};
    speech_options_init(o);
    const char *usual_text = o->gen_text;
    fill(table, o, user);
    command->options = table;
    cli_outcome outcome = cli_parse(command, argc, argv);
    if (outcome != CLI_RUN || !*config_path) return outcome;
    speech_options line = *o;
    f5_error error;
    speech_options_init(o);
    if (config_open(config, *config_path, table, command, &error) != F5_OK) {
        cli_usage_error(command, "%s", error.message);
        return CLI_BAD_USAGE;
    }
    drop_replaced(o, &line, usual_text);
    return cli_parse(command, argc, argv);
}
