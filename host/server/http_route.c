/* http_route.c — which handler a request is for, and what stands in its path and query. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/server/http_connection.h"
#include "weights/utf8.h"

static int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_decode(char *text, bool plus) {
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from == '+' && plus) {
            *to++ = ' ';
        } else if (*from != '%') {
            *to++ = *from;
        } else {
            int high = hex(from[1]), low = high < 0 ? -1 : hex(from[2]);
            if (low < 0 || high * 16 + low == 0) return false;
            *to++ = (char)(high * 16 + low);
            from += 2;
        }
    }
    *to = '\0';
    return utf8_valid_prefix(text, (size_t)(to - text)) == (size_t)(to - text);
}

f5_status http_route_add(http_server *s, const http_route *route, f5_error *error) {
    if (s->n_routes == HTTP_ROUTES_MAX) return f5_fail(error, F5_E_LIMIT, "no more than %d routes", HTTP_ROUTES_MAX);
    s->routes[s->n_routes++] = *route;
    return F5_OK;
}

bool http_cut_query(http_request *c) {
    for (char *at = c->query, *next; at; at = next) {
        next = strchr(at, '&');
        if (next) *next++ = '\0';
        if (!*at) continue;
        if (c->n_pairs == HTTP_PAIRS_MAX) return false;
        char *value = strchr(at, '=');
        if (value) *value++ = '\0';
        if (!http_decode(at, true) || (value && !http_decode(value, true))) return false;
        c->pairs[c->n_pairs++] = (http_pair){at, value ? value : at + strlen(at)};
    }
    return true;
}

/* Does the path fit, and where does {...} begin in it? What it stands for is not empty, and may hold slashes, as the
 * names of models do. */
static bool fits(const char *pattern, const char *path, const char **capture) {
    const char *open = strchr(pattern, '{');
    *capture = NULL;
    if (!open) return strcmp(pattern, path) == 0;
    size_t before = (size_t)(open - pattern);
    if (strncmp(pattern, path, before) != 0) return false;
    *capture = path + before;
    return **capture != '\0';
}

const http_route *http_route_find(http_request *c, int *status, char *allow, size_t room) {
    const char *method = http_method(c);
    const http_route *literal = NULL, *captured = NULL;
    const char *capture, *what = "";
    *allow = '\0';
    for (int i = 0; i < c->server->n_routes; i++) {
        const http_route *r = &c->server->routes[i];
        if (!fits(r->path, c->path, &capture)) continue;
        if (strlen(allow) + strlen(r->method) + 3 < room) {
            if (*allow) strcat(allow, ", ");
            strcat(allow, r->method);
        }
        bool same = strcmp(r->method, method) == 0 || (c->head_only && strcmp(r->method, "GET") == 0);
        if (!same) continue;
        if (!capture && !literal) literal = r;
        if (capture && !captured) captured = r, what = capture;
    }
    c->capture = literal ? "" : what;
    *status = literal || captured ? 0 : *allow ? 405 : 404;
    return literal ? literal : captured;
}

/* ---- what a request says ----------------------------------------------------------------------------------------- */

const char *http_method(const http_request *r) {
    return r->parsed ? llhttp_method_name((llhttp_method_t)r->parser.method) : "";
}

const char *http_path(const http_request *r) {
    return r->parsed ? r->path : "";
}

const char *http_capture(const http_request *r) {
    return r->capture ? r->capture : "";
}

const char *http_query(const http_request *r, const char *name) {
    for (int i = 0; i < r->n_pairs; i++)
        if (strcmp(r->pairs[i].name, name) == 0) return r->pairs[i].value;
    return NULL;
}

const char *http_header(const http_request *r, const char *name) {
    for (int i = 0; i < r->n_fields; i++)
        if (strcmp(r->fields[i].name, name) == 0) return r->fields[i].value;
    return NULL;
}

bool http_is_of_another_site(const http_request *r) {
    const char *origin = http_header(r, "origin"), *site = http_header(r, "sec-fetch-site");
    const char *host = http_header(r, "host"), *let = r->server->options.cors_origin;
    if (let && (strcmp(let, "*") == 0 || (origin && strcasecmp(let, origin) == 0))) return false;
    if (site) return strcmp(site, "cross-site") == 0 || strcmp(site, "same-site") == 0;
    const char *from = origin ? strstr(origin, "://") : NULL;
    return origin && !(from && host && strcasecmp(from + 3, host) == 0);
}

const char *http_body(const http_request *r, size_t *bytes) {
    *bytes = r->body_bytes;
    return r->body ? r->body : "";
}

char *http_body_steal(http_request *r, size_t *bytes) {
    char *body = r->body;
    *bytes = r->body_bytes;
    r->body = NULL;
    r->body_room = r->body_bytes = 0;
    return body;
}

void http_body_free(http_server *s, char *body, size_t bytes) {
    if (body) peers_hold(s->peers, http_body_room(bytes), 0);
    free(body);
}

const char *http_request_id(const http_request *r) {
    return r->id;
}

const char *http_address(const http_request *r) {
    return r->peer ? peer_address(r->peer) : "";
}

double http_began(const http_request *r) {
    return r->began;
}

void *http_user(const http_request *r) {
    return r->server->user;
}

loop *http_loop(const http_request *r) {
    return peer_loop(r->peer);
}
