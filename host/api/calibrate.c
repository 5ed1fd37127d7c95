/* calibrate.c — f5_calibration_*: runtime/calibration.h with the caller's structs checked. */
#include <string.h>

#include "host/api/f5tts.h"
#include "host/api/params.h"
#include "kernels/dtype.h"
#include "runtime/calibration.h"
#include "runtime/models/models.h"

static calibration *inside(f5_calibration *c) {
    return (calibration *)(void *)c;
}

f5_status f5_calibration_open(const char *model_path, f5_calibration **opened, f5_error *error) {
    calibration *c;
    if (!opened) return f5_fail(error, F5_E_ARGUMENT, "calibration is NULL: pass where to put the handle");
    *opened = NULL;
    if (!model_path) return f5_fail(error, F5_E_ARGUMENT, "model_path is NULL: give a .f5 file");
    F5_TRY(calibration_open(&c, &models_catalogue, model_path, error));
    *opened = (f5_calibration *)(void *)c;
    return F5_OK;
}

void f5_calibration_trace(void *c, const char *op, const char *label, const float *data, int64_t rows, int64_t cols,
                          double milliseconds) {
    calibration_take(c, op, label, data, rows, cols, milliseconds);
}

static f5_status read_params(f5_calibration_params *p, const f5_calibration_params *from, f5_dtype *vocoder,
                             f5_error *error) {
    f5_calibration_params_init(p);
    F5_TRY(params_read(p, sizeof *p, from, "f5_calibration_params", error));
    if (!p->output_path)
        return f5_fail(error, F5_E_ARGUMENT, "f5_calibration_params.output_path is NULL: name the file");
    if (!(p->most_error >= 0 && p->most_error <= 1))
        return f5_fail(error, F5_E_ARGUMENT, "most_error is %g: must be 0 to 1", (double)p->most_error);
    if (p->vocoder_matrices && dtype_from_name(vocoder, p->vocoder_matrices) && *vocoder != F5_I8) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "vocoder_matrices is none of fp32, fp16 and bf16");
}

static void tell(const f5_calibration_params *p, const calibrated *product) {
    f5_calibrated_product told;
    f5_calibrated_product_init(&told);
    told.product = product->label;
    told.error = product->plain;
    told.calibrated_error = product->smoothed;
    told.scaled = product->power > 0 && !product->wide;
    told.wide = product->wide;
    p->product(p->product_user, &told);
}

f5_status f5_calibration_write(f5_calibration *c, const f5_calibration_params *params, f5_error *error) {
    f5_calibration_params p;
    f5_dtype vocoder;
    int32_t n;
    if (!c) return f5_fail(error, F5_E_ARGUMENT, "calibration is NULL");
    F5_TRY(read_params(&p, params, &vocoder, error));
    F5_TRY(calibration_decide(inside(c), p.most_error, error));
    const calibrated *product = calibration_products(inside(c), &n);
    for (int32_t i = 0; i < n && p.product; i++) tell(&p, &product[i]);
    return calibration_write(inside(c), vocoder, p.output_path, error);
}

void f5_calibration_close(f5_calibration *c) {
    calibration_close(inside(c));
}
