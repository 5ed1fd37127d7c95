/* vocode.c — gathers the slices that are to sound, decodes them as one pack, and hands the samples out. */
#include "runtime/vocode.h"

#include "runtime/models/vocoder.h"

/* What the vocoder reads and writes: the slices of a batch, packed. */
typedef struct {
    f5_pack pack;
    float *mel;     /* [slice_rows,bands] */
    float *samples; /* [samples] */
} vocoder_buffers;

static bool vocoder_buffers_take(const stage_context *c, const batch_size *size, const batch_arrays *device,
                                 vocoder_buffers *v) {
    *v = (vocoder_buffers){
        .pack = {.rows = size->slice_rows,
                 .n_seq = size->slice_slots,
                 .offsets = device->slice_offsets,
                 .seq_of_row = device->slice_seq_of_row},
        .mel = arena_take(c->arena, (size_t)size->slice_rows * (size_t)size->bands, sizeof(float)),
        .samples = arena_take(c->arena, (size_t)size->samples, sizeof(float)),
    };
    return !c->arena->overflow;
}

/* n samples of slice i, from its sample `from` on, to their owner. */
static f5_status slice_out(ops *o, const vocoder_buffers *v, const batch_arrays *host, int32_t i, int64_t from,
                           int64_t n, float *samples) {
    return o->copy_out(o, samples, v->samples + host->sample_offsets[i] + from, (size_t)n * sizeof(float));
}

/* Frame x, n times over at `to`: what was copied is copied again, twice as much each time. */
static f5_status repeat_frame(ops *o, float *to, const float *x, int32_t n, size_t bands) {
    for (int32_t done = 0; done < n;) {
        int32_t some = done == 0 ? 1 : done < n - done ? done : n - done;
        F5_TRY(o->copy_within(o, to + (size_t)done * bands, done == 0 ? x : to, (size_t)some * bands * sizeof(float)));
        done += some;
    }
    return F5_OK;
}

/* The frames of a job that the vocoder sees, from its x [frames,100] to `to`. */
static f5_status slice_in(ops *o, const synth_job *job, const float *x, size_t bands, float *to) {
    int32_t missing = job->vocode_before > job->vocode_from ? job->vocode_before - job->vocode_from : 0;
    int32_t from = job->vocode_from - job->vocode_before + missing, n = job->frames - from;
    const float *last = x + (size_t)(job->frames - 1) * bands;
    F5_TRY(repeat_frame(o, to, x, missing, bands));
    to += (size_t)missing * bands;
    F5_TRY(o->copy_within(o, to, x + (size_t)from * bands, (size_t)n * bands * sizeof(float)));
    return repeat_frame(o, to + (size_t)n * bands, last, job->vocode_after, bands);
}

/* The vocoder on slices of x, and the samples to their owners. */
f5_status vocode_slices(const stage_context *c, const batch_size *size, const batch_arrays *device,
                        const batch_arrays *host, const synth_job *jobs, const float *x) {
    ops *o = c->ops;
    const size_t bands = (size_t)size->bands;
    if (size->slice_frames == 0) return F5_OK;
    vocoder_buffers v;
    if (!vocoder_buffers_take(c, size, device, &v)) return F5_E_MEMORY;
    for (int32_t i = 0; jobs && i < size->sequences; i++)
        if (jobs[i].samples)
            F5_TRY(slice_in(o, &jobs[i], x + (size_t)host->offsets[i] * bands, bands,
                            v.mel + (size_t)host->slice_offsets[i] * bands));
    const model_config *config = &c->model->config;
    const vocoder *voc = vocoder_of(config);
    F5_TRY(voc->decode(c, &v.pack, v.mel, device->sample_offsets, v.samples));
    for (int32_t i = 0; jobs && i < size->sequences; i++) {
        const synth_job *job = &jobs[i];
        int64_t from = voc->samples(config, job->vocode_before + 1) - voc->samples(config, 1),
                n = voc->samples(config, job->frames - job->vocode_from);
        if (job->samples) F5_TRY(slice_out(o, &v, host, i, from, n, job->samples));
    }
    return F5_OK;
}

f5_status vocode_run(const stage_context *c, const batch_size *size, const batch_arrays *host, const vocode_job *jobs) {
    ops *o = c->ops;
    const size_t bands = (size_t)size->bands;
    arena_reset(c->arena);
    batch_arrays device;
    if (!batch_take(c->arena, size, &device)) return F5_E_MEMORY;
    vocoder_buffers v;
    if (!vocoder_buffers_take(c, size, &device, &v)) return F5_E_MEMORY;
    F5_TRY(vocode_upload(o, size, &device, host));
    for (int32_t i = 0; jobs && i < size->sequences; i++) {
        size_t first = (size_t)host->slice_offsets[i] * bands, n = (size_t)jobs[i].frames * bands;
        F5_TRY(o->copy_in(o, v.mel + first, jobs[i].mel, n * sizeof(float)));
    }
    F5_TRY(vocoder_of(&c->model->config)->decode(c, &v.pack, v.mel, device.sample_offsets, v.samples));
    for (int32_t i = 0; jobs && i < size->sequences; i++)
        F5_TRY(slice_out(o, &v, host, i, 0, host->sample_offsets[i + 1] - host->sample_offsets[i], jobs[i].samples));
    return o->finish(o);
}
