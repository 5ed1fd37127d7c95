/* wyoming.c — events out of bytes, and the few that a speaker answers: describe, ping, synthesize, and
 * synthesize-start, -chunk, -stop. Others are passed over, as the protocol asks. */
#include "host/server/wyoming.h"

#include <stdlib.h>
#include <string.h>

#include "host/api/f5tts.h"
#include "host/server/json_read.h"

#define KEPT_BYTES 16384 /* an empty buffer that is larger is given back */

struct wyoming {
    wyoming_actions actions;
    void *user;
    int32_t rate;
    wyoming_state state;
    bool streamed, started, running; /* by synthesize-start; audio-start was sent; in `run` */
    char *buffer;                    /* [capacity], of which [from, to) is to be read */
    size_t from, to, scanned, capacity;
    size_t need;      /* bytes from `from` on without which the next event is not whole */
    size_t skip;      /* bytes of a payload that are still to come */
    uint64_t samples; /* of the text so far */
    uint64_t events;
};

wyoming *wyoming_open(const wyoming_actions *actions, void *user, int32_t rate) {
    wyoming *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->actions = *actions;
    w->user = user;
    w->rate = rate;
    return w;
}

void wyoming_free(wyoming *w) {
    if (!w) return;
    free(w->buffer);
    free(w);
}

/* A text has begun, and is not done. */
static bool busy(const wyoming *w) {
    return w->state == WYOMING_STREAMING || w->state == WYOMING_SPEAKING;
}

wyoming_state wyoming_state_of(const wyoming *w) {
    return w->state;
}

uint64_t wyoming_events(const wyoming *w) {
    return w->events;
}

bool wyoming_in_event(const wyoming *w) {
    return w->skip > 0 || (w->from < w->to && w->state != WYOMING_SPEAKING);
}

/* ---- events out */

/* Takes `data`, which may be NULL: out of memory. */
static void send_event(wyoming *w, const char *type, json_t *data, const void *payload, size_t payload_bytes) {
    char *body = data ? json_dumps(data, JSON_COMPACT) : NULL;
    json_decref(data);
    if (!body) {
        w->state = WYOMING_FINISHED;
        return;
    }
    char line[160];
    int n =
        snprintf(line, sizeof line, "{\"type\":\"%s\",\"version\":\"1.0.0\",\"data_length\":%zu", type, strlen(body));
    w->actions.output(w->user, line, (size_t)n);
    if (payload_bytes > 0) {
        n = snprintf(line, sizeof line, ",\"payload_length\":%zu", payload_bytes);
        w->actions.output(w->user, line, (size_t)n);
    }
    w->actions.output(w->user, "}\n", 2);
    w->actions.output(w->user, body, strlen(body));
    if (payload_bytes > 0) w->actions.output(w->user, payload, payload_bytes);
    free(body);
}

static void fail(wyoming *w, const char *code, const char *message) {
    if (w->state == WYOMING_FINISHED) return;
    send_event(w, "error", json_pack("{s:s, s:s}", "text", message, "code", code), NULL, 0);
    w->state = WYOMING_FINISHED;
}

static const char *code_of(const f5_error *error) {
    switch (error->status) {
    case F5_E_ARGUMENT:
    case F5_E_FORMAT:
    case F5_E_SHAPE:
        return "bad-request";
    case F5_E_UNSUPPORTED:
        return "not-supported";
    case F5_E_CANCELLED:
        return "cancelled";
    case F5_E_MEMORY:
        return "busy";
    default:
        return "failed";
    }
}

static json_t *sound_format(const wyoming *w) {
    return json_pack("{s:i, s:i, s:i, s:I}", "rate", (int)w->rate, "width", 2, "channels", 1, "timestamp",
                     (json_int_t)(w->samples * 1000 / (uint64_t)w->rate));
}

static void start_sound(wyoming *w) {
    if (w->started) return;
    w->started = true;
    send_event(w, "audio-start", sound_format(w), NULL, 0);
}

void wyoming_sound(wyoming *w, const void *pcm, size_t bytes) {
    if (!busy(w)) return;
    start_sound(w);
    for (size_t at = 0; at < bytes && busy(w); at += WYOMING_SOUND_BYTES) {
        size_t n = bytes - at < WYOMING_SOUND_BYTES ? bytes - at : WYOMING_SOUND_BYTES;
        send_event(w, "audio-chunk", sound_format(w), (const char *)pcm + at, n);
        w->samples += n / 2;
    }
}

static void end_sound(wyoming *w) {
    start_sound(w);
    send_event(w, "audio-stop", json_pack("{s:I}", "timestamp", (json_int_t)(w->samples * 1000 / (uint64_t)w->rate)),
               NULL, 0);
    if (w->streamed) send_event(w, "synthesize-stopped", json_object(), NULL, 0);
}

/* ---- events in */

/* The voice that `data` asks for; "speaker" is the voice of a program that has one voice with many. */
static f5_status begin(wyoming *w, const json_t *data, const char *text, f5_error *error) {
    const char *name = NULL, *language = NULL, *format = NULL;
    const json_t *voice = json_object_get(data, "voice");
    if (voice && !json_is_null(voice)) {
        if (!json_is_object(voice)) return f5_fail(error, F5_E_ARGUMENT, "voice must be an object");
        F5_TRY(json_read_string(voice, "speaker", &name, error));
        if (!name) F5_TRY(json_read_string(voice, "name", &name, error));
        F5_TRY(json_read_string(voice, "language", &language, error));
    }
    F5_TRY(json_read_string(data, "text_format", &format, error));
    bool ssml = format && strcmp(format, "ssml") == 0;
    if (format && !ssml && strcmp(format, "text") != 0)
        return f5_fail(error, F5_E_UNSUPPORTED, "text_format is %.40s: text and ssml are spoken", format);
    if (ssml && !text) return f5_fail(error, F5_E_UNSUPPORTED, "SSML is spoken whole: send it by synthesize");
    w->started = false;
    w->samples = 0;
    return w->actions.begin(w->user, name, language, ssml, text, error);
}

static f5_status text_of(const json_t *data, const char **text, f5_error *error) {
    F5_TRY(json_read_string(data, "text", text, error));
    return *text ? F5_OK : f5_fail(error, F5_E_ARGUMENT, "text is missing");
}

static f5_status synthesize(wyoming *w, const json_t *data, f5_error *error) {
    const char *text;
    if (w->state == WYOMING_STREAMING) return F5_OK; /* the whole text again, for servers that take no stream */
    F5_TRY(text_of(data, &text, error));
    w->streamed = false;
    if (f5_text_is_blank(text)) {
        w->started = false;
        w->samples = 0;
        end_sound(w);
        return F5_OK;
    }
    F5_TRY(begin(w, data, text, error));
    w->state = WYOMING_SPEAKING;
    return F5_OK;
}

static f5_status handle(wyoming *w, const char *type, const json_t *data, f5_error *error) {
    const char *text;
    if (strcmp(type, "describe") == 0) {
        send_event(w, "info", w->actions.info(w->user), NULL, 0);
    } else if (strcmp(type, "ping") == 0) {
        F5_TRY(json_read_string(data, "text", &text, error));
        send_event(w, "pong", json_pack("{s:s?}", "text", text), NULL, 0);
    } else if (strcmp(type, "synthesize") == 0) {
        return synthesize(w, data, error);
    } else if (strcmp(type, "synthesize-start") == 0) {
        if (w->state == WYOMING_STREAMING)
            return f5_fail(error, F5_E_ARGUMENT, "synthesize-start twice without a stop");
        F5_TRY(begin(w, data, NULL, error));
        w->streamed = true;
        w->state = WYOMING_STREAMING;
    } else if (strcmp(type, "synthesize-chunk") == 0 && w->state == WYOMING_STREAMING) {
        F5_TRY(text_of(data, &text, error));
        w->actions.push(w->user, text, strlen(text));
    } else if (strcmp(type, "synthesize-stop") == 0 && w->state == WYOMING_STREAMING) {
        w->state = WYOMING_SPEAKING;
        w->actions.finish(w->user);
    }
    return F5_OK;
}

/* A length that the line gives: 0 where it gives none. */
static f5_status length_of(const json_t *line, const char *key, size_t limit, size_t *length, f5_error *error) {
    const json_t *value = json_object_get(line, key);
    *length = 0;
    if (!value || json_is_null(value)) return F5_OK;
    json_int_t n = json_is_integer(value) ? json_integer_value(value) : -1;
    if (n < 0 || n > (json_int_t)limit)
        return f5_fail(error, F5_E_FORMAT, "%s must be a number from 0 to %zu", key, limit);
    *length = (size_t)n;
    return F5_OK;
}

/* Reads the event whose line is [line_bytes] at `from`. *whole false: more bytes are needed. */
static f5_status read_event(wyoming *w, size_t line_bytes, bool *whole, f5_error *error) {
    const char *at = w->buffer + w->from, *type;
    json_t *line = NULL, *more = NULL;
    size_t data_bytes, payload_bytes;
    *whole = false;
    F5_TRY(json_read_object(at, line_bytes, &line, error));
    f5_status status = length_of(line, "data_length", WYOMING_MAX_LINE, &data_bytes, error);
    if (status == F5_OK) status = length_of(line, "payload_length", WYOMING_MAX_PAYLOAD, &payload_bytes, error);
    if (status == F5_OK && w->to - w->from - line_bytes - 1 < data_bytes) {
        json_decref(line);
        w->need = line_bytes + 1 + data_bytes;
        return F5_OK;
    }
    if (status == F5_OK) status = json_read_string(line, "type", &type, error);
    if (status == F5_OK && !type) status = f5_fail(error, F5_E_FORMAT, "type is missing");
    if (status == F5_OK && data_bytes > 0) status = json_read_object(at + line_bytes + 1, data_bytes, &more, error);
    if (status == F5_OK) {
        json_t *data = json_object_get(line, "data");
        if (data && !json_is_object(data) && !json_is_null(data))
            status = f5_fail(error, F5_E_FORMAT, "data must be an object");
        else if (json_is_object(data) && more && json_object_update_missing(more, data) != 0)
            status = f5_fail(error, F5_E_MEMORY, "out of memory");
        *whole = true;
        w->from += line_bytes + 1 + data_bytes;
        w->skip = payload_bytes;
        if (status == F5_OK) status = handle(w, type, more ? more : data, error);
    }
    json_decref(line);
    json_decref(more);
    return status;
}

static void skip_payload(wyoming *w) {
    size_t n = w->to - w->from < w->skip ? w->to - w->from : w->skip;
    w->from += n;
    w->skip -= n;
}

/* Everything that is there and may be answered now. `handle` may call wyoming_done, which calls this. */
static void run(wyoming *w) {
    if (w->running) return;
    w->running = true;
    while (w->state == WYOMING_LISTENING || w->state == WYOMING_STREAMING) {
        skip_payload(w);
        if (w->from == w->to) break;
        const char *at = w->buffer + w->from;
        size_t there = w->to - w->from;
        if (there < w->need) break;
        const char *end = there > w->scanned ? memchr(at + w->scanned, '\n', there - w->scanned) : NULL;
        f5_error error = {0};
        bool whole = false;
        if (!end) w->scanned = there;
        if ((end ? (size_t)(end - at) : there) > WYOMING_MAX_LINE) {
            fail(w, "bad-request", "the event's line is too long");
            break;
        }
        if (!end) break;
        w->scanned = (size_t)(end - at);
        if (read_event(w, w->scanned, &whole, &error) != F5_OK) {
            fail(w, code_of(&error), error.message);
            break;
        }
        if (!whole) break;
        w->scanned = w->need = 0;
        w->events++;
    }
    w->running = false;
    if (w->state == WYOMING_FINISHED) w->from = w->to;
    if (w->from == w->to && w->capacity > 0) {
        w->from = w->to = w->scanned = 0;
        if (w->capacity > KEPT_BYTES) {
            free(w->buffer);
            w->buffer = NULL;
            w->capacity = 0;
        }
    }
}

static bool reserve(wyoming *w, size_t more) {
    if (w->from > 0) {
        memmove(w->buffer, w->buffer + w->from, w->to - w->from);
        w->to -= w->from;
        w->from = 0;
    }
    if (w->to + more <= w->capacity) return true;
    size_t capacity = w->capacity ? w->capacity : 1024;
    while (capacity < w->to + more) capacity *= 2;
    char *buffer = realloc(w->buffer, capacity);
    if (!buffer) return false;
    w->buffer = buffer;
    w->capacity = capacity;
    return true;
}

void wyoming_feed(wyoming *w, const void *data, size_t n) {
    const char *at = data;
    while (n > 0 && w->state != WYOMING_FINISHED) { /* by bits, so that a payload is skipped and not kept */
        size_t bit = n < KEPT_BYTES ? n : KEPT_BYTES;
        if (w->to - w->from + bit > WYOMING_MAX_KEPT) {
            fail(w, "busy", "too much was sent while a text is being spoken");
        } else if (!reserve(w, bit)) {
            fail(w, "busy", "out of memory");
        } else {
            memcpy(w->buffer + w->to, at, bit);
            w->to += bit;
            run(w);
        }
        at += bit;
        n -= bit;
    }
}

void wyoming_fail(wyoming *w, const f5_error *error) {
    fail(w, code_of(error), error->message);
}

size_t wyoming_held(const wyoming *w) {
    return w->capacity;
}

void wyoming_done(wyoming *w, const f5_error *error) {
    if (!busy(w)) return;
    if (error) {
        wyoming_fail(w, error);
        return;
    }
    end_sound(w);
    if (w->state != WYOMING_FINISHED) w->state = WYOMING_LISTENING;
    run(w);
}
