/* params.c — sized structs in and out, and the defaults of every public struct in one place. */
#include "host/api/params.h"

#include <string.h>

/* ---- defaults */

static void init(void *to, size_t to_size, const void *defaults, size_t size) {
    if (!to || to_size < sizeof to_size) return;
    memset(to, 0, to_size);
    memcpy(to, defaults, to_size < size ? to_size : size);
    memcpy(to, &to_size, sizeof to_size);
}

/* Defines NAME_init_sized. No byte beyond the caller's idea of the struct is written, and a field that this library
 * does not know is zero. */
#define DEFAULTS(name, ...)                                                                                            \
    void name##_init_sized(name *to, size_t size) {                                                                    \
        init(to, size, &(const name){__VA_ARGS__}, sizeof(name));                                                      \
    }

DEFAULTS(f5_open_params, .device = "auto", .max_frames = 4096, .max_batch = 8, .max_evaluations = 64,
         .max_text_bytes = 1 << 20, .languages = "en,zh")
DEFAULTS(f5_engine_info, .size = 0)
DEFAULTS(f5_plan_info, .size = 0)
DEFAULTS(f5_plan_op, .size = 0)
DEFAULTS(f5_plan_ops_params, .sequences = 1)
DEFAULTS(f5_sample_params, SOLVER_DEFAULTS)
DEFAULTS(f5_sample_request, .size = 0)
DEFAULTS(f5_vocode_request, .size = 0)
DEFAULTS(f5_voice_params, .sample_rate = F5_SAMPLE_RATE, .channels = 1, .target_rms = 0.1f)
DEFAULTS(f5_speak_params, .chunking = F5_CHUNKS_MODEL, .cross_fade = 0.15f)
DEFAULTS(f5_speak_voice, .size = 0)
DEFAULTS(f5_said, .size = 0)
DEFAULTS(f5_speak_stats, .size = 0)
DEFAULTS(f5_edit_params, .sample_rate = F5_SAMPLE_RATE, .channels = 1, .target_rms = 0.1f)
DEFAULTS(f5_level, .size = 0)
DEFAULTS(f5_model_info, .size = 0)
DEFAULTS(f5_model_setting, .size = 0)
DEFAULTS(f5_model_part, .size = 0)
DEFAULTS(f5_model_tensor, .size = 0)
DEFAULTS(f5_model_token, .size = 0)
DEFAULTS(f5_model_defaults, .size = 0)
DEFAULTS(f5_convert_params, .matrices = "fp32", .vocoder_matrices = "fp32", .weights = "ema", .lora_scale = 1)
DEFAULTS(f5_convert_summary, .size = 0)
DEFAULTS(f5_calibrated_product, .size = 0)
DEFAULTS(f5_calibration_params, .vocoder_matrices = "fp32", .most_error = 0.03f)

/* ---- in and out */

/* Every public struct begins with a size_t and is a multiple of it: any other size would truncate a pointer. */
static f5_status check_size(size_t size, const char *name, f5_error *error) {
    if (size >= sizeof size && size <= 65536 && size % sizeof size == 0) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "%s.size is %zu: fill the struct with its _init function", name, size);
}

f5_status params_read(void *to, size_t to_size, const void *from, const char *name, f5_error *error) {
    size_t size;
    if (!from) return f5_fail(error, F5_E_ARGUMENT, "%s is NULL: pass a struct filled by its _init function", name);
    memcpy(&size, from, sizeof size);
    F5_TRY(check_size(size, name, error));
    memcpy(to, from, size < to_size ? size : to_size);
    return F5_OK;
}

f5_status params_write(void *to, const void *from, size_t from_size, const char *name, f5_error *error) {
    size_t size;
    if (!to) return f5_fail(error, F5_E_ARGUMENT, "%s is NULL: pass a struct filled by its _init function", name);
    memcpy(&size, to, sizeof size);
    F5_TRY(check_size(size, name, error));
    if (size > from_size) size = from_size;
    memcpy((char *)to + sizeof size, (const char *)from + sizeof size, size - sizeof size);
    return F5_OK;
}

f5_status solver_read(synth_solver *solver, const f5_sample_params *params, f5_error *error) {
    f5_sample_params p;
    f5_sample_params_init(&p);
    F5_TRY(params_read(&p, sizeof p, params, "f5_sample_params", error));
    if (p.method < 0 || p.method >= SOLVER_METHODS)
        return f5_fail(error, F5_E_ARGUMENT, "method is %d: F5_METHOD_EULER 0, F5_METHOD_MIDPOINT 1, F5_METHOD_AB2 2",
                       p.method);
    if (p.grid < 0 || p.grid >= SOLVER_GRIDS)
        return f5_fail(error, F5_E_ARGUMENT,
                       "grid is %d: F5_GRID_OF_METHOD 0, F5_GRID_OF_SWAY 1, F5_GRID_OF_CURVE 2, F5_GRID_QUADRATIC 3",
                       p.grid);
    if (p.method == F5_METHOD_EULER && p.midpoint) p.method = F5_METHOD_MIDPOINT;
    *solver = (synth_solver){.nfe = p.nfe,
                             .cfg = p.cfg,
                             .sway = p.sway,
                             .use_sway = p.use_sway != 0,
                             .use_epss = p.use_epss != 0,
                             .method = (solver_method)p.method,
                             .grid = (solver_grid)p.grid,
                             .progress = p.progress,
                             .waits = p.waits,
                             .progress_user = p.progress_user};
    return F5_OK;
}

f5_status solver_of_model(synth_solver *solver, const f5_sample_params *params, const model_config *model,
                          f5_error *error) {
    f5_sample_params defaults;
    f5_sample_params_init(&defaults);
    if (model->speech.steps > 0) {
        defaults.nfe = model->speech.steps;
        defaults.method = model->speech.method;
    }
    return solver_read(solver, params ? params : &defaults, error);
}

/* The stride is read of element 0, which is checked before any other is looked at. */
f5_status params_read_at(void *to, size_t to_size, const void *array, int32_t i, const char *name, f5_error *error) {
    size_t stride, size;
    memcpy(&stride, array, sizeof stride);
    const char *from = (const char *)array + (size_t)i * stride;
    F5_TRY(params_read(to, to_size, from, name, error));
    memcpy(&size, from, sizeof size);
    if (size == stride) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "%s %d has size %zu, the first has %zu: fill each with its _init function",
                   name, i, size, stride);
}
