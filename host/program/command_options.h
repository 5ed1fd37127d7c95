/* command_options.h — options that come from a TOML file and from the command line, which wins. */
#ifndef F5_COMMAND_OPTIONS_H
#define F5_COMMAND_OPTIONS_H

#include "host/program/config_file.h"
#include "host/program/speech_options.h"

/* Fills a command's table for these options; it is ended by {0}. */
typedef void (*command_table)(cli_option *table, speech_options *o, void *user);

/* Parses argv, the file that `*config_path` then names, and argv once more. CLI_RUN: go on, with config open if a file
 * was named (empty else); config_close follows in every case. The path is one of the options that `table` makes. */
cli_outcome command_options_parse(cli_command *command, cli_option table[SPEECH_OPTIONS_MAX], speech_options *o,
                                  command_table fill, void *user, const char **config_path, config_file *config,
                                  int argc, char **argv);

#endif
