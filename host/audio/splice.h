/* splice.h — generated sound in place of stretches of a recording. What is kept is the recording's own samples; at each
 * border the generated side begins or ends with a short cross-fade, in which the recording goes on under it, so that
 * nothing jumps. Pure functions. */
#ifndef F5_SPLICE_H
#define F5_SPLICE_H

#include <stdint.h>

#define SPLICE_JOIN 360 /* samples of a cross-fade: 15 ms */

/* Recording samples [from,to) give way to made >= 2*SPLICE_JOIN new ones. */
typedef struct {
    int64_t from, to, made;
} splice_edit;

/* Edits are in order, inside [0,n], without overlap. */
int64_t splice_samples(int64_t n, const splice_edit *edits, int32_t n_edits);

/* recording [n]; generated [splice_samples()] on the output's own time, read inside edits only; out [splice_samples()].
 * Edits that touch share no border: nothing of the recording stands between them. */
void splice(const float *recording, int64_t n, const float *generated, const splice_edit *edits, int32_t n_edits,
            float *out);

#endif
