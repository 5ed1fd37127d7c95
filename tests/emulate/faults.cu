/* faults.cu — kernels with one fault each, and one without: what the emulator must find, and what it must not. */
#include "kernels/cuda/common/reduce.cuh"
#include "kernels/cuda/common/vec.cuh"
#include "kernels/cuda/sm80/ptx.cuh"
#include "kernels/cuda/sm90/tensor_map.cuh"
#include "kernels/cuda/sm90/wgmma.cuh"

static constexpr int kThreads = 64;

enum fault {
    NONE,
    NO_BARRIER,
    NO_WARP_BARRIER,
    SOME_AT_BARRIER,
    LANE_AWAY,
    NO_COPY_WAIT,
    UNWRITTEN_SHARED,
    SHARED_INDEX,
    WRITE_BEHIND,
    READ_BEHIND,
    READ_FAR,
    MISALIGNED,
    OVERFLOWS,
    BLOCKS_MEET,
    GRID_TOO_HIGH,
    SHARED_TOO_LARGE,
    BOX,
    BOX_NO_BARRIER,
    BOX_NO_WAIT,
    BOX_ARRIVES_TWICE,
    BOX_NOBODY_WAITS,
    BOX_NEVER_COMES,
    PRODUCT,
    PRODUCT_NO_WAIT
};

/* y [kThreads + 1] of x [kThreads + 1]: the sum of the thread's and the next one's; the last is not touched. */
__global__ void __launch_bounds__(kThreads) faulty_sum(fault f, int n, const float *x, float *y) {
    __shared__ alignas(16) float a[kThreads];
    const int t = threadIdx.x;
    if (f == NO_COPY_WAIT) {
        if (t < kThreads / 4) copy16_async(shared_address(a + 4 * t), x + 4 * t, true);
        copy_commit();
    } else if (f != UNWRITTEN_SHARED || t % 8) {
        a[t] = x[t];
    }
    if (f == NO_WARP_BARRIER && t / 32 == 0)
        __syncwarp();
    else if (f == SOME_AT_BARRIER && t < 32)
        __syncthreads();
    else if (f != NO_BARRIER && f != NO_WARP_BARRIER)
        __syncthreads();
    if (f == LANE_AWAY && t == 5) return;
    if (f == LANE_AWAY) y[t] = lanes_sum(a[t]);
    float sum = a[t] + a[f == SHARED_INDEX ? t + n / kThreads : (t + 1) % kThreads];
    if (f == READ_BEHIND) sum += x[t + 2];
    if (f == READ_FAR) sum += x[t + (1 << 20)];
    if (f == OVERFLOWS) sum += x[n * 40000000 % 64];
    if (f == MISALIGNED && t < 8) {
        float v[4];
        load_vec(v, x + t);
        sum += v[0];
    }
    if (f == BLOCKS_MEET) sum += blockIdx.x > 0 ? y[t] : 0.0f;
    y[f == WRITE_BEHIND ? t + 2 : t] = sum;
}

/* The same sum of x that TMA brings, 64 numbers as a box of four rows. */
__global__ void __launch_bounds__(kThreads)
    faulty_box(fault f, const __grid_constant__ CUtensorMap map, const float *x, float *y) {
    __shared__ alignas(128) float a[kThreads];
    __shared__ uint64_t full;
    const int t = threadIdx.x;
    if (t == 0 && f != BOX_NO_BARRIER) barrier_init(&full, 1);
    __syncthreads();
    if (t == 0 && f != BOX_NEVER_COMES) {
        barrier_expect(&full, sizeof a);
        if (f == BOX_ARRIVES_TWICE) barrier_arrive(&full);
        tensor_load(a, &map, 0, 0, &full);
    }
    if (f != BOX_NO_WAIT && f != BOX_NOBODY_WAITS) barrier_wait(&full, 0);
    y[t] = f == BOX_NOBODY_WAITS ? x[t] : a[t] + a[(t + 1) % kThreads];
    if (f == BOX_NO_WAIT) barrier_wait(&full, 0);
}

/* y [64] of x [64]: column 0 of rows [x, 0 ...] times ones, by a warpgroup. */
__global__ void __launch_bounds__(128) faulty_product(fault f, const float *x, float *y) {
    __shared__ alignas(1024) __half a[64 * 64], b[32 * 64];
    const int t = threadIdx.x;
    for (int i = t; i < 64 * 64; i += 128) a[i] = __float2half_rn(0), b[i / 2] = __float2half_rn(1);
    __syncthreads();
    if (t < 64) a[swizzled(t, 0) / 2] = __float2half_rn(x[t]);
    __syncthreads();
    float d[16] = {};
    wgmma_fence();
    wgmma_64xn<__half, 32>(d, tile_descriptor(a), tile_descriptor(b), false);
    wgmma_commit();
    if (f != PRODUCT_NO_WAIT) wgmma_wait<0>();
    if (t % 4 == 0) y[t / 32 * 16 + t % 32 / 4] = d[0], y[t / 32 * 16 + t % 32 / 4 + 8] = d[2];
    wgmma_wait<0>();
}

static f5_status run_box(cuda_context *c, fault f, const float *x, float *y) {
    const cuuint64_t size[2] = {16, 4}, stride[1] = {64};
    const cuuint32_t box[2] = {16, 4};
    CUtensorMap map = {};
    if (!tensor_map_encode(c, &map, F5_F32, 2, x, size, stride, box)) return F5_E_DEVICE;
    faulty_box<<<1, kThreads, 0, c->stream>>>(f, map, x, y);
    return cuda_launched(c, "faults");
}

extern "C" f5_status faults_run(cuda_context *c, int which, int n, const float *x, float *y);
extern "C" f5_status faults_run(cuda_context *c, int which, int n, const float *x, float *y) {
    const fault f = (fault)which;
    if (f >= BOX && f < PRODUCT) return run_box(c, f, x, y);
    if (f >= PRODUCT) {
        faulty_product<<<1, 128, 0, c->stream>>>(f, x, y);
        return cuda_launched(c, "faults");
    }
    const dim3 blocks(f == BLOCKS_MEET ? 2 : 1, f == GRID_TOO_HIGH ? 65536 : 1);
    faulty_sum<<<blocks, kThreads, f == SHARED_TOO_LARGE ? 50000 : 0, c->stream>>>(f, n, x, y);
    return cuda_launched(c, "faults");
}
