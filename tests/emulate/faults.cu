/* faults.cu — kernels with one fault each, and one without: what the emulator must find, and what it must not. */
#include "kernels/cuda/common/reduce.cuh"
#include "kernels/cuda/common/vec.cuh"
#include "kernels/cuda/sm80/ptx.cuh"

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
    SHARED_TOO_LARGE
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

extern "C" f5_status faults_run(cuda_context *c, int which, int n, const float *x, float *y);
extern "C" f5_status faults_run(cuda_context *c, int which, int n, const float *x, float *y) {
    const fault f = (fault)which;
    const dim3 blocks(f == BLOCKS_MEET ? 2 : 1, f == GRID_TOO_HIGH ? 65536 : 1);
    faulty_sum<<<blocks, kThreads, f == SHARED_TOO_LARGE ? 50000 : 0, c->stream>>>(f, n, x, y);
    return cuda_launched(c, "faults");
}
