/* dtype.h — every fact about a number type, once: its names, its size, how it becomes F32 and is made of it. */
#ifndef F5_DTYPE_H
#define F5_DTYPE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Number type of matrix operands. Statistics, angles and the ODE state are always F32. F5_I8 are whole numbers from
 * -127 to 127 that mean nothing without a scale, which is F32 and lies beside them: one for each row. */
typedef enum { F5_F32 = 0, F5_F16 = 1, F5_BF16 = 2, F5_I8 = 3 } f5_dtype;

#define DTYPES 4

typedef struct {
    const char *name;   /* "fp32": in options and in f5tts info */
    const char *stored; /* "F32": in a safetensors header */
    uint32_t bytes;     /* of an element */
    /* from [n] of this type, aligned to nothing -> to [n] F32, exact */
    void (*widen)(float *to, const void *from, int64_t n);
    /* from [n] F32 -> to [n] of this type, rounded to nearest even. The result is the index of the first element that
     * is not finite in this type, or beyond 127 in F5_I8; -1 when there is none. */
    int64_t (*narrow)(void *to, const float *from, int64_t n);
} dtype_info;

const dtype_info *dtype(f5_dtype type);
bool dtype_from_name(f5_dtype *type, const char *name); /* "fp16"; false: no such name, *type unchanged */

/* An operand that is read, with its type: a matrix of weights, or rows of activations. */
typedef struct {
    const void *data;
    f5_dtype type;
} f5_matrix;

/* Rows that are written, with their type. */
typedef struct {
    void *data;
    f5_dtype type;
} f5_rows;

/* Which type numbers have by the role they play in a model. */
typedef struct {
    f5_dtype operands; /* of the matrix products of backbone and text encoder: weights and activations alike */
    f5_dtype residual; /* the residual stream and what is added to it */
    f5_dtype vocoder;  /* of the vocoder's convolutions: weights and activations */
    bool int8;         /* the products of a backbone's blocks have 8-bit operands instead */
} f5_precision;

static inline unsigned f5_dtype_bytes(f5_dtype type) {
    return type == F5_F32 ? 4u : type == F5_I8 ? 1u : 2u;
}

#ifdef __cplusplus
}
#endif
#endif
