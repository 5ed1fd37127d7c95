/* voice_api.c — an upload goes from the socket into memory, from there to the store, and is answered when the voice can
 * be used. Replies have the fields that OpenAI's clients read and those that vLLM-Omni's read. */
#include "host/server/voice_api.h"

#include <stdlib.h>
#include <string.h>

#include "host/server/form.h"
#include "host/server/voice_store.h"

static const form_field upload_fields[] = {
    {"name", VOICE_MAX_NAME},     {"ref_text", VOICE_MAX_TRANSCRIPT}, {"consent", VOICE_MAX_WORD},
    {"language", VOICE_MAX_WORD}, {"speaker_description", 2048},      {"type", VOICE_MAX_WORD},
};
static const form_layout upload_layout = {upload_fields, sizeof upload_fields / sizeof *upload_fields, "audio_sample",
                                          VOICE_API_MAX_SAMPLE};

/* An upload: while it comes, and while the store works on it, when its client may have left. */
typedef struct {
    server *server;
    http_request *request; /* NULL: the client left */
    form form;
    char name[VOICE_MAX_NAME + 1];
} upload;

static void free_upload(upload *u) {
    form_free(&u->form);
    u->server->uploads--;
    free(u);
}

/* ---- what is told of a voice ------------------------------------------------------------------------------------- */

static json_t *text_or_null(const char *text) {
    return text && *text ? json_string(text) : json_null();
}

/* As vLLM-Omni describes an uploaded voice. */
static json_t *uploaded_json(const voice_entry *e) {
    const voice_file *f = e->file;
    return json_pack("{s:s, s:o, s:I, s:I, s:o, s:o, s:o}", "name", e->id, "consent", text_or_null(f->consent),
                     "created_at", (json_int_t)f->created_at, "file_size", (json_int_t)f->bytes, "mime_type",
                     text_or_null(f->media_type), "speaker_description", text_or_null(f->description), "language",
                     text_or_null(e->language));
}

/* As OpenAI's, with more. */
static json_t *voice_json(const voice_entry *e) {
    const recording *r = e->recording;
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:f}", "id", e->id, "object", "audio.voice", "name", e->id, "kind",
                     e->kind, "created_at", (json_int_t)e->file->created_at, "language", text_or_null(e->language),
                     "seconds", (double)r->n_frames / r->sample_rate);
}

/* What a listener would notice of a recording, line by line. */
static json_t *advice_json(const char *advice) {
    json_t *lines = json_array();
    while (*advice) {
        size_t n = strcspn(advice, "\n");
        json_array_append_new(lines, json_stringn(advice, n));
        advice += n + (advice[n] == '\n');
    }
    return lines;
}

static void list_voices(http_request *r, void *user) {
    const server *s = user;
    const char *legacy = http_query(r, "legacy");
    bool names = legacy && (strcmp(legacy, "true") == 0 || strcmp(legacy, "1") == 0);
    json_t *voices = json_array(), *uploaded = json_array();
    for (int i = 0; i < voice_store_count(s->voices); i++) {
        const voice_entry *e = voice_store_at(s->voices, i);
        json_array_append_new(voices, names ? json_string(e->id) : voice_json(e));
        if (strcmp(e->kind, "uploaded") == 0) json_array_append_new(uploaded, uploaded_json(e));
    }
    reply_json(r, 200, json_pack("{s:o, s:o}", "voices", voices, "uploaded_voices", uploaded));
}

static void show_voice(http_request *r, void *user) {
    const server *s = user;
    const voice_entry *e = voice_store_find(s->voices, http_capture(r));
    if (!e || !*http_capture(r)) {
        reply_error(r, 404, "name", "voice_not_found", "there is no voice %s", http_capture(r));
        return;
    }
    json_t *voice = voice_json(e);
    json_object_set_new(voice, "ref_text", text_or_null(e->recording->transcript));
    json_object_set_new(voice, "warnings", advice_json(e->file->advice));
    reply_json(r, 200, voice);
}

/* ---- uploads ----------------------------------------------------------------------------------------------------- */

static void on_gone(void *user) {
    upload *u = user;
    u->request = NULL;
}

/* A failure of the form or of the store, as HTTP has it. */
static void reply_failure(http_request *r, f5_status status, const char *param, const char *message) {
    int http = status == F5_E_MEMORY ? 503 : status == F5_E_IO ? 500 : 400;
    reply_error(r, http, param, http == 400 ? "invalid_voice" : NULL, "%s", message);
}

static void on_added(void *user, f5_status status, const char *message) {
    upload *u = user;
    const voice_entry *e = status == F5_OK ? voice_store_find(u->server->voices, u->name) : NULL;
    if (!u->request) {
        /* nobody listens; the voice stays, as it would if the answer were lost on its way */
    } else if (!e) {
        reply_failure(u->request, status == F5_OK ? F5_E_IO : status, "audio_sample",
                      status == F5_OK ? "the voice was removed while it was taken in" : message);
    } else {
        json_t *voice = voice_json(e);
        json_object_set_new(voice, "type", json_string("audio_sample"));
        json_object_set_new(voice, "success", json_true());
        json_object_set_new(voice, "voice", uploaded_json(e));
        json_object_set_new(voice, "warnings", advice_json(e->file->advice));
        http_note(u->request, "voice", u->name);
        reply_json(u->request, 200, voice);
    }
    free_upload(u);
}

/* The fields that must be there; false: it replied. */
static bool check_form(http_request *r, const form *f) {
    const char *type = form_value(f, "type");
    if (type && strcmp(type, "audio_sample") != 0) {
        reply_error(r, 400, "type", "unsupported_type", "type %.64s: a voice is made of a recording: audio_sample",
                    type);
        return false;
    }
    const char *lacks = f->fd < 0                                     ? "audio_sample"
                        : !form_value(f, "name")                      ? "name"
                        : f5_text_is_blank(form_value(f, "ref_text")) ? "ref_text"
                                                                      : NULL;
    if (!lacks) return true;
    const char *why = strcmp(lacks, "ref_text") == 0
                          ? "is missing: send the words that the recording says; this server does not transcribe"
                          : "is missing in the form";
    reply_error(r, 400, lacks, "missing_field", "%s %s", lacks, why);
    return false;
}

static void *upload_begin(http_request *r, void *user) {
    server *s = user;
    f5_error error = {0};
    if (s->options->one_voice) {
        reply_error(r, 400, NULL, "uploads_off", "this model has one voice of its own and takes no recordings");
        return NULL;
    }
    if (!voice_store_keeps(s->voices)) {
        reply_error(
            r, 400, NULL, "uploads_off",
            "this server keeps no voices: it was started without --voice_dir and --upload_dir; a recording can be "
            "sent with the text, as ref_audio and ref_text");
        return NULL;
    }
    upload *u = s->uploads < VOICE_API_MAX_UPLOADS ? calloc(1, sizeof *u) : NULL;
    if (!u) {
        reply_error(r, 503, NULL, "busy", "too many voices are being uploaded: try again later");
        return NULL;
    }
    u->server = s;
    u->request = r;
    s->uploads++;
    if (form_begin(&u->form, http_header(r, "content-type"), &upload_layout, &error) == F5_OK) return u;
    free_upload(u);
    reply_error(r, 400, NULL, "invalid_form", "%s", error.message);
    return NULL;
}

static void fail_form(http_request *r, upload *u, f5_status status, const char *message) {
    free_upload(u);
    int http = status == F5_E_LIMIT ? 413 : status == F5_E_MEMORY ? 503 : 400;
    reply_error(r, http, NULL, http == 413 ? "too_large" : "invalid_form", "%s", message);
}

static void upload_data(http_request *r, void *context, const char *bytes, size_t n) {
    upload *u = context;
    f5_error error = {0};
    f5_status status = form_push(&u->form, bytes, n, &error);
    if (status != F5_OK) fail_form(r, u, status, error.message);
}

static void upload_end(http_request *r, void *context) {
    upload *u = context;
    f5_error error = {0};
    f5_status status = form_finish(&u->form, &error);
    if (status != F5_OK) {
        fail_form(r, u, status, error.message);
        return;
    }
    if (!check_form(r, &u->form)) {
        free_upload(u);
        return;
    }
    const voice_upload given = {.name = form_value(&u->form, "name"),
                                .transcript = form_value(&u->form, "ref_text"),
                                .language = form_value(&u->form, "language"),
                                .consent = form_value(&u->form, "consent"),
                                .description = form_value(&u->form, "speaker_description"),
                                .media_type = u->form.media_type,
                                .fd = u->form.fd};
    u->form.fd = -1;
    memcpy(u->name, given.name, strlen(given.name) + 1);
    http_on_gone(r, on_gone, u);
    status = voice_store_add(u->server->voices, &given, on_added, u, &error);
    if (status == F5_OK) return;
    http_on_gone(r, NULL, NULL);
    free_upload(u);
    if (status == F5_E_LIMIT)
        reply_error(r, 503, NULL, "busy", "%s", error.message);
    else
        reply_failure(r, status, "name", error.message);
}

static void upload_gone(void *context) {
    free_upload(context);
}

static const http_body_events upload_events = {upload_begin, upload_data, upload_end, upload_gone};

/* ---- deletes ----------------------------------------------------------------------------------------------------- */

static void on_removed(void *user, f5_status status, const char *message) {
    upload *u = user;
    if (u->request && status != F5_OK) {
        reply_failure(u->request, status, "name", message);
    } else if (u->request) {
        char text[VOICE_MAX_NAME + 32];
        snprintf(text, sizeof text, "voice %s is deleted", u->name);
        reply_json(u->request, 200,
                   json_pack("{s:s, s:s, s:b, s:b, s:s}", "id", u->name, "object", "audio.voice.deleted", "deleted", 1,
                             "success", 1, "message", text));
    }
    free_upload(u);
}

static void delete_voice(http_request *r, void *user) {
    server *s = user;
    f5_error error = {0};
    const voice_entry *e = voice_store_find(s->voices, http_capture(r));
    if (!e || !voice_name_is(e->id, http_capture(r))) {
        reply_error(r, 404, "name", "voice_not_found", "there is no voice %s", http_capture(r));
        return;
    }
    upload *u = s->uploads < VOICE_API_MAX_UPLOADS ? calloc(1, sizeof *u) : NULL;
    if (!u) {
        reply_error(r, 503, NULL, "busy", "too many voices are being changed: try again later");
        return;
    }
    *u = (upload){.server = s, .request = r, .form = {.fd = -1}};
    s->uploads++;
    memcpy(u->name, e->id, strlen(e->id) + 1);
    http_on_gone(r, on_gone, u);
    f5_status status = voice_store_remove(s->voices, u->name, on_removed, u, &error);
    if (status == F5_OK) return;
    http_on_gone(r, NULL, NULL);
    free_upload(u);
    reply_error(r, status == F5_E_ARGUMENT ? 403 : 503, "name", NULL, "%s", error.message);
}

f5_status voice_api_add_routes(server *s, f5_error *error) {
    const http_route routes[] = {
        /* open, as clients that show a choice of voices ask without their key */
        {.method = "GET", .path = "/v1/audio/voices", .open = true, .run = list_voices, .user = s},
        {.method = "GET", .path = "/v1/audio/voices/{name}", .run = show_voice, .user = s},
        {.method = "POST",
         .path = "/v1/audio/voices",
         .body = &upload_events,
         .max_body = VOICE_API_MAX_SAMPLE + (1 << 20),
         .user = s},
        {.method = "DELETE", .path = "/v1/audio/voices/{name}", .run = delete_voice, .user = s},
    };
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) F5_TRY(http_route_add(s->http, &routes[i], error));
    return F5_OK;
}
