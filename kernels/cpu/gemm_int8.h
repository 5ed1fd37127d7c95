/* gemm_int8.h — one block of a product of 8-bit whole numbers, held in registers: exact sums of 32 bits.
 *
 * Numbers lie in words of 32 bits along `in`, as the CPU's instruction takes them: four bytes for the dot products of
 * VNNI (AVX-512 and AVX), where those of x are 128 larger and without a sign; two of 16 bits for the multiply-adds that
 * every x86 has. Which of the two it is changes no sum, so it is asked of the CPU and not of the instruction set. */
#ifndef F5_CPU_GEMM_INT8_H
#define F5_CPU_GEMM_INT8_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/cpu/simd.h"

/* Of processors with vectors of floats but none as wide of whole numbers there are few: they go without. */
#if defined(__SSE2__) && defined(__AVX2__) == defined(__AVX__) && defined(__AVX512BW__) == defined(__AVX512F__)
#include <immintrin.h>
#define GEMM_INT8_BLOCKS

/* A block is INT8_ROWS rows by INT8_VECTORS vectors: with AVX2, whose multiply-add of whole numbers needs a register
 * for what it adds, twelve sums and four more are all sixteen. */
enum { INT8_VECTORS = 2, INT8_COLS = INT8_VECTORS * SIMD_LANES };
#if defined(__AVX512BW__)
enum { INT8_ROWS = 8 };
typedef __m512i int8_vector;
#define INT8_LOAD(p) _mm512_loadu_si512(p)
#define INT8_STORE(p, v) _mm512_storeu_si512(p, v)
#define INT8_SET(word) _mm512_set1_epi32((int)(word))
#define INT8_PAIRS(sum, x, w) _mm512_add_epi32(sum, _mm512_madd_epi16(x, w))
#define INT8_FOURS(sum, x, w) _mm512_dpbusd_epi32(sum, x, w)
#define INT8_FOURS_TARGET __attribute__((target("avx512vnni")))
#define INT8_FOURS_CPU "avx512vnni"
#elif defined(__AVX2__)
enum { INT8_ROWS = 6 };
typedef __m256i int8_vector;
#define INT8_LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define INT8_STORE(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define INT8_SET(word) _mm256_set1_epi32((int)(word))
#define INT8_PAIRS(sum, x, w) _mm256_add_epi32(sum, _mm256_madd_epi16(x, w))
#define INT8_FOURS(sum, x, w) _mm256_dpbusd_avx_epi32(sum, x, w)
#define INT8_FOURS_TARGET __attribute__((target("avxvnni")))
#define INT8_FOURS_CPU "avxvnni"
#else
enum { INT8_ROWS = 4 };
typedef __m128i int8_vector;
#define INT8_LOAD(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define INT8_STORE(p, v) _mm_storeu_si128((__m128i *)(void *)(p), v)
#define INT8_SET(word) _mm_set1_epi32((int)(word))
#define INT8_PAIRS(sum, x, w) _mm_add_epi32(sum, _mm_madd_epi16(x, w))
#endif

/* sums [INT8_ROWS][INT8_COLS], rows sums_row apart, of `groups` words along `in`; x [INT8_ROWS] rows of words, x_row
 * apart; panel [groups][INT8_COLS]. */
#define DEFINE_INT8_BLOCK(name, target, step)                                                                          \
    target static void name(int32_t groups, const uint32_t *x, size_t x_row, const uint32_t *panel, int32_t *sums,     \
                            size_t sums_row) {                                                                         \
        int8_vector s[INT8_ROWS][INT8_VECTORS];                                                                        \
        for (int r = 0; r < INT8_ROWS; r++)                                                                            \
            for (int v = 0; v < INT8_VECTORS; v++) s[r][v] = INT8_SET(0);                                              \
        for (int32_t g = 0; g < groups; g++, panel += INT8_COLS) {                                                     \
            int8_vector w[INT8_VECTORS];                                                                               \
            for (int v = 0; v < INT8_VECTORS; v++) w[v] = INT8_LOAD(panel + v * SIMD_LANES);                           \
            for (int r = 0; r < INT8_ROWS; r++) {                                                                      \
                const int8_vector one = INT8_SET(x[(size_t)r * x_row + (size_t)g]);                                    \
                for (int v = 0; v < INT8_VECTORS; v++) s[r][v] = step(s[r][v], one, w[v]);                             \
            }                                                                                                          \
        }                                                                                                              \
        for (int r = 0; r < INT8_ROWS; r++)                                                                            \
            for (int v = 0; v < INT8_VECTORS; v++) INT8_STORE(sums + (size_t)r * sums_row + v * SIMD_LANES, s[r][v]);  \
    }

DEFINE_INT8_BLOCK(int8_block_pairs, , INT8_PAIRS)
#ifdef INT8_FOURS
DEFINE_INT8_BLOCK(int8_block_fours, INT8_FOURS_TARGET, INT8_FOURS)
#endif

/* Four bytes a word, or two numbers of 16 bits. */
static inline bool int8_has_fours(void) {
#ifdef INT8_FOURS
    __builtin_cpu_init();
    return __builtin_cpu_supports(INT8_FOURS_CPU);
#else
    return false;
#endif
}

static inline void int8_block(bool fours, int32_t groups, const uint32_t *x, size_t x_row, const uint32_t *panel,
                              int32_t *sums, size_t sums_row) {
#ifdef INT8_FOURS
    if (fours) {
        int8_block_fours(groups, x, x_row, panel, sums, sums_row);
        return;
    }
#endif
    (void)fours;
    int8_block_pairs(groups, x, x_row, panel, sums, sums_row);
}

/* n numbers of a row as words, four in each, `more` being added to every one, or two. n is a multiple of 4. */
static inline void int8_words(bool fours, int32_t n, const int8_t *from, uint32_t more, uint32_t *words) {
    typedef int16_t __attribute__((may_alias)) half_word;
    half_word *halves = (half_word *)words;
    if (fours) {
        memcpy(words, from, (size_t)n);
        if (more)
            for (int32_t g = 0; g < n / 4; g++) words[g] ^= more;
        return;
    }
    for (int32_t i = 0; i < n; i++) halves[i] = from[i];
}
#define INT8_WITHOUT_SIGN 0x80808080u /* for int8_words: 128 more, as a number without a sign */

#endif
#endif
