/* duration.c — how long speech will be: as many frames for a byte as the reference takes, in upstream's arithmetic. */
#include "host/text/duration.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

static bool ends_with(const char *text, size_t bytes, const char *ending) {
    size_t n = strlen(ending);
    return bytes >= n && memcmp(text + bytes - n, ending, n) == 0;
}

double duration_as_written(float value) {
    double decimal = nearbyint((double)value * 1e4) / 1e4;
    return (float)decimal == value ? decimal : (double)value;
}

size_t duration_end_transcript(const char *text, size_t bytes, char *out) {
    size_t n = bytes;
    memmove(out, text, bytes);
    if (!ends_with(out, n, ". ") && !ends_with(out, n, "。")) {
        if (!ends_with(out, n, ".")) out[n++] = '.';
        out[n++] = ' ';
    }
    if ((unsigned char)out[n - 1] < 0x80) out[n++] = ' ';
    return n;
}

int64_t duration_max_chunk_bytes(const char *text, size_t bytes, double reference_seconds, float speed) {
    size_t counted = ends_with(text, bytes, " ") ? bytes - 1 : bytes;
    double chunk = (double)counted / reference_seconds * (22 - reference_seconds) * duration_as_written(speed);
    if (!(chunk > -1e9)) return -1000000000;
    return chunk < 1e9 ? (int64_t)chunk : 1000000000;
}

/* Truncates like int(), clamped to what can ever be asked for. */
static int64_t whole_frames(double frames) {
    if (!(frames > 0)) return 0;
    return frames < DURATION_MAX_FRAMES ? (int64_t)frames : DURATION_MAX_FRAMES;
}

int64_t duration_requested(int64_t ref_frames, size_t ref_bytes, size_t gen_bytes, float speed,
                           const duration_short *rule, double fixed_seconds) {
    if (fixed_seconds > 0) return whole_frames(fixed_seconds * 24000 / 256);
    double local_speed = rule && gen_bytes < rule->bytes ? rule->speed : duration_as_written(speed);
    int64_t spoken = whole_frames((double)ref_frames / (double)ref_bytes * (double)gen_bytes / local_speed);
    return ref_frames > DURATION_MAX_FRAMES - spoken ? DURATION_MAX_FRAMES : ref_frames + spoken;
}

int64_t duration_frames(int64_t n_tokens, int64_t cond_frames, int64_t requested) {
    int64_t least = n_tokens > cond_frames ? n_tokens : cond_frames;
    if (least >= DURATION_MAX_FRAMES || requested > DURATION_MAX_FRAMES) return DURATION_MAX_FRAMES;
    return requested > least + 1 ? requested : least + 1;
}
