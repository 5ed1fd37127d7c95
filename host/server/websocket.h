/* websocket.h — a server's end of a WebSocket (RFC 6455) without a socket: bytes that the client sent come in, messages
 * come out; messages come in, bytes for the client come out. wslay frames and unframes; limits and whole messages are
 * here. No extension is spoken.
 *
 * What a client does wrong is answered with the close frame that the RFC asks for: 1002 for a malformed frame, 1007 for
 * text that is not UTF-8, 1009 for a message over the limit. Pings are answered. One thread at a time. */
#ifndef F5_WEBSOCKET_H
#define F5_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Close codes that protocols of ours use. */
enum {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_UNSUPPORTED = 1003,
    WEBSOCKET_POLICY = 1008,
    WEBSOCKET_TOO_BIG = 1009,
    WEBSOCKET_INTERNAL = 1011,
    WEBSOCKET_TRY_LATER = 1013
};

#define WEBSOCKET_ACCEPT_BYTES 29 /* 28 characters and the end */

/* The value of Sec-WebSocket-Accept for one of Sec-WebSocket-Key. False: the key is not 16 bytes in base64. */
bool websocket_accept(const char *key, char accept[WEBSOCKET_ACCEPT_BYTES]);

typedef struct websocket websocket;

/* Callbacks run inside websocket_feed, `output` inside every call that sends. They may send and close, but not free. */
typedef struct {
    void (*text)(void *user, const char *text, size_t bytes);      /* a whole message, UTF-8, terminated */
    void (*binary)(void *user, const uint8_t *data, size_t bytes); /* a whole message */
    void (*output)(void *user, const uint8_t *data, size_t bytes); /* for the client, in order; must take them all */
} websocket_events;

/* max_message: bytes of the longest message that is taken. NULL: out of memory. */
websocket *websocket_open(const websocket_events *events, void *user, size_t max_message);
void websocket_free(websocket *ws); /* NULL is fine */

/* The limit for frames that begin from now on. */
void websocket_limit(websocket *ws, size_t max_message);

/* All n bytes are taken, however frames are cut. After a close they are dropped. */
void websocket_feed(websocket *ws, const void *data, size_t n);

/* After a close they send nothing. text is UTF-8. */
void websocket_send_text(websocket *ws, const char *text, size_t bytes);
void websocket_send_binary(websocket *ws, const void *data, size_t bytes);
void websocket_send_ping(websocket *ws);

/* Sends a close frame, once; its reason is cut at 123 bytes. What the client sends afterwards is dropped, but for its
 * own close. */
void websocket_close(websocket *ws, uint16_t code, const char *reason);

bool websocket_closing(const websocket *ws);  /* a close frame was sent: nothing more will be */
bool websocket_finished(const websocket *ws); /* and none is waited for: end the connection once its bytes are out */
size_t websocket_held(const websocket *ws);   /* bytes of memory for the message that is coming */
bool websocket_alive(websocket *ws);          /* a frame came since the last time this was asked: the client is there */

#endif
