/* speech_subtitles.c — the library's marks become entries; words are estimated. */
#include "host/program/speech_subtitles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/program/grow.h"

static f5_status no_memory(f5_error *error) {
    return f5_fail(error, F5_E_MEMORY, "no memory for subtitles");
}

static f5_status add_entry(speech_subtitles *s, subtitle_kind kind, double start, double end, const char *text,
                           size_t bytes, f5_error *error) {
    int64_t room = (int64_t)s->room;
    if (!grow((void **)&s->entry, (int64_t)s->n, 1, &room, sizeof *s->entry)) return no_memory(error);
    s->room = (size_t)room;
    char *copy = malloc(bytes + 1);
    if (!copy) return no_memory(error);
    memcpy(copy, text, bytes);
    s->entry[s->n++] = (subtitle_entry){start, end, copy, bytes, kind};
    return F5_OK;
}

/* The words of a sentence share its time by their bytes. */
static f5_status add_words(speech_subtitles *s, const f5_mark *m, f5_error *error) {
    static const char space[] = " \t\r\n";
    for (size_t at = 0; at < m->bytes;) {
        size_t begin = at;
        while (begin < m->bytes && strchr(space, m->text[begin])) begin++;
        size_t end = begin;
        while (end < m->bytes && !strchr(space, m->text[end])) end++;
        double length = m->end - m->start, bytes = (double)m->bytes;
        if (end > begin)
            F5_TRY(add_entry(s, SUBTITLE_WORD, m->start + length * (double)begin / bytes,
                             m->start + length * (double)end / bytes, m->text + begin, end - begin, error));
        at = end;
    }
    return F5_OK;
}

f5_status speech_subtitles_take(speech_subtitles *s, const f5_audio *a, double frame, f5_error *error) {
    if (a->mel_frames > 0) {
        double length = (double)(a->mel_frames - 1) * frame;
        F5_TRY(add_entry(s, SUBTITLE_CHUNK, a->seconds, a->seconds + length, a->text, a->text_bytes, error));
    }
    for (int32_t i = 0; i < a->n_marks; i++) {
        const f5_mark *m = &a->marks[i];
        F5_TRY(add_entry(s, SUBTITLE_SENTENCE, m->start, m->end, m->text, m->bytes, error));
        F5_TRY(add_words(s, m, error));
    }
    return F5_OK;
}

/* What overlaps is shown until the next begins; nothing goes on after the output's end. */
static void trim(speech_subtitles *s, double seconds) {
    subtitle_entry *before[SUBTITLE_WORD + 1] = {0};
    for (size_t i = 0; i < s->n; i++) {
        subtitle_entry *e = &s->entry[i], *b = before[e->kind];
        if (b && b->end > e->start) b->end = fmax(b->start, e->start);
        before[e->kind] = e;
    }
    for (int kind = 0; kind <= SUBTITLE_WORD; kind++)
        if (before[kind] && before[kind]->end > seconds) before[kind]->end = fmax(before[kind]->start, seconds);
}

f5_status speech_subtitles_end(speech_subtitles *s, const char *path, double seconds, f5_error *error) {
    trim(s, seconds);
    return subtitles_write(path, s->entry, s->n, error);
}

void speech_subtitles_free(speech_subtitles *s) {
    for (size_t i = 0; i < s->n; i++) free((char *)s->entry[i].text);
    free(s->entry);
    *s = (speech_subtitles){0};
}
