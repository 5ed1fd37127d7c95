/* arch.c — the table of known cards. */
#include "kernels/cuda/arch.h"

#include <stddef.h>
#include <string.h>

/* What holds for every card so far; measured on an H200.
 *
 * bucket_rows: tiles of rows are 64 to 192, so a finer bucket saves nothing.
 * plan_rows: two branches of 1408 frames, the middle of the sizes that are served.
 * batch_frames: an evaluation of B sequences of 500 frames takes 0.49 + 1.04 B ms, so four together are 1.3 times as
 * fast as one by one, and more gain little. Requests of 10 s (1406 frames) fill the GPU alone: 92.5 audio-seconds a
 * second one by one, 90.2 packed by fours. f5bench.py load --batch-frames compares. */
enum { BUCKET_ROWS = 64, PLAN_ROWS = 2816, BATCH_FRAMES = 2048 };

typedef struct {
    const char *card, *device; /* device: part of the driver's name */
    int32_t sm, sm_count, shared_bytes;
    double rate_16bit, rate_8bit, rate_f32, bandwidth;
} known_card;

/* The h200's rates of operands and its bandwidth are measured (bench/PERF.md), the other numbers are the data sheets',
 * dense. The larger of two cards with one name in common comes first. */
static const known_card cards[] = {
    {"a100", "A100", 80, 108, 163 << 10, 312e12, 624e12, 19.5e12, 2.039e12}, /* SXM, 80 GB */
    {"l4", "NVIDIA L4", 89, 58, 99 << 10, 121e12, 242e12, 30.3e12, 0.3e12},  /* */
    {"rtx4090", "RTX 4090", 89, 128, 99 << 10, 165.2e12, 660.6e12, 82.6e12, 1.008e12},
    {"h100", "H100", 90, 132, 227 << 10, 989e12, 1979e12, 67e12, 3.35e12}, /* SXM */
    {"h200", "H200", 90, 132, 227 << 10, 790e12, 1852e12, 67e12, 4.25e12}, /* measured */
    {"b200", "B200", 100, 148, 227 << 10, 2250e12, 4500e12, 75e12, 8e12},
};
enum { CARDS = sizeof cards / sizeof *cards };

const char *arch_path(const cuda_arch *arch) {
    return arch->code >= ARCH_SM90A ? "sm90" : "sm80";
}

/* Three products of the tensor cores for one of F32 pay where these are many times as fast as the F32 units: on sm_80,
 * 90 and 100, not on sm_86, 89 and 120. */
static bool splits_f32(int32_t sm) {
    return sm % 10 == 0 && sm <= 100;
}

static cuda_arch arch_from(const known_card *known, int32_t sm, int32_t sm_count, int32_t shared_bytes,
                           bool has_sm90a) {
    cuda_arch arch = {.sm = sm,
                      .sm_count = sm_count,
                      .shared_bytes = shared_bytes,
                      .code = sm == 90 && has_sm90a ? ARCH_SM90A : ARCH_SM80,
                      .split_f32 = splits_f32(sm),
                      .bucket_rows = BUCKET_ROWS,
                      .plan_rows = PLAN_ROWS,
                      .batch_frames = BATCH_FRAMES};
    if (known) {
        arch.card = known->card;
        arch.rate_16bit = known->rate_16bit, arch.rate_8bit = known->rate_8bit;
        arch.rate_f32 = known->rate_f32, arch.bandwidth = known->bandwidth;
    }
    return arch;
}

cuda_arch arch_of_device(const char *device_name, int32_t sm, int32_t sm_count, int32_t shared_bytes, bool has_sm90a) {
    const known_card *known = NULL;
    for (int i = 0; i < CARDS && !known; i++) {
        /* a part of a card (MIG), or a smaller variant, has other rates: its multiprocessors tell */
        if (cards[i].sm == sm && cards[i].sm_count == sm_count && strstr(device_name, cards[i].device))
            known = &cards[i];
    }
    return arch_from(known, sm, sm_count, shared_bytes, has_sm90a);
}

bool arch_of_card(cuda_arch *arch, const char *card) {
    for (int i = 0; i < CARDS; i++) {
        if (strcmp(cards[i].card, card) != 0) continue;
        *arch = arch_from(&cards[i], cards[i].sm, cards[i].sm_count, cards[i].shared_bytes, true);
        return true;
    }
    return false;
}

const char *arch_cards(void) {
    return "a100, l4, rtx4090, h100, h200, b200";
}

cuda_arch arch_limited(cuda_arch arch, arch_code limit) {
    if (arch.code > limit) arch.code = limit;
    if (limit < ARCH_SM90A) arch.split_f32 = false;
    return arch;
}
