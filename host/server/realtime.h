/* realtime.h — the part of OpenAI's Realtime protocol that makes speech of a text, without a socket: messages of the
 * client come in, what is to be spoken comes out; sound comes in, messages for the client come out.
 *
 *   client                                            server
 *                                                     session.created
 *   session.update {session {audio {output {voice,    session.updated
 *     speed, format audio/pcm 24000}}}}
 *   conversation.item.create {item}                   conversation.item.created
 *   response.create {response {input [items]}}        response.created, response.output_audio.delta {delta}*,
 *                                                     response.output_audio.done, response.done {response {status}}
 *   response.cancel                                   ... response.done, with the status "cancelled"
 *                                                     error {error {type, code, message, event_id}}
 *
 * What is spoken are the words of the input: this is no language model, and instructions and tools are passed over. A
 * response without an input speaks the items that the client made since the last one. One thread at a time. */
#ifndef F5_REALTIME_H
#define F5_REALTIME_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/error.h"

#define REALTIME_MAX_MESSAGE (512 * 1024) /* bytes */
#define REALTIME_MAX_TEXT (256 * 1024)    /* bytes of items that wait for a response */
#define REALTIME_RATE 24000               /* samples a second, which the protocol fixes, whatever the model's are */
#define REALTIME_DELTA_BYTES 24000        /* of samples in one response.output_audio.delta: half a second */

typedef struct realtime realtime;

/* Callbacks run inside the calls below. They may not free the machine. */
typedef struct {
    /* The voice (NULL: as before) and speed (0: as before) of responses from now on. */
    f5_status (*configure)(void *user, const char *voice, double speed, f5_error *error);
    f5_status (*speak)(void *user, const char *text, size_t bytes, f5_error *error); /* realtime_done answers this */
    void (*cancel)(void *user); /* nothing more of what is spoken may come, realtime_done neither */
    void (*text)(void *user, const char *text, size_t bytes); /* a message for the client */
    void (*close)(void *user, uint16_t code, const char *reason);
} realtime_actions;

/* id and model are copied. Sends session.created by actions.text. NULL: out of memory. */
realtime *realtime_open(const realtime_actions *actions, void *user, const char *id, const char *model,
                        const char *voice);
void realtime_free(realtime *r); /* NULL is fine; it does not cancel */

void realtime_message(realtime *r, const char *text, size_t bytes); /* of the client, UTF-8 */
void realtime_binary(realtime *r);                                  /* one that is none of the protocol's */

/* pcm [bytes]: 16-bit little-endian samples, 24 kHz mono. */
void realtime_sound(realtime *r, const void *pcm, size_t bytes);
/* What was to be spoken is, or cannot be (error). */
void realtime_done(realtime *r, const f5_error *error);

bool realtime_busy(const realtime *r); /* a response is being spoken */

#endif
