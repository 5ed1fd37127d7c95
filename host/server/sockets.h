/* sockets.h — the server's WebSockets: where they are, and how they and Wyoming order speech. On the loop's thread. */
#ifndef F5_SERVER_SOCKETS_H
#define F5_SERVER_SOCKETS_H

#include "host/server/server.h"
#include "host/server/speech_request.h"

/* Adds /v1/audio/speech/stream and /v1/realtime. */
f5_status sockets_add(server *s, f5_error *error);

/* Does the request show a key, if one is needed? If not, it is answered with 401. */
bool sockets_allow(const server *s, http_request *r);

/* Handlers of the two: http_route.run. */
void speech_stream_run(http_request *r, void *user);
void realtime_socket_run(http_request *r, void *user);

/* Reads fields of POST /v1/audio/speech where `input` need not be: the text comes by itself. *voice is held, or NULL
 * where ref_audio gives the voice. Strings of the request live as long as `fields`, which this changes. */
f5_status sockets_read(const server *s, json_t *fields, speech_request *request, recording **voice, f5_error *error);

/* The order that a connection has spoken. */
typedef struct {
    const server *server;
    speech_job *job; /* NULL: none */
    bool held;       /* for its reader, who has too much */
} sockets_job;

/* Places an order. F5_E_MEMORY: there is no room for it now. */
f5_status sockets_order(sockets_job *j, const speech_order *order, const speech_events *events, void *user,
                        f5_error *error);

/* The same with raw samples, `rate` a second, in a voice (NULL or "": the default), and the server's own settings for
 * speech that is streamed. speed 0: the usual one. text [bytes]; NULL: it comes by sockets_push. */
typedef struct {
    const char *voice, *text;
    size_t bytes;
    int32_t rate;
    double speed;
    bool ssml;
} sockets_text;
f5_status sockets_speak(sockets_job *j, const sockets_text *text, const speech_events *events, void *user,
                        f5_error *error);

/* More of the text. On an error the job is given up. */
f5_status sockets_push(sockets_job *j, const char *text, size_t bytes, f5_error *error);
void sockets_finish(sockets_job *j); /* the text is whole */
void sockets_cancel(sockets_job *j); /* the client wants no more of it, or went */

/* After sound was queued for the reader, of which `queued` bytes wait now; and when little of it waits. */
void sockets_queued(sockets_job *j, size_t queued);
void sockets_drained(sockets_job *j);

/* The job is done: for speech_events.done. Gives *error, or NULL if it came to a good end. */
const f5_error *sockets_done(sockets_job *j, const speech_result *result, f5_error *error);

#endif
