/* batch.h — how the sequences of a call lie in memory, worked out on the host and copied to the device in one go.
 *
 * The model sees `branches` copies of the n sequences (conditional first, then null), packed along rows; the vocoder
 * sees the slices that become sound, packed in their own way. */
#ifndef F5_BATCH_H
#define F5_BATCH_H

#include "runtime/models/backbone.h"
#include "runtime/request.h"

/* Sizes of a batch: all that memory and control flow depend on. rows and slots are those of the bucket it goes into;
 * what lies beyond the live ones is inert. */
typedef struct {
    int32_t sequences, branches;
    int32_t frames;       /* live, of one branch, all sequences together */
    int32_t tokens;       /* live, of one branch: at most frames */
    int32_t rows;         /* of the model's pack, >= branches*frames */
    int32_t slots;        /* of the model's pack, >= branches*sequences */
    int32_t slice_frames; /* live, of all slices; 0: no vocoder */
    int32_t slice_rows;   /* of the vocoder's pack, >= slice_frames, <= rows */
    int32_t slice_slots;  /* >= sequences */
    int64_t samples;      /* of all slices */
    int32_t bands;        /* of the mel */
    int32_t n_own;        /* packs of the backbone's own */
    int32_t own_rows[BACKBONE_MAX_PACKS];
} batch_size;

/* How a device wants batches rounded. */
typedef struct {
    int32_t rows;  /* a branch has a multiple of so many rows; 1: not rounded */
    int32_t slots; /* a branch has at least so many slots */
} batch_bucket;

/* The arrays that describe a batch; the same members on the host (staging, sized at open) and on the device. */
typedef struct {
    int32_t *offsets;    /* [slots+1] */
    int32_t *seq_of_row; /* [rows] */
    int32_t *ids;        /* [rows] token ids shifted by one; 0 = filler and the null branch. Of a backbone with own
                            rules the tokens' own, in the rows of its text's pack */
    uint8_t *text_keep;  /* [rows] 1 = text, 0 = filler */
    uint8_t *keep;       /* [rows] 1 = the reference's frame comes back at the end; conditional branch only */
    uint64_t *seeds;     /* [slots] */
    float *cond;         /* [rows,bands] reference mel, zero elsewhere and in the null branch */
    float *noise;        /* [rows,bands] given initial states (only sequences that have one) */
    int32_t *own_offsets[BACKBONE_MAX_PACKS];    /* [slots+1] of the backbone's own packs */
    int32_t *own_seq_of_row[BACKBONE_MAX_PACKS]; /* [own_rows] */
    int32_t *slice_offsets;                      /* [slice_slots+1] */
    int32_t *slice_seq_of_row;                   /* [rows] */
    int64_t *sample_offsets;                     /* [slice_slots+1] */
} batch_arrays;

/* Takes every array for a batch of this size; addresses depend on rows, own_rows and slots alone. False: the arena is
 * full. */
bool batch_take(arena *a, const batch_size *size, batch_arrays *b);

/* The bucket of a batch whose live counts are filled in. */
void batch_round(const model_config *config, batch_size *size, const batch_bucket *bucket);

/* The packs that the arrays of a batch describe. own has room for BACKBONE_MAX_PACKS. */
f5_pack batch_pack(const batch_size *size, const batch_arrays *a);
void batch_own_packs(const batch_size *size, const batch_arrays *a, f5_pack *own);

/* Frames of a job that the vocoder sees. */
static inline int32_t batch_slice_frames(const synth_job *job) {
    return job->samples ? job->vocode_before + job->frames - job->vocode_from + job->vocode_after : 0;
}

static inline int32_t batch_larger(int32_t a, int32_t b) {
    return a > b ? a : b;
}

/* Rows that a job takes of what is given at open: a job whose vocoder sees more frames than its model makes takes
 * these. */
static inline int32_t batch_frames_taken(const synth_job *job) {
    return batch_larger(batch_slice_frames(job), job->frames);
}

/* Live sizes of a batch of jobs (not checked here). */
batch_size batch_measure(const model_config *config, const synth_solver *solver, const synth_job *jobs, int32_t n);

/* Fills host arrays from the jobs. */
void batch_fill(const model_config *config, const batch_size *size, const synth_job *jobs, const batch_arrays *host);

/* The same for the vocoder alone: mels one after another, each a sequence. */
batch_size vocode_measure(const model_config *config, const vocode_job *jobs, int32_t n);
void vocode_fill(const model_config *config, const batch_size *size, const vocode_job *jobs, const batch_arrays *host);

/* Copies what the model reads to the device, or what the vocoder alone does. */
f5_status batch_upload(ops *o, const batch_size *size, const batch_arrays *device, const batch_arrays *host);
f5_status vocode_upload(ops *o, const batch_size *size, const batch_arrays *device, const batch_arrays *host);

#endif
