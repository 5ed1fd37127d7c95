/* time_row.h — rows in front of every sequence or behind it: E2-TTS gives time as row 0, Flow-Matching-TTS has its text
 * in front of the frames. k is how many rows the two packs' sequences differ by. take_rows.h takes them away again.
 *
 * TIME_ROW_PUT    y of a sequence = [row, k times; its x]
 * TIME_ROW_AFTER  y of a sequence = [its x; row, k times]
 *
 * A sequence of y is as long as that of x or longer. x, row and y are F32 and apart; row NULL is zeros. Packs that do
 * not fit each other are F5_E_ARGUMENT in the reference. Source: F5-TTS UNetT.forward; Flow-Matching-TTS
 * FlowMatchingTransformer.forward. */
#ifndef F5_TIME_ROW_H
#define F5_TIME_ROW_H

#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { TIME_ROW_PUT = 0, TIME_ROW_AFTER } time_row_mode;

typedef struct time_row_args {
    const f5_pack *pack;   /* of x */
    const f5_pack *y_pack; /* of y; has the slots of pack */
    int32_t dim;
    time_row_mode mode;
    const float *x;   /* [rows of pack,dim] */
    const float *row; /* [dim] or NULL */
    float *y;         /* [rows of y_pack,dim] */
} time_row_args;

#ifdef __cplusplus
}
#endif
#endif
