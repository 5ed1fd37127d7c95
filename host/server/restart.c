/* restart.c — execve of the program's own file with the words of /proc/self/cmdline: these are right also where a
 * loader was called to load the program. The name of the file is asked of /proc/self/exe, since that of what execve is
 * given becomes the process's; where the file was taken away meanwhile, /proc/self/exe itself still leads to it. */
#include "host/server/restart.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define MARK "F5TTS_RESTARTED" /* in the environment: the devices */
#define SELF "/proc/self/exe"

const char *restarted(void) {
    return getenv(MARK);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Calls see(user, fd) for every open file. */
static void list_files(void (*see)(void *user, int fd), void *user) {
    DIR *open = opendir("/proc/self/fd");
    if (!open) return;
    for (const struct dirent *one; (one = readdir(open));)
        if (*one->d_name != '.' && atoi(one->d_name) != dirfd(open)) see(user, atoi(one->d_name));
    closedir(open);
}

static void note(void *user, int fd) {
    given_files *given = user;
    if (given->n == given->room) {
        int *larger = realloc(given->file, (2 * given->room + 16) * sizeof *larger);
        given->incomplete = given->incomplete || !larger;
        if (!larger) return;
        given->file = larger;
        given->room = 2 * given->room + 16;
    }
    given->file[given->n++] = fd;
}

f5_status restart_prepare(given_files *given, f5_error *error) {
    char name[16] = "";
    *given = (given_files){0};
    list_files(note, given);
    if (restarted() && prctl(PR_GET_NAME, name) == 0 && strcmp(name, "exe") == 0) prctl(PR_SET_NAME, "f5tts");
    return given->incomplete ? f5_fail(error, F5_E_MEMORY, "no memory") : F5_OK;
}

/* Of a GPU's driver among others, which would keep what the process had there. */
static void close_at_exec(void *user, int fd) {
    const given_files *given = user;
    for (size_t i = 0; i < given->n; i++)
        if (given->file[i] == fd) return;
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* ---- signals ----------------------------------------------------------------------------------------------------- */

static sigset_t our_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

void hold_signals(bool hold) {
    const sigset_t set = our_signals();
    pthread_sigmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

/* Waits so long, or for a signal. True: one that ends the program. */
static bool wait_for_end(unsigned seconds) {
    const sigset_t set = our_signals();
    const struct timespec wait = {.tv_sec = (time_t)seconds};
    int number = sigtimedwait(&set, NULL, &wait);
    return number == SIGTERM || number == SIGINT;
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

/* The words of the command line, one after another, each with its zero; NULL: no memory, or no such file. */
static char *read_command(size_t *bytes) {
    FILE *from = fopen("/proc/self/cmdline", "rbe");
    char *text = NULL;
    size_t n = 0, room = 0;
    while (from) {
        if (n == room) {
            char *larger = realloc(text, room = room ? 2 * room : 4096);
            if (!larger) break;
            text = larger;
        }
        size_t got = fread(text + n, 1, room - n, from);
        n += got;
        if (got > 0) continue;
        *bytes = n;
        fclose(from);
        return text;
    }
    if (from) fclose(from);
    free(text);
    return NULL;
}

static void run_again(char **word) {
    static const char gone[] = " (deleted)"; /* ends the name of a file that was taken away */
    const size_t end = sizeof gone - 1;
    char path[PATH_MAX];
    ssize_t n = readlink(SELF, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    if (n > 0 && ((size_t)n < end || strcmp(path + (size_t)n - end, gone) != 0)) execv(path, word);
    execv(SELF, word);
}

bool restart(given_files *given, const char *devices, unsigned seconds) {
    size_t bytes = 0, words = 0;
    char *text = read_command(&bytes);
    for (size_t i = 0; text && i < bytes; i++) words += text[i] == '\0';
    char **word = calloc(words + 1, sizeof *word);
    const char *why = "/proc/self/cmdline cannot be read";
    bool ends = wait_for_end(seconds);
    if (!ends && words > 0 && word && setenv(MARK, devices, 1) == 0) {
        size_t at = 0;
        for (size_t i = 0; i < words; i++, at += strlen(text + at) + 1) word[i] = text + at;
        list_files(close_at_exec, given);
        run_again(word);
        why = strerror(errno);
    }
    if (!ends) fprintf(stderr, "f5tts serve: cannot begin anew: %s\n", why);
    free(word);
    free(text);
    return ends;
}
