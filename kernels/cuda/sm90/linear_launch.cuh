/* linear_launch.cuh — a product's call on Hopper: its tensor maps, and the kernel of its plan (plan/linear.h):
 * linear.cuh's, linear_int8.cuh's, linear_turns.cuh's or linear_two.cuh's. */
#ifndef F5_SM90_LINEAR_LAUNCH_CUH
#define F5_SM90_LINEAR_LAUNCH_CUH

#include "kernels/cuda/sm90/linear_turns.cuh"
#include "kernels/cuda/sm90/linear_two.cuh"

namespace linear_sm90 {

/* One block to a multiprocessor. */
template <typename Maps, typename... Parameters>
f5_status launch_persistent(cuda_context *c, const char *op, void (*kernel)(Parameters...), const tile_args &d,
                            const Maps &maps) {
    F5_TRY(cuda_allow_shared(c, op, kernel, kSharedBytes));
    const int blocks = d.tiles < c->arch.sm_count ? d.tiles : c->arch.sm_count;
    return cuda_launch_early(c, op, kernel, dim3((unsigned int)blocks), kThreads, kSharedBytes, d, maps);
}

/* What the calls of both ops hold: rows [rows,in] and [out,in] of numbers, whole ones with their scales. */
struct operands {
    const char *op;
    const void *x, *w;
    f5_dtype type;
    const float *x_scale, *w_scale;
};
static inline operands operands_of(const linear_args *a) {
    return {"linear", a->x.data, a->w.data, a->x.type, nullptr, nullptr};
}
static inline operands operands_of(const linear_int8_args *a) {
    return {"linear_int8", a->x, a->w, F5_I8, a->x_scale, a->w_scale};
}
/* Where the kernel writes F32 y once more in the type of x; NULL: nowhere. */
static inline void *also_of(const linear_args *a) {
    return a->also.type == a->x.type ? a->also.data : nullptr;
}
static inline void *also_of(const linear_int8_args *) {
    return nullptr;
}
template <typename Args, typename T>
using operand_of = typename std::conditional<std::is_same<Args, linear_int8_args>::value, int8_t, T>::type;

/* x [rows,in] and w [out,in]. What a box has past the last row of one of them is filled with zeros. */
static inline bool encode_operands(cuda_context *c, CUtensorMap *map_x, CUtensorMap *map_w, const operands &o,
                                   int32_t rows, int32_t in, int32_t out, int32_t columns) {
    const cuuint64_t width = (cuuint64_t)in, row_bytes = width * f5_dtype_bytes(o.type);
    const cuuint32_t step = 128 / f5_dtype_bytes(o.type);
    const cuuint64_t x_size[2] = {width, (cuuint64_t)rows};
    const cuuint32_t x_box[2] = {step, kRows};
    const cuuint64_t w_size[5] = {width, 2, 4, 2, (cuuint64_t)out / 16};
    const cuuint64_t w_stride[4] = {row_bytes, 4 * row_bytes, 2 * row_bytes, 16 * row_bytes};
    const cuuint32_t w_box[5] = {step, 2, 4, 2, (cuuint32_t)columns / 16};
    const auto encode = [&](CUtensorMap *map, int rank, const void *base, const cuuint64_t *size,
                            const cuuint64_t *stride, const cuuint32_t *box) {
        return o.type == F5_I8 ? tensor_map_encode_bytes(c, map, rank, base, size, stride, box)
                               : tensor_map_encode(c, map, o.type, rank, base, size, stride, box);
    };
    return encode(map_x, 2, o.x, x_size, &row_bytes, x_box) && encode(map_w, 5, o.w, w_size, w_stride, w_box);
}

template <typename Args>
bool encode_maps(cuda_context *c, tensor_maps *maps, const Args *a, const operands &o, int32_t rows, int32_t columns) {
    const cuuint64_t addend_size[3] = {16, (cuuint64_t)rows, (cuuint64_t)a->out / 16};
    const cuuint64_t addend_stride[2] = {(cuuint64_t)a->out * 4, 64};
    const cuuint32_t addend_box[3] = {16, kRows, 1};
    return encode_operands(c, &maps->x, &maps->w, o, rows, a->in, a->out, columns) &&
           (a->epilogue != LINEAR_RESIDUAL ||
            tensor_map_encode(c, &maps->addend, F5_F32, 3, a->addend, addend_size, addend_stride, addend_box));
}

static inline f5_status no_maps(cuda_context *c, const char *op, int32_t rows, int32_t in, int32_t out) {
    return f5_fail(&c->error, F5_E_DEVICE, "%s: no tensor maps for [%d,%d] x [%d,%d]", op, rows, in, out, in);
}

/* body(columns) with the width as a constant, of those that plan/linear.c gives the epilogue. */
template <linear_epilogue epilogue, typename Body> f5_status for_columns(int32_t columns, Body body) {
    constexpr bool all = epilogue == LINEAR_RESIDUAL;
    switch (columns) {
    case 64:
        if constexpr (all) return body(std::integral_constant<int, 64>{});
        break;
    case 96:
        if constexpr (all) return body(std::integral_constant<int, 96>{});
        break;
    case 128:
        return body(std::integral_constant<int, 128>{});
    case 176:
        if constexpr (epilogue != LINEAR_ROPE) return body(std::integral_constant<int, 176>{});
        break;
    case 192:
        return body(std::integral_constant<int, 192>{});
    case 208:
        if constexpr (all) return body(std::integral_constant<int, 208>{});
        break;
    }
    return body(std::integral_constant<int, 256>{});
}

/* Groups that share each tile. */
template <typename Operand, typename T, linear_epilogue epilogue, int columns>
f5_status launch_shared_tiles(cuda_context *c, const char *op, const tile_args &d, const tensor_maps &maps) {
    if constexpr (sizeof(Operand) == 1)
        return launch_persistent(c, op, linear_int8_persistent_wgmma<T, epilogue, columns>, d, maps);
    else
        return launch_persistent(c, op, linear_persistent_wgmma<T, epilogue, columns>, d, maps);
}

template <typename Operand, typename T, linear_epilogue epilogue>
f5_status launch(cuda_context *c, const char *op, const linear_plan &plan, const tile_args &d,
                 const tensor_maps &maps) {
    if constexpr (epilogue == LINEAR_GELU_TANH) { // where groups do not take turns all tiles are as narrow
        if (plan.turns) return launch_persistent(c, op, linear_turns_wgmma<Operand, T, epilogue>, d, maps);
        return launch_shared_tiles<Operand, T, epilogue, 128>(c, op, d, maps);
    } else {
        return for_columns<epilogue>(plan.columns, [&](auto columns) {
            return launch_shared_tiles<Operand, T, epilogue, columns.value>(c, op, d, maps);
        });
    }
}

/* y = epilogue(x w^T + bias) of 16 bits or, with scales, of whole numbers. in is a multiple of 64 or, of whole numbers,
 * 128, out of 64; bias, scales, gate and addend are 16-byte aligned, y is F32 for RESIDUAL and T otherwise. */
template <typename T, linear_epilogue epilogue, typename Args>
f5_status run(cuda_context *c, const Args *a, int32_t rows) {
    using Operand = operand_of<Args, T>;
    const operands o = operands_of(a);
    const linear_plan plan = linear_plan_for(rows, a->out, c->arch.sm_count, epilogue);
    tensor_maps maps = {};
    if (plan.tiles > INT32_MAX / 2 || !encode_maps(c, &maps, a, o, rows, plan.columns))
        return no_maps(c, o.op, rows, a->in, a->out);
    tile_args d = {};
    d.x_scale = o.x_scale, d.w_scale = o.w_scale;
    d.bias = a->bias, d.gate = a->gate, d.y = a->y.data, d.also = also_of(a);
    d.rows = rows, d.out = a->out, d.steps = a->in / (128 / (int)sizeof(Operand));
    if (epilogue == LINEAR_ROPE) {
        d.rope = a->rope, d.heads = a->out / 192, d.rope_heads = a->rope_heads;
        if (a->pack) d.offsets = a->pack->offsets, d.seq_of_row = a->pack->seq_of_row;
    }
    d.row_tiles = (int)plan.row_tiles, d.tiles = (int)plan.tiles;
    return launch<Operand, T, epilogue>(c, o.op, plan, d, maps);
}

/* y = x w^T + x2 w2^T + bias in F32. */
template <typename T> f5_status run_two(cuda_context *c, const linear_args *a, int32_t rows) {
    const operands first = operands_of(a), second = {"linear", a->x2.data, a->w2.data, a->x.type, nullptr, nullptr};
    const linear_plan plan = linear_plan_for(rows, a->out, c->arch.sm_count, LINEAR_TILES_OF_TWO);
    tensor_maps_of_two maps = {};
    if (plan.tiles > INT32_MAX / 2 ||
        !encode_operands(c, &maps.x[0], &maps.w[0], first, rows, a->in, a->out, plan.columns) ||
        !encode_operands(c, &maps.x[1], &maps.w[1], second, rows, a->in, a->out, plan.columns))
        return no_maps(c, "linear", rows, a->in, a->out);
    tile_args d = {};
    d.bias = a->bias, d.y = a->y.data, d.rows = rows, d.out = a->out, d.steps = 2 * (a->in / kStep);
    d.row_tiles = (int)plan.row_tiles, d.tiles = (int)plan.tiles;
    return for_columns<LINEAR_TILES_OF_TWO>(plan.columns, [&](auto columns) {
        return launch_persistent(c, "linear", linear_two_persistent_wgmma<T, columns.value>, d, maps);
    });
}

} // namespace linear_sm90

#endif
