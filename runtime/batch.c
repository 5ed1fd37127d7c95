#include "runtime/batch.h"

#include "kernels/mel.h"

#include <string.h>

bool batch_take(arena *a, const batch_size *size, batch_arrays *b) {
    size_t rows = (size_t)size->rows, slots = (size_t)size->slots, vocos_slots = (size_t)size->vocos_slots;
    *b = (batch_arrays){
        .offsets = arena_take(a, slots + 1, sizeof(int32_t)),
        .seq_of_row = arena_take(a, rows, sizeof(int32_t)),
        .ids = arena_take(a, rows, sizeof(int32_t)),
        .text_keep = arena_take(a, rows, 1),
        .keep = arena_take(a, rows, 1),
        .seeds = arena_take(a, slots, sizeof(uint64_t)),
        .cond = arena_take(a, rows * MEL_BANDS, sizeof(float)),
        .noise = arena_take(a, rows * MEL_BANDS, sizeof(float)),
        .vocos_offsets = arena_take(a, vocos_slots + 1, sizeof(int32_t)),
        .vocos_seq_of_row = arena_take(a, rows, sizeof(int32_t)),
        .sample_offsets = arena_take(a, vocos_slots + 1, sizeof(int64_t)),
    };
    return !a->overflow;
}

int64_t vocos_samples(const model_config *config, int32_t frames) {
    if (frames <= 0) return 0;
    return (int64_t)MEL_HOP * (config->vocos_same_padding ? frames : frames - 1);
}

static int32_t round_up(int32_t n, int32_t step) {
    return (n + step - 1) / step * step;
}

void batch_round(batch_size *size, const batch_bucket *bucket) {
    int32_t slots = size->sequences > bucket->slots ? size->sequences : bucket->slots;
    size->rows = size->branches * round_up(size->frames, bucket->rows);
    size->slots = size->branches * slots;
    size->vocos_rows = round_up(size->vocos_frames, bucket->rows);
    size->vocos_slots = slots;
    if (size->rows < size->vocos_rows) size->rows = size->vocos_rows; /* the vocoder alone */
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

/* One sequence of a branch, starting at `row` of the pack. */
static void fill_sequence(const synth_job *job, int32_t slot, int32_t row, bool null_branch, const batch_arrays *h) {
    float *cond = h->cond + (size_t)row * MEL_BANDS;
    size_t total = (size_t)job->frames * MEL_BANDS;
    h->offsets[slot] = row;
    h->seeds[slot] = job->seed; /* both branches start from the same noise */
    memset(cond, 0, total * sizeof(float));
    if (job->noise) memcpy(h->noise + (size_t)row * MEL_BANDS, job->noise, total * sizeof(float));
    for (int32_t f = 0; f < job->frames; f++) {
        bool text = f < job->n_tokens;
        bool keep = !null_branch && f < job->cond_frames && (!job->edit_mask || job->edit_mask[f]);
        h->seq_of_row[row + f] = slot;
        h->ids[row + f] = text && !null_branch ? job->tokens[f] + 1 : 0;
        h->text_keep[row + f] = text; /* the null branch keeps the mask of the text it does not see */
        h->keep[row + f] = keep;
        size_t at = (size_t)f * MEL_BANDS;
        if (keep) memcpy(cond + at, job->cond + at, MEL_BANDS * sizeof(float));
    }
}

/* The rows and slots of the bucket that no sequence uses. */
static void fill_tail(const batch_size *size, const batch_arrays *h) {
    int32_t live = size->branches * size->frames;
    size_t tail = (size_t)(size->rows - live);
    for (int32_t s = size->branches * size->sequences; s <= size->slots; s++) h->offsets[s] = live;
    for (int32_t s = size->branches * size->sequences; s < size->slots; s++) h->seeds[s] = 0;
    for (int32_t r = live; r < size->rows; r++) h->seq_of_row[r] = -1;
    memset(h->ids + live, 0, tail * sizeof(int32_t));
    memset(h->text_keep + live, 0, tail);
    memset(h->keep + live, 0, tail);
    memset(h->cond + (size_t)live * MEL_BANDS, 0, tail * MEL_BANDS * sizeof(float));
}

/* Rows and samples of slice i of the vocoder's pack; slices are filled in order. */
static void fill_slice(const model_config *config, int32_t i, int32_t frames, const batch_arrays *h) {
    int32_t first = h->vocos_offsets[i];
    for (int32_t f = 0; f < frames; f++) h->vocos_seq_of_row[first + f] = i;
    h->vocos_offsets[i + 1] = first + frames;
    h->sample_offsets[i + 1] = h->sample_offsets[i] + vocos_samples(config, frames);
}

static void fill_slices_tail(const batch_size *size, const batch_arrays *h) {
    for (int32_t s = size->sequences; s < size->vocos_slots; s++) {
        h->vocos_offsets[s + 1] = h->vocos_offsets[s];
        h->sample_offsets[s + 1] = h->sample_offsets[s];
    }
    for (int32_t r = size->vocos_frames; r < size->vocos_rows; r++) h->vocos_seq_of_row[r] = -1;
}

void batch_fill(const model_config *config, const batch_size *size, const synth_job *jobs, const batch_arrays *h) {
    int32_t row = 0;
    for (int32_t branch = 0; branch < size->branches; branch++) {
        for (int32_t i = 0; i < size->sequences; i++) {
            fill_sequence(&jobs[i], branch * size->sequences + i, row, branch == 1, h);
            row += jobs[i].frames;
        }
    }
    fill_tail(size, h);
    h->vocos_offsets[0] = 0;
    h->sample_offsets[0] = 0;
    for (int32_t i = 0; i < size->sequences; i++)
        fill_slice(config, i, jobs[i].samples ? jobs[i].frames - jobs[i].vocode_from : 0, h);
    fill_slices_tail(size, h);
}

batch_size vocode_measure(const model_config *config, const vocode_job *jobs, int32_t n) {
    batch_size size = {.sequences = n, .branches = 1};
    for (int32_t i = 0; i < n; i++) {
        size.vocos_frames += jobs[i].frames;
        size.samples += vocos_samples(config, jobs[i].frames);
    }
    return size;
}

void vocode_fill(const model_config *config, const batch_size *size, const vocode_job *jobs, const batch_arrays *h) {
    h->vocos_offsets[0] = 0;
    h->sample_offsets[0] = 0;
    for (int32_t i = 0; i < size->sequences; i++) fill_slice(config, i, jobs[i].frames, h);
    fill_slices_tail(size, h);
}

f5_status vocode_upload(ops *o, const batch_size *size, const batch_arrays *d, const batch_arrays *h) {
    size_t slots = (size_t)size->vocos_slots;
    F5_TRY(o->copy_in(o, d->vocos_offsets, h->vocos_offsets, (slots + 1) * sizeof(int32_t)));
    F5_TRY(o->copy_in(o, d->vocos_seq_of_row, h->vocos_seq_of_row, (size_t)size->vocos_rows * sizeof(int32_t)));
    return o->copy_in(o, d->sample_offsets, h->sample_offsets, (slots + 1) * sizeof(int64_t));
}

f5_status batch_upload(ops *o, const batch_size *size, const batch_arrays *d, const batch_arrays *h) {
    size_t rows = (size_t)size->rows, slots = (size_t)size->slots;
    F5_TRY(o->copy_in(o, d->offsets, h->offsets, (slots + 1) * sizeof(int32_t)));
    F5_TRY(o->copy_in(o, d->seq_of_row, h->seq_of_row, rows * sizeof(int32_t)));
    F5_TRY(o->copy_in(o, d->ids, h->ids, rows * sizeof(int32_t)));
    F5_TRY(o->copy_in(o, d->text_keep, h->text_keep, rows));
    F5_TRY(o->copy_in(o, d->keep, h->keep, rows));
    F5_TRY(o->copy_in(o, d->seeds, h->seeds, slots * sizeof(uint64_t)));
    F5_TRY(o->copy_in(o, d->cond, h->cond, rows * MEL_BANDS * sizeof(float)));
    return vocode_upload(o, size, d, h);
}
