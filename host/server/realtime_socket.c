/* realtime_socket.c — joins the machine of realtime.h to a WebSocket and to orders of speech: /v1/realtime. */
#include "host/server/sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/server/realtime.h"
#include "host/server/voice_store.h"
#include "host/server/websocket.h"
#include "host/server/websocket_peer.h"

#define IDLE_SECONDS 600.0 /* between responses */

typedef struct {
    websocket_peer *socket;
    realtime *machine;
    sockets_job speech;
    char *voice;  /* NULL: the default */
    double speed; /* 0: none was asked for */
    bool ending;
} session;

/* After anything that may have changed the machine's state. */
static void look(session *s) {
    bool busy = realtime_busy(s->machine);
    websocket_peer_idle(s->socket, busy ? 0 : IDLE_SECONDS);
    if (s->ending && !busy) websocket_peer_close(s->socket, WEBSOCKET_GOING_AWAY, "the server ends");
}

/* ---- the speech -------------------------------------------------------------------------------------------------- */

static void on_piece(void *user, const speech_piece *piece) {
    session *s = user;
    realtime_sound(s->machine, piece->bytes, piece->n);
    sockets_queued(&s->speech, websocket_peer_queued(s->socket));
}

static void on_done(void *user, const speech_result *result) {
    session *s = user;
    f5_error error;
    realtime_done(s->machine, sockets_done(&s->speech, result, &error));
    look(s);
}

/* ---- what the machine asks for ----------------------------------------------------------------------------------- */

static f5_status configure(void *user, const char *voice, double speed, f5_error *error) {
    session *s = user;
    if (speed > 0) s->speed = speed;
    if (!voice) return F5_OK;
    if (!voice_store_find(s->speech.server->voices, voice))
        return f5_fail(error, F5_E_ARGUMENT, "there is no voice %s: GET /v1/audio/voices lists them", voice);
    char *copy = strdup(voice);
    if (!copy) return f5_fail(error, F5_E_MEMORY, "no memory");
    free(s->voice);
    s->voice = copy;
    return F5_OK;
}

static f5_status speak(void *user, const char *text, size_t bytes, f5_error *error) {
    static const speech_events events = {.piece = on_piece, .done = on_done};
    session *s = user;
    const sockets_text what = {
        .voice = s->voice, .text = text, .bytes = bytes, .rate = REALTIME_RATE, .speed = s->speed};
    return sockets_speak(&s->speech, &what, &events, s, error);
}

static void cancel(void *user) {
    session *s = user;
    sockets_cancel(&s->speech);
}

static void send_text(void *user, const char *text, size_t bytes) {
    session *s = user;
    websocket_peer_text(s->socket, text, bytes);
}

static void close_socket(void *user, uint16_t code, const char *reason) {
    session *s = user;
    websocket_peer_close(s->socket, code, reason);
}

/* ---- the socket -------------------------------------------------------------------------------------------------- */

static void on_text(void *user, const char *text, size_t bytes) {
    session *s = user;
    realtime_message(s->machine, text, bytes);
    look(s);
}

static void on_binary(void *user) {
    session *s = user;
    realtime_binary(s->machine);
}

static void on_drained(void *user) {
    session *s = user;
    sockets_drained(&s->speech);
}

static void on_idle(void *user) {
    session *s = user;
    websocket_peer_close(s->socket, WEBSOCKET_POLICY, "no message came for too long");
}

static void on_ending(void *user) {
    session *s = user;
    s->ending = true;
    look(s);
}

static void on_gone(void *user) {
    session *s = user;
    cancel(s);
    realtime_free(s->machine);
    free(s->voice);
    free(s);
}

void realtime_socket_run(http_request *r, void *user) {
    static const websocket_peer_events events = {.text = on_text,
                                                 .binary = on_binary,
                                                 .drained = on_drained,
                                                 .idle = on_idle,
                                                 .ending = on_ending,
                                                 .gone = on_gone};
    static const realtime_actions actions = {
        .configure = configure, .speak = speak, .cancel = cancel, .text = send_text, .close = close_socket};
    server *all = user;
    if (!sockets_allow(all, r)) return;
    const voice_entry *voice = voice_store_find(all->voices, NULL);
    const char *model = http_query(r, "model");
    char id[64], name[128];
    snprintf(id, sizeof id, "%s", http_request_id(r)); /* the request ends with the handshake */
    snprintf(name, sizeof name, "%s", model ? model : all->options->model_id);
    session *s = calloc(1, sizeof *s);
    if (!s) {
        reply_error(r, 503, NULL, NULL, "no memory");
        return;
    }
    s->speech.server = all;
    s->socket = websocket_peer_open(r, "realtime", REALTIME_MAX_MESSAGE, &events, s);
    if (!s->socket) {
        free(s);
        return;
    }
    s->machine = realtime_open(&actions, s, id, name, voice ? voice->id : "");
    if (s->machine)
        look(s);
    else
        websocket_peer_close(s->socket, WEBSOCKET_INTERNAL, "no memory");
}
