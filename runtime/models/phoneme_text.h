/* phoneme_text.h — the text of Flow-Matching-TTS: symbols of IPA, and how many frames they ask for. */
#ifndef F5_PHONEME_TEXT_H
#define F5_PHONEME_TEXT_H

#include "runtime/models/layers.h"

#define PHONEME_MAX_TOKENS 5000 /* rows of its position table */

extern const model_part phoneme_text_part;
extern const own_rules phoneme_text_rules;

#endif
