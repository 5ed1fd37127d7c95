/* calibration.h — what a trained model's products lose in 8 bits, measured on speech; how much less where the columns
 * of their operands are scaled; and a model file that has what was decided.
 *
 *   F5_TRY(calibration_open(&c, path, error));           // matrices in fp32
 *   ... an engine of the same file speaks in fp32, with trace calibration_take and trace_user c ...
 *   F5_TRY(calibration_decide(c, most, error));
 *   F5_TRY(calibration_write(c, vocoder, path, error));
 *
 * A row of an operand has one scale, so a channel that is far larger than the others takes the bits from these. Where
 * channel j is divided by s_j, and column j of the weights multiplied by it, the product stays what it was
 * (SmoothQuant, Xiao and others 2023):
 *
 *   s_j = (max |x_j|)^a / (max |w_j|)^(1 - a)      over the rows of x that were met, and the rows of w
 *
 * The division costs nothing where what makes the operand is scaled channel by channel anyway: backbone.h says by what.
 * Of no factors and those of several a, what loses least is taken. What loses more than `most` then stays in 16 bits,
 * without factors. Lost is the relative L2 of the product's output, on rows drawn evenly from all that were met. */
#ifndef F5_CALIBRATION_H
#define F5_CALIBRATION_H

#include "runtime/request.h"
#include "weights/model.h"

typedef struct calibration calibration;

typedef struct {
    char label[32];        /* "dit.3.qkv", as a trace has it */
    float plain, smoothed; /* lost as it is; and with the best factors, the same where there are none */
    float power;           /* a of these factors; 0: none are better */
    bool wide;             /* it stays in 16 bits */
} calibrated;

/* Errors: those of model_open; F5_E_UNSUPPORTED: this backbone has no products in 8 bits, or not with these widths. */
f5_status calibration_open(calibration **c, const part_catalogue *parts, const char *path, f5_error *error);

/* An engine_trace_fn: c is the calibration. From one thread at a time. */
void calibration_take(void *c, const char *op, const char *label, const float *data, int64_t rows, int64_t cols,
                      double milliseconds);

/* Errors: F5_E_ARGUMENT: a product was not met; F5_E_FORMAT: one met a number that is not finite; F5_E_MEMORY. */
f5_status calibration_decide(calibration *c, float most, f5_error *error);

/* [*n] by block. */
const calibrated *calibration_products(const calibration *c, int32_t *n);

/* The model in 8 bits, as was decided: other matrices in fp16, the vocoder's in `vocoder`. Errors: model_rewrite's. */
f5_status calibration_write(const calibration *c, f5_dtype vocoder, const char *path, f5_error *error);

void calibration_close(calibration *c); /* NULL is fine */

#endif
