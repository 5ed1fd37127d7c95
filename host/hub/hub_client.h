/* hub_client.h — the model hub over HTTP, by libcurl: what it says about a file, and its bytes.
 *
 * https only, unless HF_ENDPOINT itself says http. Redirects are followed one by one, five at most. The token goes to
 * the endpoint alone: a redirect to another scheme, host or port does not carry it, and no message shows it. Proxies
 * are those of curl's variables. A connection that is cut, and answers 408, 429 and 5xx, are tried again, after the
 * time that Retry-After asks for; what came before counts. HF_HUB_DOWNLOAD_TIMEOUT is how many seconds without a byte
 * end a connection (30). One thread. */
#ifndef F5_HUB_CLIENT_H
#define F5_HUB_CLIENT_H

#include "host/hub/hub_answer.h"
#include "host/hub/hub_cache.h"
#include "host/hub/hub_place.h"

/* What a user sees meanwhile; both may be NULL. */
typedef struct {
    void (*progress)(void *user, const char *file, int64_t done, int64_t bytes); /* of a file, by its name */
    void (*note)(void *user, const char *message);                               /* one line */
    void *user;
} hub_events;

typedef struct hub_client hub_client;

/* place must outlive the client. F5_E_ARGUMENT: HF_ENDPOINT is no address; F5_E_FORMAT: the token is none;
 * F5_E_UNSUPPORTED: libcurl is not installed. */
f5_status hub_client_open(hub_client **client, const hub_place *place, const hub_events *events, f5_error *error);
void hub_client_close(hub_client *client); /* NULL is fine */

typedef struct {
    bool missing; /* the repository is there, the file is not; nothing else is filled then */
    int64_t size;
    char hash[HUB_HASH], commit[HUB_COMMIT];
} hub_head;

/* Errors say what the hub answered and what to do about it: F5_E_IO, F5_E_FORMAT (it does not answer as the hub). */
f5_status hub_client_head(hub_client *client, const hub_file *file, hub_head *head, f5_error *error);

/* Where the bytes of a file go. A call that fails ends the transfer with its error. */
typedef struct {
    f5_status (*restart)(void *user, f5_error *error); /* the bytes begin at the file's first again */
    f5_status (*data)(void *user, const void *bytes, size_t n, f5_error *error);
    void *user;
} hub_sink;

/* The bytes of the file from `from` to its size, of the commit that head names. F5_E_FORMAT: another size came. */
f5_status hub_client_get(hub_client *client, const hub_file *file, const hub_head *head, int64_t from,
                         const hub_sink *sink, f5_error *error);

/* The name of the licence of a repository, as its description has it; "" where it has none. It is asked for once. */
f5_status hub_client_licence(hub_client *client, const hub_file *file, char licence[HUB_LICENCE], f5_error *error);

/* A line for hub_events.note; events may have none. */
void hub_note(const hub_events *events, const char *format, ...) F5_PRINTF(2, 3);

#endif
