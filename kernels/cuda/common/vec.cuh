/* vec.cuh — V neighbouring elements of memory type T as F32 in registers, in one access of V * sizeof(T) bytes.
 * p is aligned to the access: a row whose width is a multiple of V, in an aligned tensor, always is. */
#ifndef F5_VEC_CUH
#define F5_VEC_CUH

#include "kernels/cuda/common/launch.cuh"

template <typename T, int V> struct alignas(sizeof(T) * V) vec_of { T v[V]; };

template <typename T, int V> __device__ __forceinline__ void load_vec(float (&v)[V], const T *p) {
    static_assert(sizeof(T) * V <= 16, "one access is 16 bytes at most");
    const vec_of<T, V> raw = *reinterpret_cast<const vec_of<T, V> *>(p);
#pragma unroll
    for (int i = 0; i < V; i++) v[i] = to_float(raw.v[i]);
}

template <typename T, int V> __device__ __forceinline__ void store_vec(T *p, const float (&v)[V]) {
    static_assert(sizeof(T) * V <= 16, "one access is 16 bytes at most");
    vec_of<T, V> raw;
#pragma unroll
    for (int i = 0; i < V; i++) raw.v[i] = from_float<T>(v[i]);
    *reinterpret_cast<vec_of<T, V> *>(p) = raw;
}

/* Whether every tensor is aligned to 16 bytes; one that is NULL is. */
template <typename... Tensor> static inline bool aligned16(const Tensor *...tensor) {
    return ((reinterpret_cast<uintptr_t>(tensor) | ...) % 16) == 0;
}

/* Calls body(width) with the widest access that rows of `dim` floats allow, as a constant; aligned: what aligned16 says
 * of all tensors of such rows.
 *     for_width(a->dim, aligned16(a->x, a->y), [&](auto width) { kernel<width.value><<<...>>>(...); }); */
template <int V> struct vec_width { static constexpr int value = V; };
template <typename Body> static inline void for_width(int dim, bool aligned, Body body) {
    if (dim % 4 == 0 && aligned)
        body(vec_width<4>{});
    else
        body(vec_width<1>{});
}

#endif
