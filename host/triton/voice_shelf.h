/* voice_shelf.h — open voices by their recordings, the last used first. Its owner locks it. */
#ifndef F5_TRITON_VOICE_SHELF_H
#define F5_TRITON_VOICE_SHELF_H

#include "host/triton/engine_shelf.h"

typedef struct {
    shelf_voice *first;
    int count;
    int64_t bytes; /* of samples */
} voice_shelf;

typedef struct {
    const float *samples; /* [n] mono */
    int64_t n;
    int32_t rate;
    const char *transcript;
} voice_wish;

shelf_voice *voice_shelf_find(voice_shelf *s, const voice_wish *wish); /* held by the caller; NULL: not there */

/* Opens a voice that the caller holds, outside of any shelf and lock. */
f5_status voice_shelf_make(f5_engine *engine, const voice_wish *wish, shelf_voice **voice, f5_error *error);

/* Puts it first. What is then too much goes, the longest unused first: at once, or when its last holder leaves. */
void voice_shelf_add(voice_shelf *s, shelf_voice *voice);
void voice_shelf_leave(voice_shelf *s, shelf_voice *voice);
void voice_shelf_empty(voice_shelf *s); /* nobody holds any */

#endif
