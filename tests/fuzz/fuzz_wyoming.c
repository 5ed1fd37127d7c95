/* fuzz_wyoming.c — libFuzzer at the Wyoming machine: bytes in, in pieces; what comes out must be whole events of JSON,
 * and nothing after an error. The first byte says how the rest is cut. A speaker answers at random, but always the same
 * to the same bytes. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host/server/wyoming.h"

typedef struct {
    wyoming *machine;
    uint32_t chance;
    char out[1 << 16]; /* [out_bytes] of an event that is not whole yet */
    size_t out_bytes;
    bool failed, begun, finishing;
} fuzz;

static void must(bool fine) {
    if (!fine) abort();
}

static uint32_t roll(fuzz *f) {
    f->chance = f->chance * 1664525 + 1013904223;
    return f->chance >> 16;
}

static void on_output(void *user, const void *data, size_t bytes) {
    fuzz *f = user;
    must(!f->failed);
    must(f->out_bytes + bytes <= sizeof f->out);
    memcpy(f->out + f->out_bytes, data, bytes);
    f->out_bytes += bytes;
    const char *end = memchr(f->out, '\n', f->out_bytes);
    if (!end) return;
    size_t line_bytes = (size_t)(end - f->out) + 1;
    json_t *line = json_loadb(f->out, line_bytes, JSON_REJECT_DUPLICATES, NULL);
    must(line != NULL);
    size_t data_bytes = (size_t)json_integer_value(json_object_get(line, "data_length"));
    size_t payload = (size_t)json_integer_value(json_object_get(line, "payload_length"));
    if (f->out_bytes >= line_bytes + data_bytes + payload) {
        must(f->out_bytes == line_bytes + data_bytes + payload);
        json_t *body = json_loadb(end + 1, data_bytes, JSON_REJECT_DUPLICATES, NULL);
        must(body != NULL);
        json_decref(body);
        f->failed = strcmp(json_string_value(json_object_get(line, "type")), "error") == 0;
        f->out_bytes = 0;
    }
    json_decref(line);
}

static json_t *info(void *user) {
    (void)user;
    return json_pack("{s:[]}", "tts");
}

static f5_status begin(void *user, const char *voice, const char *language, bool ssml, const char *text,
                       f5_error *error) {
    fuzz *f = user;
    (void)language;
    (void)ssml;
    must(!f->begun);
    if (roll(f) % 8 == 0) return f5_fail(error, F5_E_ARGUMENT, "no voice is called %s", voice ? voice : "that");
    must(!text || strlen(text) <= WYOMING_MAX_LINE);
    f->begun = true;
    f->finishing = text != NULL;
    return F5_OK;
}

static void answer(fuzz *f) {
    static const char pcm[20000];
    uint32_t what = roll(f) % 8;
    f5_error error;
    f5_fail(&error, F5_E_DEVICE, "the GPU is lost");
    if (what < 3) wyoming_sound(f->machine, pcm, roll(f) % sizeof pcm);
    bool fails = what == 4 && f->begun && roll(f) % 4 == 0;
    if (fails || (what == 3 && f->finishing)) {
        f->begun = f->finishing = false;
        wyoming_done(f->machine, fails ? &error : NULL);
    }
}

static void push(void *user, const char *text, size_t bytes) {
    fuzz *f = user;
    must(bytes <= WYOMING_MAX_LINE && strlen(text) == bytes);
    must(f->begun && !f->finishing);
    if (roll(f) % 32 == 0) { /* the order refuses it */
        f5_error error;
        f->begun = false;
        wyoming_done(f->machine, f5_fail(&error, F5_E_MEMORY, "too much") ? &error : NULL);
    }
}

static void finish(void *user) {
    fuzz *f = user;
    if (!f->begun) return; /* it was refused in between */
    must(!f->finishing);
    f->finishing = true;
    if (roll(f) % 2) answer(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const wyoming_actions actions = {
        .output = on_output, .info = info, .begin = begin, .push = push, .finish = finish};
    if (size < 1) return 0;
    fuzz *f = calloc(1, sizeof *f);
    f->chance = (uint32_t)size * 2654435761u + data[0];
    f->machine = wyoming_open(&actions, f, 24000);
    size_t piece = data[0] ? data[0] : size;
    for (size_t at = 1; at < size; at += piece) {
        wyoming_feed(f->machine, data + at, size - at < piece ? size - at : piece);
        answer(f);
        must(wyoming_state_of(f->machine) == WYOMING_FINISHED || !f->failed);
    }
    must(f->out_bytes == 0);
    wyoming_free(f->machine);
    free(f);
    return 0;
}
