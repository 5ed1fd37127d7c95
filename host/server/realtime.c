/* realtime.c — a session has a voice, items that wait for a response, and at most one response at a time. */
#include "host/server/realtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api/f5tts.h"
#include "host/server/base64.h"
#include "host/server/json_read.h"
#include "host/server/websocket.h"
#include "weights/utf8.h"

struct realtime {
    realtime_actions actions;
    void *user;
    char id[64], model[128], voice[128];
    double speed;
    bool closed, speaking;
    int64_t events, responses, items; /* so far */
    char *text;                       /* [text_bytes] of items that wait */
    size_t text_bytes;
    uint64_t sound_bytes; /* of the response */
};

void realtime_free(realtime *r) {
    if (!r) return;
    free(r->text);
    free(r);
}

bool realtime_busy(const realtime *r) {
    return r->speaking;
}

static void close_session(realtime *r, uint16_t code, const char *reason) {
    if (r->closed) return;
    r->closed = true;
    if (r->speaking) r->actions.cancel(r->user);
    r->speaking = false;
    r->actions.close(r->user, code, reason);
}

/* ---- events out */

/* Takes `event`, which may be NULL: out of memory. */
static void send_event(realtime *r, json_t *event) {
    if (r->closed) {
        json_decref(event);
        return;
    }
    char id[96];
    snprintf(id, sizeof id, "event_%s_%lld", r->id, (long long)r->events++);
    char *text = NULL;
    if (event && json_object_set_new(event, "event_id", json_string(id)) == 0) text = json_dumps(event, JSON_COMPACT);
    json_decref(event);
    if (text)
        r->actions.text(r->user, text, strlen(text));
    else
        close_session(r, WEBSOCKET_INTERNAL, "out of memory");
    free(text);
}

/* event_id: of the client's message, or NULL. */
static void send_error(realtime *r, const f5_error *error, const char *code, const char *event_id) {
    bool ours = error->status == F5_E_DEVICE || error->status == F5_E_IO || error->status == F5_E_MEMORY;
    send_event(r, json_pack("{s:s, s:{s:s, s:s, s:s, s:n, s:s?}}", "type", "error", "error", "type",
                            ours ? "server_error" : "invalid_request_error", "code", code, "message", error->message,
                            "param", "event_id", event_id));
}

static json_t *session_object(const realtime *r) {
    return json_pack("{s:s, s:s, s:s, s:s, s:[s], s:{s:{s:{s:s, s:i}, s:s, s:f}}}", "type", "realtime", "object",
                     "realtime.session", "id", r->id, "model", r->model, "output_modalities", "audio", "audio",
                     "output", "format", "type", "audio/pcm", "rate", REALTIME_RATE, "voice", r->voice, "speed",
                     r->speed);
}

static void send_session(realtime *r, const char *type) {
    send_event(r, json_pack("{s:s, s:o}", "type", type, "session", session_object(r)));
}

/* As much of `from` as there is room for, without half a character. */
static void copy(char *to, size_t room, const char *from) {
    size_t bytes = strlen(from);
    bytes = utf8_valid_prefix(from, bytes < room ? bytes : room - 1);
    memcpy(to, from, bytes);
    to[bytes] = 0;
}

realtime *realtime_open(const realtime_actions *actions, void *user, const char *id, const char *model,
                        const char *voice) {
    realtime *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->actions = *actions;
    r->user = user;
    r->speed = 1;
    copy(r->id, sizeof r->id, id);
    copy(r->model, sizeof r->model, model);
    copy(r->voice, sizeof r->voice, voice);
    send_session(r, "session.created");
    return r;
}

static void name_response(const realtime *r, char id[96]) {
    snprintf(id, 96, "resp_%s_%lld", r->id, (long long)r->responses);
}

static void name_item(const realtime *r, char id[96]) {
    snprintf(id, 96, "item_%s_r%lld", r->id, (long long)r->responses);
}

/* error: of a response that failed, or NULL. */
static void send_response(realtime *r, const char *type, const char *status, const f5_error *error) {
    char id[96], item[96];
    name_response(r, id);
    name_item(r, item);
    json_t *output = json_array(), *details = json_null();
    if (r->sound_bytes > 0)
        json_array_append_new(output,
                              json_pack("{s:s, s:s, s:s, s:s, s:[{s:s}]}", "id", item, "object", "realtime.item",
                                        "type", "message", "role", "assistant", "content", "type", "output_audio"));
    if (error)
        details = json_pack("{s:s, s:{s:s, s:s}}", "type", status, "error", "code", f5_status_string(error->status),
                            "message", error->message);
    send_event(r, json_pack("{s:s, s:{s:s, s:s, s:s, s:o, s:[s], s:o}}", "type", type, "response", "object",
                            "realtime.response", "id", id, "status", status, "status_details", details,
                            "output_modalities", "audio", "output", output));
}

/* An event about the sound of the response, with `delta` (may be NULL). */
static void send_sound(realtime *r, const char *type, const char *delta) {
    char id[96], item[96];
    name_response(r, id);
    name_item(r, item);
    json_t *event = json_pack("{s:s, s:s, s:s, s:i, s:i}", "type", type, "response_id", id, "item_id", item,
                              "output_index", 0, "content_index", 0);
    if (event && delta) json_object_set_new(event, "delta", json_string_nocheck(delta));
    send_event(r, event);
}

void realtime_sound(realtime *r, const void *pcm, size_t bytes) {
    char delta[BASE64_BYTES(REALTIME_DELTA_BYTES)];
    for (size_t at = 0; at < bytes && r->speaking; at += REALTIME_DELTA_BYTES) {
        size_t n = bytes - at < REALTIME_DELTA_BYTES ? bytes - at : REALTIME_DELTA_BYTES;
        base64_encode((const char *)pcm + at, n, delta);
        r->sound_bytes += n;
        send_sound(r, "response.output_audio.delta", delta);
    }
}

static void end_response(realtime *r, const char *status, const f5_error *error) {
    r->speaking = false;
    if (r->sound_bytes > 0) send_sound(r, "response.output_audio.done", NULL);
    send_response(r, "response.done", status, error);
    r->responses++;
}

void realtime_done(realtime *r, const f5_error *error) {
    if (!r->speaking || r->closed) return;
    end_response(r, error ? "failed" : "completed", error);
}

/* ---- messages in */

static f5_status object_at(const json_t *from, const char *key, const json_t **object, f5_error *error) {
    *object = json_object_get(from, key);
    if (*object && json_is_null(*object)) *object = NULL;
    if (*object && !json_is_object(*object)) return f5_fail(error, F5_E_ARGUMENT, "%s must be an object", key);
    return F5_OK;
}

/* "pcm16", or {"type": "audio/pcm", "rate": 24000}, is what is spoken here. */
static f5_status check_format(const json_t *format, f5_error *error) {
    if (!format || json_is_null(format)) return F5_OK;
    const json_t *rate = json_object_get(format, "rate");
    const char *type =
        json_is_object(format) ? json_string_value(json_object_get(format, "type")) : json_string_value(format);
    if (type && (strcmp(type, "audio/pcm") == 0 || strcmp(type, "pcm16") == 0) &&
        (!rate || json_is_null(rate) || json_integer_value(rate) == REALTIME_RATE))
        return F5_OK;
    return f5_fail(error, F5_E_UNSUPPORTED, "the sound has the format audio/pcm at %d Hz, no other", REALTIME_RATE);
}

/* A voice is a name, or {"id": name}. */
static f5_status voice_at(const json_t *from, const char **voice, f5_error *error) {
    const json_t *given = json_object_get(from, "voice");
    if (json_is_object(given)) return json_read_string(given, "id", voice, error);
    return json_read_string(from, "voice", voice, error);
}

/* Settings of a session, or of a response. Beside those in audio.output, the ones of the protocol's first version. */
static f5_status configure(realtime *r, const json_t *settings, f5_error *error) {
    const json_t *audio, *output = NULL;
    const char *voice = NULL;
    double speed = 0;
    F5_TRY(object_at(settings, "audio", &audio, error));
    if (audio) F5_TRY(object_at(audio, "output", &output, error));
    if (output) {
        F5_TRY(check_format(json_object_get(output, "format"), error));
        F5_TRY(voice_at(output, &voice, error));
        const json_t *given = json_object_get(output, "speed");
        if (given && !json_is_null(given)) {
            speed = json_number_value(given);
            if (!(speed >= 0.25 && speed <= 4)) return f5_fail(error, F5_E_ARGUMENT, "speed must be from 0.25 to 4");
        }
    }
    F5_TRY(check_format(json_object_get(settings, "output_audio_format"), error));
    if (!voice) F5_TRY(voice_at(settings, &voice, error));
    if (!voice && speed == 0) return F5_OK;
    F5_TRY(r->actions.configure(r->user, voice, speed, error));
    if (speed != 0) r->speed = speed;
    if (voice) copy(r->voice, sizeof r->voice, voice);
    return F5_OK;
}

static f5_status add_text(realtime *r, const char *text, f5_error *error) {
    size_t bytes = strlen(text);
    if (r->text_bytes + bytes > REALTIME_MAX_TEXT)
        return f5_fail(error, F5_E_ARGUMENT, "the text has more than %d bytes", REALTIME_MAX_TEXT);
    char *grown = realloc(r->text, r->text_bytes + bytes + 2);
    if (!grown) return f5_fail(error, F5_E_MEMORY, "out of memory");
    r->text = grown;
    if (r->text_bytes > 0) grown[r->text_bytes++] = '\n';
    memcpy(grown + r->text_bytes, text, bytes + 1);
    r->text_bytes += bytes;
    return F5_OK;
}

/* The words of a message that a user wrote; other items have none. */
static f5_status add_item(realtime *r, const json_t *item, f5_error *error) {
    const char *role, *type, *text;
    if (!json_is_object(item)) return f5_fail(error, F5_E_ARGUMENT, "an item must be an object");
    F5_TRY(json_read_string(item, "role", &role, error));
    if (role && strcmp(role, "user") != 0) return F5_OK;
    const json_t *content = json_object_get(item, "content");
    size_t i;
    const json_t *part;
    json_array_foreach(content, i, part) {
        if (!json_is_object(part)) return f5_fail(error, F5_E_ARGUMENT, "content must have objects");
        F5_TRY(json_read_string(part, "type", &type, error));
        F5_TRY(json_read_string(part, "text", &text, error));
        if (text && type && (strcmp(type, "input_text") == 0 || strcmp(type, "text") == 0))
            F5_TRY(add_text(r, text, error));
    }
    return F5_OK;
}

static void drop_text(realtime *r) {
    free(r->text);
    r->text = NULL;
    r->text_bytes = 0;
}

/* *refused: the code of an error of the message; else the response was created, and failed if there is an error. */
static f5_status create_response(realtime *r, const json_t *message, const char **refused, f5_error *error) {
    const json_t *response, *item;
    size_t i;
    *refused = "invalid_value";
    if (r->speaking) {
        *refused = "conversation_already_has_active_response";
        return f5_fail(error, F5_E_ARGUMENT, "a response is being spoken: wait for its response.done, or cancel it");
    }
    F5_TRY(object_at(message, "response", &response, error));
    if (response) {
        F5_TRY(configure(r, response, error));
        const json_t *input = json_object_get(response, "input");
        if (input && !json_is_null(input)) {
            if (!json_is_array(input)) return f5_fail(error, F5_E_ARGUMENT, "input must be an array");
            drop_text(r);
            json_array_foreach(input, i, item) F5_TRY(add_item(r, item, error));
        }
    }
    if (!r->text || f5_text_is_blank(r->text))
        return f5_fail(error, F5_E_ARGUMENT, "there is no text: input needs a message of the user with an input_text");
    *refused = NULL;
    r->speaking = true;
    r->sound_bytes = 0;
    send_response(r, "response.created", "in_progress", NULL);
    f5_status status = r->closed ? F5_OK : r->actions.speak(r->user, r->text, r->text_bytes, error);
    drop_text(r);
    return status;
}

static f5_status create_item(realtime *r, const json_t *message, f5_error *error) {
    json_t *item = json_object_get(message, "item");
    F5_TRY(add_item(r, item, error));
    char id[96];
    snprintf(id, sizeof id, "item_%s_u%lld", r->id, (long long)r->items++);
    json_t *copy = json_copy(item);
    if (copy && !json_is_string(json_object_get(copy, "id"))) json_object_set_new(copy, "id", json_string(id));
    send_event(r, json_pack("{s:s, s:o}", "type", "conversation.item.created", "item", copy));
    return F5_OK;
}

static void handle(realtime *r, const json_t *message, const char *type, const char *event_id) {
    f5_error error = {0};
    const char *code = "invalid_value";
    f5_status status = F5_OK;
    const json_t *session;
    if (strcmp(type, "session.update") == 0) {
        status = object_at(message, "session", &session, &error);
        if (status == F5_OK && session) status = configure(r, session, &error);
        if (status == F5_OK) send_session(r, "session.updated");
    } else if (strcmp(type, "conversation.item.create") == 0) {
        status = create_item(r, message, &error);
    } else if (strcmp(type, "response.create") == 0) {
        status = create_response(r, message, &code, &error);
        if (status != F5_OK && !code) {
            realtime_done(r, &error);
            return;
        }
    } else if (strcmp(type, "response.cancel") == 0) {
        if (r->speaking) {
            r->actions.cancel(r->user);
            end_response(r, "cancelled", NULL);
            return;
        }
        code = "response_cancel_not_active";
        status = f5_fail(&error, F5_E_ARGUMENT, "no response is being spoken");
    } else {
        status =
            f5_fail(&error, F5_E_UNSUPPORTED, "%.60s is not something that this server does: it speaks texts", type);
        code = "unknown_event";
    }
    if (status != F5_OK) send_error(r, &error, code, event_id);
}

void realtime_message(realtime *r, const char *text, size_t bytes) {
    f5_error error = {0};
    json_t *message = NULL;
    const char *type = NULL, *event_id = NULL;
    if (r->closed) return;
    if (json_read_object(text, bytes, &message, &error) == F5_OK &&
        json_read_string(message, "event_id", &event_id, &error) == F5_OK &&
        json_read_string(message, "type", &type, &error) == F5_OK && !type)
        f5_fail(&error, F5_E_ARGUMENT, "type is missing");
    if (error.status == F5_OK)
        handle(r, message, type, event_id);
    else
        send_error(r, &error, "invalid_event", event_id);
    json_decref(message);
}

void realtime_binary(realtime *r) {
    close_session(r, WEBSOCKET_UNSUPPORTED, "binary messages are not understood");
}
