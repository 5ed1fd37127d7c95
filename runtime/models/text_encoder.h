/* text_encoder.h — F5's text encoder: a part that several backbones ask for. */
#ifndef F5_TEXT_ENCODER_H
#define F5_TEXT_ENCODER_H

#include "runtime/models/layers.h"

#define TEXT_MAX_BLOCKS 16
#define TEXT_MAX_POSITIONS 8192 /* rows of upstream's position table */

typedef struct {
    int32_t dim;    /* T */
    int32_t blocks; /* ConvNeXt V2 blocks; 0: embedding only, no positions */
    bool mask_padding, average_upsampling;
} text_config;

typedef struct {
    const float *embedding; /* [V+1,T] */
    convnext_weights block[TEXT_MAX_BLOCKS];
} text_weights;

extern const model_part text_encoder_part;

static inline const text_config *text_config_of(const model_config *config) {
    return config_of(config, PART_TEXT);
}

/* The table of positions [min(max_frames, TEXT_MAX_POSITIONS),T], for the backbone's list; none without blocks. */
extern const stage_table text_positions_table;

/* Most frames of a sequence that its positions allow. */
int32_t text_max_frames(const model_config *config);

/* Text features of every branch: y [R,T] from ids [R] (shifted by one, 0 = filler) and keep [R] (1 = text). positions
 * is the table above. */
f5_status text_encode(const stage_context *c, const f5_pack *pack, const float *positions, const int32_t *ids,
                      const uint8_t *keep, float *y);

#endif
