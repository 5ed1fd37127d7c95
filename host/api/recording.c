/* recording.c — a caller's recording becomes mono samples at the model's rate. */
#include "host/api/recording.h"

#include <stdlib.h>

#include "host/api/params.h"
#include "host/audio/resample.h"

static f5_status check_recording(const f5_voice_params *p, f5_error *error) {
    if (p->channels < 1 || p->channels > F5_MAX_CHANNELS)
        return f5_fail(error, F5_E_ARGUMENT, "the recording has %d channels; 1 to %d are possible", p->channels,
                       F5_MAX_CHANNELS);
    if (p->sample_rate < F5_MIN_SAMPLE_RATE || p->sample_rate > F5_MAX_SAMPLE_RATE)
        return f5_fail(error, F5_E_ARGUMENT, "the recording has %d samples a second; %d to %d are possible",
                       p->sample_rate, F5_MIN_SAMPLE_RATE, F5_MAX_SAMPLE_RATE);
    if (!p->samples || p->n_frames <= 0) return f5_fail(error, F5_E_ARGUMENT, "the recording holds no samples");
    if (p->n_frames > (int64_t)F5_MAX_RECORDING_SECONDS * p->sample_rate)
        return f5_fail(error, F5_E_ARGUMENT, "the recording is %.0f s long; at most %d s are possible",
                       (double)p->n_frames / p->sample_rate, F5_MAX_RECORDING_SECONDS);
    if (!(p->target_rms > 0) || p->target_rms > 1)
        return f5_fail(error, F5_E_ARGUMENT, "target_rms %g: must be above 0 and at most 1", (double)p->target_rms);
    return F5_OK;
}

#define SLACK 16 /* by which a caller's function may miss the length */

/* By the caller's function: out [wanted + SLACK]. */
static f5_status call_resample(const f5_voice_params *p, const reference_clip *clip, float *out, int64_t wanted,
                               f5_error *error) {
    int64_t got = p->resample(p->resample_user, clip->samples, clip->n_samples, p->sample_rate, F5_SAMPLE_RATE, out,
                              wanted + SLACK);
    if (got >= wanted - SLACK && got <= wanted + SLACK) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "the resample function made %lld samples of %lld at %d Hz; %lld expected",
                   (long long)got, (long long)clip->n_samples, p->sample_rate, (long long)wanted);
}

/* The clip at the model's rate. */
static f5_status bring_to_rate(const f5_voice_params *p, reference_clip *clip, f5_error *error) {
    int64_t wanted = resample_length(clip->n_samples, p->sample_rate, F5_SAMPLE_RATE);
    float *out = calloc((size_t)(wanted + SLACK), sizeof *out);
    if (!out) return f5_fail(error, F5_E_MEMORY, "out of memory for %lld samples", (long long)wanted);
    f5_status status = p->resample
                           ? call_resample(p, clip, out, wanted, error)
                           : resample(clip->samples, clip->n_samples, p->sample_rate, F5_SAMPLE_RATE, out, error);
    if (status != F5_OK) {
        free(out);
        return status;
    }
    free(clip->samples);
    clip->samples = out;
    clip->n_samples = wanted;
    return F5_OK;
}

f5_status recording_read(const f5_voice_params *p, int leave_out, reference_clip *clip, f5_error *error) {
    F5_TRY(check_recording(p, error));
    const sound recording = {
        .samples = p->samples, .n_frames = p->n_frames, .channels = p->channels, .sample_rate = p->sample_rate};
    if (p->keep_whole) leave_out |= REFERENCE_KEEP_WHOLE;
    F5_TRY(reference_prepare(&recording, leave_out, p->target_rms, clip, error));
    return p->sample_rate == F5_SAMPLE_RATE ? F5_OK : bring_to_rate(p, clip, error);
}

f5_status f5_clip_voice(const f5_voice_params *params, void (*take)(void *user, const float *samples, int64_t n),
                        void *user, f5_error *error) {
    f5_voice_params p;
    f5_voice_params_init(&p);
    F5_TRY(params_read(&p, sizeof p, params, "f5_voice_params", error));
    if (!take) return f5_fail(error, F5_E_ARGUMENT, "f5_clip_voice: take is NULL");
    reference_clip clip = {0};
    f5_status status = recording_read(&p, 0, &clip, error);
    if (status == F5_OK) take(user, clip.samples, clip.n_samples);
    free(clip.samples);
    return status;
}
