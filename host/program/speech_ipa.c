/* speech_ipa.c — the shared libespeak-ng as the function that f5_speak asks. */
#include "host/program/speech_ipa.h"

#include "host/phonemes/phonemes.h"

f5_status speech_ipa_open(const speech_options *o, const char *model, espeak **speaker, f5_error *error) {
    f5_error why = {0};
    *speaker = NULL;
    if (!o->reads_phonemes || o->ipa) return F5_OK;
    const f5_status status = espeak_open(speaker, &why);
    if (status == F5_OK) return F5_OK;
    return f5_fail(error, status, "%s reads phonemes: %s; or give the text as IPA: --ipa", model, why.message);
}

/* f5_speak_params.phonemes */
static f5_status phonemes(void *user, const char *text, size_t bytes, char *out, size_t capacity, size_t *n,
                          f5_error *error) {
    return phonemes_of(user, text, bytes, out, capacity, n, error);
}

void speech_ipa_use(const speech_options *o, espeak *speaker, f5_speak_params *p) {
    p->phonemes = speaker && !o->ipa ? phonemes : NULL;
    p->phonemes_user = speaker;
}
