/* audio_read.c — libsndfile reads the samples; what it lets pass is checked here: truncated files, sizes beyond the
 * limits, samples that are not finite. What it does not read goes to FFmpeg's libraries. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/api/f5tts.h"
#include "host/files/audio_av.h"
#include "host/files/audio_file.h"
#include "host/files/audio_header.h"
#include "runtime/finite.h"

#define MAX_PIPED_BYTES (1ll << 30)
#define KNOWN_FORMATS "WAV, AIFF, FLAC, Ogg, Opus, MP3, CAF, AU, W64, RF64"

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/* What comes from a pipe goes into a file without a name, since formats are read to and fro. */
static f5_status keep_pipe(int *fd, const char *name, f5_error *error) {
    FILE *kept = tmpfile();
    char block[65536];
    int64_t total = 0;
    ssize_t got = 0;
    bool good = kept != NULL;
    while (good && total <= MAX_PIPED_BYTES && (got = read(*fd, block, sizeof block)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        good = got > 0 && fwrite(block, 1, (size_t)got, kept) == (size_t)got;
        total += good ? got : 0;
    }
    good = good && fflush(kept) == 0;
    int copy = good ? fcntl(fileno(kept), F_DUPFD_CLOEXEC, 3) : -1;
    int why = errno;
    if (kept) fclose(kept);
    if (copy < 0) return f5_fail(error, F5_E_IO, "%s: cannot be read: %s", name, strerror(why));
    close(*fd);
    *fd = copy;
    return total <= MAX_PIPED_BYTES
               ? F5_OK
               : f5_fail(error, F5_E_FORMAT, "%s: is longer than %lld bytes", name, MAX_PIPED_BYTES);
}

/* Standard input, or what a shell hands over as <(command). */
static bool may_be_a_pipe(const char *path) {
    return audio_is_stdin(path) || strcmp(path, "/dev/stdin") == 0 || strncmp(path, "/dev/fd/", 8) == 0 ||
           strncmp(path, "/proc/self/fd/", 14) == 0;
}

static f5_status open_recording(int *fd, int64_t *bytes, const char *path, const char *name, f5_error *error) {
    struct stat info;
    bool pipe = may_be_a_pipe(path);
    /* any other pipe is not waited for */
    *fd = audio_is_stdin(path) ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                               : open(path, O_RDONLY | O_CLOEXEC | (pipe ? 0 : O_NONBLOCK));
    if (*fd < 0 || fstat(*fd, &info) != 0)
        return f5_fail(error, F5_E_IO, "%s: cannot be opened: %s", name, strerror(errno));
    if (pipe && (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode))) {
        F5_TRY(keep_pipe(fd, name, error));
        if (fstat(*fd, &info) != 0) return f5_fail(error, F5_E_IO, "%s: cannot be read: %s", name, strerror(errno));
    }
    if (!S_ISREG(info.st_mode)) return f5_fail(error, F5_E_IO, "%s: is not a file", name);
    if (info.st_size == 0) return f5_fail(error, F5_E_FORMAT, "%s: is empty", name);
    *bytes = info.st_size;
    return F5_OK;
}

/* libsndfile's view of it. */
typedef struct {
    audio_bytes *file;
    int64_t at;
    int64_t fruitless; /* bytes read since the last sound */
} view;

static sf_count_t view_length(void *user) {
    return ((view *)user)->file->bytes;
}

static sf_count_t view_seek(sf_count_t offset, int whence, void *user) {
    view *v = user;
    int64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? v->at : v->file->bytes;
    if (offset < -from || offset > INT64_MAX - from) return -1;
    return v->at = from + offset;
}

static sf_count_t view_read(void *to, sf_count_t n, void *user) {
    view *v = user;
    int64_t got = v->fruitless < AUDIO_MAX_FRUITLESS ? audio_bytes_read(v->file, to, n, v->at) : 0;
    v->at += got;
    v->fruitless += got;
    return got;
}

static sf_count_t view_tell(void *user) {
    return ((view *)user)->at;
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

f5_status audio_limits_check(const audio_file *a, const char *name, f5_error *error) {
    if (a->channels < 1 || a->channels > F5_MAX_CHANNELS)
        return f5_fail(error, F5_E_FORMAT, "%s: has %d channels; 1 to %d are possible", name, a->channels,
                       F5_MAX_CHANNELS);
    if (a->sample_rate < F5_MIN_SAMPLE_RATE || a->sample_rate > F5_MAX_SAMPLE_RATE)
        return f5_fail(error, F5_E_FORMAT, "%s: has %d samples a second; %d to %d are possible", name, a->sample_rate,
                       F5_MIN_SAMPLE_RATE, F5_MAX_SAMPLE_RATE);
    if (a->n_frames > (int64_t)F5_MAX_RECORDING_SECONDS * a->sample_rate)
        return f5_fail(error, F5_E_FORMAT, "%s: is %.0f s long; at most %d s are possible", name,
                       (double)a->n_frames / a->sample_rate, F5_MAX_RECORDING_SECONDS);
    return F5_OK;
}

void audio_round(audio_file *a) {
    for (int64_t i = 0; i < a->n_frames * a->channels; i++) {
        float scaled = nearbyintf(a->samples[i] * 32768);
        a->samples[i] = (scaled < -32768 ? -32768 : scaled > 32767 ? 32767 : scaled) / 32768;
    }
}

/* pydub, through which upstream reads, has 24-bit samples as 32 bits, and fills negative ones up with 255: they lie by
 * almost a step higher. It is not heard, but the mel of what is nearly silent shows it. */
static void fill_24_bit(audio_file *a) {
    for (int64_t i = 0; i < a->n_frames * a->channels; i++)
        if (a->samples[i] < 0) a->samples[i] += 255 / 2147483648.0f;
}

static f5_status check_finite(const audio_file *a, const char *name, f5_error *error) {
    int64_t good = finite_until(a->samples, a->n_frames * a->channels);
    if (good == a->n_frames * a->channels) return F5_OK;
    return f5_fail(error, F5_E_FORMAT, "%s: is damaged: frame %lld is not a finite number", name,
                   (long long)(good / a->channels));
}

#define BLOCK 65536

/* Blocks until there is no more, or all that is wanted. */
static f5_status read_blocks(audio_file *a, SNDFILE *file, view *v, int64_t wanted, const char *name, f5_error *error) {
    int64_t room = 0;
    for (sf_count_t got = BLOCK; got == BLOCK && a->n_frames < wanted;) {
        if (a->n_frames + BLOCK > room) {
            room = wanted == SF_COUNT_MAX ? 2 * room + BLOCK : wanted + BLOCK;
            float *more = realloc(a->samples, (size_t)(room * a->channels) * sizeof *more);
            if (!more) return f5_fail(error, F5_E_MEMORY, "%s: no memory for %lld frames", name, (long long)room);
            a->samples = more;
        }
        v->fruitless = 0;
        got = sf_readf_float(file, a->samples + a->n_frames * a->channels, BLOCK);
        if (got < 0) got = 0;
        a->n_frames += got;
        F5_TRY(audio_limits_check(a, name, error));
    }
    return F5_OK;
}

/* libsndfile's length of an MP3 without a count is a guess: what its pieces hold must be there, but for two at each
 * end. */
static int64_t least_frames(const audio_bytes *file, const SF_INFO *info) {
    if (info->frames == SF_COUNT_MAX) return 0;
    return file->walked_frames > 0 ? file->walked_frames - 4 * 1152 : info->frames;
}

static f5_status read_samples(audio_file *a, SNDFILE *file, const SF_INFO *info, view *v, const char *name,
                              f5_error *error) {
    *a = (audio_file){.n_frames = info->frames == SF_COUNT_MAX || v->file->walked_frames > 0 ? 0 : info->frames,
                      .channels = info->channels,
                      .sample_rate = info->samplerate};
    F5_TRY(audio_limits_check(a, name, error));
    a->n_frames = 0;
    F5_TRY(read_blocks(a, file, v, info->frames, name, error));
    if (a->n_frames < least_frames(v->file, info))
        return f5_fail(error, F5_E_FORMAT, "%s: is truncated or damaged: %lld of %lld frames could be read", name,
                       (long long)a->n_frames, (long long)least_frames(v->file, info));
    if (a->n_frames <= 0) return f5_fail(error, F5_E_FORMAT, "%s: holds no samples", name);
    if ((info->format & SF_FORMAT_TYPEMASK) == SF_FORMAT_MPEG) audio_round(a); /* as upstream does with MP3 */
    if ((info->format & SF_FORMAT_SUBMASK) == SF_FORMAT_PCM_24 && (info->format & SF_FORMAT_TYPEMASK) != SF_FORMAT_FLAC)
        fill_24_bit(a);
    return check_finite(a, name, error);
}

/* Opus is decoded at 48 kHz, as upstream does, whatever rate went in. */
static void prefer_48k(SNDFILE *file, SF_INFO *info) {
    int rate = 48000;
    if ((info->format & SF_FORMAT_SUBMASK) != SF_FORMAT_OPUS) return;
    sf_command(file, SFC_SET_ORIGINAL_SAMPLERATE, &rate, sizeof rate);
    sf_command(file, SFC_GET_CURRENT_SF_INFO, info, sizeof *info);
}

/* Headers of IRCAM, PAF and PVF have no length; a cut file is known by half a frame at its end only. */
static f5_status check_whole_frames(const audio_bytes *file, const SF_INFO *info, const char *name, f5_error *error) {
    static const int bytes[] = {0, 1, 2, 3, 4, 1, 4, 8}; /* by SF_FORMAT_PCM_S8 and following */
    int code = info->format & SF_FORMAT_SUBMASK, type = info->format & SF_FORMAT_TYPEMASK;
    int64_t header = type == SF_FORMAT_IRCAM ? 1024 : type == SF_FORMAT_PAF ? 2048 : 0, frame;
    char line[64] = "";
    if (type == SF_FORMAT_PVF && audio_bytes_read(file, line, sizeof line - 1, 5) > 0) /* two lines of text */
        header = 5 + (int64_t)strcspn(line, "\n") + 1;
    if (header == 0 || code < 1 || code > 7) return F5_OK;
    frame = (type == SF_FORMAT_PAF && code == SF_FORMAT_PCM_24 ? 32 : bytes[code]) * info->channels;
    int64_t left = (file->bytes - header) % frame;
    return left == 0 ? F5_OK : f5_fail(error, F5_E_FORMAT, "%s: is truncated in the middle of a frame", name);
}

static f5_status read_by_libsndfile(audio_file *a, audio_bytes *file, bool *opened, const char *name, f5_error *error) {
    SF_VIRTUAL_IO calls = {view_length, view_seek, view_read, NULL, view_tell};
    SF_INFO info = {0};
    view v = {.file = file};
    SNDFILE *sound = sf_open_virtual(&calls, SFM_READ, &info, &v);
    *opened = sound != NULL;
    /* of a broken MP3 it says that the file does not exist */
    if (!sound)
        return f5_fail(error, F5_E_FORMAT, "%s",
                       strstr(sf_strerror(NULL), "does not exist") ? "Damaged or unknown stream." : sf_strerror(NULL));
    f5_status status = F5_OK;
    if (info.channels >= 1 && info.channels <= F5_MAX_CHANNELS) {
        prefer_48k(sound, &info);
        status = check_whole_frames(file, &info, name, error);
    }
    if (status == F5_OK) status = read_samples(a, sound, &info, &v, name, error);
    sf_close(sound);
    return status;
}

static f5_status read_by_any(audio_file *a, audio_bytes *file, const char *name, f5_error *error) {
    bool opened = false;
    f5_error why = {0}, other = {0};
    F5_TRY(audio_header_check(file, name, error));
    f5_status status = F5_E_UNSUPPORTED;
    if (file->ffmpeg_first) status = audio_av_read(a, file, name, &other);
    if (status == F5_E_UNSUPPORTED) {
        status = read_by_libsndfile(a, file, &opened, name, &why);
        if (opened || status == F5_OK) return status == F5_OK ? F5_OK : f5_fail(error, status, "%s", why.message);
        status = audio_av_read(a, file, name, &other);
    }
    if (status == F5_OK) return check_finite(a, name, error);
    if (status == F5_E_UNSUPPORTED)
        return f5_fail(error, F5_E_FORMAT,
                       "%s: is not a sound file that can be read: %s Read are " KNOWN_FORMATS ", and with FFmpeg's "
                       "libraries " AUDIO_AV_FORMATS ": %s; or make a WAV file of it: ffmpeg -i IN out.wav",
                       name, why.message, other.message);
    if (status == F5_E_ARGUMENT)
        return f5_fail(error, F5_E_FORMAT, "%s: is not a sound file that can be read: %s FFmpeg: %s", name, why.message,
                       other.message);
    return f5_fail(error, status, "%s", other.message);
}

bool audio_is_stdin(const char *path) {
    return strcmp(path, "-") == 0;
}

f5_status audio_read(audio_file *a, const char *path, f5_error *error) {
    *a = (audio_file){0};
    const char *name = audio_is_stdin(path) ? "standard input" : path;
    audio_bytes file = {.fd = -1};
    f5_status status = open_recording(&file.fd, &file.bytes, path, name, error);
    if (status == F5_OK) status = read_by_any(a, &file, name, error);
    if (file.fd >= 0) close(file.fd);
    if (status != F5_OK) audio_free(a);
    return status;
}

void audio_free(audio_file *a) {
    free(a->samples);
    *a = (audio_file){0};
}
