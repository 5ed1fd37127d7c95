/* speech_chunks.h — each stretch in one voice in a file of its own, in the folder STEM_chunks beside the output, under
 * upstream's name: its number, and what it says. */
#ifndef F5_SPEECH_CHUNKS_H
#define F5_SPEECH_CHUNKS_H

#include "host/api/f5tts.h"
#include "host/files/sound_file.h"

typedef struct {
    const char *path; /* of the output; the caller's, as the text is */
    const char *text; /* that is spoken: names are cut out of it */
    sound_format format;
    int32_t given, rate; /* of the samples, of the files */
    sound_file file;
    char *part; /* under which the stretch is written, until its name is known; NULL: none is begun */
    int32_t count, segment;
    int64_t text_from, text_to; /* of the stretch, in the text; -1: not known */
    char *said;                 /* of the stretch where that is not known: its beginning, as it is said */
} speech_chunks;

/* STEM_chunks/ of an output's path, with room for `more` bytes behind it; to be freed. NULL: no memory. */
char *speech_chunks_folder(const char *path, size_t more);

/* Makes the folder. */
f5_status speech_chunks_begin(speech_chunks *c, const char *path, const char *text, sound_format format, int32_t given,
                              int32_t rate, f5_error *error);
f5_status speech_chunks_take(speech_chunks *c, const f5_audio *a, f5_error *error);
f5_status speech_chunks_end(speech_chunks *c, f5_error *error);
void speech_chunks_abort(speech_chunks *c); /* after end it only frees */

#endif
