/* model_defaults.c — what a model asks for is written into its file: a new file with another header and the same data
 * takes the old one's place. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/api/params.h"
#include "runtime/models/models.h"
#include "weights/match.h"

enum { MOST_EVALUATIONS = 64 }; /* of an engine opened as usual */

typedef struct {
    safetensors file;
    model_config config;
    vocab vocab;
    const safetensors_tensor **in_order; /* [file.count] as their data lie in the file */
    safetensors_writer *writer;
} rewriting;

static int by_place(const void *left, const void *right) {
    const safetensors_tensor *a = *(const safetensors_tensor *const *)left,
                             *b = *(const safetensors_tensor *const *)right;
    if (a->data != b->data) return (const char *)a->data < (const char *)b->data ? -1 : 1;
    return (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

static f5_status read_defaults(model_speech *speech, const f5_model_defaults *d, f5_error *error) {
    const int32_t evaluations_a_step = d->method == F5_METHOD_MIDPOINT ? 2 : 1;
    if (d->method < F5_METHOD_EULER || d->method > F5_METHOD_AB2)
        return f5_fail(error, F5_E_ARGUMENT, "method is %d: F5_METHOD_EULER 0, F5_METHOD_MIDPOINT 1, F5_METHOD_AB2 2",
                       d->method);
    if (d->nfe < 0 || d->nfe > MOST_EVALUATIONS / evaluations_a_step)
        return f5_fail(error, F5_E_ARGUMENT, "nfe is %d: must be 0 to %d with this method", d->nfe,
                       MOST_EVALUATIONS / evaluations_a_step);
    speech->method = d->nfe > 0 ? d->method : F5_METHOD_EULER;
    speech->steps = d->nfe;
    speech->precision = SPEECH_ANY_PRECISION;
    if (!d->precision) return F5_OK;
    speech->precision = strcmp(d->precision, "int8") == 0 ? SPEECH_INT8 : SPEECH_FP32;
    if (speech->precision == SPEECH_INT8 || strcmp(d->precision, "fp32") == 0) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "precision '%s': a model asks for 'fp32', 'int8' or none", d->precision);
}

static f5_status write_file(rewriting *r, const char *path, f5_error *error) {
    F5_TRY(safetensors_writer_open(&r->writer, path, error));
    F5_TRY(model_metadata_write(r->writer, &r->config, &r->vocab, error));
    F5_TRY(model_metadata_copy_others(r->writer, &r->file, error));
    for (int32_t i = 0; i < r->file.count; i++) {
        const safetensors_tensor *t = r->in_order[i];
        F5_TRY(safetensors_writer_declare(r->writer, t->name, t->dtype, t->rank, t->dims, error));
    }
    F5_TRY(safetensors_writer_begin(r->writer, error));
    for (int32_t i = 0; i < r->file.count; i++)
        F5_TRY(safetensors_writer_data(r->writer, r->in_order[i]->data, r->in_order[i]->bytes, error));
    if (file_stamp_changed(&r->file.stamp))
        return f5_fail(error, F5_E_IO, "%s: was written to while it was read: nothing was changed", path);
    return safetensors_writer_finish(r->writer, error);
}

static f5_status rewrite(rewriting *r, const char *path, const f5_model_defaults *d, f5_error *error) {
    int version;
    tensor_match match;
    F5_TRY(safetensors_open(&r->file, path, error));
    F5_TRY(model_metadata_read(&r->file, &models_catalogue, &r->config, &r->vocab, &version, path, error));
    F5_TRY(match_tensors(&match, &r->config, &r->file, path, error));
    match_free(&match);
    F5_TRY(read_defaults(&r->config.speech, d, error));
    if (r->config.speech.precision == SPEECH_INT8) F5_TRY(manifest_check_int8(&r->config, path, error));
    r->in_order = malloc((size_t)r->file.count * sizeof *r->in_order);
    if (!r->in_order) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", path);
    for (int32_t i = 0; i < r->file.count; i++) r->in_order[i] = &r->file.tensors[i];
    qsort(r->in_order, (size_t)r->file.count, sizeof *r->in_order, by_place);
    return write_file(r, path, error);
}

/* Of a link, what it names is changed. */
static f5_status change(rewriting *r, const char *file, const f5_model_defaults *d, f5_error *error) {
    if (access(file, W_OK) != 0) return f5_fail(error, F5_E_IO, "%s: cannot be changed: %s", file, strerror(errno));
    return rewrite(r, file, d, error);
}

f5_status f5_set_model_defaults(const char *path, const f5_model_defaults *defaults, f5_error *error) {
    if (!path) return f5_fail(error, F5_E_ARGUMENT, "path is NULL: give a .f5 file");
    f5_model_defaults d;
    f5_model_defaults_init(&d);
    F5_TRY(params_read(&d, sizeof d, defaults, "f5_model_defaults", error));
    rewriting r = {0};
    char *file = realpath(path, NULL);
    f5_status status =
        file ? change(&r, file, &d, error) : f5_fail(error, F5_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    safetensors_writer_close(r.writer);
    free(r.in_order);
    vocab_free(&r.vocab);
    safetensors_close(&r.file);
    free(file);
    return status;
}
