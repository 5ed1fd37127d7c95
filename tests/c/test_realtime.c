/* test_realtime.c — the Realtime session without a socket: what Open WebUI sends, what it gets, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/server/base64.h"
#include "host/server/realtime.h"

typedef struct {
    realtime *r;
    char log[16384], response[128];
    size_t n, sound;
    bool refuse_voice, refuse_speech;
} client;

static void note(client *c, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(c->log + c->n, sizeof c->log - c->n, format, arguments);
    va_end(arguments);
    assert_true(n >= 0 && c->n + (size_t)n < sizeof c->log);
    c->n += (size_t)n;
}

static f5_status configure(void *user, const char *voice, double speed, f5_error *error) {
    client *c = user;
    if (c->refuse_voice) return f5_fail(error, F5_E_ARGUMENT, "no voice is called x");
    note(c, "configure %s %g\n", voice ? voice : "-", speed);
    return F5_OK;
}

static f5_status speak(void *user, const char *text, size_t bytes, f5_error *error) {
    client *c = user;
    if (c->refuse_speech) return f5_fail(error, F5_E_MEMORY, "the queue is full");
    note(c, "speak %.*s\n", (int)bytes, text);
    return F5_OK;
}

static void cancel(void *user) {
    note(user, "cancel\n");
}

static const char *string_at(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

static void message(void *user, const char *text, size_t bytes) {
    client *c = user;
    json_t *event = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(event);
    assert_non_null(string_at(event, "event_id"));
    const json_t *response = json_object_get(event, "response"), *error = json_object_get(event, "error");
    note(c, "> %s", string_at(event, "type"));
    if (response) {
        note(c, " %s", string_at(response, "status"));
        if (strcmp(string_at(event, "type"), "response.created") == 0)
            snprintf(c->response, sizeof c->response, "%s", string_at(response, "id"));
        assert_string_equal(string_at(response, "id"), c->response);
    }
    if (string_at(event, "response_id")) assert_string_equal(string_at(event, "response_id"), c->response);
    if (string_at(event, "delta")) {
        static uint8_t pcm[REALTIME_DELTA_BYTES + 3];
        size_t n;
        assert_true(strlen(string_at(event, "delta")) < BASE64_BYTES(REALTIME_DELTA_BYTES));
        assert_true(base64_decode(string_at(event, "delta"), strlen(string_at(event, "delta")), pcm, &n));
        for (size_t i = 0; i < n; i++) assert_int_equal(pcm[i], (uint8_t)(c->sound + i));
        c->sound += n;
        note(c, " %zu", n);
    }
    if (error) note(c, " %s %s", string_at(error, "code"), string_at(error, "message"));
    if (error && string_at(error, "event_id")) note(c, " to %s", string_at(error, "event_id"));
    if (json_object_get(event, "session"))
        note(
            c, " voice=%s",
            string_at(json_object_get(json_object_get(json_object_get(event, "session"), "audio"), "output"), "voice"));
    note(c, "\n");
    json_decref(event);
}

static void close_it(void *user, uint16_t code, const char *reason) {
    (void)reason;
    note(user, "close %d\n", code);
}

static client *open_client(void) {
    static const realtime_actions actions = {
        .configure = configure, .speak = speak, .cancel = cancel, .text = message, .close = close_it};
    client *c = calloc(1, sizeof *c);
    c->r = realtime_open(&actions, c, "1", "f5-tts", "slt");
    assert_non_null(c->r);
    assert_string_equal(c->log, "> session.created voice=slt\n");
    c->n = 0;
    return c;
}

static void close_client(client *c) {
    realtime_free(c->r);
    free(c);
}

static void say(client *c, const char *text) {
    realtime_message(c->r, text, strlen(text));
}

static void expect(client *c, const char *log) {
    assert_string_equal(c->log, log);
    c->n = 0;
    c->log[0] = 0;
}

#define RESPONSE(text)                                                                                                 \
    "{\"type\":\"response.create\",\"response\":{\"conversation\":\"none\",\"output_modalities\":[\"audio\"],"         \
    "\"tools\":[],\"tool_choice\":\"none\",\"instructions\":\"Read it.\",\"input\":[{\"type\":\"message\","            \
    "\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"" text "\"}]}]}}"

/* Word for word what Open WebUI sends. */
static void open_webui(void **state) {
    (void)state;
    client *c = open_client();
    say(c, "{\"type\":\"session.update\",\"session\":{\"type\":\"realtime\",\"output_modalities\":[\"audio\"],"
           "\"audio\":{\"input\":{\"turn_detection\":null,\"transcription\":null},\"output\":{\"format\":"
           "{\"type\":\"audio/pcm\",\"rate\":24000},\"voice\":\"rms\"}},\"tools\":[],\"tool_choice\":\"none\","
           "\"instructions\":\"Read it.\"}}");
    expect(c, "configure rms 0\n> session.updated voice=rms\n");
    say(c, RESPONSE("What I never said."));
    assert_true(realtime_busy(c->r));
    uint8_t pcm[60000];
    for (size_t i = 0; i < sizeof pcm; i++) pcm[i] = (uint8_t)i;
    realtime_sound(c->r, pcm, sizeof pcm);
    realtime_done(c->r, NULL);
    assert_int_equal(c->sound, sizeof pcm);
    expect(c, "> response.created in_progress\nspeak What I never said.\n> response.output_audio.delta 24000\n"
              "> response.output_audio.delta 24000\n> response.output_audio.delta 12000\n"
              "> response.output_audio.done\n> response.done completed\n");
    assert_false(realtime_busy(c->r));
    char first[128];
    memcpy(first, c->response, sizeof first);
    say(c, RESPONSE("Again."));
    realtime_done(c->r, NULL);
    assert_string_not_equal(c->response, first);
    expect(c, "> response.created in_progress\nspeak Again.\n> response.done completed\n");
    close_client(c);
}

static void items_and_cancel(void **state) {
    (void)state;
    client *c = open_client();
    say(c, "{\"type\":\"conversation.item.create\",\"item\":{\"type\":\"message\",\"role\":\"user\",\"content\":"
           "[{\"type\":\"input_text\",\"text\":\"One.\"},{\"type\":\"input_text\",\"text\":\"Two.\"}]}}");
    say(c, "{\"type\":\"conversation.item.create\",\"item\":{\"type\":\"message\",\"role\":\"system\",\"content\":"
           "[{\"type\":\"input_text\",\"text\":\"Be kind.\"}]}}");
    say(c, "{\"type\":\"response.create\"}");
    expect(c, "> conversation.item.created\n> conversation.item.created\n> response.created in_progress\n"
              "speak One.\nTwo.\n");
    say(c, RESPONSE("Three."));
    expect(c,
           "> error conversation_already_has_active_response a response is being spoken: wait for its response.done, "
           "or cancel it\n");
    say(c, "{\"type\":\"response.cancel\",\"event_id\":\"e1\"}");
    realtime_sound(c->r, "12", 2);
    realtime_done(c->r, NULL);
    expect(c, "cancel\n> response.done cancelled\n");
    say(c, "{\"type\":\"response.cancel\",\"event_id\":\"e2\"}");
    expect(c, "> error response_cancel_not_active no response is being spoken to e2\n");
    say(c, "{\"type\":\"response.create\"}"); /* what was spoken is not spoken again */
    expect(c, "> error invalid_value there is no text: input needs a message of the user with an input_text\n");
    close_client(c);
}

static void refusals(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"nonsense", "> error invalid_event not JSON: "},
        {"[]", "> error invalid_event the JSON must be an object"},
        {"{}", "> error invalid_event type is missing\n"},
        {"{\"type\":\"x\",\"event_id\":7}", "> error invalid_event event_id must be a string\n"},
        {"{\"type\":\"input_audio_buffer.append\",\"event_id\":\"e\"}",
         "> error unknown_event input_audio_buffer.append is not something that this server does: it speaks texts to "
         "e\n"},
        {"{\"type\":\"session.update\",\"session\":[]}", "> error invalid_value session must be an object\n"},
        {"{\"type\":\"session.update\",\"session\":{\"audio\":{\"output\":{\"format\":{\"type\":\"audio/pcmu\"}}}}}",
         "> error invalid_value the sound has the format audio/pcm at 24000 Hz, no other\n"},
        {"{\"type\":\"session.update\",\"session\":{\"audio\":{\"output\":{\"format\":{\"type\":\"audio/pcm\",\"rate\":"
         "16000}}}}}",
         "> error invalid_value the sound has the format"},
        {"{\"type\":\"session.update\",\"session\":{\"output_audio_format\":\"g711_ulaw\"}}",
         "> error invalid_value the sound has the format"},
        {"{\"type\":\"session.update\",\"session\":{\"audio\":{\"output\":{\"speed\":0}}}}",
         "> error invalid_value speed must be from 0.25 to 4\n"},
        {"{\"type\":\"session.update\",\"session\":{\"audio\":{\"output\":{\"speed\":\"fast\"}}}}",
         "> error invalid_value speed must be from 0.25 to 4\n"},
        {"{\"type\":\"session.update\",\"session\":{\"voice\":7}}", "> error invalid_value voice must be a string\n"},
        {"{\"type\":\"response.create\",\"response\":{\"input\":\"text\"}}",
         "> error invalid_value input must be an array\n"},
        {"{\"type\":\"response.create\",\"response\":{\"input\":[7]}}",
         "> error invalid_value an item must be an object\n"},
        {"{\"type\":\"response.create\",\"response\":{\"input\":[{\"content\":[7]}]}}",
         "> error invalid_value content must have objects\n"},
        {"{\"type\":\"conversation.item.create\"}", "> error invalid_value an item must be an object\n"},
        {RESPONSE(" \\n "), "> error invalid_value there is no text"},
        {"{\"type\":\"response.create\"}", "> error invalid_value there is no text"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        client *c = open_client();
        say(c, cases[i][0]);
        if (strncmp(c->log, cases[i][1], strlen(cases[i][1])) != 0) print_error("case %zu: %s\n", i, c->log);
        assert_memory_equal(c->log, cases[i][1], strlen(cases[i][1]));
        c->n = 0;
        say(c, RESPONSE("Still here.")); /* the session goes on */
        assert_non_null(strstr(c->log, "speak Still here.\n"));
        close_client(c);
    }
}

static void settings(void **state) {
    (void)state;
    client *c = open_client();
    say(c, "{\"type\":\"session.update\",\"session\":{\"voice\":\"rms\",\"output_audio_format\":\"pcm16\"}}");
    say(c,
        "{\"type\":\"session.update\",\"session\":{\"audio\":{\"output\":{\"voice\":{\"id\":\"me\"},\"speed\":1.5}}}}");
    say(c, "{\"type\":\"session.update\",\"session\":{\"audio\":null}}");
    say(c, "{\"type\":\"session.update\"}");
    expect(c, "configure rms 0\n> session.updated voice=rms\nconfigure me 1.5\n> session.updated voice=me\n"
              "> session.updated voice=me\n> session.updated voice=me\n");
    c->refuse_voice = true;
    say(c, "{\"type\":\"session.update\",\"event_id\":\"e9\",\"session\":{\"voice\":\"x\"}}");
    expect(c, "> error invalid_value no voice is called x to e9\n");
    c->refuse_speech = true;
    say(c, RESPONSE("Too much."));
    expect(c, "> response.created in_progress\n> response.done failed\n");
    c->refuse_speech = false;
    say(c, RESPONSE("Fails later."));
    realtime_sound(c->r, "", 0);
    f5_error error;
    f5_fail(&error, F5_E_DEVICE, "the GPU is lost");
    realtime_done(c->r, &error);
    expect(c, "> response.created in_progress\nspeak Fails later.\n> response.done failed\n");
    say(c, RESPONSE("One more."));
    realtime_binary(c->r);
    say(c, RESPONSE("Never."));
    expect(c, "> response.created in_progress\nspeak One more.\ncancel\nclose 1003\n");
    close_client(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(open_webui), cmocka_unit_test(items_and_cancel),
                                       cmocka_unit_test(refusals), cmocka_unit_test(settings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
