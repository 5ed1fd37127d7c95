/* models.h — the backbones and vocoders that this build has. */
#ifndef F5_MODELS_H
#define F5_MODELS_H

#include "weights/part.h"

extern const part_catalogue models_catalogue;

#endif
