/* sentence_lines.h — line ends that end a sentence though no stop stands before them: headings and lists.
 *
 * A line that begins a sentence and is one of these ends with its line end:
 *   - "# Heading": one to six # and white space;
 *   - a line in capitals (two letters or more, 120 bytes at most), before a line whose first word is not all capitals;
 *   - "Chapter 7", "Part II", "第三章 …": a word for a part of a book and its number (60 bytes at most);
 *   - "The Words of a Title", two words or more of which all longer than three letters begin with a capital, the first
 *     not one that begins sentences, before a line that begins with one that does (60 bytes at most);
 *   - a line of at most 16 Chinese or Japanese characters without any punctuation;
 *   - a list item ("- ", "* ", "• ", "1. ", "1) ", "a) "), unless the next line is indented by two spaces or begins
 * with a small letter or a digit. And every line ends before a line that begins a list item (a number only where it is
 * 1, or after a numbered item or a colon), or that begins with "# ". */
#ifndef F5_SENTENCE_LINES_H
#define F5_SENTENCE_LINES_H

#include "host/text/growing_text.h"

/* Does the one line end between `end`, where the line that began at `start` ends, and `next`, where the next line's
 * first character stands, end the sentence? The sentence began at 0. */
bool sentence_line_ends(growing_text *t, size_t start, size_t end, size_t next);

/* Bytes of the list marker at `at` (white space after it not included), 0 if there is none. */
size_t sentence_list_marker(growing_text *t, size_t at);

#endif
