/* config.h — the configuration of a model: its parts and their settings, their limits, and their form as JSON
 * (weights/FORMAT.md). */
#ifndef F5_CONFIG_H
#define F5_CONFIG_H

#include "weights/part.h"
#include "weights/rights.h"
#include "weights/safetensors.h"
#include "weights/vocab.h"

#define MODEL_FORMAT "f5tts"
#define MODEL_FORMAT_VERSION "2"
#define MODEL_CONFIG_TEXT 4096 /* bytes that always hold a configuration as JSON */

typedef enum { TOKENIZER_PINYIN, TOKENIZER_CHAR, TOKENIZER_BYTE, TOKENIZER_CUSTOM } tokenizer_kind;

enum { SPEECH_ANY_PRECISION, SPEECH_FP32, SPEECH_INT8 };

/* What a model asks for when it speaks. Speeds in percent. */
typedef struct {
    char normalize[16];       /* a language, or "none" */
    int32_t short_bytes;      /* texts of fewer bytes */
    int32_t short_speed;      /* are spoken at this speed */
    int32_t slowest, fastest; /* speeds that it does well: others are warned of */
    int32_t chunking;         /* 0, 1, 2: F5_CHUNKS_ of f5tts.h */
    int32_t precision;        /* SPEECH_, where the caller asks for none */
    int32_t method, steps;    /* of the solver, where the caller asks for none: F5_METHOD_; 0 steps: the usual ones */
} model_speech;

struct model_config {
    model_speech speech;
    model_rights rights; /* metadata of their own, no part of the JSON */
    char name[64];
    tokenizer_kind tokenizer;
    int32_t vocab_size; /* V; the embedding has V+1 rows */
    const model_part *part[PARTS];
    union {
        unsigned char bytes[PART_CONFIG_BYTES];
        int64_t align;
    } settings[PARTS]; /* each part's own struct */
};

/* The settings of a part, to be read as the part's own struct. */
static inline const void *config_of(const model_config *config, int part) {
    return config->settings[part].bytes;
}

/* The settings of a part by name: those of a part are numbers and flags. get gives `missing` for an unknown name; set
 * returns false for one. */
int32_t model_config_get(const model_config *config, int part, const char *field, int32_t missing);
bool model_config_set(model_config *config, int part, const char *field, int32_t value);

/* Makes the parts of these kinds the configuration's, every setting as a file that lacks it has it. F5_E_UNSUPPORTED:
 * no such kind; the message lists those that there are. */
f5_status model_config_parts(model_config *config, const part_catalogue *parts, const char *backbone,
                             const char *vocoder, const char *where, f5_error *error);

/* Every field within our limits and consistent. `where` names the file in messages. Errors: F5_E_UNSUPPORTED. */
f5_status model_config_check(const model_config *config, const char *where, f5_error *error);

/* Reads and checks the JSON object of a file of this format version, 1 or 2. F5_E_FORMAT, F5_E_MEMORY, and
 * F5_E_UNSUPPORTED as above. */
f5_status model_config_read(model_config *config, const part_catalogue *parts, int version, const char *text,
                            size_t bytes, const char *where, f5_error *error);

/* Writes the JSON object, terminated, into text, in the newest version. The configuration must have passed
 * model_config_check. */
void model_config_write(const model_config *config, char text[MODEL_CONFIG_TEXT]);

/* Declares all metadata entries of ours; vocab is not read for the byte tokenizer and may be NULL then. */
f5_status model_metadata_write(safetensors_writer *w, const model_config *config, const vocab *vocab, f5_error *error);

/* Copies the entries of a file that are none of ours, as others may have put there. */
f5_status model_metadata_copy_others(safetensors_writer *w, const safetensors *from, f5_error *error);

/* Reads and checks them; *version receives the file's. On failure *vocab is zeroed. Errors: F5_E_FORMAT,
 * F5_E_UNSUPPORTED, F5_E_MEMORY. */
f5_status model_metadata_read(const safetensors *st, const part_catalogue *parts, model_config *config, vocab *vocab,
                              int *version, const char *where, f5_error *error);

const char *tokenizer_name(tokenizer_kind kind);                  /* "pinyin", "char", "byte", "custom" */
bool tokenizer_from_name(tokenizer_kind *kind, const char *name); /* false: no such name, *kind unchanged */

#endif
