/* linear_int8.cu — the matrix product of 8-bit operands: checks a call and hands it to Hopper's kernel or the portable
 * one.
 *
 * Floor: 2·rows·in·out operations. 2812 rows, 1024 -> 3072: 17.7 G, 9.6 µs at the 1852 T a second that the tensor cores
 * of an H200 reach on operands in shared memory.
 *
 * Hopper's takes what a block of the DiT asks for (plan/linear.c): in a multiple of 128, out of 64, 16-bit y of NONE,
 * GELU_TANH and ROPE, F32 y of RESIDUAL. A row's sums are exact in either. */
#include "kernels/linear_int8.h"

#include "kernels/cuda/sm80/linear_int8.cuh"
#include "kernels/cuda/sm90/linear_launch.cuh"

namespace {

f5_status check_call(cuda_context *c, const linear_int8_args *a, int32_t rows) {
    const bool residual = a->epilogue == LINEAR_RESIDUAL, rope = a->epilogue == LINEAR_ROPE;
    if ((int)a->epilogue < LINEAR_NONE || (int)a->epilogue > LINEAR_ROPE)
        return f5_fail(&c->error, F5_E_ARGUMENT, "linear_int8: epilogue %d", (int)a->epilogue);
    if (rows < 0 || a->in < 1 || a->out < 1 || a->in % LINEAR_INT8_IN_MULTIPLE != 0 || a->in > LINEAR_INT8_MAX_IN)
        return f5_fail(&c->error, F5_E_SHAPE, "linear_int8: [%d,%d] x [%d,%d]", rows, a->in, a->out, a->in);
    if (rope && (a->out % 192 != 0 || a->rope_heads < 0 || a->rope_heads > a->out / 192))
        return f5_fail(&c->error, F5_E_SHAPE, "linear_int8: %d columns, %d heads rotated", a->out, a->rope_heads);
    if (rows == 0) return F5_OK;
    if (rope && (a->pack ? 1 : rows) > a->max_position)
        return f5_fail(&c->error, F5_E_SHAPE, "linear_int8: %d rows, angles for %d", rows, a->max_position);
    if (!a->x || !a->x_scale || !a->w || !a->w_scale || !a->y.data || (residual && !a->addend) || (rope && !a->rope))
        return f5_fail(&c->error, F5_E_ARGUMENT, "linear_int8: a pointer is NULL");
    const uintptr_t angles = rope ? (uintptr_t)a->rope : 0;
    if (((uintptr_t)a->x | (uintptr_t)a->w | (uintptr_t)a->y.data | angles) % 16 != 0)
        return f5_fail(&c->error, F5_E_ARGUMENT, "linear_int8: x, w, y or rope is not 16-byte aligned");
    return F5_OK;
}

f5_status run_sm90(cuda_context *c, const linear_int8_args *a, int32_t rows) {
    return for_dtype(c, "linear_int8", a->y.type, [&](auto zero) -> f5_status {
        using T = decltype(zero);
        if constexpr (sizeof(T) == 4) return linear_sm90::run<__half, LINEAR_RESIDUAL>(c, a, rows);
        if constexpr (sizeof(T) == 2) {
            if (a->epilogue == LINEAR_ROPE) return linear_sm90::run<T, LINEAR_ROPE>(c, a, rows);
            if (a->epilogue == LINEAR_GELU_TANH) return linear_sm90::run<T, LINEAR_GELU_TANH>(c, a, rows);
            return linear_sm90::run<T, LINEAR_NONE>(c, a, rows);
        }
        return F5_E_UNSUPPORTED;
    });
}

} // namespace

extern "C" f5_status linear_int8_cuda(cuda_context *c, const linear_int8_args *a) {
    const int32_t rows = a->pack ? a->pack->rows : a->rows;
    F5_TRY(check_call(c, a, rows));
    if (rows == 0) return F5_OK;
    return linear_int8_by_sm90(&c->arch, a) ? run_sm90(c, a, rows) : linear_int8_sm80::run(c, a, rows);
}
