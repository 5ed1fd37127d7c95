/* wyoming_port.c — joins the machine of wyoming.h to a peer and to an order of speech. */
#include "host/server/wyoming_port.h"

#include <stdlib.h>
#include <string.h>

#include "host/server/sockets.h"
#include "host/server/voice_store.h"
#include "host/server/wyoming.h"

#define IDLE_SECONDS 300.0      /* between texts */
#define STREAMING_SECONDS 120.0 /* between the parts of a text: the language model that writes it may think */
#define EVENT_SECONDS 30.0      /* for all bytes of an event */
/* Bytes queued from which nothing more is read: a few bytes ask for the list of all voices, and a client that does not
 * read the answers must not fill the memory. Speech is held at PEER_HIGH long before. */
#define STALL_BYTES (8 * PEER_HIGH)
#define FED_BYTES 1024    /* at a time, between two looks at what is queued */
#define SMALL_BYTES 65536 /* that may wait when the server is full */

typedef struct {
    peer *peer;
    wyoming *machine;
    sockets_job speech;
    bool stalled;  /* what came was left in the peer */
    bool in_event; /* a deadline runs for the event of this number */
    uint64_t event;
    size_t counted; /* bytes of memory that the peers know of */
    bool ending;
} session;

/* The peer is closed or lost. */
static void end(session *s) {
    peers_hold(s->speech.server->peers, s->counted, 0);
    sockets_cancel(&s->speech);
    wyoming_free(s->machine);
    free(s);
}

/* After anything that may have changed the machine's state. False: the session is no more. */
static bool look(session *s) {
    wyoming_state state = wyoming_state_of(s->machine);
    if (state == WYOMING_FINISHED || (s->ending && state == WYOMING_LISTENING)) {
        peer_close(s->peer);
        end(s);
        return false;
    }
    peer_idle(s->peer, state == WYOMING_SPEAKING ? 0 : state == WYOMING_STREAMING ? STREAMING_SECONDS : IDLE_SECONDS);
    bool in_event = wyoming_in_event(s->machine);
    if (in_event && !(s->in_event && s->event == wyoming_events(s->machine))) {
        s->event = wyoming_events(s->machine);
        peer_deadline(s->peer, EVENT_SECONDS);
    }
    if (!in_event && s->in_event) peer_deadline(s->peer, 0);
    s->in_event = in_event;
    return true;
}

/* ---- the speech -------------------------------------------------------------------------------------------------- */

static void on_piece(void *user, const speech_piece *piece) {
    session *s = user;
    wyoming_sound(s->machine, piece->bytes, piece->n);
    sockets_queued(&s->speech, peer_queued(s->peer));
    look(s);
}

static void on_done(void *user, const speech_result *result) {
    session *s = user;
    f5_error error;
    wyoming_done(s->machine, sockets_done(&s->speech, result, &error));
    look(s);
}

/* ---- what the machine asks for ----------------------------------------------------------------------------------- */

static void output(void *user, const void *data, size_t bytes) {
    session *s = user;
    peer_write(s->peer, data, bytes);
}

static json_t *attribution(void) {
    return json_pack("{s:s, s:s}", "name", "f5tts", "url", "https://github.com/SWivid/F5-TTS");
}

static json_t *info(void *user) {
    const session *s = user;
    const server *all = s->speech.server;
    json_t *voices = json_array();
    for (int i = 0; i < voice_store_count(all->voices); i++) {
        const voice_entry *voice = voice_store_at(all->voices, i);
        json_array_append_new(voices,
                              json_pack("{s:s, s:o, s:b, s:s, s:s, s:[s]}", "name", voice->id, "attribution",
                                        attribution(), "installed", 1, "description", voice->id, "version",
                                        f5_version(), "languages", voice->language[0] ? voice->language : "en"));
    }
    return json_pack("{s:[{s:s, s:o, s:b, s:s, s:s, s:b, s:o}]}", "tts", "name", all->options->model_id, "attribution",
                     attribution(), "installed", 1, "description", "F5-TTS", "version", f5_version(),
                     "supports_synthesize_streaming", 1, "voices", voices);
}

static f5_status begin(void *user, const char *voice, const char *language, bool ssml, const char *text,
                       f5_error *error) {
    static const speech_events events = {.piece = on_piece, .done = on_done};
    session *s = user;
    (void)language; /* the text says what it is in; a voice speaks every language of the model */
    const sockets_text what = {.voice = voice,
                               .text = text,
                               .bytes = text ? strlen(text) : 0,
                               .rate = s->speech.server->options->sound_rate,
                               .ssml = ssml};
    return sockets_speak(&s->speech, &what, &events, s, error);
}

static void push(void *user, const char *text, size_t bytes) {
    session *s = user;
    f5_error error;
    if (sockets_push(&s->speech, text, bytes, &error) != F5_OK) wyoming_done(s->machine, &error);
}

static void finish(void *user) {
    session *s = user;
    sockets_finish(&s->speech);
}

/* Memory that it takes counts with that of all others. */
static void count(session *s) {
    f5_error error;
    size_t held = wyoming_held(s->machine);
    peers_hold(s->speech.server->peers, s->counted, held);
    s->counted = held;
    if (held <= SMALL_BYTES || !peers_full(s->speech.server->peers)) return;
    f5_fail(&error, F5_E_MEMORY, "too many large events are being read: try again later");
    wyoming_fail(s->machine, &error);
}

/* ---- the peer ---------------------------------------------------------------------------------------------------- */

static size_t on_data(void *user, const char *bytes, size_t n) {
    session *s = user;
    size_t taken = 0;
    while (taken < n && peer_queued(s->peer) < STALL_BYTES) {
        size_t bit = n - taken < FED_BYTES ? n - taken : FED_BYTES;
        wyoming_feed(s->machine, bytes + taken, bit); /* a machine that is finished passes over the rest */
        taken += bit;
    }
    s->stalled = taken < n;
    count(s);
    look(s);
    return taken;
}

static void on_drained(void *user) {
    session *s = user;
    sockets_drained(&s->speech);
    if (s->stalled) peer_again(s->peer);
    s->stalled = false;
}

static void on_closed(void *user) {
    end(user);
}

static void on_ending(void *user) {
    session *s = user;
    s->ending = true;
    look(s);
}

static void on_accept(void *user, peer *p) {
    static const peer_events on_peer = {
        .data = on_data, .drained = on_drained, .closed = on_closed, .ending = on_ending};
    static const wyoming_actions actions = {
        .output = output, .info = info, .begin = begin, .push = push, .finish = finish};
    session *s = calloc(1, sizeof *s);
    if (s) s->machine = wyoming_open(&actions, s, ((server *)user)->options->sound_rate);
    if (!s || !s->machine) {
        free(s);
        peer_cut(p);
        return;
    }
    s->speech.server = user;
    s->peer = p;
    peer_take(p, &on_peer, s);
    look(s);
}

f5_status wyoming_port_listen(server *s, int *port, f5_error *error) {
    const server_options *o = s->options;
    peers_place place = {0};
    F5_TRY(peers_listen(s->peers, o->wyoming_host, o->wyoming_port, NULL, on_accept, s, &place, error));
    *port = place.port;
    return F5_OK;
}
