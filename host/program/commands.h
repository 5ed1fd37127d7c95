/* commands.h — the list of subcommands: who adds a command adds a line. */
#ifndef F5_COMMANDS_H
#define F5_COMMANDS_H

typedef struct {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the name; the result is the exit code */
    const char *brief;                 /* what it does, in a few words after "f5tts NAME: " */
} subcommand;

extern const subcommand commands[]; /* ended by a name NULL */

const subcommand *commands_find(const char *name); /* or NULL */

/* What to do instead of a command that upstream has under this name, or NULL. */
const char *commands_instead(const char *name);

/* Answers a command's "--help" or "--help=FORM"; the exit code. */
int commands_show(const subcommand *command, const char *word);

#endif
