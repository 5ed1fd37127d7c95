/* packing.c — a source tensor as a .f5 file has it: part_packing of weights/part.h, one function a kind. */
#include "weights/convert/packing.h"

#include <string.h>

/* in [o,i,k] -> out [k,o,i]; a depthwise kernel is the case i = 1. */
static void pack_tap_first(float *out, const float *in, int64_t pairs, int64_t taps) {
    for (int64_t p = 0; p < pairs; p++)
        for (int64_t k = 0; k < taps; k++) out[k * pairs + p] = in[p * taps + k];
}

static void pack_columns(float *out, const float *in, int64_t rows, int64_t columns, int64_t first, int64_t kept) {
    for (int64_t r = 0; r < rows; r++) memcpy(out + r * kept, in + r * columns + first, (size_t)kept * sizeof *out);
}

/* in [i,o,taps] -> out [k, stride o, i], as part_upsample_taps says. */
static void pack_upsample(float *out, const float *in, const manifest_tensor *to, const manifest_source *from) {
    const int64_t inputs = from->dims[0], outputs = from->dims[1], taps = from->dims[2], stride = to->first_column;
    for (int64_t k = 0; k < to->dims[0]; k++)
        for (int64_t j = 0; j < stride; j++) {
            const int64_t tap = j + (taps - stride) / 2 - (k - to->dims[0] / 2) * stride;
            for (int64_t o = 0; o < outputs; o++, out += inputs)
                for (int64_t i = 0; i < inputs; i++)
                    out[i] = tap >= 0 && tap < taps ? in[(i * outputs + o) * taps + tap] : 0.0f;
        }
}

/* in [1,b,taps] -> out [k,b,b], as part_bank_tap says. */
static void pack_bank(float *out, const float *in, const manifest_tensor *to, const manifest_source *from) {
    const int64_t bands = from->dims[1], taps = from->dims[2];
    for (int64_t k = 0; k < to->dims[0]; k++)
        for (int64_t j = 0; j < bands; j++, out += bands) {
            const int64_t tap = part_bank_tap(bands, taps, k, j);
            for (int64_t b = 0; b < bands; b++)
                out[b] = tap >= 0 && tap < taps ? (float)bands * in[b * taps + tap] : 0.0f;
        }
}

int64_t packing_apply(float *packed, const float *values, const manifest_tensor *to, const manifest_source *from) {
    switch (to->packing) {
    case PACK_DEPTHWISE:
    case PACK_TAP_FIRST:
        pack_tap_first(packed, values, from->dims[0] * from->dims[1], from->dims[2]);
        return from->elements;
    case PACK_COLUMNS:
        pack_columns(packed, values, from->dims[0], from->dims[1], to->first_column, to->dims[1]);
        return to->elements;
    case PACK_REPEAT:
        for (int64_t i = 0; i < to->elements; i++) packed[i] = values[i % from->elements];
        return to->elements;
    case PACK_UPSAMPLE:
        pack_upsample(packed, values, to, from);
        return to->elements;
    case PACK_BANK:
        pack_bank(packed, values, to, from);
        return to->elements;
    case PACK_COPY:
    case PACK_SQUEEZE:
    case PACK_STACK:
        break;
    }
    memcpy(packed, values, (size_t)from->elements * sizeof *packed);
    return from->elements;
}
