/* websocket_peer.c — joins the machine of websocket.h to a peer.
 *
 * The machine must not be freed inside its own callbacks, so that what ends a socket in one of them sets a timer. */
#include "host/server/websocket_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/server/server.h"
#include "host/server/websocket.h"

#define CLOSE_SECONDS 3.0  /* for the client's own close, after ours */
#define ALIVE_SECONDS 30.0 /* a client from which nothing came is asked by a ping, and cut when it does not answer */
/* Bytes queued from which nothing more is read: a client that sends pings and reads no pongs must not fill the memory.
 * Speech is held at PEER_HIGH long before, so that a client that reads slowly can still cancel. */
#define STALL_BYTES (8 * PEER_HIGH)
#define SMALL_BYTES 65536 /* of a message that is let in when the server is full */

struct websocket_peer {
    peer *peer;
    peers *all;
    size_t held; /* as they know it */
    websocket *machine;
    const websocket_peer_events *events;
    void *user;
    loop_timer *idle, *end, *alive;
    bool stalled; /* what came was left in the peer */
    bool closing; /* `end` is set */
    bool asked;   /* by a ping, and nothing came since */
};

/* ---- the handshake ----------------------------------------------------------------------------------------------- */

/* Is `word` one of the list's, between commas? */
static bool has_word(const char *list, const char *word) {
    size_t bytes = strlen(word);
    while (list && *list) {
        list += strspn(list, " \t,");
        size_t n = strcspn(list, " \t,");
        if (n == bytes && memcmp(list, word, n) == 0) return true;
        list += n;
    }
    return false;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* The peer is closed or lost. */
static void end(websocket_peer *wp) {
    peers_hold(wp->all, wp->held, 0);
    loop_timer_free(wp->idle);
    loop_timer_free(wp->end);
    loop_timer_free(wp->alive);
    websocket_free(wp->machine);
    wp->events->gone(wp->user);
    free(wp);
}

static void end_now(void *user) {
    websocket_peer *wp = user;
    peer_close(wp->peer);
    end(wp);
}

/* After anything that may have ended it. */
static void look(websocket_peer *wp) {
    if (!websocket_closing(wp->machine)) return;
    loop_timer_stop(wp->idle);
    loop_timer_stop(wp->alive);
    if (websocket_finished(wp->machine))
        loop_timer_set(wp->end, 0);
    else if (!wp->closing)
        loop_timer_set(wp->end, CLOSE_SECONDS);
    wp->closing = true;
}

static void ask(void *user) {
    websocket_peer *wp = user;
    bool alive = websocket_alive(wp->machine);
    if (!alive && wp->asked) {
        peer_cut(wp->peer);
        end(wp);
        return;
    }
    wp->asked = !alive;
    if (wp->asked) websocket_send_ping(wp->machine);
    loop_timer_set(wp->alive, ALIVE_SECONDS);
}

static void idle(void *user) {
    websocket_peer *wp = user;
    wp->events->idle(wp->user);
}

/* ---- what the peer and the machine tell -------------------------------------------------------------------------- */

static size_t on_data(void *user, const char *bytes, size_t n) {
    websocket_peer *wp = user;
    if (peer_queued(wp->peer) > STALL_BYTES) {
        wp->stalled = true;
        return 0;
    }
    websocket_feed(wp->machine, bytes, n);
    size_t held = websocket_held(wp->machine);
    peers_hold(wp->all, wp->held, held);
    wp->held = held;
    if (held > SMALL_BYTES && peers_full(wp->all))
        websocket_close(wp->machine, WEBSOCKET_TRY_LATER, "too many large messages are being read: try again later");
    look(wp);
    return n;
}

static void on_drained(void *user) {
    websocket_peer *wp = user;
    if (wp->stalled) peer_again(wp->peer);
    wp->stalled = false;
    if (wp->events->drained) wp->events->drained(wp->user);
}

static void on_closed(void *user) {
    end(user);
}

static void on_ending(void *user) {
    websocket_peer *wp = user;
    if (!websocket_closing(wp->machine)) wp->events->ending(wp->user);
}

static void on_text(void *user, const char *text, size_t bytes) {
    websocket_peer *wp = user;
    wp->events->text(wp->user, text, bytes);
}

static void on_binary(void *user, const uint8_t *data, size_t bytes) {
    websocket_peer *wp = user;
    (void)data;
    (void)bytes;
    wp->events->binary(wp->user);
}

static void on_output(void *user, const uint8_t *data, size_t bytes) {
    websocket_peer *wp = user;
    peer_write(wp->peer, data, bytes);
}

/* ---- what users call --------------------------------------------------------------------------------------------- */

static websocket_peer *make(http_request *r, size_t max_message, const websocket_peer_events *events, void *user) {
    static const websocket_events machine_events = {.text = on_text, .binary = on_binary, .output = on_output};
    websocket_peer *wp = calloc(1, sizeof *wp);
    if (!wp) return NULL;
    wp->events = events;
    wp->user = user;
    wp->machine = websocket_open(&machine_events, wp, max_message);
    wp->idle = loop_timer_new(http_loop(r), idle, wp);
    wp->end = loop_timer_new(http_loop(r), end_now, wp);
    wp->alive = loop_timer_new(http_loop(r), ask, wp);
    if (wp->machine && wp->idle && wp->end && wp->alive) return wp;
    websocket_free(wp->machine);
    loop_timer_free(wp->idle);
    loop_timer_free(wp->end);
    loop_timer_free(wp->alive);
    free(wp);
    return NULL;
}

websocket_peer *websocket_peer_open(http_request *r, const char *subprotocol, size_t max_message,
                                    const websocket_peer_events *events, void *user) {
    static const peer_events on_peer = {
        .data = on_data, .drained = on_drained, .closed = on_closed, .ending = on_ending};
    char accept[WEBSOCKET_ACCEPT_BYTES];
    const char *version = http_header(r, "sec-websocket-version"), *key = http_header(r, "sec-websocket-key");
    const char *headers[] = {"Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Accept",
                             accept,    NULL,        NULL,         NULL};
    websocket_peer *wp = NULL;
    if (!version || strcmp(version, "13") != 0) {
        http_set(r, "Sec-WebSocket-Version", "13");
        reply_error(r, 426, NULL, "upgrade_required", "Sec-WebSocket-Version must be 13");
    } else if (!key || !websocket_accept(key, accept)) {
        reply_error(r, 400, NULL, NULL, "Sec-WebSocket-Key must be 16 bytes in base64");
    } else if (http_is_of_another_site(r)) {
        reply_error(r, 403, NULL, NULL, "a page of another host may not connect: --cors-origin lets it");
    } else if (!(wp = make(r, max_message, events, user))) {
        reply_error(r, 503, NULL, NULL, "no memory");
    }
    if (!wp) return NULL;
    if (subprotocol && has_word(http_header(r, "sec-websocket-protocol"), subprotocol)) {
        headers[6] = "Sec-WebSocket-Protocol";
        headers[7] = subprotocol;
    }
    wp->peer = http_upgrade(r, headers, &on_peer, wp);
    wp->all = peer_all(wp->peer);
    loop_timer_set(wp->alive, ALIVE_SECONDS);
    return wp;
}

void websocket_peer_text(websocket_peer *wp, const char *text, size_t bytes) {
    websocket_send_text(wp->machine, text, bytes);
    look(wp);
}

void websocket_peer_binary(websocket_peer *wp, const void *data, size_t bytes) {
    websocket_send_binary(wp->machine, data, bytes);
    look(wp);
}

size_t websocket_peer_queued(const websocket_peer *wp) {
    return peer_queued(wp->peer);
}

void websocket_peer_idle(websocket_peer *wp, double seconds) {
    if (seconds > 0 && !websocket_closing(wp->machine))
        loop_timer_set(wp->idle, seconds);
    else
        loop_timer_stop(wp->idle);
}

void websocket_peer_close(websocket_peer *wp, uint16_t code, const char *reason) {
    websocket_close(wp->machine, code, reason);
    look(wp);
}
