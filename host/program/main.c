/* main.c — the program: picks the subcommand. */
#include <stdio.h>
#include <string.h>

#include "host/api/f5tts.h"
#include "host/program/cli.h"

static void print_help(FILE *to) {
    fputs("usage: f5tts COMMAND [options]\n"
          "\n"
          "  infer     speak a text in the voice of a recording, or in several\n"
          "  batch     speak every line of a list, each into a file of its own\n"
          "  edit      replace words of a recording\n"
          "  check-voice  say what is good and what is not about a recording\n"
          "  convert   make a .f5 model file of upstream's checkpoint, configuration, vocabulary and vocoder\n"
          "  info      show what a .f5 file holds, and what running it would take\n"
          "  help      show this, or the help of a command: f5tts help infer\n"
          "  --version show the version\n",
          to);
}

typedef struct {
    const char *name;
    int (*run)(int argc, char **argv);
} subcommand;

static int run_command(int argc, char **argv) {
    static const subcommand commands[] = {{"infer", cmd_infer},     {"batch", cmd_batch},
                                          {"edit", cmd_edit},       {"check-voice", cmd_check_voice},
                                          {"convert", cmd_convert}, {"info", cmd_info}};
    enum { N_COMMANDS = sizeof commands / sizeof commands[0] };
    if (argc < 2) {
        print_help(stderr);
        return CLI_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        printf("f5tts %s\n", f5_version());
        return CLI_EXIT_OK;
    }
    bool help = strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0;
    if (help && argc < 3) {
        print_help(stdout);
        return CLI_EXIT_OK;
    }
    const char *wanted = help ? argv[2] : name;
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(wanted, commands[i].name) != 0) continue;
        if (!help) return commands[i].run(argc - 1, argv + 1);
        char show[] = "--help";
        char *help_argv[] = {argv[2], show, NULL};
        return commands[i].run(2, help_argv);
    }
    fprintf(stderr,
            "f5tts: no command '%s'; there are infer, batch, edit, check-voice, convert, info, help and --version\n",
            wanted);
    return CLI_EXIT_USAGE;
}

/* What a full disk or a closed pipe swallowed must not pass for output. */
int main(int argc, char **argv) {
    int exit_code = run_command(argc, argv);
    if (fflush(stdout) == 0 && !ferror(stdout)) return exit_code;
    fputs("f5tts: standard output cannot be written\n", stderr);
    return exit_code == CLI_EXIT_OK ? CLI_EXIT_FAILED : exit_code;
}
