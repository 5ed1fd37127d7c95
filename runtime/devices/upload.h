/* upload.h — a model's tensors on a device that cannot read host memory. */
#ifndef F5_UPLOAD_H
#define F5_UPLOAD_H

#include "runtime/devices/device.h"
#include "weights/model.h"

/* Copies every tensor of `stored` (opened as stored) to the device, matrices in the device's precision, and makes
 * *placed its twin with device pointers; the configuration and vocabulary are shared with `stored`, which must stay
 * open. *memory is the one device allocation, the caller's to release. *bytes is its size.
 * Errors: F5_E_MEMORY, F5_E_DEVICE. */
f5_status model_upload(device *d, const model *stored, model *placed, void **memory, size_t *bytes, f5_error *error);

#endif
