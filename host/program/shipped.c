/* shipped.c — looks for shipped files beside the program's own file, then where they were to be installed. The build
 * defines both places: F5_SHIPPED_FROM_PROGRAM, relative to the program's folder, and F5_SHIPPED_INSTALLED. */
#include "host/program/shipped.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The program's folder with a '/' at the end; "" if the system does not tell. */
static void program_folder(char folder[PATH_MAX]) {
    ssize_t n = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    folder[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(folder, '/');
    folder[slash ? slash + 1 - folder : 0] = '\0';
}

/* The two places of a file, or of a folder with stem and ending "". The first is "" if it is not known. */
static void find_places(const char *folder, const char *stem, const char *ending, char place[2][2 * PATH_MAX]) {
    char program[PATH_MAX];
    program_folder(program);
    *place[0] = '\0';
    if (*program)
        snprintf(place[0], 2 * PATH_MAX, "%s%s/%s/%s%s", program, F5_SHIPPED_FROM_PROGRAM, folder, stem, ending);
    snprintf(place[1], 2 * PATH_MAX, "%s/%s/%s%s", F5_SHIPPED_INSTALLED, folder, stem, ending);
}

f5_status shipped_file(const char *folder, const char *stem, const char *ending, char **path, f5_error *error) {
    char place[2][2 * PATH_MAX];
    find_places(folder, stem, ending, place);
    for (int i = 0; i < 2; i++) {
        if (!*place[i] || access(place[i], F_OK) != 0) continue;
        *path = realpath(place[i], NULL);
        return *path ? F5_OK : f5_fail(error, F5_E_IO, "%s: cannot be resolved", place[i]);
    }
    return f5_fail(error, F5_E_IO, "%s%s does not lie beside the program: looked for %s and %s", stem, ending, place[1],
                   *place[0] ? place[0] : "nothing");
}

bool each_stem(const char *path, const char *ending, void (*each)(void *user, const char *stem), void *user) {
    char stem[NAME_MAX + 1];
    DIR *folder = opendir(path);
    if (!folder) return false;
    for (const struct dirent *d; (d = readdir(folder));) {
        size_t length = strlen(d->d_name), end = strlen(ending);
        if (length <= end || d->d_name[0] == '.' || strcmp(d->d_name + length - end, ending) != 0) continue;
        snprintf(stem, sizeof stem, "%.*s", (int)(length - end), d->d_name);
        each(user, stem);
    }
    closedir(folder);
    return true;
}

void shipped_each(const char *folder, const char *ending, void (*each)(void *user, const char *stem), void *user) {
    char place[2][2 * PATH_MAX];
    find_places(folder, "", "", place);
    if (!*place[0] || !each_stem(place[0], ending, each, user)) each_stem(place[1], ending, each, user);
}
