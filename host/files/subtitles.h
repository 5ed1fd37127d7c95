/* subtitles.h — what is spoken when, as a file of subtitles: .srt, .vtt or .json. */
#ifndef F5_SUBTITLES_H
#define F5_SUBTITLES_H

#include <stddef.h>

#include "kernels/error.h"

typedef enum { SUBTITLE_CHUNK, SUBTITLE_SENTENCE, SUBTITLE_WORD } subtitle_kind;

typedef struct {
    double start, end; /* seconds, 0 <= start <= end */
    const char *text;  /* [bytes] UTF-8; stray bytes are replaced */
    size_t bytes;
    subtitle_kind kind; /* times of words are estimates */
} subtitle_entry;

/* Fails with F5_E_ARGUMENT, before any work, where the name's ending is none of the three. */
f5_status subtitles_check(const char *path, f5_error *error);

/* Writes entries [n], which may come in any order of kinds, those of a kind in order of time; whole or not at all.
 *
 * .srt and .vtt show the sentences, or the chunks where there are no sentences: lines of at most 42 columns (a wide
 * character takes two), two lines at a time; a longer text is shown in several parts, each for a time that its length
 * asks for. Characters that mean something to the format are escaped; blank lines and control characters vanish.
 * .json has all of them: {"chunks": [{"start", "end", "text"}], "sentences": [...], "words": [... "estimated": true]}.
 * Errors: F5_E_ARGUMENT (ending, times), F5_E_IO, F5_E_MEMORY. */
f5_status subtitles_write(const char *path, const subtitle_entry *entries, size_t n, f5_error *error);

#endif
