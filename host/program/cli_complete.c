/* cli_complete.c — a command's part of what completes it in a shell. A shell learns the names of options, and of each
 * value what it may be: words, a file, a folder, or a voice or a model, for which it asks `f5tts completion`. */
#include <string.h>

#include "host/program/cli_help.h"

static bool takes_value(const cli_option *o) {
    return o->type != CLI_FLAG;
}

static void print_spaced(const char *words) {
    for (; *words; words++) putchar(*words == '|' ? ' ' : *words);
}

/* ---- bash: a branch of the case over commands -------------------------------------------------------------------- */

/* What sets `words` and `kind` for a value. */
static void print_bash_value(cli_kind kind, const char *words) {
    static const char *const kinds[] = {"", "file", "folder", "voice", "model"};
    printf("kind='%s' words='", kinds[kind]);
    print_spaced(words ? words : "");
    printf("'");
}

void cli_print_bash(const cli_command *command) {
    printf("    %s)\n        options='", command->program + strlen("f5tts "));
    for (const cli_option *o = command->options; o->name; o++) {
        if (!cli_is_told(o)) continue;
        if (o->letters) printf("-%s ", o->letters);
        printf("--%s ", o->name);
    }
    printf("-h --help'\n        case $option in\n");
    for (const cli_option *o = command->options; o->name; o++) {
        if (!cli_is_told(o) || !takes_value(o)) continue;
        printf("        --");
        for (const char *letter = o->name; *letter; letter++) putchar(*letter == '-' ? '_' : *letter);
        if (o->letters) printf(" | -%s", o->letters);
        printf(") value=1 ");
        print_bash_value(o->kind, cli_words(o));
        printf(" ;;\n");
    }
    printf("        *) ");
    print_bash_value(command->positional_kind, command->positional_words);
    printf(" ;;\n        esac\n        ;;\n");
}

/* ---- zsh: a function of _arguments ------------------------------------------------------------------------------- */

/* Text inside single quotes and inside the brackets or between the colons of a specification. */
static void print_zsh_text(const char *text) {
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else if (strchr("[]:\\", *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

static void print_zsh_value(const char *argument, cli_kind kind, const char *words) {
    static const char *const kinds[] = {"", "_files", "_path_files -/", " _f5tts_ask voices", " _f5tts_ask models"};
    putchar(':');
    print_zsh_text(argument);
    putchar(':');
    if (words) {
        putchar('(');
        print_spaced(words);
        putchar(')');
    } else {
        printf("%s", kinds[kind]);
    }
}

void cli_print_zsh(const cli_command *command) {
    printf("    (%s)\n        _arguments \\\n", command->program + strlen("f5tts "));
    for (const cli_option *o = command->options; o->name; o++) {
        if (!cli_is_told(o)) continue;
        char text[CLI_DESCRIPTION_MAX];
        cli_describe(o, text);
        for (int round = o->letters ? 0 : 1; round < 2; round++) {
            printf("            '%s", o->type == CLI_LIST ? "*" : "");
            printf(round == 0 ? "-%s" : takes_value(o) ? "--%s=" : "--%s", round == 0 ? o->letters : o->name);
            putchar('[');
            print_zsh_text(text);
            putchar(']');
            if (takes_value(o)) print_zsh_value(cli_argument(o), o->kind, cli_words(o));
            printf("' \\\n");
        }
    }
    printf("            '-h[show the help]' '--help[show the help]'");
    if (command->max_positional > 0) {
        printf(" \\\n            '*");
        print_zsh_value("value", command->positional_kind, command->positional_words);
        putchar('\'');
    }
    printf("\n        ;;\n");
}

/* ---- fish: a line each ------------------------------------------------------------------------------------------- */

static void print_fish_text(const char *text) {
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\') putchar('\\');
        putchar(*text);
    }
}

static void print_fish_value(cli_kind kind, const char *words) {
    static const char *const kinds[] = {" -x", " -r -F", " -x -a '(__fish_complete_directories)'",
                                        " -x -a '(__f5tts_ask voices)'", " -r -F -a '(__f5tts_ask models)'"};
    if (words) {
        printf(" -x -a '");
        print_spaced(words);
        printf("'");
    } else {
        printf("%s", kinds[kind]);
    }
}

void cli_print_fish(const cli_command *command) {
    const char *name = command->program + strlen("f5tts ");
    for (const cli_option *o = command->options; o->name; o++) {
        if (!cli_is_told(o)) continue;
        char text[CLI_DESCRIPTION_MAX];
        cli_describe(o, text);
        printf("complete -c f5tts -n '__fish_seen_subcommand_from %s' -l %s", name, o->name);
        if (o->letters) printf(" -%s %s", o->letters[1] ? "o" : "s", o->letters);
        if (takes_value(o)) print_fish_value(o->kind, cli_words(o));
        printf(" -d '");
        print_fish_text(text);
        printf("'\n");
    }
    printf("complete -c f5tts -n '__fish_seen_subcommand_from %s' -l help -s h -d 'show the help'\n", name);
    if (command->max_positional == 0) return;
    printf("complete -c f5tts -n '__fish_seen_subcommand_from %s'", name);
    if (command->positional_words) {
        printf(" -a '");
        print_spaced(command->positional_words);
        printf("'\n");
    } else {
        printf("%s\n", command->positional_kind == CLI_FILE ? " -F" : "");
    }
}
