/* commands.c — the list of subcommands: their names, what runs them, and what they do in a few words. */
#include "host/program/commands.h"

#include <stdio.h>
#include <string.h>

#include "host/program/cli.h"

const subcommand commands[] = {
    {"infer", cmd_infer, "speak a text in the voice of a recording, or in several"},
    {"batch", cmd_batch, "speak every line of a list, each into a file of its own"},
    {"edit", cmd_edit, "replace words of a recording"},
    {"check-voice", cmd_check_voice, "say what is good and what is not about a recording"},
    {"convert", cmd_convert, "make a .f5 model file of upstream's checkpoint, configuration, vocabulary and vocoder"},
    {"pull", cmd_pull, "fetch a model by its name from the model hub"},
    {"models", cmd_models, "list the models that are on this machine"},
    {"tune", cmd_tune, "try a model's precisions and solver settings, and recommend one"},
    {"info", cmd_info, "show what a .f5 file holds, and what running it would take"},
    {"serve", cmd_serve, "speak for other programs, over HTTP"},
    {"triton-repo", cmd_triton_repo, "make the models' folder for Triton Inference Server"},
    {"completion", cmd_completion, "print what completes f5tts in bash, zsh or fish"},
    {NULL, NULL, NULL}};

const subcommand *commands_find(const char *name) {
    for (const subcommand *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0) return c;
    return NULL;
}

const char *commands_instead(const char *name) {
    static const struct {
        const char *name, *instead;
    } known[] = {{"infer-cli", "`f5tts infer` is it"},
                 {"infer-gradio", "there is no Gradio app; `f5tts serve` has a page for browsers"},
                 {"gradio", "there is no Gradio app; `f5tts serve` has a page for browsers"},
                 {"socket_server", "`f5tts serve` is the server"},
                 {"speech_edit", "`f5tts edit` is it"},
                 {"finetune-cli", "nothing is trained here; `f5tts convert` takes what upstream's training makes"},
                 {"finetune-gradio", "nothing is trained here; `f5tts convert` takes what upstream's training makes"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0) return known[i].instead;
    return NULL;
}

int commands_show(const subcommand *command, const char *word) {
    char name[32], asked[32];
    snprintf(name, sizeof name, "%s", command->name);
    snprintf(asked, sizeof asked, "%s", word);
    char *argv[] = {name, asked, NULL};
    return command->run(2, argv);
}
