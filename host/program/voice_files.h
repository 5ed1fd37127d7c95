/* voice_files.h — where a voice's recording and its words lie: files that were named, or those that come with the
 * program. A transcript that is not given is FILE.txt beside the recording FILE.wav. */
#ifndef F5_VOICE_FILES_H
#define F5_VOICE_FILES_H

#include "host/api/f5tts.h"
#include "host/program/transcribe.h"

typedef struct {
    char *audio; /* path */
    char *words; /* transcript */
} voice_files;

/* words may be NULL or blank: then they are those of FILE.txt, or what the recogniser of `t` hears, of the whole
 * recording where keep_whole says so. F5_E_ARGUMENT: there is no transcript and no recogniser; or those of transcribe.
 * Nothing is held after an error. */
f5_status voice_files_named(voice_files *v, const char *audio, const char *words, transcriber *t, bool keep_whole,
                            f5_error *error);

/* A voice that comes with the program. F5_E_ARGUMENT: no name of one; F5_E_IO: it is not there. */
f5_status voice_files_shipped(voice_files *v, const char *name, f5_error *error);
void voice_files_free(voice_files *v);

typedef struct {
    float target_rms;
    int32_t keep_whole;
    f5_warning_fn warning;
    void *warning_user;
} voice_settings;

/* Reads the recording and opens the voice; messages name the recording. */
f5_status voice_files_open(const voice_files *v, f5_engine *engine, const voice_settings *settings, f5_voice **voice,
                           f5_error *error);

#endif
