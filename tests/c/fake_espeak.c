/* fake_espeak.c — a libespeak-ng that counts: how often it is initialised and not ended, and calls at once. Every text
 * is "a" to it. Loaded by test_espeak.c in place of the real one. */
#include <sched.h>
#include <stdatomic.h>

#include <espeak-ng/speak_lib.h>

#include "tests/c/fake_espeak.h"

fake_espeak_state fake_espeak;

static atomic_int inside;

int espeak_Initialize(espeak_AUDIO_OUTPUT output, int buffer, const char *path, int options) {
    (void)output, (void)buffer, (void)path, (void)options;
    if (fake_espeak.without_data) return EE_INTERNAL_ERROR;
    fake_espeak.initialised++;
    return 22050;
}

espeak_ERROR espeak_SetVoiceByName(const char *name) {
    (void)name;
    return fake_espeak.without_voice ? EE_NOT_FOUND : EE_OK;
}

const char *espeak_TextToPhonemes(const void **text, int mode, int phonemes) {
    (void)mode, (void)phonemes;
    if (atomic_fetch_add(&inside, 1) > 0 || fake_espeak.initialised != 1) fake_espeak.wrong = 1;
    sched_yield();
    *text = NULL;
    atomic_fetch_sub(&inside, 1);
    return "a";
}

espeak_ERROR espeak_Terminate(void) {
    fake_espeak.initialised--;
    return EE_OK;
}
