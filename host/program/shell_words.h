/* shell_words.h — a command line as one text, cut into words as sh cuts it. */
#ifndef F5_SHELL_WORDS_H
#define F5_SHELL_WORDS_H

#include "kernels/error.h"

#define SHELL_WORDS_MAX 128
typedef struct {
    char *word[SHELL_WORDS_MAX + 1]; /* [n], then NULL */
    int n;
} shell_words;

/* Blanks separate words; '...' takes all as it stands, "..." all but \ before " and \, and \ the next character.
 * Nothing is expanded. F5_E_ARGUMENT: a quote that does not end, no word, too many, or what only a shell does outside
 * of single quotes: $ and ` anywhere, | & ; < > ( ) between words. Nothing is held after an error. */
f5_status shell_words_split(shell_words *words, const char *text, f5_error *error);
void shell_words_free(shell_words *words);

/* Puts `value` in the place of every {}; returns how many there were, or -1: no memory. */
int shell_words_fill(shell_words *words, const char *value);

#endif
