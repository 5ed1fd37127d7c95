/* speech_socket.c — a session is: configured or not, at most one text that is being spoken, and a queue of what the
 * client sent after asking for that text's end. */
#include "host/server/speech_socket.h"

#include <stdlib.h>
#include <string.h>

#include "host/api/f5tts.h"
#include "host/server/json_read.h"
#include "host/server/websocket.h"
#include "weights/utf8.h"

typedef enum { INPUT_TEXT, INPUT_COMMIT, INPUT_DONE, INPUT_MESSAGE } input_kind; /* a message is as it came */

typedef struct input {
    struct input *next;
    input_kind kind;
    size_t bytes;
    char text[]; /* [bytes], terminated */
} input;

typedef struct {
    input *first, *last; /* oldest first */
    size_t n, bytes;
} queue;

struct speech_socket {
    speech_socket_actions actions;
    void *user;
    char id[64];
    bool configured, closed;
    bool configuring; /* speech_socket_configured is waited for */
    bool taking;      /* in take_input */
    speech_socket_config config;
    queue inputs;   /* that wait for the end of a text */
    queue messages; /* that wait for a configuration */
    char *held;     /* [held_bytes] with `whole`: the utterance's text so far */
    size_t held_bytes;
    bool speaking;        /* a text has begun */
    bool ending;          /* and its end was asked for, by `end` */
    bool open;            /* text came since the last input.done */
    input_kind end;       /* INPUT_COMMIT or INPUT_DONE */
    bool in_sentence;     /* audio.start was sent */
    size_t text_bytes;    /* of the utterance */
    uint64_t sound_bytes; /* of the sentence */
    int64_t utterance, sentence, segment, committed;
};

speech_socket *speech_socket_open(const speech_socket_actions *actions, void *user, const char *id) {
    speech_socket *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->actions = *actions;
    s->user = user;
    strncpy(s->id, id, sizeof s->id - 1);
    return s;
}

/* False: too much waits, or there is no memory. */
static bool add(queue *q, input_kind kind, const char *text, size_t bytes) {
    if (q->n == SPEECH_SOCKET_MAX_WAITING || q->bytes + bytes > SPEECH_SOCKET_MAX_UTTERANCE) return false;
    input *in = malloc(sizeof *in + bytes + 1);
    if (!in) return false;
    *in = (input){.kind = kind, .bytes = bytes};
    memcpy(in->text, text, bytes);
    in->text[bytes] = 0;
    if (q->last)
        q->last->next = in;
    else
        q->first = in;
    q->last = in;
    q->n++;
    q->bytes += bytes;
    return true;
}

/* The oldest, which the caller frees; NULL: none. */
static input *take(queue *q) {
    input *in = q->first;
    if (!in) return NULL;
    q->first = in->next;
    if (!q->first) q->last = NULL;
    q->n--;
    q->bytes -= in->bytes;
    return in;
}

static void clear(queue *q) {
    for (input *in; (in = take(q)) != NULL;) free(in);
}

static void forget_input(speech_socket *s) {
    clear(&s->inputs);
    free(s->held);
    s->held = NULL;
    s->held_bytes = 0;
}

void speech_socket_free(speech_socket *s) {
    if (!s) return;
    forget_input(s);
    clear(&s->messages);
    free(s);
}

static void close_session(speech_socket *s, uint16_t code, const char *reason) {
    if (s->closed) return;
    s->closed = true;
    if (s->speaking) s->actions.cancel(s->user);
    s->speaking = false;
    forget_input(s);
    clear(&s->messages);
    s->actions.close(s->user, code, reason);
}

/* ---- events out */

/* Takes `event`, which may be NULL: out of memory. */
static void send_event(speech_socket *s, json_t *event) {
    if (s->closed) {
        json_decref(event);
        return;
    }
    char *text = NULL;
    if (event && json_object_set_new(event, "session_id", json_string(s->id)) == 0 &&
        json_object_set_new(event, "utterance_index", json_integer(s->utterance)) == 0)
        text = json_dumps(event, JSON_COMPACT);
    json_decref(event);
    if (text)
        s->actions.text(s->user, text, strlen(text));
    else
        close_session(s, WEBSOCKET_INTERNAL, "out of memory");
    free(text);
}

static void send_error(speech_socket *s, const f5_error *error) {
    bool ours = error->status == F5_E_DEVICE || error->status == F5_E_IO;
    bool full = error->status == F5_E_MEMORY;
    const char *type = ours ? "server_error" : full ? "overloaded_error" : "invalid_request_error";
    send_event(s, json_pack("{s:s, s:s, s:{s:s, s:s, s:s}}", "type", "error", "message", error->message, "error",
                            "message", error->message, "type", type, "code", f5_status_string(error->status)));
}

static void refuse(speech_socket *s, f5_status status, const char *message) {
    f5_error error;
    f5_fail(&error, status, "%s", message);
    send_error(s, &error);
}

static json_t *sentence_event(speech_socket *s, const char *type) {
    char id[96];
    snprintf(id, sizeof id, "%s-%lld-%lld", s->id, (long long)s->utterance, (long long)s->sentence);
    return json_pack("{s:s, s:s, s:I}", "type", type, "id", id, "sentence_index", (json_int_t)s->sentence);
}

static void end_sentence(speech_socket *s, bool failed, bool cancelled) {
    if (!s->in_sentence) return;
    s->in_sentence = false;
    json_t *event = sentence_event(s, "audio.done");
    if (event) {
        json_object_set_new(event, "total_bytes", json_integer((json_int_t)s->sound_bytes));
        json_object_set_new(event, "error", json_boolean(failed));
        if (cancelled) json_object_set_new(event, "cancelled", json_true());
    }
    send_event(s, event);
    s->sentence++;
}

static void start_sentence(speech_socket *s, const char *text, size_t bytes) {
    end_sentence(s, false, false);
    s->in_sentence = true;
    s->sound_bytes = 0;
    json_t *event = sentence_event(s, "audio.start");
    if (event) {
        json_object_set_new(event, "sentence_text", json_stringn(text, utf8_valid_prefix(text, bytes)));
        json_object_set_new(event, "format", json_string(s->config.format));
        json_object_set_new(event, "sample_rate", json_integer(s->config.sample_rate));
        json_object_set_new(event, "channels", json_integer(1));
    }
    send_event(s, event);
}

void speech_socket_sentence(speech_socket *s, const char *text, size_t bytes) {
    if (s->speaking && !s->closed && !s->config.whole) start_sentence(s, text, bytes);
}

void speech_socket_sentence_end(speech_socket *s) {
    if (s->speaking && !s->closed && !s->config.whole) end_sentence(s, false, false);
}

void speech_socket_sound(speech_socket *s, const void *data, size_t bytes) {
    if (!s->speaking || s->closed || bytes == 0) return;
    if (!s->in_sentence) start_sentence(s, "", 0);
    s->sound_bytes += bytes;
    s->actions.binary(s->user, data, bytes);
}

/* The answer to input.commit or input.done, once all before it has sounded. */
static void answer_end(speech_socket *s, input_kind end) {
    if (end == INPUT_COMMIT) {
        send_event(s, json_pack("{s:s, s:I, s:I, s:I}", "type", "input.committed", "segment_index",
                                (json_int_t)s->segment, "segment_sentences", (json_int_t)(s->sentence - s->committed),
                                "total_sentences", (json_int_t)s->sentence));
        s->segment++;
        s->committed = s->sentence;
        return;
    }
    send_event(s, json_pack("{s:s, s:I}", "type", "session.done", "total_sentences", (json_int_t)s->sentence));
    s->utterance++;
    s->sentence = s->segment = s->committed = 0;
    s->text_bytes = 0;
    s->open = false;
}

/* ---- input, in order */

static bool begin(speech_socket *s) {
    f5_error error = {0};
    if (s->speaking) return true;
    if (s->actions.begin(s->user, &error) != F5_OK) {
        send_error(s, &error);
        return false;
    }
    s->speaking = true;
    return true;
}

static void take_text(speech_socket *s, const char *text, size_t bytes) {
    if (s->config.whole) {
        char *held = realloc(s->held, s->held_bytes + bytes + 1);
        if (!held) {
            close_session(s, WEBSOCKET_INTERNAL, "out of memory");
            return;
        }
        memcpy(held + s->held_bytes, text, bytes);
        s->held = held;
        s->held_bytes += bytes;
        held[s->held_bytes] = 0;
    } else if ((s->speaking || !f5_text_is_blank(text)) && begin(s)) { /* white space alone begins nothing */
        s->actions.push(s->user, text, bytes);
    }
}

static void take_end(speech_socket *s, input_kind end) {
    if (s->held && !f5_text_is_blank(s->held) && begin(s)) {
        start_sentence(s, s->held, s->held_bytes);
        if (s->speaking) s->actions.push(s->user, s->held, s->held_bytes);
    }
    free(s->held);
    s->held = NULL;
    s->held_bytes = 0;
    if (s->closed) return;
    if (!s->speaking) {
        answer_end(s, end);
        return;
    }
    s->ending = true;
    s->end = end;
    s->actions.finish(s->user);
}

/* Everything that need not wait. speech_socket_done may be called in here, and calls this: the outer call goes on. */
static void take_input(speech_socket *s) {
    input *in;
    if (s->taking) return;
    s->taking = true;
    while (!s->ending && !s->closed && (in = take(&s->inputs)) != NULL) {
        if (in->kind == INPUT_TEXT)
            take_text(s, in->text, in->bytes);
        else
            take_end(s, in->kind);
        free(in);
    }
    s->taking = false;
}

static void add_input(speech_socket *s, input_kind kind, const char *text) {
    size_t bytes = strlen(text);
    if (s->text_bytes + bytes > SPEECH_SOCKET_MAX_UTTERANCE || !add(&s->inputs, kind, text, bytes)) {
        refuse(s, F5_E_ARGUMENT,
               "more text than an utterance may have: send input.done, and wait for its session.done");
        close_session(s, WEBSOCKET_POLICY, "too much text");
        return;
    }
    if (kind == INPUT_TEXT) {
        s->text_bytes += bytes;
        s->open = s->open || bytes > 0;
    }
    take_input(s);
}

void speech_socket_done(speech_socket *s, const f5_error *error) {
    if (!s->speaking || s->closed) return;
    s->speaking = false;
    if (error) send_error(s, error);
    end_sentence(s, error != NULL, false);
    if (s->ending) {
        s->ending = false;
        answer_end(s, s->end);
    }
    take_input(s);
}

static void cancel(speech_socket *s) {
    bool something = s->open || s->speaking || s->inputs.n > 0;
    forget_input(s);
    if (s->speaking) s->actions.cancel(s->user);
    s->speaking = s->ending = false;
    end_sentence(s, false, true);
    send_event(s, json_pack("{s:s, s:I}", "type", "input.cancelled", "total_sentences", (json_int_t)s->sentence));
    if (something) s->utterance++;
    s->sentence = s->segment = s->committed = 0;
    s->text_bytes = 0;
    s->open = false;
}

/* ---- messages in */

static void take_message(speech_socket *s, const char *text, size_t bytes);

void speech_socket_configured(speech_socket *s, const speech_socket_config *settled, const f5_error *error) {
    if (s->closed) return;
    s->configuring = false;
    if (settled) {
        s->config = *settled;
        s->configured = true;
        send_event(s, json_pack("{s:s, s:s, s:b, s:s, s:i, s:i}", "type", "session.configured", "response_format",
                                settled->format, "stream_audio", settled->stream_audio, "split_granularity",
                                settled->granularity, "sample_rate", settled->sample_rate, "channels", 1));
    } else {
        send_error(s, error);
        if (!s->configured) close_session(s, WEBSOCKET_POLICY, "session.config was refused");
    }
    for (input *in; !s->configuring && !s->closed && (in = take(&s->messages)) != NULL; free(in))
        take_message(s, in->text, in->bytes);
}

static void configure(speech_socket *s, const json_t *message) {
    f5_error error = {0};
    const json_t *config = json_object_get(message, "session");
    if (s->open || s->speaking || s->inputs.n > 0) {
        refuse(s, F5_E_ARGUMENT, "session.config came while an utterance is open: send input.done before it");
        return;
    }
    if (!config || json_is_null(config)) config = message;
    speech_socket_config settled = {0};
    f5_status status = json_is_object(config) ? s->actions.configure(s->user, config, &settled, &error)
                                              : f5_fail(&error, F5_E_ARGUMENT, "session must be an object");
    if (status == F5_OK && settled.later)
        s->configuring = true;
    else
        speech_socket_configured(s, status == F5_OK ? &settled : NULL, &error);
}

static void handle(speech_socket *s, const json_t *message, const char *type) {
    f5_error error = {0};
    const char *text;
    if (strcmp(type, "session.config") == 0) {
        configure(s, message);
    } else if (!s->configured) {
        refuse(s, F5_E_ARGUMENT, "the first message must be session.config");
        close_session(s, WEBSOCKET_POLICY, "the first message must be session.config");
    } else if (strcmp(type, "input.text") == 0) {
        if (json_read_string(message, "text", &text, &error) == F5_OK && !text)
            f5_fail(&error, F5_E_ARGUMENT, "text is missing");
        if (error.status != F5_OK)
            send_error(s, &error);
        else
            add_input(s, INPUT_TEXT, text);
    } else if (strcmp(type, "input.commit") == 0) {
        add_input(s, INPUT_COMMIT, "");
    } else if (strcmp(type, "input.done") == 0) {
        add_input(s, INPUT_DONE, "");
    } else if (strcmp(type, "input.cancel") == 0 || strcmp(type, "cancel") == 0) {
        cancel(s);
    } else if (strcmp(type, "session.close") == 0) {
        close_session(s, WEBSOCKET_NORMAL, "");
    } else {
        f5_fail(&error, F5_E_ARGUMENT, "no message has the type %.60s", type);
        send_error(s, &error);
    }
}

static void take_message(speech_socket *s, const char *text, size_t bytes) {
    f5_error error = {0};
    json_t *message = NULL;
    const char *type = NULL;
    if (json_read_object(text, bytes, &message, &error) == F5_OK &&
        json_read_string(message, "type", &type, &error) == F5_OK) {
        if (!type)
            f5_fail(&error, F5_E_ARGUMENT, "type is missing");
        else if (bytes > SPEECH_SOCKET_MAX_MESSAGE && strcmp(type, "session.config") != 0)
            f5_fail(&error, F5_E_ARGUMENT, "%.60s is too long: %zu bytes, of %d", type, bytes,
                    SPEECH_SOCKET_MAX_MESSAGE);
    }
    if (error.status == F5_OK) {
        handle(s, message, type);
    } else {
        send_error(s, &error);
        if (!s->configured) close_session(s, WEBSOCKET_POLICY, "the first message must be session.config");
    }
    json_decref(message);
}

void speech_socket_message(speech_socket *s, const char *text, size_t bytes) {
    if (s->closed) return;
    if (!s->configuring)
        take_message(s, text, bytes);
    else if (!add(&s->messages, INPUT_MESSAGE, text, bytes))
        close_session(s, WEBSOCKET_POLICY, "too much came before session.configured");
}

void speech_socket_binary(speech_socket *s) {
    refuse(s, F5_E_ARGUMENT, "binary messages are not understood");
    close_session(s, WEBSOCKET_UNSUPPORTED, "binary messages are not understood");
}

bool speech_socket_busy(const speech_socket *s) {
    return s->speaking || s->inputs.n > 0;
}

int speech_socket_patience(const speech_socket *s) {
    if (!s->configured && !s->configuring) return SPEECH_SOCKET_CONFIG_SECONDS;
    return s->ending || s->configuring ? 0 : SPEECH_SOCKET_IDLE_SECONDS;
}

void speech_socket_timeout(speech_socket *s) {
    const char *why = s->configured ? "no message came for too long" : "no session.config came in time";
    refuse(s, F5_E_ARGUMENT, why);
    close_session(s, WEBSOCKET_POLICY, why);
}
