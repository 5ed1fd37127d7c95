/* server.c — puts the parts together, runs them, and takes them apart again when a signal says so. */
#include "host/server/server.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "host/server/consent_api.h"
#include "host/server/consent_store.h"
#include "host/server/page.h"
#include "host/server/voice_api.h"
#include "host/server/voice_store.h"

static void health(http_request *r, void *user) {
    (void)user;
    http_reply(r, 200, "text/plain; charset=utf-8", "OK", 2);
}

static void fail(http_request *r, int status, const char *code, const char *message) {
    reply_error(r, status, NULL, code, "%s", message);
}

static f5_status add_routes(server *s, f5_error *error) {
    const http_route routes[] = {{.method = "GET", .path = "/health", .open = true, .run = health}};
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) F5_TRY(http_route_add(s->http, &routes[i], error));
    F5_TRY(voice_api_add_routes(s, error));
    F5_TRY(consent_api_add_routes(s, error));
    return s->options->no_page ? F5_OK : page_add_routes(s->http, error);
}

static void stop(evutil_socket_t number, short what, void *user) {
    (void)number;
    (void)what;
    loop_stop(user);
}

static f5_status run(server *s, f5_error *error) {
    const server_options *o = s->options;
    F5_TRY(loop_new(&s->loop, 2, error));
    const peer_limits limits = {.connections = o->connections,
                                .connections_per_address = o->connections_per_address,
                                .queued_bytes = (size_t)o->buffer_megabytes << 20,
                                .slow_seconds = o->slow_seconds,
                                .slow_bytes = (size_t)(o->slow_seconds * 1024)};
    s->peers = peers_new(s->loop, &limits);
    const http_options http = {.head_bytes = (size_t)o->head_bytes,
                               .headers = o->headers,
                               .body_bytes = (size_t)o->body_megabytes << 20,
                               .bodies_bytes = (size_t)o->body_megabytes << 24,
                               .head_seconds = o->head_seconds,
                               .body_seconds = o->body_seconds,
                               .keep_alive_seconds = o->keep_alive_seconds,
                               .cors_origin = o->cors_origin,
                               .fail = fail};
    if (s->peers) s->http = http_server_new(s->peers, &http, s);
    if (!s->http) return f5_fail(error, F5_E_MEMORY, "no memory for a server");
    F5_TRY(voice_store_new(&s->voices, s->loop, o, error));
    F5_TRY(consent_store_new(&s->consents, s->loop, o->upload_dir ? o->upload_dir : o->voice_dir, error));
    F5_TRY(add_routes(s, error));
    int port;
    F5_TRY(http_listen(s->http, o->host, o->port, &port, error));
    struct event *term = evsignal_new(loop_base(s->loop), SIGTERM, stop, s->loop);
    struct event *interrupt = evsignal_new(loop_base(s->loop), SIGINT, stop, s->loop);
    evsignal_add(term, NULL);
    evsignal_add(interrupt, NULL);
    fprintf(stderr, "f5tts serve: ready at http://%s:%d\n", o->host, port);
    loop_run(s->loop);
    event_free(term);
    event_free(interrupt);
    return F5_OK;
}

int server_run(const server_options *options) {
    signal(SIGPIPE, SIG_IGN);
    server s = {.options = options};
    f5_error error = {0};
    f5_status status = run(&s, &error);
    peers_free(s.peers);
    http_server_free(s.http);
    voice_store_free(s.voices);
    consent_store_free(s.consents);
    loop_free(s.loop);
    if (status != F5_OK) fprintf(stderr, "f5tts serve: %s\n", error.message);
    return status == F5_OK ? 0 : 1;
}
