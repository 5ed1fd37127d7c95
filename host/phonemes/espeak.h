/* espeak.h — words as phonemes, by libespeak-ng, which is loaded when the first text needs it. The library keeps its
 * state in globals, so every opening gives the same one: any number of threads may open, call and close it, and their
 * calls take turns. */
#ifndef F5_ESPEAK_H
#define F5_ESPEAK_H

#include <stddef.h>

#include "kernels/error.h"

typedef struct espeak espeak;

/* American English (en-us). F5_E_UNSUPPORTED: built without the library, or it or its data is not installed; the
 * message says what to install. */
f5_status espeak_open(espeak **e, f5_error *error);
void espeak_close(espeak *e); /* once for each opening; NULL is fine */

/* IPA of text, which is terminated, with stress, words apart by one space: at most capacity bytes, *n of them. ASCII is
 * expected; what the language has no sound for is left out. F5_E_LIMIT: more than capacity. */
f5_status espeak_say(espeak *e, const char *text, char *out, size_t capacity, size_t *n, f5_error *error);

#endif
