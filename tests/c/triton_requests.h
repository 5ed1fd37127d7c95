/* triton_requests.h — requests as upstream's clients send them, and two models that answer: one at a time, and a
 * stream. */
#ifndef F5_TEST_TRITON_REQUESTS_H
#define F5_TEST_TRITON_REQUESTS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/c/fake_triton.h"
#include "tests/c/seed.h"

#define SAMPLES 9600
#define PARAMETER(name, value) "\"" name "\":{\"string_value\":\"" value "\"}"
#define SMALL PARAMETER("max_frames", "512") "," PARAMETER("device", "cpu") "," PARAMETER("nfe_step", "1")
#define CONFIG(more) "{\"name\":\"f5_tts\",\"max_batch_size\":1,\"parameters\":{" SMALL more "}}"
#define STREAM                                                                                                         \
    "{\"model_transaction_policy\":{\"decoupled\":true},\"parameters\":{" SMALL                                        \
    "," PARAMETER("model_path", "model.f5") "," PARAMETER("vocoder", "vocos") "}}"

static const char *model_file; /* a .f5 file */
static float recording[SAMPLES];
static int32_t length = SAMPLES;
static char folder[64];
static TRITONBACKEND_Model model, stream;
static TRITONBACKEND_ModelInstance instance, streamer;

/* ---- requests ---------------------------------------------------------------------------------------------------- */

/* A tensor of one text, as the protocol has it; texts live as long as the test. */
static TRITONBACKEND_Input text_input(const char *name, const char *text, uint32_t bytes) {
    static char pool[8192];
    static size_t used;
    if (used + bytes + 8 > sizeof pool) used = 0;
    char *at = pool + used;
    memcpy(at, &bytes, 4);
    memcpy(at + 4, text, bytes);
    used += (bytes + 8) & ~(size_t)3;
    return (TRITONBACKEND_Input){.name = name,
                                 .type = TRITONSERVER_TYPE_BYTES,
                                 .shape = {1, 1},
                                 .dims = 2,
                                 .data = at,
                                 .bytes = bytes + 4,
                                 .buffers = 1};
}

enum { WAV, WAV_LEN, REFERENCE_TEXT, TARGET_TEXT };

static TRITONBACKEND_Request good_request(const char *text) {
    TRITONBACKEND_Request r = {.inputs = 4, .parameters = 1};
    r.input[WAV] = (TRITONBACKEND_Input){.name = "reference_wav",
                                         .type = TRITONSERVER_TYPE_FP32,
                                         .shape = {1, SAMPLES},
                                         .dims = 2,
                                         .data = recording,
                                         .bytes = sizeof recording,
                                         .buffers = 2};
    r.input[WAV_LEN] = (TRITONBACKEND_Input){.name = "reference_wav_len",
                                             .type = TRITONSERVER_TYPE_INT32,
                                             .shape = {1, 1},
                                             .dims = 2,
                                             .data = &length,
                                             .bytes = 4,
                                             .buffers = 1};
    r.input[REFERENCE_TEXT] = text_input("reference_text", "one two", 7);
    r.input[TARGET_TEXT] = text_input("target_text", text, (uint32_t)strlen(text));
    r.parameter[0] = (fake_parameter){.name = "seed", .type = TRITONSERVER_PARAMETER_INT, .whole = 7};
    return r;
}

static void execute(TRITONBACKEND_ModelInstance *i, TRITONBACKEND_Request *r) {
    fake_execute(i, &r, 1);
    assert_int_equal(r->released, 1);
}

static void assert_growing(const uint64_t time[4]) {
    for (int i = 1; i < 4; i++) assert_true(time[i] > time[i - 1]);
}

/* Speaks, which must work. */
static void speak(TRITONBACKEND_ModelInstance *i, TRITONBACKEND_Request *r) {
    execute(i, r);
    if (r->code != -1) fail_msg("code %d: %s", r->code, r->message);
    assert_true(r->samples > 2400 && r->finals == 1 && r->reported == 1 && r->success && !r->reported_late);
    assert_growing(r->time);
    assert_growing(i->batch_time);
    for (int64_t k = 0; k < r->samples; k++) assert_true(isfinite(r->sound[k]));
}

static int start(void **state) {
    char path[128];
    uint64_t random = random_seed();
    (void)state;
    for (int i = 0; i < SAMPLES; i++) recording[i] = (float)random_below(&random, 2001) * 1e-4f - 0.1f;
    strcpy(folder, "/tmp/f5_triton_XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/1", folder);
    if (mkdir(path, 0700) != 0) return -1;
    snprintf(path, sizeof path, "%s/1/model.f5", folder);
    if (symlink(model_file, path) != 0) return -1;
    const char *failed = fake_start(F5_TEST_BACKEND);
    model = (TRITONBACKEND_Model){.folder = folder, .config = CONFIG("")};
    stream = (TRITONBACKEND_Model){.folder = folder, .config = STREAM};
    if (!failed) failed = fake_load(&model, &instance);
    if (!failed) failed = fake_load(&stream, &streamer);
    if (failed) fprintf(stderr, "%s\n", failed);
    return failed ? -1 : 0;
}

static int stop(void **state) {
    char path[128];
    (void)state;
    fake_unload(&model, &instance);
    fake_unload(&stream, &streamer);
    fake_stop();
    snprintf(path, sizeof path, "%s/1/model.f5", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/1", folder);
    rmdir(path);
    return rmdir(folder) != 0 || atomic_load(&fake.live) != 0;
}

#endif
