/* ptx.cuh — stands in the place of kernels/cuda/sm80/ptx.cuh: what its instructions do, in C++. */
#ifndef F5_SM80_PTX_CUH
#define F5_SM80_PTX_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>

static inline uint32_t shared_address(const void *p) {
    return emulator_shared_address(p);
}
static inline float ex2(float x) {
    return exp2f(x);
}
static inline float rcp(float x) {
    return 1.0f / x;
}
static inline uint32_t swizzled(int row, int chunk) {
    return row * 128 + ((chunk ^ (row & 7)) << 4);
}
static inline void copy16_async(uint32_t shared, const void *src, bool live) {
    emulator_copy(emulator_shared_at(shared, 16), live ? src : nullptr, 16);
}
static inline void copy8_async(uint32_t shared, const void *src, bool live) {
    emulator_copy(emulator_shared_at(shared, 8), live ? src : nullptr, 8);
}
static inline void copy_commit() {
    emulator_copy_commit();
}
template <int pending> static inline void copy_wait() {
    emulator_copy_wait(pending);
}
static inline void prefetch_l2(const void *) {}
static inline void named_sync(int id, int threads, F5_PLACE) {
    emulator_barrier(file, line, id, threads);
}
static inline void named_arrive(int id, int threads, F5_PLACE) {
    emulator_arrive(file, line, id, threads);
}

/* ---- matrices: what lane i shows is row i % 8 of matrix i / 8 */

static inline void load_matrices(uint32_t (&r)[4], uint32_t shared, F5_PLACE) {
    const char *rows = emulator_exchange(file, line, 0xffffffffu, emulator_shared_at(shared, 16), 16);
    const int lane = emulated_lane();
    for (int m = 0; m < 4; m++) memcpy(&r[m], rows + (8 * m + lane / 4) * EMULATOR_SLOT + lane % 4 * 4, 4);
}
static inline void load_matrices_transposed(uint32_t (&r)[4], uint32_t shared, F5_PLACE) {
    const char *rows = emulator_exchange(file, line, 0xffffffffu, emulator_shared_at(shared, 16), 16);
    const int lane = emulated_lane();
    for (int m = 0; m < 4; m++)
        for (int e = 0; e < 2; e++)
            memcpy((char *)&r[m] + 2 * e, rows + (8 * m + lane % 4 * 2 + e) * EMULATOR_SLOT + lane / 4 * 2, 2);
}

/* ---- products: a lane shows its parts of a, then of b, each as numbers */

template <typename T> static inline float2 emulated_pair(uint32_t word);
template <> inline float2 emulated_pair<__half>(uint32_t word) {
    return {half_to_float((uint16_t)word), half_to_float((uint16_t)(word >> 16))};
}
template <> inline float2 emulated_pair<__nv_bfloat16>(uint32_t word) {
    return {bfloat_to_float((uint16_t)word), bfloat_to_float((uint16_t)(word >> 16))};
}

/* d [16,8] += a [16,8 parts] . b [8,8 parts]^T, where add(u, v, sum) is the sum with the product of two parts. */
template <typename Part, typename Sum, typename Add>
static inline void emulated_mma(Sum (&d)[4], const Part (&mine)[6], Add add, const char *file, int line) {
    const char *shown = emulator_exchange(file, line, 0xffffffffu, mine, sizeof mine);
    const int row = emulated_lane() / 4, column = emulated_lane() % 4 * 2;
    auto part = [&](int lane, int i) {
        return *reinterpret_cast<const Part *>(shown + lane * EMULATOR_SLOT + i * sizeof(Part));
    };
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 8; k++)
            d[i] = add(part(row * 4 + k % 4, k / 4 * 2 + i / 2), part((column + i % 2) * 4 + k % 4, 4 + k / 4), d[i]);
}

template <typename T>
static inline void mma_16x8x16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, F5_PLACE) {
    const float2 mine[6] = {emulated_pair<T>(a[0]), emulated_pair<T>(a[1]), emulated_pair<T>(a[2]),
                            emulated_pair<T>(a[3]), emulated_pair<T>(b0),   emulated_pair<T>(b1)};
    auto add = [](float2 u, float2 v, float sum) { return sum + u.x * v.x + u.y * v.y; };
    emulated_mma(d, mine, add, file, line);
}
static inline void mma_16x8x32_s8(int (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, F5_PLACE) {
    const uint32_t mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
    auto add = [](uint32_t u, uint32_t v, int sum) {
        for (int i = 0; i < 32; i += 8) sum += (int8_t)(u >> i) * (int8_t)(v >> i);
        return sum;
    };
    emulated_mma(d, mine, add, file, line);
}

#endif
