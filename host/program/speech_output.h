/* speech_output.h — what is made of speech while it comes: a WAV file, one more for each stretch in one voice, a mel, a
 * picture of it, subtitles. Each file appears whole or not at all. */
#ifndef F5_SPEECH_OUTPUT_H
#define F5_SPEECH_OUTPUT_H

#include "host/api/f5tts.h"
#include "host/files/audio_file.h"
#include "host/files/subtitles.h"
#include "host/program/speech_options.h"

typedef struct {
    const speech_options *o; /* what is wanted */
    const char *path;        /* of the WAV file */
    const char *text;        /* that is spoken: names of chunks are cut out of it */
    audio_writer audio;
    audio_writer chunk; /* of save_chunk; begun if chunk_path */
    char *chunk_path;   /* under which it is written, until its name is known */
    int32_t chunks, segment;
    int64_t text_from, text_to; /* of the segment, in the text; -1: not known */
    char *said;                 /* of the segment where that is not known: its beginning, as it is said */
    float *samples;             /* [n_samples] all of them, where silence is to be taken out */
    int64_t n_samples, samples_room;
    float *mel; /* [mel_frames,100] */
    int64_t mel_frames, mel_room;
    subtitle_entry *entry; /* [n_entries] texts owned */
    size_t n_entries, entries_room;
    double seconds; /* of speech, as it came */
    f5_status status;
    f5_error error; /* what went wrong in a callback */
} speech_output;

/* DIR/FILE of the options, or `unnamed` in DIR; to be freed. An absolute FILE stands alone. NULL: no memory. */
char *speech_output_path(const speech_options *o, const char *unnamed);

/* What would fail after all the work fails before it, and no output takes the place of an input (NULL: none) or of
 * another output. */
f5_status speech_output_check(const speech_options *o, const char *path, const char *const *inputs, int n_inputs,
                              f5_error *error);

/* Makes folders and begins the WAV file; every begun output is ended by end or abort. */
f5_status speech_output_begin(speech_output *out, const speech_options *o, const char *path, const char *text,
                              f5_error *error);
int speech_output_take(void *out, const f5_audio *audio); /* an f5_audio_fn */

/* The files get their names. Where one cannot be written the others are; the first such error is returned. */
f5_status speech_output_end(speech_output *out, f5_error *error);
void speech_output_abort(speech_output *out); /* after end it only frees */

#endif
