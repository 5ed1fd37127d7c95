/* access_log.c — JSON objects, one a line, or lines for people. Neither holds a header but User-Agent: no key can get
 * there. */
#include "host/server/access_log.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct access_log {
    FILE *file;
    char *path; /* NULL: standard output */
    int format;
};

f5_status access_log_open(access_log **made, const char *path, int format, f5_error *error) {
    access_log *log = calloc(1, sizeof *log);
    *made = log;
    if (!log) return f5_fail(error, F5_E_MEMORY, "no memory for a log");
    log->format = format;
    log->file = path ? fopen(path, "ae") : stdout;
    if (path) log->path = strdup(path);
    if (log->file && (!path || log->path)) return F5_OK;
    f5_fail(error, F5_E_IO, "%.400s: cannot be written: %s", path, strerror(errno));
    access_log_close(log);
    *made = NULL;
    return F5_E_IO;
}

void access_log_reopen(access_log *log) {
    if (!log->path) return;
    FILE *next = fopen(log->path, "ae");
    if (!next) {
        fprintf(stderr, "f5tts serve: %s: cannot be opened again: %s\n", log->path, strerror(errno));
        return;
    }
    fclose(log->file);
    log->file = next;
}

void access_log_close(access_log *log) {
    if (!log) return;
    if (log->path && log->file) fclose(log->file);
    free(log->path);
    free(log);
}

static void write_time(char text[40]) {
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + n, 40 - n, ".%03ldZ", now.tv_nsec / 1000000);
}

static double rounded(double seconds) {
    return round(seconds * 1e6) / 1e6;
}

static void write_json(access_log *log, const char *time, const http_record *r) {
    json_t *line = json_pack("{s:s,s:s,s:s,s:s,s:i,s:f,s:I,s:I,s:s,s:s}", "time", time, "request_id", r->request_id,
                             "method", r->method, "path", r->path, "status", r->status, "seconds", rounded(r->seconds),
                             "bytes_in", (json_int_t)r->bytes_in, "bytes_out", (json_int_t)r->bytes_out, "address",
                             r->address, "user_agent", r->user_agent);
    if (!line) { /* a header that is not UTF-8 */
        line = json_pack("{s:s,s:s,s:s,s:i,s:f,s:s}", "time", time, "request_id", r->request_id, "method", r->method,
                         "status", r->status, "seconds", rounded(r->seconds), "address", r->address);
    }
    if (line && !r->finished) json_object_set_new(line, "finished", json_false());
    for (int i = 0; line && i < r->n_notes; i++) {
        const http_noted *n = &r->notes[i];
        json_object_set_new(line, n->key, n->value ? json_string(n->value) : json_real(rounded(n->number)));
    }
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(line);
    if (text) fprintf(log->file, "%s\n", text);
    free(text);
}

/* What could forge a line or move a terminal's cursor is shown as '?'. */
static void write_word(access_log *log, const char *text) {
    for (const unsigned char *b = (const unsigned char *)text; *b; b++) {
        bool of_two = b[0] == 0xc2 && b[1] >= 0x80 && b[1] < 0xa0; /* U+0080 to U+009F */
        if (of_two) b++;
        fputc(of_two || *b < 0x20 || *b == 0x7f ? '?' : *b, log->file);
    }
}

static void write_text(access_log *log, const char *time, const http_record *r) {
    fprintf(log->file, "%s %s %s %s ", time, r->address, r->request_id, *r->method ? r->method : "-");
    write_word(log, *r->path ? r->path : "-");
    fprintf(log->file, " %d %.3f s %zu bytes%s", r->status, r->seconds, r->bytes_out, r->finished ? "" : " unfinished");
    for (int i = 0; i < r->n_notes; i++) {
        fprintf(log->file, " %s=", r->notes[i].key);
        if (r->notes[i].value)
            write_word(log, r->notes[i].value);
        else
            fprintf(log->file, "%.6g", r->notes[i].number);
    }
    fputc('\n', log->file);
}

void access_log_write(access_log *log, const http_record *record) {
    if (log->format == LOG_NONE) return;
    char time[40];
    write_time(time);
    if (log->format == LOG_JSON)
        write_json(log, time, record);
    else
        write_text(log, time, record);
    fflush(log->file);
}
