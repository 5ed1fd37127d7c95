/* run_program.c — posix_spawn, two pipes, and a loop that reads them until both are closed or enough is enough. */
#define _GNU_SOURCE /* pipe2 */
#include "host/program/run_program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/program/cli.h"

extern char **environ;

#define GRACE_SECONDS 2.0 /* between TERM and KILL */
#define LOOK_MS 20        /* how often signals and the clock are looked at */
#define LAST_BYTES 400    /* of standard error that are kept */

typedef struct {
    const char *name;
    pid_t pid; /* and its group's */
    int out, err;
    char *text; /* [used + 1] */
    size_t used, room, max;
    char last[LAST_BYTES + 1]; /* the end of standard error */
    size_t last_used;
    int status; /* as waitpid has it */
    bool ended;
} child;

/* ---- beginning --------------------------------------------------------------------------------------------------- */

static f5_status begin(child *c, char *const *words, const interruption *ending, f5_error *error) {
    int out[2], err[2] = {-1, -1};
    if (pipe2(out, O_CLOEXEC) != 0) return f5_fail(error, F5_E_IO, "%s: no pipe: %s", c->name, strerror(errno));
    if (pipe2(err, O_CLOEXEC) != 0) {
        int reason = errno;
        close(out[0]), close(out[1]);
        return f5_fail(error, F5_E_IO, "%s: no pipe: %s", c->name, strerror(reason));
    }
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, err[1], STDERR_FILENO);
    sigset_t usual;
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    sigaddset(&usual, SIGXFSZ);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &ending->before);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    int failed = posix_spawnp(&c->pid, words[0], &files, &attributes, words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    close(out[1]), close(err[1]);
    c->out = out[0], c->err = err[0];
    if (!failed) return F5_OK;
    close(c->out), close(c->err);
    return f5_fail(error, F5_E_IO, "%s: cannot be run: %s", c->name, strerror(failed));
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static f5_status read_out(child *c, f5_error *error) {
    if (c->used == c->room) {
        size_t room = c->room ? 2 * c->room : 4096;
        char *more = realloc(c->text, room + 1);
        if (!more) return f5_fail(error, F5_E_MEMORY, "no memory for what %s prints", c->name);
        c->text = more, c->room = room;
    }
    ssize_t n = read(c->out, c->text + c->used, c->room - c->used);
    if (n < 0) return F5_OK; /* interrupted: poll tells again */
    if (n == 0) {
        close(c->out);
        c->out = -1;
    }
    c->used += (size_t)n;
    if (c->used > c->max) return f5_fail(error, F5_E_UNSUPPORTED, "%s prints more than %zu bytes", c->name, c->max);
    return F5_OK;
}

static void read_err(child *c) {
    char bytes[1024];
    ssize_t n = read(c->err, bytes, sizeof bytes);
    if (n < 0) return;
    if (n == 0) {
        close(c->err);
        c->err = -1;
        return;
    }
    size_t taken = (size_t)n < LAST_BYTES ? (size_t)n : LAST_BYTES, kept = c->last_used;
    if (kept + taken > LAST_BYTES) kept = LAST_BYTES - taken;
    memmove(c->last, c->last + c->last_used - kept, kept);
    memcpy(c->last + kept, bytes + n - taken, taken);
    c->last_used = kept + taken;
    c->last[c->last_used] = '\0';
}

/* The child is not waited for yet: until then its number, which is its group's, is nobody else's. */
static bool has_ended(child *c) {
    siginfo_t info = {.si_pid = 0};
    if (!c->ended && waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0) c->ended = info.si_pid != 0;
    return c->ended;
}

/* Reads what is there within a moment. A program that ends while another holds its pipes, one that it started, is over
 * all the same. */
static f5_status read_some(child *c, f5_error *error) {
    struct pollfd from[2] = {{.fd = c->out, .events = POLLIN}, {.fd = c->err, .events = POLLIN}};
    int ready = poll(from, 2, LOOK_MS);
    if (ready > 0 && from[0].revents) F5_TRY(read_out(c, error));
    if (ready > 0 && from[1].revents) read_err(c);
    if (ready == 0 && has_ended(c)) {
        if (c->out >= 0) close(c->out);
        if (c->err >= 0) close(c->err);
        c->out = c->err = -1;
    }
    return F5_OK;
}

/* ---- ending ------------------------------------------------------------------------------------------------------ */

/* Ends the whole group: at once what a child left running that is done, else after a warning. */
static void end_group(child *c, bool done) {
    if (!done) kill(-c->pid, SIGTERM);
    for (double until = cli_seconds() + GRACE_SECONDS; !has_ended(c) && cli_seconds() < until;) poll(NULL, 0, LOOK_MS);
    kill(-c->pid, SIGKILL);
    while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR) continue;
}

/* The last line of standard error, without what is blank behind it. */
static const char *last_line(child *c) {
    size_t n = c->last_used;
    while (n > 0 && strchr(" \t\r\n", c->last[n - 1])) n--;
    c->last[n] = '\0';
    const char *line = strrchr(c->last, '\n');
    return line ? line + 1 : c->last;
}

static f5_status judge(child *c, f5_error *error) {
    const char *line = last_line(c), *colon = *line ? ": " : "";
    if (WIFSIGNALED(c->status))
        return f5_fail(error, F5_E_IO, "%s: ended by signal %d%s%s", c->name, WTERMSIG(c->status), colon, line);
    if (WEXITSTATUS(c->status) != 0)
        return f5_fail(error, F5_E_IO, "%s: failed with status %d%s%s", c->name, WEXITSTATUS(c->status), colon, line);
    return F5_OK;
}

f5_status run_program(char *const *words, double seconds, size_t max_bytes, interruption *ending, char **out,
                      size_t *bytes, f5_error *error) {
    child c = {.name = words[0], .max = max_bytes};
    *out = NULL;
    F5_TRY(begin(&c, words, ending, error));
    f5_status status = F5_OK;
    const double until = cli_seconds() + seconds;
    while (status == F5_OK && (c.out >= 0 || c.err >= 0 || !has_ended(&c))) {
        if (interruption_arrived(ending, 0))
            status = f5_fail(error, F5_E_CANCELLED, "%s: interrupted", c.name);
        else if (cli_seconds() > until)
            status = f5_fail(error, F5_E_CANCELLED, "%s: not done after %g s: it was ended", c.name, seconds);
        else
            status = read_some(&c, error);
    }
    end_group(&c, status == F5_OK);
    if (c.out >= 0) close(c.out);
    if (c.err >= 0) close(c.err);
    if (status == F5_OK) status = judge(&c, error);
    if (status == F5_OK && !c.text && !(c.text = malloc(1)))
        status = f5_fail(error, F5_E_MEMORY, "no memory for a text");
    if (status != F5_OK) {
        free(c.text);
        return status;
    }
    c.text[c.used] = '\0';
    *out = c.text;
    *bytes = c.used;
    return F5_OK;
}
