/* vocode.c — gathers the slices that are to sound, decodes them as one pack, and hands the samples out. */
#include "runtime/vocode.h"

#include "kernels/mel.h"
#include "runtime/models/vocoder.h"

/* What the vocoder reads and writes: the slices of a batch, packed. */
typedef struct {
    f5_pack pack;
    float *mel;     /* [slice_rows,100] */
    float *samples; /* [samples] */
} vocoder_buffers;

static bool vocoder_buffers_take(const stage_context *c, const batch_size *size, const batch_arrays *device,
                                 vocoder_buffers *v) {
    *v = (vocoder_buffers){
        .pack = {.rows = size->slice_rows,
                 .n_seq = size->slice_slots,
                 .offsets = device->slice_offsets,
                 .seq_of_row = device->slice_seq_of_row},
        .mel = arena_take(c->arena, (size_t)size->slice_rows * MEL_BANDS, sizeof(float)),
        .samples = arena_take(c->arena, (size_t)size->samples, sizeof(float)),
    };
    return !c->arena->overflow;
}

/* The samples of slice i to their owner. */
static f5_status slice_out(ops *o, const vocoder_buffers *v, const batch_arrays *host, int32_t i, float *samples) {
    int64_t first = host->sample_offsets[i], n = host->sample_offsets[i + 1] - first;
    return o->copy_out(o, samples, v->samples + first, (size_t)n * sizeof(float));
}

/* The vocoder on slices of x, and the samples to their owners. */
f5_status vocode_slices(const stage_context *c, const batch_size *size, const batch_arrays *device,
                        const batch_arrays *host, const synth_job *jobs, const float *x) {
    ops *o = c->ops;
    if (size->slice_frames == 0) return F5_OK;
    vocoder_buffers v;
    if (!vocoder_buffers_take(c, size, device, &v)) return F5_E_MEMORY;
    for (int32_t i = 0; jobs && i < size->sequences; i++) {
        size_t from = (size_t)(host->offsets[i] + jobs[i].vocode_from) * MEL_BANDS;
        size_t to = (size_t)host->slice_offsets[i] * MEL_BANDS;
        size_t n = (size_t)(host->slice_offsets[i + 1] - host->slice_offsets[i]) * MEL_BANDS;
        F5_TRY(o->copy_within(o, v.mel + to, x + from, n * sizeof(float)));
    }
    F5_TRY(vocoder_of(&c->model->config)->decode(c, &v.pack, v.mel, device->sample_offsets, v.samples));
    for (int32_t i = 0; jobs && i < size->sequences; i++) {
        if (jobs[i].samples) F5_TRY(slice_out(o, &v, host, i, jobs[i].samples));
    }
    return F5_OK;
}

f5_status vocode_run(const stage_context *c, const batch_size *size, const batch_arrays *host, const vocode_job *jobs) {
    ops *o = c->ops;
    arena_reset(c->arena);
    batch_arrays device;
    if (!batch_take(c->arena, size, &device)) return F5_E_MEMORY;
    vocoder_buffers v;
    if (!vocoder_buffers_take(c, size, &device, &v)) return F5_E_MEMORY;
    F5_TRY(vocode_upload(o, size, &device, host));
    for (int32_t i = 0; jobs && i < size->sequences; i++) {
        size_t first = (size_t)host->slice_offsets[i] * MEL_BANDS, n = (size_t)jobs[i].frames * MEL_BANDS;
        F5_TRY(o->copy_in(o, v.mel + first, jobs[i].mel, n * sizeof(float)));
    }
    F5_TRY(vocoder_of(&c->model->config)->decode(c, &v.pack, v.mel, device.sample_offsets, v.samples));
    for (int32_t i = 0; jobs && i < size->sequences; i++) F5_TRY(slice_out(o, &v, host, i, jobs[i].samples));
    return o->finish(o);
}
