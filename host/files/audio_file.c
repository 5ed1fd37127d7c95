/* audio_file.c — libsndfile reads and writes the samples; what it lets pass is checked here: truncated files, sizes
 * beyond the limits, samples that are not finite. */
#include "host/files/audio_file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/api/f5tts.h"

/* ---- truncation: libsndfile reads what is left of a cut file without a word -------------------------------------- */

static uint32_t word_at(const unsigned char *p, bool big_endian) {
    return big_endian ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
                      : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* WAV and AIFF are chunks of a name, a size and that many bytes. Bytes of sound that the file claims and lacks; 0 if it
 * is whole, of another format, or its size was left open by a program writing to a pipe. */
static int64_t missing_sound_bytes(int fd, int64_t file_bytes) {
    unsigned char head[12], chunk[8];
    if (pread(fd, head, sizeof head, 0) != (ssize_t)sizeof head) return 0;
    bool riff = memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "WAVE", 4) == 0;
    bool big = (memcmp(head, "FORM", 4) == 0 && memcmp(head + 8, "AIF", 3) == 0) || memcmp(head, "RIFX", 4) == 0;
    if (!riff && !big) return 0;
    for (int64_t at = sizeof head; pread(fd, chunk, sizeof chunk, at) == (ssize_t)sizeof chunk;) {
        int64_t bytes = word_at(chunk + 4, big);
        at += (int64_t)sizeof chunk;
        if (memcmp(chunk, "data", 4) == 0 || memcmp(chunk, "SSND", 4) == 0) {
            bool open_ended = bytes >= 0x7FFFFFFF;
            return bytes > file_bytes - at && !open_ended ? bytes - (file_bytes - at) : 0;
        }
        at += bytes + (bytes & 1);
    }
    return 0;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static f5_status open_regular(int *fd, int64_t *bytes, const char *path, f5_error *error) {
    struct stat info;
    /* not to wait for the other end of a pipe */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0 || fstat(*fd, &info) != 0)
        return f5_fail(error, F5_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return f5_fail(error, F5_E_IO, "%s: is not a file", path);
    if (info.st_size == 0) return f5_fail(error, F5_E_FORMAT, "%s: is empty", path);
    *bytes = info.st_size;
    return F5_OK;
}

static f5_status check_info(const SF_INFO *info, const char *path, f5_error *error) {
    if (info->channels < 1 || info->channels > F5_MAX_CHANNELS)
        return f5_fail(error, F5_E_FORMAT, "%s: has %d channels; 1 to %d are possible", path, info->channels,
                       F5_MAX_CHANNELS);
    if (info->samplerate < F5_MIN_SAMPLE_RATE || info->samplerate > F5_MAX_SAMPLE_RATE)
        return f5_fail(error, F5_E_FORMAT, "%s: has %d samples a second; %d to %d are possible", path, info->samplerate,
                       F5_MIN_SAMPLE_RATE, F5_MAX_SAMPLE_RATE);
    if (info->frames <= 0) return f5_fail(error, F5_E_FORMAT, "%s: holds no samples", path);
    if (info->frames > (sf_count_t)F5_MAX_RECORDING_SECONDS * info->samplerate)
        return f5_fail(error, F5_E_FORMAT, "%s: is %.0f s long; at most %d s are possible", path,
                       (double)info->frames / info->samplerate, F5_MAX_RECORDING_SECONDS);
    return F5_OK;
}

static f5_status read_samples(audio_file *a, SNDFILE *file, const SF_INFO *info, const char *path, f5_error *error) {
    F5_TRY(check_info(info, path, error));
    size_t n = (size_t)info->frames * (size_t)info->channels;
    a->samples = malloc(n * sizeof *a->samples);
    if (!a->samples) return f5_fail(error, F5_E_MEMORY, "%s: no memory for %lld frames", path, (long long)info->frames);
    a->n_frames = info->frames;
    a->channels = info->channels;
    a->sample_rate = info->samplerate;
    sf_count_t got = sf_readf_float(file, a->samples, info->frames);
    if (got < info->frames)
        return f5_fail(error, F5_E_FORMAT, "%s: is truncated or damaged: %lld of %lld frames could be read", path,
                       (long long)got, (long long)info->frames);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(a->samples[i]))
            return f5_fail(error, F5_E_FORMAT, "%s: is damaged: frame %zu is not a finite number", path,
                           i / (size_t)info->channels);
    return F5_OK;
}

/* libsndfile's reason for not opening a file; of a broken MP3 it says that the file does not exist. */
static const char *open_reason(void) {
    const char *reason = sf_strerror(NULL);
    return strstr(reason, "does not exist") ? "Damaged or unknown stream." : reason;
}

f5_status audio_read(audio_file *a, const char *path, f5_error *error) {
    *a = (audio_file){0};
    int fd = -1;
    int64_t bytes = 0;
    f5_status status = open_regular(&fd, &bytes, path, error);
    int64_t missing = status == F5_OK ? missing_sound_bytes(fd, bytes) : 0;
    if (missing > 0)
        status =
            f5_fail(error, F5_E_FORMAT, "%s: is truncated: %lld bytes of sound are missing", path, (long long)missing);
    if (status == F5_OK) {
        SF_INFO info = {0};
        SNDFILE *file = sf_open_fd(fd, SFM_READ, &info, SF_FALSE);
        if (file)
            status = read_samples(a, file, &info, path, error);
        else
            status = f5_fail(error, F5_E_FORMAT, "%s: is not a sound file that can be read: %s", path, open_reason());
        if (file) sf_close(file);
    }
    if (fd >= 0) close(fd);
    if (status != F5_OK) audio_free(a);
    return status;
}

void audio_free(audio_file *a) {
    free(a->samples);
    *a = (audio_file){0};
}

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
