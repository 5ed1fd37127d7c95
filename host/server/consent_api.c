/* consent_api.c — consents are kept for whom they concern. No voice needs one here: whether it does is for those who
 * run the server to say. */
#include "host/server/consent_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/server/consent_store.h"
#include "host/server/form.h"

#define LIST_USUAL 20
#define LIST_MOST 100
#define MAX_JSON 4096

static const form_field consent_fields[] = {{"name", CONSENT_MAX_NAME}, {"language", CONSENT_MAX_NAME}};
static const form_layout consent_layout = {consent_fields, 2, "recording", CONSENT_MAX_BYTES};

/* A change that a client asked for: while its body comes, and while the store works on it. */
typedef struct {
    server *server;
    http_request *request; /* NULL: the client left */
    bool deletes;
    form form;
} order;

static order *make_order(server *s, http_request *r) {
    order *o = s->consent_orders < CONSENT_API_MAX_UPLOADS ? calloc(1, sizeof *o) : NULL;
    if (!o) {
        reply_error(r, 503, NULL, "busy", "too many consents are being changed: try again later");
        return NULL;
    }
    *o = (order){.server = s, .request = r, .form = {.fd = -1}};
    s->consent_orders++;
    return o;
}

static void free_order(order *o) {
    form_free(&o->form);
    o->server->consent_orders--;
    free(o);
}

static json_t *consent_json(const consent *c) {
    return json_pack("{s:s, s:s, s:s, s:s, s:I}", "object", "audio.voice_consent", "id", c->id, "name", c->file.name,
                     "language", c->file.language, "created_at", (json_int_t)c->file.created_at);
}

static void no_such(http_request *r) {
    reply_error(r, 404, "consent_id", "not_found", "there is no consent %s", http_capture(r));
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void list_consents(http_request *r, void *user) {
    const consent_store *s = ((server *)user)->consents;
    const char *limit = http_query(r, "limit"), *after = http_query(r, "after");
    long most = limit ? strtol(limit, NULL, 10) : LIST_USUAL;
    if (most < 1 || most > LIST_MOST) {
        reply_error(r, 400, "limit", "invalid_limit", "limit is 1 to %d", LIST_MOST);
        return;
    }
    int i = 0, n = consent_store_count(s);
    if (after && *after) {
        while (i < n && strcmp(consent_store_at(s, i)->id, after) != 0) i++;
        i++;
    }
    json_t *data = json_array(), *first = json_null(), *last = json_null();
    for (; i < n && (long)json_array_size(data) < most; i++) {
        const consent *c = consent_store_at(s, i);
        if (json_array_size(data) == 0) first = json_string(c->id);
        json_decref(last);
        last = json_string(c->id);
        json_array_append_new(data, consent_json(c));
    }
    reply_json(r, 200,
               json_pack("{s:s, s:o, s:o, s:o, s:b}", "object", "list", "data", data, "first_id", first, "last_id",
                         last, "has_more", i < n));
}

static void show_consent(http_request *r, void *user) {
    const consent *c = consent_store_find(((server *)user)->consents, http_capture(r));
    if (c)
        reply_json(r, 200, consent_json(c));
    else
        no_such(r);
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

static void on_gone(void *user) {
    ((order *)user)->request = NULL;
}

static void reply_failure(http_request *r, f5_status status, const char *message) {
    int http = status == F5_E_LIMIT || status == F5_E_MEMORY ? 503 : status == F5_E_IO ? 500 : 400;
    reply_error(r, http, NULL, http == 400 ? "invalid_consent" : NULL, "%s", message);
}

static void on_done(void *user, f5_status status, const char *message, const char *id) {
    order *o = user;
    const consent *c = consent_store_find(o->server->consents, id);
    if (o->request && status != F5_OK)
        reply_failure(o->request, status, message);
    else if (o->request && (o->deletes || !c))
        reply_json(o->request, 200,
                   json_pack("{s:s, s:s, s:b}", "id", id, "object", "audio.voice_consent", "deleted", 1));
    else if (o->request)
        reply_json(o->request, 200, consent_json(c));
    free_order(o);
}

/* The store has taken the order, or not. */
static void started(http_request *r, order *o, f5_status status, const f5_error *error) {
    if (status == F5_OK) {
        http_on_gone(r, on_gone, o);
        return;
    }
    free_order(o);
    reply_failure(r, status, error->message);
}

static void *upload_begin(http_request *r, void *user) {
    f5_error error = {0};
    order *o = make_order(user, r);
    if (!o || form_begin(&o->form, http_header(r, "content-type"), &consent_layout, &error) == F5_OK) return o;
    free_order(o);
    reply_error(r, 400, NULL, "invalid_form", "%s", error.message);
    return NULL;
}

static void fail_form(http_request *r, order *o, f5_status status, const char *message) {
    free_order(o);
    int http = status == F5_E_LIMIT ? 413 : status == F5_E_MEMORY ? 503 : 400;
    reply_error(r, http, NULL, http == 413 ? "too_large" : "invalid_form", "%s", message);
}

static void upload_data(http_request *r, void *context, const char *bytes, size_t n) {
    order *o = context;
    f5_error error = {0};
    f5_status status = form_push(&o->form, bytes, n, &error);
    if (status != F5_OK) fail_form(r, o, status, error.message);
}

static void upload_end(http_request *r, void *context) {
    order *o = context;
    f5_error error = {0};
    f5_status status = form_finish(&o->form, &error);
    if (status != F5_OK) {
        fail_form(r, o, status, error.message);
        return;
    }
    const char *name = form_value(&o->form, "name"), *language = form_value(&o->form, "language");
    const char *lacks = !name ? "name" : !language ? "language" : o->form.file_bytes == 0 ? "recording" : NULL;
    if (lacks) {
        free_order(o);
        reply_error(r, 400, lacks, "missing_field", "%s: the form has no such field, or it is empty", lacks);
        return;
    }
    consent_file given = {.bytes = (int64_t)o->form.file_bytes};
    snprintf(given.name, sizeof given.name, "%s", name);
    snprintf(given.language, sizeof given.language, "%s", language);
    snprintf(given.media_type, sizeof given.media_type, "%s", o->form.media_type);
    int fd = o->form.fd;
    o->form.fd = -1;
    started(r, o, consent_store_add(o->server->consents, &given, fd, on_done, o, &error), &error);
}

static void upload_gone(void *context) {
    free_order(context);
}

static const http_body_events upload_events = {upload_begin, upload_data, upload_end, upload_gone};

static void rename_consent(http_request *r, void *user) {
    server *s = user;
    size_t bytes;
    const char *body = http_body(r, &bytes);
    if (!consent_store_find(s->consents, http_capture(r))) {
        no_such(r);
        return;
    }
    json_t *given = json_loadb(body, bytes, JSON_REJECT_DUPLICATES, NULL);
    const char *name = json_string_value(json_object_get(given, "name"));
    size_t n = name ? strlen(name) : 0;
    if (n == 0 || n > CONSENT_MAX_NAME) {
        reply_error(r, 400, "name", "invalid_name", "a JSON object with a name of 1 to %d bytes is wanted",
                    CONSENT_MAX_NAME);
    } else {
        f5_error error = {0};
        order *o = make_order(s, r);
        if (o) started(r, o, consent_store_rename(s->consents, http_capture(r), name, on_done, o, &error), &error);
    }
    json_decref(given);
}

static void delete_consent(http_request *r, void *user) {
    server *s = user;
    f5_error error = {0};
    if (!consent_store_find(s->consents, http_capture(r))) {
        no_such(r);
        return;
    }
    order *o = make_order(s, r);
    if (!o) return;
    o->deletes = true;
    started(r, o, consent_store_remove(s->consents, http_capture(r), on_done, o, &error), &error);
}

f5_status consent_api_add_routes(server *s, f5_error *error) {
    const http_route routes[] = {
        {.method = "GET", .path = "/v1/audio/voice_consents", .run = list_consents, .user = s},
        {.method = "POST",
         .path = "/v1/audio/voice_consents",
         .body = &upload_events,
         .max_body = CONSENT_MAX_BYTES + (1 << 20),
         .user = s},
        {.method = "GET", .path = "/v1/audio/voice_consents/{id}", .run = show_consent, .user = s},
        {.method = "POST",
         .path = "/v1/audio/voice_consents/{id}",
         .max_body = MAX_JSON,
         .run = rename_consent,
         .user = s},
        {.method = "DELETE", .path = "/v1/audio/voice_consents/{id}", .run = delete_consent, .user = s},
    };
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) F5_TRY(http_route_add(s->http, &routes[i], error));
    return F5_OK;
}
