/* reference.h — a recording becomes the reference that is cloned: upstream's preprocess_ref_audio_text and the head of
 * infer_batch_process (f5_tts/infer/utils_infer.py), with pydub's silence detection.
 *
 *   1 clip    longer than 12 s: join the non-silent pieces (silence: 1000 ms below -50 dBFS; 1000 ms of it kept) until
 *             more than 6 s are held and the next would pass 12 s; still longer: again with 100 ms and -40 dBFS; still
 *             longer: cut at 12 s. (A shorter recording is joined by the same rule.)
 *   2 trim    both edges while 10 ms slices are below -42 dBFS; append 50 ms of silence
 *   3 mono    samples beyond full scale are clipped; mean of the channels
 *   4 level   rms measured; below target_rms the samples are raised to it
 *
 * The result has the recording's rate.
 *
 * Levels are pydub's: the integer root mean square of whole samples of all channels together, 8, 16 or 32 bits wide, as
 * the recording's own are (sound_bits); a joined recording has at least 16. The result of 1 and 2 is pydub's, sample
 * for sample, but for 24-bit samples, of which pydub puts the negative ones up by a 256th. One deviation: recordings
 * below 11025 Hz, which pydub first raises to 11025 by linear interpolation, keep their rate.
 */
#ifndef F5_REFERENCE_H
#define F5_REFERENCE_H

#include "host/audio/silence.h"
#include "kernels/error.h"

#define REFERENCE_MAX_LEVEL 1000.0f /* of a sample; full scale is 1 */
/* What reference_prepare leaves out. */
enum {
    REFERENCE_KEEP_WHOLE = 1, /* steps 1 and 2 */
    REFERENCE_KEEP_LOUD = 2   /* clipping at full scale */
};

#define REFERENCE_MIN_SECONDS 0.1 /* of sound, before the silence is appended */

typedef struct {
    float *samples; /* [n_samples] mono, at the recording's rate; free() it */
    int64_t n_samples;
    float rms; /* measured in step 4, before raising */
} reference_clip;

/* leave_out: of REFERENCE_KEEP_, or 0; target_rms > 0. The recording's bits are not read but found. Errors:
 * F5_E_ARGUMENT (samples that are not finite, all silent, too quiet or too short), F5_E_MEMORY; the clip is then empty.
 * Allocates. */
f5_status reference_prepare(const sound *recording, int leave_out, float target_rms, reference_clip *clip,
                            f5_error *error);

/* Steps 1 and 2 alone: *out [*out_frames,channels] interleaved, to be freed. *out_frames is 0 if all is silent. */
f5_status reference_cut(const sound *recording, float **out, int64_t *out_frames, f5_error *error);

#endif
