/* linear.cu — the matrix product: by kernels of our own on Hopper, for F32 operands and for few outputs; by cuBLASLt,
 * whose epilogues are completed by one pass over an F32 product, elsewhere and for the rest.
 *
 * Floor: 2·rows·in·out FLOP. 2812 rows, 1024 -> 3072: 17.7 GFLOP, 23 µs at 775 TFLOP/s.
 *
 *   epilogue                          done by
 *   NONE, GELU_TANH, 16-bit y         on Hopper cuda/linear_sm90.cuh, where in and out are multiples of 64: all of it
 *   RESIDUAL, F32 y, 16-bit x and w   likewise
 *   ROPE, 16-bit y                    likewise
 *   RESIDUAL of F32 without bias and  cuda/linear_short_rows.cuh, y_rounded included: the model's input
 *     gate, in <= 104
 *   any, F32 x and w                  cuda/linear_split_f32.cuh, on devices where that is faster and unless the portable
 *                                     path is forced, where in is a multiple of 4 and out of 2: Vocos
 *   NONE, F32 y, 16-bit x and w       cuda/linear_few_outputs.cuh, in a multiple of 256, out <= 112: the velocity
 *   NONE                              cuBLASLt, bias in its epilogue
 *   GELU_TANH, 16-bit y               cuBLASLt, bias and GELU in its epilogue (F32 y: its tanh is not exact enough)
 *   RESIDUAL without gate, F32        cuBLASLt with C = addend, beta = 1
 *   ROPE                              cuBLASLt, bias in its epilogue; rotate_rows turns q and k in place
 *   the rest                          cuBLASLt into F32 (y itself or the workspace, as many rows at a time as fit) and
 *                                     finish_rows: 12 to 16 bytes an element, most of them from L2
 *
 * cuBLASLt is column-major: y^T [out,rows] = (w^T)^T [out,in] . x^T [in,rows], so w is its A (transposed), x its B.
 *
 * The same bits every time: split-K and its reductions are excluded, so each element is one sum in one fixed order.
 * The same bits for a row in any bucket: our kernels sum alike in every tile; a product by cuBLASLt over a pack
 * uses the algorithm that its heuristics give for context.plan_rows rows, whatever the bucket, and tile and order along
 * `in` are the algorithm's, not the row count's. */
#include "kernels/cast.h"
#include "kernels/linear.h"

#include <cublasLt.h>
#include <string.h>

#include "kernels/cuda/common/launch.cuh"
#include "kernels/cuda/common/rope.cuh"
#include "kernels/cuda/sm80/linear_few_outputs.cuh"
#include "kernels/cuda/sm80/linear_short_rows.cuh"
#include "kernels/cuda/sm80/linear_split_f32.cuh"
#include "kernels/cuda/sm90/linear.cuh"

namespace {

/* ---- which product: a pure description, and the key of the cache of algorithms */

struct product {
    int32_t rows, in, out;
    f5_dtype type; /* of x and w */
    bool f32_out;  /* of D (and C) */
    bool add;      /* beta = 1 */
    cublasLtEpilogue_t epilogue;
    int32_t plan_rows;
};

int32_t product_variant(const product &p) {
    return (int32_t)p.type | p.f32_out << 2 | p.add << 3 | (int32_t)p.epilogue << 4;
}

/* Rows to plan for. Without a pack nothing is batched with anything: the nearest power of two keeps the cache small. */
int32_t rows_to_plan(const cuda_context *c, const linear_args *a, int32_t rows) {
    if (a->pack && c->plan_rows > 0) return c->plan_rows;
    int32_t planned = 16;
    while (planned < rows && planned < (1 << 30)) planned *= 2;
    return planned;
}

cudaDataType_t data_type(f5_dtype type) {
    return type == F5_F16 ? CUDA_R_16F : type == F5_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* ---- cuBLASLt's descriptors; all live on the stack, none allocates */

struct matmul_setup {
    cublasLtMatmulDescOpaque_t op;
    cublasLtMatrixLayoutOpaque_t w, x, y;
};

cublasStatus_t matmul_describe(matmul_setup *s, const product &p, int32_t rows, const void *bias) {
    const cudaDataType_t in_type = data_type(p.type), out_type = p.f32_out ? CUDA_R_32F : in_type;
    const cublasOperation_t transposed = CUBLAS_OP_T;
    cublasStatus_t status = cublasLtMatmulDescInit(&s->op, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulDescSetAttribute(&s->op, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulDescSetAttribute(&s->op, CUBLASLT_MATMUL_DESC_EPILOGUE, &p.epilogue, sizeof p.epilogue);
    if (status == CUBLAS_STATUS_SUCCESS && bias)
        status = cublasLtMatmulDescSetAttribute(&s->op, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
    if (status == CUBLAS_STATUS_SUCCESS) status = cublasLtMatrixLayoutInit(&s->w, in_type, p.in, p.out, p.in);
    if (status == CUBLAS_STATUS_SUCCESS) status = cublasLtMatrixLayoutInit(&s->x, in_type, p.in, rows, p.in);
    if (status == CUBLAS_STATUS_SUCCESS) status = cublasLtMatrixLayoutInit(&s->y, out_type, p.out, rows, p.out);
    return status;
}

f5_status blas_failed(cuda_context *c, const product &p, const char *what, cublasStatus_t status) {
    const f5_status kind = status == CUBLAS_STATUS_NOT_SUPPORTED ? F5_E_UNSUPPORTED : F5_E_DEVICE;
    return f5_fail(&c->error, kind, "linear: %s [%d,%d] x [%d,%d]: %s", what, p.rows, p.in, p.out, p.in,
                   cublasLtGetStatusString(status));
}

/* Finds or makes the plan of a product. A full cache replaces its last entry: slower, never wrong. */
f5_status plan_for(cuda_context *c, const product &p, const void *bias, const cublasLtMatmulAlgo_t **algo) {
    const int32_t variant = product_variant(p);
    for (int32_t i = 0; i < c->n_plans; i++) {
        const cuda_matmul_plan *plan = &c->plans[i];
        if (plan->rows == p.plan_rows && plan->in == p.in && plan->out == p.out && plan->variant == variant) {
            *algo = reinterpret_cast<const cublasLtMatmulAlgo_t *>(plan->algo);
            return F5_OK;
        }
    }

    matmul_setup s;
    cublasLtMatmulPreferenceOpaque_t wish;
    const uint32_t no_reduction = CUBLASLT_REDUCTION_SCHEME_NONE, aligned = 16;
    const uint64_t workspace = c->blas_bytes;
    cublasStatus_t status = matmul_describe(&s, p, p.plan_rows, bias);
    if (status == CUBLAS_STATUS_SUCCESS) status = cublasLtMatmulPreferenceInit(&wish);
    auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto &value) {
        if (status == CUBLAS_STATUS_SUCCESS)
            status = cublasLtMatmulPreferenceSetAttribute(&wish, attribute, &value, sizeof value);
    };
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace);
    set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, no_reduction);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, aligned);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, aligned);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, aligned);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, aligned);
    cublasLtMatmulHeuristicResult_t best;
    int found = 0;
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulAlgoGetHeuristic(c->blas, &s.op, &s.w, &s.x, &s.y, &s.y, &wish, 1, &best, &found);
    if (status != CUBLAS_STATUS_SUCCESS) return blas_failed(c, p, "no algorithm for", status);
    if (found == 0) return blas_failed(c, p, "no algorithm for", CUBLAS_STATUS_NOT_SUPPORTED);

    cuda_matmul_plan *plan = &c->plans[c->n_plans < CUDA_MATMUL_PLANS ? c->n_plans++ : CUDA_MATMUL_PLANS - 1];
    plan->rows = p.plan_rows, plan->in = p.in, plan->out = p.out, plan->variant = variant;
    static_assert(sizeof plan->algo == sizeof best.algo, "a cublasLtMatmulAlgo_t is 64 bytes");
    memcpy(plan->algo, &best.algo, sizeof plan->algo);
    *algo = reinterpret_cast<const cublasLtMatmulAlgo_t *>(plan->algo);
    return F5_OK;
}

/* D = epilogue(x w^T + (add ? C : 0)) */
f5_status multiply(cuda_context *c, product p, const void *x, const void *w, const void *bias, const void *addend,
                   void *y) {
    const float one = 1.0f, beta = p.add ? 1.0f : 0.0f;
    matmul_setup s;
    const cublasLtMatmulAlgo_t *algo;
    cublasStatus_t status = matmul_describe(&s, p, p.rows, bias);
    if (status != CUBLAS_STATUS_SUCCESS) return blas_failed(c, p, "cannot describe", status);
    F5_TRY(plan_for(c, p, bias, &algo));
    for (;;) {
        status = cublasLtMatmul(c->blas, &s.op, &one, w, &s.w, x, &s.x, &beta, p.add ? addend : y, &s.y, y, &s.y, algo,
                                c->workspace, c->blas_bytes, c->stream);
        if (status == CUBLAS_STATUS_SUCCESS) return F5_OK;
        if (p.plan_rows == p.rows) return blas_failed(c, p, "failed:", status);
        p.plan_rows = p.rows; /* an algorithm made for many rows may refuse a few: plan for these */
        F5_TRY(plan_for(c, p, bias, &algo));
    }
}

/* ---- the epilogues that cuBLASLt lacks */

struct finish_args {
    const float *product; /* [rows,out] without bias; may be y */
    const float *bias, *gate, *addend;
    int64_t groups; /* rows * out / width */
    int32_t out;
};

/* A thread finishes `width` neighbours of a row: 8 by 16-byte accesses, or 1 where out is not a multiple of 8. */
template <typename T, linear_epilogue epilogue, int width>
__global__ void __launch_bounds__(256) finish_rows(finish_args f, T *y) {
    const int per_row = f.out / width;
    for (int64_t g = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; g < f.groups;
         g += int64_t{gridDim.x} * blockDim.x) {
        const int column = (int)(g % per_row) * width;
        float v[width], bias[width] = {}, gate[width], addend[width] = {};
#pragma unroll
        for (int i = 0; i < width; i++) gate[i] = 1.0f;
        if constexpr (width == 8) {
            load8(v, f.product + g * 8);
            if (f.bias) load8(bias, f.bias + column);
            if (epilogue == LINEAR_RESIDUAL) {
                if (f.gate) load8(gate, f.gate + column);
                load8(addend, f.addend + g * 8);
            }
        } else {
            v[0] = f.product[g];
            if (f.bias) bias[0] = f.bias[column];
            if (epilogue == LINEAR_RESIDUAL) {
                if (f.gate) gate[0] = f.gate[column];
                addend[0] = f.addend[g];
            }
        }
#pragma unroll
        for (int i = 0; i < width; i++) v[i] = linear_finish<epilogue>(v[i] + bias[i], gate[i], addend[i]);
        if constexpr (width == 8)
            store8(y + g * 8, v);
        else
            y[g] = from_float<T>(v[0]);
    }
}

template <typename T, linear_epilogue epilogue>
f5_status finish_launch(cuda_context *c, finish_args f, int32_t rows, void *y) {
    const bool wide = f.out % 8 == 0 && ((uintptr_t)f.bias | (uintptr_t)f.gate | (uintptr_t)f.addend) % 16 == 0;
    f.groups = int64_t{rows} * f.out / (wide ? 8 : 1);
    const unsigned int blocks = grid_for(c, f.groups, 256);
    if (wide)
        finish_rows<T, epilogue, 8><<<blocks, 256, 0, c->stream>>>(f, static_cast<T *>(y));
    else
        finish_rows<T, epilogue, 1><<<blocks, 256, 0, c->stream>>>(f, static_cast<T *>(y));
    return cuda_launched(c, "linear");
}

/* A bias in the type of y, as cuBLASLt wants it: one small kernel that a caller saves by giving bias_as_type. */
template <typename T> __global__ void bias_round(const float *bias, T *rounded, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) rounded[i] = from_float<T>(bias[i]);
}

/* ---- the ways through */

size_t type_bytes(f5_dtype type) {
    return type == F5_F32 ? 4 : 2;
}

/* Everything in cuBLASLt's own epilogue. */
f5_status linear_direct(cuda_context *c, const linear_args *a, product p) {
    const bool gelu = a->epilogue == LINEAR_GELU_TANH;
    const void *bias = a->bias;
    if (a->bias && !p.f32_out) {
        bias = a->bias_as_type;
        if (!bias) {
            void *rounded = static_cast<char *>(c->workspace) + c->blas_bytes;
            if ((size_t)a->out * 2 > c->workspace_bytes - c->blas_bytes)
                return f5_fail(&c->error, F5_E_MEMORY, "linear: workspace too small for a bias of %d", a->out);
            F5_TRY(for_dtype(c, "linear", p.type, [&](auto zero) {
                using T = decltype(zero);
                bias_round<<<ceil_div(a->out, 256), 256, 0, c->stream>>>(a->bias, static_cast<T *>(rounded), a->out);
                return cuda_launched(c, "linear");
            }));
            bias = rounded;
        }
    }
    p.add = a->epilogue == LINEAR_RESIDUAL;
    if (bias)
        p.epilogue = gelu ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
    else
        p.epilogue = gelu ? CUBLASLT_EPILOGUE_GELU : CUBLASLT_EPILOGUE_DEFAULT;
    return multiply(c, p, a->x, a->w, bias, a->addend, a->y);
}

/* A plain F32 product, then finish_rows; in chunks of rows where the workspace does not hold them all. */
f5_status linear_finished(cuda_context *c, const linear_args *a, product p, bool y_f32) {
    const int32_t rows = p.rows;
    const size_t row_bytes = (size_t)a->out * sizeof(float);
    const bool in_y = y_f32 && a->epilogue != LINEAR_RESIDUAL;
    size_t fit = (c->workspace_bytes - c->blas_bytes) / row_bytes;
    if (in_y) fit = (size_t)rows;
    if (fit == 0) return f5_fail(&c->error, F5_E_MEMORY, "linear: workspace too small for a row of %d", a->out);
    p.f32_out = true;
    for (int32_t row = 0; row < rows; row += p.rows) {
        p.rows = (size_t)(rows - row) < fit ? rows - row : (int32_t)fit;
        const size_t first = (size_t)row * a->out;
        char *y = static_cast<char *>(a->y) + first * (y_f32 ? 4 : type_bytes(a->type));
        float *made = in_y ? reinterpret_cast<float *>(y)
                           : reinterpret_cast<float *>(static_cast<char *>(c->workspace) + c->blas_bytes);
        const char *x = static_cast<const char *>(a->x) + (size_t)row * a->in * type_bytes(a->type);
        F5_TRY(multiply(c, p, x, a->w, nullptr, nullptr, made));
        finish_args f = {};
        f.product = made, f.bias = a->bias, f.gate = a->gate, f.out = a->out;
        f.addend = a->addend ? a->addend + first : nullptr;
        F5_TRY(for_dtype(c, "linear", y_f32 ? F5_F32 : a->type, [&](auto zero) {
            using T = decltype(zero);
            return for_epilogue(a->epilogue, [&](auto one) { return finish_launch<T, one.value>(c, f, p.rows, y); });
        }));
    }
    return F5_OK;
}

/* y [rows, 3, heads, 64]: 8 elements of a row of q or k each thread, by 16-byte accesses. */
struct rotate_args {
    const float *rope;
    const int32_t *offsets, *seq_of_row; /* NULL: all rows are one sequence */
    int rows, heads, rope_heads;
};

template <typename T> __global__ void __launch_bounds__(256) rotate_rows(rotate_args a, T *y) {
    const int parts = 2 * a.rope_heads * 8;
    const int64_t item = blockIdx.x * int64_t{256} + threadIdx.x;
    if (item >= int64_t{a.rows} * parts) return;
    const int row = (int)(item / parts), part = (int)(item % parts) % 8, head = (int)(item % parts) / 8;
    const int sequence = a.seq_of_row ? a.seq_of_row[row] : 0;
    if (sequence < 0) return;
    const int position = a.offsets ? row - a.offsets[sequence] : row;
    T *at = y + (int64_t{row} * 3 * a.heads + head / a.rope_heads * a.heads + head % a.rope_heads) * 64 + part * 8;
    float v[8];
    load8(v, at);
    rotate8(v, a.rope + int64_t{position} * 64 + part * 8);
    store8(at, v);
}

f5_status linear_rotate(cuda_context *c, const linear_args *a, int32_t rows) {
    if (a->rope_heads == 0) return F5_OK;
    rotate_args r = {};
    r.rope = a->rope, r.rows = rows, r.heads = a->out / 192, r.rope_heads = a->rope_heads;
    if (a->pack) r.offsets = a->pack->offsets, r.seq_of_row = a->pack->seq_of_row;
    const int64_t blocks = ceil_div<int64_t>(int64_t{rows} * 2 * a->rope_heads * 8, 256);
    return for_dtype(c, "linear", a->type, [&](auto zero) {
        using T = decltype(zero);
        rotate_rows<<<(unsigned int)blocks, 256, 0, c->stream>>>(r, static_cast<T *>(a->y));
        return cuda_launched(c, "linear");
    });
}

/* ---- Hopper's own kernel */

/* By shape and types alone, never by the row count: a row's bits must not depend on it. */
bool has_hopper_kernel(const cuda_context *c, const linear_args *a) {
    if (!c->hopper || c->force_portable || a->type == F5_F32 || a->in % 64 != 0 || a->out % 64 != 0) return false;
    if (((uintptr_t)a->bias | (uintptr_t)a->gate | (uintptr_t)a->addend) % 16 != 0) return false;
    if (a->y_f32) return a->epilogue == LINEAR_RESIDUAL;
    return a->epilogue == LINEAR_NONE || a->epilogue == LINEAR_GELU_TANH || a->epilogue == LINEAR_ROPE;
}

f5_status linear_by_hopper(cuda_context *c, const linear_args *a, int32_t rows) {
    return for_dtype(c, "linear", a->type, [&](auto zero) -> f5_status {
        using T = decltype(zero);
        if constexpr (sizeof(T) == 2) {
            if (a->epilogue == LINEAR_RESIDUAL) return linear_sm90::run<T, LINEAR_RESIDUAL>(c, a, rows);
            if (a->epilogue == LINEAR_ROPE) return linear_sm90::run<T, LINEAR_ROPE>(c, a, rows);
            if (a->epilogue == LINEAR_GELU_TANH) return linear_sm90::run<T, LINEAR_GELU_TANH>(c, a, rows);
            return linear_sm90::run<T, LINEAR_NONE>(c, a, rows);
        }
        return F5_E_UNSUPPORTED;
    });
}

/* ---- rows of a mel frame's width, on every device; chosen by shape and types alone too */

bool has_short_kernel(const linear_args *a) {
    return a->type == F5_F32 && a->epilogue == LINEAR_RESIDUAL && !a->bias && !a->gate &&
           a->in <= linear_short_rows::kMaxIn && a->in % 4 == 0 && a->out % 4 == 0 && (uintptr_t)a->addend % 16 == 0 &&
           (!a->y_rounded || a->rounded_type != F5_F32);
}

f5_status linear_of_short_rows(cuda_context *c, const linear_args *a, int32_t rows) {
    linear_short_rows::args s = {};
    s.x = static_cast<const float *>(a->x), s.w = static_cast<const float *>(a->w), s.addend = a->addend;
    s.y = static_cast<float *>(a->y), s.rounded = a->y_rounded, s.rows = rows, s.in = a->in, s.out = a->out;
    return for_dtype(c, "linear", a->y_rounded ? a->rounded_type : F5_F32,
                     [&](auto zero) { return linear_short_rows::run<decltype(zero)>(c, s); });
}

/* ---- F32 operands; by shape, types and device */

/* Three products of the matrix unit for one of F32 pay where it is many times as fast as the F32 units: on sm_80, 90
 * and 100, not on sm_86, 89 and 120. */
bool has_split_kernel(const cuda_context *c, const linear_args *a) {
    return a->type == F5_F32 && a->in % 4 == 0 && a->out % 2 == 0 && (uintptr_t)a->addend % 8 == 0 && c->sm % 10 == 0 &&
           c->sm <= 100 && !c->force_portable;
}

f5_status linear_by_split(cuda_context *c, const linear_args *a, int32_t rows) {
    linear_split_f32::args s = {};
    s.x = static_cast<const float *>(a->x), s.w = static_cast<const float *>(a->w), s.bias = a->bias;
    s.gate = a->gate, s.addend = a->addend, s.y = static_cast<float *>(a->y);
    s.rows = rows, s.in = a->in, s.out = a->out;
    F5_TRY(linear_split_f32::run(c, a->epilogue, s));
    return a->epilogue == LINEAR_ROPE ? linear_rotate(c, a, rows) : F5_OK;
}

/* ---- few outputs; by shape and types too */

bool has_narrow_kernel(const linear_args *a) {
    return (a->type == F5_F16 || a->type == F5_BF16) && a->y_f32 && a->epilogue == LINEAR_NONE &&
           a->in % linear_few_outputs::kInMultiple == 0 && a->out <= linear_few_outputs::kMaxOut;
}

f5_status linear_of_few_outputs(cuda_context *c, const linear_args *a, int32_t rows) {
    const linear_few_outputs::args n = {a->x, a->w, a->bias, static_cast<float *>(a->y), rows, a->in, a->out};
    return a->type == F5_F16 ? linear_few_outputs::run<__half>(c, n) : linear_few_outputs::run<__nv_bfloat16>(c, n);
}

/* ---- the rest */

f5_status linear_by_blas(cuda_context *c, const linear_args *a, int32_t rows, bool y_f32) {
    product p = {};
    p.rows = rows, p.in = a->in, p.out = a->out, p.type = a->type, p.f32_out = y_f32;
    p.epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    p.plan_rows = rows_to_plan(c, a, rows);
    if (a->epilogue == LINEAR_ROPE) {
        F5_TRY(linear_direct(c, a, p));
        return linear_rotate(c, a, rows);
    }
    const bool direct = a->epilogue == LINEAR_NONE || (a->epilogue == LINEAR_GELU_TANH && !y_f32) ||
                        (a->epilogue == LINEAR_RESIDUAL && !a->gate && y_f32);
    return direct ? linear_direct(c, a, p) : linear_finished(c, a, p, y_f32);
}

/* What the host can tell; lengths of sequences it cannot. */
f5_status linear_check(cuda_context *c, const linear_args *a, int32_t rows, bool y_f32) {
    const bool residual = a->epilogue == LINEAR_RESIDUAL, rope = a->epilogue == LINEAR_ROPE;
    if ((int)a->epilogue < LINEAR_NONE || (int)a->epilogue > LINEAR_ROPE)
        return f5_fail(&c->error, F5_E_ARGUMENT, "linear: epilogue %d", (int)a->epilogue);
    if (rows < 0 || a->in < 1 || a->out < 1)
        return f5_fail(&c->error, F5_E_SHAPE, "linear: [%d,%d] x [%d,%d]", rows, a->in, a->out, a->in);
    if (rope && (a->out % 192 != 0 || a->rope_heads < 0 || a->rope_heads > a->out / 192))
        return f5_fail(&c->error, F5_E_SHAPE, "linear: %d columns, %d heads rotated", a->out, a->rope_heads);
    if (a->y_rounded && !y_f32) return f5_fail(&c->error, F5_E_UNSUPPORTED, "linear: y_rounded is of an F32 y");
    if (rows == 0) return F5_OK;
    if (rope && (a->pack ? 1 : rows) > a->max_position)
        return f5_fail(&c->error, F5_E_SHAPE, "linear: %d rows, angles for %d", rows, a->max_position);
    if (!a->x || !a->w || !a->y || (residual && !a->addend) || (rope && !a->rope))
        return f5_fail(&c->error, F5_E_ARGUMENT, "linear: a pointer is NULL");
    const uintptr_t angles = rope ? (uintptr_t)a->rope : 0;
    if (((uintptr_t)a->x | (uintptr_t)a->w | (uintptr_t)a->y | (uintptr_t)a->y_rounded | angles) % 16 != 0)
        return f5_fail(&c->error, F5_E_ARGUMENT, "linear: x, w, y, y_rounded or rope is not 16-byte aligned");
    return F5_OK;
}

} // namespace

extern "C" f5_status linear_cuda(cuda_context *c, const linear_args *a) {
    const int32_t rows = a->pack ? a->pack->rows : a->rows;
    const bool y_f32 = a->epilogue == LINEAR_ROPE ? a->type == F5_F32 : a->y_f32 || a->type == F5_F32;
    F5_TRY(linear_check(c, a, rows, y_f32));
    if (rows == 0) return F5_OK;
    if (has_short_kernel(a)) return linear_of_short_rows(c, a, rows);
    if (has_hopper_kernel(c, a))
        F5_TRY(linear_by_hopper(c, a, rows));
    else if (has_split_kernel(c, a))
        F5_TRY(linear_by_split(c, a, rows));
    else if (has_narrow_kernel(a))
        F5_TRY(linear_of_few_outputs(c, a, rows));
    else
        F5_TRY(linear_by_blas(c, a, rows, y_f32));
    if (!a->y_rounded) return F5_OK;
    const cast_args cast = {int64_t{rows} * a->out, static_cast<const float *>(a->y), a->y_rounded, a->rounded_type};
    return cast_cuda(c, &cast);
}
