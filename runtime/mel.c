/* mel.c — copies a recording in, runs the vocoder's own spectrogram, copies the mel out. */
#include "runtime/mel.h"

f5_status mel_run(const stage_context *c, const float *samples, int64_t n, float *mel) {
    const vocoder *v = vocoder_of(&c->model->config);
    ops *o = c->ops;
    size_t numbers = (size_t)v->mel_frames(n) * (size_t)model_mel_bands(&c->model->config);
    arena_reset(c->arena);
    float *x = arena_take(c->arena, (size_t)n, sizeof(float));
    float *y = arena_take(c->arena, numbers, sizeof(float));
    if (c->arena->overflow) return F5_E_MEMORY;
    F5_TRY(o->copy_in(o, x, samples, (size_t)n * sizeof(float)));
    F5_TRY(v->mel(c, x, n, y));
    F5_TRY(o->copy_out(o, mel, y, numbers * sizeof(float)));
    return o->finish(o);
}
