/* http.h — HTTP/1.1 in front of handlers: requests in, replies out, whole or streamed.
 *
 * All on the loop's thread. A request ends with http_reply, http_end or http_cut, or with its client, which `gone`
 * tells; after that the http_request must not be used. The connection then goes on with the next request by itself.
 * llhttp parses; what it lets pass and RFC 9112 does not (a folded header, a missing Host) is refused here. */
#ifndef F5_SERVER_HTTP_H
#define F5_SERVER_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "host/server/peer.h"

typedef struct http_server http_server;
typedef struct http_request http_request;

/* ---- routes ------------------------------------------------------------------------------------------------------ */

/* A body that is handed on while it comes. begin may end the request with a reply: what still comes is then read and
 * dropped for a while, so that the client sees the answer. */
typedef struct {
    void *(*begin)(http_request *r, void *user); /* the head is here; what it returns is `context` below */
    void (*data)(http_request *r, void *context, const char *bytes, size_t n); /* may reply: nothing more comes then */
    void (*end)(http_request *r, void *context); /* the body is complete; replies now or later */
    void (*gone)(void *context);                 /* in the place of end: the client went, or its body broke a rule */
} http_body_events;

typedef struct {
    const char *method; /* "GET", which answers HEAD too; "POST", "DELETE" */
    const char *path;   /* "/v1/models/{id}": http_capture(r) is what stands there, to the end, not empty */
    bool open;          /* true: no key is asked for */
    size_t max_body;    /* bytes; a larger body is 413. 0: the server's usual one */
    void (*run)(http_request *r, void *user); /* the body is here, or the head of an upgrade */
    const http_body_events *body;             /* in the place of run, or NULL */
    bool upgrade; /* run may call http_upgrade; a request that does not ask for "websocket" is 426 */
    void *user;
} http_route;

f5_status http_route_add(http_server *s, const http_route *route, f5_error *error); /* copies; strings must live on */

/* ---- requests ---------------------------------------------------------------------------------------------------- */

const char *http_method(const http_request *r);
const char *http_path(const http_request *r);                     /* decoded, without the query */
const char *http_capture(const http_request *r);                  /* decoded; "" without one */
const char *http_query(const http_request *r, const char *name);  /* decoded; NULL: not given */
const char *http_header(const http_request *r, const char *name); /* name in lower case; NULL: not given */
const char *http_body(const http_request *r, size_t *bytes);      /* [bytes], with a '\0' behind it */
char *http_body_steal(http_request *r, size_t *bytes); /* the same, now the caller's; or NULL. It counts as held */
void http_body_free(http_server *s, char *body, size_t bytes); /* until this, also when its request is over */
const char *http_request_id(const http_request *r);            /* the client's X-Request-Id if it is sane, or ours */
const char *http_address(const http_request *r);               /* the client's */
double http_began(const http_request *r);                      /* loop_seconds when its first byte came */
void *http_user(const http_request *r);                        /* as http_server_new was given it */
loop *http_loop(const http_request *r);

/* Was it sent by a page of an origin that is neither this server's nor options.cors_origin? Browsers say where a page
 * is from by Sec-Fetch-Site, but over HTTP to another machine by Origin alone, whose host must then be Host. */
bool http_is_of_another_site(const http_request *r);

/* Told once when the client leaves before the request ends. */
void http_on_gone(http_request *r, void (*gone)(void *user), void *user);

/* For the access log: a number or a word more. Keys are constants; values are copied. */
void http_note(http_request *r, const char *key, const char *value);
void http_note_number(http_request *r, const char *key, double value);

/* ---- replies ----------------------------------------------------------------------------------------------------- */

/* A header of the reply that follows; the name is a constant, the value is copied. Line breaks in it are left out. */
void http_set(http_request *r, const char *name, const char *value);

/* The whole reply. type: "application/json"; body may be NULL with 0 bytes. Ends the request. */
void http_reply(http_request *r, int status, const char *type, const void *body, size_t bytes);

/* A reply in pieces: chunked, or until the connection ends for HTTP/1.0. */
void http_begin(http_request *r, int status, const char *type);
bool http_begun(const http_request *r);
void http_write(http_request *r, const void *bytes, size_t n);
void http_write_parts(http_request *r, const char *const *parts); /* strings, ended by NULL: one chunk */
size_t http_queued(const http_request *r); /* bytes on their way: stop at PEER_HIGH, go on at `drained` */
void http_on_drained(http_request *r, void (*drained)(void *user), void *user);
void http_end(http_request *r);
void http_cut(http_request *r); /* a begun reply that cannot be finished: the client sees that it is broken */

/* Answers 101 with these headers and hands over the peer, which belongs to events then; ends the request. Bytes that
 * the client sent ahead come by `data`. headers: pairs of name and value, ended by NULL. */
peer *http_upgrade(http_request *r, const char *const *headers, const peer_events *events, void *user);

/* ---- the server -------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *key, *value; /* value NULL: number */
    double number;
} http_noted;

/* A request that is over, for the log and the metrics. Strings live during the call. */
typedef struct {
    const char *method, *path, *route, *address, *request_id, *user_agent; /* route: as it was added; "" : none */
    int status;                                                            /* 499: the client left before an answer */
    bool finished;                                                         /* false: the answer is not complete */
    double seconds;                                                        /* from its first byte until its last */
    double received; /* of these, until all of the request was there: the client's and the network's */
    size_t bytes_in, bytes_out;
    const http_noted *notes; /* [n_notes] */
    int n_notes;
} http_record;

typedef struct {
    size_t head_bytes;         /* request line and headers; 431 */
    int headers;               /* 431 */
    size_t body_bytes;         /* usual limit; 413 */
    double head_seconds;       /* from the first byte of a request to the end of its head; 408 */
    double body_seconds;       /* from there to the end of its body; 408. Bodies over 1 MB get a second more a MB */
    double keep_alive_seconds; /* between requests */
    const char *cors_origin;   /* NULL: no CORS; "*" or an origin */
    /* Names by which the server is called, between commas: a request with another Host is 403. ".example.org": all
     * within it; "*": any. Addresses, localhost and `host`, where it listens, are always taken. NULL: where it listens
     * at this machine's loopback only, the same holds for a Host with the port at which it listens. */
    const char *allowed_hosts, *host;
    bool (*allow)(void *user, const char *authorization); /* NULL: everyone; authorization may be NULL */
    void (*over)(void *user, const http_record *record);  /* or NULL */
    /* Writes an error of the server's own as the handlers would: a body for status and message. NULL: plain text */
    void (*fail)(http_request *r, int status, const char *code, const char *message);
} http_options;

http_server *http_server_new(peers *all, const http_options *options, void *user); /* NULL: no memory */
void http_server_free(http_server *s);
f5_status http_listen(http_server *s, const char *address, int port, int *bound_port, f5_error *error);
const char *http_status_text(int status);

#endif
