/* cli_man.c — a command's manual page, in the macros of man(7). */
#include <string.h>

#include "host/api/f5tts.h"
#include "host/program/cli_help.h"
#include "host/program/commands.h"

void cli_man_text(const char *text) {
    bool start = true; /* of a line: a dot or an apostrophe there would be a request */
    for (; *text; start = *text == '\n', text++) {
        if (start && (*text == '.' || *text == '\'')) fputs("\\&", stdout);
        switch (*text) {
        case '\\':
            fputs("\\e", stdout);
            break;
        case '-':
            fputs("\\-", stdout);
            break;
        case '\'':
            fputs("\\(aq", stdout);
            break;
        case '`':
            fputs("\\(ga", stdout);
            break;
        case '^':
            fputs("\\(ha", stdout);
            break;
        case '~':
            fputs("\\(ti", stdout);
            break;
        default:
            putchar(*text);
        }
    }
}

static void print_option(const cli_option *o) {
    char text[CLI_DESCRIPTION_MAX];
    const char *argument = cli_argument(o);
    printf(".TP\n");
    if (o->letters) {
        printf("\\fB\\-");
        cli_man_text(o->letters);
        printf("\\fR, ");
    }
    printf("\\fB\\-\\-");
    cli_man_text(o->name);
    printf("\\fR");
    if (*argument) {
        printf(" \\fI");
        cli_man_text(argument);
        printf("\\fR");
    }
    putchar('\n');
    cli_describe(o, text);
    cli_man_text(text);
    putchar('\n');
}

static void print_paragraphs(const char *text) {
    while (*text) {
        char line[1024];
        size_t n = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", (int)n, text);
        if (n == 0)
            printf(".PP");
        else
            cli_man_text(line);
        putchar('\n');
        text += n + (text[n] == '\n');
    }
}

void cli_print_man(const cli_command *command) {
    const char *name = command->program + strlen("f5tts ");
    const subcommand *c = commands_find(name);
    printf(".TH \"F5TTS\\-");
    for (const char *letter = name; *letter; letter++)
        *letter == '-' ? (void)fputs("\\-", stdout) : (void)putchar(*letter >= 'a' ? *letter - 'a' + 'A' : *letter);
    printf("\" 1 \"\" \"f5tts %s\" \"f5tts manual\"\n.SH NAME\nf5tts\\-", f5_version());
    cli_man_text(name);
    printf(" \\- ");
    cli_man_text(c ? c->brief : name);
    printf("\n.SH SYNOPSIS\n\\fBf5tts ");
    cli_man_text(name);
    printf("\\fR ");
    cli_man_text(command->usage);
    printf("\n.SH DESCRIPTION\n");
    print_paragraphs(command->summary ? command->summary : "");
    printf(".SH OPTIONS\nDashes and underscores are the same in a name. A value follows as another word or behind =. "
           "Of an "
           "option that is given twice the last one counts.\n");
    for (const cli_option *o = command->options; o->name; o++) {
        if (o->type == CLI_HEADING) printf(".SS \"%s\"\n", o->name);
        if (cli_is_told(o)) print_option(o);
    }
    printf(".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nshow the options and exit\n");
    if (command->examples) {
        printf(".SH EXAMPLES\n.EX\n");
        cli_man_text(command->examples);
        printf(".EE\n");
    }
    printf(".SH EXIT STATUS\n");
    for (const cli_exit_meaning *e = cli_exit_meanings; e->code; e++)
        printf(".TP\n\\fB%s\\fR\n%s\n", e->code, e->meaning);
    printf(".SH SEE ALSO\n.BR f5tts (1)");
    for (c = commands; c->name; c++) {
        if (strcmp(c->name, name) == 0) continue;
        printf(",\n.BR f5tts\\-");
        cli_man_text(c->name);
        printf(" (1)");
    }
    putchar('\n');
}
