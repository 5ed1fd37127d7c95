/* speech_settings.h — how a request is spoken, setting by setting: by the parameters of the request, else by those of
 * the model's configuration, else as the model file asks, else as upstream. Names are those of `f5tts serve`. */
#ifndef F5_TRITON_SPEECH_SETTINGS_H
#define F5_TRITON_SPEECH_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/api/f5tts.h"

typedef struct {
    int32_t nfe, method;
    float cfg, sway;
    float speed; /* 0: as f5_speak_params has it */
    float fix_duration, cross_fade, sentence_pause, paragraph_pause, first_chunk;
    char normalize[32];                  /* "": as the model asks */
    bool ssml, seed_given, solver_given; /* solver: nfe or method was set by name */
    uint64_t seed;
} speech_settings;

void speech_settings_init(speech_settings *s); /* the library's defaults, no seed */

/* The solver that the model file asks for, where none was set. Errors as f5_describe's. */
f5_status speech_settings_of_model(speech_settings *s, const char *model, f5_error *error);

/* A value as a client or a configuration writes it. */
typedef struct {
    enum { SETTING_WHOLE, SETTING_REAL, SETTING_BOOL, SETTING_TEXT } type;
    int64_t whole; /* also of SETTING_BOOL */
    double real;
    const char *text; /* a number or a word */
} setting_value;

/* Sets one by its name. *known: there is such a setting. F5_E_ARGUMENT names it, and what it may be. */
f5_status speech_settings_set(speech_settings *s, const char *name, const setting_value *value, bool *known,
                              f5_error *error);

/* A text as a whole number, of which nothing else is left; false: it is none, or beyond least..most. */
bool read_whole(const char *text, int64_t least, int64_t most, int64_t *to);

#endif
