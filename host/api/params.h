/* params.h — sized parameter structs of the public API, in and out. */
#ifndef F5_PARAMS_H
#define F5_PARAMS_H

#include <stddef.h>

#include "host/api/f5tts.h"
#include "runtime/request.h"

/* Defines NAME_init_sized of the public struct NAME; the defaults follow, as for an initialiser. No byte beyond the
 * caller's idea of the struct is written, and what we do not know of it is zero. */
#define PARAMS_INIT(name, ...)                                                                                         \
    void name##_init_sized(name *to, size_t size) {                                                                    \
        params_init(to, size, &(const name){__VA_ARGS__}, sizeof(name));                                               \
    }
void params_init(void *to, size_t to_size, const void *defaults, size_t size);

/* Copies a caller's struct over defaults, as far as both sides know it. F5_E_ARGUMENT names the struct. */
f5_status params_read(void *to, size_t to_size, const void *from, const char *name, f5_error *error);

/* Copies a result into a caller's struct, all but its size. */
f5_status params_write(void *to, const void *from, size_t from_size, const char *name, f5_error *error);

/* Solver settings of the public struct, unchecked. */
f5_status solver_read(synth_solver *solver, const f5_sample_params *params, f5_error *error);

#endif
