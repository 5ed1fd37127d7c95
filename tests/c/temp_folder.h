/* temp_folder.h — a folder of its own for a group of cmocka tests, a file in it, and random numbers from this run's
 * seed. */
#ifndef F5_TEST_TEMP_FOLDER_H
#define F5_TEST_TEMP_FOLDER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/c/seed.h"

typedef struct {
    char folder[64], path[96];
    uint64_t random;
} fixture;

static int make_folder(void **state) {
    static fixture f;
    f.random = random_seed();
    strcpy(f.folder, "/tmp/f5_test_XXXXXX");
    if (!mkdtemp(f.folder)) return -1;
    snprintf(f.path, sizeof f.path, "%s/model.f5", f.folder);
    *state = &f;
    return 0;
}

static int remove_folder(void **state) {
    fixture *f = *state;
    unlink(f->path);
    return rmdir(f->folder);
}

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != F5_OK) fail_msg("%s: %s", #call, error.message);                                                 \
    } while (0)

#endif
