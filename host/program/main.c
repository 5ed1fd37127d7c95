/* main.c — the program: picks the subcommand. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/api/f5tts.h"
#include "host/files/output_litter.h"
#include "host/program/cli_help.h"
#include "host/program/commands.h"

static void print_help(FILE *to) {
    const bool colours = cli_colours(to);
    const char *bold = colours ? "\033[1m" : "", *plain = colours ? "\033[0m" : "";
    fprintf(to, "usage: f5tts COMMAND [options]\n\n%sCommands%s\n", bold, plain);
    for (const subcommand *c = commands; c->name; c++) fprintf(to, "  %s%-13s%s%s\n", bold, c->name, plain, c->brief);
    fprintf(to,
            "  %s%-13s%sshow this, or the help of a command: f5tts help infer; man f5tts-infer says the same\n"
            "  %s%-13s%sshow the version\n\n%sExit codes%s\n",
            bold, "help", plain, bold, "--version", plain, bold, plain);
    for (const cli_exit_meaning *e = cli_exit_meanings; e->code; e++) fprintf(to, "  %-7s %s\n", e->code, e->meaning);
}

/* man f5tts: the commands, each with a page of its own. */
static void print_man(void) {
    printf(".TH F5TTS 1 \"\" \"f5tts %s\" \"f5tts manual\"\n.SH NAME\nf5tts \\- speak in the voice of a recording\n"
           ".SH SYNOPSIS\n\\fBf5tts\\fR \\fICOMMAND\\fR [\\fIoptions\\fR]\n.SH DESCRIPTION\n"
           "Give it a few seconds of a voice, the words of that recording and a new text, and it speaks the text in "
           "that voice.\nIt is F5\\-TTS in C and CUDA C: it reads upstream\\(aqs checkpoints, and needs neither Python "
           "nor PyTorch.\n.SH COMMANDS\n",
           f5_version());
    for (const subcommand *c = commands; c->name; c++) {
        printf(".TP\n\\fB");
        cli_man_text(c->name);
        printf("\\fR\n");
        cli_man_text(c->brief);
        printf("; see\n.BR f5tts\\-");
        cli_man_text(c->name);
        printf(" (1)\n");
    }
    printf(".TP\n\\fBhelp\\fR [\\fICOMMAND\\fR]\nshow the commands, or the options of one\n"
           ".TP\n\\fB\\-\\-version\\fR\nshow the version\n.SH EXIT STATUS\n");
    for (const cli_exit_meaning *e = cli_exit_meanings; e->code; e++)
        printf(".TP\n\\fB%s\\fR\n%s\n", e->code, e->meaning);
    printf(".SH ENVIRONMENT\n.TP\n\\fBNO_COLOR\\fR\nset to anything: no colours, not even on a terminal\n"
           ".SH SEE ALSO\n");
    for (const subcommand *c = commands; c->name; c++) {
        printf(".BR f5tts\\-");
        cli_man_text(c->name);
        printf(" (1)%s\n", c[1].name ? "," : "");
    }
}

static int no_command(const char *name) {
    const cli_command program = {.program = "f5tts"};
    const char *instead = commands_instead(name);
    if (instead) return cli_usage_error(&program, "no command '%s': %s", name, instead);
    char known[512];
    size_t n = 0;
    for (const subcommand *c = commands; c->name && n < sizeof known; c++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s, ", c->name);
    return cli_usage_error(&program, "no command '%s'; there are %shelp and --version", name, known);
}

/* help, help COMMAND, help --man, help --man COMMAND. */
static int help(int argc, char **argv) {
    const bool man = argc > 2 && strcmp(argv[2], "--man") == 0;
    const char *name = argc > 2 + man ? argv[2 + man] : NULL;
    if (!name) {
        if (man)
            print_man();
        else
            print_help(stdout);
        return CLI_EXIT_OK;
    }
    const subcommand *c = commands_find(name);
    return c ? commands_show(c, man ? "--help=man" : "--help") : no_command(name);
}

static int run_command(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return CLI_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        printf("f5tts %s\n", f5_version());
        return CLI_EXIT_OK;
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) return help(argc, argv);
    const subcommand *c = commands_find(name);
    return c ? c->run(argc - 1, argv + 1) : no_command(name);
}

/* A file that is opened while 0, 1 or 2 is free would get that number, and what is printed. What is opened here fails
 * like a closed one: it cannot be read, or not be written. */
static void fill_closed(void) {
    static const int modes[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", modes[fd]) != fd) return;
}

/* What a full disk or a closed pipe swallowed must not pass for output. */
int main(int argc, char **argv) {
    fill_closed();
    litter_watch();
    int exit_code = run_command(argc, argv);
    litter_sweep();
    if (fflush(stdout) == 0 && !ferror(stdout)) return exit_code;
    fputs("f5tts: standard output cannot be written\n", stderr);
    return exit_code == CLI_EXIT_OK ? CLI_EXIT_FAILED : exit_code;
}
