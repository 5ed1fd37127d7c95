/* model.h — what a loaded .f5 file is: configuration, vocabulary, and for each part a struct of pointers to its
 * tensors.
 *
 * The structs are the parts' own (runtime/models); part.h says what lies behind a pointer. All pointers stay valid
 * until model_close. On the CPU the tensors of an fp32 file are read in place from the mapping; other types are widened
 * once. Linear weights are [out,in]. */
#ifndef F5_MODEL_H
#define F5_MODEL_H

#include "weights/config.h"
#include "weights/file_stamp.h"
#include "weights/manifest.h"

typedef struct {
    model_config config;
    vocab vocab;
    int format_version;        /* of the file */
    f5_precision held;         /* matrices as they lie in memory; the vocoder's are F32 there */
    manifest_types file_types; /* the same as stored */
    void *weights[PARTS];      /* each part's own struct of pointers */
    int64_t parameters;        /* elements in the file */
    size_t weight_bytes;       /* held in memory: mapped or widened */
    const void *pinyin;        /* the tables for Chinese at a multiple of 64 bytes, unread; NULL: none */
    size_t pinyin_bytes;
    void *mapping; /* the file; private */
    size_t mapping_bytes;
    file_stamp stamp; /* of the file */
    void *widened;    /* one allocation for what could not be used in place; private */
} model;

/* Does an engine of this model compute in 8 bits where nobody asks for a precision? What the file has as wide is then
 * as the other operands. */
static inline bool model_asks_int8(const model *m) {
    const int32_t wanted = m->config.speech.precision;
    return wanted == SPEECH_ANY_PRECISION ? m->file_types.int8 : wanted == SPEECH_INT8;
}

/* Maps and checks a .f5 file. Every tensor must be there with the shape the configuration gives, and none unknown.
 * Errors: F5_E_IO, F5_E_FORMAT, F5_E_UNSUPPORTED, F5_E_MEMORY; *m is then closed. */
f5_status model_open(model *m, const part_catalogue *parts, const char *path, f5_error *error); /* matrices in F32 */
f5_status model_open_int8(model *m, const part_catalogue *parts, const char *path,
                          f5_error *error); /* those that may lie in 8 bits do, others in F32 */
f5_status model_open_for_cpu(model *m, const part_catalogue *parts, const char *path,
                             f5_error *error); /* as the file has it: matrices in F32, or likewise */
f5_status model_open_as_stored(model *m, const part_catalogue *parts, const char *path,
                               f5_error *error); /* in the file's type, to be uploaded */
void model_close(model *m);                      /* safe on a zeroed or closed model */

/* F5_E_IO if the file was written to since it was opened: what is mapped is then another model. One fstat. */
f5_status model_check_unchanged(const model *m, const char *path, f5_error *error);

/* A model with weight structs of its own and everything else of `m`, which must stay open: for the same tensors in
 * another place. F5_E_MEMORY. */
f5_status model_twin(model *twin, const model *m, f5_error *error);
void model_twin_free(model *twin); /* safe on a zeroed one */

/* A twin for a plan, which reads no tensor: pointers are m's, types what these would be held in. */
f5_status model_twin_held(model *twin, const model *m, f5_precision held, f5_error *error);

/* The type that a tensor has in a model's memory. */
f5_dtype model_held_type(f5_precision held, const manifest_tensor *t);

/* Makes the part's pointer to the scales of the tensor's rows this. */
void model_place_scale(model *m, const manifest_tensor *t, const float *scale);

/* Makes the part's pointer to the tensor, and its type where it has one, these. */
void model_place(model *m, const manifest_tensor *t, const void *data, f5_dtype type);

#endif
