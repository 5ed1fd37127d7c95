/* shipped.c — looks for shipped files beside the program's own file, then where they were to be installed. The build
 * defines both places: F5_SHIPPED_FROM_PROGRAM, relative to the program's folder, and F5_SHIPPED_INSTALLED. */
#include "host/program/shipped.h"

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

f5_status shipped_file(const char *folder, const char *stem, const char *ending, char **path, f5_error *error) {
    char program[PATH_MAX], place[2][2 * PATH_MAX];
    program_folder(program);
    snprintf(place[0], sizeof place[0], "%s%s/%s/%s%s", program, F5_SHIPPED_FROM_PROGRAM, folder, stem, ending);
    snprintf(place[1], sizeof place[1], "%s/%s/%s%s", F5_SHIPPED_INSTALLED, folder, stem, ending);
    for (int i = *program ? 0 : 1; i < 2; i++) {
        if (access(place[i], F_OK) != 0) continue;
        *path = realpath(place[i], NULL);
        return *path ? F5_OK : f5_fail(error, F5_E_IO, "%.400s: cannot be resolved", place[i]);
    }
    return f5_fail(error, F5_E_IO, "%s%s does not lie beside the program: looked for %.180s and %.180s", stem, ending,
                   place[1], *program ? place[0] : "nothing");
}
