/* hopper_ptx.cuh — stands in the place of kernels/cuda/sm90/ptx.cuh: what its instructions do, in C++. */
#ifndef F5_SM90_PTX_CUH
#define F5_SM90_PTX_CUH

#include "kernels/cuda/sm80/ptx.cuh"
#include "tests/emulate/hopper.h"

/* ---- barriers in shared memory */

static inline void barrier_init(uint64_t *barrier, uint32_t arrivals) {
    hopper_barrier_init(barrier, arrivals);
}
static inline void barrier_init_fence() {}
static inline void barrier_arrive(uint64_t *barrier, F5_PLACE) {
    hopper_barrier_arrive(file, line, barrier, 0);
}
static inline void barrier_expect(uint64_t *barrier, uint32_t bytes, F5_PLACE) {
    hopper_barrier_arrive(file, line, barrier, bytes);
}
static inline void barrier_wait(uint64_t *barrier, uint32_t parity, F5_PLACE) {
    hopper_barrier_wait(file, line, barrier, parity);
}

/* Blocks run one after the other: what a later one would write never comes. */
static inline void flag_raise(uint32_t *flag) {
    *flag = 1;
}
static inline void flag_wait(const uint32_t *flag, F5_PLACE) {
    if (!*flag) emulator_fail(file, line, "a flag that a later block raises");
}

template <int stages> struct ring {
    int stage = 0;
    uint32_t parity = 0;
    void next() {
        if (++stage == stages) stage = 0, parity ^= 1;
    }
    void skip(int n) {
        const int to = stage + n;
        stage = to % stages, parity ^= to / stages & 1;
    }
};

/* ---- TMA */

static inline void tensor_load(void *shared, const void *map, int column, int row, uint64_t *barrier, F5_PLACE) {
    const int corner[] = {column, row};
    hopper_load(file, line, shared, map, corner, 2, barrier);
}
static inline void tensor_load_group(void *shared, const void *map, int column, int group, uint64_t *barrier, uint64_t,
                                     F5_PLACE) {
    const int corner[] = {column, 0, 0, 0, group};
    hopper_load(file, line, shared, map, corner, 5, barrier);
}
static inline void tensor_load_layer(void *shared, const void *map, int row, int layer, uint64_t *barrier, F5_PLACE) {
    const int corner[] = {0, row, layer};
    hopper_load(file, line, shared, map, corner, 3, barrier);
}
static inline uint64_t evict_first_policy() {
    return 0;
}
static inline void tensor_map_prefetch(const void *) {}
static inline void shared_fence_async() {}

/* A lane shows where it writes, and its words: the column of matrix m that lane 8 m + j writes is everyone's. */
static inline void store_matrices_transposed(uint32_t shared, const uint32_t (&r)[4], F5_PLACE) {
    const char *shown = emulator_exchange(file, line, 0xffffffffu, r, sizeof r);
    const int matrix = emulated_lane() / 8, column = emulated_lane() % 8;
    char *to = static_cast<char *>(emulator_shared_at(shared, 16));
    for (int row = 0; row < 8; row++)
        memcpy(to + 2 * row, shown + (4 * row + column / 2) * EMULATOR_SLOT + 4 * matrix + column % 2 * 2, 2);
}

/* ---- global memory */

template <typename T> static inline T emulated_vector(const void *p) {
    return *static_cast<const T *>(p);
}
static inline int load_early(const int32_t *p) {
    return *p;
}
static inline float4 load_early(const float *p) {
    return emulated_vector<float4>(p);
}
template <typename Vector> static inline void store_if(bool live, void *p, Vector v) {
    if (live) *static_cast<Vector *>(p) = v;
}

template <int> static inline void registers_give() {}
template <int> static inline void registers_take() {}

#endif
