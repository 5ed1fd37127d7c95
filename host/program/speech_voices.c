/* speech_voices.c — each voice is found first and opened later: what is missing is told before the model is opened. */
#include "host/program/speech_voices.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/files/audio_file.h"
#include "host/files/text_file.h"
#include "host/program/shipped.h"

void speech_voices_main(speech_options *o, const config_file *config) {
    if (o->ref_audio || o->voice || !config->main.ref_audio) return;
    o->ref_audio = config->main.ref_audio;
    if (!o->ref_text) o->ref_text = config->main.ref_text;
    if (o->speed == 0) o->speed = config->main.speed;
}

/* It can be read once. */
static f5_status check_standard_input(const speech_voices *v, const char *text, f5_error *error) {
    int times = (text && audio_is_stdin(text)) + (v->main.audio && audio_is_stdin(v->main.audio));
    for (int i = 0; i < v->n; i++) times += audio_is_stdin(v->tagged[i].audio);
    return times <= 1 ? F5_OK
                      : f5_fail(error, F5_E_ARGUMENT,
                                "standard input (-) can be one of the text and the recordings, not %d of them", times);
}

f5_status speech_voices_find(speech_voices *v, bool main_too, const speech_options *o, const config_file *config,
                             const char *text, transcriber *t, f5_error *error) {
    *v = (speech_voices){.config = config};
    f5_error why;
    if (!main_too) {
        /* each text has its own */
    } else if (o->ref_audio) {
        F5_TRY(voice_files_named(&v->main, o->ref_audio, o->ref_text, t, o->keep_whole, error));
    } else {
        f5_status status = voice_files_shipped(&v->main, o->voice ? o->voice : SHIPPED_VOICE, &why);
        if (status == F5_E_ARGUMENT) return f5_fail(error, status, "--%s", why.message);
        if (status != F5_OK) return f5_fail(error, status, "no --ref_audio is given, and %s", why.message);
    }
    for (int i = 0; i < config->n_voices; i++) {
        const config_voice *c = &config->voice[i];
        f5_status status = voice_files_named(&v->tagged[i], c->ref_audio, c->ref_text, t, o->keep_whole, &why);
        if (status != F5_OK) return text_line_error(error, status, config->toml.file, c->line, "%s", why.message);
        v->n++;
    }
    return check_standard_input(v, text, error);
}

f5_status speech_voices_check(const speech_voices *v, f5_error *error) {
    for (int i = -1; i < v->n; i++) {
        const char *audio = i < 0 ? v->main.audio : v->tagged[i].audio;
        if (audio && !audio_is_stdin(audio) && access(audio, R_OK) != 0)
            return f5_fail(error, F5_E_IO, "%s: cannot be opened: %s", audio, strerror(errno));
    }
    return F5_OK;
}

f5_status speech_voices_open(speech_voices *v, f5_engine *engine, const voice_settings *settings, f5_error *error) {
    if (v->main.audio) F5_TRY(voice_files_open(&v->main, engine, settings, &v->main_voice, error));
    for (int i = 0; i < v->n; i++) {
        f5_voice *voice;
        F5_TRY(voice_files_open(&v->tagged[i], engine, settings, &voice, error));
        f5_speak_voice_init(&v->voice[i]);
        v->voice[i].name = v->config->voice[i].name;
        v->voice[i].voice = voice;
        v->voice[i].speed = v->config->voice[i].speed;
    }
    return F5_OK;
}

void speech_voices_close(speech_voices *v) {
    f5_voice_close(v->main_voice);
    voice_files_free(&v->main);
    for (int i = 0; i < v->n; i++) {
        f5_voice_close((f5_voice *)v->voice[i].voice);
        voice_files_free(&v->tagged[i]);
    }
    *v = (speech_voices){0};
}
