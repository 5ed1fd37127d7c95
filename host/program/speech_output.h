/* speech_output.h — what is made of speech while it comes: a sound, one more for each stretch in one voice, a mel, a
 * picture of it, subtitles. Each file appears whole or not at all; where one fails, the others are made. */
#ifndef F5_SPEECH_OUTPUT_H
#define F5_SPEECH_OUTPUT_H

#include "host/api/f5tts.h"
#include "host/files/sound_file.h"
#include "host/program/speech_chunks.h"
#include "host/program/speech_level.h"
#include "host/program/speech_options.h"
#include "host/program/speech_subtitles.h"

typedef enum { OUTPUT_SOUND, OUTPUT_CHUNKS, OUTPUT_MEL, OUTPUT_PICTURE, OUTPUT_SUBTITLES, OUTPUT_KINDS } output_kind;

/* Told of what a listener would notice: clipping, a level that was not reached. */
typedef void (*speech_output_fn)(void *user, const char *message);

typedef struct {
    const speech_options *o; /* what is wanted */
    const char *path;        /* of the sound */
    speech_output_fn tell;   /* or NULL; set it after begin */
    void *tell_user;
    sound_format format;
    int32_t rate; /* of the sound's files */
    sound_file sound;
    speech_level level;
    speech_clipping clipping;
    speech_chunks chunks;
    speech_subtitles subtitles;
    bool wanted[OUTPUT_KINDS]; /* and nothing went wrong with it so far */
    float *samples;            /* [n_samples] all of them, where the sound needs all of them */
    int64_t n_samples, samples_room;
    float *mel; /* [mel_frames,the model's bands] */
    int64_t mel_frames, mel_room;
    double seconds;   /* of speech, as it came */
    f5_status status; /* the first that went wrong, */
    f5_error error;   /* and how */
} speech_output;

/* DIR/FILE of the options, or `unnamed` in DIR; to be freed. An absolute FILE stands alone, and so does "-". NULL: no
 * memory. */
char *speech_output_path(const speech_options *o, const char *unnamed);

/* The ending of a name that the program chooses: "wav", or the format's that the options name. */
const char *speech_output_extension(const speech_options *o);

/* Does one of the outputs go to standard output? Then nothing else may. */
bool speech_output_is_stdout(const speech_options *o, const char *path);

/* What would fail after all the work fails before it, and no output takes the place of an input (NULL: none) or of
 * another output. */
f5_status speech_output_check(const speech_options *o, const char *path, const char *const *inputs, int n_inputs,
                              f5_error *error);

/* Makes folders, asks for room, begins the sound; every begun output is ended by end or abort. */
f5_status speech_output_begin(speech_output *out, const speech_options *o, const char *path, const char *text,
                              f5_error *error);
int speech_output_take(void *out, const f5_audio *audio); /* an f5_audio_fn; it cancels when no output is left */

/* The files get their names. Where one cannot be written the others are; the first such error is returned. */
f5_status speech_output_end(speech_output *out, f5_error *error);
void speech_output_abort(speech_output *out); /* after end it only frees */

#endif
