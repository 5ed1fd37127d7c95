/* sockets.c — the sockets' routes, and their orders: by the same reader, the same defaults and the same limits as those
 * of POST /v1/audio/speech. */
#include "host/server/sockets.h"

#include <stdio.h>
#include <string.h>

#include "host/server/keys.h"
#include "host/server/metrics.h"
#include "host/server/speech_call.h"

f5_status sockets_add(server *s, f5_error *error) {
    const http_route routes[] = {{.method = "GET",
                                  .path = "/v1/audio/speech/stream",
                                  .open = true,
                                  .run = speech_stream_run,
                                  .upgrade = true,
                                  .user = s},
                                 {.method = "GET",
                                  .path = "/v1/realtime",
                                  .open = true,
                                  .run = realtime_socket_run,
                                  .upgrade = true,
                                  .user = s}};
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) F5_TRY(http_route_add(s->http, &routes[i], error));
    return F5_OK;
}

/* Pages cannot set the headers of a WebSocket: OpenAI's put the key among the subprotocols, none of which is agreed to.
 */
bool sockets_allow(const server *s, http_request *r) {
    static const char prefix[] = "openai-insecure-api-key.";
    const char *authorization = http_header(r, "authorization"), *offered = http_header(r, "sec-websocket-protocol");
    char bearer[512];
    if (!s->keys) return true;
    offered = offered ? strstr(offered, prefix) : NULL;
    if (!authorization && offered) {
        offered += sizeof prefix - 1;
        size_t bytes = strcspn(offered, ", \t");
        if (bytes < sizeof bearer - sizeof "Bearer ") {
            snprintf(bearer, sizeof bearer, "Bearer %.*s", (int)bytes, offered);
            authorization = bearer;
        }
    }
    if (keys_allow(s->keys, authorization)) return true;
    http_set(r, "WWW-Authenticate", "Bearer");
    reply_error(r, 401, NULL, "invalid_api_key", "a key is needed: Authorization: Bearer KEY");
    return false;
}

f5_status sockets_read(const server *s, json_t *fields, speech_request *request, recording **voice, f5_error *error) {
    const speech_defaults defaults = speech_call_defaults(s);
    request_fault why = {0};
    *voice = NULL;
    if (json_object_set_new(fields, "input", json_string("-")) != 0) return f5_fail(error, F5_E_MEMORY, "no memory");
    if (speech_request_read(fields, NULL, &defaults, request, &why) && speech_call_check(s, request, voice, &why))
        return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "%s", why.message);
}

/* ---- orders ------------------------------------------------------------------------------------------------------ */

f5_status sockets_order(sockets_job *j, const speech_order *order, const speech_events *events, void *user,
                        f5_error *error) {
    j->held = false;
    if (peers_crowded(j->server->peers))
        return f5_fail(error, F5_E_MEMORY, "too much speech waits to be read: try again");
    f5_status status = speaker_order(j->server->speaker, order, events, user, &j->job, error);
    /* a full queue is no fault of the message, as an order beyond a limit of the engine would be */
    return status == F5_E_LIMIT ? (error->status = F5_E_MEMORY) : status;
}

static f5_status place(sockets_job *j, json_t *fields, const sockets_text *text, const speech_events *events,
                       void *user, f5_error *error) {
    const server *s = j->server;
    speech_request request;
    speech_order order;
    recording *voice;
    F5_TRY(sockets_read(s, fields, &request, &voice, error));
    speech_call_order(&request, voice, &order);
    order.text = text->text;
    order.text_bytes = text->bytes;
    if (!text->text) { /* a sentence sounds once it is there, not once a chunk is full */
        order.speak.chunking = F5_CHUNKS_SENTENCE;
        order.speak.first_chunk = 0;
    }
    f5_status status = text->bytes > (size_t)s->options->text_bytes
                           ? f5_fail(error, F5_E_ARGUMENT, "the text has %zu bytes, and at most %d are taken",
                                     text->bytes, (int)s->options->text_bytes)
                           : sockets_order(j, &order, events, user, error);
    recording_release(voice);
    return status;
}

f5_status sockets_speak(sockets_job *j, const sockets_text *text, const speech_events *events, void *user,
                        f5_error *error) {
    json_t *fields =
        json_pack("{s:s?, s:s, s:i, s:b, s:b}", "voice", text->voice && *text->voice ? text->voice : NULL,
                  "response_format", "pcm", "sample_rate", (int)text->rate, "stream", 1, "ssml", text->ssml);
    if (fields && text->speed > 0) json_object_set_new(fields, "speed", json_real(text->speed));
    f5_status status = fields ? place(j, fields, text, events, user, error) : f5_fail(error, F5_E_MEMORY, "no memory");
    json_decref(fields);
    return status;
}

f5_status sockets_push(sockets_job *j, const char *text, size_t bytes, f5_error *error) {
    f5_status status = j->job ? speech_push(j->job, text, bytes, error) : F5_OK;
    if (status == F5_OK) return F5_OK;
    speech_cancel(j->job);
    j->job = NULL;
    return status;
}

void sockets_finish(sockets_job *j) {
    if (j->job) speech_finish(j->job);
}

void sockets_cancel(sockets_job *j) {
    if (!j->job) return;
    speech_cancel(j->job);
    j->job = NULL;
    metrics_cancelled(j->server->metrics);
}

void sockets_queued(sockets_job *j, size_t queued) {
    if (!j->job || j->held || queued < PEER_HIGH) return;
    j->held = true;
    speech_hold(j->job, true);
}

void sockets_drained(sockets_job *j) {
    if (j->job && j->held) speech_hold(j->job, false);
    j->held = false;
}

const f5_error *sockets_done(sockets_job *j, const speech_result *result, f5_error *error) {
    j->job = NULL;
    metrics_speech(j->server->metrics, result, result->first, result->total);
    if (result->status == F5_OK) return NULL;
    f5_fail(error, result->status, "%s", result->message);
    return error;
}
