/* phonemes.h — English text -> IPA with stress and punctuation, as Flow-Matching-TTS was trained on it (its cleaners
 * english_cleaners2): letters without accents, small letters, abbreviations spelled out, and then what phonemizer 3
 * makes of it by espeak-ng, en-us, with preserve_punctuation and with_stress. */
#ifndef F5_PHONEMES_H
#define F5_PHONEMES_H

#include "host/phonemes/espeak.h"

/* IPA of text [bytes], UTF-8: at most capacity bytes at out, *n of them. What is not Latin stays as it is, for the
 * model to say that it cannot. F5_E_FORMAT: malformed UTF-8. F5_E_LIMIT: more than capacity. F5_E_MEMORY. Any number of
 * threads may call it with one espeak. */
f5_status phonemes_of(espeak *e, const char *text, size_t bytes, char *out, size_t capacity, size_t *n,
                      f5_error *error);

/* text [bytes] as the cleaners hand it to phonemizer: at most PHONEMES_CLEAN_BYTES(bytes) at out. Returns how many. */
#define PHONEMES_CLEAN_BYTES(bytes) (4 * (bytes) + 16)
size_t phonemes_clean(const char *text, size_t bytes, char *out);

#endif
