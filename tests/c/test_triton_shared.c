/* test_triton_shared.c — what requests and models of the backend share: voices that are opened once, engines of which
 * there is one at a time, and the solver that a model file asks for.
 *
 * Three functions of the engine's library are watched: the backend finds those of this program first. */
#define _GNU_SOURCE /* usleep */
#include <dlfcn.h>
#include <pthread.h>

#include "host/api/f5tts.h"
#include "tests/c/triton_requests.h"

#define WATCHED __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&name))dlsym(fake.library, #name))

static struct {
    atomic_int voices, closing, opened_meanwhile;
    atomic_bool slow_close, began_to_close;
} seen;

WATCHED f5_status f5_voice_open(f5_engine *e, const f5_voice_params *params, f5_voice **voice, f5_error *error) {
    atomic_fetch_add(&seen.voices, 1);
    return REAL(f5_voice_open)(e, params, voice, error);
}

WATCHED f5_status f5_open(const f5_open_params *params, f5_engine **engine, f5_error *error) {
    if (atomic_load(&seen.closing)) atomic_fetch_add(&seen.opened_meanwhile, 1);
    return REAL(f5_open)(params, engine, error);
}

WATCHED void f5_close(f5_engine *e) {
    atomic_store(&seen.closing, 1);
    atomic_store(&seen.began_to_close, true);
    if (atomic_load(&seen.slow_close)) usleep(300000);
    REAL(f5_close)(e);
    atomic_store(&seen.closing, 0);
}

/* ---- voices ------------------------------------------------------------------------------------------------------ */

enum { TOGETHER = 8 };

/* Requests that come together with a recording that none of them has sent before, changed by `spoilt` to one that
 * cannot be opened. */
static void speak_together(int change, float spoilt, TRITONBACKEND_Request r[TOGETHER]) {
    static float other[SAMPLES];
    TRITONBACKEND_Request *list[TOGETHER];
    for (int i = 0; i < SAMPLES; i++) other[i] = -recording[i] * (float)(1 + change) * 0.25f;
    if (spoilt != 0) other[SAMPLES / 2] = spoilt;
    for (int i = 0; i < TOGETHER; i++) {
        r[i] = good_request("Yes.");
        r[i].input[WAV].data = other;
        list[i] = &r[i];
    }
    atomic_store(&seen.voices, 0);
    fake_execute(&instance, list, TOGETHER);
}

static void test_a_recording_is_opened_once(void **state) {
    (void)state;
    for (int change = 0; change < 3; change++) {
        TRITONBACKEND_Request r[TOGETHER];
        speak_together(change, 0, r);
        assert_int_equal(atomic_load(&seen.voices), 1);
        for (int i = 0; i < TOGETHER; i++) {
            assert_true(r[i].code == -1 && r[i].samples == r[0].samples);
            assert_memory_equal(r[i].sound, r[0].sound, (size_t)r[0].samples * sizeof(float));
        }
        for (int i = 0; i < TOGETHER; i++) fake_request_free(&r[i]);
    }
}

/* Each of them is told why, and the next request tries again. */
static void test_one_that_cannot_be_opened(void **state) {
    (void)state;
    for (int round = 1; round <= 2; round++) {
        TRITONBACKEND_Request r[TOGETHER];
        speak_together(0, NAN, r);
        assert_in_range(atomic_load(&seen.voices), 1, TOGETHER);
        for (int i = 0; i < TOGETHER; i++) {
            assert_int_equal(r[i].code, TRITONSERVER_ERROR_INVALID_ARG);
            assert_non_null(strstr(r[i].message, "not a finite"));
        }
    }
}

/* ---- engines ----------------------------------------------------------------------------------------------------- */

static TRITONBACKEND_Model other_model;
static TRITONBACKEND_ModelInstance other_instance;

static void *unload_other(void *unused) {
    fake_unload(&other_model, &other_instance);
    return unused;
}

static void test_one_engine_at_a_time(void **state) {
    (void)state;
    TRITONBACKEND_Model again = {.folder = folder, .config = CONFIG("," PARAMETER("max_batch", "3"))};
    TRITONBACKEND_ModelInstance of_again = {0};
    pthread_t thread;
    other_model = again;
    assert_null(fake_load(&other_model, &other_instance));
    atomic_store(&seen.slow_close, true);
    atomic_store(&seen.began_to_close, false);
    assert_int_equal(pthread_create(&thread, NULL, unload_other, NULL), 0);
    while (!atomic_load(&seen.began_to_close)) usleep(100);
    assert_null(fake_load(&again, &of_again));
    assert_int_equal(pthread_join(thread, NULL), 0);
    atomic_store(&seen.slow_close, false);
    assert_int_equal(atomic_load(&seen.opened_meanwhile), 0);
    fake_unload(&again, &of_again);
}

/* ---- what the model file asks for -------------------------------------------------------------------------------- */

static void copy_model(const char *to) {
    static char block[65536];
    FILE *in = fopen(model_file, "rb"), *out = fopen(to, "wb");
    assert_true(in && out);
    for (size_t n; (n = fread(block, 1, sizeof block, in)) > 0;) assert_int_equal(fwrite(block, 1, n, out), n);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* Loads a model by a configuration, and keeps what it says. */
static TRITONBACKEND_Request said_by(const char *config, const char *method, int nfe) {
    TRITONBACKEND_Model m = {.folder = folder, .config = config};
    TRITONBACKEND_ModelInstance i = {0};
    const char *failed = fake_load(&m, &i);
    if (failed) fail_msg("%s", failed);
    TRITONBACKEND_Request r = good_request("Yes and no.");
    if (nfe) r.parameter[r.parameters++] = (fake_parameter){"nfe", TRITONSERVER_PARAMETER_INT, nfe, 0, NULL};
    if (method) r.parameter[r.parameters++] = (fake_parameter){"method", TRITONSERVER_PARAMETER_STRING, 0, 0, method};
    speak(&i, &r);
    fake_unload(&m, &i);
    return r;
}

static bool same_sound(const TRITONBACKEND_Request *a, const TRITONBACKEND_Request *b) {
    return a->samples == b->samples && memcmp(a->sound, b->sound, (size_t)a->samples * sizeof(float)) == 0;
}

static void test_a_model_files_solver(void **state) {
#define BY_HAND(more)                                                                                                  \
    "{\"parameters\":{" PARAMETER("max_frames", "512") "," PARAMETER("device", "cpu") "," PARAMETER(                   \
        "model_path", "tuned.f5") more "}}"
    (void)state;
    char path[128];
    f5_error error;
    snprintf(path, sizeof path, "%s/1/tuned.f5", folder);
    copy_model(path);
    const f5_model_defaults d = {.size = sizeof d, .method = F5_METHOD_MIDPOINT, .nfe = 3};
    if (REAL(f5_set_model_defaults)(path, &d, &error) != F5_OK) fail_msg("%s", error.message);
    TRITONBACKEND_Request r[] = {said_by(BY_HAND(""), NULL, 0),
                                 said_by(BY_HAND(""), "midpoint", 3),
                                 said_by(BY_HAND("," PARAMETER("nfe_step", "2")), NULL, 0),
                                 said_by(BY_HAND(""), "euler", 2),
                                 said_by(BY_HAND(""), NULL, 2),
                                 said_by(BY_HAND(""), "midpoint", 2)};
    assert_true(same_sound(&r[0], &r[1])); /* the file's */
    assert_true(same_sound(&r[2], &r[3])); /* the configuration's, which names the half of it, and so all */
    assert_true(same_sound(&r[4], &r[5])); /* a request changes what it names */
    assert_false(same_sound(&r[0], &r[2]) || same_sound(&r[2], &r[4]));
    for (size_t i = 0; i < sizeof r / sizeof *r; i++) fake_request_free(&r[i]);
    unlink(path);
}

int main(int argc, char **argv) {
    if (argc != 2) return fprintf(stderr, "usage: %s MODEL.f5\n", argv[0]), 2;
    model_file = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_recording_is_opened_once), cmocka_unit_test(test_one_that_cannot_be_opened),
        cmocka_unit_test(test_one_engine_at_a_time), cmocka_unit_test(test_a_model_files_solver)};
    return cmocka_run_group_tests(tests, start, stop);
}
