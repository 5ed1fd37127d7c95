/* restart.c — execve of /proc/self/exe with the words of /proc/self/cmdline: these are right also where a loader was
 * called to load the program. */
#include "host/server/restart.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MARK "F5TTS_RESTARTED" /* in the environment */

bool restarted(void) {
    return getenv(MARK) != NULL;
}

/* Of a GPU's driver among others, which would keep what the process had there. */
static void close_at_exec(void) {
    DIR *open = opendir("/proc/self/fd");
    if (!open) return;
    for (const struct dirent *one; (one = readdir(open));) {
        int fd = atoi(one->d_name);
        if (fd > STDERR_FILENO) (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    closedir(open);
}

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

void restart(unsigned seconds) {
    size_t bytes = 0, words = 0;
    char *text = read_command(&bytes);
    for (size_t i = 0; text && i < bytes; i++) words += text[i] == '\0';
    char **word = calloc(words + 1, sizeof *word);
    if (text && words > 0 && word && setenv(MARK, "1", 1) == 0) {
        size_t at = 0;
        for (size_t i = 0; i < words; i++, at += strlen(text + at) + 1) word[i] = text + at;
        sleep(seconds);
        close_at_exec();
        execv("/proc/self/exe", word);
    }
    fprintf(stderr, "f5tts serve: cannot begin anew: %s\n", strerror(errno));
    free(word);
    free(text);
}
