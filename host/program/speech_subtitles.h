/* speech_subtitles.h — what is said when: entries for chunks, sentences and words, gathered while speech comes. */
#ifndef F5_SPEECH_SUBTITLES_H
#define F5_SPEECH_SUBTITLES_H

#include "host/api/f5tts.h"
#include "host/files/subtitles.h"

typedef struct {
    subtitle_entry *entry; /* [n] texts owned */
    size_t n, room;
} speech_subtitles;

/* frame: seconds of one of the mel. */
f5_status speech_subtitles_take(speech_subtitles *s, const f5_audio *a, double frame, f5_error *error);

/* Writes the file; seconds: of the whole output. */
f5_status speech_subtitles_end(speech_subtitles *s, const char *path, double seconds, f5_error *error);
void speech_subtitles_free(speech_subtitles *s);

#endif
