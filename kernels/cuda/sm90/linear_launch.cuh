/* linear_launch.cuh — a product's call on Hopper: its tensor maps, and the kernel of its plan (plan/linear.h):
 * linear.cuh's, linear_int8.cuh's or linear_turns.cuh's. */
#ifndef F5_SM90_LINEAR_LAUNCH_CUH
#define F5_SM90_LINEAR_LAUNCH_CUH

#include "kernels/cuda/sm90/linear_turns.cuh"

namespace linear_sm90 {

/* One block to a multiprocessor. */
template <typename... Parameters>
f5_status launch_persistent(cuda_context *c, const char *op, void (*kernel)(Parameters...), const tile_args &d,
                            const tensor_maps &maps) {
    F5_TRY(cuda_allow_shared(c, op, kernel, kSharedBytes));
    const int blocks = d.tiles < c->arch.sm_count ? d.tiles : c->arch.sm_count;
    return cuda_launch_early(c, op, kernel, dim3((unsigned int)blocks), kThreads, kSharedBytes, d, maps);
}

/* ---- 16 bits */

/* What a box has past the last row of x, w or the addend is filled with zeros. */
static inline bool encode_maps(cuda_context *c, tensor_maps *maps, const linear_args *a, int32_t rows,
                               int32_t columns) {
    const cuuint64_t row_bytes = (cuuint64_t)a->in * 2, width = (cuuint64_t)a->in;
    const cuuint64_t x_size[2] = {width, (cuuint64_t)rows};
    const cuuint32_t x_box[2] = {kStep, kRows};
    const cuuint64_t w_size[5] = {width, 2, 4, 2, (cuuint64_t)a->out / 16};
    const cuuint64_t w_stride[4] = {row_bytes, 4 * row_bytes, 2 * row_bytes, 16 * row_bytes};
    const cuuint32_t w_box[5] = {kStep, 2, 4, 2, (cuuint32_t)columns / 16};
    const cuuint64_t addend_size[3] = {16, (cuuint64_t)rows, (cuuint64_t)a->out / 16};
    const cuuint64_t addend_stride[2] = {(cuuint64_t)a->out * 4, 64};
    const cuuint32_t addend_box[3] = {16, kRows, 1};
    return tensor_map_encode(c, &maps->x, a->x.type, 2, a->x.data, x_size, &row_bytes, x_box) &&
           tensor_map_encode(c, &maps->w, a->x.type, 5, a->w.data, w_size, w_stride, w_box) &&
           (a->epilogue != LINEAR_RESIDUAL ||
            tensor_map_encode(c, &maps->addend, F5_F32, 3, a->addend, addend_size, addend_stride, addend_box));
}

/* Groups that share each tile. */
template <typename T, linear_epilogue epilogue>
f5_status launch_together(cuda_context *c, int32_t columns, const tile_args &d, const tensor_maps &maps) {
    switch (columns) {
    case 128:
        return launch_persistent(c, "linear", linear_persistent_wgmma<T, epilogue, 128>, d, maps);
    case 176:
        if constexpr (epilogue != LINEAR_ROPE)
            return launch_persistent(c, "linear", linear_persistent_wgmma<T, epilogue, 176>, d, maps);
        break;
    case 192:
        return launch_persistent(c, "linear", linear_persistent_wgmma<T, epilogue, 192>, d, maps);
    }
    return launch_persistent(c, "linear", linear_persistent_wgmma<T, epilogue, 256>, d, maps);
}

/* y = epilogue(x w^T + bias). in and out are multiples of 64, bias, gate and addend are 16-byte aligned, y is F32 for
 * RESIDUAL and T otherwise. */
template <typename T, linear_epilogue epilogue> f5_status run(cuda_context *c, const linear_args *a, int32_t rows) {
    const linear_plan plan = linear_plan_for(rows, a->out, c->arch.sm_count, epilogue);
    tensor_maps maps = {};
    if (plan.tiles > INT32_MAX / 2 || !encode_maps(c, &maps, a, rows, plan.columns))
        return f5_fail(&c->error, F5_E_DEVICE, "linear: no tensor maps for [%d,%d] x [%d,%d]", rows, a->in, a->out,
                       a->in);
    tile_args d = {};
    d.bias = a->bias, d.gate = a->gate, d.y = a->y.data;
    d.rows = rows, d.out = a->out, d.steps = a->in / kStep;
    if (epilogue == LINEAR_ROPE) {
        d.rope = a->rope, d.heads = a->out / 192, d.rope_heads = a->rope_heads;
        if (a->pack) d.offsets = a->pack->offsets, d.seq_of_row = a->pack->seq_of_row;
    }
    d.row_tiles = (int)plan.row_tiles, d.tiles = (int)plan.tiles;
    if constexpr (epilogue == LINEAR_GELU_TANH) // where groups do not take turns all tiles are as narrow
        return plan.turns ? launch_persistent(c, "linear", linear_turns_wgmma<T, T, epilogue>, d, maps)
                          : launch_persistent(c, "linear", linear_persistent_wgmma<T, epilogue, 128>, d, maps);
    else
        return launch_together<T, epilogue>(c, plan.columns, d, maps);
}

/* ---- whole numbers */

static inline bool encode_int8_maps(cuda_context *c, tensor_maps *maps, const linear_int8_args *a, int32_t rows,
                                    int32_t columns) {
    const cuuint64_t row_bytes = (cuuint64_t)a->in;
    const cuuint64_t x_size[2] = {row_bytes, (cuuint64_t)rows};
    const cuuint32_t x_box[2] = {kStepInt8, kRows};
    const cuuint64_t w_size[5] = {row_bytes, 2, 4, 2, (cuuint64_t)a->out / 16};
    const cuuint64_t w_stride[4] = {row_bytes, 4 * row_bytes, 2 * row_bytes, 16 * row_bytes};
    const cuuint32_t w_box[5] = {kStepInt8, 2, 4, 2, (cuuint32_t)columns / 16};
    const cuuint64_t addend_size[3] = {16, (cuuint64_t)rows, (cuuint64_t)a->out / 16};
    const cuuint64_t addend_stride[2] = {(cuuint64_t)a->out * 4, 64};
    const cuuint32_t addend_box[3] = {16, kRows, 1};
    return tensor_map_encode_bytes(c, &maps->x, 2, a->x, x_size, &row_bytes, x_box) &&
           tensor_map_encode_bytes(c, &maps->w, 5, a->w, w_size, w_stride, w_box) &&
           (a->epilogue != LINEAR_RESIDUAL ||
            tensor_map_encode(c, &maps->addend, F5_F32, 3, a->addend, addend_size, addend_stride, addend_box));
}

template <typename T, linear_epilogue epilogue>
f5_status launch_together_int8(cuda_context *c, int32_t columns, const tile_args &d, const tensor_maps &maps) {
    switch (columns) {
    case 128:
        return launch_persistent(c, "linear_int8", linear_int8_persistent_wgmma<T, epilogue, 128>, d, maps);
    case 176:
        if constexpr (epilogue != LINEAR_ROPE)
            return launch_persistent(c, "linear_int8", linear_int8_persistent_wgmma<T, epilogue, 176>, d, maps);
        break;
    case 192:
        return launch_persistent(c, "linear_int8", linear_int8_persistent_wgmma<T, epilogue, 192>, d, maps);
    }
    return launch_persistent(c, "linear_int8", linear_int8_persistent_wgmma<T, epilogue, 256>, d, maps);
}

/* in is a multiple of 128, out of 64, the vectors and the addend are 16-byte aligned, y is F32 for RESIDUAL, T
 * otherwise. */
template <typename T, linear_epilogue epilogue>
f5_status run_int8(cuda_context *c, const linear_int8_args *a, int32_t rows) {
    const linear_plan plan = linear_plan_for(rows, a->out, c->arch.sm_count, epilogue);
    tensor_maps maps = {};
    if (plan.tiles > INT32_MAX / 2 || !encode_int8_maps(c, &maps, a, rows, plan.columns))
        return f5_fail(&c->error, F5_E_DEVICE, "linear_int8: no tensor maps for [%d,%d] x [%d,%d]", rows, a->in, a->out,
                       a->in);
    tile_args d = {};
    d.x_scale = a->x_scale, d.w_scale = a->w_scale;
    d.bias = a->bias, d.gate = a->gate, d.y = a->y.data;
    d.rows = rows, d.out = a->out, d.steps = a->in / kStepInt8;
    if (epilogue == LINEAR_ROPE) {
        d.rope = a->rope, d.heads = a->out / 192, d.rope_heads = a->rope_heads;
        if (a->pack) d.offsets = a->pack->offsets, d.seq_of_row = a->pack->seq_of_row;
    }
    d.row_tiles = (int)plan.row_tiles, d.tiles = (int)plan.tiles;
    if constexpr (epilogue == LINEAR_GELU_TANH)
        return plan.turns
                   ? launch_persistent(c, "linear_int8", linear_turns_wgmma<int8_t, T, epilogue>, d, maps)
                   : launch_persistent(c, "linear_int8", linear_int8_persistent_wgmma<T, epilogue, 128>, d, maps);
    else
        return launch_together_int8<T, epilogue>(c, plan.columns, d, maps);
}

} // namespace linear_sm90

#endif
