/* speech_voices.h — the voices of a run: the main one, and those of a configuration's [voices.NAME] for tags. */
#ifndef F5_SPEECH_VOICES_H
#define F5_SPEECH_VOICES_H

#include "host/program/config_file.h"
#include "host/program/speech_options.h"
#include "host/program/voice_files.h"

typedef struct {
    voice_files main;
    voice_files tagged[CONFIG_MAX_VOICES]; /* [n] */
    const config_file *config;
    int n;
    f5_voice *main_voice;
    f5_speak_voice voice[CONFIG_MAX_VOICES]; /* [n] for f5_speak_params */
} speech_voices;

/* Finds the recordings and their words, the main voice's too or only those of the tags. text: the file of the text or
 * of the lines, or NULL. F5_E_ARGUMENT: a name or a transcript is missing, or standard input ("-") is asked for more
 * than once; those of transcribe, where t hears transcripts. speech_voices_close follows, also after an error. config
 * must outlive the voices. */
f5_status speech_voices_find(speech_voices *v, bool main_too, const speech_options *o, const config_file *config,
                             const char *text, transcriber *t, f5_error *error);

/* What is not given by the options and is by [voices.main]. */
void speech_voices_main(speech_options *o, const config_file *config);

/* Are the recordings that were found there? F5_E_IO names one that is not. */
f5_status speech_voices_check(const speech_voices *v, f5_error *error);

/* Opens those that were found. */
f5_status speech_voices_open(speech_voices *v, f5_engine *engine, const voice_settings *settings, f5_error *error);
void speech_voices_close(speech_voices *v);

#endif
