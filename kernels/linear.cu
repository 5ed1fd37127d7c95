/* linear.cu — the matrix product: checks a call and hands it to the first of its ways that serves.
 *
 * Floor: 2·rows·in·out FLOP. 2812 rows, 1024 -> 3072: 17.7 GFLOP, 23 µs at 775 TFLOP/s.
 *
 * The ways, what each serves and its tiles are plan/linear.h; below stands what runs each. cuBLASLt has bias, GELU of a
 * 16-bit y and an addend in its own epilogue. The other epilogues are a pass over its product (linear_finish.cuh); its
 * tanh is not exact enough for an F32 y.
 *
 * The same bits for a row in any bucket: our kernels sum alike in every tile, and a product by cuBLASLt over a pack
 * uses the algorithm that its heuristics give for arch.plan_rows rows, whatever the bucket. */
#include "kernels/cast.h"
#include "kernels/linear.h"
#include "kernels/whole.h"

#include "kernels/cuda/blas.h"
#include "kernels/cuda/common/linear_finish.cuh"
#include "kernels/cuda/plan/linear.h"
#include "kernels/cuda/sm80/linear_few_outputs.cuh"
#include "kernels/cuda/sm80/linear_int8_weights.cuh"
#include "kernels/cuda/sm80/linear_short_rows.cuh"
#include "kernels/cuda/sm80/linear_split_f32.cuh"
#include "kernels/cuda/sm90/linear_launch.cuh"

namespace {

f5_status run_int8_weights(cuda_context *c, const linear_args *a, int32_t rows) {
    if (a->x.type != F5_F16 || a->y.type != F5_F32 || a->also.data || a->epilogue != LINEAR_NONE)
        return f5_fail(&c->error, F5_E_UNSUPPORTED,
                       "linear: of 8-bit weights x is F16, y F32, and there is no epilogue");
    if (a->in % WHOLE_WEIGHTS_MULTIPLE != 0)
        return f5_fail(&c->error, F5_E_SHAPE, "linear: 8-bit weights of %d a row", a->in);
    if (!a->w_scale) return f5_fail(&c->error, F5_E_ARGUMENT, "linear: w_scale is NULL");
    const linear_int8_weights::args w = {static_cast<const __half *>(a->x.data),
                                         static_cast<const int8_t *>(a->w.data),
                                         a->w_scale,
                                         a->bias,
                                         static_cast<float *>(a->y.data),
                                         rows,
                                         a->in,
                                         a->out};
    return linear_int8_weights::run(c, w);
}

f5_status run_short_rows(cuda_context *c, const linear_args *a, int32_t rows) {
    linear_short_rows::args s = {};
    s.x = static_cast<const float *>(a->x.data), s.w = static_cast<const float *>(a->w.data), s.addend = a->addend;
    s.y = static_cast<float *>(a->y.data), s.rounded = a->also.data, s.rows = rows, s.in = a->in, s.out = a->out;
    return for_dtype(c, "linear", a->also.data ? a->also.type : F5_F32,
                     [&](auto zero) { return linear_short_rows::run<decltype(zero)>(c, s); });
}

f5_status run_sm90(cuda_context *c, const linear_args *a, int32_t rows) {
    return for_dtype(c, "linear", a->x.type, [&](auto zero) -> f5_status {
        using T = decltype(zero);
        if constexpr (sizeof(T) == 2) {
            if (a->x2.data) return linear_sm90::run_two<T>(c, a, rows);
            if (a->epilogue == LINEAR_RESIDUAL) return linear_sm90::run<T, LINEAR_RESIDUAL>(c, a, rows);
            if (a->epilogue == LINEAR_ROPE) return linear_sm90::run<T, LINEAR_ROPE>(c, a, rows);
            if (a->epilogue == LINEAR_GELU_TANH) return linear_sm90::run<T, LINEAR_GELU_TANH>(c, a, rows);
            if (a->epilogue == LINEAR_GELU_ERF) return linear_sm90::run<T, LINEAR_GELU_ERF>(c, a, rows);
            if (a->epilogue == LINEAR_RELU) return linear_sm90::run<T, LINEAR_RELU>(c, a, rows);
            return linear_sm90::run<T, LINEAR_NONE>(c, a, rows);
        }
        return F5_E_UNSUPPORTED;
    });
}

/* The second adds to the first. */
f5_status run_two_calls(cuda_context *c, const linear_args *a, int32_t rows) {
    (void)rows;
    linear_args first = *a, second = *a;
    first.x2 = first.w2 = second.x2 = second.w2 = f5_matrix{};
    second.x = a->x2, second.w = a->w2, second.bias = nullptr, second.bias_rounded = nullptr;
    second.epilogue = LINEAR_RESIDUAL, second.addend = static_cast<const float *>(a->y.data);
    F5_TRY(linear_cuda(c, &first));
    return linear_cuda(c, &second);
}

f5_status run_split_f32(cuda_context *c, const linear_args *a, int32_t rows) {
    linear_split_f32::args s = {};
    s.x = static_cast<const float *>(a->x.data), s.w = static_cast<const float *>(a->w.data), s.bias = a->bias;
    s.gate = a->gate, s.addend = a->addend, s.y = static_cast<float *>(a->y.data);
    s.rows = rows, s.in = a->in, s.out = a->out;
    F5_TRY(linear_split_f32::run(c, a->epilogue, s));
    return a->epilogue == LINEAR_ROPE ? rotate_launch(c, a, rows) : F5_OK;
}

f5_status run_few_outputs(cuda_context *c, const linear_args *a, int32_t rows) {
    const linear_few_outputs::args n = {a->x.data, a->w.data, a->bias, static_cast<float *>(a->y.data),
                                        rows,      a->in,     a->out};
    return a->x.type == F5_F16 ? linear_few_outputs::run<__half>(c, n) : linear_few_outputs::run<__nv_bfloat16>(c, n);
}

/* ---- cuBLASLt */

/* Rows to plan for. Without a pack nothing is batched with anything: the nearest power of two keeps the cache small. */
int32_t rows_to_plan(const cuda_context *c, const linear_args *a, int32_t rows) {
    if (a->pack && c->arch.plan_rows > 0) return c->arch.plan_rows;
    int32_t planned = 16;
    while (planned < rows && planned < (1 << 30)) planned *= 2;
    return planned;
}

/* The whole epilogue in cuBLASLt's own. */
f5_status multiply_whole(cuda_context *c, const linear_args *a, blas_product p) {
    const void *bias = a->bias;
    if (a->bias && !p.f32_out) {
        bias = a->bias_rounded;
        if (!bias) {
            if ((size_t)a->out * 2 > c->row_bytes)
                return f5_fail(&c->error, F5_E_MEMORY, "linear: workspace too small for a bias of %d", a->out);
            F5_TRY(round_bias_launch(c, a->bias, a->out, p.type, c->row_scratch));
            bias = c->row_scratch;
        }
    }
    p.add = a->epilogue == LINEAR_RESIDUAL;
    p.gelu = a->epilogue == LINEAR_GELU_TANH;
    return blas_multiply(c, p, a->x.data, a->w.data, bias, a->addend, a->y.data);
}

/* A plain F32 product, then finish_rows; in chunks of rows where the scratch does not hold them all. */
f5_status multiply_then_finish(cuda_context *c, const linear_args *a, blas_product p, bool y_f32) {
    const int32_t rows = p.rows;
    const size_t row_bytes = (size_t)a->out * sizeof(float);
    const bool in_y = y_f32 && a->epilogue != LINEAR_RESIDUAL;
    size_t fit = c->row_bytes / row_bytes;
    if (in_y) fit = (size_t)rows;
    if (fit == 0) return f5_fail(&c->error, F5_E_MEMORY, "linear: workspace too small for a row of %d", a->out);
    p.f32_out = true;
    for (int32_t row = 0; row < rows; row += p.rows) {
        p.rows = (size_t)(rows - row) < fit ? rows - row : (int32_t)fit;
        const size_t first = (size_t)row * a->out;
        char *y = static_cast<char *>(a->y.data) + first * f5_dtype_bytes(a->y.type);
        float *made = reinterpret_cast<float *>(in_y ? y : static_cast<char *>(c->row_scratch));
        const char *x = static_cast<const char *>(a->x.data) + (size_t)row * a->in * f5_dtype_bytes(a->x.type);
        F5_TRY(blas_multiply(c, p, x, a->w.data, nullptr, nullptr, made));
        finish_args f = {};
        f.product = made, f.bias = a->bias, f.gate = a->gate, f.out = a->out;
        f.addend = a->addend ? a->addend + first : nullptr;
        F5_TRY(for_dtype(c, "linear", a->y.type, [&](auto zero) {
            using T = decltype(zero);
            return for_epilogue(a->epilogue, [&](auto one) { return finish_launch<T, one.value>(c, f, p.rows, y); });
        }));
    }
    return F5_OK;
}

f5_status run_cublaslt(cuda_context *c, const linear_args *a, int32_t rows) {
    const bool y_f32 = a->y.type == F5_F32;
    blas_product p = {};
    p.rows = rows, p.in = a->in, p.out = a->out, p.type = a->x.type, p.f32_out = y_f32;
    p.plan_rows = rows_to_plan(c, a, rows);
    if (a->epilogue == LINEAR_ROPE) {
        F5_TRY(multiply_whole(c, a, p));
        return rotate_launch(c, a, rows);
    }
    const bool whole = a->epilogue == LINEAR_NONE || (a->epilogue == LINEAR_GELU_TANH && !y_f32) ||
                       (a->epilogue == LINEAR_RESIDUAL && !a->gate && y_f32);
    return whole ? multiply_whole(c, a, p) : multiply_then_finish(c, a, p, y_f32);
}

/* ---- dispatch: in the order of linear_paths */

using run_fn = f5_status (*)(cuda_context *c, const linear_args *a, int32_t rows);
constexpr run_fn run[] = {run_int8_weights, run_short_rows,  run_sm90,    run_two_calls,
                          run_split_f32,    run_few_outputs, run_cublaslt};
static_assert(sizeof run / sizeof *run == LINEAR_PATHS && LINEAR_INT8_WEIGHTS == 0 && LINEAR_SHORT_ROWS == 1 &&
                  LINEAR_SM90 == 2 && LINEAR_TWO_CALLS == 3 && LINEAR_SPLIT_F32 == 4 && LINEAR_FEW_OUTPUTS == 5 &&
                  LINEAR_CUBLASLT == 6,
              "plan/linear.h lists the same ways");

/* What the host can tell; lengths of sequences it cannot. */
f5_status linear_check(cuda_context *c, const linear_args *a, int32_t rows, bool y_f32) {
    const bool residual = a->epilogue == LINEAR_RESIDUAL, rope = a->epilogue == LINEAR_ROPE;
    if ((int)a->epilogue < LINEAR_NONE || (int)a->epilogue > LINEAR_RELU)
        return f5_fail(&c->error, F5_E_ARGUMENT, "linear: epilogue %d", (int)a->epilogue);
    if (rows < 0 || a->in < 1 || a->out < 1)
        return f5_fail(&c->error, F5_E_SHAPE, "linear: [%d,%d] x [%d,%d]", rows, a->in, a->out, a->in);
    if (rope && (a->out % 192 != 0 || a->rope_heads < 0 || a->rope_heads > a->out / 192))
        return f5_fail(&c->error, F5_E_SHAPE, "linear: %d columns, %d heads rotated", a->out, a->rope_heads);
    if ((a->w.type != a->x.type && a->w.type != F5_I8) || (a->y.type != a->x.type && (!y_f32 || rope)))
        return f5_fail(&c->error, F5_E_UNSUPPORTED, "linear: x is %s, w %s, y %s", dtype(a->x.type)->name,
                       dtype(a->w.type)->name, dtype(a->y.type)->name);
    if (!a->x2.data != !a->w2.data) return f5_fail(&c->error, F5_E_ARGUMENT, "linear: x2 or w2 is NULL");
    if (a->x2.data && (a->x2.type != a->x.type || a->w2.type != a->x.type || a->w.type != a->x.type || !y_f32 ||
                       a->also.data || a->epilogue != LINEAR_NONE))
        return f5_fail(&c->error, F5_E_UNSUPPORTED,
                       "linear: a sum of two products has one type, an F32 y, no also and no epilogue");
    if (a->also.data && !y_f32) return f5_fail(&c->error, F5_E_UNSUPPORTED, "linear: also is of an F32 y");
    if (rows == 0) return F5_OK;
    if (rope && (a->pack ? 1 : rows) > a->max_position)
        return f5_fail(&c->error, F5_E_SHAPE, "linear: %d rows, angles for %d", rows, a->max_position);
    if (!a->x.data || !a->w.data || !a->y.data || (residual && !a->addend) || (rope && !a->rope))
        return f5_fail(&c->error, F5_E_ARGUMENT, "linear: a pointer is NULL");
    const uintptr_t angles = rope ? (uintptr_t)a->rope : 0;
    const uintptr_t operands = (uintptr_t)a->x.data | (uintptr_t)a->w.data | (uintptr_t)a->x2.data;
    if ((operands | (uintptr_t)a->w2.data | (uintptr_t)a->y.data | (uintptr_t)a->also.data | angles) % 16 != 0)
        return f5_fail(&c->error, F5_E_ARGUMENT, "linear: x, w, x2, w2, y, also or rope is not 16-byte aligned");
    return F5_OK;
}

} // namespace

extern "C" f5_status linear_cuda(cuda_context *c, const linear_args *a) {
    const int32_t rows = a->pack ? a->pack->rows : a->rows;
    F5_TRY(linear_check(c, a, rows, a->y.type == F5_F32));
    if (rows == 0) return F5_OK;
    const int path = linear_path_of(&c->arch, a);
    F5_TRY(run[path](c, a, rows));
    const bool both = path == LINEAR_SHORT_ROWS || (path == LINEAR_SM90 && a->also.type == a->x.type);
    if (!a->also.data || both) return F5_OK; // those kernels write both
    const cast_args cast = {int64_t{rows} * a->out, static_cast<const float *>(a->y.data), a->also.data, a->also.type};
    return cast_cuda(c, &cast);
}
