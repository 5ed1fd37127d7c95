/* hopper_wgmma.cuh — stands in the place of kernels/cuda/sm90/wgmma.cuh. A thread makes its own part of the product;
 * what a warp does together is to wait for it. */
#ifndef F5_SM90_WGMMA_CUH
#define F5_SM90_WGMMA_CUH

#include <type_traits>

#include "kernels/cuda/sm90/descriptor.cuh"

static inline void wgmma_fence() {}
static inline void wgmma_commit() {
    emulator_product_commit();
}
template <int pending> static inline void wgmma_wait(F5_PLACE) {
    emulator_product_wait(pending);
    emulator_exchange(file, line, 0xffffffffu, "", 0);
}
template <typename Sum, int n> static inline void wgmma_hold(Sum (&)[n]) {
    __asm__ volatile("" ::: "memory");
}

static inline float emulated_number(const __half *p) {
    return __half2float(*p);
}
static inline float emulated_number(const __nv_bfloat16 *p) {
    return __bfloat162float(*p);
}
static inline int emulated_number(const int8_t *p) {
    return *p;
}

/* d [2 rows, a quarter of n columns] += a . b, of 32 bytes along the summed dimension. */
template <typename T, typename Sum, int n> struct emulated_product {
    Sum *d;
    uint64_t a, b;
    bool keep;

    static void operand(Sum *v, uint64_t descriptor, int row) {
        constexpr int in_chunk = 16 / sizeof(T);
        for (int chunk = 0; chunk < 2; chunk++) {
            const T *from = static_cast<const T *>(hopper_operand(descriptor, row, chunk));
            for (int i = 0; i < in_chunk; i++) v[chunk * in_chunk + i] = emulated_number(from + i);
        }
    }
    static void make(const void *of) {
        constexpr int summed = 32 / sizeof(T);
        const emulated_product &p = *static_cast<const emulated_product *>(of);
        const int lane = emulated_lane(), row = (int)threadIdx.x % 128 / 32 * 16 + lane / 4;
        Sum a[2][summed], b[summed];
        operand(a[0], p.a, row);
        operand(a[1], p.a, row + 8);
        for (int j = 0; j < n / 8; j++)
            for (int e = 0; e < 2; e++) {
                operand(b, p.b, 8 * j + lane % 4 * 2 + e);
                for (int half = 0; half < 2; half++) {
                    Sum sum = p.keep ? p.d[4 * j + 2 * half + e] : 0;
                    for (int k = 0; k < summed; k++) sum += a[half][k] * b[k];
                    p.d[4 * j + 2 * half + e] = sum;
                }
            }
    }
};

template <typename T, int n> static inline void wgmma_64xn(float (&d)[n / 2], uint64_t a, uint64_t b, bool keep) {
    const emulated_product<T, float, n> p = {d, a, b, keep};
    emulator_product(p.make, &p, sizeof p);
}
template <int n> static inline void wgmma_s8_64xn(int (&d)[n / 2], uint64_t a, uint64_t b, bool keep) {
    const emulated_product<int8_t, int, n> p = {d, a, b, keep};
    emulator_product(p.make, &p, sizeof p);
}

/* a of two rows, gathered from the four lanes that hold them. */
template <typename T> struct emulated_product_of_registers {
    float *d;
    uint64_t b;
    bool keep;
    float2 a[2][8];

    static void make(const void *of) {
        const emulated_product_of_registers &p = *static_cast<const emulated_product_of_registers *>(of);
        for (int j = 0; j < 8; j++)
            for (int e = 0; e < 2; e++)
                for (int half = 0; half < 2; half++) {
                    float sum = p.keep ? p.d[4 * j + 2 * half + e] : 0;
                    for (int k = 0; k < 16; k++) {
                        const T *row = static_cast<const T *>(hopper_operand(p.b, k, j));
                        const float2 pair = p.a[half][k / 2];
                        sum += (k % 2 ? pair.y : pair.x) * emulated_number(row + emulated_lane() % 4 * 2 + e);
                    }
                    p.d[4 * j + 2 * half + e] = sum;
                }
    }
};

template <typename T>
static inline void wgmma_64x64_registers(float (&d)[32], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint64_t b,
                                         bool keep, F5_PLACE) {
    const uint32_t mine[4] = {a0, a1, a2, a3};
    const char *shown = emulator_exchange(file, line, 0xffffffffu, mine, sizeof mine);
    emulated_product_of_registers<T> p = {d, b, keep, {}};
    for (int half = 0; half < 2; half++)
        for (int pair = 0; pair < 8; pair++) {
            uint32_t word;
            memcpy(&word, shown + (emulated_lane() / 4 * 4 + pair % 4) * EMULATOR_SLOT + 4 * (half + pair / 4 * 2), 4);
            p.a[half][pair] = emulated_pair<T>(word);
        }
    emulator_product(p.make, &p, sizeof p);
}

#endif
