/* wyoming.h — a server's end of the Wyoming protocol for speech, as Home Assistant speaks it, without a socket: bytes
 * that the client sent come in, what is to be spoken comes out; sound comes in, bytes for the client come out.
 *
 * An event is a line of JSON {"type", "data"?, "data_length"?, "payload_length"?}, then data_length bytes of JSON,
 * which are merged over `data`, then payload_length bytes. One text is spoken at a time: what the client sends
 * meanwhile is kept, up to a limit. After an error the connection ends, since a client that waits for sound would wait
 * on. One thread at a time. */
#ifndef F5_WYOMING_H
#define F5_WYOMING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/error.h"

#define WYOMING_MAX_LINE (256 * 1024)     /* bytes of an event's line, and of its data */
#define WYOMING_MAX_PAYLOAD (1024 * 1024) /* bytes; no event to a speaker has a use for them: they are skipped */
#define WYOMING_MAX_KEPT (1024 * 1024)    /* bytes that wait while a text is being spoken */
#define WYOMING_SOUND_BYTES 8192          /* of 16-bit samples in one audio-chunk */

typedef struct wyoming wyoming;

/* Callbacks run inside wyoming_feed and wyoming_done. They may not free the machine. */
typedef struct {
    void (*output)(void *user, const void *data, size_t bytes); /* for the client, in order */
    json_t *(*info)(void *user); /* a new reference: the data of `info`; NULL: no memory */
    /* A whole text is to be spoken (text, terminated), or one whose parts come by push (NULL). voice may be NULL,
     * language too: the default. An error is told to the client. */
    f5_status (*begin)(void *user, const char *voice, const char *language, bool ssml, const char *text,
                       f5_error *error);
    void (*push)(void *user, const char *text, size_t bytes); /* of the text that began */
    void (*finish)(void *user);                               /* its last part has come */
} wyoming_actions;

/* rate: samples a second of the sound. NULL: out of memory. */
wyoming *wyoming_open(const wyoming_actions *actions, void *user, int32_t rate);
void wyoming_free(wyoming *w); /* NULL is fine */

/* All n bytes are taken. After an error they are dropped. */
void wyoming_feed(wyoming *w, const void *data, size_t n);

/* Sound of the text that began: pcm [bytes], 16-bit little-endian samples, mono. */
void wyoming_sound(wyoming *w, const void *pcm, size_t bytes);

/* What was begun, and is whole, is spoken, or cannot be (error). Also before wyoming_actions.finish, with an error. */
void wyoming_done(wyoming *w, const f5_error *error);

typedef enum {
    WYOMING_LISTENING, /* between texts */
    WYOMING_STREAMING, /* a text has begun, and its end has not come */
    WYOMING_SPEAKING,  /* a whole text is being spoken */
    WYOMING_FINISHED   /* an error was told: end the connection once its bytes are out */
} wyoming_state;
wyoming_state wyoming_state_of(const wyoming *w);

/* Tells an error of the caller's, after which the machine is finished. */
void wyoming_fail(wyoming *w, const f5_error *error);

/* Bytes of memory for what came and is not answered yet. */
size_t wyoming_held(const wyoming *w);

/* Events that were taken so far; and whether a part of the next one is here. */
uint64_t wyoming_events(const wyoming *w);
bool wyoming_in_event(const wyoming *w);

#endif
