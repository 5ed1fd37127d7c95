/* part.h — a part of a model as files see it: its settings and its tensors.
 *
 * A model has three parts: a backbone, the text encoder that the backbone asks for, and a vocoder. Each is described by
 * one constant table, which the code that runs the part hands down (runtime/models/models.c lists them): weights/ reads
 * and writes files by these tables and knows no architecture. */
#ifndef F5_PART_H
#define F5_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/dtype.h"
#include "kernels/error.h"

enum { PART_BACKBONE, PART_TEXT, PART_VOCODER, PARTS };

#define PART_MAX_RANK 3
#define PART_CONFIG_BYTES 256 /* of the settings of any part */

typedef struct model_config model_config;
typedef struct upstream upstream; /* upstream's configuration file: weights/convert/upstream.h */

/* ---- settings ---------------------------------------------------------------------------------------------------- */

typedef enum { FIELD_INTEGER, FIELD_FLAG } field_kind;

/* One number or flag of a part. */
typedef struct {
    const char *name; /* in the part's object of the configuration */
    const char *flat; /* in a configuration of format version 1; NULL: not in version 1 */
    size_t offset;    /* in the part's settings: of an int32_t, or of a bool for a flag */
    field_kind kind;
    int32_t min, max;
    int32_t missing; /* the value where a file lacks the field */
} part_field;

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

/* How the .f5 tensor [dims] is made from its sources. */
typedef enum {
    PACK_COPY,      /* one source of the same shape */
    PACK_SQUEEZE,   /* source [1,1,C] -> [C], or [1,R,C] -> [R,C] */
    PACK_DEPTHWISE, /* source [C,1,k] -> [k,C], tap first */
    PACK_TAP_FIRST, /* source [o,i,k] -> [k,o,i] */
    PACK_STACK,     /* sources [rows_s, ...], rows one after another in source order */
    PACK_COLUMNS,   /* source [rows,columns]: columns first .. first + dims[1] - 1 */
    PACK_REPEAT,    /* source [C] -> [first C], `first` times */
    PACK_BANK,      /* a convolution [1,b,columns] over b bands whose values lie b samples apart, times b, as the
                       convolution [k, b, b] of b samples at a time: part_bank_tap */
    PACK_UPSAMPLE   /* a transposed convolution's [i,o,columns], stride `first`, padding (columns - first) / 2, as the
                       convolution of all its outputs [k, first o, i] that it is: k from part_upsample_taps */
} part_packing;

/* Output stride n + j of the transposed convolution takes tap t of input row n' where stride n' + t - padding is it:
 * row n + (j + padding - t) / stride. So many taps, an odd number with n in the middle, hold all of them; some of their
 * weights are zero. */
static inline int32_t part_upsample_taps(int32_t stride, int32_t taps) {
    const int32_t padding = (taps - stride) / 2;
    const int32_t after = (stride - 1 + padding) / stride, before = (taps - 1 - padding) / stride;
    return 2 * (after > before ? after : before) + 1;
}

/* Sample b n + j of a bank of `taps` taps, an odd number with the sample in the middle, takes tap t of each band's
 * value n + k - PART_BANK_TAPS / 2. t may be none of the taps: then it is zero. */
#define PART_BANK_TAPS(bands, taps) (2 * (((taps) / 2 + (bands)-1) / (bands)) + 1)
static inline int64_t part_bank_tap(int64_t bands, int64_t taps, int64_t k, int64_t j) {
    return taps / 2 - j + bands * (k - PART_BANK_TAPS(bands, taps) / 2);
}

/* PLAIN tensors are F32 wherever they lie, in a file and in memory, behind a `const float *`. MATRIX tensors have the
 * type that conversion and device choose, behind an f5_matrix; whole numbers have their scales beside them: a SCALE,
 * F32 [rows], which no line is for: one lies in a file where its matrix is stored in 8 bits, as "NAME.scale". */
typedef enum { PLAIN, MATRIX, SCALE } tensor_class;

/* One line a tensor, or a tensor of every block. A dimension is a number, or a symbol below zero that the part's
 * `dimension` knows; `repeat` and `star` are numbers that its `count` knows. */
typedef struct {
    const char *name; /* in the .f5 file; %d: the block */
    int16_t dims[PART_MAX_RANK];
    tensor_class class;
    part_packing packing;
    const char *keys; /* upstream's; %d: the block; '|' separates stacked sources; one '*' stands for `star` numbers;
                         NULL: the key is `name` */
    size_t address;   /* offset in the part's weights of the pointer to this tensor, of block 0 */
    size_t stride;    /* from block to block */
    size_t rounded; /* PLAIN: offset of a `const void *` to the same values in the operand type of a device with 16-bit
                       operands, of block 0; 0: none is made */
    size_t scale; /* MATRIX [rows,columns] that may lie in 8 bits: offset of a `const float *` to the scale of each row,
                     of block 0; 0: it never does */
    bool held_f32;          /* MATRIX that an op reads as F32, whatever the device computes in */
    int16_t repeat;         /* how many tensors: 0 stands for one */
    int16_t first, columns; /* PACK_COLUMNS: first column, columns of the source; PACK_REPEAT, PACK_UPSAMPLE,
                               PACK_BANK */
    int16_t star;           /* PACK_STACK: how many sources the '*' stands for */
    int16_t star_rows;      /* rows of each of them; the other sources share the rest */
    int16_t key_from;       /* the number that %d of the keys has for block 0; that of the name is 0 */
} part_line;

/* ---- a part ------------------------------------------------------------------------------------------------------ */

/* Whether a checkpoint has a tensor of this key. */
typedef bool (*upstream_has_key)(const void *user, const char *key);

typedef struct model_part model_part;
struct model_part {
    const char *kind;     /* "DiT": in our configuration */
    const char *upstream; /* "DiT", "vocos": in upstream's (model.backbone, mel_spec_type); NULL: it has no such part */
    const char *prefix;   /* what the names of its tensors begin with, "dit.": ends in a dot and is no other part's */
    const char *title;    /* for people: "transformer" */
    const part_field *fields;   /* [n_fields] */
    const part_line *lines;     /* [n_lines]; those of a backbone or vocoder have a MATRIX line, where there are any,
                                   and the first is of a tensor that every such part has: its type in a file is the
                                   type of all */
    const char *const *ignored; /* upstream keys that inference does not need, up to NULL; "x." stands for all below,
                                   "*x" for all that end so */
    int32_t n_fields, n_lines;
    size_t weights_bytes;
    bool in_checkpoint; /* of a vocoder: its tensors are in the backbone's checkpoint, its settings in the backbone's
                           configuration */
    const model_part *text; /* of a backbone: the text encoder that it asks for, never NULL; of others NULL */
    int64_t (*dimension)(const model_config *config, int16_t symbol);
    int32_t (*count)(const model_config *config, int16_t repeat);
    /* What limits of single fields cannot say; NULL: nothing. F5_E_UNSUPPORTED. */
    f5_status (*check)(const model_config *config, const char *where, f5_error *error);
    /* Fills the part's settings from upstream's configuration; failures stick to the reader. NULL: upstream has no such
     * part, and a conversion to it is refused. */
    void (*read_upstream)(upstream *from, model_config *config);
    /* What only the checkpoint says of the settings; NULL: nothing. Of a vocoder that is in_checkpoint. */
    void (*read_keys)(model_config *config, upstream_has_key has, const void *user);
    const char *symbols; /* of a text encoder whose vocabulary is no file of upstream's: characters in the order of
                            their ids, the last one of two that are alike counts; NULL: it is a file */
};

#define PART_FIELDS(table) .fields = (table), .n_fields = (int32_t)(sizeof(table) / sizeof *(table))
#define PART_LINES(table) .lines = (table), .n_lines = (int32_t)(sizeof(table) / sizeof *(table))

/* The parts that this build has. */
typedef struct {
    const model_part *const *backbones, *const *vocoders; /* each ends with NULL */
} part_catalogue;

#endif
