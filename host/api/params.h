/* params.h — sized parameter structs of the public API, in and out. */
#ifndef F5_PARAMS_H
#define F5_PARAMS_H

#include <stddef.h>

#include "host/api/f5tts.h"
#include "kernels/error.h"
#include "runtime/request.h"
#include "weights/config.h"

/* Copies a caller's struct over defaults, as far as both sides know it. F5_E_ARGUMENT names the struct. */
f5_status params_read(void *to, size_t to_size, const void *from, const char *name, f5_error *error);

/* The same of element i of a caller's array, whose stride is the caller's idea of the struct's size; i goes up from 0.
 */
f5_status params_read_at(void *to, size_t to_size, const void *array, int32_t i, const char *name, f5_error *error);

/* Copies a result into a caller's struct, all but its size. */
f5_status params_write(void *to, const void *from, size_t from_size, const char *name, f5_error *error);

/* Solver settings of the public struct, unchecked. */
f5_status solver_read(synth_solver *solver, const f5_sample_params *params, f5_error *error);

/* The same; where params is NULL, those that the model asks for. */
f5_status solver_of_model(synth_solver *solver, const f5_sample_params *params, const model_config *model,
                          f5_error *error);

#endif
