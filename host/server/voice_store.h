/* voice_store.h — the server's voices by name: those that come with the program, those of a folder, those that clients
 * uploaded. The folders are watched: what changes there is there for the next request. All on the loop's thread; files
 * are read and written in the background. A recording lives as long as somebody holds it, so that a voice that is taken
 * away ends no request. */
#ifndef F5_SERVER_VOICE_STORE_H
#define F5_SERVER_VOICE_STORE_H

#include <stdbool.h>

#include "host/server/loop.h"
#include "host/server/recording.h"
#include "host/server/server_options.h"
#include "host/server/voice_file.h"

#define VOICE_STORE_MAX_UPLOADS 1000
#define VOICE_STORE_MAX_BYTES (1ll << 30) /* of the samples of all voices */
#define VOICE_STORE_MAX_PENDING 4         /* uploads that are decoded or written at a time */

typedef struct voice_store voice_store;

/* Opens every voice there is, or has the model's own one, whose recording is empty; one that cannot be read is told on
 * stderr and left out. The strings of the options must live on. F5_E_IO: a folder cannot be read. */
f5_status voice_store_new(voice_store **s, loop *l, const server_options *options, f5_error *error);
void voice_store_free(voice_store *s);   /* NULL is fine; what is under way is told F5_E_CANCELLED */
void voice_store_reload(voice_store *s); /* SIGHUP: the folders are read again */

typedef struct {
    const char *id;       /* as requests name it */
    const char *language; /* "en"; "": not known */
    const char *kind;     /* "shipped", "folder", "uploaded" */
    recording *recording;
    const voice_file *file; /* what else is known of it */
} voice_entry;

int voice_store_count(const voice_store *s);
const voice_entry *voice_store_at(const voice_store *s, int i); /* in the order of their ids */

/* By id, or by an alias of --voice-alias; NULL or "": the default voice. NULL: there is none of that name. What it
 * points to lives until the loop's next turn; hold the recording for longer. */
const voice_entry *voice_store_find(const voice_store *s, const char *name);

/* ---- uploads ----------------------------------------------------------------------------------------------------- */

bool voice_store_keeps(const voice_store *s); /* false: there is no folder for uploads */

/* What a client gave of a voice. Strings may be NULL but for name and transcript; they are copied. fd: the recording,
 * in any format, as a file that the store closes. */
typedef struct {
    const char *name, *transcript, *language, *consent, *description, *media_type;
    int fd;
} voice_upload;

/* Told once, from a later turn of the loop: F5_OK, and the voice is there or gone; or why it is not. */
typedef void (*voice_done_fn)(void *user, f5_status status, const char *message);

/* Checks, decodes and writes a voice. F5_E_ARGUMENT: no name of a voice, or one that is taken; F5_E_UNSUPPORTED: there
 * is no folder, or there are VOICE_STORE_MAX_UPLOADS; F5_E_LIMIT: VOICE_STORE_MAX_PENDING are under way. On these
 * `done` is not called, and fd is closed all the same. */
f5_status voice_store_add(voice_store *s, const voice_upload *upload, voice_done_fn done, void *user, f5_error *error);

/* Takes an uploaded voice away. F5_E_ARGUMENT: it is none that was uploaded. */
f5_status voice_store_remove(voice_store *s, const char *name, voice_done_fn done, void *user, f5_error *error);

#endif
