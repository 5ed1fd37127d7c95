/* batch.c — jobs are laid out branch by branch, sequence by sequence; what a bucket has beyond them is made inert. */
#include "runtime/batch.h"

#include "runtime/models/vocoder.h"

#include <string.h>

bool batch_take(arena *a, const batch_size *size, batch_arrays *b) {
    size_t rows = (size_t)size->rows, slots = (size_t)size->slots, slice_slots = (size_t)size->slice_slots;
    *b = (batch_arrays){
        .offsets = arena_take(a, slots + 1, sizeof(int32_t)),
        .seq_of_row = arena_take(a, rows, sizeof(int32_t)),
        .ids = arena_take(a, rows, sizeof(int32_t)),
        .text_keep = arena_take(a, rows, 1),
        .keep = arena_take(a, rows, 1),
        .seeds = arena_take(a, slots, sizeof(uint64_t)),
        .cond = arena_take(a, rows * (size_t)size->bands, sizeof(float)),
        .noise = arena_take(a, rows * (size_t)size->bands, sizeof(float)),
        .slice_offsets = arena_take(a, slice_slots + 1, sizeof(int32_t)),
        .slice_seq_of_row = arena_take(a, rows, sizeof(int32_t)),
        .sample_offsets = arena_take(a, slice_slots + 1, sizeof(int64_t)),
    };
    for (int k = 0; k < size->n_own; k++) {
        b->own_offsets[k] = arena_take(a, slots + 1, sizeof(int32_t));
        b->own_seq_of_row[k] = arena_take(a, (size_t)size->own_rows[k], sizeof(int32_t));
    }
    return !a->overflow;
}

f5_pack batch_pack(const batch_size *size, const batch_arrays *a) {
    return (f5_pack){.rows = size->rows, .n_seq = size->slots, .offsets = a->offsets, .seq_of_row = a->seq_of_row};
}

void batch_own_packs(const batch_size *size, const batch_arrays *a, f5_pack *own) {
    for (int k = 0; k < size->n_own; k++)
        own[k] = (f5_pack){.rows = size->own_rows[k],
                           .n_seq = size->slots,
                           .offsets = a->own_offsets[k],
                           .seq_of_row = a->own_seq_of_row[k]};
}

static int32_t round_up(int32_t n, int32_t step) {
    return (n + step - 1) / step * step;
}

void batch_round(const model_config *config, batch_size *size, const batch_bucket *bucket) {
    const backbone *b = backbone_of(config);
    size->bands = model_mel_bands(config);
    int32_t slots = size->sequences > bucket->slots ? size->sequences : bucket->slots;
    size->rows = size->branches * round_up(size->frames, bucket->rows);
    size->slots = size->branches * slots;
    size->slice_rows = round_up(size->slice_frames, bucket->rows);
    size->slice_slots = slots;
    if (size->rows < size->slice_rows) size->rows = size->slice_rows; /* the vocoder alone */
    size->n_own = b->n_packs;
    const backbone_load load = {.rows = size->rows,
                                .frames = (int64_t)size->branches * size->frames,
                                .sequences = (int64_t)size->branches * size->sequences,
                                .tokens = (int64_t)size->branches * size->tokens,
                                .step = size->branches * bucket->rows};
    for (int k = 0; k < size->n_own; k++) size->own_rows[k] = (int32_t)b->pack_rows(k, &load);
}

batch_size batch_measure(const model_config *config, const synth_solver *solver, const synth_job *jobs, int32_t n) {
    batch_size size = {.sequences = n, .branches = solver_branches(solver)};
    for (int32_t i = 0; i < n; i++) {
        size.frames += jobs[i].frames;
        size.tokens += jobs[i].n_tokens;
        size.slice_frames += batch_slice_frames(&jobs[i]);
        size.samples += vocoder_of(config)->samples(config, batch_slice_frames(&jobs[i]));
    }
    return size;
}

/* One sequence of a branch, starting at `row` of the pack. */
static void fill_sequence(const synth_job *job, int32_t slot, int32_t row, bool null_branch, size_t bands,
                          const batch_arrays *h) {
    float *cond = h->cond + (size_t)row * bands;
    size_t total = (size_t)job->frames * bands;
    h->offsets[slot] = row;
    h->seeds[slot] = job->seed; /* both branches start from the same noise */
    memset(cond, 0, total * sizeof(float));
    if (job->noise) memcpy(h->noise + (size_t)row * bands, job->noise, total * sizeof(float));
    for (int32_t f = 0; f < job->frames; f++) {
        bool text = f < job->n_tokens;
        bool keep = !null_branch && f < job->cond_frames && (!job->edit_mask || job->edit_mask[f]);
        h->seq_of_row[row + f] = slot;
        h->ids[row + f] = text && !null_branch ? job->tokens[f] + 1 : 0;
        h->text_keep[row + f] = text; /* the null branch keeps the mask of the text it does not see */
        h->keep[row + f] = keep;
        size_t at = (size_t)f * bands;
        if (keep) memcpy(cond + at, job->cond + at, bands * sizeof(float));
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
    const size_t bands = (size_t)size->bands;
    memset(h->cond + (size_t)live * bands, 0, tail * bands * sizeof(float));
}

/* Pack k of the backbone's own. */
static void fill_own(const backbone *b, int k, const batch_size *size, const synth_job *jobs, const batch_arrays *h) {
    int32_t row = 0, live = size->branches * size->sequences;
    for (int32_t slot = 0; slot < live; slot++) {
        const synth_job *job = &jobs[slot % size->sequences];
        int32_t n = b->pack_length(k, job->frames, job->n_tokens);
        h->own_offsets[k][slot] = row;
        for (int32_t i = 0; i < n; i++) h->own_seq_of_row[k][row++] = slot;
    }
    for (int32_t slot = live; slot <= size->slots; slot++) h->own_offsets[k][slot] = row;
    for (; row < size->own_rows[k]; row++) h->own_seq_of_row[k][row] = -1;
}

/* The tokens as the rows of the pack that a backbone keeps for them; what other rows hold is a token too. */
static void fill_tokens(const own_rules *own, const batch_size *size, const synth_job *jobs, const batch_arrays *h) {
    memset(h->ids, 0, (size_t)size->rows * sizeof(int32_t));
    for (int32_t slot = 0; slot < size->branches * size->sequences; slot++) {
        const synth_job *job = &jobs[slot % size->sequences];
        if (job->n_tokens > 0)
            memcpy(h->ids + h->own_offsets[own->text_pack][slot], job->tokens, (size_t)job->n_tokens * sizeof(int32_t));
    }
}

/* Rows and samples of slice i of the vocoder's pack; slices are filled in order. */
static void fill_slice(const model_config *config, int32_t i, int32_t frames, const batch_arrays *h) {
    int32_t first = h->slice_offsets[i];
    for (int32_t f = 0; f < frames; f++) h->slice_seq_of_row[first + f] = i;
    h->slice_offsets[i + 1] = first + frames;
    h->sample_offsets[i + 1] = h->sample_offsets[i] + vocoder_of(config)->samples(config, frames);
}

static void fill_slices_tail(const batch_size *size, const batch_arrays *h) {
    for (int32_t s = size->sequences; s < size->slice_slots; s++) {
        h->slice_offsets[s + 1] = h->slice_offsets[s];
        h->sample_offsets[s + 1] = h->sample_offsets[s];
    }
    for (int32_t r = size->slice_frames; r < size->slice_rows; r++) h->slice_seq_of_row[r] = -1;
}

void batch_fill(const model_config *config, const batch_size *size, const synth_job *jobs, const batch_arrays *h) {
    int32_t row = 0;
    for (int32_t branch = 0; branch < size->branches; branch++) {
        for (int32_t i = 0; i < size->sequences; i++) {
            fill_sequence(&jobs[i], branch * size->sequences + i, row, branch == 1, (size_t)size->bands, h);
            row += jobs[i].frames;
        }
    }
    fill_tail(size, h);
    for (int k = 0; k < size->n_own; k++) fill_own(backbone_of(config), k, size, jobs, h);
    if (backbone_of(config)->own) fill_tokens(backbone_of(config)->own, size, jobs, h);
    h->slice_offsets[0] = 0;
    h->sample_offsets[0] = 0;
    for (int32_t i = 0; i < size->sequences; i++) fill_slice(config, i, batch_slice_frames(&jobs[i]), h);
    fill_slices_tail(size, h);
}

batch_size vocode_measure(const model_config *config, const vocode_job *jobs, int32_t n) {
    batch_size size = {.sequences = n, .branches = 1};
    for (int32_t i = 0; i < n; i++) {
        size.slice_frames += jobs[i].frames;
        size.samples += vocoder_of(config)->samples(config, jobs[i].frames);
    }
    return size;
}

void vocode_fill(const model_config *config, const batch_size *size, const vocode_job *jobs, const batch_arrays *h) {
    h->slice_offsets[0] = 0;
    h->sample_offsets[0] = 0;
    for (int32_t i = 0; i < size->sequences; i++) fill_slice(config, i, jobs[i].frames, h);
    fill_slices_tail(size, h);
}

f5_status vocode_upload(ops *o, const batch_size *size, const batch_arrays *d, const batch_arrays *h) {
    size_t slots = (size_t)size->slice_slots;
    F5_TRY(o->copy_in(o, d->slice_offsets, h->slice_offsets, (slots + 1) * sizeof(int32_t)));
    F5_TRY(o->copy_in(o, d->slice_seq_of_row, h->slice_seq_of_row, (size_t)size->slice_rows * sizeof(int32_t)));
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
    F5_TRY(o->copy_in(o, d->cond, h->cond, rows * (size_t)size->bands * sizeof(float)));
    for (int k = 0; k < size->n_own; k++) {
        size_t own_rows = (size_t)size->own_rows[k];
        F5_TRY(o->copy_in(o, d->own_offsets[k], h->own_offsets[k], (slots + 1) * sizeof(int32_t)));
        F5_TRY(o->copy_in(o, d->own_seq_of_row[k], h->own_seq_of_row[k], own_rows * sizeof(int32_t)));
    }
    return vocode_upload(o, size, d, h);
}
