/* guide.cu — one thread steps four values of the state and writes them for both branches.
 * Memory bound: a step of two branches reads x and v of one and v of the other and writes y twice: 10 * rows * dim
 * bytes. 2812 rows of 100: 2.8 MB, under 1 µs: the launch is the cost. A look back reads and writes last for one
 * branch: 14 * rows * dim. */
#include "kernels/guide.h"

#include "kernels/cuda/common/vec.cuh"

static constexpr int kThreads = 256;

/* kBack: last or now is given. A kernel of its own, so that steps without it stay as they are. */
template <int V, bool kBack>
__global__ void __launch_bounds__(kThreads) guide_thread_per_vector(guide_args a, const int *live) {
    let_next_start();
    wait_for_previous();
    const int half = *live / a.branches;
    const int64_t width = a.dim / V, i = (int64_t)blockIdx.x * kThreads + threadIdx.x;
    if (i >= half * width) return;
    const int64_t at = i * V, to_null = (int64_t)half * a.dim;

    float y[V];
    if (a.keep && a.keep[i / width]) {
        load_vec(y, a.kept + at);
    } else {
        float x[V], v[V], v_null[V];
        load_vec(x, a.x + at);
        load_vec(v, a.v + at);
        if (a.branches == 2) load_vec(v_null, a.v + at + to_null);
#pragma unroll
        for (int e = 0; e < V; e++) {
            const float d = a.branches == 2 ? v[e] + (v[e] - v_null[e]) * a.cfg : v[e];
            y[e] = x[e] + a.dt * d;
            if constexpr (kBack) v[e] = d;
        }
        if constexpr (kBack) {
            if (a.last) {
                float last[V];
                load_vec(last, a.last + at);
#pragma unroll
                for (int e = 0; e < V; e++) y[e] += a.back * (v[e] - last[e]);
            }
            if (a.now) store_vec(a.now + at, v);
        }
    }
    store_vec(a.y + at, y);
    if (a.branches == 2) store_vec(a.y + at + to_null, y);
}

extern "C" f5_status guide_cuda(cuda_context *c, const guide_args *a) {
    if (!a->pack || !a->x || !a->v || !a->y || (a->keep && !a->kept))
        return f5_fail(&c->error, F5_E_ARGUMENT, "guide: a pointer is NULL");
    if (a->branches != 1 && a->branches != 2)
        return f5_fail(&c->error, F5_E_ARGUMENT, "guide: %d branches; 1 or 2 are possible", a->branches);
    if (a->dim < 1) return f5_fail(&c->error, F5_E_SHAPE, "guide: dim %d", a->dim);
    if (a->pack->rows == 0) return F5_OK;
    f5_status status = F5_OK;
    const bool aligned = aligned16(a->x, a->v, a->y, a->kept, a->last, a->now);
    for_width(a->dim, aligned, [&](auto width) {
        constexpr int V = decltype(width)::value;
        const int64_t vectors = (int64_t)(a->pack->rows / a->branches) * (a->dim / V);
        if (vectors == 0) return;
        status = cuda_launch_early(
            c, "guide", a->last || a->now ? guide_thread_per_vector<V, true> : guide_thread_per_vector<V, false>,
            dim3((unsigned)ceil_div<int64_t>(vectors, kThreads)), kThreads, 0, *a, a->pack->offsets + a->pack->n_seq);
    });
    return status;
}
