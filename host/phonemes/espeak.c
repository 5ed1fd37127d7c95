/* espeak.c — libespeak-ng loaded by name, and what phonemizer 3 does with its phonemes: lines are joined, and the marks
 * between phonemes taken out. */
#include "host/phonemes/espeak.h"

#include <string.h>

#if F5_HAVE_ESPEAK

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>

#include <espeak-ng/speak_lib.h>

#define LIBRARY "libespeak-ng.so.1"
#define VOICE "gmw/en-US"
/* phonemes in IPA; bits 8 and up: the character between them, which keeps espeak from putting its own */
#define PHONEMES (espeakPHONEMES_IPA | '_' << 8)

#define CALLS(X)                                                                                                       \
    X(espeak_Initialize)                                                                                               \
    X(espeak_SetVoiceByName)                                                                                           \
    X(espeak_TextToPhonemes)                                                                                           \
    X(espeak_Terminate)

/* The process's one: the library keeps its state in globals. */
struct espeak {
    pthread_mutex_t lock;
    int32_t users; /* the first initialises it, the last ends it */
    void *library; /* stays loaded */
#define DECLARE(function) __typeof__(&function) function;
    CALLS(DECLARE)
#undef DECLARE
};

static espeak the_one = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool load(espeak *e) {
    if (e->library) return true;
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
#define FIND(name)                                                                                                     \
    {                                                                                                                  \
        void *found = dlsym(library, #name);                                                                           \
        if (!found) {                                                                                                  \
            dlclose(library);                                                                                          \
            return false;                                                                                              \
        }                                                                                                              \
        memcpy(&e->name, &found, sizeof found);                                                                        \
    }
    CALLS(FIND)
#undef FIND
    e->library = library;
    return true;
}

static f5_status initialise(espeak *e, f5_error *error) {
    if (!load(e))
        return f5_fail(error, F5_E_UNSUPPORTED,
                       "text becomes phonemes by libespeak-ng (" LIBRARY
                       "), which is not installed: install libespeak-ng1, or give the text in IPA");
    if (e->espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, NULL, espeakINITIALIZE_DONT_EXIT) <= 0)
        return f5_fail(error, F5_E_UNSUPPORTED,
                       "libespeak-ng does not find its data: install espeak-ng-data, or give the text in IPA");
    if (e->espeak_SetVoiceByName(VOICE) == EE_OK) return F5_OK;
    e->espeak_Terminate();
    return f5_fail(error, F5_E_UNSUPPORTED, "libespeak-ng has no voice " VOICE ": install espeak-ng-data");
}

f5_status espeak_open(espeak **opened, f5_error *error) {
    espeak *e = &the_one;
    pthread_mutex_lock(&e->lock);
    const f5_status status = e->users > 0 ? F5_OK : initialise(e, error);
    if (status == F5_OK) e->users++;
    pthread_mutex_unlock(&e->lock);
    *opened = status == F5_OK ? e : NULL;
    return status;
}

void espeak_close(espeak *e) {
    if (!e) return;
    pthread_mutex_lock(&e->lock);
    if (--e->users == 0) e->espeak_Terminate();
    pthread_mutex_unlock(&e->lock);
}

/* Adds the phonemes of one clause: every white space becomes one space, and none stands at either end. */
static bool add(const char *phonemes, char *out, size_t capacity, size_t *n) {
    bool space = *n > 0;
    for (const char *s = phonemes; *s; s++) {
        if (*s == '_') continue;
        if (strchr(" \n\r\t", *s)) {
            space = *n > 0;
            continue;
        }
        if (*n + 1 + space > capacity) return false;
        if (space) out[(*n)++] = ' ';
        out[(*n)++] = *s;
        space = false;
    }
    return true;
}

f5_status espeak_say(espeak *e, const char *text, char *out, size_t capacity, size_t *n, f5_error *error) {
    const void *rest = text;
    bool fits = true;
    *n = 0;
    pthread_mutex_lock(&e->lock);
    while (rest && fits) {
        const char *phonemes = e->espeak_TextToPhonemes(&rest, espeakCHARS_UTF8, PHONEMES);
        if (phonemes) fits = add(phonemes, out, capacity, n);
    }
    pthread_mutex_unlock(&e->lock);
    return fits ? F5_OK : f5_fail(error, F5_E_LIMIT, "the phonemes take more than %zu bytes", capacity);
}

#else

f5_status espeak_open(espeak **e, f5_error *error) {
    *e = NULL;
    return f5_fail(error, F5_E_UNSUPPORTED,
                   "text becomes phonemes by libespeak-ng, which this program was built without: install "
                   "libespeak-ng-dev and build it again, or give the text in IPA");
}

void espeak_close(espeak *e) {
    (void)e;
}

f5_status espeak_say(espeak *e, const char *text, char *out, size_t capacity, size_t *n, f5_error *error) {
    (void)e, (void)text, (void)out, (void)capacity;
    *n = 0;
    return f5_fail(error, F5_E_UNSUPPORTED, "this program was built without libespeak-ng");
}

#endif
