/* test_wyoming.c — the Wyoming session without a socket: events whole and byte by byte, Home Assistant's sequence, the
 * order of what waits, and every limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/server/wyoming.h"

typedef struct {
    wyoming *w;
    char log[65536], out[65536];
    size_t n, out_bytes;
    bool refuse, done_at_once;
} client;

static void note(client *c, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(c->log + c->n, sizeof c->log - c->n, format, arguments);
    va_end(arguments);
    assert_true(n >= 0 && c->n + (size_t)n < sizeof c->log);
    c->n += (size_t)n;
}

/* Reads the server's events as a client does: each must be whole and well formed. */
static void read_events(client *c) {
    size_t at = 0;
    while (at < c->out_bytes) {
        const char *end = memchr(c->out + at, '\n', c->out_bytes - at);
        if (!end) break;
        json_t *line = json_loadb(c->out + at, (size_t)(end - c->out) - at, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(line);
        size_t data_bytes = (size_t)json_integer_value(json_object_get(line, "data_length"));
        size_t payload = (size_t)json_integer_value(json_object_get(line, "payload_length"));
        size_t next = (size_t)(end - c->out) + 1;
        if (next + data_bytes + payload > c->out_bytes) {
            json_decref(line);
            break;
        }
        json_t *data = json_loadb(c->out + next, data_bytes, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(data);
        note(c, "> %s", json_string_value(json_object_get(line, "type")));
        if (json_object_get(data, "text"))
            note(c, " %s",
                 json_is_string(json_object_get(data, "text")) ? json_string_value(json_object_get(data, "text"))
                                                               : "null");
        if (json_object_get(data, "code")) note(c, " (%s)", json_string_value(json_object_get(data, "code")));
        if (json_object_get(data, "timestamp"))
            note(c, " at %d", (int)json_integer_value(json_object_get(data, "timestamp")));
        if (json_object_get(data, "rate")) assert_int_equal(json_integer_value(json_object_get(data, "rate")), 24000);
        if (payload) note(c, " %zu bytes", payload);
        note(c, "\n");
        json_decref(line);
        json_decref(data);
        at = next + data_bytes + payload;
    }
    memmove(c->out, c->out + at, c->out_bytes - at);
    c->out_bytes -= at;
}

static void output(void *user, const void *data, size_t bytes) {
    client *c = user;
    assert_true(c->out_bytes + bytes <= sizeof c->out);
    memcpy(c->out + c->out_bytes, data, bytes);
    c->out_bytes += bytes;
    read_events(c);
}

static json_t *info(void *user) {
    (void)user;
    return json_pack("{s:[]}", "tts");
}

static f5_status begin(void *user, const char *voice, const char *language, bool ssml, const char *text,
                       f5_error *error) {
    client *c = user;
    if (c->refuse) return f5_fail(error, F5_E_ARGUMENT, "no voice is called %s", voice);
    note(c, "%s %s %s%s%s%.30s\n", text ? "speak" : "begin", voice ? voice : "-", language ? language : "-",
         ssml ? " ssml" : "", text ? " " : "", text ? text : "");
    return F5_OK;
}

static void push(void *user, const char *text, size_t bytes) {
    note(user, "push %.*s\n", (int)(bytes < 30 ? bytes : 30), text);
}

static void finish(void *user) {
    client *c = user;
    note(c, "finish\n");
    if (c->done_at_once) wyoming_done(c->w, NULL);
}

static client *open_client(void) {
    static const wyoming_actions actions = {
        .output = output, .info = info, .begin = begin, .push = push, .finish = finish};
    client *c = calloc(1, sizeof *c);
    c->w = wyoming_open(&actions, c, 24000);
    assert_non_null(c->w);
    return c;
}

static void close_client(client *c) {
    assert_int_equal(c->out_bytes, 0); /* no half event */
    wyoming_free(c->w);
    free(c);
}

static void feed(client *c, const char *text, bool drip) {
    size_t bytes = strlen(text);
    for (size_t i = 0; drip && i < bytes; i++) wyoming_feed(c->w, text + i, 1);
    if (!drip) wyoming_feed(c->w, text, bytes);
}

static void expect(client *c, const char *log) {
    assert_string_equal(c->log, log);
    c->n = 0;
    c->log[0] = 0;
}

/* An event as the official client writes it: data behind the line. */
static void send_event(client *c, const char *type, const char *data, const char *payload, bool drip) {
    char text[4096];
    int n = snprintf(text, sizeof text, "{\"type\": \"%s\", \"version\": \"1.10.2\"", type);
    if (data) n += snprintf(text + n, sizeof text - (size_t)n, ", \"data_length\": %zu", strlen(data));
    if (payload) n += snprintf(text + n, sizeof text - (size_t)n, ", \"payload_length\": %zu", strlen(payload));
    snprintf(text + n, sizeof text - (size_t)n, "}\n%s%s", data ? data : "", payload ? payload : "");
    feed(c, text, drip);
}

static void one_text(void **state) {
    (void)state;
    for (int drip = 0; drip < 2; drip++) {
        client *c = open_client();
        send_event(c, "describe", NULL, NULL, drip);
        send_event(c, "ping", "{\"text\": \"hi\"}", NULL, drip);
        send_event(c, "ping", NULL, NULL, drip);
        send_event(c, "select-program", "{\"name\": \"f5-tts\"}", NULL, drip);
        send_event(c, "audio-chunk", "{\"rate\": 16000}", "\n{\"type\":\"ping\"}\n",
                   drip); /* skipped, whatever is in it */
        expect(c, "> info\n> pong hi\n> pong null\n");
        send_event(c, "synthesize", "{\"text\": \"Hello.\", \"voice\": {\"name\": \"slt\"}}", NULL, drip);
        expect(c, "speak slt - Hello.\n");
        assert_int_equal(wyoming_state_of(c->w), WYOMING_SPEAKING);
        uint8_t pcm[20000] = {0};
        wyoming_sound(c->w, pcm, sizeof pcm);
        wyoming_sound(c->w, pcm, 4);
        send_event(c, "ping", NULL, NULL, drip); /* waits: the speech is one event after another */
        wyoming_done(c->w, NULL);
        expect(c, "> audio-start at 0\n> audio-chunk at 0 8192 bytes\n> audio-chunk at 170 8192 bytes\n"
                  "> audio-chunk at 341 3616 bytes\n> audio-chunk at 416 4 bytes\n> audio-stop at 416\n> pong null\n");
        assert_int_equal(wyoming_state_of(c->w), WYOMING_LISTENING);
        /* data in the line, as old clients have it; what comes behind is merged over it */
        feed(
            c,
            "{\"type\":\"synthesize\",\"data\":{\"text\":\"old\",\"voice\":{\"language\":\"en\"}},\"data_length\":14}\n"
            "{\"text\":\"new\"}",
            drip);
        wyoming_done(c->w, NULL);
        feed(c, "{\"type\":\"synthesize\",\"data\":{\"text\":\"<speak>x</speak>\",\"text_format\":\"ssml\"}}\n", drip);
        wyoming_done(c->w, NULL);
        send_event(c, "synthesize", "{\"text\": \"  \"}", NULL, drip); /* nothing to say */
        expect(c, "speak - en new\n> audio-start at 0\n> audio-stop at 0\nspeak - - ssml <speak>x</speak>\n"
                  "> audio-start at 0\n> audio-stop at 0\n> audio-start at 0\n"
                  "> audio-stop at 0\n");
        assert_int_equal(wyoming_state_of(c->w), WYOMING_LISTENING);
        close_client(c);
    }
}

static void home_assistant(void **state) {
    (void)state;
    for (int drip = 0; drip < 2; drip++) {
        client *c = open_client();
        send_event(c, "synthesize-start", "{\"voice\": {\"name\": \"slt\", \"speaker\": \"rms\"}}", NULL, drip);
        send_event(c, "synthesize-chunk", "{\"text\": \"Hello. \"}", NULL, drip);
        wyoming_sound(c->w, "12", 2);
        send_event(c, "synthesize-chunk", "{\"text\": \"Again.\"}", NULL, drip);
        send_event(c, "synthesize", "{\"text\": \"Hello. Again.\"}", NULL, drip); /* for servers without streams */
        send_event(c, "synthesize-stop", NULL, NULL, drip);
        wyoming_sound(c->w, "34", 2);
        wyoming_done(c->w, NULL);
        expect(c, "begin rms -\npush Hello. \n> audio-start at 0\n> audio-chunk at 0 2 bytes\npush Again.\nfinish\n"
                  "> audio-chunk at 0 2 bytes\n> audio-stop at 0\n> synthesize-stopped\n");
        c->done_at_once = true;
        for (int i = 0; i < 2; i++) {
            send_event(c, "synthesize-start", NULL, NULL, drip);
            send_event(c, "synthesize-stop", NULL, NULL, drip);
        }
        send_event(c, "synthesize-chunk", "{\"text\": \"late\"}", NULL, drip); /* of no stream: passed over */
        send_event(c, "synthesize-stop", NULL, NULL, drip);
        expect(c, "begin - -\nfinish\n> audio-start at 0\n> audio-stop at 0\n> synthesize-stopped\n"
                  "begin - -\nfinish\n> audio-start at 0\n> audio-stop at 0\n> synthesize-stopped\n");
        close_client(c);
    }
}

static void in_order(void **state) {
    (void)state;
    client *c = open_client();
    for (int i = 0; i < 3; i++) send_event(c, "synthesize", "{\"text\": \"x\"}", NULL, false);
    expect(c, "speak - - x\n");
    for (int i = 0; i < 3; i++) wyoming_done(c->w, NULL);
    wyoming_done(c->w, NULL); /* of nothing */
    wyoming_sound(c->w, "12", 2);
    expect(c, "> audio-start at 0\n> audio-stop at 0\nspeak - - x\n> audio-start at 0\n> audio-stop at 0\n"
              "speak - - x\n> audio-start at 0\n> audio-stop at 0\n");
    close_client(c);
}

static void errors(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"\n", "> error not JSON: "},
        {"nonsense\n", "> error not JSON: "},
        {"[]\n", "> error the JSON must be an object"},
        {"{}\n", "> error type is missing (bad-request)\n"},
        {"{\"type\":7}\n", "> error type must be a string"},
        {"{\"type\":\"ping\",\"data_length\":-1}\n", "> error data_length must be a number from 0 to 262144"},
        {"{\"type\":\"ping\",\"data_length\":262145}\n", "> error data_length must be"},
        {"{\"type\":\"ping\",\"data_length\":9223372036854775807}\n", "> error data_length must be"},
        {"{\"type\":\"ping\",\"data_length\":92233720368547758070}\n", "> error not JSON: "},
        {"{\"type\":\"ping\",\"data_length\":1.5}\n", "> error data_length must be"},
        {"{\"type\":\"ping\",\"data_length\":\"2\"}\n{}", "> error data_length must be"},
        {"{\"type\":\"ping\",\"payload_length\":1048577}\n", "> error payload_length must be"},
        {"{\"type\":\"ping\",\"data\":[]}\n", "> error data must be an object"},
        {"{\"type\":\"ping\",\"data_length\":2}\n[]", "> error the JSON must be an object"},
        {"{\"type\":\"ping\",\"data_length\":2}\n{]", "> error not JSON: "},
        {"{\"type\":\"ping\",\"data\":{\"text\":7}}\n", "> error text must be a string"},
        {"{\"type\":\"synthesize\"}\n", "> error text is missing"},
        {"{\"type\":\"synthesize\",\"data\":{\"text\":\"a\",\"voice\":\"slt\"}}\n", "> error voice must be an object"},
        {"{\"type\":\"synthesize\",\"data\":{\"text\":\"a\",\"text_format\":\"html\"}}\n",
         "> error text_format is html: text and ssml are spoken (not-supported)\n"},
        {"{\"type\":\"synthesize-start\"}\n{\"type\":\"synthesize-start\"}\n",
         "begin - -\n> error synthesize-start twice without a stop"},
        {"{\"type\":\"synthesize-start\",\"data\":{\"text_format\":\"ssml\"}}\n",
         "> error SSML is spoken whole: send it by synthesize (not-supported)\n"},
        {"{\"type\":\"synthesize-start\"}\n{\"type\":\"synthesize-chunk\"}\n", "begin - -\n> error text is missing"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int drip = 0; drip < 2; drip++) {
            client *c = open_client();
            feed(c, cases[i][0], drip);
            if (strncmp(c->log, cases[i][1], strlen(cases[i][1])) != 0) print_error("case %zu: %s\n", i, c->log);
            assert_memory_equal(c->log, cases[i][1], strlen(cases[i][1]));
            assert_int_equal(wyoming_state_of(c->w), WYOMING_FINISHED);
            size_t n = c->n;
            send_event(c, "describe", NULL, NULL, drip); /* the connection is over */
            wyoming_sound(c->w, "12", 2);
            wyoming_done(c->w, NULL);
            assert_int_equal(c->n, n);
            close_client(c);
        }
    }
    client *c = open_client();
    c->refuse = true;
    send_event(c, "synthesize", "{\"text\": \"Hello.\", \"voice\": {\"name\": \"x\"}}", NULL, false);
    expect(c, "> error no voice is called x (bad-request)\n");
    close_client(c);
    c = open_client();
    f5_error error;
    f5_fail(&error, F5_E_DEVICE, "the GPU is lost");
    send_event(c, "synthesize-start", NULL, NULL, false);
    wyoming_sound(c->w, "12", 2);
    wyoming_done(c->w, &error); /* before its end was asked for */
    expect(c, "begin - -\n> audio-start at 0\n> audio-chunk at 0 2 bytes\n> error the GPU is lost (failed)\n");
    close_client(c);
}

static void limits(void **state) {
    (void)state;
    size_t bytes = 2 * WYOMING_MAX_KEPT;
    char *text = malloc(bytes);
    memset(text, 'a', bytes);
    client *c = open_client();
    wyoming_feed(c->w, text, WYOMING_MAX_LINE); /* a line without an end */
    expect(c, "");
    wyoming_feed(c->w, text, 1);
    expect(c, "> error the event's line is too long (bad-request)\n");
    close_client(c);

    c = open_client();
    feed(c, "{\"type\":\"mic\",\"payload_length\":1048576}\n", false);
    wyoming_feed(c->w, text, WYOMING_MAX_PAYLOAD); /* skipped, not kept */
    send_event(c, "ping", NULL, NULL, false);
    expect(c, "> pong null\n");
    close_client(c);

    c = open_client();
    send_event(c, "synthesize", "{\"text\": \"Hello.\"}", NULL, false);
    wyoming_feed(c->w, text, WYOMING_MAX_KEPT);
    expect(c, "speak - - Hello.\n");
    wyoming_feed(c->w, text, 1);
    expect(c, "> error too much was sent while a text is being spoken (busy)\n");
    close_client(c);

    c = open_client(); /* the longest text */
    int n = snprintf(text, bytes, "{\"type\":\"synthesize\",\"data_length\":%d}\n{\"text\":\"", WYOMING_MAX_LINE);
    text[n] = 'a';
    size_t line = strlen("{\"text\":\"");
    memcpy(text + (size_t)n - line + WYOMING_MAX_LINE - 2, "\"}", 2);
    wyoming_feed(c->w, text, (size_t)n - line + WYOMING_MAX_LINE);
    expect(c, "speak - - aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    close_client(c);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_text), cmocka_unit_test(home_assistant),
                                       cmocka_unit_test(in_order), cmocka_unit_test(errors), cmocka_unit_test(limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
