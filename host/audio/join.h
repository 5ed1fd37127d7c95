/* join.h — chunks of speech become one output: each is faded over the end of what came before, by upstream's rule
 * (infer_batch_process in f5_tts/infer/utils_infer.py).
 *
 * The overlap is min(fade, all that was joined before, the next chunk): a chunk shorter than the fade lies wholly over
 * the end, and the next one fades over both. So the last `fade` samples of the joined output are held back until it is
 * known what follows; whether chunks come one by one or all at once, the samples are the same. Pure; no allocation. */
#ifndef F5_JOIN_H
#define F5_JOIN_H

#include <stdint.h>

typedef struct {
    float *tail;  /* [fade] the memory of what is held back: the caller's */
    int64_t fade; /* samples */
    int64_t held; /* of the tail's samples */
} join;

/* Adds a chunk [n], of which the first samples become the overlap. What need not be held back any longer lies in the
 * chunk itself: its first *ready samples, which come next in the output. */
void join_add(join *j, float *samples, int64_t n, int64_t *ready);

/* No chunk follows: the tail's samples, *n of them, come next in the output. They live until the next join_add, and are
 * the caller's to change. */
float *join_end(join *j, int64_t *n);

/* Fades the first n samples in from silence, or the last n out to it. */
void join_fade_in(float *samples, int64_t n);
void join_fade_out(float *samples, int64_t n);

#endif
