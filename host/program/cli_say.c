/* cli_say.c — what every subcommand says alike on stderr: complaints, warnings, progress. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/program/cli.h"

bool cli_colours(FILE *stream) {
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return (!no_color || !*no_color) && terminal && *terminal && strcmp(terminal, "dumb") != 0 &&
           isatty(fileno(stream));
}

/* ---- complaints -------------------------------------------------------------------------------------------------- */

#define RED "31"
#define YELLOW "33"
#define PLAIN "39"

/* PROGRAM: WORDMESSAGE, on a line of its own on stderr; what comes before the message in colour. */
static void complain(const cli_command *command, const char *colour, const char *word, const char *format,
                     va_list args) {
    char message[1024];
    f5_format(message, sizeof message, format, args);
    if (cli_colours(stderr))
        fprintf(stderr, "\033[1;%sm%s: %s\033[0m%s\n", colour, command->program, word, message);
    else
        fprintf(stderr, "%s: %s%s\n", command->program, word, message);
}

int cli_usage_error(const cli_command *command, const char *format, ...) {
    va_list args;
    va_start(args, format);
    complain(command, RED, "", format, args);
    va_end(args);
    fprintf(stderr, "try '%s --help'\n", command->program);
    return CLI_EXIT_USAGE;
}

int cli_failure(const cli_command *command, const char *format, ...) {
    va_list args;
    va_start(args, format);
    complain(command, RED, "", format, args);
    va_end(args);
    return CLI_EXIT_FAILED;
}

void cli_warning(const cli_command *command, const char *format, ...) {
    va_list args;
    va_start(args, format);
    complain(command, YELLOW, "warning: ", format, args);
    va_end(args);
}

void cli_tell(void *command, const char *message) {
    cli_warning(command, "%s", message);
}

void cli_note(const cli_command *command, const char *format, ...) {
    va_list args;
    va_start(args, format);
    complain(command, PLAIN, "", format, args);
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
