/* http_host.c — is a request's Host a name of this server? Against DNS rebinding: a page of evil.example lets its name
 * point to 127.0.0.1 after it was loaded, and its browser then takes a server that listens there for the page's own.
 *
 * Such a request names the port at which this server listens, since the browser connects to it directly. A proxy in
 * front, which hands on the name that its own client used, names none or another: so it needs no option here. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/server/http_connection.h"

#define HTTP_PORT 80 /* that a Host does not name */

typedef struct {
    const char *name; /* [bytes] without the dot at its end */
    size_t bytes;
    long port; /* -1: no number */
} host_name;

static host_name cut_host(const char *host) {
    const char *bracket = *host == '[' ? strchr(host, ']') : NULL, *colon = strchr(bracket ? bracket : host, ':');
    host_name h = {.name = host, .bytes = colon ? (size_t)(colon - host) : strlen(host), .port = HTTP_PORT};
    if (colon && colon[1] != '\0') {
        char *end;
        h.port = strtol(colon + 1, &end, 10);
        if (*end != '\0') h.port = -1;
    }
    if (h.bytes > 1 && host[h.bytes - 1] == '.') h.bytes--;
    return h;
}

/* An address cannot be made to point elsewhere. */
static bool is_address(const host_name *h) {
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    bool six = h->bytes > 2 && h->name[0] == '[' && h->name[h->bytes - 1] == ']';
    size_t bytes = six ? h->bytes - 2 : h->bytes;
    if (bytes >= sizeof text) return false;
    memcpy(text, h->name + six, bytes);
    text[bytes] = '\0';
    return inet_pton(six ? AF_INET6 : AF_INET, text, &address) == 1;
}

static bool is(const host_name *h, const char *name, size_t bytes) {
    return h->bytes == bytes && strncasecmp(h->name, name, bytes) == 0;
}

/* domain begins with a dot. */
static bool is_within(const host_name *h, const char *domain, size_t bytes) {
    return h->bytes > bytes && strncasecmp(h->name + h->bytes - bytes, domain, bytes) == 0;
}

/* list: names between commas; ".example.org" stands for all within it, "*" for every one. */
static bool is_listed(const host_name *h, const char *list) {
    while (list && *list) {
        list += strspn(list, ", ");
        size_t n = strcspn(list, ", "); /* 0 behind the last comma, which names nothing */
        if (n > 0 && ((n == 1 && *list == '*') || is(h, list, n) || (*list == '.' && is_within(h, list, n))))
            return true;
        list += n;
    }
    return false;
}

bool http_host_is_ours(const http_request *c) {
    const http_server *s = c->server;
    const char *host = http_header(c, "host"), *list = s->options.allowed_hosts;
    if (!host || (!list && !s->loopback)) return true; /* browsers always send one */
    host_name h = cut_host(host);
    if (!list && h.port >= 0 && h.port != s->port) return true; /* from a proxy */
    return is_address(&h) || is(&h, "localhost", 9) || is_within(&h, ".localhost", 10) ||
           is_within(&h, ".internal", 9) || /* nobody can own one; containers call their host so */
           (s->options.host && is(&h, s->options.host, strlen(s->options.host))) || is_listed(&h, list);
}
