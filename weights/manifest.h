/* manifest.h — every tensor of a configuration: what a .f5 file holds, from which upstream keys, packed how, read into
 * which pointer. The parts' tables have one line a tensor (part.h); manifest_list writes them out, in file order:
 *
 *   manifest_tensor *list;
 *   int32_t count;
 *   F5_TRY(manifest_list(&config, types, &list, &count, error));
 *   for (int32_t i = 0; i < count; i++)
 *       for (int32_t s = 0; s < list[i].sources; s++) {
 *           manifest_source source;
 *           manifest_source_at(&config, &list[i], s, &source);   // upstream key and shape it must have
 *           ...                                                  // read, convert, pack as list[i].packing says
 *       }
 *   free(list);
 *
 * File order keeps every tensor 16-byte aligned where the shapes allow: sizes that are multiples of 64 bytes come
 * first, then multiples of 16, then the rest. A .f5 file is read by name, so the order is not part of the format. */
#ifndef F5_MANIFEST_H
#define F5_MANIFEST_H

#include "weights/config.h"

typedef enum {
    ORIGIN_ACOUSTIC, /* the checkpoint of backbone and text encoder */
    ORIGIN_VOCODER,
    ORIGINS
} manifest_origin;

#define MANIFEST_MAX_WHOLE 1024 /* matrices of a configuration that may lie in 8 bits: a DiT's are 257 at most */

/* How a file stores its matrices. */
typedef struct {
    f5_dtype matrices; /* of backbone and text encoder */
    f5_dtype vocoder;
    bool int8; /* those that may lie in 8 bits do so instead, with their scales, but for the wide ones */
    uint64_t wide[MANIFEST_MAX_WHOLE / 64]; /* a bit for each matrix that may, by its number: it stays as the others */
} manifest_types;

/* Makes the matrix with this number wide. false: there is none. */
bool manifest_set_wide(manifest_types *types, int32_t number);

typedef struct {
    char name[64];               /* in the .f5 file */
    int32_t rank;                /* 1 .. 3 */
    int64_t dims[PART_MAX_RANK]; /* of the .f5 tensor, 1 beyond rank */
    int64_t elements;
    tensor_class class;
    f5_dtype type; /* as stored */
    size_t bytes;  /* as stored */
    int part;
    part_packing packing;
    int64_t first_column; /* `first` of its line: PACK_COLUMNS, PACK_REPEAT, PACK_UPSAMPLE; else 0 */
    int32_t sources;      /* 1, or more for PACK_STACK */
    size_t address;       /* offset in the part's weights of the pointer to this tensor */
    size_t rounded;       /* offset of the pointer to its copy in the operand type; 0: none */
    size_t scale;   /* MATRIX: offset of the pointer to its rows' scales where it lies in 8 bits; 0: it never does */
    int32_t number; /* among the matrices that may lie in 8 bits, in the tables' order; -1: it is none */
    bool wide;      /* one of these that stays as the others, in a file of 8 bits and in an engine of them */
    bool held_f32;  /* as its line */
    const part_line *line; /* private */
    int32_t index;         /* of the block this tensor belongs to; private */
} manifest_tensor;

typedef struct {
    char key[128]; /* upstream's, without "ema_model." */
    int32_t rank;
    int64_t dims[PART_MAX_RANK]; /* the shape it must have */
    int64_t elements;
} manifest_source;

/* Lists every tensor of the configuration (which model_config_check has passed), matrices stored as `types` says.
 * *list is one allocation, the caller's to free. Errors: F5_E_MEMORY. */
f5_status manifest_list(const model_config *config, manifest_types types, manifest_tensor **list, int32_t *count,
                        f5_error *error);

/* Source s of t, 0 <= s < t->sources. */
void manifest_source_at(const model_config *config, const manifest_tensor *t, int32_t s, manifest_source *source);

/* Can all matrices that may lie in 8 bits do so? F5_E_UNSUPPORTED names one whose rows are no multiple of 64 wide. */
f5_status manifest_check_int8(const model_config *config, const char *where, f5_error *error);

/* The checkpoint that a part's tensors come from. */
manifest_origin manifest_origin_of(int part);

/* A tensor that every model with this part has, and whose type in a file is that of all the part's matrices; NULL of a
 * part without tensors. */
const char *manifest_witness(const model_part *part);

/* True for an upstream tensor that inference does not need (rotary tables, mel filters, counters): the converter drops
 * it without a word. A key that is neither a source nor ignored means that the configuration does not fit the file. */
bool manifest_ignores(const model_config *config, manifest_origin origin, const char *key);

#endif
