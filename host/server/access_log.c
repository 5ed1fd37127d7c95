/* access_log.c — JSON objects, one a line, or lines for people. Neither holds a header but User-Agent: no key can get
 * there.
 *
 * A thread of its own writes them, since a disk that is busy or a reader of the pipe that has stopped must hold up no
 * request. Lines beyond a megabyte that wait for it are dropped, and counted. A line that a full disk tears is written
 * to its end when there is room again. */
#define _GNU_SOURCE /* pthread_timedjoin_np */
#include "host/server/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAITING_BYTES 1048576
#define LAST_SECONDS 2 /* at the end, for the lines that wait */

struct access_log {
    int fd;     /* the thread's, once it runs; -1: none */
    char *path; /* NULL: standard output */
    int format;
    char *rest; /* [rest_bytes] the thread's: of a line of which only the beginning was written */
    size_t rest_bytes;
    pthread_t thread;
    bool runs;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t news;
    char *waiting, *writing; /* [WAITING_BYTES] each: lines that wait, and those that the thread has taken */
    size_t bytes;            /* that wait */
    long dropped;            /* lines, since the last ones were written */
    bool reopens, ends;
};

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static int open_log(const char *path) {
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
}

/* How much of it could be written. */
static size_t write_some(const access_log *log, const char *bytes, size_t n) {
    size_t at = 0;
    while (at < n) {
        ssize_t done = write(log->fd, bytes + at, n - at);
        if (done < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = log->fd, .events = POLLOUT}, 1, -1);
        else if (done <= 0 && errno != EINTR)
            break;
        else if (done > 0)
            at += (size_t)done;
    }
    return at;
}

/* The end of a torn line. True: it is written, or there is none. */
static bool write_rest(access_log *log) {
    size_t done = write_some(log, log->rest, log->rest_bytes);
    log->rest_bytes -= done;
    memmove(log->rest, log->rest + done, log->rest_bytes);
    return log->rest_bytes == 0;
}

static void open_again(access_log *log) {
    int next = open_log(log->path);
    if (next < 0) {
        fprintf(stderr, "f5tts serve: %s: cannot be opened again: %s\n", log->path, strerror(errno));
        return;
    }
    write_rest(log); /* where it began, while there may be room */
    close(log->fd);
    log->fd = next;
    log->rest_bytes = 0;
}

/* Whole lines; those that cannot be written are lost: a full disk stops no server. Returns how many. */
static long write_all(access_log *log, const char *lines, size_t n) {
    size_t done = write_rest(log) ? write_some(log, lines, n) : 0;
    if (done > 0 && done < n && lines[done - 1] != '\n') {
        const char *rest = lines + done, *end = memchr(rest, '\n', n - done);
        log->rest_bytes = (size_t)(end + 1 - rest);
        memcpy(log->rest, rest, log->rest_bytes);
        done += log->rest_bytes;
    }
    long lost = 0;
    for (; done < n; done++) lost += lines[done] == '\n';
    return lost;
}

static void *write_lines(void *user) {
    access_log *log = user;
    long lost = 0; /* lines, since one could be written */
    pthread_mutex_lock(&log->lock);
    for (;;) {
        while (log->bytes == 0 && !log->reopens && !log->ends) pthread_cond_wait(&log->news, &log->lock);
        if (log->bytes == 0 && !log->reopens) break;
        char *taken = log->waiting;
        size_t bytes = log->bytes;
        long dropped = log->dropped;
        bool reopens = log->reopens;
        log->waiting = log->writing;
        log->writing = taken;
        log->bytes = 0;
        log->dropped = 0;
        log->reopens = false;
        pthread_mutex_unlock(&log->lock);
        if (reopens) open_again(log);
        long now = write_all(log, taken, bytes);
        lost += now;
        if (now == 0 && lost > 0) {
            fprintf(stderr, "f5tts serve: %ld lines of the access log were lost: they could not be written\n", lost);
            lost = 0;
        }
        if (dropped)
            fprintf(stderr, "f5tts serve: %ld lines of the access log were dropped: its reader is too slow\n", dropped);
        pthread_mutex_lock(&log->lock);
    }
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

static void append(access_log *log, const char *line, size_t bytes) {
    pthread_mutex_lock(&log->lock);
    if (bytes <= WAITING_BYTES - log->bytes) {
        memcpy(log->waiting + log->bytes, line, bytes);
        log->bytes += bytes;
    } else {
        log->dropped++;
    }
    pthread_cond_signal(&log->news);
    pthread_mutex_unlock(&log->lock);
}

/* ---- the log ----------------------------------------------------------------------------------------------------- */

f5_status access_log_open(access_log **made, const char *path, int format, f5_error *error) {
    access_log *log = calloc(1, sizeof *log);
    *made = log;
    if (!log) return f5_fail(error, F5_E_MEMORY, "no memory for a log");
    log->format = format;
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->news, NULL);
    log->fd = path ? open_log(path) : STDOUT_FILENO;
    f5_status status = F5_OK;
    if (path && log->fd < 0) status = f5_fail(error, F5_E_IO, "%.400s: cannot be written: %s", path, strerror(errno));
    if (path) log->path = strdup(path);
    log->waiting = malloc(WAITING_BYTES);
    log->writing = malloc(WAITING_BYTES);
    log->rest = malloc(WAITING_BYTES);
    if (status == F5_OK && ((path && !log->path) || !log->waiting || !log->writing || !log->rest))
        status = f5_fail(error, F5_E_MEMORY, "no memory for a log");
    if (status == F5_OK && format != LOG_NONE) {
        log->runs = pthread_create(&log->thread, NULL, write_lines, log) == 0;
        if (!log->runs) status = f5_fail(error, F5_E_MEMORY, "the system gives no threads");
    }
    if (status == F5_OK) return F5_OK;
    access_log_close(log);
    *made = NULL;
    return status;
}

void access_log_reopen(access_log *log) {
    if (!log->path || !log->runs) return;
    pthread_mutex_lock(&log->lock);
    log->reopens = true;
    pthread_cond_signal(&log->news);
    pthread_mutex_unlock(&log->lock);
}

/* A thread that still waits for its reader then keeps what is its own: the program ends. */
void access_log_close(access_log *log) {
    if (!log) return;
    if (log->runs) {
        struct timespec until;
        pthread_mutex_lock(&log->lock);
        log->ends = true;
        pthread_cond_signal(&log->news);
        pthread_mutex_unlock(&log->lock);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += LAST_SECONDS;
        if (pthread_timedjoin_np(log->thread, NULL, &until) != 0) return;
    }
    if (log->path && log->fd >= 0) close(log->fd);
    pthread_cond_destroy(&log->news);
    pthread_mutex_destroy(&log->lock);
    free(log->waiting);
    free(log->writing);
    free(log->rest);
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

static void write_json(FILE *to, const char *time, const http_record *r) {
    json_t *line = json_pack("{s:s,s:s,s:s,s:s,s:i,s:f,s:f,s:I,s:I,s:s,s:s}", "time", time, "request_id", r->request_id,
                             "method", r->method, "path", r->path, "status", r->status, "seconds", rounded(r->seconds),
                             "received", rounded(r->received), "bytes_in", (json_int_t)r->bytes_in, "bytes_out",
                             (json_int_t)r->bytes_out, "address", r->address, "user_agent", r->user_agent);
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
    if (text) fprintf(to, "%s\n", text);
    free(text);
}

/* What could forge a line or move a terminal's cursor is shown as '?'. */
static void write_word(FILE *to, const char *text) {
    for (const unsigned char *b = (const unsigned char *)text; *b; b++) {
        bool of_two = b[0] == 0xc2 && b[1] >= 0x80 && b[1] < 0xa0; /* U+0080 to U+009F */
        if (of_two) b++;
        fputc(of_two || *b < 0x20 || *b == 0x7f ? '?' : *b, to);
    }
}

static void write_text(FILE *to, const char *time, const http_record *r) {
    fprintf(to, "%s %s %s %s ", time, r->address, r->request_id, *r->method ? r->method : "-");
    write_word(to, *r->path ? r->path : "-");
    fprintf(to, " %d %.3f s %zu bytes%s", r->status, r->seconds, r->bytes_out, r->finished ? "" : " unfinished");
    for (int i = 0; i < r->n_notes; i++) {
        fprintf(to, " %s=", r->notes[i].key);
        if (r->notes[i].value)
            write_word(to, r->notes[i].value);
        else
            fprintf(to, "%.6g", r->notes[i].number);
    }
    fputc('\n', to);
}

void access_log_write(access_log *log, const http_record *record) {
    if (log->format == LOG_NONE) return;
    char time[40];
    char *line = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&line, &bytes);
    if (!to) return;
    write_time(time);
    if (log->format == LOG_JSON)
        write_json(to, time, record);
    else
        write_text(to, time, record);
    if (fclose(to) == 0) append(log, line, bytes);
    free(line);
}
