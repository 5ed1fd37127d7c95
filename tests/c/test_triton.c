/* test_triton.c — the backend under a server of ours (fake_triton.h): what it says, streams, refuses, cancels, reports
 * and gives back, also where the server's functions fail. The real server is tests/triton_server/check_server.py. */
#include <string.h>

#include "tests/c/triton_requests.h"

static void assert_same(const TRITONBACKEND_Request *a, const TRITONBACKEND_Request *b) {
    assert_int_equal(a->samples, b->samples);
    assert_memory_equal(a->sound, b->sound, (size_t)a->samples * sizeof(float));
}

static void test_speaks(void **state) {
    (void)state;
    assert_int_equal(atomic_load(&fake.opened), 1); /* two models, one engine */
    TRITONBACKEND_Request a = good_request("Yes."), b = a, c = a, d = a;
    speak(&instance, &a);
    assert_int_equal(a.responses, 1);
    b.input[WAV].buffers = 5;
    speak(&instance, &b);
    assert_same(&a, &b);
    c.parameter[0].whole = 8;
    speak(&instance, &c);
    assert_int_equal(c.samples, a.samples);
    assert_memory_not_equal(c.sound, a.sound, (size_t)a.samples * sizeof(float));
    d.parameters = 0; /* without a seed: any, and not the same twice */
    speak(&instance, &d);
    assert_memory_not_equal(d.sound, a.sound, (size_t)a.samples * sizeof(float));
    fake_request_free(&a);
    fake_request_free(&b);
    fake_request_free(&c);
    fake_request_free(&d);
}

static void test_padding_and_what_is_left_out(void **state) {
    (void)state;
    static float padded[SAMPLES + 4800];
    memcpy(padded, recording, sizeof recording);
    for (int i = SAMPLES; i < SAMPLES + 4800; i++) padded[i] = 9; /* not to be heard */
    TRITONBACKEND_Request a = good_request("Yes."), b = a, c = a;
    b.input[WAV].data = padded;
    b.input[WAV].bytes = sizeof padded;
    b.input[WAV].shape[1] = SAMPLES + 4800;
    c.input[WAV_LEN] = text_input("another", "tensor", 6);
    speak(&instance, &a);
    speak(&instance, &b);
    speak(&instance, &c);
    assert_same(&a, &b);
    assert_same(&a, &c);
    fake_request_free(&a);
    fake_request_free(&b);
    fake_request_free(&c);
}

static void test_streams_the_same_samples(void **state) {
    (void)state;
    const char *text = "One. Two. [pause 0.1s] Three and four.";
    TRITONBACKEND_Request a = good_request(text), b = a;
    speak(&instance, &a);
    speak(&streamer, &b);
    assert_true(a.responses == 1 && b.responses > 1);
    assert_same(&a, &b);
    fake_request_free(&a);
    fake_request_free(&b);
}

static void test_batches(void **state) {
    (void)state;
    TRITONBACKEND_Request r[5], alone[5], *list[5];
    static const char *const text[] = {"Yes.", "No, it is.", "Three.", "", "Five and six."};
    for (int i = 0; i < 5; i++) {
        r[i] = alone[i] = good_request(text[i]);
        list[i] = &r[i];
    }
    fake_execute(&instance, list, 5);
    assert_growing(instance.batch_time);
    for (int i = 0; i < 5; i++) {
        assert_true(r[i].released == 1 && r[i].reported == 1 && r[i].finals == 1);
        execute(&instance, &alone[i]);
        assert_int_equal(r[i].code, i == 3 ? TRITONSERVER_ERROR_INVALID_ARG : -1);
        assert_growing(r[i].time);
        assert_same(&r[i], &alone[i]);
        fake_request_free(&r[i]);
        fake_request_free(&alone[i]);
    }
}

static void test_parameters(void **state) {
    (void)state;
    TRITONBACKEND_Request usual = good_request("Yes and no."), r = usual;
    const fake_parameter good[] = {
        {.name = "seed", .type = TRITONSERVER_PARAMETER_STRING, .text = "7"},
        {.name = "speed", .type = TRITONSERVER_PARAMETER_DOUBLE, .real = 2},
        {.name = "nfe", .type = TRITONSERVER_PARAMETER_INT, .whole = 2},
        {.name = "method", .type = TRITONSERVER_PARAMETER_STRING, .text = "midpoint"},
        {.name = "cfg_strength", .type = TRITONSERVER_PARAMETER_INT, .whole = 1},
        {.name = "ssml", .type = TRITONSERVER_PARAMETER_BOOL, .whole = 0},
        {.name = "normalize", .type = TRITONSERVER_PARAMETER_STRING, .text = "en"},
        {.name = "what_else", .type = TRITONSERVER_PARAMETER_STRING, .text = "is passed over"}};
    r.parameters = sizeof good / sizeof *good;
    memcpy(r.parameter, good, sizeof good);
    speak(&instance, &usual);
    speak(&instance, &r);
    assert_true(r.samples < usual.samples);
    fake_request_free(&usual);
    fake_request_free(&r);
}

static void test_cancelled(void **state) {
    (void)state;
    TRITONBACKEND_Request whole = good_request("One. Two. Three.");
    speak(&instance, &whole);
    int asked = atomic_load(&whole.asked);
    assert_true(asked >= 3);
    fake_request_free(&whole);
    for (int i = 0; i < 2; i++) {
        for (int at = 1; at <= asked; at++) {
            TRITONBACKEND_Request r = good_request("One. Two. Three.");
            r.cancel_at = at;
            execute(i ? &streamer : &instance, &r);
            assert_int_equal(r.code, TRITONSERVER_ERROR_CANCELLED);
            assert_true(r.finals == 1 && !r.success && atomic_load(&r.asked) == at);
            fake_request_free(&r);
        }
    }
}

/* Whatever fails while a request is spoken, it comes back, and what was made is given up. */
static void test_failing_server(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        TRITONBACKEND_ModelInstance *which = i ? &streamer : &instance;
        bool failed = true;
        for (int at = 1; failed; at++) {
            TRITONBACKEND_Request r = good_request("Yes.");
            int live = atomic_load(&fake.live);
            atomic_store(&fake.calls, 0);
            fake.fail_at = at;
            execute(which, &r);
            fake.fail_at = 0;
            assert_int_equal(atomic_load(&fake.live), live);
            assert_int_equal(r.finals, 1);
            failed = atomic_load(&fake.calls) >= at;
            if (!failed) assert_int_equal(r.code, -1);
            fake_request_free(&r);
        }
    }
}

/* Also where loading itself fails half way. */
static void test_loads_again_and_again(void **state) {
    (void)state;
    TRITONBACKEND_Model m = {.folder = folder, .config = CONFIG("," PARAMETER("max_batch", "2"))};
    TRITONBACKEND_ModelInstance i = {0};
    int live = atomic_load(&fake.live), opened = atomic_load(&fake.opened);
    const char *failed = "";
    for (int at = 1; failed; at++) {
        i = (TRITONBACKEND_ModelInstance){0};
        atomic_store(&fake.calls, 0);
        fake.fail_at = at;
        failed = fake_load(&m, &i);
        bool log_failed = !failed && atomic_load(&fake.calls) >= at; /* a line of the log is not worth a model */
        fake.fail_at = 0;
        if (!failed) fake_unload(&m, &i);
        if (log_failed) failed = "";
        assert_int_equal(atomic_load(&fake.live), live);
    }
    for (int k = 0; k < 3; k++) {
        i = (TRITONBACKEND_ModelInstance){0};
        assert_null(fake_load(&m, &i));
        TRITONBACKEND_Request r = good_request("Yes.");
        speak(&i, &r);
        fake_request_free(&r);
        fake_unload(&m, &i);
    }
    assert_true(atomic_load(&fake.opened) >= opened + 3);
    assert_int_equal(atomic_load(&fake.live), live);
}

int main(int argc, char **argv) {
    if (argc != 2) return fprintf(stderr, "usage: %s MODEL.f5\n", argv[0]), 2;
    model_file = argv[1];
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_speaks),
                                       cmocka_unit_test(test_padding_and_what_is_left_out),
                                       cmocka_unit_test(test_streams_the_same_samples),
                                       cmocka_unit_test(test_batches),
                                       cmocka_unit_test(test_parameters),
                                       cmocka_unit_test(test_cancelled),
                                       cmocka_unit_test(test_failing_server),
                                       cmocka_unit_test(test_loads_again_and_again)};
    return cmocka_run_group_tests(tests, start, stop);
}
