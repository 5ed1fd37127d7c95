/* speech_stream.c — joins the machine of speech_socket.h to a WebSocket and to orders of speech:
 * /v1/audio/speech/stream. An order is an utterance, or what lies between two input.commit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/server/json_read.h"
#include "host/server/sockets.h"
#include "host/server/speech_call.h"
#include "host/server/speech_socket.h"
#include "host/server/websocket.h"
#include "host/server/websocket_peer.h"

#define MESSAGE_BYTES 32768 /* of sound in one message, where it is streamed */

typedef struct session session;

/* What a session.config asks for. */
typedef struct {
    session *session; /* NULL: it ended while another thread decodes the recording */
    json_t *fields;   /* the request's strings are its */
    speech_request request;
    recording *voice; /* held */
    speech_socket_config config;
    f5_status status; /* of the recording */
    f5_error error;
    peers *all;
    size_t counted; /* bytes that they know of: of the recording as it came, then of its samples */
} settings;

struct session {
    websocket_peer *socket;
    speech_socket *machine;
    settings *settings, *next; /* NULL: none. next: its recording is being decoded */
    sockets_job speech;
    double seconds; /* of the order's sound so far */
    bool ending;
};

/* After anything that may have changed the machine's state. */
static void look(session *s) {
    websocket_peer_idle(s->socket, speech_socket_patience(s->machine));
    if (s->ending && !speech_socket_busy(s->machine))
        websocket_peer_close(s->socket, WEBSOCKET_GOING_AWAY, "the server ends");
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static void count(settings *n, size_t bytes) {
    peers_hold(n->all, n->counted, bytes);
    n->counted = bytes;
}

static void free_settings(settings *n) {
    if (!n) return;
    count(n, 0);
    json_decref(n->fields);
    recording_release(n->voice);
    free(n);
}

static f5_status read_config(settings *n, const server *all, f5_error *error) {
    static const char *const grains[] = {"sentence", "clause", "none"};
    const json_t *stream = json_object_get(n->fields, "stream_audio");
    const char *grain, *format;
    if (stream && !json_is_null(stream) && !json_is_boolean(stream))
        return f5_fail(error, F5_E_ARGUMENT, "stream_audio must be true or false");
    n->config.stream_audio = json_is_true(stream);
    F5_TRY(json_read_string(n->fields, "split_granularity", &grain, error));
    F5_TRY(json_read_string(n->fields, "response_format", &format, error));
    if (!format) /* a sentence is a file, or raw samples that are played as they come */
        json_object_set_new(n->fields, "response_format", json_string(n->config.stream_audio ? "pcm" : "wav"));
    F5_TRY(sockets_read(all, n->fields, &n->request, &n->voice, error));
    if (n->request.speak.ssml || n->request.speak.fix_duration > 0)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s needs the whole text: POST /v1/audio/speech takes it",
                       n->request.speak.ssml ? "ssml" : "fix_duration");
    for (size_t i = 0; i < sizeof grains / sizeof grains[0]; i++)
        if (strcmp(grain ? grain : grains[0], grains[i]) == 0) n->config.granularity = grains[i];
    if (!n->config.granularity)
        return f5_fail(error, F5_E_ARGUMENT, "split_granularity: %.40s is none of sentence, clause, none", grain);
    n->config.whole = strcmp(n->config.granularity, "none") == 0;
    n->config.format = n->request.format == SOUND_RAW ? "pcm" : sound_format_word(n->request.format);
    n->config.sample_rate = n->request.rate;
    return F5_OK;
}

static void use(session *s, settings *n) {
    free_settings(s->settings);
    s->settings = n;
}

static void decode(void *user) {
    settings *n = user;
    n->status = speech_call_decode(&n->request, &n->voice, &n->error);
}

static void decoded(void *user) {
    settings *n = user;
    session *s = n->session;
    /* nobody reads these strings any more, and a session may be long */
    json_object_del(n->fields, "ref_audio");
    json_object_del(n->fields, "references");
    n->request.ref_audio = n->request.ref_text = NULL;
    count(n, n->voice ? (size_t)(n->voice->n_frames * n->voice->channels) * sizeof(float) : 0);
    if (!s) {
        free_settings(n);
        return;
    }
    s->next = NULL;
    if (n->status == F5_OK) {
        use(s, n);
        speech_socket_configured(s->machine, &n->config, NULL);
    } else {
        speech_socket_configured(s->machine, NULL, &n->error);
        free_settings(n);
    }
    look(s);
}

static f5_status configure(void *user, const json_t *config, speech_socket_config *settled, f5_error *error) {
    session *s = user;
    const server *all = s->speech.server;
    settings *n = calloc(1, sizeof *n);
    if (!n) return f5_fail(error, F5_E_MEMORY, "no memory");
    n->all = all->peers;
    n->session = s;
    n->fields = json_copy((json_t *)config);
    f5_status status = n->fields ? read_config(n, all, error) : f5_fail(error, F5_E_MEMORY, "no memory");
    if (status == F5_OK && n->request.ref_audio) {
        count(n, strlen(n->request.ref_audio));
        status = peers_full(all->peers) ? f5_fail(error, F5_E_MEMORY, "too many recordings are held: try again later")
                                        : loop_background(all->loop, decode, decoded, n, error);
        settled->later = true;
    }
    if (status != F5_OK) {
        free_settings(n);
        return status;
    }
    if (settled->later) {
        s->next = n;
        return F5_OK;
    }
    use(s, n);
    *settled = n->config;
    return F5_OK;
}

/* ---- the speech -------------------------------------------------------------------------------------------------- */

/* What a chunk says: its sentences as the client wrote them, where it is made of whole ones, else as it is said. */
static void send_sentence(session *s, const speech_piece *piece) {
    size_t bytes = 0, at = 0;
    for (int32_t i = 0; i < piece->n_sentences; i++) bytes += piece->sentences[i].bytes + 1;
    char *text = bytes > 0 && piece->sentences[0].start >= s->seconds - 1e-3 ? malloc(bytes) : NULL;
    for (int32_t i = 0; text && i < piece->n_sentences; i++) {
        if (at > 0) text[at++] = ' ';
        memcpy(text + at, piece->sentences[i].text, piece->sentences[i].bytes);
        at += piece->sentences[i].bytes;
    }
    if (text)
        speech_socket_sentence(s->machine, text, at);
    else
        speech_socket_sentence(s->machine, piece->text, piece->text_bytes);
    free(text);
}

static void on_piece(void *user, const speech_piece *piece) {
    session *s = user;
    const char *bytes = piece->bytes;
    if (piece->chunk_begins && piece->n > 0) send_sentence(s, piece);
    size_t most = s->settings->config.stream_audio ? MESSAGE_BYTES : piece->n;
    for (size_t at = 0; at < piece->n; at += most)
        speech_socket_sound(s->machine, bytes + at, piece->n - at < most ? piece->n - at : most);
    if (piece->chunk_ends) speech_socket_sentence_end(s->machine);
    s->seconds += piece->seconds;
    sockets_queued(&s->speech, websocket_peer_queued(s->socket));
    look(s);
}

static void on_done(void *user, const speech_result *result) {
    session *s = user;
    f5_error error;
    speech_socket_done(s->machine, sockets_done(&s->speech, result, &error));
    look(s);
}

static f5_status begin(void *user, f5_error *error) {
    static const speech_events events = {.piece = on_piece, .done = on_done};
    session *s = user;
    const settings *n = s->settings;
    speech_order order;
    speech_call_order(&n->request, n->voice, &order);
    order.text = NULL;
    order.text_bytes = 0;
    order.whole = n->config.whole && !n->config.stream_audio;
    if (!n->config.whole) {
        bool sentence = strcmp(n->config.granularity, "sentence") == 0;
        order.separate = true;
        order.speak.cross_fade = 0;
        order.speak.chunking = sentence ? F5_CHUNKS_SENTENCE : F5_CHUNKS_UPSTREAM;
        order.speak.first_chunk = sentence ? 0 : F5_FIRST_UPSTREAM;
    }
    s->seconds = 0;
    return sockets_order(&s->speech, &order, &events, s, error);
}

static void push(void *user, const char *text, size_t bytes) {
    session *s = user;
    f5_error error;
    if (sockets_push(&s->speech, text, bytes, &error) != F5_OK) speech_socket_done(s->machine, &error);
}

static void finish(void *user) {
    session *s = user;
    sockets_finish(&s->speech);
}

static void cancel(void *user) {
    session *s = user;
    sockets_cancel(&s->speech);
}

/* ---- the socket -------------------------------------------------------------------------------------------------- */

static void send_text(void *user, const char *text, size_t bytes) {
    session *s = user;
    websocket_peer_text(s->socket, text, bytes);
}

static void send_binary(void *user, const void *data, size_t bytes) {
    session *s = user;
    websocket_peer_binary(s->socket, data, bytes);
}

static void close_socket(void *user, uint16_t code, const char *reason) {
    session *s = user;
    websocket_peer_close(s->socket, code, reason);
}

static void on_text(void *user, const char *text, size_t bytes) {
    session *s = user;
    speech_socket_message(s->machine, text, bytes);
    look(s);
}

static void on_binary(void *user) {
    session *s = user;
    speech_socket_binary(s->machine);
}

static void on_drained(void *user) {
    session *s = user;
    sockets_drained(&s->speech);
}

static void on_idle(void *user) {
    session *s = user;
    speech_socket_timeout(s->machine);
}

static void on_ending(void *user) {
    session *s = user;
    s->ending = true;
    look(s);
}

static void on_gone(void *user) {
    session *s = user;
    cancel(s);
    if (s->next) s->next->session = NULL;
    speech_socket_free(s->machine);
    free_settings(s->settings);
    free(s);
}

void speech_stream_run(http_request *r, void *user) {
    static const websocket_peer_events events = {.text = on_text,
                                                 .binary = on_binary,
                                                 .drained = on_drained,
                                                 .idle = on_idle,
                                                 .ending = on_ending,
                                                 .gone = on_gone};
    static const speech_socket_actions actions = {.configure = configure,
                                                  .begin = begin,
                                                  .push = push,
                                                  .finish = finish,
                                                  .cancel = cancel,
                                                  .text = send_text,
                                                  .binary = send_binary,
                                                  .close = close_socket};
    server *all = user;
    char id[64];
    if (!sockets_allow(all, r)) return;
    snprintf(id, sizeof id, "sess_%.48s", http_request_id(r)); /* the request ends with the handshake */
    session *s = calloc(1, sizeof *s);
    if (s) s->machine = speech_socket_open(&actions, s, id);
    if (!s || !s->machine) {
        free(s);
        reply_error(r, 503, NULL, NULL, "no memory");
        return;
    }
    s->speech.server = all;
    s->socket = websocket_peer_open(r, NULL, (size_t)all->options->body_megabytes << 20, &events, s);
    if (s->socket)
        look(s);
    else
        on_gone(s);
}
