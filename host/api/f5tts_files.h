/* f5tts_files.h — a part of f5tts.h, which is what to include: model files are made of upstream's checkpoints, and
 * described. */
#ifndef F5TTS_FILES_H
#define F5TTS_FILES_H

/* A .f5 file, opened for its description: headers are read and checked, weights are not. The strings of a description
 * live until f5_model_file_close. Any thread may ask. */
typedef struct f5_model_file f5_model_file;
f5_status f5_describe(const char *path, f5_model_file **file, f5_error *error);
void f5_model_file_close(f5_model_file *file); /* NULL is fine */

typedef struct {
    size_t size;
    const char *name, *backbone, *vocoder, *tokenizer; /* as in f5_engine_info */
    const char *precision, *vocoder_precision;         /* of the matrices as stored: "fp32", "fp16", "bf16", "int8" */
    int32_t format_version;
    int32_t settings, parts, tensors, tokens; /* how many of each are described below */
    int64_t parameters, bytes;                /* of all tensors; the tables for Chinese are bytes alone */
    int64_t pinyin_bytes;                     /* of these; 0: Chinese text is refused by pinyin and custom */
    const char *default_precision;            /* of f5_model_defaults, as the next two */
    int32_t default_method, default_nfe;
    int32_t sample_rate, mel_bands;       /* of its speech, of its mel */
    int32_t one_voice, reads_phonemes;    /* as in f5_engine_info */
    int32_t int8_matrices, wide_matrices; /* of a file in 8 bits: in these, and in 16 though they might be in 8 */
    const char *license, *credit;         /* as the file says them, one line each without control characters; "": it
                                             says nothing */
} f5_model_info;
F5_STRUCT_INIT(f5_model_info)
f5_status f5_model_file_info(const f5_model_file *file, f5_model_info *info, f5_error *error);

/* Would f5_open take these of the file? They are as in f5_open_params; "cuda" need not be here. F5_E_ARGUMENT: a word
 * is unknown. F5_E_UNSUPPORTED: the device, or the model, does not compute so. */
f5_status f5_model_file_check(const f5_model_file *file, const char *device, const char *precision,
                              const char *vocoder_precision, f5_error *error);

/* What a model asks for where its caller does not: of f5_open, and of the solver where `sample` is NULL. */
typedef struct {
    size_t size;
    const char *precision; /* "fp32", "int8"; NULL (default): what suits the device and the file */
    int32_t method, nfe;   /* F5_METHOD_, and steps, of at most 64 evaluations; nfe 0 (default): the usual ones */
} f5_model_defaults;
F5_STRUCT_INIT(f5_model_defaults)

/* Writes them into a model file, in place of those that it has: whole, or not at all; its data stay as they are.
 * Engines that have it open are not disturbed. F5_E_UNSUPPORTED: this model cannot run in that precision. */
f5_status f5_set_model_defaults(const char *path, const f5_model_defaults *defaults, f5_error *error);

/* A setting of the model: "backbone.dim" is "1024". A setting of no part, as "tokenizer", has no dot. */
typedef struct {
    size_t size;
    const char *name, *value;
    int32_t is_text; /* 0: a number, true or false */
} f5_model_setting;
F5_STRUCT_INIT(f5_model_setting)
f5_status f5_model_file_setting(const f5_model_file *file, int32_t i, f5_model_setting *setting, f5_error *error);

/* A part of the model: all tensors whose names begin with its name and a dot. */
typedef struct {
    size_t size;
    const char *name, *title; /* "dit", "transformer" */
    int32_t tensors;
    int64_t parameters, bytes;
} f5_model_part;
F5_STRUCT_INIT(f5_model_part)
f5_status f5_model_file_part(const f5_model_file *file, int32_t i, f5_model_part *part, f5_error *error);

typedef struct {
    size_t size;
    const char *name, *type; /* "F32", "F16", "BF16" */
    int32_t rank;            /* 0 .. 8 */
    int64_t dims[8];         /* [rank] */
    int64_t elements, bytes;
} f5_model_tensor;
F5_STRUCT_INIT(f5_model_tensor)
f5_status f5_model_file_tensor(const f5_model_file *file, int32_t i, f5_model_tensor *tensor, f5_error *error);

typedef struct {
    size_t size;
    const char *text; /* [bytes] UTF-8, not terminated */
    int64_t bytes;
} f5_model_token;
F5_STRUCT_INIT(f5_model_token)
f5_status f5_model_file_token(const f5_model_file *file, int32_t id, f5_model_token *token, f5_error *error);

/* A value of a configuration file, which the caller has parsed: the library reads no YAML. This struct never grows. */
typedef struct {
    const char *path;  /* "model.arch.dim"; an item of a list is "path[0]" */
    const char *value; /* of a scalar, as it is written; NULL: a mapping or a list */
    int32_t quoted;    /* 1: written in quotes or as a block, and so always a text */
} f5_setting;

/* Upstream's files into one .f5 file. Paths that are named in comments only are upstream's names of these files. */
typedef struct {
    size_t size;
    const f5_setting *config; /* [n_config] of F5TTS_v1_Base.yaml */
    int32_t n_config;
    const char *config_path;          /* its name in messages; the output must not overwrite that file */
    const f5_setting *vocoder_config; /* [n_vocoder_config] of config.yaml of vocos-mel-24khz */
    int32_t n_vocoder_config;
    const char *vocoder_config_path;
    const char *checkpoint_path;  /* .safetensors or .pt */
    const char *vocoder_path;     /* pytorch_model.bin, or a .safetensors of the same keys */
    const char *vocab_path;       /* vocab.txt; NULL for the byte tokenizer only */
    const char *output_path;      /* appears when it is complete */
    const char *name;             /* of the model; NULL (default): model.name of the configuration */
    const char *matrices;         /* how matrices are stored: "fp32" (default), "fp16", "bf16", "int8" */
    const char *vocoder_matrices; /* the same of the vocoder's; default "fp32" */
    int (*progress)(void *user, int32_t tensor, int32_t tensors); /* or NULL; non-zero cancels */
    void *progress_user;
    const char *pinyin_path; /* the tables for Chinese text, pinyin.bin: they go into models with the pinyin or custom
                                tokenizer and are not looked at for others. NULL (default): without, such a model
                                refuses Chinese */
    const char *normalize;   /* what the model asks for when it speaks: "en"; NULL (default): nothing */
    float short_speed;       /* the speed of texts of fewer than 10 bytes; 0 (default): 0.3, as upstream */
    const char *weights;   /* of a checkpoint that holds both: "ema" (default), the averaged ones, or "model", those of
                              training. One that holds one set gives that one */
    const char *lora_path; /* a folder with PEFT's adapter_config.json and adapter_model.safetensors or .bin, merged
                              into the weights; NULL (default): none */
    float lora_scale;      /* multiplies what the adapter changes; default 1 */
    int32_t stored_rotary; /* 1: RoPE's frequencies are rounded as the checkpoint's are, as upstream has them, for a
                              comparison with it; default 0: exact */
    const char *license;   /* what users of the weights are told, in at most 255 bytes of UTF-8 on one line without
                              control characters: "MIT"; NULL (default): nothing */
    const char *credit;    /* whom to name, and for what, in at most 1023 bytes likewise; NULL (default): nobody */
} f5_convert_params;
F5_STRUCT_INIT(f5_convert_params)

typedef struct {
    size_t size;
    int32_t tensors;
    int64_t parameters, bytes;                    /* of all tensors written */
    char checkpoint_types[64], vocoder_types[64]; /* number types met there: "float32" */
    char weights[16];                             /* "ema", "model"; "": the checkpoint does not say which it holds */
    int32_t other_weights;                        /* 1: it holds the other ones too */
    int32_t merged;                               /* weights that the adapter changed */
    int32_t repeated_tokens;                      /* lines of the vocabulary that a later one repeats */
    int32_t unspoken_tokens; /* tokens without a row in the checkpoint's embedding, and so dropped */
    char unspoken[64];       /* some of them, each after a space */
} f5_convert_summary;
F5_STRUCT_INIT(f5_convert_summary)

/* summary may be NULL. Checkpoints are mapped, and one tensor at a time is in memory. */
f5_status f5_convert(const f5_convert_params *params, f5_convert_summary *summary, f5_error *error);

/* What f5_convert checks of output_path before all else: it is none of the files that are read. */
f5_status f5_convert_check_output(const f5_convert_params *params, f5_error *error);

/* ---- 8 bits, by measure
 *
 * What the products of a model's blocks lose in 8 bits, on speech that it makes; and a file in which those that lose
 * too much stay in 16:
 *
 *   f5_calibration_open(path, &c, &error);       a model file with matrices in fp32
 *   ... an engine of the same file, with precision "fp32", trace f5_calibration_trace and trace_user c, speaks ...
 *   f5_calibration_write(c, &params, &error);    decides, tells, writes
 *   f5_calibration_close(c);
 */
typedef struct f5_calibration f5_calibration;

typedef struct {
    size_t size;
    const char *product;    /* "dit.3.qkv", as in a trace; during the call only */
    float error;            /* relative L2 of its output in 8 bits against itself in fp32 */
    float calibrated_error; /* the same where the file scales the channels of its operand; else equal */
    int32_t scaled;         /* 1: it does */
    int32_t wide;           /* 1: it stays in 16 bits, and unscaled */
} f5_calibrated_product;
F5_STRUCT_INIT(f5_calibrated_product)

typedef struct {
    size_t size;
    const char *output_path;      /* appears when it is complete */
    const char *vocoder_matrices; /* as in f5_convert_params; default "fp32" */
    float most_error;             /* a product that loses more stays in 16 bits; default 0.03 */
    void (*product)(void *user, const f5_calibrated_product *product); /* NULL, or told of each */
    void *product_user;
} f5_calibration_params;
F5_STRUCT_INIT(f5_calibration_params)

/* F5_E_UNSUPPORTED: this model has no products in 8 bits. F5_E_ARGUMENT: it is in 8 bits already. All of them allocate.
 */
f5_status f5_calibration_open(const char *model_path, f5_calibration **calibration, f5_error *error);
/* For one engine's trace; what it met before a failed write counts on. */
void f5_calibration_trace(void *calibration, const char *op, const char *label, const float *data, int64_t rows,
                          int64_t cols, double milliseconds);
/* F5_E_ARGUMENT: a product was not met, or an engine of 8 bits was traced; F5_E_FORMAT: a product met or gave a number
 * that is not finite. */
f5_status f5_calibration_write(f5_calibration *calibration, const f5_calibration_params *params, f5_error *error);
void f5_calibration_close(f5_calibration *calibration); /* NULL is fine */

#endif
