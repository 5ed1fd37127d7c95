/* voice_store.h — the server's voices by name: those that come with the program, those of a folder, those that clients
 * uploaded. All on the loop's thread. */
#ifndef F5_SERVER_VOICE_STORE_H
#define F5_SERVER_VOICE_STORE_H

#include <stdbool.h>

#include "host/server/recording.h"
#include "host/server/server_options.h"

typedef struct voice_store voice_store;

/* Opens every voice there is; one that cannot be read is told on stderr and left out. */
f5_status voice_store_new(voice_store **s, const server_options *options, f5_error *error);
void voice_store_free(voice_store *s);
void voice_store_reload(voice_store *s); /* SIGHUP: the folder is read again */

typedef struct {
    const char *id;       /* as requests name it */
    const char *language; /* "en"; "": not known */
    const char *kind;     /* "shipped", "folder", "uploaded" */
    recording *recording;
} voice_entry;

int voice_store_count(const voice_store *s);
const voice_entry *voice_store_at(const voice_store *s, int i); /* in the order of their ids */

/* By id, or by an alias of --voice-alias; NULL or "": the default voice. NULL: there is none of that name. What it
 * points to lives until the loop's next turn; hold the recording for longer. */
const voice_entry *voice_store_find(const voice_store *s, const char *name);

#endif
