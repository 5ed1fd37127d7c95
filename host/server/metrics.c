/* metrics.c — counts and histograms in the text format of Prometheus (version 0.0.4). */
#include "host/server/metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_MAX 16
#define COUNTED_MAX 256 /* pairs of route, method and status */

typedef struct {
    const char *name, *help;
    int n; /* bounds, without +Inf */
    double bound[BUCKETS_MAX];
    uint64_t count[BUCKETS_MAX + 1];
    double sum;
} histogram;

typedef struct {
    const char *route; /* a route's own text lives as long as the server */
    char method[12];
    int status;
    uint64_t count;
} counted;

enum { WHOLE, FIRST, WAITED, FACTOR, LENGTH, HISTOGRAMS };

struct metrics {
    counted requests[COUNTED_MAX];
    int n_requests;
    uint64_t beyond; /* requests of pairs for which there was no room */
    uint64_t spoken, failed, cancelled;
    double audio_seconds;
    uint64_t audio_bytes;
    histogram histograms[HISTOGRAMS];
};

metrics *metrics_new(void) {
    metrics *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    static const histogram made[HISTOGRAMS] = {
        [WHOLE] = {.name = "f5tts_request_seconds",
                   .help = "From the first byte of a request for speech until its last sound.",
                   .n = 13,
                   .bound = {.025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 40, 80, 160}},
        [FIRST] = {.name = "f5tts_time_to_first_audio_seconds",
                   .help = "From the first byte of a request for speech until its first sound is sent.",
                   .n = 12,
                   .bound = {.01, .025, .05, .075, .1, .15, .25, .5, 1, 2.5, 5, 10}},
        [WAITED] = {.name = "f5tts_queue_seconds",
                    .help = "That requests for speech waited for a thread.",
                    .n = 11,
                    .bound = {.001, .0025, .005, .01, .025, .05, .1, .5, 1, 5, 20}},
        [FACTOR] = {.name = "f5tts_real_time_factor",
                    .help = "Seconds that speech took, over seconds of speech.",
                    .n = 12,
                    .bound = {.005, .01, .02, .04, .08, .15, .3, .5, .75, 1, 2, 5}},
        [LENGTH] = {.name = "f5tts_audio_length_seconds",
                    .help = "Seconds of speech of a request.",
                    .n = 9,
                    .bound = {1, 2, 4, 8, 15, 30, 60, 120, 300}}};
    memcpy(m->histograms, made, sizeof made);
    return m;
}

void metrics_free(metrics *m) {
    free(m);
}

static void observe(histogram *h, double value) {
    int i = 0;
    while (i < h->n && value > h->bound[i]) i++;
    h->count[i]++;
    h->sum += value;
}

void metrics_request(metrics *m, const http_record *record) {
    for (int i = 0; i < m->n_requests; i++) {
        counted *c = &m->requests[i];
        if (c->status != record->status || strcmp(c->route, record->route) != 0 ||
            strcmp(c->method, record->method) != 0)
            continue;
        c->count++;
        return;
    }
    if (m->n_requests == COUNTED_MAX) {
        m->beyond++;
        return;
    }
    counted *c = &m->requests[m->n_requests++];
    *c = (counted){.route = *record->route ? record->route : "", .status = record->status, .count = 1};
    snprintf(c->method, sizeof c->method, "%s", record->method);
}

void metrics_speech(metrics *m, const speech_result *result, double first, double whole) {
    m->audio_seconds += result->seconds;
    m->audio_bytes += result->bytes;
    if (result->status != F5_OK) {
        m->failed++;
        return;
    }
    m->spoken++;
    observe(&m->histograms[WHOLE], whole);
    observe(&m->histograms[WAITED], result->waited);
    observe(&m->histograms[LENGTH], result->seconds);
    if (first > 0) observe(&m->histograms[FIRST], first);
    if (result->seconds > 0) observe(&m->histograms[FACTOR], whole / result->seconds);
}

void metrics_cancelled(metrics *m) {
    m->cancelled++;
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

static void describe(FILE *to, const char *name, const char *type, const char *help) {
    fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_counter(FILE *to, const char *name, const char *help, uint64_t value) {
    describe(to, name, "counter", help);
    fprintf(to, "%s %llu\n", name, (unsigned long long)value);
}

static void write_histogram(FILE *to, const histogram *h) {
    uint64_t below = 0;
    describe(to, h->name, "histogram", h->help);
    for (int i = 0; i <= h->n; i++) {
        char bound[32] = "+Inf";
        if (i < h->n) snprintf(bound, sizeof bound, "%g", h->bound[i]);
        below += h->count[i];
        fprintf(to, "%s_bucket{le=\"%s\"} %llu\n", h->name, bound, (unsigned long long)below);
    }
    fprintf(to, "%s_sum %.9g\n%s_count %llu\n", h->name, h->sum, h->name, (unsigned long long)below);
}

char *metrics_text(const metrics *m, const char *gauges) {
    char *text = NULL;
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);
    if (!to) return NULL;
    describe(to, "f5tts_http_requests_total", "counter", "Requests that are over; status 499: the client left.");
    for (int i = 0; i < m->n_requests; i++) {
        const counted *c = &m->requests[i];
        fprintf(to, "f5tts_http_requests_total{route=\"%s\",method=\"%s\",status=\"%d\"} %llu\n", c->route, c->method,
                c->status, (unsigned long long)c->count);
    }
    if (m->beyond > 0)
        fprintf(to, "f5tts_http_requests_total{route=\"other\",method=\"\",status=\"0\"} %llu\n",
                (unsigned long long)m->beyond);
    describe(to, "f5tts_speech_total", "counter", "Speech that was asked for, by how it ended.");
    fprintf(to, "f5tts_speech_total{outcome=\"ok\"} %llu\n", (unsigned long long)m->spoken);
    fprintf(to, "f5tts_speech_total{outcome=\"failed\"} %llu\n", (unsigned long long)m->failed);
    fprintf(to, "f5tts_speech_total{outcome=\"cancelled\"} %llu\n", (unsigned long long)m->cancelled);
    describe(to, "f5tts_audio_seconds_total", "counter", "Seconds of speech that were made.");
    fprintf(to, "f5tts_audio_seconds_total %.9g\n", m->audio_seconds);
    write_counter(to, "f5tts_audio_bytes_total", "Bytes of speech, encoded.", m->audio_bytes);
    for (int i = 0; i < HISTOGRAMS; i++) write_histogram(to, &m->histograms[i]);
    fputs(gauges, to);
    if (fclose(to) == 0) return text;
    free(text);
    return NULL;
}
