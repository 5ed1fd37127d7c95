/* layers.h — the layers that models share: their weights, the ConvNeXt block, the input embedding, time, RoPE. */
#ifndef F5_LAYERS_H
#define F5_LAYERS_H

#include "kernels/linear.h"
#include "kernels/norm.h"
#include "runtime/models/backbone.h"

typedef struct {
    f5_matrix w;           /* [out,in] */
    const float *b;        /* [out], NULL where there is none */
    const void *b_rounded; /* [out] b in the operand type, for products whose output has that type; NULL: not made */
    const float *scale;    /* [out] of the rows of an 8-bit w; NULL where w has another type */
} linear_weights;

typedef struct {
    const float *scale, *shift; /* [dim] weight and bias */
} norm_weights;

typedef struct {              /* C channels, F hidden */
    const float *dwconv_w;    /* [7,C] tap first */
    const float *dwconv_b;    /* [C] */
    norm_weights norm;        /* [C] */
    linear_weights pw1;       /* [F,C] */
    const float *grn_gamma;   /* [F], NULL without GRN */
    const float *grn_beta;    /* [F] */
    linear_weights pw2;       /* [C,F] */
    const float *layer_scale; /* [C], NULL without */
} convnext_weights;

/* Working memory of a ConvNeXt block, and its sizes. */
typedef struct {
    int32_t dim, hidden_dim;
    f5_dtype type;      /* of its matrix operands */
    void *normed;       /* [R,dim] type */
    void *hidden;       /* [R,hidden_dim] type */
    float *grn_scratch; /* [n_seq,hidden_dim], read with GRN only */
    float eps;          /* of the norm; 0: 1e-6 */
} convnext_buffers;

/* One block in place, x [R,dim] F32. With GRN where the weights have it, with a layer scale where they have one. */
f5_status convnext_block(const stage_context *c, const f5_pack *pack, const convnext_weights *w,
                         const convnext_buffers *b, float *x);

/* Upstream's projection of [x | cond | text] as three: cond and text do not change over the ODE. The three are small,
 * and F32 everywhere: the first reads the ODE state as it is. */
typedef struct {
    const float *x;             /* [D,100]; has no bias of its own */
    const float *cond;          /* [D,100] */
    const float *text;          /* [D,T]; NULL where the text is no part of the input */
    const float *bias;          /* [D] */
    f5_matrix conv_pos_w[2];    /* [31,D,D/16] tap first */
    const float *conv_pos_b[2]; /* [D] */
} input_weights;

/* Encodes the text and takes from the arena, for as long as the ODE lasts, the part of the input projection that stays
 * the same: base [R,dim] = cond W_c + text W_t + bias. positions: text_positions_table's. */
f5_status input_base(const stage_context *c, const backbone_input *in, const input_weights *w, int32_t dim,
                     const float *positions, float **base);

/* What a backbone with this embedding asks of a configuration: the widths of the convolutions and of the mel.
 * F5_E_UNSUPPORTED. */
f5_status input_check(const model_config *config, int32_t dim, const char *where, f5_error *error);

/* The part of the projection that the reference has: y [R,dim] = cond W_c + bias. */
f5_status input_cond(const stage_context *c, const f5_pack *pack, const input_weights *w, int32_t dim,
                     const float *cond, float *y);

/* Working memory of input_embed. */
typedef struct {
    const float *base; /* [R,D] of input_base */
    float *y;          /* [R,D] the result */
    void *rounded;     /* [R,D] operand type; not read where that is F32 */
    void *between;     /* [R,D] operand type: between the convolutions */
} input_buffers;

/* y = h + ConvPos(h), h = x W_x + base: the input of a backbone's blocks. x [R,100]. */
f5_status input_embed(const stage_context *c, const f5_pack *pack, const input_weights *w, int32_t dim, const float *x,
                      const input_buffers *b);

/* The time MLP of every F5 model: two products, SiLU between them. */
typedef struct {
    linear_weights first;  /* [D,256] */
    linear_weights second; /* [D,D] */
} time_weights;

/* y [n,dim] = last(MLP(features of times [n])), features as timestep.h says. Its place in traces is "schedule". */
f5_status time_embed(const stage_context *c, const time_weights *w, int32_t dim, const float *times, int32_t n,
                     linear_epilogue last, f5_rows y);

/* modulation rows y [n,width] = embedded [n,dim] w^T + bias, where embedded is SiLU of what time_embed gave, in the
 * operand type. The weights alone may lie in 8 bits: rows are few, and every row of frames reads them. */
f5_status time_modulation(const stage_context *c, const char *label, const linear_weights *w, int32_t dim,
                          const void *embedded, int32_t n, int32_t width, float *y);

/* Has this product of a block operands of 8 bits? Each has its own kind, and in an engine of 8 bits all but those that
 * the file has as wide. */
static inline bool product_int8(const linear_weights *w) {
    return w->w.type == F5_I8;
}

/* The operand of a block's product where that is in 8 bits. */
typedef struct {
    int8_t *whole; /* [rows,dim] */
    float *scale;  /* [rows] */
} int8_rows;

/* Takes them from the arena for operands as wide as these; nothing where the engine is none of 8 bits. */
int8_rows block_rows(const stage_context *c, size_t rows, size_t dim, size_t ff_dim);

/* The product `a` of a backbone's block, which lacks w and its biases: as it is, or where w is in 8 bits of the rows
 * `x`. */
f5_status block_product(const stage_context *c, const char *label, const linear_weights *w, const int8_rows *x,
                        linear_args a);

/* Rows x [rows,dim] of the operand type into y, where the product that reads them, of the weights `reader`, is in 8
 * bits. */
f5_status block_quantize(const stage_context *c, const char *label, const linear_weights *reader, int32_t rows,
                         int32_t dim, const void *x, const int8_rows *y);

/* A transformer block's products. D is the width of the stream, H the heads, F the width of the feed-forward. */
typedef struct {
    linear_weights qkv;  /* [3*H*64,D] to_q, to_k, to_v stacked */
    linear_weights out;  /* [D,H*64] */
    linear_weights ff1;  /* [F,D] */
    linear_weights ff2;  /* [D,F] */
    const float *q_norm; /* [64], NULL without qk_norm */
    const float *k_norm; /* [64] */
} block_weights;

typedef struct {
    int32_t dim, heads, ff_dim; /* D, H, F */
    int32_t rope_heads;         /* heads rotated */
    int32_t max_position;       /* rows of rope */
    const float *rope;          /* [max_position,32,2] rope_table's */
} block_shape;

/* The rows that pass through the blocks, and the working memory of a block. */
typedef struct {
    const f5_pack *pack;
    float *h;       /* [R,D] residual stream */
    void *qkv;      /* [R,3,H,64] operand type, as all below */
    void *attended; /* [R,H,64] */
    void *hidden;   /* [R,F] */
    int8_rows x8;   /* [R, the widest of D, H*64, F] what a product reads, where that is in 8 bits */
} block_stream;

/* What a backbone of such blocks says of its widths. */
void block_widths(int32_t dim, int32_t heads, int32_t ff_dim, int64_t *activation, int64_t *product);

/* A block is: block_norm, block_qkv, block_attention, block_add of attended; block_norm, block_hidden, block_add of
 * hidden. */

/* normed [R,D] = the norm `a` of h, which lacks x, y and the sizes; in 8 bits instead where the product of the weights
 * `reader` is. NULL: the reader is none of a block's. */
f5_status block_norm(const stage_context *c, const block_shape *s, const block_stream *b, const char *label,
                     norm_args a, void *normed, const linear_weights *reader);

/* qkv = normed w^T, rotated unless a norm of q and k comes before. */
f5_status block_qkv(const stage_context *c, const block_shape *s, const block_stream *b, const block_weights *w,
                    const void *normed);

/* attended = the attention of qkv, whose norms and rotation it does where block_qkv did not. */
f5_status block_attention(const stage_context *c, const block_shape *s, const block_stream *b, const block_weights *w);

/* hidden = GELU(normed w^T) */
f5_status block_hidden(const stage_context *c, const block_shape *s, const block_stream *b, const block_weights *w,
                       const void *normed);

/* h += gate (x w^T + bias), x [R,in] being attended or hidden. gate [D], or NULL for 1. also [R,D]: h once more in the
 * operand type, or NULL; NULL where the product is in 8 bits. */
f5_status block_add(const stage_context *c, const block_shape *s, const block_stream *b, const char *label,
                    const void *x, int32_t in, const linear_weights *w, const float *gate, void *also);

/* RoPE's table [max_frames + 1,32,2], for the backbone's list: a sequence may have a row beside its frames. */
extern const stage_table rope_table;

#endif
