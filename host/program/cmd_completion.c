/* cmd_completion.c — `f5tts completion SHELL`: what completes f5tts in that shell, made of the tables of all commands.
 * `completion voices` and `completion models` print the names of what there is, for which the shells ask. */
#include <stdio.h>
#include <string.h>

#include "host/hub/hub_place.h"
#include "host/hub/model_names.h"
#include "host/program/cli_help.h"
#include "host/program/commands.h"
#include "host/program/shipped.h"

static void print_bash(void) {
    puts(
        "# f5tts in bash: source <(f5tts completion bash)\n"
        "_f5tts_ask() { \"$1\" completion \"$2\" 2> /dev/null; }\n"
        "# names, as they are: compgen -W would run a command that stands in one\n"
        "_f5tts_names() {\n"
        "    local name\n"
        "    while IFS= read -r name; do\n"
        "        [[ $name == \"$word\"* ]] && COMPREPLY+=(\"$name\")\n"
        "    done\n"
        "}\n"
        "_f5tts() {\n"
        "    local program=${COMP_WORDS[0]} command=${COMP_WORDS[1]} word=${COMP_WORDS[COMP_CWORD]}\n"
        "    local option=${COMP_WORDS[COMP_CWORD - 1]} options= kind= words= value= IFS=$' \\t\\n'\n"
        "    COMPREPLY=()\n"
        "    if ((COMP_CWORD == 1)); then\n"
        "        COMPREPLY=($(compgen -W \"$(_f5tts_ask \"$program\" commands) help --help --version\" -- \"$word\"))\n"
        "        return\n"
        "    fi\n"
        "    # bash cuts --name=value into three words\n"
        "    [[ $word == = ]] && word=\n"
        "    [[ $option == = ]] && option=${COMP_WORDS[COMP_CWORD - 2]}\n"
        "    [[ $option == --* ]] && option=--${option:2:1}$(printf %s \"${option:3}\" | tr - _)\n"
        "    case $command in\n"
        "    help | --help) words=$(_f5tts_ask \"$program\" commands) ;;");
    for (const subcommand *c = commands; c->name; c++) commands_show(c, "--help=bash");
    puts("    esac\n"
         "    if [[ -z $value && $word == -* ]]; then\n"
         "        COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
         "        return\n"
         "    fi\n"
         "    [[ -n $words ]] && COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "    [[ -n $kind ]] && compopt -o filenames 2> /dev/null\n"
         "    case $kind in\n"
         "    voice | model) _f5tts_names < <(_f5tts_ask \"$program\" ${kind}s) ;;\n"
         "    esac\n"
         "    case $kind in\n"
         "    file | model) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- \"$word\") ;;\n"
         "    folder) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- \"$word\") ;;\n"
         "    esac\n"
         "}\n"
         "complete -F _f5tts f5tts");
}

/* What a shell shows beside a command, in single quotes. */
static void print_quoted(const char *text) {
    for (; *text; text++) *text == '\'' ? (void)fputs("'\\''", stdout) : (void)putchar(*text);
}

static void print_zsh(void) {
    puts("#compdef f5tts\n"
         "# f5tts in zsh: a file _f5tts in a folder of $fpath, or source <(f5tts completion zsh)\n"
         "_f5tts_ask() {\n"
         "    local -a found\n"
         "    found=(${(f)\"$($f5tts_program completion $1 2> /dev/null)\"})\n"
         "    compadd -a found\n"
         "    [[ $1 == models ]] && _files\n"
         "}\n"
         "_f5tts() {\n"
         "    local f5tts_program=$words[1] f5tts_command=$words[2]\n"
         "    local -a known=(");
    for (const subcommand *c = commands; c->name; c++) {
        printf("        '%s:", c->name);
        print_quoted(c->brief);
        puts("'");
    }
    puts("        'help:show the help of a command'\n"
         "    )\n"
         "    if ((CURRENT == 2)); then\n"
         "        _describe command known\n"
         "        return\n"
         "    fi\n"
         "    shift words\n"
         "    ((CURRENT--))\n"
         "    case $f5tts_command in\n"
         "    (help)\n"
         "        _describe command known\n"
         "        ;;");
    for (const subcommand *c = commands; c->name; c++) commands_show(c, "--help=zsh");
    puts("    esac\n"
         "}\n"
         "if [[ $funcstack[1] == _f5tts ]]; then _f5tts \"$@\"; else compdef _f5tts f5tts; fi");
}

static void print_fish(void) {
    puts("# f5tts in fish: f5tts completion fish | source\n"
         "function __f5tts_ask\n"
         "    set -l words (commandline -opc)\n"
         "    $words[1] completion $argv[1] 2>/dev/null\n"
         "end\n"
         "complete -c f5tts -f\n"
         "complete -c f5tts -n __fish_use_subcommand -a help -d 'show the help of a command'");
    for (const subcommand *c = commands; c->name; c++) {
        printf("complete -c f5tts -n __fish_use_subcommand -a %s -d '", c->name);
        print_quoted(c->brief);
        puts("'");
        printf("complete -c f5tts -n '__fish_seen_subcommand_from help' -a %s\n", c->name);
        commands_show(c, "--help=fish");
    }
}

static void print_commands(void) {
    for (const subcommand *c = commands; c->name; c++) puts(c->name);
}

static void print_name(void *user, const char *name) {
    (void)user;
    puts(name);
}

static void print_voices(void) {
    shipped_each(SHIPPED_VOICES, ".wav", print_name, NULL);
}

/* Upstream's, and those in the program's own folder. */
static void print_models(void) {
    hub_place place;
    const model_kind *kind;
    for (int i = 0; (kind = model_kind_at(i)); i++) puts(kind->name);
    if (hub_place_find(&place, NULL) == F5_OK) each_stem(place.models, ".f5", print_name, NULL);
    hub_place_free(&place);
}

int cmd_completion(int argc, char **argv) {
    static const struct {
        const char *word;
        void (*print)(void);
    } answers[] = {{"bash", print_bash},         {"zsh", print_zsh},       {"fish", print_fish},
                   {"commands", print_commands}, {"voices", print_voices}, {"models", print_models}};
    const char *wanted = NULL;
    int given = 0;
    const cli_option options[] = {{0}};
    const cli_command command = {.program = "f5tts completion",
                                 .usage = "bash|zsh|fish",
                                 .summary = "Prints what completes commands, options, their values, files, voices and "
                                            "models in that shell. `make install` puts it where the shells look.\n\n"
                                            "commands, voices and models print the names that there are.\n",
                                 .options = options,
                                 .positional = &wanted,
                                 .max_positional = 1,
                                 .n_positional = &given,
                                 .positional_words = "bash|zsh|fish|commands|voices|models",
                                 .examples = "# in bash, for this session\nsource <(f5tts completion bash)\n"};
    cli_outcome outcome = cli_parse(&command, argc, argv);
    if (outcome != CLI_RUN) return cli_exit_code(outcome);
    if (given == 0) return cli_usage_error(&command, "for which shell? bash, zsh or fish");
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        if (strcmp(wanted, answers[i].word) != 0) continue;
        answers[i].print();
        return CLI_EXIT_OK;
    }
    return cli_usage_error(&command, "%s: there are bash, zsh and fish", wanted);
}
