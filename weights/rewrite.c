/* rewrite.c — row by row, by way of F32. */
#include "weights/rewrite.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/whole.h"
#include "weights/match.h"
#include "weights/safetensors.h"

typedef struct {
    const model *m;
    rewrite_edit edit;
    void *user;
    const char *path;
    f5_error *error;
    manifest_tensor *list; /* [count] of the new file */
    int32_t count;
    float *row, *scales; /* [the longest row], [the most rows] */
    void *narrowed;      /* [the longest row] */
    safetensors_writer *writer;
} rewriter;

static int64_t rows_of(const manifest_tensor *t) {
    return t->rank == 1 ? 1 : t->dims[0];
}

static int64_t columns_of(const manifest_tensor *t) {
    return t->elements / rows_of(t);
}

static const float *numbers_of(const model *m, const manifest_tensor *t) {
    const char *at = (const char *)m->weights[t->part] + t->address;
    if (t->class == MATRIX) return ((const f5_matrix *)(const void *)at)->data;
    return *(const float *const *)(const void *)at;
}

/* Of scales, the matrix that they belong to. */
static const manifest_tensor *source_of(const rewriter *r, const manifest_tensor *t) {
    const manifest_tensor *source = t;
    for (int32_t i = 0; i < r->count && t->class == SCALE; i++)
        if (r->list[i].class == MATRIX && r->list[i].number == t->number) source = &r->list[i];
    return source;
}

static f5_status take_buffers(rewriter *r) {
    int64_t longest = 1, most = 1;
    for (int32_t i = 0; i < r->count; i++) {
        const int64_t rows = rows_of(&r->list[i]), columns = columns_of(&r->list[i]);
        if (columns > longest) longest = columns;
        if (rows > most) most = rows;
    }
    r->row = malloc((size_t)longest * sizeof *r->row);
    r->narrowed = malloc((size_t)longest * sizeof(float));
    r->scales = malloc((size_t)most * sizeof *r->scales);
    if (r->row && r->narrowed && r->scales) return F5_OK;
    return f5_fail(r->error, F5_E_MEMORY, "%s: out of memory", r->path);
}

static f5_status write_row(rewriter *r, const manifest_tensor *t, int64_t columns) {
    const int64_t bad = dtype(t->type)->narrow(r->narrowed, r->row, columns);
    if (bad >= 0)
        return f5_fail(r->error, F5_E_FORMAT, "%s: \"%s\" holds %g, too large for %s", r->path, t->name,
                       (double)r->row[bad], dtype(t->type)->name);
    return safetensors_writer_data(r->writer, r->narrowed, (size_t)columns * f5_dtype_bytes(t->type), r->error);
}

static f5_status write_tensor(rewriter *r, const manifest_tensor *t) {
    const manifest_tensor *source = source_of(r, t);
    const int64_t rows = rows_of(source), columns = columns_of(source);
    const float *from = numbers_of(r->m, source);
    for (int64_t i = 0; i < rows; i++) {
        memcpy(r->row, from + i * columns, (size_t)columns * sizeof *r->row);
        r->edit(r->user, source, i, r->row);
        if (source->type != F5_I8) {
            F5_TRY(write_row(r, t, columns));
            continue;
        }
        r->scales[i] = whole_row(r->row, (int32_t)columns, r->narrowed);
        if (t->class != SCALE) F5_TRY(safetensors_writer_data(r->writer, r->narrowed, (size_t)columns, r->error));
    }
    if (t->class != SCALE) return F5_OK;
    return safetensors_writer_data(r->writer, r->scales, (size_t)rows * sizeof *r->scales, r->error);
}

static f5_status write_file(rewriter *r) {
    const int64_t pinyin_bytes = (int64_t)r->m->pinyin_bytes;
    F5_TRY(take_buffers(r));
    F5_TRY(safetensors_writer_open(&r->writer, r->path, r->error));
    F5_TRY(model_metadata_write(r->writer, &r->m->config, &r->m->vocab, r->error));
    if (r->m->pinyin) F5_TRY(safetensors_writer_declare(r->writer, MATCH_PINYIN, ST_U8, 1, &pinyin_bytes, r->error));
    for (int32_t i = 0; i < r->count; i++) {
        const manifest_tensor *t = &r->list[i];
        F5_TRY(
            safetensors_writer_declare(r->writer, t->name, safetensors_dtype_of(t->type), t->rank, t->dims, r->error));
    }
    F5_TRY(safetensors_writer_begin(r->writer, r->error));
    if (r->m->pinyin) F5_TRY(safetensors_writer_data(r->writer, r->m->pinyin, r->m->pinyin_bytes, r->error));
    for (int32_t i = 0; i < r->count; i++) F5_TRY(write_tensor(r, &r->list[i]));
    return safetensors_writer_finish(r->writer, r->error);
}

f5_status model_rewrite(const model *m, manifest_types types, rewrite_edit edit, void *user, const char *path,
                        f5_error *error) {
    rewriter r = {.m = m, .edit = edit, .user = user, .path = path, .error = error};
    f5_status status = manifest_list(&m->config, types, &r.list, &r.count, error);
    if (status == F5_OK) status = write_file(&r);
    safetensors_writer_close(r.writer);
    free(r.list);
    free(r.row);
    free(r.narrowed);
    free(r.scales);
    return status;
}
