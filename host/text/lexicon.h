/* lexicon.h — words of the user's own and how they are said, in front of every other rule of normalisation.
 *
 * A file of lines "word TAB said", UTF-8, a byte order mark and CR LF allowed. Empty lines and lines that begin with #
 * are skipped; "\#" at the beginning of a line is a # itself. Spaces at the ends of both halves do not count; a word
 * may have spaces inside ("St Pauls"). What is said is spoken as it stands, no rule applies to it; it may not be empty.
 * Case: a word in small letters fits any case; one with a capital (A .. Z) fits exactly as it is written.
 * A word fits whole words only, and the longest that fits is taken. Two lines with the same word are an error. */
#ifndef F5_LEXICON_H
#define F5_LEXICON_H

#include <stddef.h>

#include "kernels/f5_status.h"

typedef struct lexicon lexicon;

/* Allocates; any thread may read the lexicon afterwards. `where` names the file in messages, which have the line. */
f5_status lexicon_open(const char *text, size_t bytes, const char *where, lexicon **out, f5_error *error);
void lexicon_close(lexicon *l); /* NULL does nothing */

/* The entry that fits text[at]: returns the bytes that it takes, and what is said; 0 if there is none, or if a word
 * does not begin there. */
size_t lexicon_find(const lexicon *l, const char *text, size_t bytes, size_t at, const char **said, size_t *said_bytes);

#endif
