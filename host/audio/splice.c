/* splice.c — kept and generated sound one behind the other, with a short cross-fade at each border. */
#include "host/audio/splice.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

int64_t splice_samples(int64_t n, const splice_edit *edits, int32_t n_edits) {
    for (int32_t i = 0; i < n_edits; i++) n += edits[i].made - (edits[i].to - edits[i].from);
    return n;
}

/* The recording, silent outside its samples. */
static float at(const float *recording, int64_t n, int64_t i) {
    return i >= 0 && i < n ? recording[i] : 0;
}

/* How loud the generated side is at sample i of a fade: rising, slow at both ends, never 0 or 1. */
static float rise(int64_t i) {
    double s = sin(1.57079632679489662 * (double)(i + 1) / (SPLICE_JOIN + 1));
    return (float)(s * s);
}

void splice(const float *recording, int64_t n, const float *generated, const splice_edit *edits, int32_t n_edits,
            float *out) {
    int64_t read = 0, written = 0; /* of the recording, of the output */
    for (int32_t e = 0; e < n_edits; e++) {
        const int64_t kept = edits[e].from - read, made = edits[e].made;
        memcpy(out + written, recording + read, (size_t)kept * sizeof *out);
        written += kept;
        read = edits[e].to;
        float *new = out + written;
        memcpy(new, generated + written, (size_t)made * sizeof *out);
        const bool joins_before = kept > 0;
        const bool joins_after = e + 1 < n_edits ? edits[e + 1].from > read : read < n;
        for (int64_t i = 0; i < SPLICE_JOIN && joins_before; i++)
            new[i] = at(recording, n, edits[e].from + i) * (1 - rise(i)) + new[i] * rise(i);
        for (int64_t i = 0; i < SPLICE_JOIN && joins_after; i++) {
            float *sample = new + made - 1 - i;
            *sample = at(recording, n, read - 1 - i) * (1 - rise(i)) + *sample * rise(i);
        }
        written += made;
    }
    memcpy(out + written, recording + read, (size_t)(n - read) * sizeof *out);
}
