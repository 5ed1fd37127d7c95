/* transcribe.c — the clip goes into a file, the recogniser is asked about it, what it says is kept. */
#define _GNU_SOURCE /* mkostemps */
#include "host/program/transcribe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/api/f5tts.h"
#include "host/files/sound_encoder.h"
#include "host/program/heard_words.h"
#include "host/program/run_program.h"
#include "host/program/shell_words.h"
#include "host/program/transcript_cache.h"
#include "host/program/voice_params.h"

#define HEARING_RATE 16000 /* of what recognisers are given: some take no other */
#define MAX_OUTPUT_BYTES 65536
#define ENDING ".wav"

struct transcriber_word {
    transcriber_word *next;
    char *audio, *words;
    bool keep_whole;
};

f5_status transcriber_check(const char *command, f5_error *error) {
    f5_error why;
    shell_words words;
    f5_status status = shell_words_split(&words, command, &why);
    if (status != F5_OK) return f5_fail(error, status, "--transcribe: the command '%s': %s", command, why.message);
    bool asks = false;
    for (int i = 0; i < words.n; i++) asks = asks || strstr(words.word[i], "{}");
    shell_words_free(&words);
    return asks ? F5_OK
                : f5_fail(
                      error, F5_E_ARGUMENT,
                      "--transcribe: the command '%s' has no {}, which stands for the recording: say whisper-cli -f {}",
                      command);
}

/* ---- what the model will hear, in a file ------------------------------------------------------------------------- */

typedef struct {
    uint64_t hash; /* of the samples that went into the file, and of the command */
    sound_encoder *encoder;
    int fd;
    f5_status status;
    f5_error *error;
} hearing;

static void add_hash(uint64_t *hash, const void *bytes, size_t n) { /* FNV-1a */
    for (size_t i = 0; i < n; i++) *hash = (*hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
}

static int write_bytes(void *user, const void *bytes, size_t n) {
    const hearing *h = user;
    for (const char *at = bytes; n > 0;) {
        ssize_t done = write(h->fd, at, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return errno;
        at += done, n -= (size_t)done;
    }
    return 0;
}

static int rewrite_bytes(void *user, int64_t at, const void *bytes, size_t n) {
    const hearing *h = user;
    return pwrite(h->fd, bytes, n, at) == (ssize_t)n ? 0 : EIO;
}

/* For f5_clip_voice: the clip, at the model's rate, which the encoder changes. */
static void take_clip(void *user, const float *samples, int64_t n) {
    hearing *h = user;
    add_hash(&h->hash, samples, (size_t)n * sizeof *samples);
    h->status = sound_encoder_add(h->encoder, samples, n, h->error);
}

/* path: a template of mkostemps; what was made is there also after an error. */
static f5_status write_clip(const audio_file *recording, bool keep_whole, char *path, hearing *h, f5_error *error) {
    const f5_voice_params p = voice_params_of(recording, NULL, keep_whole);
    const sound_sink sink = {write_bytes, rewrite_bytes, h};
    h->fd = mkostemps(path, sizeof ENDING - 1, O_CLOEXEC);
    if (h->fd < 0) return f5_fail(error, F5_E_IO, "no temporary file %s: %s", path, strerror(errno));
    h->error = error;
    f5_status status = sound_encoder_open(&h->encoder, SOUND_WAV, HEARING_RATE, &sink, path, error);
    if (status == F5_OK) status = f5_clip_voice(&p, take_clip, h, error);
    if (status == F5_OK) status = h->status;
    if (status == F5_OK) status = sound_encoder_end(h->encoder, error);
    sound_encoder_close(h->encoder);
    if (close(h->fd) != 0 && status == F5_OK) status = f5_fail(error, F5_E_IO, "%s: %s", path, strerror(errno));
    return status;
}

/* ---- the recogniser ---------------------------------------------------------------------------------------------- */

/* Its words, by what it is given at `path`. */
static f5_status ask(const transcriber *t, const char *path, interruption *ending, char **words, f5_error *error) {
    shell_words command;
    char *printed = NULL;
    size_t bytes = 0;
    F5_TRY(shell_words_split(&command, t->command, error));
    f5_status status = F5_OK;
    if (shell_words_fill(&command, path) < 0) status = f5_fail(error, F5_E_MEMORY, "no memory for a command");
    if (status == F5_OK)
        status = run_program(command.word, (double)t->seconds, MAX_OUTPUT_BYTES, ending, &printed, &bytes, error);
    if (status == F5_OK) status = heard_words(printed, bytes, command.word[0], words, error);
    shell_words_free(&command);
    free(printed);
    return status;
}

static f5_status hear(const transcriber *t, const audio_file *recording, bool keep_whole, char *path,
                      interruption *ending, bool *kept, char **words, f5_error *error) {
    hearing h = {.hash = 0xcbf29ce484222325u, .fd = -1};
    add_hash(&h.hash, t->command, strlen(t->command) + 1);
    f5_status status = write_clip(recording, keep_whole, path, &h, error);
    *kept = status == F5_OK && (*words = transcript_find(h.hash)) != NULL;
    if (status == F5_OK && !*kept) {
        status = ask(t, path, ending, words, error);
        if (status == F5_OK) transcript_keep(h.hash, *words);
    }
    if (h.fd >= 0) unlink(path);
    return status;
}

static f5_status remember(transcriber *t, const char *audio, bool keep_whole, const char *words, f5_error *error) {
    transcriber_word *w = calloc(1, sizeof *w);
    if (!w || !(w->audio = strdup(audio)) || !(w->words = strdup(words))) {
        if (w) free(w->audio);
        free(w);
        return f5_fail(error, F5_E_MEMORY, "no memory for a transcript");
    }
    w->keep_whole = keep_whole;
    w->next = t->heard;
    t->heard = w;
    return F5_OK;
}

f5_status transcribe(transcriber *t, const char *audio, bool keep_whole, char **words, f5_error *error) {
    for (const transcriber_word *w = t->heard; w; w = w->next)
        if (w->keep_whole == keep_whole && strcmp(w->audio, audio) == 0)
            return (*words = strdup(w->words)) ? F5_OK : f5_fail(error, F5_E_MEMORY, "no memory for a transcript");
    const char *folder = getenv("TMPDIR");
    char path[PATH_MAX];
    if (!folder || !*folder) folder = "/tmp";
    if ((size_t)snprintf(path, sizeof path, "%s/f5tts-XXXXXX" ENDING, folder) >= sizeof path)
        return f5_fail(error, F5_E_IO, "TMPDIR is too long a path");
    audio_file recording;
    F5_TRY(audio_read(&recording, audio, error));
    f5_error why = {0};
    interruption ending;
    bool kept = false;
    *words = NULL;
    interruption_begin(&ending);
    f5_status status = hear(t, &recording, keep_whole, path, &ending, &kept, words, &why);
    interruption_end(&ending);
    audio_free(&recording);
    if (status != F5_OK) return f5_fail(error, status, "%s: --transcribe: %s", audio, why.message);
    if (t->say) cli_note(t->say, "%s says%s: %s", audio, kept ? ", as heard before" : "", *words);
    status = remember(t, audio, keep_whole, *words, error);
    if (status != F5_OK) {
        free(*words);
        *words = NULL;
    }
    return status;
}

void transcriber_free(transcriber *t) {
    for (transcriber_word *w = t->heard, *next; w; w = next) {
        next = w->next;
        free(w->audio);
        free(w->words);
        free(w);
    }
    t->heard = NULL;
}
