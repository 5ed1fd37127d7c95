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

/* Orders raw samples in a voice (NULL or "": the default), with the server's own settings for speech that is streamed.
 * speed 0: the usual one. text [bytes]; NULL: it comes by speech_push. */
typedef struct {
    const char *voice, *text;
    size_t bytes;
    double speed;
    bool ssml;
} sockets_text;
f5_status sockets_speak(const server *s, const sockets_text *text, const speech_events *events, void *user,
                        speech_job **job, f5_error *error);

/* The client wants no more of a job, or went: *job is NULL then. NULL is fine. */
void sockets_cancel(const server *s, speech_job **job);

#endif
