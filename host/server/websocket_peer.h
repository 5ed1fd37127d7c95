/* websocket_peer.h — a WebSocket on a peer: the handshake that a request asks for, the messages of both sides, and the
 * end, whichever side wants it. On the loop's thread. */
#ifndef F5_WEBSOCKET_PEER_H
#define F5_WEBSOCKET_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/server/http.h"

typedef struct websocket_peer websocket_peer;

/* All are given but `drained`. `gone` is the last: it is called once, after which the websocket_peer is no more. */
typedef struct {
    void (*text)(void *user, const char *text, size_t bytes); /* a whole message, UTF-8, terminated */
    void (*binary)(void *user);                               /* the same, but nobody here wants one */
    void (*drained)(void *user);                              /* less than PEER_LOW is queued, after it was more */
    void (*idle)(void *user);                                 /* the seconds of websocket_peer_idle have passed */
    void (*ending)(void *user); /* the server drains: finish what is begun, then websocket_peer_close */
    void (*gone)(void *user);
} websocket_peer_events;

/* Answers the request: with 101, or with an error and NULL. A page of another host may not connect, unless CORS lets
 * it: browsers ask nobody before they open a WebSocket. subprotocol: the one that is agreed to where the client offers
 * it, or NULL. max_message: bytes. */
websocket_peer *websocket_peer_open(http_request *r, const char *subprotocol, size_t max_message,
                                    const websocket_peer_events *events, void *user);

void websocket_peer_text(websocket_peer *wp, const char *text, size_t bytes);
void websocket_peer_binary(websocket_peer *wp, const void *data, size_t bytes);
size_t websocket_peer_queued(const websocket_peer *wp);       /* bytes on their way */
void websocket_peer_idle(websocket_peer *wp, double seconds); /* from now; 0: never */
void websocket_peer_close(websocket_peer *wp, uint16_t code, const char *reason);

#endif
