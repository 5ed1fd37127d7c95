/* status_api.c — what monitors ask: alive, ready, and the gauges of the parts beside the counters of metrics.c. */
#include "host/server/status_api.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "host/server/metrics.h"

static void health(http_request *r, void *user) {
    (void)user;
    http_reply(r, 200, "text/plain; charset=utf-8", "OK", 2);
}

static void ready(http_request *r, void *user) {
    server *s = user;
    speaker_counts c;
    speaker_count(s->speaker, &c);
    const char *why = s->ending ? "ending" : c.ready == 0 ? "no engine is ready" : "OK";
    bool good = strcmp(why, "OK") == 0;
    if (!good) http_set(r, "Retry-After", "1");
    http_reply(r, good ? 200 : 503, "text/plain; charset=utf-8", why, strlen(why));
}

static void version(http_request *r, void *user) {
    const server *s = user;
    reply_json(r, 200,
               json_pack("{s:s,s:s,s:s}", "object", "f5tts", "version", f5_version(), "model", s->options->model_id));
}

/* ---- metrics ----------------------------------------------------------------------------------------------------- */

static void gauge(FILE *to, const char *name, const char *type, const char *help, double value) {
    fprintf(to, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, type, name, value);
}

/* What Prometheus's own clients tell of a process, under the names that they use. */
static void write_process(FILE *to, double started) {
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm && fscanf(statm, "%*d %ld", &pages) != 1) pages = 0;
    if (statm) fclose(statm);
    int descriptors = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder)) descriptors++;
    if (folder) closedir(folder);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                 1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    gauge(to, "process_resident_memory_bytes", "gauge", "Memory in use.",
          (double)pages * (double)sysconf(_SC_PAGESIZE));
    gauge(to, "process_open_fds", "gauge", "Open file descriptors.", descriptors > 3 ? descriptors - 3 : 0);
    gauge(to, "process_cpu_seconds_total", "counter", "CPU time.", cpu);
    gauge(to, "process_start_time_seconds", "gauge", "When the process began, in seconds of the epoch.", started);
}

typedef struct {
    const char *name, *type, *help;
    double value[SERVER_DEVICES_MAX];
} per_engine;

static void write_engines(FILE *to, server *s, int engines) {
    per_engine table[] = {{"f5tts_engine_up", "gauge", "1: the engine is ready.", {0}},
                          {"f5tts_engine_memory_bytes", "gauge", "Held on the engine's device.", {0}},
                          {"f5tts_engine_graphs", "gauge", "CUDA graphs that are kept.", {0}},
                          {"f5tts_engine_calls_total", "counter", "Calls of the engine.", {0}},
                          {"f5tts_engine_batches_total", "counter", "Batches in which they ran.", {0}},
                          {"f5tts_engine_shared_batches_total", "counter", "Batches of several calls.", {0}}};
    enum { N = sizeof table / sizeof table[0] };
    f5_engine_info last = {0};
    for (int i = 0; i < engines && i < SERVER_DEVICES_MAX; i++) {
        f5_engine_info info;
        f5_engine_info_init(&info);
        if (speaker_engine_info(s->speaker, i, &info, NULL) != F5_OK) continue;
        last = info;
        const double values[N] = {1,
                                  (double)info.device_bytes,
                                  (double)info.graphs,
                                  (double)info.calls,
                                  (double)info.batches,
                                  (double)info.shared_batches};
        for (int k = 0; k < N; k++) table[k].value[i] = values[k];
    }
    for (int k = 0; k < N; k++) {
        fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", table[k].name, table[k].help, table[k].name, table[k].type);
        for (int i = 0; i < engines && i < SERVER_DEVICES_MAX; i++)
            fprintf(to, "%s{engine=\"%d\"} %.15g\n", table[k].name, i, table[k].value[i]);
    }
    fprintf(to,
            "# HELP f5tts_build_info What runs.\n# TYPE f5tts_build_info gauge\n"
            "f5tts_build_info{version=\"%s\",path=\"%s\",precision=\"%s\"} 1\n",
            f5_version(), last.path ? last.path : "", last.precision ? last.precision : "");
}

static void metrics_run(http_request *r, void *user) {
    server *s = user;
    speaker_counts c;
    speaker_count(s->speaker, &c);
    char *gauges = NULL;
    size_t bytes;
    FILE *to = open_memstream(&gauges, &bytes);
    if (to) {
        gauge(to, "f5tts_requests_running", "gauge", "Requests for speech that a thread works on.", c.running);
        gauge(to, "f5tts_requests_waiting", "gauge", "Requests for speech that wait for a thread.", c.waiting);
        gauge(to, "f5tts_requests_held", "gauge", "Requests for speech that wait for their client.", c.held);
        gauge(to, "f5tts_refused_total", "counter", "Requests for speech that found the queue full or no engine.",
              (double)c.refused);
        gauge(to, "f5tts_connections", "gauge", "Open connections.", peers_count(s->peers));
        gauge(to, "f5tts_queued_bytes", "gauge", "Bytes that wait to be read by clients.",
              (double)peers_queued(s->peers));
        gauge(to, "f5tts_engines", "gauge", "Engines.", c.engines);
        gauge(to, "f5tts_engines_ready", "gauge", "Engines that are ready.", c.ready);
        gauge(to, "f5tts_engines_reopened_total", "counter",
              "Engines that were opened again after their device was lost.", (double)c.reopened);
        write_engines(to, s, c.engines);
        write_process(to, s->started);
    }
    char *text = to && fclose(to) == 0 ? metrics_text(s->metrics, gauges) : NULL;
    if (text)
        http_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", text, strlen(text));
    else
        reply_error(r, 503, NULL, NULL, "no memory");
    free(text);
    free(gauges);
}

f5_status status_api_add(server *s, f5_error *error) {
    const http_route routes[] = {{.method = "GET", .path = "/health", .open = true, .run = health, .user = s},
                                 {.method = "GET", .path = "/livez", .open = true, .run = health, .user = s},
                                 {.method = "GET", .path = "/readyz", .open = true, .run = ready, .user = s},
                                 {.method = "GET", .path = "/v1", .open = true, .run = version, .user = s},
                                 {.method = "GET", .path = "/v1/", .open = true, .run = version, .user = s},
                                 {.method = "GET", .path = "/metrics", .run = metrics_run, .user = s}};
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) F5_TRY(http_route_add(s->http, &routes[i], error));
    return F5_OK;
}
