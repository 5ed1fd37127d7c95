/* http_connection.c — a connection's way through its requests: a head, a body, a handler, the next one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/server/http_connection.h"

#define MEGABYTE 1048576.0

/* ---- beginnings and ends ----------------------------------------------------------------------------------------- */

/* Frees what a request holds; the connection is as new. */
static void clear_request(http_request *c) {
    peers_hold(c->server->peers, c->body_room, 0);
    free(c->head);
    free(c->fields);
    free(c->body);
    memset((char *)c + offsetof(http_request, parser), 0, sizeof *c - offsetof(http_request, parser));
}

static void free_connection(void *user) {
    http_request *c = user;
    loop_timer_free(c->clock);
    free(c);
}

void http_connection_drop(http_request *c) {
    if (!c->peer) return;
    loop *l = peer_loop(c->peer);
    c->peer = NULL;
    c->state = HTTP_OVER;
    if (c->before) c->before->after = c->after;
    if (!c->before) c->server->first = c->after;
    if (c->after) c->after->before = c->before;
    clear_request(c);
    loop_timer_stop(c->clock);
    c->free_post = (loop_post){.run = free_connection, .user = c};
    loop_send(l, &c->free_post);
}

void http_request_over(http_request *c, bool finished) {
    http_server *s = c->server;
    if (!s->options.over || c->began == 0) return;
    const double now = loop_seconds();
    const char *agent = c->parsed ? http_header(c, "user-agent") : NULL;
    http_record record = {.method = http_method(c),
                          .path = http_path(c),
                          .route = c->route ? c->route->path : "",
                          .address = peer_address(c->peer),
                          .request_id = c->id,
                          .user_agent = agent ? agent : "",
                          .status = c->status ? c->status : 499,
                          .finished = finished,
                          .seconds = now - c->began,
                          .received = (c->arrived > 0 ? c->arrived : now) - c->began,
                          .bytes_in = c->bytes_in,
                          .bytes_out = c->bytes_out,
                          .notes = c->notes,
                          .n_notes = c->n_notes};
    s->options.over(s->user, &record);
}

void http_connection_next(http_request *c) {
    peer *p = c->peer;
    bool goes_on = c->keep_alive && c->complete && !c->ending;
    http_request_over(c, true);
    if (!goes_on) {
        http_connection_drop(c);
        peer_close(p);
        return;
    }
    clear_request(c);
    c->state = HTTP_IDLE;
    loop_timer_set(c->clock, c->server->options.keep_alive_seconds);
    peer_again(p);
}

/* The client went, or was cut. */
static void closed(void *user) {
    http_request *c = user;
    bool busy = c->state == HTTP_BUSY;
    void (*gone)(void *) = c->gone;
    void *gone_user = c->gone_user;
    const http_body_events *sink = c->state == HTTP_BODY ? c->sink : NULL;
    void *context = c->sink_context;
    if (busy || c->parsed) http_request_over(c, false);
    http_connection_drop(c);
    if (sink && sink->gone) sink->gone(context);
    if (busy && gone) gone(gone_user);
}

static void drained(void *user) {
    http_request *c = user;
    if (c->state == HTTP_BUSY && c->drained) c->drained(c->drained_user);
}

static void ending(void *user) {
    http_request *c = user;
    c->ending = true;
    if (c->state != HTTP_IDLE || c->began != 0) return;
    peer *p = c->peer;
    http_connection_drop(c);
    peer_close(p);
}

void http_refuse(http_request *c, int status, const char *code, const char *why) {
    const http_body_events *sink = c->state == HTTP_BODY ? c->sink : NULL;
    void *context = c->sink_context;
    c->keep_alive = false;
    c->sink = NULL;
    c->state = HTTP_BUSY;
    if (c->server->options.fail)
        c->server->options.fail(c, status, code, why);
    else
        http_reply(c, status, "text/plain; charset=utf-8", why, strlen(why));
    if (sink && sink->gone) sink->gone(context);
}

/* ---- deadlines --------------------------------------------------------------------------------------------------- */

static void at_deadline(void *user) {
    http_request *c = user;
    if (c->state == HTTP_IDLE && c->began == 0) {
        peer *p = c->peer;
        http_connection_drop(c);
        peer_close(p);
    } else if (c->state == HTTP_IDLE || c->state == HTTP_BODY) {
        http_refuse(c, 408, "timeout", "the request did not come in time");
    }
}

/* ---- the body ---------------------------------------------------------------------------------------------------- */

size_t http_body_room(size_t bytes) {
    size_t room = 4096;
    while (room <= bytes) room *= 2;
    return room;
}

static bool make_room(http_request *c, size_t bytes) {
    if (bytes < c->body_room) return true;
    size_t room = http_body_room(bytes);
    char *larger = realloc(c->body, room);
    if (!larger) return false;
    peers_hold(c->server->peers, c->body_room, room);
    c->body = larger;
    c->body_room = room;
    return true;
}

bool http_body_take(http_request *c, const char *bytes, size_t n) {
    if (c->state != HTTP_BODY) return false;
    c->body_bytes += n;
    if (c->body_bytes > c->max_body) {
        http_refuse(c, 413, "too_large", "the body is larger than this server takes");
        return false;
    }
    if (c->sink) {
        c->sink->data(c, c->sink_context, bytes, n);
        return c->state == HTTP_BODY;
    }
    if (peers_full(c->server->peers) || !make_room(c, c->body_bytes)) {
        http_refuse(c, 503, "busy", "too many large requests are being read: try again later");
        return false;
    }
    memcpy(c->body + c->body_bytes - n, bytes, n);
    c->body[c->body_bytes] = '\0';
    return true;
}

/* ---- the head ---------------------------------------------------------------------------------------------------- */

static void make_id(http_request *c) {
    const char *given = c->parsed ? http_header(c, "x-request-id") : NULL;
    static const char sane[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:";
    size_t n = given ? strlen(given) : 0;
    if (n > 0 && n <= HTTP_ID_BYTES && strspn(given, sane) == n) {
        memcpy(c->id, given, n + 1);
        return;
    }
    uint64_t x = ++c->server->requests * 0x9e3779b97f4a7c15u ^ c->server->salt;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    snprintf(c->id, sizeof c->id, "req_%016llx", (unsigned long long)(x ^ x >> 27));
}

/* Has the comma-separated list this word? */
static bool has_word(const char *list, const char *word) {
    size_t n = strlen(word);
    while (list && *list) {
        list += strspn(list, " \t,");
        size_t length = strcspn(list, ", \t");
        if (length == n && strncasecmp(list, word, n) == 0) return true;
        list += length;
    }
    return false;
}

static bool asks_for_websocket(const http_request *c) {
    return has_word(http_header(c, "upgrade"), "websocket") && has_word(http_header(c, "connection"), "upgrade") &&
           !c->old && c->parser.method == HTTP_GET;
}

/* What a browser asks before it sends a request from another origin, and what OPTIONS asks else. */
static void answer_options(http_request *c) {
    int status;
    char allow[64];
    http_route_find(c, &status, allow, sizeof allow);
    if (status == 404 && strcmp(c->path, "*") != 0) {
        http_refuse(c, 404, "not_found", "there is nothing at this path");
        return;
    }
    http_set(c, "Allow", *allow ? allow : "GET, HEAD, POST, DELETE, OPTIONS");
    if (c->server->options.cors_origin) {
        http_set(c, "Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS");
        http_set(c, "Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id");
        http_set(c, "Access-Control-Max-Age", "600");
    }
    http_reply(c, 204, NULL, NULL, 0);
}

/* 0, or the status that refuses a parsed request, whose reason is then *why. */
static int check_request(http_request *c, const char **code, const char **why) {
    int status;
    char allow[64];
    if (!http_host_is_ours(c)) {
        *code = "unknown_host";
        *why = "the Host header is no name of this server: --allowed_hosts lets it";
        return 403;
    }
    c->route = http_route_find(c, &status, allow, sizeof allow);
    if (status == 405) http_set(c, "Allow", allow);
    *code = status == 404 ? "not_found" : "method_not_allowed";
    *why = status == 404 ? "there is nothing at this path" : "this path does not take that method";
    if (status) return status;
    const http_options *o = &c->server->options;
    if (!c->route->open && o->allow && !o->allow(c->server->user, http_header(c, "authorization"))) {
        *code = "invalid_api_key";
        *why = "the API key is missing or not one of this server's: send it as \"Authorization: Bearer KEY\"";
        http_set(c, "WWW-Authenticate", "Bearer");
        return 401;
    }
    /* a page can make a browser send a form, or a text, without asking first: it would use a server that listens on its
     * reader's own machine */
    if (c->parser.method != HTTP_GET && c->parser.method != HTTP_HEAD && http_is_of_another_site(c)) {
        *code = "cross_site";
        *why = "a page of another site may not ask: --cors-origin lets it";
        return 403;
    }
    if (c->route->upgrade && !asks_for_websocket(c)) {
        http_set(c, "Upgrade", "websocket");
        *code = "upgrade_required";
        *why = "this path speaks WebSocket";
        return 426;
    }
    c->max_body = c->route->max_body ? c->route->max_body : o->body_bytes;
    if (c->parser.content_length > c->max_body && !(c->parser.flags & F_CHUNKED)) {
        *code = "too_large";
        *why = "the body is larger than this server takes";
        return 413;
    }
    const char *expect = http_header(c, "expect");
    if (expect && strcasecmp(expect, "100-continue") != 0) {
        *code = "expectation_failed";
        *why = "only 100-continue can be expected here";
        return 417;
    }
    if (expect && !c->old && !c->complete) peer_write(c->peer, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    return 0;
}

static void run_handler(http_request *c) {
    if (c->arrived == 0) c->arrived = loop_seconds();
    loop_timer_stop(c->clock);
    c->state = HTTP_BUSY;
    if (c->sink)
        c->sink->end(c, c->sink_context);
    else
        c->route->run(c, c->route->user);
}

/* A head is here. */
static void take_head(http_request *c, const char *bytes, size_t n) {
    const char *why, *code = "bad_request";
    int status = http_head_parse(c, bytes, n, &why);
    if (c->complete) c->arrived = loop_seconds();
    make_id(c);
    c->state = HTTP_BUSY;
    if (!status && c->parser.method == HTTP_OPTIONS && c->complete && http_host_is_ours(c)) {
        answer_options(c);
        return;
    }
    if (!status) status = check_request(c, &code, &why);
    if (status) {
        /* a request whose end is known can be followed by another one */
        bool known = c->parsed && c->complete && status >= 401 && status != 431 && status != 501;
        if (!known) {
            http_refuse(c, status, code, why);
        } else if (c->server->options.fail) {
            c->server->options.fail(c, status, code, why);
        } else {
            http_reply(c, status, "text/plain; charset=utf-8", why, strlen(why));
        }
        return;
    }
    if (c->route->body) {
        c->sink = c->route->body;
        c->sink_context = c->sink->begin(c, c->route->user);
        if (c->state != HTTP_BUSY || !c->peer) return; /* it replied */
    }
    if (c->complete) {
        run_handler(c);
        return;
    }
    c->state = HTTP_BODY;
    double megabytes = (double)(c->parser.flags & F_CHUNKED ? c->max_body : c->parser.content_length) / MEGABYTE;
    loop_timer_set(c->clock, c->server->options.body_seconds + megabytes);
}

/* ---- what comes -------------------------------------------------------------------------------------------------- */

static size_t take_idle(http_request *c, const char *bytes, size_t n) {
    if (c->scanned == 0 && n >= 2 && bytes[0] == '\r' && bytes[1] == '\n') return 2; /* RFC 9112, 2.2 */
    if (c->scanned == 0 && n == 1 && bytes[0] == '\r') return 0;
    if (c->began == 0) {
        c->began = loop_seconds();
        loop_timer_set(c->clock, c->server->options.head_seconds);
    }
    int status;
    size_t head = http_head_scan(c, bytes, n, &status);
    if (status) {
        make_id(c);
        http_refuse(c, status, status == 431 ? "too_large" : "bad_request",
                    status == 431 ? "the head of the request is too large" : "the request breaks HTTP's rules");
        return n;
    }
    if (head == 0) return 0;
    c->bytes_in = head;
    take_head(c, bytes, head);
    return head;
}

static size_t take_body(http_request *c, const char *bytes, size_t n) {
    llhttp_errno_t outcome = llhttp_execute(&c->parser, bytes, n);
    if (c->state != HTTP_BODY) return n; /* answered already: the connection is closing */
    size_t taken = outcome == HPE_OK ? n : (size_t)(llhttp_get_error_pos(&c->parser) - bytes);
    c->bytes_in += taken;
    if (c->complete) {
        run_handler(c);
    } else if (outcome != HPE_OK) {
        http_refuse(c, 400, "bad_request", "the body breaks HTTP's rules");
        return n;
    } else if (c->bytes_in > c->head_bytes + 4 * c->body_bytes + 65536) {
        http_refuse(c, 413, "too_large", "the body is larger than this server takes"); /* chunks of nothing but frame */
    }
    return taken;
}

static size_t data(void *user, const char *bytes, size_t n) {
    http_request *c = user;
    if (c->state == HTTP_IDLE) return take_idle(c, bytes, n);
    if (c->state == HTTP_BODY) return take_body(c, bytes, n);
    return 0;
}

static const peer_events connection_events = {.data = data, .drained = drained, .closed = closed, .ending = ending};

static void accept_peer(void *user, peer *p) {
    http_server *s = user;
    http_request *c = calloc(1, sizeof *c);
    if (c) c->clock = loop_timer_new(peer_loop(p), at_deadline, c);
    if (!c || !c->clock) {
        free(c);
        peer_cut(p);
        return;
    }
    c->server = s;
    c->peer = p;
    c->after = s->first;
    if (c->after) c->after->before = c;
    s->first = c;
    peer_take(p, &connection_events, c);
    loop_timer_set(c->clock, s->options.head_seconds);
}

/* ---- the server -------------------------------------------------------------------------------------------------- */

http_server *http_server_new(peers *all, const http_options *options, void *user) {
    http_server *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->peers = all;
    s->options = *options;
    s->user = user;
    http_head_settings(&s->settings);
    FILE *random = fopen("/dev/urandom", "rb");
    if (!random || fread(&s->salt, sizeof s->salt, 1, random) != 1) s->salt = (uint64_t)(loop_seconds() * 1e9);
    if (random) fclose(random);
    return s;
}

void http_server_free(http_server *s) {
    free(s);
}

f5_status http_listen(http_server *s, const char *address, int port, int *bound_port, f5_error *error) {
    static const char full[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
                               "Retry-After: 1\r\nConnection: close\r\nContent-Length: 107\r\n\r\n"
                               "{\"error\": {\"message\": \"too many connections\", \"type\": \"server_error\", "
                               "\"param\": null, \"code\": \"overloaded\"}}";
    peers_place place = {0};
    F5_TRY(peers_listen(s->peers, address, port, full, accept_peer, s, &place, error));
    s->port = *bound_port = place.port;
    s->loopback = place.loopback;
    return F5_OK;
}
