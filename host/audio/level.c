/* level.c — two filters, sums of 100 ms, four of which are a block. The gate depends on the blocks, so the sound is
 * gone through twice. */
#include "host/audio/level.h"

#include <math.h>

#define STEPS_A_BLOCK 4
#define ABSOLUTE_GATE -70 /* LUFS */
#define RELATIVE_GATE -10 /* LU */

static const double PI = 3.14159265358979323846;

/* y = b0 x + b1 x' + b2 x'' - a1 y' - a2 y'' in transposed form. */
typedef struct {
    double b0, b1, b2, a1, a2, s1, s2;
} biquad;

static double step(biquad *f, double x) {
    double y = f->b0 * x + f->s1;
    f->s1 = f->b1 * x - f->a1 * y + f->s2;
    f->s2 = f->b2 * x - f->a2 * y;
    return y;
}

/* The standard gives the two filters at 48 kHz; these are the analogue ones behind them (a shelf of 4 dB from 1.7 kHz
 * on, a high pass at 38 Hz), by the bilinear transform at any rate. */
static biquad shelf(double rate) {
    double k = tan(PI * 1681.974450955533 / rate), q = 0.7071752369554196;
    double high = pow(10, 3.999843853973347 / 20), band = pow(high, 0.4996667741545416), a0 = 1 + k / q + k * k;
    return (biquad){.b0 = (high + band * k / q + k * k) / a0,
                    .b1 = 2 * (k * k - high) / a0,
                    .b2 = (high - band * k / q + k * k) / a0,
                    .a1 = 2 * (k * k - 1) / a0,
                    .a2 = (1 - k / q + k * k) / a0};
}

static biquad high_pass(double rate) {
    double k = tan(PI * 38.13547087602444 / rate), q = 0.5003270373238773, a0 = 1 + k / q + k * k;
    return (biquad){.b0 = 1, .b1 = -2, .b2 = 1, .a1 = 2 * (k * k - 1) / a0, .a2 = (1 - k / q + k * k) / a0};
}

static double lufs_of(double power) {
    return power > 0 ? -0.691 + 10 * log10(power) : -INFINITY;
}

/* Mean power of the blocks that are louder than the gate; 0: none is. */
static double mean_power(const float *samples, int64_t n, int32_t rate, double gate) {
    biquad first = shelf(rate), second = high_pass(rate);
    int64_t length = rate / 10, steps = n / length, blocks = 0;
    double sum[STEPS_A_BLOCK] = {0}, total = 0;
    if (steps < STEPS_A_BLOCK) { /* less than a block */
        double all = 0;
        for (int64_t i = 0; i < n; i++) {
            double y = step(&second, step(&first, (double)samples[i]));
            all += y * y;
        }
        return n > 0 && lufs_of(all / (double)n) > gate ? all / (double)n : 0;
    }
    for (int64_t s = 0; s < steps; s++) {
        double here = 0;
        for (int64_t i = s * length; i < (s + 1) * length; i++) {
            double y = step(&second, step(&first, (double)samples[i]));
            here += y * y;
        }
        sum[s % STEPS_A_BLOCK] = here;
        if (s < STEPS_A_BLOCK - 1) continue;
        double power = (sum[0] + sum[1] + sum[2] + sum[3]) / (double)(STEPS_A_BLOCK * length);
        if (lufs_of(power) <= gate) continue;
        total += power;
        blocks++;
    }
    return blocks > 0 ? total / (double)blocks : 0;
}

double level_lufs(const float *samples, int64_t n, int32_t sample_rate) {
    double all = mean_power(samples, n, sample_rate, ABSOLUTE_GATE);
    double gate = lufs_of(all) + RELATIVE_GATE;
    return lufs_of(all) > ABSOLUTE_GATE
               ? lufs_of(mean_power(samples, n, sample_rate, gate > ABSOLUTE_GATE ? gate : ABSOLUTE_GATE))
               : -INFINITY;
}

double level_peak_db(const float *samples, int64_t n, int64_t *beyond) {
    float peak = 0;
    *beyond = 0;
    for (int64_t i = 0; i < n; i++) {
        float x = fabsf(samples[i]);
        if (x > peak) peak = x;
        *beyond += x > 1;
    }
    return peak > 0 ? 20 * log10((double)peak) : -INFINITY;
}
