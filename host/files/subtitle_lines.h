/* subtitle_lines.h — a text laid out in short lines, as subtitles show it. */
#ifndef F5_SUBTITLE_LINES_H
#define F5_SUBTITLE_LINES_H

#include <stddef.h>

#define SUBTITLE_COLUMNS 42

typedef struct {
    const char *at, *end; /* what is left of the text */
} subtitle_text;

/* The next line: from *line, *bytes of it, without white space at its ends, at most SUBTITLE_COLUMNS columns wide. It
 * breaks at white space, between wide characters (not before closing punctuation), or, in a word too long for a line,
 * anywhere. Returns its columns; 0: there is no more. White space inside is as it was; it counts one column a run. */
size_t subtitle_next_line(subtitle_text *text, const char **line, size_t *bytes);

#endif
