/* http_head.c — the head of a request: found in what came, held against the rules, parsed by llhttp, cut into strings.
 *
 * A head is looked at as a whole, so that every span of llhttp's is a part of one copy. What is refused here and not by
 * llhttp: line feeds without a carriage return, folded headers, control characters, names that are no tokens, two or no
 * Host, other transfer codings than chunked (RFC 9112, 2.2, 3.2, 5.2, 6.1). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/server/http_connection.h"

size_t http_head_scan(http_request *c, const char *bytes, size_t n, int *status) {
    const size_t limit = c->server->options.head_bytes;
    *status = 0;
    if (c->scanned == 0 && (bytes[0] < 'A' || bytes[0] > 'Z')) {
        *status = 400; /* no method begins so: another protocol */
        return 0;
    }
    size_t i = c->scanned;
    for (; i < n && i < limit; i++) {
        unsigned char b = (unsigned char)bytes[i];
        bool after_line = i >= 2 && bytes[i - 1] == '\n';
        if (b == '\n') {
            if (i == 0 || bytes[i - 1] != '\r') break;
            if (i >= 3 && bytes[i - 2] == '\n') return i + 1;
        } else if (i > 0 && bytes[i - 1] == '\r') {
            break; /* a carriage return by itself */
        } else if ((b < 0x20 && b != '\t' && b != '\r') || b == 0x7f || (after_line && (b == ' ' || b == '\t'))) {
            break;
        }
    }
    c->scanned = i;
    if (i >= limit)
        *status = 431;
    else if (i < n)
        *status = 400;
    return 0;
}

/* ---- llhttp's callbacks: they note spans ------------------------------------------------------------------------- */

static int take_url(llhttp_t *parser, const char *at, size_t n) {
    http_request *c = parser->data;
    c->path = (char *)at;
    c->path_bytes = n;
    return 0;
}

static int take_name(llhttp_t *parser, const char *at, size_t n) {
    http_request *c = parser->data;
    if (c->parsed) return 0; /* a trailer: nothing here asks for one */
    if (c->n_fields >= c->server->options.headers) return HPE_USER;
    c->fields[c->n_fields++] = (http_field){.name = at, .name_bytes = n, .value = at + n};
    return 0;
}

static int take_value(llhttp_t *parser, const char *at, size_t n) {
    http_request *c = parser->data;
    if (c->parsed || c->n_fields == 0) return 0;
    c->fields[c->n_fields - 1].value = at;
    c->fields[c->n_fields - 1].value_bytes = n;
    return 0;
}

static int head_complete(llhttp_t *parser) {
    parser->upgrade = 0; /* http_upgrade decides, not the parser */
    ((http_request *)parser->data)->parsed = true;
    return 0;
}

static int take_body(llhttp_t *parser, const char *at, size_t n) {
    return http_body_take(parser->data, at, n) ? 0 : HPE_USER;
}

static int message_complete(llhttp_t *parser) {
    ((http_request *)parser->data)->complete = true;
    return HPE_PAUSED; /* what follows is the next request's */
}

void http_head_settings(llhttp_settings_t *settings) {
    llhttp_settings_init(settings);
    settings->on_url = take_url;
    settings->on_header_field = take_name;
    settings->on_header_value = take_value;
    settings->on_headers_complete = head_complete;
    settings->on_body = take_body;
    settings->on_message_complete = message_complete;
}

/* ---- what llhttp lets pass --------------------------------------------------------------------------------------- */

/* RFC 9110, 5.6.2. */
static bool is_token(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char b = text[i];
        bool letter = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9');
        if (!letter && (b == '\0' || !strchr("!#$%&'*+-.^_`|~", b))) return false;
    }
    return n > 0;
}

/* Ends every span in the copy of the head, trims values, and writes names in lower case. */
static bool cut_fields(http_request *c) {
    c->path[c->path_bytes] = '\0';
    for (int i = 0; i < c->n_fields; i++) {
        http_field *f = &c->fields[i];
        char *name = (char *)f->name, *value = (char *)f->value;
        if (!is_token(name, f->name_bytes)) return false;
        size_t n = f->value_bytes;
        while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t' || value[n - 1] == '\r')) n--;
        while (n > 0 && (*value == ' ' || *value == '\t')) value++, n--;
        name[f->name_bytes] = '\0';
        value = n > 0 ? value : name + f->name_bytes; /* "" */
        value[n] = '\0';
        f->value = value;
        f->value_bytes = n;
        for (char *b = name; *b; b++)
            if (*b >= 'A' && *b <= 'Z') *b = (char)(*b + 32);
    }
    return true;
}

static int count(const http_request *c, const char *name) {
    int found = 0;
    for (int i = 0; i < c->n_fields; i++) found += strcmp(c->fields[i].name, name) == 0;
    return found;
}

/* "http://host/path" becomes "/path"; "*" is as it is. */
static bool cut_target(http_request *c) {
    if (*c->path == '/' || strcmp(c->path, "*") == 0) return true;
    if (strncasecmp(c->path, "http://", 7) != 0 && strncasecmp(c->path, "https://", 8) != 0) return false;
    char *slash = strchr(strchr(c->path, ':') + 3, '/');
    static char root[] = "/"; /* never written to: there is nothing in it to decode */
    c->path = slash ? slash : root;
    return true;
}

static int check_fields(http_request *c, const char **why) {
    static const char *const once[] = {"host",   "content-type", "content-length", "authorization", "transfer-encoding",
                                       "expect", "upgrade"};
    for (size_t i = 0; i < sizeof once / sizeof once[0]; i++) {
        if (count(c, once[i]) <= 1) continue;
        *why = "a header that may occur once occurs twice";
        return 400;
    }
    if (!c->old && count(c, "host") == 0) {
        *why = "the Host header is missing";
        return 400;
    }
    const char *coding = http_header(c, "transfer-encoding");
    if (coding && (c->old || http_header(c, "content-length"))) {
        *why = "the length of the body is given in two ways";
        return 400;
    }
    if (coding && strcasecmp(coding, "chunked") != 0) {
        *why = "a transfer coding other than chunked";
        return 501;
    }
    const char *content = http_header(c, "content-encoding");
    if (content && strcasecmp(content, "identity") != 0) {
        *why = "a compressed body: send it as it is";
        return 415;
    }
    return 0;
}

int http_head_parse(http_request *c, const char *bytes, size_t n, const char **why) {
    *why = "the request breaks HTTP's rules";
    c->head = malloc(n + 1);
    c->fields = calloc((size_t)c->server->options.headers, sizeof c->fields[0]);
    if (!c->head || !c->fields) {
        *why = "no memory";
        return 503;
    }
    memcpy(c->head, bytes, n);
    c->head[n] = '\0';
    c->head_bytes = n;
    llhttp_init(&c->parser, HTTP_REQUEST, &c->server->settings);
    c->parser.data = c;
    llhttp_errno_t outcome = llhttp_execute(&c->parser, c->head, n);
    if (outcome == HPE_USER) {
        *why = "too many headers";
        return 431;
    }
    bool whole = outcome == HPE_OK || (outcome == HPE_PAUSED && c->complete);
    if (!whole || !c->parsed || !c->path) {
        if (outcome == HPE_INVALID_VERSION || outcome == HPE_PAUSED_H2_UPGRADE) {
            *why = "HTTP/1.1 and 1.0 are spoken here";
            c->parsed = false;
            return 505;
        }
        c->parsed = false;
        return 400;
    }
    c->parsed = false;
    if (c->parser.http_major != 1 || c->parser.http_minor > 1) {
        *why = "HTTP/1.1 and 1.0 are spoken here";
        return 505;
    }
    c->old = c->parser.http_minor == 0;
    c->keep_alive = llhttp_should_keep_alive(&c->parser);
    c->head_only = c->parser.method == HTTP_HEAD;
    if (!cut_fields(c) || !cut_target(c)) return 400;
    c->query = strchr(c->path, '?');
    if (c->query) *c->query++ = '\0';
    if (!http_decode(c->path, false) || !http_cut_query(c)) {
        *why = "the path or the query is not written in UTF-8 and %XX, or the query has too many parts";
        return 400;
    }
    c->parsed = true;
    return check_fields(c, why);
}
