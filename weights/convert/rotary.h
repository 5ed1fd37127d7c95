/* rotary.h — the rotary frequencies that a checkpoint holds. A .f5 file has none: they are computed. */
#ifndef F5_CONVERT_ROTARY_H
#define F5_CONVERT_ROTARY_H

#include "weights/config.h"
#include "weights/convert/source.h"

/* F5_E_UNSUPPORTED: others than 10000^(-2i/64), with which the model would go wrong silently. A checkpoint without
 * passes. */
f5_status rotary_check(const source *from, f5_error *error);

/* Those of a 16-bit checkpoint are rounded: notes to what type in the configuration, by which they are computed as
 * upstream has them. After rotary_check. F5_E_FORMAT: there are none. F5_E_UNSUPPORTED: they are not the rounded ones,
 * or the backbone has no such setting. */
f5_status rotary_keep(const source *from, model_config *config, f5_error *error);

#endif
