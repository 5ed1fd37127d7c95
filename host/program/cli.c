/* cli.c — one parser for all subcommands, driven by their option tables. */
#include "host/program/cli.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "host/program/cli_help.h"

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
        if (o->type == CLI_HEADING) continue;
        if (is_long && same_name(o->name, text, length)) return o;
        if (!is_long && o->letters && strlen(o->letters) == length && memcmp(o->letters, text, length) == 0) return o;
    }
    return NULL;
}

/* What the C library reads beyond that, blanks, "inf" and 0x10, is no number here. */
static bool is_decimal(const char *text) {
    return *text && text[strspn(text, "+-.eE0123456789")] == '\0';
}

static bool parse_int(const char *text, int64_t *value) {
    if (!is_decimal(text)) return false;
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
    if (!is_decimal(text)) return false;
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v)) return false;
    *value = v;
    return true;
}

int32_t cli_find_word(const char *words, const char *text) {
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
        int32_t choice = cli_find_word(o->argument, text);
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
    case CLI_HEADING:
        return f5_fail(error, F5_E_ARGUMENT, "%s is no option", o->name);
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

/* ---- parser ------------------------------------------------------------------------------------------------------ */

/* Goes over the words once. Values are stored on request only: a first round looks for --help and for what is no
 * option.
 */
static cli_outcome walk(const cli_command *command, int argc, char **argv, bool store) {
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
            if (store) command->positional[n_positional] = arg;
            n_positional++;
            continue;
        }
        if (strncmp(arg, "--help", 6) == 0 || strcmp(arg, "-h") == 0) {
            if (cli_help(command, arg)) return CLI_HELP_SHOWN;
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
        if (o->type != CLI_FLAG) {
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
        if (store && store_value(o, value, &error) != F5_OK) {
            cli_usage_error(command, "--%s", error.message);
            return CLI_BAD_USAGE;
        }
    }
    if (store && command->n_positional) *command->n_positional = n_positional;
    return CLI_RUN;
}

static bool is_missing(const cli_option *o) {
    if (!o->required) return false;
    return o->type == CLI_LIST ? ((const cli_list *)o->value)->count == 0 : !*(const char *const *)o->value;
}

cli_outcome cli_parse(const cli_command *command, int argc, char **argv) {
    cli_outcome outcome = walk(command, argc, argv, false);
    if (outcome == CLI_RUN) outcome = walk(command, argc, argv, true);
    if (outcome != CLI_RUN) return outcome;
    for (const cli_option *o = command->options; o->name; o++) {
        if (!is_missing(o)) continue;
        cli_usage_error(command, "--%s is required: %s, %s", o->name, o->argument, o->help);
        return CLI_BAD_USAGE;
    }
    return CLI_RUN;
}

int cli_exit_code(cli_outcome outcome) {
    return outcome == CLI_BAD_USAGE ? CLI_EXIT_USAGE : CLI_EXIT_OK;
}
