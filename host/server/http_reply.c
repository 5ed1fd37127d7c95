/* http_reply.c — answers: their heads, chunks, ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/server/http_connection.h"
#include "weights/utf8.h"

#define HEAD_BYTES 2048

const char *http_status_text(int status) {
    static const struct {
        int status;
        const char *text;
    } known[] = {{100, "Continue"},
                 {101, "Switching Protocols"},
                 {200, "OK"},
                 {201, "Created"},
                 {204, "No Content"},
                 {304, "Not Modified"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {408, "Request Timeout"},
                 {409, "Conflict"},
                 {413, "Content Too Large"},
                 {415, "Unsupported Media Type"},
                 {417, "Expectation Failed"},
                 {422, "Unprocessable Content"},
                 {426, "Upgrade Required"},
                 {429, "Too Many Requests"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {503, "Service Unavailable"},
                 {505, "HTTP Version Not Supported"},
                 {507, "Insufficient Storage"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].status == status) return known[i].text;
    return "Status";
}

void http_set(http_request *r, const char *name, const char *value) {
    char line[512];
    int n = snprintf(line, sizeof line, "%s: %s", name, value);
    if (n < 0 || (size_t)n >= sizeof line || r->set_bytes + (size_t)n + 2 >= sizeof r->set) return;
    for (char *b = line; *b; b++)
        if ((unsigned char)*b < 0x20 || *b == 0x7f) *b = ' ';
    memcpy(r->set + r->set_bytes, line, (size_t)n);
    memcpy(r->set + r->set_bytes + n, "\r\n", 2);
    r->set_bytes += (size_t)n + 2;
}

void http_note(http_request *r, const char *key, const char *value) {
    if (r->n_notes == HTTP_NOTES_MAX) return;
    size_t n = utf8_valid_prefix(value, strnlen(value, sizeof r->note_text[0] - 1));
    memcpy(r->note_text[r->n_notes], value, n);
    r->note_text[r->n_notes][n] = '\0';
    r->notes[r->n_notes] = (http_noted){.key = key, .value = r->note_text[r->n_notes]};
    r->n_notes++;
}

void http_note_number(http_request *r, const char *key, double value) {
    if (r->n_notes < HTTP_NOTES_MAX) r->notes[r->n_notes++] = (http_noted){.key = key, .number = value};
}

void http_on_gone(http_request *r, void (*gone)(void *user), void *user) {
    r->gone = gone;
    r->gone_user = user;
}

void http_on_drained(http_request *r, void (*drained)(void *user), void *user) {
    r->drained = drained;
    r->drained_user = user;
}

size_t http_queued(const http_request *r) {
    return peer_queued(r->peer);
}

bool http_begun(const http_request *r) {
    return r->begun;
}

static void put(http_request *r, const void *bytes, size_t n) {
    r->bytes_out += n;
    peer_write(r->peer, bytes, n);
}

/* Status line and headers. length: of the body; -1: not known. */
static void put_head(http_request *r, int status, const char *type, long long length) {
    char head[HEAD_BYTES + HTTP_SET_BYTES], date[64];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    r->begun = true;
    r->status = status;
    if (r->ending) r->keep_alive = false;
    if (!r->complete) r->keep_alive = false; /* what still comes of it is dropped */
    const char *origin = r->server->options.cors_origin;
    if (origin) {
        http_set(r, "Access-Control-Allow-Origin", origin);
        http_set(r, "Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
        if (strcmp(origin, "*") != 0) http_set(r, "Vary", "Origin");
    }
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\nDate: %s\r\nX-Request-Id: %s\r\n", status,
                     http_status_text(status), date, r->id);
    if (type) n += snprintf(head + n, sizeof head - (size_t)n, "Content-Type: %.200s\r\n", type);
    if (r->chunked) n += snprintf(head + n, sizeof head - (size_t)n, "Transfer-Encoding: chunked\r\n");
    if (length >= 0 && status != 204 && status != 304 && status >= 200)
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Length: %lld\r\n", length);
    if (!r->keep_alive && status != 101) n += snprintf(head + n, sizeof head - (size_t)n, "Connection: close\r\n");
    if (r->keep_alive && r->old) n += snprintf(head + n, sizeof head - (size_t)n, "Connection: keep-alive\r\n");
    n += snprintf(head + n, sizeof head - (size_t)n, "%.*s\r\n", (int)r->set_bytes, r->set);
    put(r, head, (size_t)n);
}

void http_reply(http_request *r, int status, const char *type, const void *body, size_t bytes) {
    put_head(r, status, type, (long long)bytes);
    if (bytes > 0 && !r->head_only) put(r, body, bytes);
    http_connection_next(r);
}

void http_begin(http_request *r, int status, const char *type) {
    r->chunked = !r->old;
    if (r->old) r->keep_alive = false;
    put_head(r, status, type, -1);
}

void http_write(http_request *r, const void *bytes, size_t n) {
    if (n == 0 || r->head_only) return;
    char size[24];
    int length = snprintf(size, sizeof size, "%zx\r\n", n);
    if (r->chunked) put(r, size, (size_t)length);
    put(r, bytes, n);
    if (r->chunked) put(r, "\r\n", 2);
}

void http_write_parts(http_request *r, const char *const *parts) {
    if (r->head_only) return;
    size_t n = 0;
    for (const char *const *part = parts; *part; part++) n += strlen(*part);
    char size[24];
    int length = snprintf(size, sizeof size, "%zx\r\n", n);
    if (r->chunked) put(r, size, (size_t)length);
    for (const char *const *part = parts; *part; part++) put(r, *part, strlen(*part));
    if (r->chunked) put(r, "\r\n", 2);
}

void http_end(http_request *r) {
    if (r->chunked && !r->head_only) put(r, "0\r\n\r\n", 5);
    http_connection_next(r);
}

void http_cut(http_request *r) {
    peer *p = r->peer;
    http_request_over(r, false);
    http_connection_drop(r);
    peer_cut(p);
}

peer *http_upgrade(http_request *r, const char *const *headers, const peer_events *events, void *user) {
    peer *p = r->peer;
    for (; headers && headers[0]; headers += 2) http_set(r, headers[0], headers[1]);
    put_head(r, 101, NULL, -1);
    http_request_over(r, true);
    http_connection_drop(r);
    peer_take(p, events, user);
    peer_again(p);
    return p;
}
