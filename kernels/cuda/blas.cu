/* blas.cu — cuBLASLt's descriptors, and the plan cache: which algorithm it chose for which product.
 *
 * cuBLASLt is column-major: y^T [out,rows] = (w^T)^T [out,in] . x^T [in,rows], so w is its A (transposed), x its B. */
#include "kernels/cuda/blas.h"

#include <cublasLt.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/common/launch.cuh"

/* Distinct products that are remembered; a model has about 40, times the row counts planned for. */
static constexpr int32_t kPlans = 512;

/* One product and the algorithm that cuBLASLt chose for it. */
struct matmul_plan {
    int32_t rows; /* planned for */
    int32_t in, out;
    int32_t variant;  /* epilogue and types */
    uint64_t algo[8]; /* cublasLtMatmulAlgo_t */
};

struct cuda_blas {
    cublasLtHandle_t handle;
    int32_t n_plans;
    matmul_plan plans[kPlans];
};

namespace {

cudaDataType_t data_type(f5_dtype type) {
    return type == F5_F16 ? CUDA_R_16F : type == F5_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* ---- descriptors: all live on the stack, none allocates */

struct matmul_setup {
    cublasLtMatmulDescOpaque_t op;
    cublasLtMatrixLayoutOpaque_t w, x, y;
};

/* A bias is part of the epilogue where there is one. */
cublasLtEpilogue_t epilogue_of(const blas_product &p, const void *bias) {
    if (p.gelu) return bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU;
    return bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
}

cublasStatus_t matmul_describe(matmul_setup *s, const blas_product &p, int32_t rows, const void *bias) {
    const cudaDataType_t in_type = data_type(p.type), out_type = p.f32_out ? CUDA_R_32F : in_type;
    const cublasOperation_t transposed = CUBLAS_OP_T;
    const cublasLtEpilogue_t epilogue = epilogue_of(p, bias);
    cublasStatus_t status = cublasLtMatmulDescInit(&s->op, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulDescSetAttribute(&s->op, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulDescSetAttribute(&s->op, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    if (status == CUBLAS_STATUS_SUCCESS && bias)
        status = cublasLtMatmulDescSetAttribute(&s->op, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
    if (status == CUBLAS_STATUS_SUCCESS) status = cublasLtMatrixLayoutInit(&s->w, in_type, p.in, p.out, p.in);
    if (status == CUBLAS_STATUS_SUCCESS) status = cublasLtMatrixLayoutInit(&s->x, in_type, p.in, rows, p.in);
    if (status == CUBLAS_STATUS_SUCCESS) status = cublasLtMatrixLayoutInit(&s->y, out_type, p.out, rows, p.out);
    return status;
}

f5_status blas_failed(cuda_context *c, const blas_product &p, const char *what, cublasStatus_t status) {
    const f5_status kind = status == CUBLAS_STATUS_NOT_SUPPORTED ? F5_E_UNSUPPORTED : F5_E_DEVICE;
    return f5_fail(&c->error, kind, "linear: %s [%d,%d] x [%d,%d]: %s", what, p.rows, p.in, p.out, p.in,
                   cublasLtGetStatusString(status));
}

int32_t variant_of(const blas_product &p, const void *bias) {
    return (int32_t)p.type | p.f32_out << 2 | p.add << 3 | (int32_t)epilogue_of(p, bias) << 4;
}

/* Finds or makes the plan of a product. A full cache replaces its last entry: slower, never wrong. */
f5_status plan_for(cuda_context *c, const blas_product &p, const void *bias, const cublasLtMatmulAlgo_t **algo) {
    cuda_blas *b = c->blas;
    const int32_t variant = variant_of(p, bias);
    for (int32_t i = 0; i < b->n_plans; i++) {
        const matmul_plan *plan = &b->plans[i];
        if (plan->rows == p.plan_rows && plan->in == p.in && plan->out == p.out && plan->variant == variant) {
            *algo = reinterpret_cast<const cublasLtMatmulAlgo_t *>(plan->algo);
            return F5_OK;
        }
    }

    matmul_setup s;
    cublasLtMatmulPreferenceOpaque_t wish;
    const uint32_t no_reduction = CUBLASLT_REDUCTION_SCHEME_NONE, aligned = 16;
    const uint64_t workspace = c->fixed_bytes;
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
        status =
            cublasLtMatmulAlgoGetHeuristic(c->blas->handle, &s.op, &s.w, &s.x, &s.y, &s.y, &wish, 1, &best, &found);
    if (status != CUBLAS_STATUS_SUCCESS) return blas_failed(c, p, "no algorithm for", status);
    if (found == 0) return blas_failed(c, p, "no algorithm for", CUBLAS_STATUS_NOT_SUPPORTED);

    matmul_plan *plan = &b->plans[b->n_plans < kPlans ? b->n_plans++ : kPlans - 1];
    plan->rows = p.plan_rows, plan->in = p.in, plan->out = p.out, plan->variant = variant;
    static_assert(sizeof plan->algo == sizeof best.algo, "a cublasLtMatmulAlgo_t is 64 bytes");
    memcpy(plan->algo, &best.algo, sizeof plan->algo);
    *algo = reinterpret_cast<const cublasLtMatmulAlgo_t *>(plan->algo);
    return F5_OK;
}

} // namespace

extern "C" f5_status blas_multiply(cuda_context *c, blas_product p, const void *x, const void *w, const void *bias,
                                   const void *addend, void *y) {
    const float one = 1.0f, beta = p.add ? 1.0f : 0.0f;
    matmul_setup s;
    const cublasLtMatmulAlgo_t *algo;
    cublasStatus_t status = matmul_describe(&s, p, p.rows, bias);
    if (status != CUBLAS_STATUS_SUCCESS) return blas_failed(c, p, "cannot describe", status);
    F5_TRY(plan_for(c, p, bias, &algo));
    for (;;) {
        status = cublasLtMatmul(c->blas->handle, &s.op, &one, w, &s.w, x, &s.x, &beta, p.add ? addend : y, &s.y, y,
                                &s.y, algo, c->fixed_scratch, c->fixed_bytes, c->stream);
        if (status == CUBLAS_STATUS_SUCCESS) return F5_OK;
        if (p.plan_rows == p.rows) return blas_failed(c, p, "failed:", status);
        p.plan_rows = p.rows; /* an algorithm made for many rows may refuse a few: plan for these */
        F5_TRY(plan_for(c, p, bias, &algo));
    }
}

extern "C" f5_status blas_open(cuda_context *c, f5_error *error) {
    c->blas = static_cast<cuda_blas *>(calloc(1, sizeof *c->blas));
    if (!c->blas) return f5_fail(error, F5_E_MEMORY, "cuda:%d: no memory for plans of products", c->device);
    const cublasStatus_t status = cublasLtCreate(&c->blas->handle);
    if (status == CUBLAS_STATUS_SUCCESS) return F5_OK;
    return f5_fail(error, F5_E_DEVICE, "cuda:%d: cuBLASLt does not start: %s", c->device,
                   cublasLtGetStatusString(status));
}

extern "C" void blas_close(cuda_context *c) {
    if (!c->blas) return;
    if (c->blas->handle) cublasLtDestroy(c->blas->handle);
    free(c->blas);
    c->blas = nullptr;
}

extern "C" int32_t blas_plan_count(const cuda_context *c) {
    return c->blas->n_plans;
}
