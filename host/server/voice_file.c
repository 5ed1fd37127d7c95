/* voice_file.c — reads and writes voices; what it reads may be anyone's, and may change while it is read. */
#include "host/server/voice_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/api/f5tts.h"
#include "host/files/audio_file.h"
#include "host/files/text_file.h"
#include "host/server/voice_metadata.h"
#include "runtime/finite.h"

#define FORMAT_NAME "f5tts voice"
#define FORMAT_VERSION 1
#define MAX_FILE_BYTES (VOICE_MAX_BYTES + (1 << 20))

void voice_file_free(voice_file *v) {
    recording_release(v->recording);
    free(v->language);
    free(v->consent);
    free(v->description);
    free(v->media_type);
    *v = (voice_file){0};
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static bool is_letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

f5_status voice_name_check(const char *name, f5_error *error) {
    size_t n = strlen(name), good = 0;
    while (good < n && (is_letter_or_digit(name[good]) || (good > 0 && strchr("._-", name[good])))) good++;
    if (n >= 1 && n <= VOICE_MAX_NAME && good == n && name[n - 1] != '.') return F5_OK;
    return f5_fail(
        error, F5_E_ARGUMENT,
        "a voice's name has 1 to %d characters, ASCII letters, digits and . _ -, and begins with a letter or "
        "a digit",
        VOICE_MAX_NAME);
}

bool voice_name_is(const char *a, const char *b) {
    return strcasecmp(a, b) == 0;
}

/* ---- recordings -------------------------------------------------------------------------------------------------- */

/* Messages of the readers begin with the path, which is a descriptor's where the bytes came from a client. */
static f5_status fail_renamed(f5_error *error, const f5_error *why, f5_status status, const char *path,
                              const char *shown) {
    size_t n = strlen(path);
    bool named = strncmp(why->message, path, n) == 0;
    return f5_fail(error, status, "%.200s%s%.280s", shown, named ? "" : ": ", why->message + (named ? n : 0));
}

static void keep_advice(void *user, const char *what, int32_t good, const char *message) {
    voice_file *v = user;
    size_t n = strlen(v->advice);
    (void)what;
    if (!good) snprintf(v->advice + n, sizeof v->advice - n, "%s%s", n ? "\n" : "", message);
}

/* Checks samples, which are taken, and makes the recording of them. */
static f5_status make_recording(voice_file *v, float *samples, int64_t n_frames, int32_t channels, int32_t sample_rate,
                                const char *transcript, f5_error *error) {
    f5_voice_params p;
    f5_voice_params_init(&p);
    p.samples = samples;
    p.n_frames = n_frames;
    p.channels = channels;
    p.sample_rate = sample_rate;
    p.transcript = transcript;
    f5_status status = f5_check_voice(&p, keep_advice, v, error);
    if (status == F5_OK)
        return recording_make(&v->recording, samples, n_frames, channels, sample_rate, transcript, error);
    free(samples);
    return status;
}

f5_status voice_read_recording(voice_file *v, const char *path, const char *shown, const char *transcript,
                               double max_seconds, f5_error *error) {
    f5_error why = {0};
    struct stat there;
    if (stat(path, &there) == 0) v->bytes = there.st_size;
    audio_file a;
    f5_status status = audio_read(&a, path, &why);
    if (status != F5_OK) return fail_renamed(error, &why, status, path, shown);
    double seconds = (double)a.n_frames / a.sample_rate;
    if (seconds > max_seconds || a.n_frames * a.channels > VOICE_MAX_BYTES / (int64_t)sizeof(float)) {
        audio_free(&a);
        return f5_fail(
            error, F5_E_UNSUPPORTED,
            "%.200s: is %.1f s long, which is too long: at most %.0f s and %d MB of samples; 5 to 12 s are best", shown,
            seconds, max_seconds, VOICE_MAX_BYTES >> 20);
    }
    status = make_recording(v, a.samples, a.n_frames, a.channels, a.sample_rate, transcript, &why);
    return status == F5_OK ? F5_OK : f5_fail(error, status, "%.200s: %.280s", shown, why.message);
}

/* A transcript's lines are one. */
static void join_lines(char *words) {
    for (char *c = words; *c; c++)
        if (*c == '\n' || *c == '\r') *c = ' ';
    size_t n = strlen(words);
    while (n > 0 && strchr(" \t", words[n - 1])) n--;
    words[n] = '\0';
}

f5_status voice_read_pair(voice_file *v, const char *path, const char *ending, f5_error *error) {
    *v = (voice_file){0};
    char words_path[4096], *words;
    size_t stem = strlen(path) - strlen(ending);
    if (stem + 5 > sizeof words_path) return f5_fail(error, F5_E_IO, "%.200s...: the path is too long", path);
    snprintf(words_path, sizeof words_path, "%.*s.txt", (int)stem, path);
    struct stat there;
    if (stat(words_path, &there) != 0 || !S_ISREG(there.st_mode)) /* a pipe would be waited for */
        return f5_fail(error, F5_E_IO, "%.200s: there is no %.200s with the words that it says", path, words_path);
    F5_TRY(text_file_read(words_path, VOICE_MAX_TRANSCRIPT, &words, NULL, error));
    join_lines(words);
    f5_status status = f5_text_is_blank(words)
                           ? f5_fail(error, F5_E_FORMAT, "%.400s: holds no words", words_path)
                           : voice_read_recording(v, path, path, words, F5_MAX_RECORDING_SECONDS, error);
    free(words);
    if (status == F5_OK && stat(path, &there) == 0) v->created_at = there.st_mtime;
    if (status != F5_OK) voice_file_free(v);
    return status;
}

/* ---- one file ---------------------------------------------------------------------------------------------------- */

static f5_status keep_text(const safetensors *st, const char *key, size_t max_bytes, char **kept, f5_error *error) {
    const char *text;
    F5_TRY(metadata_text(st, key, max_bytes, &text, error));
    if (!text || !*text) return F5_OK;
    *kept = strdup(text);
    return *kept ? F5_OK : f5_fail(error, F5_E_MEMORY, "no memory for its %s", key);
}

static f5_status take_samples(const safetensors *st, float **samples, int64_t *n_frames, int32_t *channels,
                              f5_error *error) {
    const safetensors_tensor *t = safetensors_find(st, "samples");
    if (!t || t->dtype != ST_F32 || t->rank != 2 || t->dims[0] < 1 || t->dims[1] < 1 || t->dims[1] > F5_MAX_CHANNELS ||
        t->bytes > VOICE_MAX_BYTES)
        return f5_fail(error, F5_E_FORMAT, "has no tensor \"samples\" of F32 [frames,channels] with at most %d MB",
                       VOICE_MAX_BYTES >> 20);
    *n_frames = t->dims[0];
    *channels = (int32_t)t->dims[1];
    *samples = malloc(t->bytes);
    if (!*samples) return f5_fail(error, F5_E_MEMORY, "no memory for %zu bytes of samples", t->bytes);
    memcpy(*samples, t->data, t->bytes);
    if (finite_until(*samples, *n_frames * *channels) == *n_frames * *channels) return F5_OK;
    free(*samples);
    *samples = NULL;
    return f5_fail(error, F5_E_FORMAT, "is damaged: a sample is not a finite number");
}

static f5_status read_voice(voice_file *v, const safetensors *st, f5_error *error) {
    const char *transcript;
    int64_t rate, n_frames = 0;
    int32_t channels = 0;
    float *samples = NULL;
    F5_TRY(metadata_format(st, FORMAT_NAME, FORMAT_VERSION, error));
    F5_TRY(metadata_text(st, "transcript", VOICE_MAX_TRANSCRIPT, &transcript, error));
    if (f5_text_is_blank(transcript)) return f5_fail(error, F5_E_FORMAT, "has no transcript");
    F5_TRY(metadata_number(st, "sample_rate", F5_MAX_SAMPLE_RATE, 0, &rate, error));
    F5_TRY(metadata_number(st, "created_at", INT64_MAX / 2, 0, &v->created_at, error));
    F5_TRY(metadata_number(st, "bytes", INT64_MAX / 2, 0, &v->bytes, error));
    F5_TRY(keep_text(st, "language", VOICE_MAX_WORD, &v->language, error));
    F5_TRY(keep_text(st, "consent", VOICE_MAX_WORD, &v->consent, error));
    F5_TRY(keep_text(st, "media_type", VOICE_MAX_WORD, &v->media_type, error));
    F5_TRY(keep_text(st, "description", VOICE_MAX_TRANSCRIPT, &v->description, error));
    F5_TRY(take_samples(st, &samples, &n_frames, &channels, error));
    return make_recording(v, samples, n_frames, channels, (int32_t)rate, transcript, error);
}

f5_status voice_file_read(voice_file *v, const char *path, f5_error *error) {
    *v = (voice_file){0};
    int copy;
    safetensors st;
    f5_error why = {0};
    F5_TRY(metadata_open(&st, &copy, path, MAX_FILE_BYTES, error));
    f5_status status = read_voice(v, &st, &why);
    if (status != F5_OK) f5_fail(error, status, "%s: %s", path, why.message);
    safetensors_close(&st);
    close(copy);
    if (status != F5_OK) voice_file_free(v);
    return status;
}

static f5_status write_voice(const voice_file *v, safetensors_writer *w, f5_error *error) {
    const recording *r = v->recording;
    const int64_t dims[2] = {r->n_frames, r->channels};
    F5_TRY(metadata_put(w, "format", FORMAT_NAME, error));
    F5_TRY(metadata_put_number(w, "version", FORMAT_VERSION, error));
    F5_TRY(metadata_put_number(w, "sample_rate", r->sample_rate, error));
    F5_TRY(metadata_put(w, "transcript", r->transcript, error));
    F5_TRY(metadata_put_number(w, "created_at", v->created_at, error));
    F5_TRY(metadata_put_number(w, "bytes", v->bytes, error));
    F5_TRY(metadata_put(w, "language", v->language, error));
    F5_TRY(metadata_put(w, "consent", v->consent, error));
    F5_TRY(metadata_put(w, "media_type", v->media_type, error));
    F5_TRY(metadata_put(w, "description", v->description, error));
    F5_TRY(safetensors_writer_declare(w, "samples", ST_F32, 2, dims, error));
    F5_TRY(safetensors_writer_begin(w, error));
    F5_TRY(safetensors_writer_data(w, r->samples, (size_t)(r->n_frames * r->channels) * sizeof(float), error));
    return safetensors_writer_finish(w, error);
}

f5_status voice_file_write(const voice_file *v, const char *path, f5_error *error) {
    safetensors_writer *w;
    F5_TRY(safetensors_writer_open(&w, path, error));
    f5_status status = write_voice(v, w, error);
    safetensors_writer_close(w);
    return status;
}
