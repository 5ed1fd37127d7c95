/* weight_norm.h — weights that torch keeps as a direction and a length, as the weights that they are.
 *
 *   w = g v / |v|      |v| over all dimensions but the first
 *
 * Old style: X.weight_g, X.weight_v. New style: X.parametrizations.weight.original0, original1. Both become X.weight.
 */
#ifndef F5_WEIGHT_NORM_H
#define F5_WEIGHT_NORM_H

#include "weights/convert/source.h"

/* Joins the pairs of the sorted tensors s->tensor, which is then in no order. *joined: how many. A half without its
 * other half stays as it is. A pair that does not fit is a tensor without a number, as one that is not read can be. */
f5_status weight_norm_join(source *s, int32_t *joined, f5_error *error);

/* v [elements] of the tensor, which has a gain, becomes w. */
void weight_norm_apply(const source_tensor *tensor, float *v);

#endif
