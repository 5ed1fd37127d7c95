/* cli.c — one parser for all subcommands, driven by their option tables, and what they print alike: help, complaints,
 * progress. */
#include "host/program/cli.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- names and values -------------------------------------------------------------------------------------------- */

/* Does the option's name equal the first `length` bytes of `text`, dashes and underscores alike? */
static bool same_name(const char *name, const char *text, size_t length) {
    if (strlen(name) != length) return false;
    for (size_t i = 0; i < length; i++) {
        char a = name[i] == '-' ? '_' : name[i], b = text[i] == '-' ? '_' : text[i];
        if (a != b) return false;
    }
    return true;
}

static const cli_option *find_option(const cli_option *options, const char *text, size_t length, bool is_long) {
    for (const cli_option *o = options; o->name; o++) {
        if (is_long && same_name(o->name, text, length)) return o;
        if (!is_long && o->letters && strlen(o->letters) == length && memcmp(o->letters, text, length) == 0) return o;
    }
    return NULL;
}

static bool parse_int(const char *text, int64_t *value) {
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno) return false;
    *value = v;
    return true;
}

static bool parse_uint64(const char *text, uint64_t *value) {
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno) return false;
    *value = v;
    return true;
}

static bool parse_float(const char *text, double *value) {
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v)) return false;
    *value = v;
    return true;
}

/* Which of the words in "main|text|drop" it is; -1: none. */
static int32_t find_choice(const char *words, const char *text) {
    size_t length = strlen(text);
    for (int32_t i = 0;; i++) {
        size_t word = strcspn(words, "|");
        if (word == length && memcmp(words, text, length) == 0) return i;
        if (!words[word]) return -1;
        words += word + 1;
    }
}

/* Stores one value; says what is wrong with it otherwise, beginning with the option's name. */
static f5_status store_value(const cli_option *o, const char *text, f5_error *error) {
    switch (o->type) {
    case CLI_FLAG:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return f5_fail(error, F5_E_ARGUMENT, "%s %s: must be true or false", o->name, text);
        *(bool *)o->value = *text == 't';
        break;
    case CLI_TEXT:
        *(const char **)o->value = text;
        break;
    case CLI_STRING:
        if (!*text) return f5_fail(error, F5_E_ARGUMENT, "%s must not be empty", o->name);
        *(const char **)o->value = text;
        break;
    case CLI_INT: {
        int64_t v;
        if (!parse_int(text, &v) || (double)v < o->min || (double)v > o->max)
            return f5_fail(error, F5_E_ARGUMENT, "%s %s: must be a whole number from %.0f to %.0f", o->name, text,
                           o->min, o->max);
        *(int32_t *)o->value = (int32_t)v;
        break;
    }
    case CLI_FLOAT: {
        double v;
        if (!parse_float(text, &v) || v < o->min || v > o->max)
            return f5_fail(error, F5_E_ARGUMENT, "%s %s: must be a number from %g to %g", o->name, text, o->min,
                           o->max);
        *(float *)o->value = (float)v;
        break;
    }
    case CLI_UINT64:
        if (!parse_uint64(text, o->value))
            return f5_fail(error, F5_E_ARGUMENT, "%s %s: must be a whole number from 0 to 18446744073709551615",
                           o->name, text);
        break;
    case CLI_CHOICE: {
        int32_t choice = find_choice(o->argument, text);
        if (choice < 0) return f5_fail(error, F5_E_ARGUMENT, "%s %s: must be one of %s", o->name, text, o->argument);
        *(int32_t *)o->value = choice;
        break;
    }
    case CLI_LIST: {
        cli_list *list = o->value;
        if (list->count == CLI_LIST_MAX)
            return f5_fail(error, F5_E_ARGUMENT, "%s: is given more than %d times", o->name, CLI_LIST_MAX);
        list->item[list->count++] = text;
        break;
    }
    case CLI_UNSUPPORTED:
        return f5_fail(error, F5_E_ARGUMENT, "%s is not supported yet: %s", o->name, o->help);
    }
    if (o->given) *o->given = true;
    return F5_OK;
}

const cli_option *cli_find(const cli_option *options, const char *name) {
    return find_option(options, name, strlen(name), true);
}

f5_status cli_set(const cli_option *options, const char *name, const char *text, f5_error *error) {
    const cli_option *o = cli_find(options, name);
    return o ? store_value(o, text, error) : f5_fail(error, F5_E_ARGUMENT, "%s is no option", name);
}

/* ---- help -------------------------------------------------------------------------------------------------------- */

static void print_help(const cli_command *command) {
    printf("usage: %s %s\n", command->program, command->usage);
    if (command->summary) printf("\n%s", command->summary);
    printf("\noptions:\n");
    for (const cli_option *o = command->options; o->name; o++) {
        if (o->type == CLI_UNSUPPORTED) continue;
        char left[80];
        const char *argument = o->type == CLI_FLAG ? "" : o->argument ? o->argument : "VALUE";
        snprintf(left, sizeof left, "  %s%s%s--%s%s%s", o->letters ? "-" : "", o->letters ? o->letters : "",
                 o->letters ? ", " : "", o->name, *argument ? " " : "", argument);
        if (strlen(left) > 33)
            printf("%s\n%-34s%s\n", left, "", o->help);
        else
            printf("%-34s%s\n", left, o->help);
    }
    printf("%-34s%s\n", "  -h, --help", "show this and exit");
}

/* ---- parser ------------------------------------------------------------------------------------------------------ */

cli_outcome cli_parse(const cli_command *command, int argc, char **argv) {
    int n_positional = 0;
    bool options_ended = false;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (!options_ended && strcmp(arg, "--") == 0) {
            options_ended = true;
            continue;
        }
        if (options_ended || arg[0] != '-' || !arg[1]) {
            if (n_positional >= command->max_positional) {
                cli_usage_error(command, "unexpected argument '%s'", arg);
                return CLI_BAD_USAGE;
            }
            command->positional[n_positional++] = arg;
            continue;
        }
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            print_help(command);
            return CLI_HELP_SHOWN;
        }
        bool is_long = arg[1] == '-';
        const char *name = arg + (is_long ? 2 : 1);
        const char *equals = is_long ? strchr(name, '=') : NULL;
        size_t length = equals ? (size_t)(equals - name) : strlen(name);
        const cli_option *o = find_option(command->options, name, length, is_long);
        if (!o) {
            cli_usage_error(command, "unknown option '%.*s'", (int)(name - arg + (ptrdiff_t)length), arg);
            return CLI_BAD_USAGE;
        }
        const char *value = "true"; /* a flag's */
        if (o->type == CLI_FLAG && equals) {
            cli_usage_error(command, "--%s takes no value", o->name);
            return CLI_BAD_USAGE;
        }
        if (o->type != CLI_FLAG && o->type != CLI_UNSUPPORTED) {
            if (equals)
                value = equals + 1;
            else if (i + 1 < argc && strncmp(argv[i + 1], "--", 2) != 0)
                value = argv[++i];
            else {
                cli_usage_error(command, "--%s needs a value (write --%s=VALUE if it begins with --)", o->name,
                                o->name);
                return CLI_BAD_USAGE;
            }
        }
        f5_error error;
        if (store_value(o, value, &error) != F5_OK) {
            cli_usage_error(command, "--%s", error.message);
            return CLI_BAD_USAGE;
        }
    }
    if (command->n_positional) *command->n_positional = n_positional;
    return CLI_RUN;
}

int cli_exit_code(cli_outcome outcome) {
    return outcome == CLI_BAD_USAGE ? CLI_EXIT_USAGE : CLI_EXIT_OK;
}

/* PROGRAM: WORDMESSAGE, on a line of its own on stderr. */
static void complain(const cli_command *command, const char *word, const char *format, va_list args) {
    char message[1024];
    vsnprintf(message, sizeof message, format, args);
    for (char *c = message; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    fprintf(stderr, "%s: %s%s\n", command->program, word, message);
}

int cli_usage_error(const cli_command *command, const char *format, ...) {
    va_list args;
    va_start(args, format);
    complain(command, "", format, args);
    va_end(args);
    fprintf(stderr, "try '%s --help'\n", command->program);
    return CLI_EXIT_USAGE;
}

int cli_failure(const cli_command *command, const char *format, ...) {
    va_list args;
    va_start(args, format);
    complain(command, "", format, args);
    va_end(args);
    return CLI_EXIT_FAILED;
}

void cli_warning(const cli_command *command, const char *format, ...) {
    va_list args;
    va_start(args, format);
    complain(command, "warning: ", format, args);
    va_end(args);
}

/* ---- progress ---------------------------------------------------------------------------------------------------- */

double cli_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void cli_progress_begin(cli_progress *progress, const char *label) {
    *progress =
        (cli_progress){.label = label, .started = cli_seconds(), .shown = -1, .terminal = isatty(STDERR_FILENO) != 0};
}

int cli_progress_report(void *user, int32_t step, int32_t steps) {
    cli_progress *p = user;
    enum { COLUMNS = 32 };
    if (steps <= 0 || step < 0 || step > steps) return 0;
    double elapsed = cli_seconds() - p->started;
    int32_t full = (int32_t)((int64_t)step * (p->terminal ? COLUMNS : 10) / steps);
    if (p->terminal) {
        char bar[COLUMNS + 1];
        memset(bar, '.', COLUMNS);
        memset(bar, '#', (size_t)full);
        bar[COLUMNS] = '\0';
        fprintf(stderr, "\r%s [%s] %d/%d  %.1f s", p->label, bar, step, steps, elapsed);
        fflush(stderr);
    } else if (full > p->shown) {
        fprintf(stderr, "%s %d/%d  %.1f s\n", p->label, step, steps, elapsed);
    }
    p->shown = full;
    return 0;
}

void cli_progress_end(cli_progress *progress) {
    if (progress->terminal && progress->shown >= 0) fputc('\n', stderr);
}
