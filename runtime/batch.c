#include "batch.h"

#include <string.h>

bool batch_take(arena *a, const batch_size *size, batch_arrays *b) {
    size_t rows = (size_t)size->branches * (size_t)size->frames;
    size_t slots = (size_t)size->branches * (size_t)size->sequences, n = (size_t)size->sequences;
    *b = (batch_arrays){
        .offsets = arena_take(a, slots + 1, sizeof(int32_t)),
        .seq_of_row = arena_take(a, rows, sizeof(int32_t)),
        .ids = arena_take(a, rows, sizeof(int32_t)),
        .text_keep = arena_take(a, rows, 1),
        .keep = arena_take(a, (size_t)size->frames, 1),
        .seeds = arena_take(a, slots, sizeof(uint64_t)),
        .cond = arena_take(a, rows * MEL_BANDS, sizeof(float)),
        .noise = arena_take(a, rows * MEL_BANDS, sizeof(float)),
        .vocos_offsets = arena_take(a, n + 1, sizeof(int32_t)),
        .vocos_seq_of_row = arena_take(a, (size_t)size->vocos_frames, sizeof(int32_t)),
        .sample_offsets = arena_take(a, n + 1, sizeof(int64_t)),
    };
    return !a->overflow;
}

int64_t vocos_samples(const model_config *config, int32_t frames) {
    if (frames <= 0) return 0;
    return (int64_t)MEL_HOP * (config->vocos_same_padding ? frames : frames - 1);
}

batch_size batch_measure(const model_config *config, const synth_solver *solver, const synth_job *jobs, int32_t n) {
    batch_size size = {.sequences = n, .branches = solver->cfg < 1e-5f ? 1 : 2};
    for (int32_t i = 0; i < n; i++) {
        size.frames += jobs[i].frames;
        if (!jobs[i].samples) continue;
        size.vocos_frames += jobs[i].frames - jobs[i].vocode_from;
        size.samples += vocos_samples(config, jobs[i].frames - jobs[i].vocode_from);
    }
    return size;
}

/* Rows of sequence i in its branch, starting at `row` of the pack. */
static void fill_sequence(const synth_job *job, int32_t slot, int32_t row, bool null_branch, const batch_arrays *h) {
    float *cond = h->cond + (size_t)row * MEL_BANDS;
    size_t total = (size_t)job->frames * MEL_BANDS, given = (size_t)job->cond_frames * MEL_BANDS;
    h->offsets[slot] = row;
    h->seeds[slot] = job->seed;
    for (int32_t f = 0; f < job->frames; f++) {
        bool text = f < job->n_tokens;
        h->seq_of_row[row + f] = slot;
        h->ids[row + f] = text && !null_branch ? job->tokens[f] + 1 : 0;
        h->text_keep[row + f] = text; /* the null branch keeps the mask of the text it does not see */
    }
    memset(cond, 0, total * sizeof(float));
    if (job->noise) memcpy(h->noise + (size_t)row * MEL_BANDS, job->noise, total * sizeof(float));
    if (null_branch || given == 0) return;
    memcpy(cond, job->cond, given * sizeof(float));
    for (int32_t f = 0; f < job->frames; f++) {
        bool keep = f < job->cond_frames && (!job->edit_mask || job->edit_mask[f]);
        h->keep[row + f] = keep;
        if (!keep) memset(cond + (size_t)f * MEL_BANDS, 0, MEL_BANDS * sizeof(float));
    }
}

/* Rows and samples of slice i of the vocoder's pack; slices are filled in order. */
static void fill_slice(const model_config *config, int32_t i, int32_t frames, const batch_arrays *h) {
    int32_t first = h->vocos_offsets[i];
    for (int32_t f = 0; f < frames; f++) h->vocos_seq_of_row[first + f] = i;
    h->vocos_offsets[i + 1] = first + frames;
    h->sample_offsets[i + 1] = h->sample_offsets[i] + vocos_samples(config, frames);
}

void batch_fill(const model_config *config, const batch_size *size, const synth_job *jobs, const batch_arrays *h) {
    memset(h->keep, 0, (size_t)size->frames);
    int32_t row = 0;
    for (int32_t branch = 0; branch < size->branches; branch++) {
        for (int32_t i = 0; i < size->sequences; i++) {
            fill_sequence(&jobs[i], branch * size->sequences + i, row, branch == 1, h);
            row += jobs[i].frames;
        }
    }
    h->offsets[size->branches * size->sequences] = row;

    h->vocos_offsets[0] = 0;
    h->sample_offsets[0] = 0;
    for (int32_t i = 0; i < size->sequences; i++)
        fill_slice(config, i, jobs[i].samples ? jobs[i].frames - jobs[i].vocode_from : 0, h);
}

batch_size vocode_measure(const model_config *config, const vocode_job *jobs, int32_t n) {
    batch_size size = {.sequences = n, .branches = 1};
    for (int32_t i = 0; i < n; i++) {
        size.vocos_frames += jobs[i].frames;
        size.samples += vocos_samples(config, jobs[i].frames);
    }
    return size;
}

void vocode_fill(const model_config *config, const vocode_job *jobs, int32_t n, const batch_arrays *h) {
    memset(h->offsets, 0, ((size_t)n + 1) * sizeof(int32_t));
    memset(h->seeds, 0, (size_t)n * sizeof(uint64_t));
    h->vocos_offsets[0] = 0;
    h->sample_offsets[0] = 0;
    for (int32_t i = 0; i < n; i++) fill_slice(config, i, jobs[i].frames, h);
}

f5_status batch_upload(ops *o, const batch_size *size, const batch_arrays *d, const batch_arrays *h) {
    size_t rows = (size_t)size->branches * (size_t)size->frames;
    size_t slots = (size_t)size->branches * (size_t)size->sequences, n = (size_t)size->sequences;
    F5_TRY(o->copy_in(o, d->offsets, h->offsets, (slots + 1) * sizeof(int32_t)));
    F5_TRY(o->copy_in(o, d->seq_of_row, h->seq_of_row, rows * sizeof(int32_t)));
    F5_TRY(o->copy_in(o, d->ids, h->ids, rows * sizeof(int32_t)));
    F5_TRY(o->copy_in(o, d->text_keep, h->text_keep, rows));
    F5_TRY(o->copy_in(o, d->keep, h->keep, (size_t)size->frames));
    F5_TRY(o->copy_in(o, d->seeds, h->seeds, slots * sizeof(uint64_t)));
    F5_TRY(o->copy_in(o, d->cond, h->cond, rows * MEL_BANDS * sizeof(float)));
    F5_TRY(o->copy_in(o, d->vocos_offsets, h->vocos_offsets, (n + 1) * sizeof(int32_t)));
    F5_TRY(o->copy_in(o, d->vocos_seq_of_row, h->vocos_seq_of_row, (size_t)size->vocos_frames * sizeof(int32_t)));
    return o->copy_in(o, d->sample_offsets, h->sample_offsets, (n + 1) * sizeof(int64_t));
}
