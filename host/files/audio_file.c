/* audio_file.c — libsndfile writes the samples; audio_read.c has the reading. */
#include "host/files/audio_file.h"

#include <errno.h>
#include <sndfile.h>
#include <string.h>
#include <sys/stat.h>

/* ---- writing ----------------------------------------------------------------------------------------------------- */

f5_status audio_begin(audio_writer *w, const char *path, int32_t sample_rate, bool as_float, f5_error *error) {
    *w = (audio_writer){.sample_bytes = as_float ? 4 : 2};
    F5_TRY(output_begin(&w->out, path, error));
    SF_INFO info = {.samplerate = sample_rate,
                    .channels = 1,
                    .format = SF_FORMAT_WAV | (as_float ? SF_FORMAT_FLOAT : SF_FORMAT_PCM_16)};
    SNDFILE *file = sf_open_fd(fileno(w->out.stream), SFM_WRITE, &info, SF_FALSE);
    if (!file) {
        audio_abort(w);
        return f5_fail(error, F5_E_IO, "%s: cannot be written: %s", path, sf_strerror(NULL));
    }
    sf_command(file, SFC_SET_CLIPPING, NULL, SF_TRUE);
    sf_command(file, SFC_SET_ADD_PEAK_CHUNK, NULL, SF_FALSE); /* it holds the time of day: same in, same out */
    w->file = file;
    return F5_OK;
}

f5_status audio_append(audio_writer *w, const float *samples, int64_t n, f5_error *error) {
    if (w->n + n > (UINT32_MAX - 65536) / w->sample_bytes)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: a WAV file holds no more than 4 GiB: split the text", w->out.path);
    if (n > 0 && sf_writef_float(w->file, samples, n) != n)
        return f5_fail(error, F5_E_IO, "%s: cannot be written: %s", w->out.path,
                       errno ? strerror(errno) : "disk full?");
    w->n += n;
    return F5_OK;
}

/* libsndfile does not tell when its last writes failed: the file is then too short. */
f5_status audio_commit(audio_writer *w, f5_error *error) {
    struct stat made;
    bool good = sf_close(w->file) == 0 && fstat(fileno(w->out.stream), &made) == 0 &&
                made.st_size >= 44 + w->n * w->sample_bytes;
    w->file = NULL;
    if (good) return output_commit(&w->out, error);
    f5_fail(error, F5_E_IO, "%s: cannot be written: disk full?", w->out.path);
    output_abort(&w->out);
    return F5_E_IO;
}

void audio_abort(audio_writer *w) {
    if (w->file) sf_close(w->file);
    output_abort(&w->out);
    *w = (audio_writer){0};
}

f5_status audio_write(const char *path, const float *samples, int64_t n, int32_t sample_rate, bool as_float,
                      f5_error *error) {
    audio_writer w;
    F5_TRY(audio_begin(&w, path, sample_rate, as_float, error));
    f5_status status = audio_append(&w, samples, n, error);
    if (status == F5_OK) return audio_commit(&w, error);
    audio_abort(&w);
    return status;
}
