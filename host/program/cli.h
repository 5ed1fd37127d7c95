/* cli.h — the command line of every subcommand: an option table, its parser, and what is said on stderr.
 *
 * The table is the one source of all that is known of a command's options: the parser, the help text, the manual page
 * and the completion of shells are made of it (cli_help.h). A table ends with an entry without a name. '-' and '_' are
 * the same inside a name; values follow as `--name VALUE` or `--name=VALUE`, short names as `-x VALUE`. Where an option
 * is given twice the last one counts. `--` ends the options.
 * Exit codes: 0 done, 1 the work failed, 2 the command line is wrong. */
#ifndef F5_CLI_H
#define F5_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "kernels/error.h"

enum { CLI_EXIT_OK = 0, CLI_EXIT_FAILED = 1, CLI_EXIT_USAGE = 2 };

typedef enum {
    CLI_FLAG,    /* bool *; takes no value */
    CLI_STRING,  /* const char ** into argv; must not be empty */
    CLI_TEXT,    /* const char ** into argv; may be empty */
    CLI_INT,     /* int32_t * in min..max */
    CLI_FLOAT,   /* float * in min..max, finite */
    CLI_UINT64,  /* uint64_t *, whole range */
    CLI_CHOICE,  /* int32_t *: which of the words in `argument`, "main|text|drop", from 0 */
    CLI_LIST,    /* cli_list *: a text for each time that the option is given */
    CLI_HEADING, /* no option: `name` is the title of those that follow */
} cli_type;

/* What a text names, so that a shell can complete it. */
typedef enum { CLI_ANY, CLI_FILE, CLI_FOLDER, CLI_VOICE, CLI_MODEL } cli_kind;

#define CLI_LIST_MAX 256
typedef struct {
    const char *item[CLI_LIST_MAX]; /* [count] */
    int count;
} cli_list;

typedef struct {
    const char *name;    /* "nfe_step" */
    const char *letters; /* short name without '-', or NULL: "w", "mc" */
    cli_type type;
    void *value;          /* as the type says; holds the default before, and is untouched when not given */
    double min, max;      /* CLI_INT, CLI_FLOAT */
    const char *argument; /* what the help calls the value: "FILE" */
    const char *help;     /* what it is for, without range and default: those are told from the fields here */
    bool *given;          /* or NULL: set true when the option occurs */
    const char *unit;     /* of CLI_INT and CLI_FLOAT, never NULL there: "seconds", or "" of a number without one */
    const char *usual;    /* the default in words; NULL: *value is it, "none" where that is NULL */
    cli_kind kind;        /* of CLI_STRING, CLI_TEXT, CLI_LIST */
    const char *words;    /* or NULL: usual values of a string, "fp32|fp16|bf16"; others are not refused here */
    bool required;        /* of CLI_STRING, CLI_TEXT, CLI_LIST: a command line without it is wrong */
    bool typed_only;      /* a configuration may not set it: what it does is the user's own to ask for */
} cli_option;

typedef struct {
    const char *program; /* "f5tts infer": how messages begin */
    const char *usage;   /* after the program name: "--model FILE.f5 [options]" */
    const char *summary; /* paragraphs of one line each, which are wrapped; an empty line stands between them */
    const cli_option *options;
    const char **positional; /* [max_positional] filled with what is not an option, or NULL */
    int max_positional;
    int *n_positional;
    cli_kind positional_kind;     /* CLI_ANY: no file */
    const char *positional_words; /* or NULL: what one may be, "bash|zsh|fish" */
    const char *examples;         /* or NULL: lines, each a command; "# what it does" before one */
} cli_command;

typedef enum { CLI_RUN, CLI_HELP_SHOWN, CLI_BAD_USAGE } cli_outcome;

/* argv[0] is the subcommand's name. Help goes to stdout, complaints to stderr. A command line that asks for help
 * changes no value. The command goes on only on CLI_RUN, and otherwise returns cli_exit_code(outcome). */
cli_outcome cli_parse(const cli_command *command, int argc, char **argv);
int cli_exit_code(cli_outcome outcome);

/* Gives an option, by its long name, the value that the text says, as the command line would; a flag's is "true" or
 * "false". F5_E_ARGUMENT: no such option, or no value of it. */
f5_status cli_set(const cli_option *options, const char *name, const char *text, f5_error *error);

/* The option of that long name, or NULL. */
const cli_option *cli_find(const cli_option *options, const char *name);

/* Which of the words in "main|text|drop" it is; -1: none. */
int32_t cli_find_word(const char *words, const char *text);

/* ---- what is said (cli_say.c) ---------------------------------------------------------------------------------------
 */

/* A complaint about the command line (prints a hint at --help, returns CLI_EXIT_USAGE) or a failure of the work
 * (returns CLI_EXIT_FAILED), or something that is neither, to mind or to know. Each is one line: what a file brought
 * into it is shown as f5_format shows it. */
int cli_usage_error(const cli_command *command, const char *format, ...) F5_PRINTF(2, 3);
int cli_failure(const cli_command *command, const char *format, ...) F5_PRINTF(2, 3);
void cli_warning(const cli_command *command, const char *format, ...) F5_PRINTF(2, 3);
void cli_tell(void *command, const char *message); /* the same as a callback */
void cli_note(const cli_command *command, const char *format, ...) F5_PRINTF(2, 3);

/* A bar on a terminal, a line every tenth elsewhere; on stderr. The signature of report suits f5_sample_params. */
typedef struct {
    const char *label; /* "sampling" */
    double started;    /* seconds, cli_seconds() */
    int32_t shown;     /* tenths or columns already shown */
    bool terminal;
} cli_progress;

void cli_progress_begin(cli_progress *progress, const char *label);
int cli_progress_report(void *progress, int32_t step, int32_t steps); /* always 0: never cancels */
void cli_progress_end(cli_progress *progress);

/* Is the stream a terminal on which colours are wanted? NO_COLOR (https://no-color.org) and TERM=dumb refuse them. */
bool cli_colours(FILE *stream);

double cli_seconds(void); /* of a clock that only goes forward */

/* The subcommands. argv[0] is the name of the subcommand; the result is the exit code. */
int cmd_infer(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_batch(int argc, char **argv);
int cmd_edit(int argc, char **argv);
int cmd_check_voice(int argc, char **argv);
int cmd_pull(int argc, char **argv);
int cmd_models(int argc, char **argv);
int cmd_tune(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_triton_repo(int argc, char **argv);
int cmd_completion(int argc, char **argv);

#endif
