/* take_rows.h — the first rows, or the last, of every sequence as rows of a pack of their own.
 *
 * TAKE_FIRST  y of a sequence = its x from the first row on
 * TAKE_LAST   y of a sequence = its x up to the last row
 *
 * y_pack says how many. x and y are `type` (the reference's F32), and apart. Packs of other slots, or a sequence of y
 * longer than that of x, are F5_E_ARGUMENT in the reference. Source: F5-TTS JointAttnProcessor, where the joint
 * attention's rows go back to their streams; UNetT.forward, where time's row goes. */
#ifndef F5_TAKE_ROWS_H
#define F5_TAKE_ROWS_H

#include "kernels/dtype.h"
#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { TAKE_FIRST = 0, TAKE_LAST } take_rows_mode;

typedef struct take_rows_args {
    const f5_pack *pack;   /* of x */
    const f5_pack *y_pack; /* of y; has the slots of pack */
    int32_t dim;
    take_rows_mode mode;
    const void *x; /* [rows of pack,dim] type */
    void *y;       /* [rows of y_pack,dim] type */
    f5_dtype type;
} take_rows_args;

#ifdef __cplusplus
}
#endif
#endif
