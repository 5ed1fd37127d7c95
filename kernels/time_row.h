/* time_row.h — a row in front of every sequence, or that row taken away again: E2-TTS gives time as row 0 of its text.
 *
 * TIME_ROW_PUT    y of a sequence = [row; its x]      a sequence of y is one row longer than that of x
 * TIME_ROW_DROP   y of a sequence = its x from row 1  a sequence of y is one row shorter than that of x
 *
 * An empty sequence is empty in both packs. x, row and y are F32 and apart. Packs that do not fit each other are
 * F5_E_ARGUMENT in the reference. Source: F5-TTS UNetT.forward. */
#ifndef F5_TIME_ROW_H
#define F5_TIME_ROW_H

#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { TIME_ROW_PUT = 0, TIME_ROW_DROP } time_row_mode;

typedef struct time_row_args {
    const f5_pack *pack;   /* of x */
    const f5_pack *y_pack; /* of y; has the slots of pack */
    int32_t dim;
    time_row_mode mode;
    const float *x;   /* [rows of pack,dim] */
    const float *row; /* [dim] (PUT) */
    float *y;         /* [rows of y_pack,dim] */
} time_row_args;

#ifdef __cplusplus
}
#endif
#endif
