/* voice_files.c — finds recordings and transcripts, and opens voices. */
#include "host/program/voice_files.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/files/audio_file.h"
#include "host/files/text_file.h"
#include "host/program/shipped.h"
#include "host/program/voice_params.h"

#define MAX_TRANSCRIPT_BYTES 65536

/* A transcript's lines are one: what ends them becomes a space, what is blank at the end goes. */
static void join_lines(char *words) {
    size_t n = strlen(words);
    while (n > 0 && strchr(" \t\r\n", words[n - 1])) n--;
    words[n] = '\0';
    for (char *c = words; *c; c++)
        if (*c == '\n' || *c == '\r') *c = ' ';
}

/* FILE.txt beside FILE.wav, to be freed; NULL: no memory. */
static char *words_path(const char *audio) {
    const char *slash = strrchr(audio, '/'), *dot = strrchr(audio, '.');
    size_t stem = dot && dot > (slash ? slash + 1 : audio) ? (size_t)(dot - audio) : strlen(audio);
    char *path = malloc(stem + 5);
    if (!path) return NULL;
    memcpy(path, audio, stem);
    memcpy(path + stem, ".txt", 5);
    return path;
}

#define NO_WORDS "%s: --ref_text is required: transcription is not built in, give the words that the recording says, "

/* The transcript beside a recording, or heard. */
static f5_status find_words(const char *audio, transcriber *t, bool keep_whole, char **words, f5_error *error) {
    if (audio_is_stdin(audio))
        return f5_fail(error, F5_E_ARGUMENT, NO_WORDS "or a file instead, which --transcribe COMMAND can hear",
                       "standard input");
    char *path = words_path(audio);
    if (!path) return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
    f5_status status;
    if (access(path, F_OK) == 0)
        status = text_file_read(path, MAX_TRANSCRIPT_BYTES, words, NULL, error);
    else if (t && t->command)
        status = transcribe(t, audio, keep_whole, words, error);
    else
        status = f5_fail(error, F5_E_ARGUMENT,
                         NO_WORDS "write them into %s, or name a program that hears them: --transcribe 'whisper-cli -f "
                                  "{}'",
                         audio, path);
    free(path);
    if (status == F5_OK) join_lines(*words);
    return status;
}

f5_status voice_files_named(voice_files *v, const char *audio, const char *words, transcriber *t, bool keep_whole,
                            f5_error *error) {
    *v = (voice_files){0};
    f5_status status = F5_OK;
    v->audio = strdup(audio);
    if (f5_text_is_blank(words))
        status = find_words(audio, t, keep_whole, &v->words, error);
    else
        v->words = strdup(words);
    if (status == F5_OK && (!v->audio || !v->words)) status = f5_fail(error, F5_E_MEMORY, "no memory for a transcript");
    if (status != F5_OK) voice_files_free(v);
    return status;
}

f5_status voice_files_shipped(voice_files *v, const char *name, f5_error *error) {
    *v = (voice_files){0};
    if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name))
        return f5_fail(error, F5_E_ARGUMENT,
                       "voice %s: a name of lower-case letters, digits and _ is wanted, as slt; for a file there is "
                       "ref_audio",
                       name);
    F5_TRY(shipped_file(SHIPPED_VOICES, name, ".wav", &v->audio, error));
    f5_status status = find_words(v->audio, NULL, false, &v->words, error);
    if (status != F5_OK) voice_files_free(v);
    return status;
}

void voice_files_free(voice_files *v) {
    free(v->audio);
    free(v->words);
    *v = (voice_files){0};
}

typedef struct {
    const voice_settings *settings;
    const char *audio;
} warning_context;

/* Says of which recording the warning speaks. */
static void pass_warning(void *user, f5_warning_kind kind, const char *message) {
    const warning_context *c = user;
    f5_error named;
    f5_fail(&named, F5_OK, "%s: %s", c->audio, message);
    c->settings->warning(c->settings->warning_user, kind, named.message);
}

f5_status voice_files_open(const voice_files *v, f5_engine *engine, const voice_settings *settings, f5_voice **voice,
                           f5_error *error) {
    audio_file recording;
    F5_TRY(audio_read(&recording, v->audio, error));
    f5_voice_params p = voice_params_of(&recording, v->words, settings->keep_whole != 0);
    p.target_rms = settings->target_rms;
    warning_context context = {settings, v->audio};
    p.warning = settings->warning ? pass_warning : NULL;
    p.warning_user = &context;
    f5_error why = {0};
    f5_status status = f5_voice_open(engine, &p, voice, &why);
    audio_free(&recording);
    return status == F5_OK ? F5_OK : f5_fail(error, status, "%s: %s", v->audio, why.message);
}
