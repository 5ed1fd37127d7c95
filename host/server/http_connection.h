/* http_connection.h — a connection and its request, as the files that make up http.h see them. */
#ifndef F5_SERVER_HTTP_CONNECTION_H
#define F5_SERVER_HTTP_CONNECTION_H

#include <llhttp.h>

#include "host/server/http.h"

#define HTTP_ROUTES_MAX 64
#define HTTP_PAIRS_MAX 16
#define HTTP_NOTES_MAX 16
#define HTTP_ID_BYTES 64
#define HTTP_SET_BYTES 1024 /* headers that a handler sets */

typedef struct {
    const char *name, *value; /* in head; name in lower case */
    size_t name_bytes, value_bytes;
} http_field;

typedef struct {
    const char *name, *value; /* of a query, decoded */
} http_pair;

typedef enum {
    HTTP_IDLE, /* between requests, or while a head is coming */
    HTTP_BODY, /* the head is here, the body is coming */
    HTTP_BUSY, /* a handler has the request */
    HTTP_OVER  /* the connection is being closed; nothing more is read */
} http_state;

/* A connection, and the one request that it has at a time. */
struct http_request {
    http_server *server;
    peer *peer; /* NULL: it is gone, and this struct lives until the loop's next turn */
    http_request *before, *after;
    loop_timer *clock; /* deadlines of head and body, and the rest between requests */
    loop_post free_post;
    http_state state;
    bool ending; /* the server drains: no request after this one */

    /* what follows is the request's */
    llhttp_t parser;
    size_t scanned; /* bytes of a coming head that were looked at */
    double arrived; /* when all of it was there; 0: not yet */
    double began;
    char *head; /* [head_bytes], cut into strings */
    size_t head_bytes;
    http_field *fields; /* [n_fields] */
    int n_fields;
    bool parsed;        /* method, path and fields are those of a good head */
    char *path, *query; /* in head */
    size_t path_bytes;
    http_pair pairs[HTTP_PAIRS_MAX]; /* [n_pairs] of the query */
    int n_pairs;
    const char *capture;
    const http_route *route;
    bool head_only, old, keep_alive, complete; /* HEAD; HTTP/1.0; as the client wants it; the body is here */
    char *body;
    size_t body_bytes, body_room, max_body, bytes_in, bytes_out;
    const http_body_events *sink;
    void *sink_context;
    char id[HTTP_ID_BYTES + 1];

    /* the reply's */
    int status;
    bool begun, chunked;
    char set[HTTP_SET_BYTES];
    size_t set_bytes;
    void (*gone)(void *user);
    void *gone_user;
    void (*drained)(void *user);
    void *drained_user;
    http_noted notes[HTTP_NOTES_MAX];
    char note_text[HTTP_NOTES_MAX][64];
    int n_notes;
};

struct http_server {
    peers *peers;
    http_options options;
    void *user;
    http_route routes[HTTP_ROUTES_MAX];
    int n_routes;
    llhttp_settings_t settings;
    http_request *first;
    uint64_t requests;
    uint64_t salt; /* of request ids */
    bool ending;
    int port;      /* at which it listens */
    bool loopback; /* it can be reached from this machine alone */
};

/* ---- http_host.c */

/* May a request ask by this Host? See options.allowed_hosts. */
bool http_host_is_ours(const http_request *c);

/* ---- http_head.c */

/* Looks at bytes [n] of a head that is coming: gives its length when it is all there, else 0, and in *status the answer
 * to what breaks a rule: 0, 400, 431. */
size_t http_head_scan(http_request *c, const char *bytes, size_t n, int *status);

/* Parses a whole head into c. Gives 0, or the status of the answer with *why. */
int http_head_parse(http_request *c, const char *bytes, size_t n, const char **why);

void http_head_settings(llhttp_settings_t *settings);

/* ---- http_route.c */

/* Decodes %XX in place; with plus, '+' is a space. false: malformed, a NUL, or no UTF-8. */
bool http_decode(char *text, bool plus);

bool http_cut_query(http_request *c); /* false: malformed, or too many pairs */

/* The route of a parsed request. NULL: *status is 404, or 405 with `allow`, a list of methods. */
const http_route *http_route_find(http_request *c, int *status, char *allow, size_t room);

/* ---- http_connection.c */

bool http_body_take(http_request *c, const char *bytes, size_t n); /* false: it is too large, or nobody wants it */
size_t http_body_room(size_t bytes);        /* memory that a body of so many bytes has; more than bytes */
void http_connection_drop(http_request *c); /* the peer is no longer ours: frees all in the loop's next turn */
void http_connection_next(http_request *c); /* the request is over: the connection goes on or ends */
void http_request_over(http_request *c, bool finished);                           /* tells the log */
void http_refuse(http_request *c, int status, const char *code, const char *why); /* answers and closes */

#endif
