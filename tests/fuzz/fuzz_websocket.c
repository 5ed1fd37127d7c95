/* fuzz_websocket.c — libFuzzer at the WebSocket machine and the two sessions behind it: frames in, in pieces; what
 * comes out must be whole frames, messages of JSON, and nothing after a close.
 *
 * The first byte chooses the session, the second how the rest is cut. Seeds mask with zeros, so that the fuzzer sees
 * text. A speaker answers at random, but always the same to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host/server/realtime.h"
#include "host/server/speech_socket.h"
#include "host/server/websocket.h"

typedef struct {
    websocket *socket;
    speech_socket *speech;
    realtime *realtime;
    uint32_t chance;
    uint8_t out[1 << 16]; /* [out_bytes] of a frame that is not whole yet; longer ones are passed over */
    size_t out_bytes;
    uint64_t skip;
    bool closed, speaking, finishing, in_sentence;
} fuzz;

static void must(bool fine) {
    if (!fine) abort();
}

static uint32_t roll(fuzz *f) {
    f->chance = f->chance * 1664525 + 1013904223;
    return f->chance >> 16;
}

/* ---- what comes out */

static void on_frame(fuzz *f, uint8_t first, const uint8_t *payload, size_t bytes) {
    must(!f->closed);
    must((first & 0x70) == 0 && (first & 0x80));
    if ((first & 15) == 8) f->closed = true;
    if ((first & 15) == 8) must(bytes == 0 || bytes >= 2);
    if ((first & 15) == 1) {
        json_t *event = json_loadb((const char *)payload, bytes, JSON_REJECT_DUPLICATES, NULL);
        must(event && json_is_string(json_object_get(event, "type")));
        json_decref(event);
    }
}

static void on_output(void *user, const uint8_t *data, size_t bytes) {
    fuzz *f = user;
    for (size_t i = 0; i < bytes; i++) {
        if (f->skip > 0) {
            f->skip--;
            continue;
        }
        f->out[f->out_bytes++] = data[i];
        if (f->out_bytes < 2) continue;
        uint64_t length = f->out[1], header = 2;
        must(length < 128); /* a server does not mask */
        if (length >= 126) header = length == 126 ? 4 : 10;
        if (f->out_bytes < header) continue;
        if (length >= 126) {
            length = 0;
            for (uint64_t b = 2; b < header; b++) length = length << 8 | f->out[b];
        }
        if (header + length > sizeof f->out) {
            must(!f->closed);
            f->skip = header + length - f->out_bytes;
            f->out_bytes = 0;
        } else if (f->out_bytes == header + length) {
            on_frame(f, f->out[0], f->out + header, (size_t)length);
            f->out_bytes = 0;
        }
    }
}

/* ---- the speaker */

static f5_status begin(void *user, f5_error *error) {
    fuzz *f = user;
    must(!f->speaking);
    if (roll(f) % 8 == 0) return f5_fail(error, F5_E_MEMORY, "the queue is full");
    f->speaking = true;
    f->finishing = false;
    return F5_OK;
}

static void answer(fuzz *f) {
    if (!f->speaking) return;
    static const char pcm[2000];
    uint32_t what = roll(f) % 8;
    if (what == 0 && f->speech) speech_socket_sentence(f->speech, "a sentence\xff", 11);
    if (what == 5 && f->speech) speech_socket_sentence_end(f->speech);
    if (what < 3 && f->speech) speech_socket_sound(f->speech, pcm, roll(f) % sizeof pcm);
    if (what < 3 && f->realtime) realtime_sound(f->realtime, pcm, roll(f) % sizeof pcm);
    f5_error error;
    f5_fail(&error, F5_E_DEVICE, "the GPU is lost");
    if ((what == 3 && f->finishing) || what == 4) {
        f->speaking = false;
        if (f->speech) speech_socket_done(f->speech, what == 4 ? &error : NULL);
        if (f->realtime) realtime_done(f->realtime, what == 4 ? &error : NULL);
    }
}

static void push(void *user, const char *text, size_t bytes) {
    fuzz *f = user;
    (void)text;
    must(bytes <= SPEECH_SOCKET_MAX_UTTERANCE);
    must(f->speaking && !f->finishing);
    answer(f);
}

static void finish(void *user) {
    fuzz *f = user;
    must(f->speaking && !f->finishing);
    f->finishing = true;
    answer(f);
}

static void cancel(void *user) {
    fuzz *f = user;
    must(f->speaking);
    f->speaking = false;
}

static f5_status configure_speech(void *user, const json_t *config, speech_socket_config *settled, f5_error *error) {
    fuzz *f = user;
    (void)config;
    if (roll(f) % 8 == 0) return f5_fail(error, F5_E_ARGUMENT, "no such voice");
    *settled = (speech_socket_config){"pcm", 24000, true, roll(f) % 2, "sentence", roll(f) % 4 == 0};
    return F5_OK;
}

static f5_status configure_realtime(void *user, const char *voice, double speed, f5_error *error) {
    fuzz *f = user;
    (void)voice;
    must(speed == 0 || (speed >= 0.25 && speed <= 4));
    return roll(f) % 8 == 0 ? f5_fail(error, F5_E_ARGUMENT, "no such voice") : F5_OK;
}

static f5_status speak(void *user, const char *text, size_t bytes, f5_error *error) {
    fuzz *f = user;
    must(bytes == strlen(text) && bytes <= REALTIME_MAX_TEXT);
    F5_TRY(begin(user, error));
    f->finishing = true;
    return F5_OK;
}

static void send_text(void *user, const char *text, size_t bytes) {
    fuzz *f = user;
    websocket_send_text(f->socket, text, bytes);
}

static void send_binary(void *user, const void *data, size_t bytes) {
    fuzz *f = user;
    must(f->speaking);
    websocket_send_binary(f->socket, data, bytes);
}

static void close_socket(void *user, uint16_t code, const char *reason) {
    fuzz *f = user;
    websocket_close(f->socket, code, reason);
}

/* ---- what comes in */

static void on_text(void *user, const char *text, size_t bytes) {
    fuzz *f = user;
    must(text[bytes] == 0);
    if (f->speech) speech_socket_message(f->speech, text, bytes);
    if (f->realtime) realtime_message(f->realtime, text, bytes);
}

static void on_binary(void *user, const uint8_t *data, size_t bytes) {
    fuzz *f = user;
    (void)data;
    (void)bytes;
    if (f->speech) speech_socket_binary(f->speech);
    if (f->realtime) realtime_binary(f->realtime);
}

static void later(fuzz *f) {
    const speech_socket_config settled = {"wav", 24000, false, roll(f) % 2, "none", false};
    f5_error error;
    f5_fail(&error, F5_E_FORMAT, "no recording");
    uint32_t what = roll(f) % 16;
    if (!f->speech) return;
    if (what == 0) speech_socket_configured(f->speech, &settled, NULL);
    if (what == 1) speech_socket_configured(f->speech, NULL, &error);
    if (what == 2 && roll(f) % 8 == 0 && speech_socket_patience(f->speech) > 0) speech_socket_timeout(f->speech);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const websocket_events events = {.text = on_text, .binary = on_binary, .output = on_output};
    static const speech_socket_actions speech = {.configure = configure_speech,
                                                 .begin = begin,
                                                 .push = push,
                                                 .finish = finish,
                                                 .cancel = cancel,
                                                 .text = send_text,
                                                 .binary = send_binary,
                                                 .close = close_socket};
    static const realtime_actions realtime_speech = {
        .configure = configure_realtime, .speak = speak, .cancel = cancel, .text = send_text, .close = close_socket};
    if (size < 2) return 0;
    fuzz *f = calloc(1, sizeof *f);
    f->chance = (uint32_t)size * 2654435761u + data[1];
    f->socket = websocket_open(&events, f, 1000);
    if (data[0] & 1)
        f->realtime = realtime_open(&realtime_speech, f, "1", "m", "v");
    else
        f->speech = speech_socket_open(&speech, f, "1");
    size_t piece = data[1] ? data[1] : size;
    for (size_t at = 2; at < size; at += piece) {
        websocket_feed(f->socket, data + at, size - at < piece ? size - at : piece);
        answer(f);
        later(f);
    }
    websocket_close(f->socket, WEBSOCKET_GOING_AWAY, "");
    must(f->closed && f->out_bytes == 0 && f->skip == 0);
    speech_socket_free(f->speech);
    realtime_free(f->realtime);
    websocket_free(f->socket);
    free(f);
    return 0;
}
