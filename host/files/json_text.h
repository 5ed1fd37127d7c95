/* json_text.h — text as JSON has it: quote, backslash and control characters escaped, stray bytes replaced. */
#ifndef F5_JSON_TEXT_H
#define F5_JSON_TEXT_H

#include <stddef.h>
#include <stdio.h>

/* Writes text [bytes] as the inside of a JSON string. At most `limit` bytes are written, never half an escape or
 * character. */
void json_write_escaped(FILE *to, const char *text, size_t bytes, size_t limit);

/* The same as a JSON string, quotes and all. */
void json_write_string(FILE *to, const char *text, size_t bytes);

#endif
