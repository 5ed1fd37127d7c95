/* test_espeak.c — the one espeak of a process: who opens and closes it when, and what is left after a failure. The
 * library is fake_espeak.c. */
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/phonemes/espeak.h"
#include "tests/c/fake_espeak.h"

enum { THREADS = 4, TURNS = 50 };

static fake_espeak_state *fake;

static int load_fake(void **state) {
    (void)state;
    void *library = dlopen("libespeak-ng.so.1", RTLD_NOW | RTLD_LOCAL);
    fake = library ? dlsym(library, "fake_espeak") : NULL;
    return fake ? 0 : -1;
}

static void a_failure_leaves_nothing_behind(void **state) {
    (void)state;
    espeak *e;
    f5_error error;
    fake->without_voice = 1;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(espeak_open(&e, &error), F5_E_UNSUPPORTED);
        assert_null(e);
        assert_non_null(strstr(error.message, "no voice"));
        assert_int_equal(fake->initialised, 0);
    }
    fake->without_voice = 0;
    fake->without_data = 1;
    assert_int_equal(espeak_open(&e, &error), F5_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "espeak-ng-data"));
    assert_int_equal(fake->initialised, 0);
    fake->without_data = 0;
    assert_int_equal(espeak_open(&e, &error), F5_OK);
    assert_int_equal(fake->initialised, 1);
    espeak_close(e);
    espeak_close(NULL);
    assert_int_equal(fake->initialised, 0);
}

static void the_last_to_close_ends_it(void **state) {
    (void)state;
    espeak *first, *second;
    f5_error error;
    char said[8];
    size_t n;
    assert_int_equal(espeak_open(&first, &error), F5_OK);
    assert_int_equal(espeak_open(&second, &error), F5_OK);
    assert_int_equal(fake->initialised, 1);
    espeak_close(first);
    assert_int_equal(fake->initialised, 1);
    assert_int_equal(espeak_say(second, "text", said, sizeof said, &n, &error), F5_OK);
    assert_int_equal(n, 1);
    espeak_close(second);
    assert_int_equal(fake->initialised, 0);
    assert_int_equal(fake->wrong, 0);
}

static void *open_and_say(void *unused) {
    (void)unused;
    for (int i = 0; i < TURNS; i++) {
        espeak *e;
        f5_error error;
        char said[8];
        size_t n;
        if (espeak_open(&e, &error) != F5_OK) return &fake;
        const f5_status status = espeak_say(e, "text", said, sizeof said, &n, &error);
        espeak_close(e);
        if (status != F5_OK || n != 1) return &fake;
    }
    return NULL;
}

static void threads_take_turns(void **state) {
    (void)state;
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&thread[i], NULL, open_and_say, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(thread[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(fake->initialised, 0);
    assert_int_equal(fake->wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_leaves_nothing_behind),
        cmocka_unit_test(the_last_to_close_ends_it),
        cmocka_unit_test(threads_take_turns),
    };
    return cmocka_run_group_tests_name("espeak", tests, load_fake, NULL);
}
