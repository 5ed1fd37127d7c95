/* voice_shelf.h — voices by their recordings, the last used first. Its owner locks it.
 *
 * A voice is on the shelf before it is open, so that requests for one recording that come together open it once. */
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

/* The voice of a recording, held by the caller; one that is not there is put on the shelf. What is then too much goes,
 * the longest unused first: at once, or when its last holder leaves. F5_E_MEMORY: *voice is NULL. */
f5_status voice_shelf_take(voice_shelf *s, const voice_wish *wish, shelf_voice **voice, f5_error *error);

bool voice_shelf_to_open(shelf_voice *voice);                 /* true for one of its holders, who then opens it */
void voice_shelf_open(shelf_voice *voice, f5_engine *engine); /* without the lock */
void voice_shelf_opened(voice_shelf *s, shelf_voice *voice);  /* now all of its holders see what came of it */
bool voice_shelf_outcome(const shelf_voice *voice, f5_status *status, f5_error *error); /* false: not yet */

void voice_shelf_leave(voice_shelf *s, shelf_voice *voice);
void voice_shelf_empty(voice_shelf *s); /* nobody holds any */

#endif
