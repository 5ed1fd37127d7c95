/* websocket.c — the handshake's one sum, and messages on top of wslay's frames. wslay keeps no message here: it would
 * take memory for every fragment, and a message may come in fragments of no bytes at all. */
#include "host/server/websocket.h"

#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "host/server/base64.h"
#include "host/server/sha1.h"
#include "weights/utf8.h"

#define KEPT_BYTES 65536 /* a message's buffer that is no larger stays for the next message */

struct websocket {
    wslay_event_context_ptr wslay;
    websocket_events events;
    void *user;
    const uint8_t *input; /* [input_bytes] of websocket_feed that wslay has not taken */
    size_t input_bytes;
    uint8_t *message; /* [message_capacity] the message so far, with room for an end */
    size_t message_bytes, message_capacity, max_message;
    uint8_t opcode;      /* of the frame that is being read */
    uint8_t reason[125]; /* [reason_bytes] of a close frame: its code, then its reason */
    size_t reason_bytes;
    bool refused, broken, alive;
};

bool websocket_accept(const char *key, char accept[WEBSOCKET_ACCEPT_BYTES]) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455, 1.3 */
    char text[24 + sizeof guid];
    uint8_t nonce[18], digest[SHA1_BYTES];
    size_t nonce_bytes;
    if (strlen(key) != 24 || !base64_decode(key, 24, nonce, &nonce_bytes) || nonce_bytes != 16) return false;
    memcpy(text, key, 24);
    memcpy(text + 24, guid, sizeof guid);
    sha1(text, sizeof text - 1, digest);
    base64_encode(digest, sizeof digest, accept);
    return true;
}

static void flush(websocket *ws) {
    if (!ws->broken) wslay_event_send(ws->wslay); /* the output takes everything, so nothing stays queued */
}

/* wslay gave up. It would send a close frame without a code. */
static void break_off(websocket *ws, int wslay_error) {
    uint16_t code = wslay_error == WSLAY_ERR_NOMEM ? WEBSOCKET_INTERNAL : WSLAY_CODE_PROTOCOL_ERROR;
    const uint8_t frame[] = {0x88, 2, (uint8_t)(code >> 8), (uint8_t)code};
    if (!websocket_closing(ws)) ws->events.output(ws->user, frame, sizeof frame);
    ws->broken = true;
}

void websocket_close(websocket *ws, uint16_t code, const char *reason) {
    size_t bytes = strlen(reason);
    if (bytes > 123) { /* not inside a character */
        bytes = 123;
        while (bytes > 0 && ((uint8_t)reason[bytes] & 0xc0) == 0x80) bytes--;
    }
    wslay_event_queue_close(ws->wslay, code, (const uint8_t *)reason, bytes);
    flush(ws);
}

/* No more is read, not even a close. */
static void refuse(websocket *ws, uint16_t code, const char *reason) {
    ws->refused = true;
    wslay_event_shutdown_read(ws->wslay);
    wslay_event_queue_close(ws->wslay, code, (const uint8_t *)reason, strlen(reason));
}

/* ---- wslay's callbacks */

static ssize_t take_input(wslay_event_context_ptr wslay, uint8_t *to, size_t room, int flags, void *user) {
    (void)flags;
    websocket *ws = user;
    size_t n = ws->input_bytes < room ? ws->input_bytes : room;
    if (n == 0) {
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(to, ws->input, n);
    ws->input += n;
    ws->input_bytes -= n;
    return (ssize_t)n;
}

static ssize_t put_output(wslay_event_context_ptr wslay, const uint8_t *data, size_t bytes, int flags, void *user) {
    (void)wslay;
    (void)flags;
    websocket *ws = user;
    ws->events.output(ws->user, data, bytes);
    return (ssize_t)bytes;
}

static bool too_long(const websocket *ws, uint64_t more) {
    return ws->message_bytes > ws->max_message || more > ws->max_message - ws->message_bytes;
}

static void frame_start(wslay_event_context_ptr wslay, const struct wslay_event_on_frame_recv_start_arg *frame,
                        void *user) {
    (void)wslay;
    websocket *ws = user;
    ws->alive = true;
    ws->opcode = frame->opcode;
    if (wslay_is_ctrl_frame(frame->opcode) || ws->refused) return;
    if (frame->opcode != WSLAY_CONTINUATION_FRAME) ws->message_bytes = 0;
    /* before any of it has come */
    if (too_long(ws, frame->payload_length)) refuse(ws, WEBSOCKET_TOO_BIG, "the message is too long");
}

static bool reserve(websocket *ws, size_t bytes) {
    if (bytes + 1 <= ws->message_capacity) return true;
    size_t capacity = ws->message_capacity ? ws->message_capacity : 1024;
    while (capacity < bytes + 1) capacity *= 2;
    uint8_t *message = realloc(ws->message, capacity);
    if (!message) return false;
    ws->message = message;
    ws->message_capacity = capacity;
    return true;
}

static void frame_chunk(wslay_event_context_ptr wslay, const struct wslay_event_on_frame_recv_chunk_arg *chunk,
                        void *user) {
    (void)wslay;
    websocket *ws = user;
    if (ws->refused || chunk->data_length == 0) return;
    if (ws->opcode == WSLAY_CONNECTION_CLOSE && chunk->data_length <= sizeof ws->reason - ws->reason_bytes) {
        memcpy(ws->reason + ws->reason_bytes, chunk->data, chunk->data_length);
        ws->reason_bytes += chunk->data_length;
    }
    if (wslay_is_ctrl_frame(ws->opcode)) return;
    if (!reserve(ws, ws->message_bytes + chunk->data_length)) {
        refuse(ws, WEBSOCKET_INTERNAL, "out of memory");
    } else {
        memcpy(ws->message + ws->message_bytes, chunk->data, chunk->data_length);
        ws->message_bytes += chunk->data_length;
    }
}

/* wslay lets half a code pass, and a reason that is not UTF-8 where it comes in bits. */
static void frame_end(wslay_event_context_ptr wslay, void *user) {
    (void)wslay;
    websocket *ws = user;
    if (ws->opcode != WSLAY_CONNECTION_CLOSE || ws->refused) return;
    if (ws->reason_bytes == 1) {
        refuse(ws, WSLAY_CODE_PROTOCOL_ERROR, "");
    } else if (ws->reason_bytes > 2) {
        size_t bytes = ws->reason_bytes - 2;
        if (utf8_valid_prefix((const char *)ws->reason + 2, bytes) < bytes)
            refuse(ws, WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA, "");
    }
}

static void message_end(wslay_event_context_ptr wslay, const struct wslay_event_on_msg_recv_arg *message, void *user) {
    (void)wslay;
    websocket *ws = user;
    if (wslay_is_ctrl_frame(message->opcode) || ws->refused || websocket_closing(ws)) return;
    if (!reserve(ws, ws->message_bytes)) {
        refuse(ws, WEBSOCKET_INTERNAL, "out of memory");
        return;
    }
    ws->message[ws->message_bytes] = 0;
    if (message->opcode == WSLAY_TEXT_FRAME)
        ws->events.text(ws->user, (const char *)ws->message, ws->message_bytes);
    else
        ws->events.binary(ws->user, ws->message, ws->message_bytes);
    ws->message_bytes = 0;
    if (ws->message_capacity > KEPT_BYTES) {
        free(ws->message);
        ws->message = NULL;
        ws->message_capacity = 0;
    }
}

/* ---- */

websocket *websocket_open(const websocket_events *events, void *user, size_t max_message) {
    websocket *ws = calloc(1, sizeof *ws);
    if (!ws) return NULL;
    const struct wslay_event_callbacks callbacks = {.recv_callback = take_input,
                                                    .send_callback = put_output,
                                                    .on_frame_recv_start_callback = frame_start,
                                                    .on_frame_recv_chunk_callback = frame_chunk,
                                                    .on_frame_recv_end_callback = frame_end,
                                                    .on_msg_recv_callback = message_end};
    if (wslay_event_context_server_init(&ws->wslay, &callbacks, ws) != 0) {
        free(ws);
        return NULL;
    }
    wslay_event_config_set_no_buffering(ws->wslay, 1);
    ws->events = *events;
    ws->user = user;
    ws->max_message = max_message;
    return ws;
}

void websocket_free(websocket *ws) {
    if (!ws) return;
    wslay_event_context_free(ws->wslay);
    free(ws->message);
    free(ws);
}

void websocket_limit(websocket *ws, size_t max_message) {
    ws->max_message = max_message;
}

void websocket_feed(websocket *ws, const void *data, size_t n) {
    ws->input = data;
    ws->input_bytes = n;
    while (ws->input_bytes > 0 && !ws->broken && wslay_event_want_read(ws->wslay)) {
        int status = wslay_event_recv(ws->wslay);
        if (status != 0) break_off(ws, status);
    }
    ws->input_bytes = 0;
    flush(ws);
}

static void send_message(websocket *ws, uint8_t opcode, const void *data, size_t bytes) {
    const struct wslay_event_msg message = {.opcode = opcode, .msg = data, .msg_length = bytes};
    int status = wslay_event_queue_msg(ws->wslay, &message);
    if (status == WSLAY_ERR_NOMEM) refuse(ws, WEBSOCKET_INTERNAL, "out of memory");
    flush(ws);
}

void websocket_send_text(websocket *ws, const char *text, size_t bytes) {
    send_message(ws, WSLAY_TEXT_FRAME, text, bytes);
}

void websocket_send_binary(websocket *ws, const void *data, size_t bytes) {
    send_message(ws, WSLAY_BINARY_FRAME, data, bytes);
}

void websocket_send_ping(websocket *ws) {
    send_message(ws, WSLAY_PING, NULL, 0);
}

bool websocket_closing(const websocket *ws) {
    return ws->broken || wslay_event_get_close_sent(ws->wslay) != 0;
}

bool websocket_finished(const websocket *ws) {
    return websocket_closing(ws) && (ws->broken || ws->refused || !wslay_event_get_read_enabled(ws->wslay));
}

size_t websocket_held(const websocket *ws) {
    return ws->message_capacity;
}

bool websocket_alive(websocket *ws) {
    bool alive = ws->alive;
    ws->alive = false;
    return alive;
}
