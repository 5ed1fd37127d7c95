/* consent_store.h — recorded consents by id, as OpenAI's voice_consents: kept beside the uploaded voices, one file
 * each. All on the loop's thread; files are written in the background. */
#ifndef F5_SERVER_CONSENT_STORE_H
#define F5_SERVER_CONSENT_STORE_H

#include <stdbool.h>

#include "host/server/consent_file.h"
#include "host/server/loop.h"

#define CONSENT_STORE_MAX 1000
#define CONSENT_STORE_MAX_PENDING 4

typedef struct consent_store consent_store;

typedef struct {
    char id[40]; /* "cons_..." */
    consent_file file;
} consent;

/* folder: of the uploaded voices, in which "consents" is made; NULL: nothing is kept. Files there that cannot be read
 * are told on stderr and left out. F5_E_IO. */
f5_status consent_store_new(consent_store **s, loop *l, const char *folder, f5_error *error);
void consent_store_free(consent_store *s); /* NULL is fine; what is under way is told F5_E_CANCELLED */

int consent_store_count(const consent_store *s);
const consent *consent_store_at(const consent_store *s, int i);            /* the newest first */
const consent *consent_store_find(const consent_store *s, const char *id); /* NULL: there is none */

/* Told once, from a later turn of the loop: F5_OK and the id, or why not. */
typedef void (*consent_done_fn)(void *user, f5_status status, const char *message, const char *id);

/* Keeps a consent; fd is the recording, as a file that the store closes, also on failure. F5_E_UNSUPPORTED: nothing is
 * kept, or there are CONSENT_STORE_MAX; F5_E_LIMIT: CONSENT_STORE_MAX_PENDING are under way. */
f5_status consent_store_add(consent_store *s, const consent_file *given, int fd, consent_done_fn done, void *user,
                            f5_error *error);
/* F5_E_ARGUMENT: there is none of that id. */
f5_status consent_store_rename(consent_store *s, const char *id, const char *name, consent_done_fn done, void *user,
                               f5_error *error);
f5_status consent_store_remove(consent_store *s, const char *id, consent_done_fn done, void *user, f5_error *error);

#endif
