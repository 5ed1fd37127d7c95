/* speech_api.c — POST /v1/audio/speech: a body becomes an order, and what is spoken becomes the answer, as it comes.
 *
 * A call ends by the answer, or by its client; what is still under way then (a recording that is decoded) finds the
 * request gone and frees the call. */
#include "host/server/speech_api.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/server/base64.h"
#include "host/server/json_read.h"
#include "host/server/metrics.h"
#include "host/server/speech_call.h"

#define INLINE_BYTES 65536 /* of a body: a larger one is parsed on another thread */
#define PIECE_BYTES 24576  /* of sound in one event */

typedef struct {
    server *server;
    http_request *request; /* NULL: its client left */
    char *body;
    size_t body_bytes;
    json_t *json;
    speech_request asked;
    request_fault why;
    speech_defaults defaults;
    recording *voice;
    f5_status status; /* of what was done on another thread */
    f5_error error;
    speech_job *job;
    double first; /* when the first sound was sent */
} speech_call;

static void free_body(speech_call *c) {
    http_body_free(c->server->http, c->body, c->body_bytes);
    c->body = NULL;
}

static void free_call(speech_call *c) {
    json_decref(c->json);
    free_body(c);
    recording_release(c->voice);
    free(c);
}

static void client_left(void *user) {
    speech_call *c = user;
    c->request = NULL;
    if (!c->job) return; /* a thread has it */
    speech_cancel(c->job);
    metrics_cancelled(c->server->metrics);
    free_call(c);
}

static void refuse(speech_call *c) {
    reply_error(c->request, c->why.status, c->why.param, c->why.code, "%s", c->why.message);
    free_call(c);
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static void send_event(http_request *r, const char *type, json_t *data) {
    char *text = data ? json_dumps(data, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    json_decref(data);
    if (!text) return;
    http_write_parts(r, (const char *const[]){"event: ", type, "\ndata: ", text, "\n\n", NULL});
    free(text);
}

/* Base64 of a piece, in events of a bearable size: a multiple of 3 bytes each, so that only the last is padded. */
static void send_delta(http_request *r, const char *bytes, size_t n) {
    static const char head[] = "event: speech.audio.delta\ndata: {\"type\":\"speech.audio.delta\",\"audio\":\"";
    char text[BASE64_BYTES(PIECE_BYTES)];
    for (size_t at = 0; at < n; at += PIECE_BYTES) {
        size_t part = n - at < PIECE_BYTES ? n - at : PIECE_BYTES;
        base64_encode(bytes + at, part, text);
        http_write_parts(r, (const char *const[]){head, text, "\"}\n\n", NULL});
    }
}

static void send_sentences(http_request *r, const speech_piece *piece) {
    for (int32_t i = 0; i < piece->n_sentences; i++) {
        const speech_sentence *s = &piece->sentences[i];
        send_event(r, "speech.audio.subtitle",
                   json_pack("{s:s,s:f,s:f,s:s%}", "type", "speech.audio.subtitle", "start", s->start, "end", s->end,
                             "text", s->text, s->bytes));
    }
}

static void begin_answer(speech_call *c) {
    http_request *r = c->request;
    char number[32];
    if (c->asked.sse) {
        http_set(r, "Cache-Control", "no-cache");
        http_set(r, "X-Accel-Buffering", "no"); /* nginx hands events on as they come */
        http_begin(r, 200, "text/event-stream; charset=utf-8");
        return;
    }
    snprintf(number, sizeof number, "%d", (int)c->asked.rate);
    http_set(r, "X-Sample-Rate", number);
    http_set(r, "X-Channels", "1");
    if (c->asked.format == SOUND_RAW) http_set(r, "X-Bit-Depth", "16");
    if (c->asked.streams) http_set(r, "X-Accel-Buffering", "no");
    http_begin(r, 200, sound_content_type(c->asked.format));
}

static void on_drained(void *user) {
    speech_hold(((speech_call *)user)->job, false);
}

static void on_piece(void *user, const speech_piece *piece) {
    speech_call *c = user;
    http_request *r = c->request;
    if (piece->n == 0 && !c->asked.subtitles) return;
    if (!http_begun(r)) begin_answer(c);
    if (c->first == 0) c->first = loop_seconds();
    if (c->asked.subtitles) send_sentences(r, piece);
    if (c->asked.sse)
        send_delta(r, piece->bytes, piece->n);
    else
        http_write(r, piece->bytes, piece->n);
    if (http_queued(r) >= PEER_HIGH) speech_hold(c->job, true);
}

/* usage as OpenAI counts it has no meaning here: bytes of text and frames of sound stand for tokens. */
static json_t *done_event(const speech_call *c, const speech_result *result) {
    json_int_t in = (json_int_t)c->asked.input_bytes;
    json_int_t out = llround(result->seconds * c->server->options->sound_rate / F5_HOP);
    return json_pack("{s:s,s:{s:I,s:I,s:I}}", "type", "speech.audio.done", "usage", "input_tokens", in, "output_tokens",
                     out, "total_tokens", in + out);
}

static void note_result(speech_call *c, const speech_result *result) {
    http_request *r = c->request;
    http_note(r, "format", sound_format_word(c->asked.format));
    http_note(r, "voice", c->asked.ref_audio ? "(recording)" : c->asked.voice ? c->asked.voice : "");
    http_note_number(r, "text_bytes", (double)c->asked.input_bytes);
    http_note_number(r, "audio_seconds", result->seconds);
    http_note_number(r, "wait_seconds", result->waited);
    if (c->first > 0) http_note_number(r, "first_audio_seconds", c->first - http_began(r));
}

static void on_done(void *user, const speech_result *result) {
    speech_call *c = user;
    http_request *r = c->request;
    c->job = NULL;
    note_result(c, result);
    metrics_speech(c->server->metrics, result, c->first > 0 ? c->first - http_began(r) : 0,
                   loop_seconds() - http_began(r));
    if (result->status == F5_OK && http_begun(r)) {
        if (c->asked.sse) send_event(r, "speech.audio.done", done_event(c, result));
        http_end(r);
    } else if (result->status == F5_OK) {
        begin_answer(c); /* a text without a sound that can be said */
        http_end(r);
    } else if (!http_begun(r)) {
        reply_status(r, result->status, result->message);
    } else {
        http_note(r, "error", result->message);
        if (c->asked.sse) {
            json_t *error = error_json(status_of(result->status), NULL, NULL, result->message);
            json_object_set_new(error, "type", json_string("speech.audio.error"));
            send_event(r, "speech.audio.error", error);
            http_end(r);
        } else {
            http_cut(r);
        }
    }
    free_call(c);
}

/* ---- the order --------------------------------------------------------------------------------------------------- */

static const speech_events events = {.piece = on_piece, .done = on_done};

static void place_order(speech_call *c) {
    server *s = c->server;
    speech_order order;
    f5_error error;
    speech_call_order(&c->asked, c->voice, &order);
    if (peers_crowded(s->peers)) {
        reply_error(c->request, 503, NULL, "overloaded", "too much speech waits to be read: try again in a moment");
        free_call(c);
        return;
    }
    f5_status status = speaker_order(s->speaker, &order, &events, c, &c->job, &error);
    if (status == F5_OK) {
        http_on_drained(c->request, on_drained, c);
        return;
    }
    c->job = NULL;
    if (status == F5_E_LIMIT || status == F5_E_DEVICE || status == F5_E_MEMORY)
        reply_error(c->request, 503, NULL, status == F5_E_LIMIT ? "overloaded" : "not_ready", "%s", error.message);
    else
        reply_status(c->request, status, error.message);
    free_call(c);
}

static void decode(void *user) {
    speech_call *c = user;
    c->status = speech_call_decode(&c->asked, &c->voice, &c->error);
}

static void decoded(void *user) {
    speech_call *c = user;
    if (!c->request) {
        free_call(c);
    } else if (c->status == F5_OK) {
        place_order(c);
    } else {
        c->why = (request_fault){.status = c->status == F5_E_MEMORY ? 503 : 400,
                                 .param = "ref_audio",
                                 .code = c->status == F5_E_MEMORY ? NULL : "invalid_value"};
        snprintf(c->why.message, sizeof c->why.message, "%s", c->error.message);
        refuse(c);
    }
}

/* The request was read: on with its voice. */
static void go_on(speech_call *c) {
    free_body(c); /* the strings are the tree's */
    if (c->why.status || !speech_call_check(c->server, &c->asked, &c->voice, &c->why)) {
        refuse(c);
    } else if (!c->asked.ref_audio) {
        place_order(c);
    } else if (loop_background(c->server->loop, decode, decoded, c, &c->error) != F5_OK) {
        reply_error(c->request, 503, NULL, "overloaded", "%s", c->error.message);
        free_call(c);
    }
}

static void parse(void *user) {
    speech_call *c = user;
    f5_error error;
    if (json_read_object(c->body, c->body_bytes, &c->json, &error) != F5_OK) {
        c->why = (request_fault){.status = 400, .code = "invalid_json"};
        snprintf(c->why.message, sizeof c->why.message, "%s", error.message);
        return;
    }
    speech_request_read(c->json, NULL, &c->defaults, &c->asked, &c->why);
}

static void parsed(void *user) {
    speech_call *c = user;
    if (c->request)
        go_on(c);
    else
        free_call(c);
}

static void run(http_request *r, void *user) {
    server *s = user;
    speech_call *c = calloc(1, sizeof *c);
    if (!c) {
        reply_error(r, 503, NULL, NULL, "no memory");
        return;
    }
    c->server = s;
    c->request = r;
    c->defaults = speech_call_defaults(s);
    http_on_gone(r, client_left, c);
    c->body = http_body_steal(r, &c->body_bytes);
    if (c->body_bytes <= INLINE_BYTES) {
        parse(c);
        go_on(c);
    } else if (loop_background(s->loop, parse, parsed, c, &c->error) != F5_OK) {
        reply_error(r, 503, NULL, "overloaded", "%s", c->error.message);
        free_call(c);
    }
}

f5_status speech_api_add(server *s, f5_error *error) {
    const http_route routes[] = {
        {.method = "POST", .path = "/v1/audio/speech", .run = run, .user = s},
        {.method = "POST", .path = "/v1/audio/speech/batch", .run = speech_batch_run, .user = s}};
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) F5_TRY(http_route_add(s->http, &routes[i], error));
    return F5_OK;
}
