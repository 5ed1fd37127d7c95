/* model_api.c — one model, under its own name and under those that clients have built in. */
#include "host/server/model_api.h"

#include <string.h>

#include "host/server/speech_call.h"
#include "host/server/voice_store.h"

/* With voices and languages, from which wyoming_openai makes its list, and what the model's file tells its users. */
static json_t *model_json(const server *s, const char *id) {
    json_t *voices = json_array(), *languages = json_array();
    for (int i = 0; i < voice_store_count(s->voices); i++) {
        const voice_entry *v = voice_store_at(s->voices, i);
        json_array_append_new(voices, json_pack("{s:s,s:s,s:s}", "id", v->id, "name", v->id, "language", v->language));
        bool known = !*v->language;
        for (size_t k = 0; k < json_array_size(languages); k++)
            known |= strcmp(json_string_value(json_array_get(languages, k)), v->language) == 0;
        if (!known) json_array_append_new(languages, json_string(v->language));
    }
    json_t *model =
        json_pack("{s:s,s:s,s:I,s:s,s:s,s:o,s:o}", "id", id, "object", "model", "created", (json_int_t)s->started,
                  "owned_by", "f5tts", "task", "text-to-speech", "voices", voices, "languages", languages);
    if (*s->options->license) json_object_set_new(model, "license", json_string(s->options->license));
    if (*s->options->credit) json_object_set_new(model, "credit", json_string(s->options->credit));
    return model;
}

static void list_models(http_request *r, void *user) {
    const server *s = user;
    reply_json(r, 200,
               json_pack("{s:s,s:[o,o]}", "object", "list", "data", model_json(s, s->options->model_id),
                         model_json(s, "tts-1")));
}

static void show_model(http_request *r, void *user) {
    const server *s = user;
    const char *id = http_capture(r);
    if (model_is_known(s, id))
        reply_json(r, 200, model_json(s, id));
    else
        reply_error(r, 404, "model", "model_not_found", "there is no model %.200s: GET /v1/models lists them", id);
}

/* As Open WebUI asks. */
static void list_audio_models(http_request *r, void *user) {
    const server *s = user;
    const char *id = s->options->model_id;
    reply_json(r, 200,
               json_pack("{s:[{s:s,s:s},{s:s,s:s}]}", "models", "id", id, "name", id, "id", "tts-1", "name", "tts-1"));
}

f5_status model_api_add(server *s, f5_error *error) {
    const http_route routes[] = {
        {.method = "GET", .path = "/v1/models", .open = true, .run = list_models, .user = s},
        {.method = "GET", .path = "/v1/models/{id}", .open = true, .run = show_model, .user = s},
        {.method = "GET", .path = "/v1/audio/models", .open = true, .run = list_audio_models, .user = s}};
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) F5_TRY(http_route_add(s->http, &routes[i], error));
    return F5_OK;
}
