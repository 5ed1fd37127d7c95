/* safetensors.h — read and write .safetensors containers.
 *
 *   8 bytes    n, little-endian
 *   n bytes    header: a JSON object, name -> {dtype, shape, data_offsets}, and __metadata__: string -> string
 *   the rest   data: every byte belongs to exactly one tensor
 * Source: the format description of huggingface/safetensors. The file may come from anyone: everything the header says
 * is checked against the file and the limits below before it is used.
 *
 * The file is mapped; a file that another process truncates while it is mapped ends this one with SIGBUS, as any
 * mapping does. Little-endian machines only. */
#ifndef F5_SAFETENSORS_H
#define F5_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/dtype.h"
#include "kernels/error.h"
#include "weights/file_stamp.h"
#include "weights/json.h"

#define SAFETENSORS_MAX_HEADER_BYTES (16 << 20)
#define SAFETENSORS_MAX_TENSORS 65536
#define SAFETENSORS_MAX_RANK 8
#define SAFETENSORS_MAX_NAME_BYTES 512

typedef enum { ST_F32, ST_F16, ST_BF16, ST_F64, ST_I64, ST_I32, ST_U8, ST_I8, ST_BOOL, ST_DTYPES } safetensors_dtype;

size_t safetensors_dtype_size(safetensors_dtype dtype);
const char *safetensors_dtype_name(safetensors_dtype dtype); /* "F32", ... as in the header */
safetensors_dtype safetensors_dtype_of(f5_dtype type);
bool safetensors_number_type(safetensors_dtype stored, f5_dtype *type); /* false: none of ours, *type unchanged */

typedef struct {
    const char *name; /* terminated; holds no NUL byte */
    safetensors_dtype dtype;
    int32_t rank;                       /* 0 (a scalar) .. 8 */
    int64_t dims[SAFETENSORS_MAX_RANK]; /* [rank], each >= 0 */
    int64_t elements;
    size_t bytes;
    const void *data; /* in the mapping; aligned to nothing: check or memcpy */
} safetensors_tensor;

typedef struct {
    const char *key, *value; /* terminated; hold no NUL byte */
    size_t value_bytes;
} safetensors_text;

typedef struct {
    safetensors_tensor *tensors; /* [count] sorted by name (strcmp) */
    int32_t count;
    safetensors_text *metadata; /* [metadata_count] in file order */
    int32_t metadata_count;
    void *mapping; /* private from here on */
    size_t mapping_bytes;
    file_stamp stamp;     /* of what is mapped */
    json_document header; /* owns the strings */
} safetensors;

/* Maps path read-only and checks all of it but the data. On failure *st is zeroed.
 * Errors: F5_E_IO, F5_E_FORMAT, F5_E_UNSUPPORTED (a dtype we do not know, a limit above), F5_E_MEMORY. */
f5_status safetensors_open(safetensors *st, const char *path, f5_error *error);
void safetensors_close(safetensors *st); /* safe on a zeroed or closed one */

const safetensors_tensor *safetensors_find(const safetensors *st, const char *name);  /* NULL: none */
const safetensors_text *safetensors_metadata(const safetensors *st, const char *key); /* NULL: none */

/* ---- writing: declare everything, begin, stream the data in the order declared, finish.
 * The data goes to a file that takes the name `path` only at finish, after fsync, so that a reader never sees half a
 * file. Until then it has no name, and nothing is left of a process that is ended; on file systems without such files
 * it has a temporary name beside `path`. A file that it replaces keeps its permissions, and its owner and group as far
 * as this process may give files away. The data section starts at a multiple of 64 bytes (the header is padded with
 * spaces). */
typedef struct safetensors_writer safetensors_writer;

f5_status safetensors_writer_open(safetensors_writer **w, const char *path, f5_error *error);
f5_status safetensors_writer_metadata(safetensors_writer *w, const char *key, const char *value, size_t value_bytes,
                                      f5_error *error);
f5_status safetensors_writer_declare(safetensors_writer *w, const char *name, safetensors_dtype dtype, int32_t rank,
                                     const int64_t *dims, f5_error *error);
f5_status safetensors_writer_begin(safetensors_writer *w, f5_error *error);
f5_status safetensors_writer_data(safetensors_writer *w, const void *data, size_t bytes, f5_error *error);
f5_status safetensors_writer_finish(safetensors_writer *w, f5_error *error); /* F5_E_ARGUMENT if data is missing */
void safetensors_writer_close(safetensors_writer *w); /* removes the temporary if not finished; NULL is fine */

#endif
