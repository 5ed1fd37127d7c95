/* weight_norm.c — finds the pairs by their names, and puts length and direction together when a tensor is read. */
#include "weights/convert/weight_norm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How the two halves end, and what both become. */
static const struct {
    const char *direction, *length, *whole;
} styles[] = {{".weight_v", ".weight_g", ".weight"},
              {".parametrizations.weight.original1", ".parametrizations.weight.original0", ".weight"}};

/* The key without the ending; 0: it ends otherwise. */
static size_t stem(const char *key, const char *ending) {
    const size_t length = strlen(key), bytes = strlen(ending);
    return length > bytes && strcmp(key + length - bytes, ending) == 0 ? length - bytes : 0;
}

/* One length for each row of the weight? */
static bool fits(const source_tensor *v, const source_tensor *g) {
    return v->rank >= 1 && g->rank >= 1 && g->dims[0] == v->dims[0] && g->elements == v->dims[0] && g->number;
}

/* What became of a tensor. */
enum { APART, WHOLE, TAKEN };

/* Joins v with its length where there is one. */
static void join(const source *s, source_tensor *v, char *state) {
    for (size_t i = 0; i < sizeof styles / sizeof *styles; i++) {
        const size_t kept = stem(v->key, styles[i].direction);
        char key[SOURCE_MAX_KEY_BYTES + 64];
        if (!kept || kept > SOURCE_MAX_KEY_BYTES) continue;
        snprintf(key, sizeof key, "%.*s%s", (int)kept, v->key, styles[i].length);
        const source_tensor *g = source_find(s, key);
        if (!g) continue;
        if (fits(v, g)) {
            v->gain = (source_gain){.data = g->data, .stride = g->stride[0], .number = g->number};
        } else {
            v->number = NULL;
            v->type_name = "kept with lengths that are not one for each of its rows";
        }
        state[v - s->tensor] = WHOLE;
        state[g - s->tensor] = TAKEN;
    }
}

/* Its key in place: the whole's ending is no longer than the direction's. */
static void rename_whole(source *s, source_tensor *v) {
    for (size_t i = 0; i < sizeof styles / sizeof *styles; i++) {
        const size_t kept = stem(v->key, styles[i].direction);
        if (!kept) continue;
        strcpy(s->keys + (v->key - s->keys) + kept, styles[i].whole);
        return;
    }
}

f5_status weight_norm_join(source *s, int32_t *joined, f5_error *error) {
    char *state = calloc((size_t)s->count + 1, sizeof *state);
    if (!state) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", s->path);
    *joined = 0;
    for (int32_t i = 0; i < s->count; i++) join(s, &s->tensor[i], state);
    int32_t kept = 0;
    for (int32_t i = 0; i < s->count; i++) {
        *joined += state[i] == TAKEN;
        if (state[i] == WHOLE) rename_whole(s, &s->tensor[i]);
        if (state[i] != TAKEN) s->tensor[kept++] = s->tensor[i];
    }
    s->count = kept;
    free(state);
    return F5_OK;
}

void weight_norm_apply(const source_tensor *t, float *v) {
    const int64_t rows = t->dims[0], columns = rows ? t->elements / rows : 0;
    for (int64_t r = 0; r < rows; r++, v += columns) {
        double square = 0;
        float gain;
        for (int64_t i = 0; i < columns; i++) square += (double)v[i] * (double)v[i];
        t->gain.number->widen(&gain, t->gain.data + r * t->gain.stride * t->gain.number->bytes, 1);
        const double scale = (double)gain / sqrt(square); /* nothing by nothing is NaN, which is then told */
        for (int64_t i = 0; i < columns; i++) v[i] = (float)((double)v[i] * scale);
    }
}
