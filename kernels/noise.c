/* noise.c — the plain reference: blocks of four numbers, each from its own count by Philox and Box-Muller. */
#include "kernels/noise.h"

#include <math.h>
#include <stddef.h>

#include "kernels/cpu/context.h"
#include "kernels/pack_check.h"

void philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u; /* golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
}

/* Box-Muller: two words to two normals. */
static void normal_pair(uint32_t a, uint32_t b, float y[2]) {
    const float u = (float)((a >> 8) + 1) * 0x1p-24f;
    const double angle = 6.283185307179586 * ((double)(b >> 8) * 0x1p-24);
    const float r = sqrtf(-2.0f * logf(u));
    y[0] = r * (float)cos(angle);
    y[1] = r * (float)sin(angle);
}

enum { BLOCKS_PER_CLAIM = 128 }; /* some 10 us */

/* Elements [4 block, 4 block + count) of the sequence with this seed; count <= 4. */
static void fill_block(uint64_t seed, uint64_t block, int64_t count, float *y) {
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), 0, 0};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t words[4];
    float normals[4];
    philox4x32_10(counter, key, words);
    normal_pair(words[0], words[1], normals);
    normal_pair(words[2], words[3], normals + 2);
    for (int64_t i = 0; i < count; i++) y[i] = normals[i];
}

typedef struct {
    uint64_t seed;
    int64_t elements;
    float *y; /* [elements] */
} noise_job;

static void fill_blocks(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)scratch;
    const noise_job *job = user;
    for (int64_t block = begin; block < end; block++) {
        const int64_t left = job->elements - 4 * block;
        fill_block(job->seed, (uint64_t)block, left < 4 ? left : 4, job->y + 4 * block);
    }
}

f5_status noise_ref(cpu_context *c, const noise_args *a) {
    if (!a || !a->seeds || !a->y) return F5_E_ARGUMENT;
    if (pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if (a->dim < 1) return F5_E_SHAPE;

    const f5_pack *pack = a->pack;
    for (int32_t s = 0; s < pack->n_seq; s++) {
        noise_job job = {.seed = a->seeds[s],
                         .elements = (int64_t)(pack->offsets[s + 1] - pack->offsets[s]) * a->dim,
                         .y = a->y + (size_t)pack->offsets[s] * (size_t)a->dim};
        cpu_parallel(c, (job.elements + 3) / 4, BLOCKS_PER_CLAIM, fill_blocks, &job);
    }
    return F5_OK;
}

op_output noise_output(const noise_args *a) {
    return (op_output){.data = a->y, .pack = a->pack, .cols = a->dim};
}

double noise_flop(const noise_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double noise_bytes(const noise_args *a) {
    return 4.0 * a->pack->rows * a->dim;
}
