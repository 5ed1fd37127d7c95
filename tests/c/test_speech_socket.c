/* test_speech_socket.c — the session of /v1/audio/speech/stream without a socket: what is spoken in which order, what
 * is answered, what a cancel leaves, and every limit. A session's actions are written down, one a line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/server/speech_socket.h"

typedef struct {
    speech_socket *s;
    char log[65536];
    size_t n;
    bool refuse_config, refuse_begin, refuse_push, done_at_once, whole, later;
    int pushed;
} client;

static void note(client *c, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(c->log + c->n, sizeof c->log - c->n, format, arguments);
    va_end(arguments);
    assert_true(n >= 0 && c->n + (size_t)n < sizeof c->log);
    c->n += (size_t)n;
}

static f5_status configure(void *user, const json_t *config, speech_socket_config *settled, f5_error *error) {
    client *c = user;
    if (c->refuse_config) return f5_fail(error, F5_E_ARGUMENT, "no voice is called x");
    note(c, "configure %s\n", json_string_value(json_object_get(config, "voice")));
    *settled = (speech_socket_config){"pcm", 24000, true, c->whole, c->whole ? "none" : "sentence", c->later};
    return F5_OK;
}

static f5_status begin(void *user, f5_error *error) {
    client *c = user;
    if (c->refuse_begin) return f5_fail(error, F5_E_MEMORY, "the queue is full");
    note(c, "begin\n");
    return F5_OK;
}

static void push(void *user, const char *text, size_t bytes) {
    client *c = user;
    c->pushed++;
    note(c, "push %.*s\n", (int)(bytes < 40 ? bytes : 40), text);
    f5_error error;
    f5_fail(&error, F5_E_LIMIT, "too long");
    if (c->refuse_push) speech_socket_done(c->s, &error);
}

static void finish(void *user) {
    client *c = user;
    note(c, "finish\n");
    if (c->done_at_once) speech_socket_done(c->s, NULL);
}

static void cancel(void *user) {
    note(user, "cancel\n");
}

/* Only what differs from message to message. */
static void message(void *user, const char *text, size_t bytes) {
    json_t *event = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(event);
    assert_string_equal(json_string_value(json_object_get(event, "session_id")), "sess_1");
    note(user, "> %s %d", json_string_value(json_object_get(event, "type")),
         (int)json_integer_value(json_object_get(event, "utterance_index")));
    static const char *const keys[] = {"sentence_index", "sentence_text",     "total_bytes", "total_sentences",
                                       "segment_index",  "segment_sentences", "cancelled",   "message"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const json_t *value = json_object_get(event, keys[i]);
        if (json_is_integer(value)) note(user, " %s=%d", keys[i], (int)json_integer_value(value));
        if (json_is_string(value)) note(user, " %s=%s", keys[i], json_string_value(value));
        if (json_is_true(value)) note(user, " %s", keys[i]);
    }
    if (json_is_true(json_object_get(event, "error"))) note(user, " error");
    note(user, "\n");
    json_decref(event);
}

static void binary(void *user, const void *data, size_t bytes) {
    (void)data;
    note(user, "> %zu bytes\n", bytes);
}

static void close_it(void *user, uint16_t code, const char *reason) {
    (void)reason;
    note(user, "close %d\n", code);
}

static client *open_client(void) {
    static const speech_socket_actions actions = {.configure = configure,
                                                  .begin = begin,
                                                  .push = push,
                                                  .finish = finish,
                                                  .cancel = cancel,
                                                  .text = message,
                                                  .binary = binary,
                                                  .close = close_it};
    client *c = calloc(1, sizeof *c);
    c->s = speech_socket_open(&actions, c, "sess_1");
    assert_non_null(c->s);
    return c;
}

static void close_client(client *c) {
    speech_socket_free(c->s);
    free(c);
}

static void say(client *c, const char *text) {
    speech_socket_message(c->s, text, strlen(text));
}

static void expect(client *c, const char *log) {
    assert_string_equal(c->log, log);
    c->n = 0;
    c->log[0] = 0;
}

static client *configured(bool whole) {
    client *c = open_client();
    c->whole = whole;
    say(c, "{\"type\":\"session.config\",\"voice\":\"slt\"}");
    expect(c, "configure slt\n> session.configured 0\n");
    return c;
}

static const char done[] = "{\"type\":\"input.done\"}", commit[] = "{\"type\":\"input.commit\"}",
                  hello[] = "{\"type\":\"input.text\",\"text\":\"Hello. \"}",
                  again[] = "{\"type\":\"input.text\",\"text\":\"Again.\"}";

/* ---- */

static void one_utterance(void **state) {
    (void)state;
    client *c = configured(false);
    say(c, hello);
    speech_socket_sentence(c->s, "Hello.", 6);
    speech_socket_sound(c->s, "1234", 4);
    say(c, again);
    speech_socket_sound(c->s, "12", 2);
    speech_socket_sentence_end(c->s);
    speech_socket_sentence_end(c->s);
    say(c, done);
    assert_int_equal(speech_socket_patience(c->s), 0); /* it waits for us */
    speech_socket_sentence(c->s, "Again.", 6);
    speech_socket_sound(c->s, "123456", 6);
    speech_socket_done(c->s, NULL);
    expect(c, "begin\npush Hello. \n> audio.start 0 sentence_index=0 sentence_text=Hello.\n> 4 bytes\npush Again.\n"
              "> 2 bytes\n> audio.done 0 sentence_index=0 total_bytes=6\nfinish\n"
              "> audio.start 0 sentence_index=1 sentence_text=Again.\n> 6 bytes\n"
              "> audio.done 0 sentence_index=1 total_bytes=6\n> session.done 0 total_sentences=2\n");
    assert_int_equal(speech_socket_patience(c->s), SPEECH_SOCKET_IDLE_SECONDS);
    say(c, "{\"type\":\"session.config\",\"session\":{\"voice\":\"rms\"}}"); /* settings under "session" */
    say(c, hello);
    say(c, done);
    speech_socket_done(c->s, NULL);
    say(c, "{\"type\":\"session.close\"}");
    say(c, hello);
    expect(c, "configure rms\n> session.configured 1\nbegin\npush Hello. \nfinish\n> session.done 1 total_sentences=0\n"
              "close 1000\n");
    close_client(c);
}

/* What comes while an utterance is being finished waits, in order. */
static void waiting(void **state) {
    (void)state;
    client *c = configured(false);
    say(c, hello);
    say(c, commit);
    say(c, again);
    say(c, commit);
    say(c, done);
    say(c, hello);
    expect(c, "begin\npush Hello. \nfinish\n");
    speech_socket_sentence(c->s, "Hello.", 6);
    speech_socket_done(c->s, NULL);
    expect(c,
           "> audio.start 0 sentence_index=0 sentence_text=Hello.\n> audio.done 0 sentence_index=0 total_bytes=0\n"
           "> input.committed 0 total_sentences=1 segment_index=0 segment_sentences=1\nbegin\npush Again.\nfinish\n");
    speech_socket_sentence(c->s, "Again.", 6);
    speech_socket_done(c->s, NULL);
    expect(c, "> audio.start 0 sentence_index=1 sentence_text=Again.\n> audio.done 0 sentence_index=1 total_bytes=0\n"
              "> input.committed 0 total_sentences=2 segment_index=1 segment_sentences=1\n"
              "> session.done 0 total_sentences=2\nbegin\npush Hello. \n");
    c->done_at_once = true; /* the answer comes inside the call that asks for it */
    for (int i = 0; i < 3; i++) {
        say(c, done);
        say(c, again);
    }
    expect(c, "finish\n> session.done 1 total_sentences=0\nbegin\npush Again.\nfinish\n"
              "> session.done 2 total_sentences=0\nbegin\npush Again.\nfinish\n> session.done 3 total_sentences=0\n"
              "begin\npush Again.\n");
    close_client(c);
}

static void nothing_to_say(void **state) {
    (void)state;
    for (int whole = 0; whole < 2; whole++) {
        client *c = configured(whole);
        say(c, "{\"type\":\"input.text\",\"text\":\"\"}");
        say(c, "{\"type\":\"input.text\",\"text\":\" \\n\"}");
        say(c, commit);
        say(c, done);
        say(c, done);
        expect(c, "> input.committed 0 total_sentences=0 segment_index=0 segment_sentences=0\n"
                  "> session.done 0 total_sentences=0\n> session.done 1 total_sentences=0\n");
        close_client(c);
    }
}

/* split_granularity none: one sentence, when all of it is there. */
static void whole_utterances(void **state) {
    (void)state;
    client *c = configured(true);
    say(c, hello);
    say(c, again);
    expect(c, "");
    say(c, done);
    speech_socket_sentence(c->s, "chunks do not count", 19);
    speech_socket_sound(c->s, "12", 2);
    speech_socket_sentence_end(c->s);
    speech_socket_sound(c->s, "34", 2);
    speech_socket_done(c->s, NULL);
    expect(c, "begin\n> audio.start 0 sentence_index=0 sentence_text=Hello. Again.\npush Hello. Again.\nfinish\n"
              "> 2 bytes\n> 2 bytes\n> audio.done 0 sentence_index=0 total_bytes=4\n"
              "> session.done 0 total_sentences=1\n");
    close_client(c);
}

static void cancelled(void **state) {
    (void)state;
    client *c = configured(false);
    say(c, hello);
    speech_socket_sentence(c->s, "Hello.", 6);
    speech_socket_sound(c->s, "12", 2);
    say(c, done);
    say(c, again);
    say(c, done);
    say(c, "{\"type\":\"input.cancel\"}");
    expect(c, "begin\npush Hello. \n> audio.start 0 sentence_index=0 sentence_text=Hello.\n> 2 bytes\nfinish\ncancel\n"
              "> audio.done 0 sentence_index=0 total_bytes=2 cancelled\n> input.cancelled 0 total_sentences=1\n");
    speech_socket_sentence(c->s, "late", 4); /* nothing of what was cancelled comes through */
    speech_socket_sound(c->s, "12", 2);
    speech_socket_done(c->s, NULL);
    expect(c, "");
    say(c, "{\"type\":\"cancel\"}"); /* nothing is open: no utterance ends */
    say(c, hello);
    say(c, "{\"type\":\"cancel\"}");
    expect(
        c,
        "> input.cancelled 1 total_sentences=0\nbegin\npush Hello. \ncancel\n> input.cancelled 1 total_sentences=0\n");
    say(c, again);
    expect(c, "begin\npush Again.\n");
    close_client(c);
    c = configured(true);
    say(c, hello);
    say(c, "{\"type\":\"cancel\"}");
    say(c, again);
    say(c, done);
    expect(c, "> input.cancelled 0 total_sentences=0\nbegin\n> audio.start 1 sentence_index=0 sentence_text=Again.\n"
              "push Again.\nfinish\n");
    close_client(c);
}

static void failures(void **state) {
    (void)state;
    client *c = configured(false);
    f5_error error;
    f5_fail(&error, F5_E_ARGUMENT, "cannot be said");
    say(c, hello);
    speech_socket_sentence(c->s, "Hello.", 6);
    speech_socket_done(c->s, &error); /* before it was finished */
    expect(c, "begin\npush Hello. \n> audio.start 0 sentence_index=0 sentence_text=Hello.\n"
              "> error 0 message=cannot be said\n> audio.done 0 sentence_index=0 total_bytes=0 error\n");
    say(c, again);
    say(c, done);
    speech_socket_done(c->s, &error);
    expect(c, "begin\npush Again.\nfinish\n> error 0 message=cannot be said\n> session.done 0 total_sentences=1\n");
    c->refuse_begin = true;
    say(c, hello);
    say(c, done);
    expect(c, "> error 1 message=the queue is full\n> session.done 1 total_sentences=0\n");
    close_client(c);
}

static void bad_messages(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{", "> error 0 message=not JSON: "},
        {"[]", "> error 0 message=the JSON must be an object, {...}\n"},
        {"{}", "> error 0 message=type is missing\n"},
        {"{\"type\":5}", "> error 0 message=type must be a string\n"},
        {"{\"type\":null}", "> error 0 message=type is missing\n"},
        {"{\"type\":\"\"}", "> error 0 message=no message has the type \n"},
        {"{\"type\":\"audio.start\"}", "> error 0 message=no message has the type audio.start\n"},
        {"{\"type\":\"input.text\"}", "> error 0 message=text is missing\n"},
        {"{\"type\":\"input.text\",\"text\":[\"a\"]}", "> error 0 message=text must be a string\n"},
        {"{\"type\":\"input.text\",\"text\":\"\\u0000\"}", "> error 0 message=not JSON: "},
        {"{\"type\":\"input.text\",\"text\":\"\\ud800\"}", "> error 0 message=not JSON: "},
        {"{\"type\":\"input.done\",\"type\":\"input.done\"}", "> error 0 message=not JSON: duplicate object key"},
        {"[[[[[[[[[[[[[[[[[[[[", "> error 0 message=the JSON is nested more than 16 deep\n"},
        {"{\"type\":\"session.config\",\"session\":[]}", "> error 0 message=session must be an object\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        client *c = configured(false); /* it is told, and goes on */
        say(c, cases[i][0]);
        assert_memory_equal(c->log, cases[i][1], strlen(cases[i][1]));
        assert_null(strstr(c->log, "close"));
        c->n = 0;
        say(c, hello);
        expect(c, "begin\npush Hello. \n");
        close_client(c);
        c = open_client(); /* as the first message it ends the session */
        say(c, cases[i][0]);
        assert_non_null(strstr(c->log, "> error 0 message="));
        assert_non_null(strstr(c->log, "close 1008\n"));
        close_client(c);
    }
    client *c = open_client();
    c->refuse_config = true;
    say(c, "{\"type\":\"session.config\",\"voice\":\"x\"}");
    expect(c, "> error 0 message=no voice is called x\nclose 1008\n");
    close_client(c);
    c = configured(false);
    c->refuse_config = true;
    say(c, "{\"type\":\"session.config\",\"voice\":\"x\"}");
    c->refuse_config = false;
    say(c, hello);
    say(c, "{\"type\":\"session.config\",\"voice\":\"x\"}"); /* in the middle of an utterance */
    expect(
        c,
        "> error 0 message=no voice is called x\nbegin\npush Hello. \n> error 0 message=session.config came while an "
        "utterance is open: send input.done before it\n");
    speech_socket_binary(c->s);
    expect(c, "> error 0 message=binary messages are not understood\ncancel\nclose 1003\n");
    close_client(c);
}

static void limits(void **state) {
    (void)state;
    size_t bytes = 4 * SPEECH_SOCKET_MAX_UTTERANCE;
    char *text = malloc(bytes);
    int head = snprintf(text, bytes, "{\"type\":\"input.text\",\"text\":\"");
    memset(text + head, 'a', bytes - (size_t)head);
    for (int whole = 0; whole < 2; whole++) {
        client *c = configured(whole);
        memcpy(text + SPEECH_SOCKET_MAX_MESSAGE - 2, "\"}", 2); /* the longest message */
        speech_socket_message(c->s, text, SPEECH_SOCKET_MAX_MESSAGE);
        assert_null(strstr(c->log, "error"));
        text[SPEECH_SOCKET_MAX_MESSAGE - 2] = 'a';
        text[SPEECH_SOCKET_MAX_MESSAGE - 1] = '"';
        text[SPEECH_SOCKET_MAX_MESSAGE] = '}';
        speech_socket_message(c->s, text, SPEECH_SOCKET_MAX_MESSAGE + 1);
        assert_non_null(strstr(c->log, "> error 0 message=input.text is too long"));
        assert_null(strstr(c->log, "close"));
        memcpy(text + SPEECH_SOCKET_MAX_MESSAGE - 2, "\"}", 2);
        c->n = 0;
        for (int i = 0; i < 10; i++) speech_socket_message(c->s, text, SPEECH_SOCKET_MAX_MESSAGE);
        assert_non_null(strstr(c->log, "close 1008\n")); /* the utterance is too long */
        close_client(c);
        text[SPEECH_SOCKET_MAX_MESSAGE - 2] = text[SPEECH_SOCKET_MAX_MESSAGE - 1] = 'a';
    }
    free(text);
    client *c = configured(false);
    say(c, hello);
    for (int i = 0; i < SPEECH_SOCKET_MAX_WAITING + 1; i++) say(c, done);
    expect(c, "begin\npush Hello. \nfinish\n");
    say(c, done);
    expect(c, "> error 0 message=more text than an utterance may have: send input.done, and wait for its session.done\n"
              "cancel\nclose 1008\n");
    close_client(c);
    c = open_client();
    assert_int_equal(speech_socket_patience(c->s), SPEECH_SOCKET_CONFIG_SECONDS);
    speech_socket_timeout(c->s);
    expect(c, "> error 0 message=no session.config came in time\nclose 1008\n");
    close_client(c);
    c = configured(false);
    say(c, hello);
    speech_socket_timeout(c->s);
    expect(c, "begin\npush Hello. \n> error 0 message=no message came for too long\ncancel\nclose 1008\n");
    close_client(c);
}

/* A configuration that takes its time, as one with a recording does: what comes meanwhile waits. */
static void configured_later(void **state) {
    (void)state;
    const speech_socket_config settled = {"pcm", 24000, true, false, "sentence", false};
    client *c = open_client();
    c->later = true;
    say(c, "{\"type\":\"session.config\",\"voice\":\"slt\"}");
    assert_int_equal(speech_socket_patience(c->s), 0);
    say(c, hello);
    say(c, "{\"type\":\"cancel\"}");
    say(c, again);
    say(c, done);
    say(c, "{\"type\":\"session.config\",\"voice\":\"rms\"}"); /* again, after an utterance: waits too */
    expect(c, "configure slt\n");
    c->done_at_once = true;
    speech_socket_configured(c->s, &settled, NULL);
    expect(c, "> session.configured 0\nbegin\npush Hello. \ncancel\n> input.cancelled 0 total_sentences=0\nbegin\n"
              "push Again.\nfinish\n> session.done 1 total_sentences=0\nconfigure rms\n");
    f5_error error;
    f5_fail(&error, F5_E_ARGUMENT, "no recording");
    say(c, again);
    speech_socket_configured(c->s, NULL, &error); /* the one before it stays */
    expect(c, "> error 2 message=no recording\nbegin\npush Again.\n");
    close_client(c);
    c = open_client();
    c->later = true;
    say(c, "{\"type\":\"session.config\",\"voice\":\"slt\"}");
    say(c, hello);
    speech_socket_configured(c->s, NULL, &error);
    expect(c, "configure slt\n> error 0 message=no recording\nclose 1008\n");
    close_client(c);
    c = open_client();
    c->later = true;
    say(c, "{\"type\":\"session.config\",\"voice\":\"slt\"}");
    for (int i = 0; i <= SPEECH_SOCKET_MAX_WAITING; i++) say(c, hello);
    expect(c, "configure slt\nclose 1008\n");
    close_client(c);
}

/* What waits behind a text that fails is said as it came: neither lost nor joined to it. */
static void failures_while_others_wait(void **state) {
    (void)state;
    client *c = configured(true);
    say(c, hello);
    say(c, done);
    for (int i = 0; i < 3; i++) {
        say(c, again);
        say(c, done);
    }
    c->n = 0;
    c->refuse_push = true;
    speech_socket_done(c->s, NULL);
    char wanted[2048] = "> audio.done 0 sentence_index=0 total_bytes=0\n> session.done 0 total_sentences=1\n";
    for (int i = 1; i <= 3; i++)
        snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted),
                 "begin\n> audio.start %d sentence_index=0 sentence_text=Again.\npush Again.\n"
                 "> error %d message=too long\n> audio.done %d sentence_index=0 total_bytes=0 error\n"
                 "> session.done %d total_sentences=1\n",
                 i, i, i, i);
    expect(c, wanted);
    close_client(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_utterance),    cmocka_unit_test(waiting),
        cmocka_unit_test(nothing_to_say),   cmocka_unit_test(whole_utterances),
        cmocka_unit_test(cancelled),        cmocka_unit_test(failures),
        cmocka_unit_test(bad_messages),     cmocka_unit_test(limits),
        cmocka_unit_test(configured_later), cmocka_unit_test(failures_while_others_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
