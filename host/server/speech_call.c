/* speech_call.c — voices by name or by recording, and the order that follows. */
#define _GNU_SOURCE /* memfd_create */
#include "host/server/speech_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "host/files/audio_file.h"
#include "host/server/base64.h"
#include "host/server/voice_store.h"

bool model_is_known(const server *s, const char *model) {
    /* the names that clients have built in */
    static const char *const usual[] = {"tts-1", "tts-1-hd", "gpt-4o-mini-tts", "f5-tts"};
    if (!model || !*model || strcmp(model, s->options->model_id) == 0) return true;
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        if (strcmp(model, usual[i]) == 0) return true;
    return strncmp(model, "gpt-4o-mini-tts-", 16) == 0;
}

static bool refuse(request_fault *why, int status, const char *param, const char *code, const char *format,
                   const char *name) {
    *why = (request_fault){.status = status, .param = param, .code = code};
    f5_error shown;
    f5_fail(&shown, F5_E_ARGUMENT, format, name); /* a name that is cut stays UTF-8 */
    snprintf(why->message, sizeof why->message, "%s", shown.message);
    return false;
}

bool speech_call_check(const server *s, const speech_request *q, recording **voice, request_fault *why) {
    *voice = NULL;
    if (!model_is_known(s, q->model))
        return refuse(why, 404, "model", "model_not_found", "there is no model %.100s: GET /v1/models lists them",
                      q->model);
    if (q->ref_audio) return true;
    const voice_entry *entry = voice_store_find(s->voices, q->voice);
    if (!entry)
        return refuse(why, 400, "voice", "voice_not_found", "there is no voice %.100s: GET /v1/audio/voices lists them",
                      q->voice ? q->voice : "that is the default");
    *voice = recording_hold(entry->recording);
    return true;
}

/* The bytes that base64, or a data URL of base64, says. */
static f5_status decode_text(const char *text, uint8_t **bytes, size_t *n, f5_error *error) {
    if (strncmp(text, "data:", 5) == 0) {
        const char *comma = strchr(text, ',');
        bool base64 = comma && comma - text >= 7 && memcmp(comma - 7, ";base64", 7) == 0;
        if (!base64)
            return f5_fail(error, F5_E_ARGUMENT, "ref_audio: a data URL must be of base64: data:audio/wav;base64,...");
        text = comma + 1;
    }
    size_t length = strlen(text);
    *bytes = malloc(length / 4 * 3 + 4);
    if (!*bytes) return f5_fail(error, F5_E_MEMORY, "no memory for a recording");
    if (base64_decode(text, length, *bytes, n) && *n > 0) return F5_OK;
    free(*bytes);
    return f5_fail(error, F5_E_ARGUMENT, "ref_audio is not base64");
}

/* libsndfile and FFmpeg read files: one in memory, without a name. */
static f5_status read_audio(const uint8_t *bytes, size_t n, audio_file *audio, f5_error *error) {
    int fd = memfd_create("ref_audio", MFD_CLOEXEC);
    if (fd < 0) return f5_fail(error, F5_E_MEMORY, "no memory for a recording");
    f5_status status = F5_OK;
    for (size_t at = 0; at < n && status == F5_OK;) {
        ssize_t put = write(fd, bytes + at, n - at);
        if (put <= 0) status = f5_fail(error, F5_E_MEMORY, "no memory for a recording");
        if (put > 0) at += (size_t)put;
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    f5_error why = {0};
    if (status == F5_OK && (status = audio_read(audio, path, &why)) != F5_OK) {
        /* the name in front of the message is not the client's */
        size_t prefix = strlen(path);
        const char *message = strncmp(why.message, path, prefix) == 0 ? why.message + prefix : why.message;
        f5_fail(error, status, "ref_audio%s%.480s", *message == ':' ? "" : ": ", message);
    }
    close(fd);
    return status;
}

f5_status speech_call_decode(const speech_request *q, recording **voice, f5_error *error) {
    uint8_t *bytes = NULL;
    size_t n;
    audio_file audio;
    *voice = NULL;
    F5_TRY(decode_text(q->ref_audio, &bytes, &n, error));
    f5_status status = read_audio(bytes, n, &audio, error);
    free(bytes);
    F5_TRY(status);
    return recording_make(voice, audio.samples, audio.n_frames, audio.channels, audio.sample_rate, q->ref_text, error);
}

speech_defaults speech_call_defaults(const server *s) {
    static const int32_t methods[] = {F5_METHOD_EULER, F5_METHOD_MIDPOINT, F5_METHOD_AB2};
    return (speech_defaults){.nfe_step = s->options->nfe_step,
                             .method = methods[s->options->method],
                             .first_chunk = s->options->first_chunk,
                             .text_bytes = (size_t)s->options->text_bytes,
                             .rate = s->options->sound_rate,
                             .one_voice = s->options->one_voice,
                             .reads_phonemes = s->options->reads_phonemes,
                             .ipa = s->options->reads_phonemes && !s->options->phonemes.phonemes};
}

#define WHOLE_BYTES 4096 /* of a text, up to which a WAV or FLAC is kept until its length is known */

void speech_call_order(const speech_request *q, recording *voice, speech_order *order) {
    speech_order_init(order);
    order->voice = voice;
    order->text = q->input;
    order->text_bytes = q->input_bytes;
    order->format = q->format;
    order->rate = q->rate;
    order->ipa = q->ipa;
    order->sample = q->sample;
    order->speak = q->speak;
    order->speak.brackets = F5_BRACKETS_TEXT; /* a client's text names no voices */
    uint64_t *seed = &order->speak.seed;
    if (!q->seed_given && getrandom(seed, sizeof *seed, GRND_NONBLOCK) != sizeof *seed)
        *seed = (uint64_t)(loop_seconds() * 1e9);
    bool has_length =
        q->format == SOUND_WAV || q->format == SOUND_WAV24 || q->format == SOUND_WAV_FLOAT || q->format == SOUND_FLAC;
    order->whole = has_length && !q->streams && q->input_bytes <= WHOLE_BYTES;
}
