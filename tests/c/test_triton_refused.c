/* test_triton_refused.c — what the backend refuses: requests, parameters, configurations, servers. */
#include "tests/c/triton_requests.h"

static void test_bad_parameters(void **state) {
    (void)state;
    const struct {
        fake_parameter parameter;
        const char *told;
    } bad[] = {{{"seed", TRITONSERVER_PARAMETER_INT, -1, 0, NULL}, "seed must be a whole number"},
               {{"seed", TRITONSERVER_PARAMETER_STRING, 0, 0, "7x"}, "seed must be a whole number"},
               {{"seed", TRITONSERVER_PARAMETER_DOUBLE, 0, 1.5, NULL}, "seed must be a whole number"},
               {{"nfe_step", TRITONSERVER_PARAMETER_INT, 0, 0, NULL}, "nfe_step must be"},
               {{"nfe_step", TRITONSERVER_PARAMETER_INT, 65, 0, NULL}, "65"},
               {{"nfe", TRITONSERVER_PARAMETER_INT, INT64_MIN, 0, NULL}, "nfe must be"},
               {{"speed", TRITONSERVER_PARAMETER_DOUBLE, 0, 1e300, NULL}, "speed must be a number"},
               {{"speed", TRITONSERVER_PARAMETER_STRING, 0, 0, "nan"}, "speed must be a number"},
               {{"speed", TRITONSERVER_PARAMETER_BOOL, 1, 0, NULL}, "speed must be a number"},
               {{"method", TRITONSERVER_PARAMETER_STRING, 0, 0, "heun"}, "euler, midpoint or ab2"},
               {{"method", TRITONSERVER_PARAMETER_INT, 0, 0, NULL}, "euler, midpoint or ab2"},
               {{"ssml", TRITONSERVER_PARAMETER_INT, 2, 0, NULL}, "ssml must be true or false"},
               {{"normalize", TRITONSERVER_PARAMETER_STRING, 0, 0, "xx"}, "xx"},
               {{"normalize", TRITONSERVER_PARAMETER_STRING, 0, 0, "a text that is longer than any language's name"},
                "normalize must be"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        TRITONBACKEND_Request b = good_request("Yes.");
        b.parameter[b.parameters++] = bad[i].parameter;
        execute(&instance, &b);
        if (b.code != TRITONSERVER_ERROR_INVALID_ARG && b.code != TRITONSERVER_ERROR_UNSUPPORTED)
            fail_msg("%s: code %d %s", bad[i].told, b.code, b.message);
        if (!strstr(b.message, bad[i].told)) fail_msg("'%s' does not tell '%s'", b.message, bad[i].told);
    }
}

/* A bad request, made of a good one: what is set in one of its tensors. */
static void spoil(TRITONBACKEND_Request *r, int which) {
    static float bad_samples[SAMPLES];
    static int32_t too_long = SAMPLES + 1, none = 0, negative = -5;
    static char long_text[20000];
    TRITONBACKEND_Input *wav = &r->input[WAV], *text = &r->input[TARGET_TEXT];
    memcpy(bad_samples, recording, sizeof recording);
    switch (which) {
    case 0:
        r->inputs = 3, r->input[WAV] = r->input[3];
        break; /* no recording */
    case 1:
        r->inputs = 3;
        break; /* no text */
    case 2:
        wav->type = TRITONSERVER_TYPE_INT32;
        break;
    case 3:
        wav->shape[0] = 2, wav->shape[1] = SAMPLES / 2;
        break;
    case 4:
        wav->dims = 3, wav->shape[2] = 1;
        break;
    case 5:
        wav->shape[1] = 0, wav->bytes = 0;
        break;
    case 6:
        wav->shape[1] = INT64_MAX;
        break;
    case 7:
        wav->shape[1] = (int64_t)600 * 24000 + 1, wav->more = 4 * wav->shape[1] - (int64_t)wav->bytes;
        break;
    case 8:
        wav->more = 4, wav->shape[1]++;
        break; /* the buffers have less than that */
    case 9:
        wav->bytes -= 400, wav->more = 400 - 4, wav->shape[1]--;
        break;
    case 10:
        wav->data = bad_samples, bad_samples[100] = NAN;
        break;
    case 11:
        wav->data = bad_samples, bad_samples[100] = -INFINITY;
        break;
    case 12:
        wav->data = bad_samples, bad_samples[100] = 1e30f;
        break;
    case 13:
        wav->data = memset(bad_samples, 0, sizeof bad_samples);
        break;
    case 14:
        r->input[WAV_LEN].data = &too_long;
        break;
    case 15:
        r->input[WAV_LEN].data = &none;
        break;
    case 16:
        r->input[WAV_LEN].data = &negative;
        break;
    case 17:
        r->input[WAV_LEN].shape[1] = 2, r->input[WAV_LEN].more = 4;
        break;
    case 18:
        *text = text_input("target_text", "", 0);
        break;
    case 19:
        *text = text_input("target_text", " \n ", 3);
        break;
    case 20:
        *text = text_input("target_text", "Y\xc3\x28s", 4);
        break;
    case 21:
        *text = text_input("target_text", "Y\0s", 3);
        break;
    case 22:
        *text = text_input("target_text", "Yes", 3), text->bytes = 3;
        break;
    case 23:
        *text = text_input("target_text", "Yes", 3), text->bytes = 6;
        break;
    case 24:
        text->shape[1] = 3;
        break;
    case 25:
        text->data = long_text, text->bytes = sizeof long_text;
        break;
    case 26:
        r->input[REFERENCE_TEXT] = text_input("reference_text", "", 0);
        break;
    case 27:
        *text = text_input("target_text", "[pause 61s]", 11);
        break;
    case 28:
        wav->dims = 0;
        break;
    case 29:
        wav->memory = TRITONSERVER_MEMORY_GPU;
        break;
    default:
        r->output_on_gpu = true;
        break;
    }
}

static void test_bad_requests(void **state) {
    (void)state;
    static const char *const told[] = {"reference_wav is missing",
                                       "target_text is missing",
                                       "reference_wav must be FP32",
                                       "send one text",
                                       "send one text",
                                       "reference_wav is empty",
                                       "reference_wav is empty",
                                       "longer than 600 s",
                                       "shorter than its",
                                       "shorter than its",
                                       "not a finite",
                                       "not a finite",
                                       "damaged",
                                       "",
                                       "reference_wav_len is 9601",
                                       "reference_wav_len is 0",
                                       "reference_wav_len is -5",
                                       "one element, not 2",
                                       "target_text is empty",
                                       "target_text is empty",
                                       "malformed UTF-8 at byte 1",
                                       "zero byte",
                                       "is no text",
                                       "longer or shorter",
                                       "one element, not 3",
                                       "more than 16384 bytes",
                                       "reference_text is empty",
                                       "pause",
                                       "reference_wav is empty",
                                       "GPU's memory",
                                       "GPU's memory"};
    const int count = sizeof told / sizeof *told;
    for (int i = 0; i < 2 * count; i++) { /* in both models */
        TRITONBACKEND_Request r = good_request("Yes.");
        spoil(&r, i % count);
        execute(i < count ? &instance : &streamer, &r);
        const int code = i % count >= count - 2 ? TRITONSERVER_ERROR_UNSUPPORTED : TRITONSERVER_ERROR_INVALID_ARG;
        if (r.code != code || !strstr(r.message, told[i % count]))
            fail_msg("bad request %d: code %d, '%s'", i, r.code, r.message);
        assert_true(r.finals == 1 && r.reported == 1 && !r.success && r.samples == 0);
        assert_growing(r.time);
    }
    TRITONBACKEND_Request good = good_request("Yes.");
    speak(&instance, &good);
    fake_request_free(&good);
}

static void test_bad_configurations(void **state) {
    (void)state;
    const struct {
        const char *config, *told;
    } bad[] = {{CONFIG("," PARAMETER("nfe_steps", "8")), "parameter nfe_steps, which f5tts does not know"},
               {CONFIG("," PARAMETER("model_path", "none.f5")), "none.f5: no such model file"},
               {CONFIG("," PARAMETER("model_path", "/dev/null")), "/dev/null"},
               {CONFIG("," PARAMETER("max_batch", "0")), "max_batch of config.pbtxt must be from 1 to 64"},
               {CONFIG("," PARAMETER("threads", "two")), "threads"},
               {CONFIG("," PARAMETER("precision", "fp7")), "fp7"},
               {CONFIG("," PARAMETER("vocoder_precision", "fp6")), "vocoder_precision 'fp6'"},
               {CONFIG("," PARAMETER("vocoder_precision", "fp16")), "needs a GPU"},
               {CONFIG("," PARAMETER("method", "heun")), "method must be"},
               {CONFIG(",\"first_chunk\":{}"), "first_chunk has no string_value"},
               {"{\"parameters\":", "configuration"},
               {"[]", "no JSON object"}};
    TRITONBACKEND_Model m = {.folder = folder};
    TRITONBACKEND_ModelInstance i = {0};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        int live = atomic_load(&fake.live);
        m.config = bad[k].config;
        const char *failed = fake_load(&m, &i);
        if (!failed || !strstr(failed, bad[k].told)) fail_msg("'%s', not '%s'", failed ? failed : "", bad[k].told);
        assert_int_equal(atomic_load(&fake.live), live);
    }
    m.config = CONFIG("");
    i = (TRITONBACKEND_ModelInstance){.kind = TRITONSERVER_INSTANCEGROUPKIND_GPU, .device = 77};
    const char *failed = fake_load(&m, &i);
    assert_true(failed && (strstr(failed, "77") || strstr(failed, "CUDA")));
}

static const char *one_voice_file; /* NULL: none was given */

static void test_a_model_of_one_voice(void **state) {
    (void)state;
    if (!one_voice_file) skip();
    char config[2000];
    snprintf(config, sizeof config, CONFIG("," PARAMETER("model_path", "%s")), one_voice_file);
    TRITONBACKEND_Model m = {.folder = folder, .config = config};
    TRITONBACKEND_ModelInstance i = {0};
    const int live = atomic_load(&fake.live);
    const char *failed = fake_load(&m, &i);
    if (!failed || !strstr(failed, "one voice of its own")) fail_msg("'%s'", failed ? failed : "");
    assert_int_equal(atomic_load(&fake.live), live);
}

static void test_old_server(void **state) {
    (void)state;
    fake.minor = 16;
    const char *failed = fake_start(F5_TEST_BACKEND);
    fake.minor = 19;
    assert_true(failed && strstr(failed, "1.16"));
}

int main(int argc, char **argv) {
    if (argc != 2 && argc != 3) return fprintf(stderr, "usage: %s MODEL.f5 [MODEL_OF_ONE_VOICE.f5]\n", argv[0]), 2;
    model_file = argv[1];
    if (argc == 3) one_voice_file = argv[2];
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bad_parameters), cmocka_unit_test(test_bad_requests),
                                       cmocka_unit_test(test_bad_configurations),
                                       cmocka_unit_test(test_a_model_of_one_voice), cmocka_unit_test(test_old_server)};
    return cmocka_run_group_tests(tests, start, stop);
}
