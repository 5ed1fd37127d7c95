/* manifest.c — writes the tables of a configuration's parts out, tensor by tensor. */
#include "weights/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/whole.h"

/* The greatest size, of a DiT's modulation, is about 2.6e10 elements at the limits of the configuration: nothing here
 * overflows 64 bits. */
static int64_t dimension(const model_config *c, int part, int16_t symbol) {
    return symbol < 0 ? c->part[part]->dimension(c, symbol) : symbol;
}

static int32_t repetitions(const model_config *c, int part, const part_line *line) {
    return line->repeat ? c->part[part]->count(c, line->repeat) : 1;
}

static const char *keys_of(const part_line *line) {
    return line->keys ? line->keys : line->name;
}

/* How many sources the '*' of a line stands for. */
static int32_t starred(const model_config *c, int part, const part_line *line) {
    return line->star ? c->part[part]->count(c, line->star) : 0;
}

/* Copies a name or key up to '\0' or '|', with the number in place of "%d" or "*". All our names fit their buffers. */
static void expand(char *out, size_t size, const char *pattern, int32_t number) {
    size_t used = 0;
    for (const char *s = pattern; *s && *s != '|' && used + 1 < size; s++) {
        bool block = s[0] == '%' && s[1] == 'd';
        if (block || *s == '*') {
            int digits = snprintf(out + used, size - used, "%d", (int)number);
            used += (size_t)digits;
            s += block;
        } else {
            out[used++] = *s;
        }
    }
    out[used < size ? used : size - 1] = '\0';
}

/* The pattern of source s of a line's keys, in order; *star is set where it is one of those that a '*' stands for, and
 * s is then its number. */
static const char *source_pattern(const char *keys, int32_t n_starred, int32_t *s, bool *star) {
    for (;;) {
        size_t length = strcspn(keys, "|");
        *star = memchr(keys, '*', length) != NULL;
        int32_t stands_for = *star ? n_starred : 1;
        if (*s < stands_for) return keys;
        *s -= stands_for;
        keys += length + 1;
    }
}

static int32_t count_sources(const char *keys, int32_t n_starred) {
    int32_t sources = 0;
    for (;;) {
        size_t length = strcspn(keys, "|");
        sources += memchr(keys, '*', length) ? n_starred : 1;
        if (!keys[length]) return sources;
        keys += length + 1;
    }
}

static int64_t product(const int64_t dims[PART_MAX_RANK]) {
    int64_t elements = 1;
    for (int32_t i = 0; i < PART_MAX_RANK; i++) elements *= dims[i];
    return elements;
}

bool manifest_set_wide(manifest_types *types, int32_t number) {
    if (number < 0 || number >= MANIFEST_MAX_WHOLE) return false;
    types->wide[number / 64] |= UINT64_C(1) << number % 64;
    return true;
}

static bool is_wide(const manifest_types *types, int32_t number) {
    return number >= 0 && number < MANIFEST_MAX_WHOLE && types->wide[number / 64] >> number % 64 & 1;
}

/* number: of the tensor among the matrices that may lie in 8 bits; -1: it is none. */
static manifest_tensor tensor_of(const model_config *c, int part, const part_line *line, int32_t index,
                                 const manifest_types *types, int32_t number) {
    f5_dtype matrices = part == PART_VOCODER ? types->vocoder : types->matrices;
    size_t moved = (size_t)index * line->stride;
    const bool wide = is_wide(types, number);
    manifest_tensor t = {.class = line->class,
                         .type = line->scale && types->int8 && !wide ? F5_I8
                                 : line->class == MATRIX             ? matrices
                                                                     : F5_F32,
                         .number = number,
                         .wide = wide,
                         .held_f32 = line->held_f32,
                         .part = part,
                         .packing = line->packing,
                         .first_column = dimension(c, part, line->first),
                         .sources = count_sources(keys_of(line), starred(c, part, line)),
                         .address = line->address + moved,
                         .rounded = line->rounded ? line->rounded + moved : 0,
                         .scale = line->scale ? line->scale + moved : 0,
                         .line = line,
                         .index = index};
    expand(t.name, sizeof t.name, line->name, index);
    for (int32_t i = 0; i < PART_MAX_RANK; i++) {
        t.dims[i] = line->dims[i] ? dimension(c, part, line->dims[i]) : 1;
        t.rank += line->dims[i] != 0;
    }
    t.elements = product(t.dims);
    t.bytes = (size_t)t.elements * f5_dtype_bytes(t.type);
    return t;
}

static int alignment_rank(const manifest_tensor *t) {
    return t->bytes % 64 == 0 ? 0 : t->bytes % 16 == 0 ? 1 : 2;
}

/* The scales of an 8-bit matrix. */
static manifest_tensor scale_of(const manifest_tensor *matrix) {
    manifest_tensor t = *matrix;
    const size_t length = strlen(t.name);
    memcpy(t.name + length, ".scale", length + sizeof ".scale" <= sizeof t.name ? sizeof ".scale" : 1);
    t.class = SCALE;
    t.type = F5_F32;
    t.address = matrix->scale;
    t.scale = 0;
    t.rank = 1;
    t.dims[1] = t.dims[2] = 1;
    t.elements = t.dims[0];
    t.bytes = (size_t)t.elements * sizeof(float);
    return t;
}

/* Every tensor of the configuration in the tables' order: into list, of one pass, where it is not NULL. Returns how
 * many. */
static int32_t write_out(const model_config *c, const manifest_types *types, int pass, manifest_tensor *list) {
    int32_t written = 0, number = 0;
    for (int part = 0; part < PARTS; part++)
        for (int32_t i = 0; i < c->part[part]->n_lines; i++) {
            const part_line *line = &c->part[part]->lines[i];
            int32_t n = repetitions(c, part, line);
            for (int32_t index = 0; index < n; index++) {
                const manifest_tensor t = tensor_of(c, part, line, index, types, line->scale ? number++ : -1);
                const bool scaled = t.type == F5_I8;
                const manifest_tensor scale = scaled ? scale_of(&t) : t;
                if (!list) {
                    written += 1 + scaled;
                    continue;
                }
                if (alignment_rank(&t) == pass) list[written++] = t;
                if (scaled && alignment_rank(&scale) == pass) list[written++] = scale;
            }
        }
    return written;
}

f5_status manifest_list(const model_config *config, manifest_types types, manifest_tensor **list, int32_t *count,
                        f5_error *error) {
    int32_t total = write_out(config, &types, 0, NULL), written = 0;
    manifest_tensor *tensors = malloc((size_t)total * sizeof *tensors);
    if (!tensors) return f5_fail(error, F5_E_MEMORY, "out of memory for the list of %d tensors", (int)total);
    for (int pass = 0; pass < 3; pass++) /* in three passes, so that the order is stable */
        written += write_out(config, &types, pass, tensors + written);
    *list = tensors;
    *count = written;
    return F5_OK;
}

void manifest_source_at(const model_config *config, const manifest_tensor *t, int32_t s, manifest_source *source) {
    manifest_tensor matrix;
    if (t->class == SCALE) { /* it is made of what its matrix is made of */
        matrix = tensor_of(config, t->part, t->line, t->index, &(manifest_types){.int8 = true}, -1);
        t = &matrix;
    }
    int32_t n_starred = starred(config, t->part, t->line), within = s;
    bool star;
    const char *pattern = source_pattern(keys_of(t->line), n_starred, &within, &star);
    *source = (manifest_source){.rank = t->rank, .dims = {t->dims[0], t->dims[1], t->dims[2]}};
    int32_t number = t->index + (int32_t)dimension(config, t->part, t->line->key_from);
    expand(source->key, sizeof source->key, pattern, star ? within : number);
    int64_t *dims = source->dims, star_rows = n_starred ? dimension(config, t->part, t->line->star_rows) : 0;
    switch (t->packing) {
    case PACK_COPY:
        break;
    case PACK_SQUEEZE: /* [C] from [1,1,C], [R,C] from [1,R,C] */
        source->rank = 3;
        dims[2] = t->rank == 2 ? t->dims[1] : t->dims[0];
        dims[1] = t->rank == 2 ? t->dims[0] : 1;
        dims[0] = 1;
        break;
    case PACK_DEPTHWISE: /* [k,C] from [C,1,k] */
        source->rank = 3;
        dims[0] = t->dims[1], dims[1] = 1, dims[2] = t->dims[0];
        break;
    case PACK_TAP_FIRST: /* [k,o,i] from [o,i,k] */
        dims[0] = t->dims[1], dims[1] = t->dims[2], dims[2] = t->dims[0];
        break;
    case PACK_STACK:
        dims[0] = star ? star_rows : (t->dims[0] - n_starred * star_rows) / (t->sources - n_starred);
        break;
    case PACK_COLUMNS:
        dims[1] = dimension(config, t->part, t->line->columns);
        break;
    case PACK_REPEAT: /* [u C] from [C] */
        dims[0] = t->dims[0] / t->first_column;
        break;
    case PACK_BANK: /* [k,b,b] from [1,b,taps] */
        dims[0] = 1, dims[2] = dimension(config, t->part, t->line->columns);
        break;
    case PACK_UPSAMPLE: /* [k,u o,i] from [i,o,taps] */
        dims[0] = t->dims[2], dims[1] = t->dims[1] / t->first_column;
        dims[2] = dimension(config, t->part, t->line->columns);
        break;
    }
    source->elements = product(dims);
}

f5_status manifest_check_int8(const model_config *config, const char *where, f5_error *error) {
    for (int part = 0; part < PARTS; part++)
        for (int32_t i = 0; i < config->part[part]->n_lines; i++) {
            const part_line *line = &config->part[part]->lines[i];
            if (!line->scale || repetitions(config, part, line) == 0) continue;
            const manifest_tensor t = tensor_of(config, part, line, 0, &(manifest_types){0}, -1);
            if (t.dims[1] % WHOLE_WEIGHTS_MULTIPLE == 0) continue;
            return f5_fail(error, F5_E_UNSUPPORTED,
                           "%s: precision 'int8' needs rows of a multiple of %d numbers, those of \"%s\" have %lld",
                           where, WHOLE_WEIGHTS_MULTIPLE, t.name, (long long)t.dims[1]);
        }
    return F5_OK;
}

manifest_origin manifest_origin_of(int part) {
    return part == PART_VOCODER ? ORIGIN_VOCODER : ORIGIN_ACOUSTIC;
}

const char *manifest_witness(const model_part *part) {
    for (int32_t i = 0; i < part->n_lines; i++)
        if (part->lines[i].class == MATRIX) return part->lines[i].name;
    return NULL;
}

bool manifest_ignores(const model_config *config, manifest_origin origin, const char *key) {
    for (int part = 0; part < PARTS; part++) {
        if (manifest_origin_of(part) != origin) continue;
        for (const char *const *ignored = config->part[part]->ignored; ignored && *ignored; ignored++) {
            size_t length = strlen(*ignored), bytes = strlen(key);
            bool ends = **ignored == '*' && bytes >= length - 1;
            if (ends && strcmp(key + bytes - (length - 1), *ignored + 1) == 0) return true;
            bool below = (*ignored)[length - 1] == '.';
            if (below ? strncmp(key, *ignored, length) == 0 : strcmp(key, *ignored) == 0) return true;
        }
    }
    return false;
}
