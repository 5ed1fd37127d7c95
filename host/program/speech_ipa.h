/* speech_ipa.h — words for a model that reads phonemes: libespeak-ng makes IPA of them, unless the text is IPA. */
#ifndef F5_SPEECH_IPA_H
#define F5_SPEECH_IPA_H

#include "host/phonemes/espeak.h"
#include "host/program/speech_options.h"

/* *speaker: NULL where the model reads letters, or the texts are IPA; espeak_close. model: its file, for the message.
 * F5_E_UNSUPPORTED: there is no libespeak-ng. */
f5_status speech_ipa_open(const speech_options *o, const char *model, espeak **speaker, f5_error *error);

/* Lets f5_speak ask the speaker, which may be NULL, for what the text of these options is. Any number of threads. */
void speech_ipa_use(const speech_options *o, espeak *speaker, f5_speak_params *p);

#endif
