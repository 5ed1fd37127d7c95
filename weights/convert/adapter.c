/* adapter.c — finds the weight that each tensor of an adapter changes, and changes it. */
#include "weights/convert/adapter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weights/convert/adapter_config.h"
#include "weights/convert/quote.h"

#define MAX_SCALE 1000.0f

/* ---- files */

static char *join(const char *folder, const char *name) {
    size_t bytes = strlen(folder) + strlen(name) + 2;
    char *path = malloc(bytes);
    if (path) snprintf(path, bytes, "%s/%s", folder, name);
    return path;
}

f5_status adapter_paths(const char *folder, char **config_path, char **model_path, f5_error *error) {
    *config_path = join(folder, "adapter_config.json");
    *model_path = join(folder, "adapter_model.safetensors");
    if (*model_path && access(*model_path, F_OK) != 0) {
        char *bin = join(folder, "adapter_model.bin");
        if (bin && access(bin, F_OK) == 0) {
            free(*model_path);
            *model_path = bin;
        } else {
            free(bin);
        }
    }
    if (*config_path && *model_path) return F5_OK;
    free(*config_path);
    free(*model_path);
    *config_path = *model_path = NULL;
    return f5_fail(error, F5_E_MEMORY, "%s: out of memory", folder);
}

/* ---- tensors to changes */

/* While an adapter is opened. */
typedef struct {
    adapter *a;
    adapter_config config;
    const manifest_source *wanted; /* [count] sorted by key */
    size_t count;
    float scale;
    f5_error *error;
} opening;

static int by_key(const void *a, const void *b) {
    return strcmp(((const adapter_change *)a)->key, ((const adapter_change *)b)->key);
}

static int compare_key(const void *key, const void *wanted) {
    return strcmp(key, ((const manifest_source *)wanted)->key);
}

static f5_status refuse(const opening *o, f5_status status, const source_tensor *t, const char *what) {
    return f5_fail(o->error, status, "%s: '%s' %s", o->a->file.path, quote(t->key, strlen(t->key)).text, what);
}

/* What a tensor of the adapter is, by the end of its name: "LAYER.lora_A.weight", also "LAYER.lora_A.NAME.weight". */
typedef enum { PART_A, PART_B, PART_WHOLE, PART_OTHER } adapter_part;

static adapter_part part_of(const char *key, size_t *layer) {
    const char *at = NULL;
    for (const char *s = key; (s = strstr(s, ".lora_")); s++) at = s;
    *layer = at ? (size_t)(at - key) : 0;
    if (!at) return PART_WHOLE;
    if (strncmp(at, ".lora_A.", 8) != 0 && strncmp(at, ".lora_B.", 8) != 0) return PART_OTHER;
    const char *rest = at + 8, *dot = strchr(rest, '.');
    if (strcmp(dot ? dot + 1 : rest, "weight") != 0) return PART_OTHER;
    return at[6] == 'A' ? PART_A : PART_B;
}

static f5_status refuse_part(const opening *o, const source_tensor *t) {
    const char *what = strstr(t->key, ".lora_magnitude_vector") ? "is of a DoRA adapter, which is not merged"
                       : strstr(t->key, ".lora_embedding_")     ? "is of an embedding, which is not merged"
                                                                : "is no lora_A.weight or lora_B.weight";
    return refuse(o, F5_E_UNSUPPORTED, t, what);
}

static f5_status check_change(const opening *o, const adapter_change *c, const manifest_source *w) {
    const source_tensor *a = c->a, *b = c->b;
    if (w->rank != 2 || a->rank != 2 || b->rank != 2)
        return refuse(o, F5_E_UNSUPPORTED, a, "is not of a linear layer; only these are merged");
    if (a->dims[1] == w->dims[1] && b->dims[0] == w->dims[0] && a->dims[0] == b->dims[1]) return F5_OK;
    return f5_fail(o->error, F5_E_SHAPE,
                   "%s: '%s' is [%lld,%lld] and its lora_B [%lld,%lld]; for a layer of [%lld,%lld] they must be "
                   "[r,%lld] and [%lld,r]",
                   o->a->file.path, quote(a->key, strlen(a->key)).text, (long long)a->dims[0], (long long)a->dims[1],
                   (long long)b->dims[0], (long long)b->dims[1], (long long)w->dims[0], (long long)w->dims[1],
                   (long long)w->dims[1], (long long)w->dims[0]);
}

static f5_status add_whole(opening *o, const source_tensor *t) {
    const manifest_source *w = bsearch(t->key, o->wanted, o->count, sizeof *o->wanted, compare_key);
    if (!w || !o->config.whole)
        return refuse(o, F5_E_UNSUPPORTED, t,
                      w ? "comes whole, but modules_to_save names no layer" : "is no weight of this model");
    if (t->rank != w->rank || memcmp(t->dims, w->dims, sizeof *t->dims * (size_t)t->rank) != 0)
        return refuse(o, F5_E_SHAPE, t, "has another shape than the model's");
    o->a->change[o->a->count++] = (adapter_change){.key = w->key, .whole = t};
    return F5_OK;
}

/* The lora_B beside this lora_A. */
static const source_tensor *find_other(const opening *o, const source_tensor *a, size_t layer) {
    char key[SOURCE_MAX_KEY_BYTES + 1];
    size_t length = strlen(a->key);
    if (length >= sizeof key) return NULL;
    memcpy(key, a->key, length + 1);
    key[layer + 6] = 'B'; /* ".lora_A" */
    return source_find(&o->a->file, key);
}

static f5_status add_pair(opening *o, const source_tensor *t, size_t layer, adapter_part part) {
    char key[SOURCE_MAX_KEY_BYTES + 8];
    snprintf(key, sizeof key, "%.*s.weight", (int)layer, t->key);
    const manifest_source *w = bsearch(key, o->wanted, o->count, sizeof *o->wanted, compare_key);
    if (!w) return refuse(o, F5_E_UNSUPPORTED, t, "is of a layer that this model does not have");
    if (part == PART_B) return F5_OK; /* its lora_A brings it along; check_partners sees one without */
    adapter_change c = {.key = w->key, .a = t, .b = find_other(o, t, layer)};
    if (!c.b) return refuse(o, F5_E_FORMAT, t, "has no lora_B beside it");
    if (!c.b->number) return refuse(o, F5_E_UNSUPPORTED, c.b, "is not of a number type that is read");
    F5_TRY(check_change(o, &c, w));
    key[layer] = '\0'; /* the layer's name */
    F5_TRY(adapter_config_scale(&o->config, key, t->dims[0], &c.scale, o->error));
    c.scale *= (double)o->scale;
    o->a->change[o->a->count++] = c;
    return F5_OK;
}

static f5_status add_tensor(opening *o, const source_tensor *t) {
    size_t layer;
    adapter_part part = part_of(t->key, &layer);
    if (strlen(t->key) > SOURCE_MAX_KEY_BYTES) return refuse(o, F5_E_UNSUPPORTED, t, "is too long a name");
    if (!t->number) return refuse(o, F5_E_UNSUPPORTED, t, "is not of a number type that is read");
    if (part == PART_OTHER) return refuse_part(o, t);
    return part == PART_WHOLE ? add_whole(o, t) : add_pair(o, t, layer, part);
}

/* Every lora_B has been taken along by a lora_A, and no weight is changed twice. */
static f5_status check_partners(const opening *o) {
    adapter *a = o->a;
    int32_t taken = 0;
    for (int32_t i = 0; i < a->count; i++) taken += a->change[i].whole ? 1 : 2;
    if (taken != a->file.count)
        return f5_fail(o->error, F5_E_FORMAT, "%s: a lora_B has no lora_A beside it", a->file.path);
    qsort(a->change, (size_t)a->count, sizeof *a->change, by_key);
    for (int32_t i = 0; i + 1 < a->count; i++)
        if (strcmp(a->change[i].key, a->change[i + 1].key) == 0)
            return f5_fail(o->error, F5_E_FORMAT, "%s: changes '%s' twice", a->file.path, a->change[i].key);
    return F5_OK;
}

static f5_status take_room(const opening *o) {
    adapter *a = o->a;
    int64_t first = 1, second = 1, widest = 1;
    for (int32_t i = 0; i < a->count; i++) {
        if (a->change[i].whole) continue;
        if (a->change[i].a->elements > first) first = a->change[i].a->elements;
        if (a->change[i].b->elements > second) second = a->change[i].b->elements;
        if (a->change[i].a->dims[1] > widest) widest = a->change[i].a->dims[1];
    }
    a->a = malloc((size_t)first * sizeof *a->a);
    a->b = malloc((size_t)second * sizeof *a->b);
    a->row = malloc((size_t)widest * sizeof *a->row);
    if (a->a && a->b && a->row) return F5_OK;
    return f5_fail(o->error, F5_E_MEMORY, "%s: out of memory", a->file.path);
}

static f5_status find_changes(opening *o) {
    adapter *a = o->a;
    a->change = calloc((size_t)a->file.count + 1, sizeof *a->change);
    if (!a->change) return f5_fail(o->error, F5_E_MEMORY, "%s: out of memory", a->file.path);
    for (int32_t i = 0; i < a->file.count; i++) F5_TRY(add_tensor(o, &a->file.tensor[i]));
    if (a->count == 0) return f5_fail(o->error, F5_E_FORMAT, "%s: changes nothing", a->file.path);
    F5_TRY(check_partners(o));
    return take_room(o);
}

f5_status adapter_open(adapter *a, const char *folder, float scale, const source_wish *wish,
                       const manifest_source *wanted, size_t count, f5_error *error) {
    *a = (adapter){0};
    if (!(scale >= -MAX_SCALE && scale <= MAX_SCALE))
        return f5_fail(error, F5_E_ARGUMENT, "lora_scale %g: must be %g to %g", (double)scale, -(double)MAX_SCALE,
                       (double)MAX_SCALE);
    opening o = {.a = a, .wanted = wanted, .count = count, .scale = scale, .error = error};
    F5_TRY(adapter_paths(folder, &a->config_path, &a->model_path, error));
    f5_status status = adapter_config_read(&o.config, a->config_path, error);
    if (status == F5_OK) status = source_open(&a->file, a->model_path, wish, error);
    if (status == F5_OK) status = find_changes(&o);
    adapter_config_close(&o.config);
    if (status != F5_OK) adapter_close(a);
    return status;
}

void adapter_close(adapter *a) {
    source_close(&a->file);
    free(a->change);
    free(a->config_path);
    free(a->model_path);
    free(a->a);
    free(a->b);
    free(a->row);
    *a = (adapter){0};
}

/* ---- merging */

/* values [out,in] += scale * b [out,r] a [r,in] */
static void add_product(const adapter *ad, const adapter_change *c, float *values) {
    const int64_t rank = c->a->dims[0], in = c->a->dims[1], out = c->b->dims[0];
    source_read(c->a, ad->a);
    source_read(c->b, ad->b);
    for (int64_t o = 0; o < out; o++) {
        for (int64_t i = 0; i < in; i++) ad->row[i] = 0;
        for (int64_t r = 0; r < rank; r++) {
            const double weight = ad->b[o * rank + r];
            for (int64_t i = 0; i < in; i++) ad->row[i] += weight * (double)ad->a[r * in + i];
        }
        for (int64_t i = 0; i < in; i++)
            values[o * in + i] = (float)((double)values[o * in + i] + c->scale * ad->row[i]);
    }
}

void adapter_apply(const adapter *a, const manifest_source *key, float *values) {
    const adapter_change wanted = {.key = key->key};
    const adapter_change *c = a->count ? bsearch(&wanted, a->change, (size_t)a->count, sizeof wanted, by_key) : NULL;
    if (!c) return;
    if (c->whole)
        source_read(c->whole, values);
    else
        add_product(a, c, values);
}
