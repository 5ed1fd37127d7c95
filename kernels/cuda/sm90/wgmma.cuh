/* wgmma.cuh — the warpgroup product at the widths that tiles of linear, attention and conv_pos have. [wgmma.mma_async]
 *
 *   d [64,n] (+)= a [64,16] . b [n,16]^T     a, b in shared memory, 16-bit elements along the row; tile_descriptor
 *
 * A thread holds rows r, r + 8 of its warp's 16, r = lane/4: two columns of every eight, 2·(lane%4) and the next, so
 * d[4j], d[4j+1] are columns 8j + 2·(lane%4) of row r, d[4j+2], d[4j+3] those of row r + 8. */
#ifndef F5_WGMMA_CUH
#define F5_WGMMA_CUH

#include <type_traits>

#include "kernels/cuda/sm80/ptx.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* Registers of d in the text of the instruction, and as operands. */
#define F5_R0 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define F5_R1 "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define F5_R2 "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"
#define F5_R3 "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define F5_R4 "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"
#define F5_R5 "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"
#define F5_R6 "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111"
#define F5_R7 "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define F5_R5_HALF "%80,%81,%82,%83,%84,%85,%86,%87"
#define F5_A4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define F5_A16(i) F5_A4(i), F5_A4(i + 4), F5_A4(i + 8), F5_A4(i + 12)
#define F5_WGMMA_TEXT(n, type, registers, a, b, keep)                                                                  \
    "{\n.reg .pred keep;\nsetp.ne.b32 keep, " keep ", 0;\n"                                                            \
    "wgmma.mma_async.sync.aligned.m64n" n "k16.f32." type "." type " {" registers "}, " a ", " b                       \
    ", keep, 1, 1, 0, 0;\n}\n"

#define F5_WGMMA_32(type)                                                                                              \
    asm volatile(F5_WGMMA_TEXT("32", type, F5_R0, "%16", "%17", "%18") : F5_A16(0) : "l"(a), "l"(b), "r"((int)keep))
#define F5_WGMMA_64(type)                                                                                              \
    asm volatile(F5_WGMMA_TEXT("64", type, F5_R0 "," F5_R1, "%32", "%33", "%34")                                       \
                 : F5_A16(0), F5_A16(16)                                                                               \
                 : "l"(a), "l"(b), "r"((int)keep))
#define F5_WGMMA_96(type)                                                                                              \
    asm volatile(F5_WGMMA_TEXT("96", type, F5_R0 "," F5_R1 "," F5_R2, "%48", "%49", "%50")                             \
                 : F5_A16(0), F5_A16(16), F5_A16(32)                                                                   \
                 : "l"(a), "l"(b), "r"((int)keep))
#define F5_WGMMA_128(type)                                                                                             \
    asm volatile(F5_WGMMA_TEXT("128", type, F5_R0 "," F5_R1 "," F5_R2 "," F5_R3, "%64", "%65", "%66")                  \
                 : F5_A16(0), F5_A16(16), F5_A16(32), F5_A16(48)                                                       \
                 : "l"(a), "l"(b), "r"((int)keep))
#define F5_WGMMA_176(type)                                                                                             \
    asm volatile(                                                                                                      \
        F5_WGMMA_TEXT("176", type, F5_R0 "," F5_R1 "," F5_R2 "," F5_R3 "," F5_R4 "," F5_R5_HALF, "%88", "%89", "%90")  \
        : F5_A16(0), F5_A16(16), F5_A16(32), F5_A16(48), F5_A16(64), F5_A4(80), F5_A4(84)                              \
        : "l"(a), "l"(b), "r"((int)keep))
#define F5_WGMMA_192(type)                                                                                             \
    asm volatile(                                                                                                      \
        F5_WGMMA_TEXT("192", type, F5_R0 "," F5_R1 "," F5_R2 "," F5_R3 "," F5_R4 "," F5_R5, "%96", "%97", "%98")       \
        : F5_A16(0), F5_A16(16), F5_A16(32), F5_A16(48), F5_A16(64), F5_A16(80)                                        \
        : "l"(a), "l"(b), "r"((int)keep))
#define F5_WGMMA_256(type)                                                                                             \
    asm volatile(F5_WGMMA_TEXT("256", type,                                                                            \
                               F5_R0 "," F5_R1 "," F5_R2 "," F5_R3 "," F5_R4 "," F5_R5 "," F5_R6 "," F5_R7, "%128",    \
                               "%129", "%130")                                                                         \
                 : F5_A16(0), F5_A16(16), F5_A16(32), F5_A16(48), F5_A16(64), F5_A16(80), F5_A16(96), F5_A16(112)      \
                 : "l"(a), "l"(b), "r"((int)keep))

template <typename T, int n>
__device__ __forceinline__ void wgmma_64xn(float (&d)[n / 2], uint64_t a, uint64_t b, bool keep) {
    static_assert(n == 32 || n == 64 || n == 96 || n == 128 || n == 176 || n == 192 || n == 256,
                  "a width that a tile has");
    constexpr bool half = std::is_same<T, __half>::value;
    if constexpr (n == 32 && half)
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
    else if constexpr (n == 256 && half)
        F5_WGMMA_256("f16");
    else if constexpr (n == 256 && !half)
        F5_WGMMA_256("bf16");
}

#undef F5_R0
#undef F5_R1
#undef F5_R2
#undef F5_R3
#undef F5_R4
#undef F5_R5
#undef F5_R5_HALF
#undef F5_R6
#undef F5_R7
#undef F5_A4
#undef F5_A16
#undef F5_WGMMA_TEXT
#undef F5_WGMMA_32
#undef F5_WGMMA_64
#undef F5_WGMMA_96
#undef F5_WGMMA_128
#undef F5_WGMMA_176
#undef F5_WGMMA_192
#undef F5_WGMMA_256

#endif /* __CUDA_ARCH_FEAT_SM90_ALL */
#endif
