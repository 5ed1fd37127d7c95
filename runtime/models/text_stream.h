/* text_stream.h — the text of an MMDiT (runtime/MODEL.md §5): a stream of its own, a row a token. Embedding and
 * positions, nothing more; its width is the backbone's. */
#ifndef F5_TEXT_STREAM_H
#define F5_TEXT_STREAM_H

#include "runtime/models/layers.h"

extern const model_part text_stream_part;

int32_t text_stream_dim(const model_config *config);

/* Upstream's table of positions [min(max_frames, 1024),D], for the backbone's list: its last row serves all later
 * tokens. */
extern const stage_table text_stream_positions_table;

/* y [T,D] from the ids of the input; pack has a row a token. positions is the table above. scratch [R,D], R the rows of
 * in->pack. */
f5_status text_stream_embed(const stage_context *c, const backbone_input *in, const f5_pack *pack,
                            const float *positions, float *scratch, float *y);

#endif
