/* speech_socket.h — the protocol of WebSocket /v1/audio/speech/stream without a socket: messages of the client come in,
 * what is to be spoken comes out; sentences and their sound come in, messages for the client come out. It answers what
 * clients of vLLM-Omni and of SGLang-Omni send, and cancels beside that.
 *
 *   client                                     server
 *   session.config {voice, speed, ...}         session.configured {response_format, stream_audio, sample_rate, ...}
 *   input.text {text}*                         audio.start {sentence_index, sentence_text, format, sample_rate},
 *                                              binary messages, audio.done {sentence_index, total_bytes, error}
 *   input.commit: speak what is left           ... input.committed {segment_index, segment_sentences, total_sentences}
 *   input.done: the utterance ends             ... session.done {total_sentences}
 *   input.cancel, cancel: forget it all        input.cancelled {total_sentences}
 *   session.close                              a close frame
 *                                              error {message, error {message, type, code}}
 *
 * Every event of the server has session_id and utterance_index. What comes while an utterance is being finished waits
 * for its end. One thread at a time. */
#ifndef F5_SPEECH_SOCKET_H
#define F5_SPEECH_SOCKET_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/error.h"

#define SPEECH_SOCKET_MAX_MESSAGE (128 * 1024)   /* bytes of any message but session.config */
#define SPEECH_SOCKET_MAX_UTTERANCE (256 * 1024) /* bytes of text in an utterance, and of texts that wait */
#define SPEECH_SOCKET_MAX_WAITING 1024           /* messages that wait */
#define SPEECH_SOCKET_CONFIG_SECONDS 10
#define SPEECH_SOCKET_IDLE_SECONDS 30

typedef struct speech_socket speech_socket;

/* What a session.config came to. */
typedef struct {
    const char *format; /* "pcm"; a constant */
    int sample_rate;
    bool stream_audio; /* sound comes piece by piece; else a sentence's sound is one message, a whole file */
    bool whole;        /* split_granularity none: an utterance is one sentence, spoken when all its text is there */
    const char *granularity; /* "none", "sentence", "clause"; a constant */
    bool later;              /* nothing of the above is known yet: speech_socket_configured will tell */
} speech_socket_config;

/* Callbacks run inside the calls below. They may not free the machine. */
typedef struct {
    /* Takes the settings of this session from now on: `config` has the fields of POST /v1/audio/speech but `input`. */
    f5_status (*configure)(void *user, const json_t *config, speech_socket_config *settled, f5_error *error);
    f5_status (*begin)(void *user, f5_error *error);          /* a text begins */
    void (*push)(void *user, const char *text, size_t bytes); /* more of it */
    void (*finish)(void *user); /* it is whole: speech_socket_done answers this, later or now */
    void (*cancel)(void *user); /* nothing more of the text that began may come, speech_socket_done neither */
    void (*text)(void *user, const char *text, size_t bytes);   /* a message for the client */
    void (*binary)(void *user, const void *data, size_t bytes); /* a binary one */
    void (*close)(void *user, uint16_t code, const char *reason);
} speech_socket_actions;

/* id: of the session, copied. NULL: out of memory. */
speech_socket *speech_socket_open(const speech_socket_actions *actions, void *user, const char *id);
void speech_socket_free(speech_socket *s); /* NULL is fine; it does not cancel */

/* What a session.config that was to be answered later came to: settled, or an error where that is NULL. */
void speech_socket_configured(speech_socket *s, const speech_socket_config *settled, const f5_error *error);

/* A message of the client, UTF-8; and a binary one, which is none of the protocol's. */
void speech_socket_message(speech_socket *s, const char *text, size_t bytes);
void speech_socket_binary(speech_socket *s);

/* A sentence of the text that began is about to sound; the one before is over. text [bytes] need not be terminated. */
void speech_socket_sentence(speech_socket *s, const char *text, size_t bytes);
/* All of that sentence's sound has come. */
void speech_socket_sentence_end(speech_socket *s);
/* Sound of that sentence, in the session's format. */
void speech_socket_sound(speech_socket *s, const void *data, size_t bytes);
/* The text that was finished is spoken, or cannot be (error). Also before it was finished, with an error. */
void speech_socket_done(speech_socket *s, const f5_error *error);

bool speech_socket_busy(const speech_socket *s); /* a text is being spoken, or waits */

/* Seconds without a message of the client, or an event of its speech, after which speech_socket_timeout shall be
 * called; 0: none, it waits for us. */
int speech_socket_patience(const speech_socket *s);
void speech_socket_timeout(speech_socket *s);

#endif
