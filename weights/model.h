/* model.h — what a loaded .f5 file is: configuration, vocabulary, and a pointer to every tensor.
 *
 * Matrices (const void *) are `type`; vectors, tables and depthwise kernels are F32 always. All pointers stay valid
 * until model_close; on the CPU an fp32 file's tensors are read in place from the mapping, other types are widened
 * once. .f5 names stand beside each pointer; %d is the block. Linear weights are [out,in]. */
#ifndef F5_MODEL_H
#define F5_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/dtype.h"
#include "kernels/error.h"
#include "weights/vocab.h"

#define MODEL_MAX_DEPTH 64
#define MODEL_MAX_TEXT_BLOCKS 16
#define MODEL_MAX_VOCOS_LAYERS 32

typedef enum { TOKENIZER_PINYIN, TOKENIZER_CHAR, TOKENIZER_BYTE, TOKENIZER_CUSTOM } tokenizer_kind;

typedef struct {
    char name[64];
    tokenizer_kind tokenizer;
    int32_t dim;          /* D, % 64 == 0 not required; % 16 == 0 is (conv_pos) */
    int32_t depth;        /* blocks */
    int32_t heads;        /* H; inner width H*64 */
    int32_t ff_dim;       /* F = dim * ff_mult */
    int32_t text_dim;     /* T */
    int32_t text_blocks;  /* ConvNeXt V2 blocks; 0: embedding only, no positions */
    int32_t vocab_size;   /* V; the embedding has V+1 rows */
    int32_t pe_attn_head; /* heads rotated; -1: all */
    bool text_mask_padding, qk_norm, long_skip, text_average_upsampling;
    /* vocoder */
    int32_t vocos_dim, vocos_ff_dim, vocos_layers;
    bool vocos_same_padding;
} model_config;

typedef struct {
    const void *w;         /* [out,in] */
    const float *b;        /* [out], NULL where there is none */
    const void *b_as_type; /* [out] b in the type of w, for products with outputs of that type; NULL: not made */
} linear_weights;

typedef struct {
    const float *scale, *shift; /* [dim] weight and bias */
} norm_weights;

typedef struct { /* text.blocks.%d. or vocos.blocks.%d. ;  C = text_dim or vocos_dim, F = 2C or vocos_ff_dim */
    const float *dwconv_w;    /* [7,C] dwconv.weight, tap first */
    const float *dwconv_b;    /* [C] dwconv.bias */
    norm_weights norm;        /* [C] norm.weight, norm.bias */
    linear_weights pw1;       /* [F,C] pw1.weight, pw1.bias */
    const float *grn_gamma;   /* [F] grn.gamma (text only, else NULL) */
    const float *grn_beta;    /* [F] grn.beta */
    linear_weights pw2;       /* [C,F] pw2.weight, pw2.bias */
    const float *layer_scale; /* [C] layer_scale (vocos only, else NULL) */
} convnext_weights;

typedef struct {         /* dit.blocks.%d. */
    linear_weights qkv;  /* [3*H*64,D] qkv.weight, qkv.bias: to_q, to_k, to_v stacked */
    linear_weights out;  /* [D,H*64] out.weight, out.bias */
    linear_weights ff1;  /* [F,D] */
    linear_weights ff2;  /* [D,F] */
    const float *q_norm; /* [64] q_norm, NULL without qk_norm */
    const float *k_norm; /* [64] k_norm */
} dit_block_weights;

typedef struct {
    linear_weights time1;        /* [D,256] dit.time.0.weight, .bias */
    linear_weights time2;        /* [D,D]   dit.time.1.weight, .bias */
    const float *text_embedding; /* [V+1,T] text.embedding */
    convnext_weights text_block[MODEL_MAX_TEXT_BLOCKS];
    linear_weights input_x;     /* [D,100] F32 dit.input.x.weight; no bias of its own */
    linear_weights input_cond;  /* [D,100] F32 dit.input.cond.weight; .b = dit.input.bias [D] */
    linear_weights input_text;  /* [D,T]   F32 dit.input.text.weight; .b = dit.input.bias [D] too */
    const void *conv_pos_w[2];  /* [31,D,D/16] dit.conv_pos.%d.weight, tap first */
    const float *conv_pos_b[2]; /* [D] dit.conv_pos.%d.bias */
    linear_weights modulation;  /* [(6*depth+2)*D, D] dit.modulation.weight: per block shift_a, scale_a, gate_a,
                                   shift_m, scale_m, gate_m; at the end scale, shift of the exit */
    dit_block_weights block[MODEL_MAX_DEPTH];
    const void *long_skip_x;  /* [D,D] dit.long_skip.x.weight: left half, multiplies x; NULL without */
    const void *long_skip_x0; /* [D,D] dit.long_skip.x0.weight: right half, multiplies x0 */
    linear_weights proj_out;  /* [100,D] dit.proj_out.weight, .bias */
} dit_weights;

typedef struct {          /* C = vocos_dim; F32 always */
    const float *embed_w; /* [7,C,100] vocos.embed.weight, tap first */
    const float *embed_b; /* [C] vocos.embed.bias */
    norm_weights norm;    /* vocos.norm.weight, .bias */
    convnext_weights block[MODEL_MAX_VOCOS_LAYERS];
    norm_weights final_norm; /* vocos.final_norm.weight, .bias */
    linear_weights head;     /* [1026,C] vocos.head.weight, .bias */
} vocos_weights;

typedef struct {
    model_config config;
    vocab vocab;
    f5_dtype type;      /* of the matrices of dit as held in memory; vocos is F32 there */
    f5_dtype file_type; /* of the same as stored */
    dit_weights dit;
    vocos_weights vocos;
    int64_t parameters;  /* elements in the file */
    size_t weight_bytes; /* held in memory: mapped or widened */
    void *mapping;       /* the file; private */
    size_t mapping_bytes;
    void *widened; /* one allocation for what could not be used in place; private */
} model;

/* Maps and checks a .f5 file. Every tensor must be there with the shape the configuration gives, and none unknown.
 * Errors: F5_E_IO, F5_E_FORMAT, F5_E_UNSUPPORTED, F5_E_MEMORY; *m is then closed. */
f5_status model_open(model *m, const char *path, f5_error *error);           /* matrices in F32, for the CPU */
f5_status model_open_as_stored(model *m, const char *path, f5_error *error); /* in the file's type, to be uploaded */
void model_close(model *m);                                                  /* safe on a zeroed or closed model */

#endif
