/* cli_help.c — the help text of a command, and the sentence that describes an option wherever it is described. */
#include "host/program/cli_help.h"

#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

const cli_exit_meaning cli_exit_meanings[] = {{"0", "done"},
                                              {"1", "the work failed; the message says why"},
                                              {"2", "the command line is wrong"},
                                              {"128+N", "ended by signal N, as by Ctrl-C (130)"},
                                              {NULL, NULL}};

/* ---- an option in words ------------------------------------------------------------------------------------------ */

bool cli_is_told(const cli_option *o) {
    return o->type != CLI_HEADING;
}

const char *cli_argument(const cli_option *o) {
    return o->type == CLI_FLAG ? "" : o->argument ? o->argument : "VALUE";
}

const char *cli_words(const cli_option *o) {
    return o->type == CLI_CHOICE ? o->argument : o->words;
}

void cli_default(const cli_option *o, char *to, size_t room) {
    *to = '\0';
    const char *text = NULL;
    if (o->type == CLI_FLAG || o->required) return;
    if (o->usual) {
        snprintf(to, room, "%s", o->usual);
        return;
    }
    switch (o->type) {
    case CLI_INT:
        snprintf(to, room, "%d", (int)*(const int32_t *)o->value);
        break;
    case CLI_FLOAT:
        snprintf(to, room, "%g", (double)*(const float *)o->value);
        break;
    case CLI_UINT64:
        snprintf(to, room, "%llu", (unsigned long long)*(const uint64_t *)o->value);
        break;
    case CLI_CHOICE: {
        const char *word = o->argument;
        for (int32_t i = *(const int32_t *)o->value; i > 0; i--) word += strcspn(word, "|") + 1;
        snprintf(to, room, "%.*s", (int)strcspn(word, "|"), word);
        break;
    }
    case CLI_STRING:
    case CLI_TEXT:
        text = *(const char *const *)o->value;
        if (text && strpbrk(text, " \t")) {
            snprintf(to, room, "\"%s\"", text);
            break;
        } /* fall through */
    default:
        snprintf(to, room, "%s", text ? text : "none");
    }
}

/* "fp32, fp16, bf16" of "fp32|fp16|bf16". */
static void list_words(char *to, size_t room, const char *words) {
    size_t n = 0;
    for (; *words && n + 3 < room; words++) {
        to[n++] = *words == '|' ? ',' : *words;
        if (*words == '|') to[n++] = ' ';
    }
    to[n] = '\0';
}

/* Appends a fact about the value; the first opens a bracket. */
static void add_fact(char to[CLI_DESCRIPTION_MAX], bool *open, const char *format, ...) {
    size_t n = strlen(to);
    n += (size_t)snprintf(to + n, CLI_DESCRIPTION_MAX - n, *open ? "; " : " (");
    *open = true;
    if (n >= CLI_DESCRIPTION_MAX) return;
    va_list args;
    va_start(args, format);
    vsnprintf(to + n, CLI_DESCRIPTION_MAX - n, format, args);
    va_end(args);
}

void cli_describe(const cli_option *o, char to[CLI_DESCRIPTION_MAX]) {
    char text[256];
    const char *unit = o->unit ? o->unit : "", *space = *unit ? " " : "";
    bool open = false;
    snprintf(to, CLI_DESCRIPTION_MAX, "%s", o->help);
    if (o->type == CLI_INT) add_fact(to, &open, "%.0f to %.0f%s%s", o->min, o->max, space, unit);
    if (o->type == CLI_FLOAT) add_fact(to, &open, "%g to %g%s%s", o->min, o->max, space, unit);
    if (o->type == CLI_UINT64) add_fact(to, &open, "0 to 18446744073709551615");
    if (o->words) {
        list_words(text, sizeof text, o->words);
        add_fact(to, &open, "%s", text);
    }
    if (o->type == CLI_LIST) add_fact(to, &open, "may be given again");
    if (o->required) add_fact(to, &open, "required");
    cli_default(o, text, sizeof text);
    if (*text) add_fact(to, &open, "default %s", text);
    if (open && strlen(to) + 1 < CLI_DESCRIPTION_MAX) strcat(to, ")");
}

/* ---- the page ---------------------------------------------------------------------------------------------------- */

/* Columns that a line may have: the terminal's, else those that everybody has. */
static int line_columns(void) {
    struct winsize size;
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col < 60 ? 60 : size.ws_col > 100 ? 100 : size.ws_col;
}

void cli_print_wrapped(const char *text, int column, int indent) {
    const int columns = line_columns();
    if (column > 0 && column >= indent) putchar('\n'), column = 0;
    for (bool first = true; *text; first = false) {
        size_t word = strcspn(text, " ");
        if (!first && column + 1 + (int)word > columns) {
            putchar('\n');
            column = 0, first = true;
        }
        if (first)
            for (; column < indent; column++) putchar(' ');
        else
            putchar(' '), column++;
        printf("%.*s", (int)word, text);
        column += (int)word;
        text += word;
        text += strspn(text, " ");
    }
    putchar('\n');
}

void cli_print_names(const cli_option *o, const char *mark, const char *unmark) {
    if (o->letters) printf("%s-%s%s, ", mark, o->letters, unmark);
    const char *argument = cli_argument(o);
    printf("%s--%s%s%s%s", mark, o->name, unmark, *argument ? " " : "", argument);
}

static int names_columns(const cli_option *o) {
    const char *argument = cli_argument(o);
    return (int)((o->letters ? strlen(o->letters) + 3 : 0) + strlen(o->name) + 2 +
                 (*argument ? strlen(argument) + 1 : 0));
}

/* Paragraphs of the summary: a line each. */
static void print_summary(const char *text) {
    while (*text) {
        char line[1024];
        size_t n = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", (int)n, text);
        cli_print_wrapped(line, 0, 0);
        text += n + (text[n] == '\n');
    }
}

static void print_help(const cli_command *command) {
    enum { TEXT = 30 };
    const bool colours = cli_colours(stdout);
    const char *bold = colours ? "\033[1m" : "", *plain = colours ? "\033[0m" : "";
    printf("usage: %s %s\n", command->program, command->usage);
    if (command->summary) {
        putchar('\n');
        print_summary(command->summary);
    }
    if (!command->options->name || command->options->type != CLI_HEADING) printf("\n%sOptions%s\n", bold, plain);
    for (const cli_option *o = command->options; o->name; o++) {
        if (o->type == CLI_HEADING) printf("\n%s%s%s\n", bold, o->name, plain);
        if (!cli_is_told(o)) continue;
        char text[CLI_DESCRIPTION_MAX];
        cli_describe(o, text);
        printf("  ");
        cli_print_names(o, bold, plain);
        cli_print_wrapped(text, 2 + names_columns(o), TEXT);
    }
    printf("  %s-h%s, %s--help%s%*sshow this and exit\n", bold, plain, bold, plain, TEXT - 12, "");
    if (command->examples) printf("\n%sExamples%s\n%s", bold, plain, command->examples);
    printf("\n%sExit codes%s\n", bold, plain);
    for (const cli_exit_meaning *e = cli_exit_meanings; e->code; e++) printf("  %-7s %s\n", e->code, e->meaning);
}

/* ---- the table, for programs: a line each, tabs between ---------------------------------------------------------- */

static void print_table(const cli_command *command) {
    static const char *const types[] = {"flag",   "string", "text", "int",    "float",
                                        "uint64", "choice", "list", "heading"};
    static const char *const kinds[] = {"any", "file", "folder", "voice", "model"};
    const char *heading = "";
    for (const cli_option *o = command->options; o->name; o++) {
        if (o->type == CLI_HEADING) heading = o->name;
        if (o->type == CLI_HEADING) continue;
        char usual[256], text[CLI_DESCRIPTION_MAX];
        cli_default(o, usual, sizeof usual);
        cli_describe(o, text);
        printf("%s\t%s\t%s\t%s\t%s\t", o->name, o->letters ? o->letters : "", types[o->type], cli_argument(o),
               o->unit ? o->unit : "none");
        printf("%.15g\t%.15g\t%s\t%s\t%s\t%s\t%s\t%s\n", o->min, o->max, usual, kinds[o->kind],
               cli_words(o) ? cli_words(o) : "", o->required ? "required" : "", heading, text);
    }
}

bool cli_help(const cli_command *command, const char *word) {
    static const struct {
        const char *word;
        void (*print)(const cli_command *command);
    } forms[] = {{"-h", print_help},
                 {"--help", print_help},
                 {"--help=man", cli_print_man},
                 {"--help=bash", cli_print_bash},
                 {"--help=zsh", cli_print_zsh},
                 {"--help=fish", cli_print_fish},
                 {"--help=table", print_table}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(word, forms[i].word) != 0) continue;
        forms[i].print(command);
        return true;
    }
    return false;
}
