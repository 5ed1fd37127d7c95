/* packing.h — how a tensor of a .f5 file is made of one of its sources. */
#ifndef F5_PACKING_H
#define F5_PACKING_H

#include "weights/manifest.h"

/* values [from->elements] -> packed, as to->packing says; returns how many elements were written. */
int64_t packing_apply(float *packed, const float *values, const manifest_tensor *to, const manifest_source *from);

#endif
