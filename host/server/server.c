/* server.c — puts the parts together, runs them, and takes them apart again when a signal says so. */
#include "host/server/server.h"

#include <event2/event.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "host/server/access_log.h"
#include "host/server/consent_api.h"
#include "host/server/consent_store.h"
#include "host/server/keys.h"
#include "host/server/memory.h"
#include "host/server/metrics.h"
#include "host/server/model_api.h"
#include "host/server/page.h"
#include "host/server/restart.h"
#include "host/server/service.h"
#include "host/server/sockets.h"
#include "host/server/speech_api.h"
#include "host/server/status_api.h"
#include "host/server/voice_api.h"
#include "host/server/voice_store.h"
#include "host/server/wyoming_port.h"

#define BACKGROUND_THREADS 2
#define DRAIN_LOOK 0.05 /* seconds between two looks at whether all have gone */
#define OPEN_VOICES 64
#define RESTART_SECONDS 10 /* between two attempts of a program that began anew since it lost its device */

/* ---- what the connections tell ----------------------------------------------------------------------------------- */

static void fail(http_request *r, int status, const char *code, const char *message) {
    reply_error(r, status, NULL, code, "%s", message);
}

static bool allow(void *user, const char *authorization) {
    const server *s = user;
    return keys_allow(s->keys, authorization);
}

static void request_over(void *user, const http_record *record) {
    server *s = user;
    metrics_request(s->metrics, record);
    access_log_write(s->log, record);
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

typedef struct {
    char text[SERVER_DEVICES_MAX * 64];
    const char *device[SERVER_DEVICES_MAX];
    int n_devices;
    int32_t warm[SERVER_WARM_MAX];
    int n_warm;
} lists;

static f5_status read_devices(lists *l, const server_options *o, f5_error *error) {
    snprintf(l->text, sizeof l->text, "%s", restarted() ? restarted() : o->devices);
    for (char *at = l->text, *next; at; at = next) {
        next = strchr(at, ',');
        if (next) *next++ = '\0';
        if (!*at || l->n_devices == SERVER_DEVICES_MAX)
            return f5_fail(error, F5_E_ARGUMENT, "--device %.200s: a list of 1 to %d devices, as cuda:0,cuda:1",
                           o->devices, SERVER_DEVICES_MAX);
        l->device[l->n_devices++] = at;
    }
    return F5_OK;
}

/* Seconds of speech become frames of a request: the recording of the default voice, if it has one, lies before them. */
static f5_status read_warm(lists *l, const server_options *o, const voice_entry *voice, f5_error *error) {
    double before = 12;
    if (voice) {
        double seconds = (double)voice->recording->n_frames / voice->recording->sample_rate;
        before = seconds < 12 ? seconds : 12;
    }
    for (const char *at = o->warm; at && *at;) {
        char *end;
        double seconds = strtod(at, &end);
        if (end == at || !(seconds > 0 && seconds < 60) || (*end && *end != ',') || l->n_warm == SERVER_WARM_MAX)
            return f5_fail(error, F5_E_ARGUMENT,
                           "--warm %.200s: a list of up to %d lengths under 60 seconds, as 3,6,12", o->warm,
                           SERVER_WARM_MAX);
        double frames = ceil((before + seconds) * o->sound_rate / F5_HOP);
        if (frames <= o->max_frames) l->warm[l->n_warm++] = (int32_t)frames;
        at = *end ? end + 1 : end;
    }
    return F5_OK;
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

static void look(void *user) {
    server *s = user;
    if (peers_count(s->peers) == 0 || loop_seconds() >= s->drained)
        loop_stop(s->loop);
    else
        loop_timer_set(s->look, DRAIN_LOOK);
}

/* Lets end what has begun. */
static void end_soon(server *s) {
    s->ending = true;
    fprintf(stderr, "f5tts serve: %s when its %d connections are done, in %g s at most\n",
            s->anew ? "begins anew" : "ends", peers_count(s->peers), (double)s->options->drain_seconds);
    s->drained = loop_seconds() + (double)s->options->drain_seconds;
    peers_end(s->peers);
    look(s);
}

static void on_hopeless(void *user) {
    server *s = user;
    if (s->ending) return;
    s->anew = true;
    end_soon(s);
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static f5_status open_network(server *s, f5_error *error) {
    const server_options *o = s->options;
    const peer_limits limits = {.connections = o->connections,
                                .connections_per_address = o->connections_per_address,
                                .queued_bytes = (size_t)o->buffer_megabytes << 20,
                                .held_bytes = (size_t)o->body_megabytes << 24,
                                .slow_seconds = o->slow_seconds,
                                .slow_bytes = (size_t)(o->slow_seconds * 1024)};
    const http_options http = {.head_bytes = (size_t)o->head_bytes,
                               .headers = o->headers,
                               .body_bytes = (size_t)o->body_megabytes << 20,
                               .head_seconds = o->head_seconds,
                               .body_seconds = o->body_seconds,
                               .keep_alive_seconds = o->keep_alive_seconds,
                               .cors_origin = o->cors_origin,
                               .allowed_hosts = o->allowed_hosts,
                               .host = o->host,
                               .allow = s->keys ? allow : NULL,
                               .over = request_over,
                               .fail = fail};
    s->peers = peers_new(s->loop, &limits);
    if (s->peers) s->http = http_server_new(s->peers, &http, s);
    return s->http ? F5_OK : f5_fail(error, F5_E_MEMORY, "no memory for a server");
}

static f5_status open_speaker(server *s, f5_error *error) {
    const server_options *o = s->options;
    lists l = {0};
    const voice_entry *voice = voice_store_find(s->voices, o->default_voice);
    if (!voice) return f5_fail(error, F5_E_ARGUMENT, "--voice %.200s: there is no such voice", o->default_voice);
    F5_TRY(read_devices(&l, o, error));
    F5_TRY(read_warm(&l, o, voice, error));
    speaker_options p = {.devices = l.device,
                         .n_devices = l.n_devices,
                         .some = restarted() != NULL,
                         .running = o->running,
                         .waiting = o->waiting,
                         .text_bytes = (size_t)o->text_bytes,
                         .voices = OPEN_VOICES,
                         .sound_rate = o->sound_rate,
                         .one_voice = o->one_voice,
                         .phonemes = o->phonemes,
                         .hopeless = &s->hopeless};
    f5_open_params_init(&p.open);
    p.open.model_path = o->model;
    p.open.precision = o->precision;
    p.open.vocoder_precision = o->vocoder_precision;
    p.open.max_frames = o->max_frames;
    p.open.max_batch = o->max_batch;
    p.open.threads = o->threads;
    p.open.warm_frames = l.warm;
    p.open.n_warm = l.n_warm;
    p.open.max_text_bytes = o->text_bytes > 65536 ? o->text_bytes : 65536;
    if (o->languages) p.open.languages = o->languages;
    if (restarted()) snprintf(s->devices, sizeof s->devices, "%s", restarted());
    F5_TRY(speaker_new(&s->speaker, s->loop, &p, error));
    size_t at = 0;
    for (int i = 0; i < l.n_devices && at < sizeof s->devices; i++)
        at += (size_t)snprintf(s->devices + at, sizeof s->devices - at, "%s%s", i ? "," : "",
                               speaker_device(s->speaker, i));
    return F5_OK;
}

static f5_status open_parts(server *s, f5_error *error) {
    const server_options *o = s->options;
    struct timeval now;
    gettimeofday(&now, NULL);
    s->started = (double)now.tv_sec + 1e-6 * (double)now.tv_usec;
    s->metrics = metrics_new();
    if (!s->metrics) return f5_fail(error, F5_E_MEMORY, "no memory for metrics");
    F5_TRY(access_log_open(&s->log, o->log_file, o->log_format, error));
    if (o->key_file) F5_TRY(keys_read(&s->keys, o->key_file, error));
    F5_TRY(loop_new(&s->loop, BACKGROUND_THREADS, error));
    s->memory = memory_keep(s->loop);
    F5_TRY(open_network(s, error));
    F5_TRY(voice_store_new(&s->voices, s->loop, o, error));
    F5_TRY(consent_store_new(&s->consents, s->loop, o->upload_dir ? o->upload_dir : o->voice_dir, error));
    F5_TRY(open_speaker(s, error));
    F5_TRY(status_api_add(s, error));
    F5_TRY(model_api_add(s, error));
    F5_TRY(speech_api_add(s, error));
    F5_TRY(sockets_add(s, error));
    F5_TRY(voice_api_add_routes(s, error));
    F5_TRY(consent_api_add_routes(s, error));
    return o->no_page ? F5_OK : page_add_routes(s->http, error);
}

typedef struct {
    server *server;
    f5_status status;
    f5_error *error;
} opening;

static void *open_there(void *user) {
    opening *o = user;
    o->status = open_parts(o->server, o->error);
    return NULL;
}

/* Opens the parts on a thread that takes no signals, and so do all threads that they and a GPU's driver make: whoever
 * holds the signals later holds them for the whole process. Until then they act here as they do on any program. */
static f5_status open_quietly(server *s, f5_error *error) {
    opening o = {.server = s, .error = error};
    pthread_t thread;
    if (!restarted()) hold_signals(true);
    int failed = pthread_create(&thread, NULL, open_there, &o);
    if (!restarted()) hold_signals(false);
    if (failed) return f5_fail(error, F5_E_MEMORY, "the system gives no thread");
    pthread_join(thread, NULL);
    return o.status;
}

static void close_parts(server *s) {
    peers_close(s->peers); /* whoever has a request is told that its client left */
    loop_settle(s->loop);  /* whoever gave work to the background is told that it is done */
    http_server_free(s->http);
    voice_store_free(s->voices);
    consent_store_free(s->consents);
    speaker_free(s->speaker);
    loop_settle(s->loop); /* what was posted last frees itself */
    peers_free(s->peers);
    memory_keeper_free(s->memory);
    loop_free(s->loop);
    keys_free(s->keys);
    access_log_close(s->log);
    metrics_free(s->metrics);
}

/* ---- signals ----------------------------------------------------------------------------------------------------- */

/* The first one lets end what has begun, the second ends it. */
static void on_end(evutil_socket_t number, short what, void *user) {
    (void)number;
    (void)what;
    server *s = user;
    if (s->ending && !s->anew) {
        loop_stop(s->loop);
        return;
    }
    s->anew = false;
    service_tell("STOPPING=1");
    end_soon(s);
}

static void on_reload(evutil_socket_t number, short what, void *user) {
    (void)number;
    (void)what;
    server *s = user;
    f5_error error;
    if (s->keys && keys_read(&s->keys, s->options->key_file, &error) != F5_OK)
        fprintf(stderr, "f5tts serve: the keys stay as they were: %s\n", error.message);
    access_log_reopen(s->log);
    voice_store_reload(s->voices);
    fprintf(stderr, "f5tts serve: keys and voices were read again\n");
}

static f5_status serve(server *s, f5_error *error) {
    const server_options *o = s->options;
    int port, wyoming_port;
    F5_TRY(http_listen(s->http, o->host, o->port, &port, error));
    if (o->wyoming_port >= 0) F5_TRY(wyoming_port_listen(s, &wyoming_port, error));
    s->look = loop_timer_new(s->loop, look, s);
    struct event_base *base = loop_base(s->loop);
    struct event *signals[] = {evsignal_new(base, SIGTERM, on_end, s), evsignal_new(base, SIGINT, on_end, s),
                               evsignal_new(base, SIGHUP, on_reload, s)};
    enum { N_SIGNALS = sizeof signals / sizeof signals[0] };
    bool good = s->look != NULL;
    for (int i = 0; i < N_SIGNALS; i++) good = good && signals[i] && evsignal_add(signals[i], NULL) == 0;
    if (good) {
        bool six = strchr(o->host, ':') != NULL;
        fprintf(stderr, "f5tts serve: ready at http://%s%s%s:%d\n", six ? "[" : "", o->host, six ? "]" : "", port);
        if (o->wyoming_port >= 0)
            fprintf(stderr, "f5tts serve: Wyoming at tcp://%s:%d\n", o->wyoming_host, wyoming_port);
        service_tell("READY=1");
        hold_signals(false);
        loop_run(s->loop);
    }
    if (s->anew) { /* with the signals held from here on; those that came before are told of now */
        hold_signals(true);
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    if (!s->anew) hold_signals(false);
    for (int i = 0; i < N_SIGNALS; i++)
        if (signals[i]) event_free(signals[i]);
    loop_timer_free(s->look);
    return good ? F5_OK : f5_fail(error, F5_E_MEMORY, "the system gives no signals");
}

static f5_status check(server *s, f5_error *error) {
    f5_engine_info info;
    f5_engine_info_init(&info);
    F5_TRY(speaker_engine_info(s->speaker, 0, &info, error));
    printf("f5tts serve: in order: model %s on %s, %s, %d voices%s\n", info.name, info.device, info.precision,
           voice_store_count(s->voices), s->keys ? ", keys" : "");
    return F5_OK;
}

int server_run(const server_options *options) {
    signal(SIGPIPE, SIG_IGN);
    memory_settle();
    given_files given;
    server s = {.options = options};
    s.hopeless = (loop_post){.run = on_hopeless, .user = &s};
    f5_error error = {0};
    f5_status status = restart_prepare(&given, &error);
    if (status == F5_OK) status = open_quietly(&s, &error);
    if (status == F5_OK) status = options->check_config ? check(&s, &error) : serve(&s, &error);
    close_parts(&s);
    bool lost = status == F5_E_DEVICE && restarted();
    if (lost)
        fprintf(stderr, "f5tts serve: %s: begins anew in %d s\n", error.message, RESTART_SECONDS);
    else if (status != F5_OK)
        fprintf(stderr, "f5tts serve: %s\n", error.message);
    bool ended = (s.anew || lost) && restart(&given, s.devices, s.anew ? 0 : RESTART_SECONDS);
    free(given.file);
    return ended || (status == F5_OK && !s.anew) ? 0 : 1;
}
