/* test_websocket.c — the handshake's sum and its parts against published vectors; frames, fragments, close codes,
 * limits and UTF-8 as RFC 6455 asks for them, in the kinds of Autobahn's cases 1 to 7, 9 and 10. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/server/base64.h"
#include "host/server/sha1.h"
#include "host/server/websocket.h"

/* ---- vectors */

static void sums(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t times;
        const char *hex;
    } cases[] = {
        /* FIPS 180-4's examples, and the lengths around a block's end, by Python's hashlib */
        {"", 1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", 1, "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1, "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
        {"a", 55, "c1c8bbdc22796e28c0e15163d20899b65621d65a"},
        {"a", 56, "c2db330f6083854c99d4b5bfb6e8f29f201be699"},
        {"a", 63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5"},
        {"a", 64, "0098ba824b5c16427bd7a1122a5a442a25ec644d"},
        {"a", 65, "11655326c708d70319be2610e8a57d9a5b959d3b"},
        {"a", 1000000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t one = strlen(cases[i].text), n = one * cases[i].times;
        char *data = malloc(n + 1), hex[2 * SHA1_BYTES + 1];
        for (size_t t = 0; t < cases[i].times; t++) memcpy(data + t * one, cases[i].text, one);
        uint8_t digest[SHA1_BYTES];
        sha1(data, n, digest);
        for (int b = 0; b < SHA1_BYTES; b++) snprintf(hex + 2 * b, 3, "%02x", digest[b]);
        assert_string_equal(hex, cases[i].hex);
        free(data);
    }
}

static void base64_both_ways(void **state) {
    (void)state;
    static const char *const cases[][2] = {/* RFC 4648, 10 */
                                           {"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    char text[BASE64_BYTES(6)];
    uint8_t back[12];
    size_t bytes;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(base64_encode(cases[i][0], strlen(cases[i][0]), text), strlen(cases[i][1]));
        assert_string_equal(text, cases[i][1]);
        assert_true(base64_decode(text, strlen(text), back, &bytes));
        assert_int_equal(bytes, strlen(cases[i][0]));
        assert_memory_equal(back, cases[i][0], bytes);
    }
    static const char *const wrong[] = {
        "Z", "Zg", "Zg=", "Zg==Zg==", "Zh==", "Zm9=", "Z===", "====", "Zm 9", "Zm9-", "\x80m9v"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(base64_decode(wrong[i], strlen(wrong[i]), back, &bytes));
}

static void accept_value(void **state) {
    (void)state;
    char accept[WEBSOCKET_ACCEPT_BYTES];
    assert_true(websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", accept)); /* RFC 6455, 1.3 */
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    static const char *const wrong[] = {"", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ==x",
                                        "dGhlIHNhbXBsZSBub25jZWU=", "dGhlIHNhbXBsZSBub25j*Q=="};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) assert_false(websocket_accept(wrong[i], accept));
}

/* ---- a client without a socket */

enum { ROOM = 1 << 20 };

typedef struct {
    websocket *ws;
    uint8_t *out, *message;
    size_t out_bytes, message_bytes;
    int texts, binaries;
    bool echo;
} peer;

static void on_message(peer *p, const void *data, size_t bytes) {
    assert_true(bytes <= ROOM);
    memcpy(p->message, data, bytes);
    p->message_bytes = bytes;
}

static void on_text(void *user, const char *text, size_t bytes) {
    peer *p = user;
    p->texts++;
    assert_int_equal(text[bytes], 0);
    on_message(p, text, bytes);
    if (p->echo) websocket_send_text(p->ws, text, bytes);
}

static void on_binary(void *user, const uint8_t *data, size_t bytes) {
    peer *p = user;
    p->binaries++;
    on_message(p, data, bytes);
    if (p->echo) websocket_send_binary(p->ws, data, bytes);
}

static void on_output(void *user, const uint8_t *data, size_t bytes) {
    peer *p = user;
    assert_true(p->out_bytes + bytes <= ROOM);
    memcpy(p->out + p->out_bytes, data, bytes);
    p->out_bytes += bytes;
}

static peer *open_peer(size_t limit) {
    static const websocket_events events = {.text = on_text, .binary = on_binary, .output = on_output};
    peer *p = calloc(1, sizeof *p);
    p->out = malloc(ROOM);
    p->message = malloc(ROOM);
    p->ws = websocket_open(&events, p, limit);
    assert_non_null(p->ws);
    return p;
}

static void close_peer(peer *p) {
    websocket_free(p->ws);
    free(p->out);
    free(p->message);
    free(p);
}

/* A frame of a client, masked, all at once or byte by byte. first: its first byte. */
static void send_frame(peer *p, uint8_t first, const void *payload, size_t bytes, bool drip) {
    uint8_t *frame = malloc(bytes + 14), mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t n = 2;
    frame[0] = first;
    if (bytes < 126) {
        frame[1] = (uint8_t)(0x80 | bytes);
    } else if (bytes < 65536) {
        frame[1] = 0x80 | 126;
        frame[n++] = (uint8_t)(bytes >> 8);
        frame[n++] = (uint8_t)bytes;
    } else {
        frame[1] = 0x80 | 127;
        for (int i = 7; i >= 0; i--) frame[n++] = (uint8_t)((uint64_t)bytes >> (8 * i));
    }
    memcpy(frame + n, mask, 4);
    n += 4;
    for (size_t i = 0; i < bytes; i++) frame[n + i] = ((const uint8_t *)payload)[i] ^ mask[i % 4];
    n += bytes;
    for (size_t i = 0; drip && i < n; i++) websocket_feed(p->ws, frame + i, 1);
    if (!drip) websocket_feed(p->ws, frame, n);
    free(frame);
}

/* The close code that the server sent, 0 where it sent none: its last frame. */
static int close_code(const peer *p) {
    size_t at = 0;
    int code = 0;
    while (at + 2 <= p->out_bytes) {
        size_t length = p->out[at + 1], header = 2;
        assert_true(length < 128); /* a server does not mask */
        if (length == 126) {
            length = (size_t)p->out[at + 2] << 8 | p->out[at + 3];
            header = 4;
        } else if (length == 127) {
            length = 0;
            for (int i = 0; i < 8; i++) length = length << 8 | p->out[at + 2 + (size_t)i];
            header = 10;
        }
        if ((p->out[at] & 15) == 8) code = length >= 2 ? p->out[at + header] << 8 | p->out[at + header + 1] : 1005;
        at += header + length;
    }
    assert_int_equal(at, p->out_bytes);
    return code;
}

/* ---- frames */

static void echoes(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 125, 126, 127, 128, 65535, 65536, 200000};
    char *payload = malloc(200000);
    for (size_t i = 0; i < 200000; i++) payload[i] = (char)('a' + i % 26);
    for (int drip = 0; drip < 2; drip++) {
        peer *p = open_peer(200000);
        p->echo = true;
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            for (int binary = 0; binary < 2; binary++) {
                p->out_bytes = 0;
                send_frame(p, binary ? 0x82 : 0x81, payload, sizes[i], drip);
                assert_int_equal(p->message_bytes, sizes[i]);
                assert_memory_equal(p->message, payload, sizes[i]);
                size_t header = sizes[i] < 126 ? 2 : sizes[i] < 65536 ? 4 : 10;
                assert_int_equal(p->out_bytes, header + sizes[i]);
                assert_int_equal(p->out[0], binary ? 0x82 : 0x81);
                assert_memory_equal(p->out + header, payload, sizes[i]);
            }
        }
        assert_int_equal(p->texts, 9);
        assert_int_equal(p->binaries, 9);
        assert_false(websocket_closing(p->ws));
        close_peer(p);
    }
    free(payload);
}

static void fragments(void **state) {
    (void)state;
    for (int drip = 0; drip < 2; drip++) {
        peer *p = open_peer(100);
        send_frame(p, 0x01, "he", 2, drip);
        send_frame(p, 0x89, "between", 7, drip); /* a ping between fragments */
        send_frame(p, 0x00, "", 0, drip);
        send_frame(p, 0x00, "l", 1, drip);
        assert_int_equal(p->texts, 0);
        send_frame(p, 0x80, "lo", 2, drip);
        assert_int_equal(p->texts, 1);
        assert_int_equal(p->message_bytes, 5);
        assert_memory_equal(p->message, "hello", 5);
        static const uint8_t pong[] = {0x8a, 7, 'b', 'e', 't', 'w', 'e', 'e', 'n'};
        assert_int_equal(p->out_bytes, sizeof pong);
        assert_memory_equal(p->out, pong, sizeof pong);
        for (int i = 0; i < 20000; i++) send_frame(p, i ? 0x00 : 0x02, "", 0, false); /* fragments of nothing */
        send_frame(p, 0x80, "end", 3, drip);
        assert_int_equal(p->binaries, 1);
        assert_int_equal(p->message_bytes, 3);
        assert_false(websocket_closing(p->ws));
        close_peer(p);
    }
}

static void control(void **state) {
    (void)state;
    peer *p = open_peer(10);
    char payload[125];
    memset(payload, 'x', sizeof payload);
    send_frame(p, 0x89, payload, 125,
               false); /* longer than a message may be: control frames have a limit of their own */
    assert_int_equal(p->out_bytes, 127);
    assert_int_equal(p->out[0], 0x8a);
    send_frame(p, 0x8a, "not asked for", 13, false);
    assert_int_equal(p->out_bytes, 127);
    assert_false(websocket_closing(p->ws));
    assert_true(websocket_alive(p->ws));
    assert_false(websocket_alive(p->ws));
    close_peer(p);
}

/* What breaks the framing, and the code that answers it. */
static void breaches(void **state) {
    (void)state;
    static const struct {
        uint8_t first[2];
        const char *payload[2];
        size_t bytes[2];
        int code;
    } cases[] = {{{0xc1}, {"rsv1"}, {4}, 1002},
                 {{0xa1}, {"rsv2"}, {4}, 1002},
                 {{0x91}, {"rsv3"}, {4}, 1002},
                 {{0x83}, {"reserved"}, {8}, 1002},
                 {{0x87}, {""}, {0}, 1002},
                 {{0x8b}, {"reserved"}, {8}, 1002},
                 {{0x8f}, {""}, {0}, 1002},
                 {{0x09}, {"a fragmented ping"}, {17}, 1002},
                 {{0x0a}, {"pong"}, {4}, 1002},
                 {{0x08}, {""}, {0}, 1002},
                 {{0x80}, {"nothing to continue"}, {19}, 1002},
                 {{0x00}, {"nothing to continue"}, {19}, 1002},
                 {{0x01, 0x81}, {"a text", "in a text"}, {6, 9}, 1002},
                 {{0x01, 0x82}, {"a text", "binary"}, {6, 6}, 1002},
                 {{0x88}, {"\x03"}, {1}, 1002},                                      /* half a code */
                 {{0x88}, {"\x00\x00"}, {2}, 1002},                                  /* 0 */
                 {{0x88}, {"\x03\xe7"}, {2}, 1002},                                  /* 999 */
                 {{0x88}, {"\x03\xec"}, {2}, 1002},                                  /* 1004 */
                 {{0x88}, {"\x03\xed"}, {2}, 1002},                                  /* 1005, for no code */
                 {{0x88}, {"\x03\xee"}, {2}, 1002},                                  /* 1006 */
                 {{0x88}, {"\x03\xf7"}, {2}, 1002},                                  /* 1015 */
                 {{0x88}, {"\x03\xf8"}, {2}, 1002},                                  /* 1016 */
                 {{0x88}, {"\x0b\xb7"}, {2}, 1002},                                  /* 2999 */
                 {{0x88}, {"\x13\x88"}, {2}, 1002},                                  /* 5000 */
                 {{0x88}, {"\x03\xe8\xc0\xaf"}, {4}, 1007},                          /* a reason that is not UTF-8 */
                 {{0x81}, {"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80"}, {10}, 1007}, /* a surrogate */
                 {{0x81}, {"\xc0\xaf"}, {2}, 1007},                                  /* overlong */
                 {{0x81}, {"\xf4\x90\x80\x80"}, {4}, 1007},                          /* past U+10FFFF */
                 {{0x81}, {"\xe1\xbd"}, {2}, 1007},                                  /* cut */
                 {{0x81}, {"\xff"}, {1}, 1007},
                 {{0x81}, {"\x80"}, {1}, 1007},
                 {{0x01, 0x80}, {"\xe1", "\x3d\xb9"}, {1, 2}, 1007}, /* wrong across fragments */
                 {{0x01, 0x80}, {"\xe1\xbd", ""}, {2, 0}, 1007},     /* cut at the end of the last */
                 {{0x88}, {""}, {0}, 1005},                          /* no code: answered without one */
                 {{0x88}, {"\x03\xe8"}, {2}, 1000},
                 {{0x88},
                  {"\x03\xf3"
                   "bye"},
                  {5},
                  1011},
                 {{0x88}, {"\x0f\xa0"}, {2}, 4000},
                 {{0x88}, {"\x13\x87"}, {2}, 4999}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int drip = 0; drip < 2; drip++) {
            peer *p = open_peer(1000);
            for (int f = 0; f < 2; f++)
                if (f == 0 || cases[i].first[1])
                    send_frame(p, cases[i].first[f], cases[i].payload[f], cases[i].bytes[f], drip);
            if (close_code(p) != cases[i].code) print_error("case %zu, drip %d\n", i, drip);
            assert_int_equal(close_code(p), cases[i].code);
            assert_true(websocket_closing(p->ws));
            assert_true(websocket_finished(p->ws));
            size_t bytes = p->out_bytes;
            int texts = p->texts;
            send_frame(p, 0x81, "late", 4, drip); /* nothing more is heard or said */
            websocket_send_text(p->ws, "late", 4);
            websocket_close(p->ws, 1000, "");
            assert_int_equal(p->out_bytes, bytes);
            assert_int_equal(p->texts, texts);
            close_peer(p);
        }
    }
}

static void good_text(void **state) {
    (void)state;
    peer *p = open_peer(100);
    const char text[] = "κόσμε \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf \xef\xbf\xbf"; /* to U+10FFFF, and a non-character */
    for (size_t cut = 0; cut <= sizeof text - 1; cut++) {                       /* inside every character too */
        send_frame(p, 0x01, text, cut, false);
        send_frame(p, 0x80, text + cut, sizeof text - 1 - cut, false);
        assert_int_equal(p->message_bytes, sizeof text - 1);
        assert_memory_equal(p->message, text, sizeof text - 1);
    }
    assert_int_equal(p->texts, (int)sizeof text);
    const char zero[] = "a\0b"; /* U+0000 is a character */
    send_frame(p, 0x81, zero, 3, false);
    assert_int_equal(p->message_bytes, 3);
    const uint8_t bytes[] = {0xff, 0xfe, 0x00, 0xc0}; /* binary may be anything */
    send_frame(p, 0x82, bytes, 4, false);
    assert_int_equal(p->binaries, 1);
    assert_false(websocket_closing(p->ws));
    close_peer(p);
}

/* Lengths that have a shorter form, and control frames that are too long: wslay gives up at the header. */
static void bad_lengths(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
    } cases[] = {{"\x82\xfe\x00\x05mask12345", 13},
                 {"\x82\xff\x00\x00\x00\x00\x00\x00\x00\x05mask12345", 19},
                 {"\x89\xfe\x00\x7emask", 8},
                 {"\x88\xfe\x00\x7emask", 8}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        peer *p = open_peer(1000);
        websocket_feed(p->ws, cases[i].bytes, cases[i].n);
        assert_int_equal(close_code(p), 1002);
        assert_true(websocket_finished(p->ws));
        assert_int_equal(p->binaries, 0);
        close_peer(p);
    }
}

static void unmasked(void **state) {
    (void)state;
    peer *p = open_peer(100);
    websocket_feed(p->ws, "\x81\x02hi", 4);
    assert_int_equal(p->texts, 0);
    assert_int_equal(close_code(p), 1002);
    assert_true(websocket_finished(p->ws));
    close_peer(p);
}

static void limits(void **state) {
    (void)state;
    char payload[200] = {0};
    peer *p = open_peer(100);
    send_frame(p, 0x82, payload, 100, true);
    assert_int_equal(p->binaries, 1);
    send_frame(p, 0x02, payload, 60, true);
    send_frame(p, 0x80, payload, 40, true);
    assert_int_equal(p->binaries, 2);
    send_frame(p, 0x02, payload, 60, true);
    send_frame(p, 0x80, payload, 41, true); /* together too long */
    assert_int_equal(p->binaries, 2);
    assert_int_equal(close_code(p), 1009);
    close_peer(p);

    p = open_peer(100); /* refused by its length, at its first byte */
    websocket_feed(p->ws, "\x82\xff\x00\x00\x00\x01\x00\x00\x00\x00mask.", 15);
    assert_int_equal(close_code(p), 1009);
    close_peer(p);

    p = open_peer(100); /* the longest length that can be written; its first bit must be 0 */
    websocket_feed(p->ws, "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xffmask.", 15);
    assert_true(close_code(p) == 1002 || close_code(p) == 1009);
    close_peer(p);

    p = open_peer(100);
    websocket_limit(p->ws, 200);
    send_frame(p, 0x82, payload, 200, false);
    assert_int_equal(p->binaries, 1);
    websocket_limit(p->ws, 10);
    send_frame(p, 0x82, payload, 11, false);
    assert_int_equal(close_code(p), 1009);
    close_peer(p);

    p = open_peer(100);
    send_frame(p, 0x02, payload, 50, false);
    websocket_limit(p->ws, 10); /* below what is already there */
    send_frame(p, 0x80, payload, 0, false);
    assert_int_equal(close_code(p), 1009);
    close_peer(p);
}

static void closing(void **state) {
    (void)state;
    peer *p = open_peer(100);
    websocket_close(p->ws, WEBSOCKET_GOING_AWAY, "the server ends");
    assert_int_equal(close_code(p), 1001);
    assert_true(websocket_closing(p->ws));
    assert_false(websocket_finished(p->ws)); /* the client's own close is waited for */
    size_t bytes = p->out_bytes;
    send_frame(p, 0x81, "meanwhile", 9, false);
    assert_int_equal(p->texts, 0);
    send_frame(p, 0x88, "\x03\xe9", 2, false);
    assert_true(websocket_finished(p->ws));
    assert_int_equal(p->out_bytes, bytes);
    close_peer(p);

    p = open_peer(100); /* a reason is cut at a character's start: 123 bytes are the most */
    char reason[200] = {0};
    for (int i = 0; i < 60; i++) memcpy(reason + 3 * i, "\xe2\x82\xac", 3);
    websocket_close(p->ws, WEBSOCKET_POLICY, reason);
    assert_int_equal(close_code(p), 1008);
    assert_int_equal(p->out_bytes, 2 + 2 + 123);
    close_peer(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums),        cmocka_unit_test(base64_both_ways), cmocka_unit_test(accept_value),
        cmocka_unit_test(echoes),      cmocka_unit_test(fragments),        cmocka_unit_test(control),
        cmocka_unit_test(breaches),    cmocka_unit_test(good_text),        cmocka_unit_test(unmasked),
        cmocka_unit_test(bad_lengths), cmocka_unit_test(limits),           cmocka_unit_test(closing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
