/* text_rows.h — moving text rows about: zero the filler, or spread the text over the frames.
 *
 * TEXT_ROWS_MASK      y[r] = keep[r] ? x[r] : 0                                  y may be x
 * TEXT_ROWS_UPSAMPLE  the n kept rows of a sequence of N are repeated in order to fill it: floor(N/n) times each,
 *                     the last N mod n of them once more; n = 0 gives zeros.     y may not overlap x
 * All F32. Source: F5-TTS TextEmbedding.average_upsample_text_by_mask. */
#ifndef F5_TEXT_ROWS_H
#define F5_TEXT_ROWS_H

#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { TEXT_ROWS_MASK = 0, TEXT_ROWS_UPSAMPLE } text_rows_mode;

typedef struct text_rows_args {
    const f5_pack *pack;
    int32_t dim;
    text_rows_mode mode;
    const uint8_t *keep; /* [rows] */
    const float *x;      /* [rows,dim] */
    float *y;            /* [rows,dim] */
} text_rows_args;

#ifdef __cplusplus
}
#endif
#endif
