/* cli_help.h — what is told of a command, all from its table: the help text, the manual page, its part of a shell's
 * completion, the table itself. Everything goes to stdout. */
#ifndef F5_CLI_HELP_H
#define F5_CLI_HELP_H

#include "host/program/cli.h"

/* What an exit code says. The list ends with code NULL. */
typedef struct {
    const char *code, *meaning;
} cli_exit_meaning;
extern const cli_exit_meaning cli_exit_meanings[];

/* Answers a word that asks for help: -h, --help, or for the files that are installed --help=man, bash, zsh, fish and
 * table. false: it is none of these. */
bool cli_help(const cli_command *command, const char *word);

/* What is told of an option in one sentence: its help, its range with the unit, its default. A number's range is that
 * of the table. */
#define CLI_DESCRIPTION_MAX 512
void cli_describe(const cli_option *o, char to[CLI_DESCRIPTION_MAX]);

/* The default in words; "" of a flag and of what is required. */
void cli_default(const cli_option *o, char *to, size_t room);

/* What is asked for as a value: "FILE", "main|text|drop"; "" of a flag. */
const char *cli_argument(const cli_option *o);

/* The words that a shell may complete a value with, "main|text|drop", or NULL. */
const char *cli_words(const cli_option *o);

/* Is it told of at all? Headings and options that are refused are not. */
bool cli_is_told(const cli_option *o);

/* The part of a line in front of the description: "-r, --ref_audio FILE", with the two marks around what is typed. */
void cli_print_names(const cli_option *o, const char *mark, const char *unmark);

/* A paragraph from column `indent` on; `column` of its first line are taken. */
void cli_print_wrapped(const char *text, int column, int indent);

void cli_print_man(const cli_command *command);  /* man(7), of one command (cli_man.c) */
void cli_print_bash(const cli_command *command); /* one branch, function or block (cli_complete.c) */
void cli_print_zsh(const cli_command *command);
void cli_print_fish(const cli_command *command);

/* Text of a manual page: what roff would act on is escaped. */
void cli_man_text(const char *text);

#endif
