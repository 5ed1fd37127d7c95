/* subtitles.c — three formats of one list of texts with times. */
#include "host/files/subtitles.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/files/json_text.h"
#include "host/files/output_file.h"
#include "host/files/subtitle_lines.h"
#include "weights/utf8.h"

typedef enum { FORMAT_SRT, FORMAT_VTT, FORMAT_JSON, FORMAT_NONE } subtitle_format;

static subtitle_format format_of(const char *path) {
    static const char *const endings[] = {".srt", ".vtt", ".json"};
    const char *name = strrchr(path, '/');
    const char *dot = strrchr(name ? name : path, '.');
    for (int i = 0; dot && i < FORMAT_NONE; i++)
        if (strcasecmp(dot, endings[i]) == 0) return (subtitle_format)i;
    return FORMAT_NONE;
}

f5_status subtitles_check(const char *path, f5_error *error) {
    if (format_of(path) != FORMAT_NONE) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "%s: subtitles are written as .srt, .vtt or .json: give one of these endings",
                   path);
}

/* ---- .srt and .vtt ----------------------------------------------------------------------------------------------- */

typedef struct {
    FILE *to;
    subtitle_format format;
    int shown; /* parts so far */
} writer;

static void write_time(const writer *w, double seconds) {
    long long ms = llround(seconds * 1000);
    fprintf(w->to, "%02lld:%02lld:%02lld%c%03lld", ms / 3600000, ms / 60000 % 60, ms / 1000 % 60,
            w->format == FORMAT_SRT ? ',' : '.', ms % 1000);
}

/* A line's text: runs of white space and control characters as one space, stray bytes replaced, VTT's own escaped. */
static void write_line(const writer *w, const char *text, size_t bytes) {
    bool space = false;
    for (size_t at = 0; at < bytes;) {
        uint32_t code = 0;
        size_t n = utf8_decode(text + at, bytes - at, &code);
        const char *piece = text + at;
        size_t length = n;
        if (n == 0) piece = "\xEF\xBF\xBD", length = 3;
        at += n ? n : 1;
        if (n && (code <= 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029)) {
            space = true;
            continue;
        }
        if (space) putc(' ', w->to);
        space = false;
        if (w->format == FORMAT_VTT && (code == '&' || code == '<' || code == '>'))
            fputs(code == '&' ? "&amp;" : code == '<' ? "&lt;" : "&gt;", w->to);
        else
            fwrite(piece, 1, length, w->to);
    }
    putc('\n', w->to);
}

static void begin_part(writer *w, double start, double end) {
    if (w->format == FORMAT_SRT || w->shown > 0) {
        if (w->shown > 0) putc('\n', w->to);
        if (w->format == FORMAT_SRT) fprintf(w->to, "%d\n", w->shown + 1);
    } else {
        fputs("WEBVTT\n\n", w->to);
    }
    w->shown++;
    write_time(w, start);
    fputs(" --> ", w->to);
    write_time(w, end);
    putc('\n', w->to);
}

/* An entry's parts of at most two lines share its time by their columns. */
static void write_entry(writer *w, const subtitle_entry *e) {
    subtitle_text text = {e->text, e->text + e->bytes};
    const char *line[2];
    size_t bytes[2], columns, total = 0, done = 0;
    while ((columns = subtitle_next_line(&text, &line[0], &bytes[0])) > 0) total += columns;
    double end = fmax(e->end, e->start + 0.001); /* a part of no time would be none */
    text = (subtitle_text){e->text, e->text + e->bytes};
    while ((columns = subtitle_next_line(&text, &line[0], &bytes[0])) > 0) {
        size_t second = subtitle_next_line(&text, &line[1], &bytes[1]);
        double from = (double)done / (double)total, to = (double)(done + columns + second) / (double)total;
        begin_part(w, e->start + (end - e->start) * from, e->start + (end - e->start) * to);
        write_line(w, line[0], bytes[0]);
        if (second > 0) write_line(w, line[1], bytes[1]);
        done += columns + second;
    }
}

static void write_shown(writer *w, const subtitle_entry *entries, size_t n) {
    subtitle_kind kind = SUBTITLE_CHUNK;
    for (size_t i = 0; i < n; i++)
        if (entries[i].kind == SUBTITLE_SENTENCE) kind = SUBTITLE_SENTENCE;
    for (size_t i = 0; i < n; i++)
        if (entries[i].kind == kind) write_entry(w, &entries[i]);
    if (w->shown == 0 && w->format == FORMAT_VTT) fputs("WEBVTT\n", w->to);
}

/* ---- .json ------------------------------------------------------------------------------------------------------- */

static void write_json(FILE *to, const subtitle_entry *entries, size_t n) {
    static const char *const names[] = {"chunks", "sentences", "words"};
    putc('{', to);
    for (int kind = 0; kind <= SUBTITLE_WORD; kind++) {
        int written = 0;
        fprintf(to, "%s\n  \"%s\": [", kind ? "," : "", names[kind]);
        for (size_t i = 0; i < n; i++) {
            const subtitle_entry *e = &entries[i];
            if ((int)e->kind != kind) continue;
            fprintf(to, "%s\n    {\"start\": %.3f, \"end\": %.3f, \"text\": ", written++ ? "," : "", e->start, e->end);
            json_write_string(to, e->text, e->bytes);
            fputs(kind == SUBTITLE_WORD ? ", \"estimated\": true}" : "}", to);
        }
        fputs(written ? "\n  ]" : "]", to);
    }
    fputs("\n}\n", to);
}

/* ------------------------------------------------------------------------------------------------------------------ */

f5_status subtitles_write(const char *path, const subtitle_entry *entries, size_t n, f5_error *error) {
    F5_TRY(subtitles_check(path, error));
    for (size_t i = 0; i < n; i++)
        if (!(entries[i].start >= 0 && entries[i].start <= entries[i].end && entries[i].end < 1e9))
            return f5_fail(error, F5_E_ARGUMENT, "%s: entry %zu begins at %g s and ends at %g s", path, i,
                           entries[i].start, entries[i].end);
    output_file out;
    F5_TRY(output_begin(&out, path, error));
    writer w = {.to = out.stream, .format = format_of(path)};
    if (w.format == FORMAT_JSON)
        write_json(out.stream, entries, n);
    else
        write_shown(&w, entries, n);
    return output_commit(&out, error);
}
