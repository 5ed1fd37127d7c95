/* wgmma.cuh — the warpgroup's matrix product on the tensor cores of sm_90a, at the widths that tiles of linear,
 * attention and the convolutions have. [wgmma.mma_async]
 *
 *   d [64,n] (+)= a [64,16] . b [n,16]^T     a, b in shared memory, 16-bit elements along the row;
 *                                                descriptor.cuh says how they lie
 *
 * The accumulator fragment: what each of the 128 threads holds of d. Warp w has rows 16 w .. 16 w + 15, and of these
 * lane l has row r = l / 4 and row r + 8, in every eight columns the pair c = 2 (l % 4), c + 1:
 *
 *                 columns   0  1   2  3   4  5   6  7 |  8  9  10 11  12 13  14 15 | ...
 *             row 0       [ lane 0 | lane 1 | lane 2 | lane 3 | lane 0 | ...          d[0] d[1] | d[4] d[5] | ...
 *             row 1       [ lane 4 | lane 5 | lane 6 | lane 7 | lane 4 | ...
 *               ...
 *             row 8       [ lane 0 | lane 1 | lane 2 | lane 3 | lane 0 | ...          d[2] d[3] | d[6] d[7] | ...
 *
 *   d[4j + e]      column 8 j + c + e of row r            e = 0, 1
 *   d[4j + 2 + e]  the same column of row r + 8
 *
 * Two neighbouring eights of columns, packed to 16 bits, are an A fragment of the next product (wgmma_64x64_registers):
 * accumulator order is fragment order, so attention's probabilities never leave the registers. */
#ifndef F5_SM90_WGMMA_CUH
#define F5_SM90_WGMMA_CUH

#include <type_traits>

#include "kernels/cuda/sm90/descriptor.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

__device__ __forceinline__ void wgmma_fence() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int pending> __device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}

/* Keeps the compiler from moving uses of accumulators across an asynchronous product. */
template <int n> __device__ __forceinline__ void wgmma_hold(float (&d)[n]) {
#pragma unroll
    for (int i = 0; i < n; i++) asm volatile("" : "+f"(d[i])::"memory");
}
template <int n> __device__ __forceinline__ void wgmma_hold(int (&d)[n]) {
#pragma unroll
    for (int i = 0; i < n; i++) asm volatile("" : "+r"(d[i])::"memory");
}

/* ---- the instruction */

/* Registers of d in the text of the instruction, and as operands. */
#define F5_R0_12 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11"
#define F5_R0 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define F5_R1_HALF "%16,%17,%18,%19,%20,%21,%22,%23"
#define F5_R1 "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define F5_R2 "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"
#define F5_R3 "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define F5_R4 "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"
#define F5_R5 "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"
#define F5_R6 "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111"
#define F5_R7 "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define F5_R5_HALF "%80,%81,%82,%83,%84,%85,%86,%87"
#define F5_R6_HALF "%96,%97,%98,%99,%100,%101,%102,%103"
#define F5_A4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define F5_A16(i) F5_A4(i), F5_A4(i + 4), F5_A4(i + 8), F5_A4(i + 12)
#define F5_WGMMA_TEXT(n, type, registers, a, b, keep, flags)                                                           \
    "{\n.reg .pred keep;\nsetp.ne.b32 keep, " keep ", 0;\n"                                                            \
    "wgmma.mma_async.sync.aligned.m64n" n "k16.f32." type "." type " {" registers "}, " a ", " b ", keep, " flags      \
    ";\n}\n"

/* After the predicate: no sign changes; which operands lie transposed (of a only where it is in shared memory). */
#define F5_BOTH_SHARED "1, 1, 0, 0"
#define F5_B_SHARED "1, 1, 1"

#define F5_WGMMA_24(type)                                                                                              \
    asm volatile(F5_WGMMA_TEXT("24", type, F5_R0_12, "%12", "%13", "%14", F5_BOTH_SHARED)                              \
                 : F5_A4(0), F5_A4(4), F5_A4(8)                                                                        \
                 : "l"(a), "l"(b), "r"((int)keep))
#define F5_WGMMA_32(type)                                                                                              \
    asm volatile(F5_WGMMA_TEXT("32", type, F5_R0, "%16", "%17", "%18", F5_BOTH_SHARED)                                 \
                 : F5_A16(0)                                                                                           \
                 : "l"(a), "l"(b), "r"((int)keep))
#define F5_WGMMA_48(type)                                                                                              \
    asm volatile(F5_WGMMA_TEXT("48", type, F5_R0 "," F5_R1_HALF, "%24", "%25", "%26", F5_BOTH_SHARED)                  \
                 : F5_A16(0), F5_A4(16), F5_A4(20)                                                                     \
                 : "l"(a), "l"(b), "r"((int)keep))
#define F5_WGMMA_64(type)                                                                                              \
    asm volatile(F5_WGMMA_TEXT("64", type, F5_R0 "," F5_R1, "%32", "%33", "%34", F5_BOTH_SHARED)                       \
                 : F5_A16(0), F5_A16(16)                                                                               \
                 : "l"(a), "l"(b), "r"((int)keep))
#define F5_WGMMA_96(type)                                                                                              \
    asm volatile(F5_WGMMA_TEXT("96", type, F5_R0 "," F5_R1 "," F5_R2, "%48", "%49", "%50", F5_BOTH_SHARED)             \
                 : F5_A16(0), F5_A16(16), F5_A16(32)                                                                   \
                 : "l"(a), "l"(b), "r"((int)keep))
#define F5_WGMMA_128(type)                                                                                             \
    asm volatile(F5_WGMMA_TEXT("128", type, F5_R0 "," F5_R1 "," F5_R2 "," F5_R3, "%64", "%65", "%66", F5_BOTH_SHARED)  \
                 : F5_A16(0), F5_A16(16), F5_A16(32), F5_A16(48)                                                       \
                 : "l"(a), "l"(b), "r"((int)keep))
#define F5_WGMMA_176(type)                                                                                             \
    asm volatile(F5_WGMMA_TEXT("176", type, F5_R0 "," F5_R1 "," F5_R2 "," F5_R3 "," F5_R4 "," F5_R5_HALF, "%88",       \
                               "%89", "%90", F5_BOTH_SHARED)                                                           \
                 : F5_A16(0), F5_A16(16), F5_A16(32), F5_A16(48), F5_A16(64), F5_A4(80), F5_A4(84)                     \
                 : "l"(a), "l"(b), "r"((int)keep))
#define F5_WGMMA_192(type)                                                                                             \
    asm volatile(F5_WGMMA_TEXT("192", type, F5_R0 "," F5_R1 "," F5_R2 "," F5_R3 "," F5_R4 "," F5_R5, "%96", "%97",     \
                               "%98", F5_BOTH_SHARED)                                                                  \
                 : F5_A16(0), F5_A16(16), F5_A16(32), F5_A16(48), F5_A16(64), F5_A16(80)                               \
                 : "l"(a), "l"(b), "r"((int)keep))
#define F5_WGMMA_208(type)                                                                                             \
    asm volatile(F5_WGMMA_TEXT("208", type, F5_R0 "," F5_R1 "," F5_R2 "," F5_R3 "," F5_R4 "," F5_R5 "," F5_R6_HALF,    \
                               "%104", "%105", "%106", F5_BOTH_SHARED)                                                 \
                 : F5_A16(0), F5_A16(16), F5_A16(32), F5_A16(48), F5_A16(64), F5_A16(80), F5_A4(96), F5_A4(100)        \
                 : "l"(a), "l"(b), "r"((int)keep))
#define F5_WGMMA_256(type)                                                                                             \
    asm volatile(F5_WGMMA_TEXT("256", type,                                                                            \
                               F5_R0 "," F5_R1 "," F5_R2 "," F5_R3 "," F5_R4 "," F5_R5 "," F5_R6 "," F5_R7, "%128",    \
                               "%129", "%130", F5_BOTH_SHARED)                                                         \
                 : F5_A16(0), F5_A16(16), F5_A16(32), F5_A16(48), F5_A16(64), F5_A16(80), F5_A16(96), F5_A16(112)      \
                 : "l"(a), "l"(b), "r"((int)keep))

template <typename T, int n>
__device__ __forceinline__ void wgmma_64xn(float (&d)[n / 2], uint64_t a, uint64_t b, bool keep) {
    static_assert(n == 24 || n == 32 || n == 48 || n == 64 || n == 96 || n == 128 || n == 176 || n == 192 || n == 208 ||
                      n == 256,
                  "a width that a tile has");
    constexpr bool half = std::is_same<T, __half>::value;
    if constexpr (n == 24 && half)
        F5_WGMMA_24("f16");
    else if constexpr (n == 24 && !half)
        F5_WGMMA_24("bf16");
    else if constexpr (n == 48 && half)
        F5_WGMMA_48("f16");
    else if constexpr (n == 48 && !half)
        F5_WGMMA_48("bf16");
    else if constexpr (n == 32 && half)
        F5_WGMMA_32("f16");
    else if constexpr (n == 32 && !half)
        F5_WGMMA_32("bf16");
    else if constexpr (n == 64 && half)
        F5_WGMMA_64("f16");
    else if constexpr (n == 64 && !half)
        F5_WGMMA_64("bf16");
    else if constexpr (n == 96 && half)
        F5_WGMMA_96("f16");
    else if constexpr (n == 96 && !half)
        F5_WGMMA_96("bf16");
    else if constexpr (n == 128 && half)
        F5_WGMMA_128("f16");
    else if constexpr (n == 128 && !half)
        F5_WGMMA_128("bf16");
    else if constexpr (n == 176 && half)
        F5_WGMMA_176("f16");
    else if constexpr (n == 176 && !half)
        F5_WGMMA_176("bf16");
    else if constexpr (n == 192 && half)
        F5_WGMMA_192("f16");
    else if constexpr (n == 192 && !half)
        F5_WGMMA_192("bf16");
    else if constexpr (n == 208 && half)
        F5_WGMMA_208("f16");
    else if constexpr (n == 208 && !half)
        F5_WGMMA_208("bf16");
    else if constexpr (n == 256 && half)
        F5_WGMMA_256("f16");
    else if constexpr (n == 256 && !half)
        F5_WGMMA_256("bf16");
}

/* Whole numbers of 8 bits, 32 of them a step, which are 32 bytes too; exact sums. */
#define F5_I4(i) "+r"(d[i]), "+r"(d[i + 1]), "+r"(d[i + 2]), "+r"(d[i + 3])
#define F5_I16(i) F5_I4(i), F5_I4(i + 4), F5_I4(i + 8), F5_I4(i + 12)
#define F5_WGMMA_S8(n, registers, a, b, keep)                                                                          \
    "{\n.reg .pred keep;\nsetp.ne.b32 keep, " keep ", 0;\n"                                                            \
    "wgmma.mma_async.sync.aligned.m64n" n "k32.s32.s8.s8 {" registers "}, " a ", " b ", keep;\n}\n"
template <int n> __device__ __forceinline__ void wgmma_s8_64xn(int (&d)[n / 2], uint64_t a, uint64_t b, bool keep) {
    static_assert(n == 64 || n == 96 || n == 128 || n == 176 || n == 192 || n == 208 || n == 256,
                  "a width that a tile has");
    if constexpr (n == 64)
        asm volatile(F5_WGMMA_S8("64", F5_R0 "," F5_R1, "%32", "%33", "%34")
                     : F5_I16(0), F5_I16(16)
                     : "l"(a), "l"(b), "r"((int)keep));
    else if constexpr (n == 96)
        asm volatile(F5_WGMMA_S8("96", F5_R0 "," F5_R1 "," F5_R2, "%48", "%49", "%50")
                     : F5_I16(0), F5_I16(16), F5_I16(32)
                     : "l"(a), "l"(b), "r"((int)keep));
    else if constexpr (n == 128)
        asm volatile(F5_WGMMA_S8("128", F5_R0 "," F5_R1 "," F5_R2 "," F5_R3, "%64", "%65", "%66")
                     : F5_I16(0), F5_I16(16), F5_I16(32), F5_I16(48)
                     : "l"(a), "l"(b), "r"((int)keep));
    else if constexpr (n == 176)
        asm volatile(
            F5_WGMMA_S8("176", F5_R0 "," F5_R1 "," F5_R2 "," F5_R3 "," F5_R4 "," F5_R5_HALF, "%88", "%89", "%90")
            : F5_I16(0), F5_I16(16), F5_I16(32), F5_I16(48), F5_I16(64), F5_I4(80), F5_I4(84)
            : "l"(a), "l"(b), "r"((int)keep));
    else if constexpr (n == 192)
        asm volatile(F5_WGMMA_S8("192", F5_R0 "," F5_R1 "," F5_R2 "," F5_R3 "," F5_R4 "," F5_R5, "%96", "%97", "%98")
                     : F5_I16(0), F5_I16(16), F5_I16(32), F5_I16(48), F5_I16(64), F5_I16(80)
                     : "l"(a), "l"(b), "r"((int)keep));
    else if constexpr (n == 208)
        asm volatile(F5_WGMMA_S8("208", F5_R0 "," F5_R1 "," F5_R2 "," F5_R3 "," F5_R4 "," F5_R5 "," F5_R6_HALF, "%104",
                                 "%105", "%106")
                     : F5_I16(0), F5_I16(16), F5_I16(32), F5_I16(48), F5_I16(64), F5_I16(80), F5_I4(96), F5_I4(100)
                     : "l"(a), "l"(b), "r"((int)keep));
    else
        asm volatile(F5_WGMMA_S8("256", F5_R0 "," F5_R1 "," F5_R2 "," F5_R3 "," F5_R4 "," F5_R5 "," F5_R6 "," F5_R7,
                                 "%128", "%129", "%130")
                     : F5_I16(0), F5_I16(16), F5_I16(32), F5_I16(48), F5_I16(64), F5_I16(80), F5_I16(96), F5_I16(112)
                     : "l"(a), "l"(b), "r"((int)keep));
}
#undef F5_I4
#undef F5_I16
#undef F5_WGMMA_S8

/* The same with a in registers, its fragment a0 .. a3, and b [16,64] with its columns along the row. */
#define F5_WGMMA_64_REGISTERS(type)                                                                                    \
    asm volatile(F5_WGMMA_TEXT("64", type, F5_R0 "," F5_R1, "{%32,%33,%34,%35}", "%36", "%37", F5_B_SHARED)            \
                 : F5_A16(0), F5_A16(16)                                                                               \
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "l"(b), "r"((int)keep))

template <typename T>
__device__ __forceinline__ void wgmma_64x64_registers(float (&d)[32], uint32_t a0, uint32_t a1, uint32_t a2,
                                                      uint32_t a3, uint64_t b, bool keep) {
    if constexpr (std::is_same<T, __half>::value)
        F5_WGMMA_64_REGISTERS("f16");
    else
        F5_WGMMA_64_REGISTERS("bf16");
}

#undef F5_R0
#undef F5_R0_12
#undef F5_R1
#undef F5_R1_HALF
#undef F5_R2
#undef F5_R3
#undef F5_R4
#undef F5_R5
#undef F5_R5_HALF
#undef F5_R6_HALF
#undef F5_R6
#undef F5_R7
#undef F5_A4
#undef F5_A16
#undef F5_WGMMA_TEXT
#undef F5_BOTH_SHARED
#undef F5_B_SHARED
#undef F5_WGMMA_24
#undef F5_WGMMA_32
#undef F5_WGMMA_48
#undef F5_WGMMA_64
#undef F5_WGMMA_64_REGISTERS
#undef F5_WGMMA_96
#undef F5_WGMMA_128
#undef F5_WGMMA_176
#undef F5_WGMMA_192
#undef F5_WGMMA_208
#undef F5_WGMMA_256

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */
#endif
