/* sentence.h — finds the real sentences of a text, and cuts what is too long for the model.
 *
 * A sentence ends
 *   - at . ! ? … and their runs ("?!", "..."), with the closing quotes and brackets and the footnote marks after them,
 *     when white space or the end of the text follows, and the stop is none of those below;
 *   - at 。 ！ ？ ｡ and the like, with what closes after them, whatever follows; at …… too;
 *   - at a blank line, and at the line end after a heading or a list item (sentence_lines.h says what looks like one).
 * No end: the stop of an abbreviation or of an initial (unless the next word clearly begins a sentence), of a number
 * that leads a list item; a stop inside a word (3.14, v1.2, a.txt, URLs); "..." before a lower-case letter; a stop with
 * a closing quote or bracket before a lower-case letter ("Stop!" he said); 」と.
 *
 * Lookahead: what is decided at a stop is decided with the white space after it and at most the next word (32 bytes of
 * it). Usually its first letter is enough. The line end rules read as far. Text that comes bit by bit gives the same
 * sentences whatever the sizes of the bits. Pure; allocates nothing; malformed bytes count as letters of one byte. */
#ifndef F5_SENTENCE_H
#define F5_SENTENCE_H

#include <stdbool.h>
#include <stddef.h>

/* A longer sentence is cut: after its last clause end (;:, and the like), else at its last white space, else between
 * two characters. */
#define SENTENCE_MAX_BYTES 2048
/* With so many bytes of text sentence_next always answers. */
#define SENTENCE_WAIT_BYTES (2 * SENTENCE_MAX_BYTES + 128)

typedef struct {
    size_t bytes;   /* of the sentence, white space at its end not included. 0: only white space, at the text's start */
    size_t next;    /* where the next one begins: after the white space */
    bool paragraph; /* a blank line (two or more line ends) follows, or the text ended */
} sentence_span;

/* The sentence at the start of the text, which is valid UTF-8 (its end may lie inside a character, when last is false).
 * last: no more text follows. false: last is false and more text could change the answer. No text and last: all 0. */
bool sentence_next(const char *text, size_t bytes, bool last, sentence_span *s);

/* Where to cut a stretch of which no more than max_bytes go into one piece: the bytes of its first piece, `bytes` if
 * all of it goes. The rest may begin with white space, which is to be skipped. A stretch that needs k pieces (of 15/16
 * of max_bytes) is cut near bytes / k, so that no small rest is left: at the clause end nearest to that, else the white
 * space, else the place beside a Chinese character, each from half of it up to max_bytes; else at any of these before;
 * else between two letters. Never inside a character nor between a base and its combining marks (unless these alone are
 * longer than max_bytes). Never 0, so a first character of more than max_bytes is a piece all the same. */
size_t sentence_cut(const char *text, size_t bytes, size_t max_bytes);

/* The last cut of a stretch that goes on past max_bytes: after a clause end in the last three quarters, else at white
 * space, else between two characters. Reads no further than max_bytes (8 or more). Never 0. */
size_t sentence_last_cut(const char *text, size_t max_bytes);

#endif
