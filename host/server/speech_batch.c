/* speech_batch.c — POST /v1/audio/speech/batch: up to 32 texts in one request, their sounds in one answer. What the
 * items do not say they take from the request itself; an item that fails does not fail the others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/server/base64.h"
#include "host/server/json_read.h"
#include "host/server/metrics.h"
#include "host/server/speech_api.h"
#include "host/server/speech_call.h"

#define ITEMS_MAX 32
#define AT_A_TIME 8          /* orders of one batch: others shall have their turn too */
#define AGAIN_SECONDS 0.05   /* until a full queue is asked again */
#define SOUND_BYTES 67108864 /* of a batch */

struct batch;

typedef struct {
    struct batch *batch;
    speech_request asked;
    recording *voice;
    speech_job *job;
    double ordered, first;
    char *sound; /* [n] */
    size_t n;
    f5_status status;
    char message[512]; /* of what failed */
    bool begun, over;
} batch_item;

typedef struct batch {
    server *server;
    http_request *request; /* NULL: its client left */
    char *body;
    size_t body_bytes;
    json_t *json;
    request_fault why;
    speech_defaults defaults;
    loop_timer *again;
    int n, under_way, over;
    size_t bytes;
    batch_item items[ITEMS_MAX];
} batch;

static void free_body(batch *b) {
    http_body_free(b->server->http, b->body, b->body_bytes);
    b->body = NULL;
}

static void free_batch(batch *b) {
    for (int i = 0; i < b->n; i++) {
        recording_release(b->items[i].voice);
        free(b->items[i].sound);
    }
    loop_timer_free(b->again);
    json_decref(b->json);
    free_body(b);
    free(b);
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static json_t *item_json(const batch_item *item, int index) {
    if (item->status != F5_OK)
        return json_pack("{s:i,s:s,s:n,s:n,s:s}", "index", index, "status", "error", "audio_data", "media_type",
                         "error", item->message);
    char *text = malloc(BASE64_BYTES(item->n));
    if (!text) return NULL;
    base64_encode(item->sound, item->n, text);
    json_t *made = json_pack("{s:i,s:s,s:s,s:s,s:n}", "index", index, "status", "success", "audio_data", text,
                             "media_type", sound_content_type(item->asked.format), "error");
    free(text);
    return made;
}

static void answer(batch *b) {
    json_t *results = json_array();
    int good = 0;
    for (int i = 0; i < b->n; i++) {
        json_array_append_new(results, item_json(&b->items[i], i));
        good += b->items[i].status == F5_OK;
    }
    http_note_number(b->request, "items", b->n);
    reply_json(b->request, 200,
               json_pack("{s:s,s:o,s:i,s:i,s:i}", "id", http_request_id(b->request), "results", results, "total", b->n,
                         "succeeded", good, "failed", b->n - good));
    free_batch(b);
}

/* ---- items ------------------------------------------------------------------------------------------------------- */

static void go_on(batch *b);

static void fail_item(batch_item *item, f5_status status, const char *message) {
    item->status = status;
    item->over = true;
    snprintf(item->message, sizeof item->message, "%s", message);
    item->batch->over++;
}

static void on_piece(void *user, const speech_piece *piece) {
    batch_item *item = user;
    batch *b = item->batch;
    if (piece->n == 0) return;
    if (item->first == 0) item->first = loop_seconds();
    char *larger = b->bytes + piece->n <= SOUND_BYTES ? realloc(item->sound, item->n + piece->n) : NULL;
    if (!larger) {
        speech_cancel(item->job);
        item->job = NULL;
        b->under_way--;
        fail_item(item, F5_E_LIMIT, "the sounds of the batch are too large for one answer: split it");
        go_on(b);
        return;
    }
    memcpy(larger + item->n, piece->bytes, piece->n);
    item->sound = larger;
    item->n += piece->n;
    b->bytes += piece->n;
}

static void on_done(void *user, const speech_result *result) {
    batch_item *item = user;
    batch *b = item->batch;
    item->job = NULL;
    b->under_way--;
    metrics_speech(b->server->metrics, result, item->first > 0 ? item->first - item->ordered : 0,
                   loop_seconds() - item->ordered);
    if (result->status == F5_OK) {
        item->over = true;
        b->over++;
    } else {
        fail_item(item, result->status, result->message);
    }
    go_on(b);
}

static const speech_events events = {.piece = on_piece, .done = on_done};

static f5_status order_item(batch_item *item, f5_error *error) {
    speech_order order;
    server *s = item->batch->server;
    speech_call_order(&item->asked, item->voice, &order);
    order.whole = true;
    item->ordered = loop_seconds();
    F5_TRY(speaker_order(s->speaker, &order, &events, item, &item->job, error));
    item->batch->under_way++;
    return F5_OK;
}

static void go_on(batch *b) {
    for (int i = 0; i < b->n && b->under_way < AT_A_TIME; i++) {
        batch_item *item = &b->items[i];
        if (item->begun) continue;
        f5_error error;
        f5_status status = order_item(item, &error);
        if (status == F5_E_LIMIT && (b->under_way > 0 || b->over > 0)) {
            loop_timer_set(b->again, AGAIN_SECONDS); /* what has begun shall not have been for nothing */
            return;
        }
        if (status == F5_E_LIMIT) {
            reply_error(b->request, 503, NULL, "overloaded", "%s", error.message);
            free_batch(b);
            return;
        }
        item->begun = true;
        if (status != F5_OK) fail_item(item, status, error.message);
    }
    if (b->over == b->n) answer(b);
}

static void again(void *user) {
    go_on(user);
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

static void client_left(void *user) {
    batch *b = user;
    b->request = NULL;
    if (!b->again) return; /* a thread has it */
    for (int i = 0; i < b->n; i++)
        if (b->items[i].job) speech_cancel(b->items[i].job);
    metrics_cancelled(b->server->metrics);
    free_batch(b);
}

static bool fault(batch *b, const char *param, const char *message) {
    b->why = (request_fault){.status = 400, .param = param, .code = "invalid_value"};
    snprintf(b->why.message, sizeof b->why.message, "%s", message);
    return false;
}

/* Reads every item; an error of one is that item's alone. */
static bool read_items(batch *b) {
    f5_error error;
    if (json_read_object(b->body, b->body_bytes, &b->json, &error) != F5_OK) return fault(b, NULL, error.message);
    const json_t *items = json_object_get(b->json, "items");
    size_t n = json_array_size(items), bytes = 0;
    if (!json_is_array(items) || n < 1 || n > ITEMS_MAX)
        return fault(b, "items", "items must be a list of 1 to 32 requests for speech");
    b->n = (int)n;
    for (int i = 0; i < b->n; i++) {
        batch_item *item = &b->items[i];
        request_fault why;
        item->batch = b;
        bool good = speech_request_read(json_array_get(items, (size_t)i), b->json, &b->defaults, &item->asked, &why);
        bytes += item->asked.input_bytes;
        item->asked.sse = false;
        if (good && item->asked.ref_audio &&
            (item->status = speech_call_decode(&item->asked, &item->voice, &error)) != F5_OK) {
            good = false;
            snprintf(why.message, sizeof why.message, "%s", error.message);
        }
        if (good) continue;
        item->begun = true;
        fail_item(item, item->status ? item->status : F5_E_ARGUMENT, why.message);
    }
    return bytes <= b->defaults.text_bytes || fault(b, "items", "the texts of the batch are too long together");
}

static void parse(void *user) {
    read_items(user);
}

static void parsed(void *user) {
    batch *b = user;
    if (!b->request) {
        free_batch(b);
        return;
    }
    free_body(b); /* the strings are the tree's */
    if (!b->why.status && !(b->again = loop_timer_new(b->server->loop, again, b)))
        b->why = (request_fault){.status = 503, .message = "no memory"};
    if (b->why.status) {
        reply_error(b->request, b->why.status, b->why.param, b->why.code, "%s", b->why.message);
        free_batch(b);
        return;
    }
    for (int i = 0; i < b->n; i++) {
        batch_item *item = &b->items[i];
        request_fault why;
        recording *named;
        if (item->begun) continue;
        if (!speech_call_check(b->server, &item->asked, &named, &why)) {
            item->begun = true;
            fail_item(item, F5_E_ARGUMENT, why.message);
        } else if (named) {
            item->voice = named;
        }
    }
    go_on(b);
}

void speech_batch_run(http_request *r, void *user) {
    server *s = user;
    batch *b = calloc(1, sizeof *b);
    f5_error error;
    if (!b) {
        reply_error(r, 503, NULL, NULL, "no memory");
        return;
    }
    b->server = s;
    b->request = r;
    b->defaults = speech_call_defaults(s);
    b->body = http_body_steal(r, &b->body_bytes);
    http_on_gone(r, client_left, b);
    if (loop_background(s->loop, parse, parsed, b, &error) == F5_OK) return;
    reply_error(r, 503, NULL, "overloaded", "%s", error.message);
    free_batch(b);
}
