/* heard_words.h — a transcript out of what a recogniser printed. */
#ifndef F5_HEARD_WORDS_H
#define F5_HEARD_WORDS_H

#include <stddef.h>

#include "kernels/error.h"

/* *words, to be freed: one line of UTF-8, without time stamps, control characters and blanks at its ends. printed
 * [bytes + 1] ends with a zero; program begins messages. F5_E_FORMAT: no UTF-8, or no words (marks of silence in
 * brackets, as [BLANK_AUDIO] and (music), are none). */
f5_status heard_words(const char *printed, size_t bytes, const char *program, char **words, f5_error *error);

#endif
