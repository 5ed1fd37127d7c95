/* reader.c — chunks are cut off the front of the prepared text of a segment; reader_source.c adds to its end. */
#include "host/text/reader.h"

#include <string.h>

#include "host/text/duration.h"
#include "host/text/sentence.h"
#include "weights/utf8.h"

#define FIRST_LEAST_BYTES 16 /* of a first chunk that is to be short */
#define MOST_SENTENCES 64    /* of a chunk of whole sentences */
#define LEAST_BYTES 60       /* no shorter stretch is cut, however little room a long reference leaves */
#define STRETCH 4            /* a stretch without stops is looked at for so many chunks */

void reader_begin(reader *r, const reader_rules *rules, reader_memory *memory) {
    *r = (reader){.rules = rules, .memory = memory, .rate = 1, .next_rate = 1};
    r->prepared = (text_buffer){.text = memory->prepared, .capacity = sizeof memory->prepared};
    r->original = (text_buffer){.text = memory->original, .capacity = sizeof memory->original};
    r->ssml.run = (text_buffer){.text = memory->run, .capacity = sizeof memory->run};
}

static void begin_segment(reader *r) {
    r->segment += r->segment_spoken ? 1 : 0;
    r->segment_spoken = r->segment_ended = false;
    r->voice = r->next_voice;
    r->rate = r->next_rate;
    r->pause += r->next_pause;
    r->next_pause = 0;
}

void reader_feed(reader *r, const char *text, size_t bytes, bool last) {
    r->text_at += (int64_t)r->at;
    r->text = text;
    r->bytes = bytes;
    r->at = 0;
    r->last = last;
    if (!r->source_ended) return;
    r->source_ended = false; /* another text after the end of one */
    r->next_voice = 0;
    begin_segment(r);
}

size_t reader_unread(const reader *r) {
    return r->bytes - r->at;
}

void reader_release(reader *r) {
    r->in_flight = false;
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

/* What the engine has room for, at least 1. */
static int64_t room(const reader_voice *v, float rate) {
    double bytes = v->room_bytes * (double)(v->speed * rate);
    if (bytes > v->most_bytes) bytes = v->most_bytes;
    return bytes < 1 ? 1 : bytes < READER_MAX_CHUNK ? (int64_t)bytes : READER_MAX_CHUNK;
}

int64_t reader_limit(const reader_voice *v, float rate) {
    int64_t limit = duration_max_chunk_bytes(v->transcript, v->transcript_bytes, v->seconds, v->speed * rate);
    int64_t most = room(v, rate);
    return limit < most ? limit : most;
}

/* The limit of the next chunk: *soft is what it should have, *hard what it must not pass, which is at least 1. */
static void limits(const reader *r, int64_t *soft, int64_t *hard) {
    const reader_voice *v = &r->rules->voices[r->voice];
    *hard = *soft = reader_limit(v, r->rate);
    int64_t most = room(v, r->rate);
    if (*hard < 1) *hard = most; /* then every sentence is a chunk */
    if (*hard < LEAST_BYTES) *hard = LEAST_BYTES < most ? LEAST_BYTES : most;
    double first = r->rules->first_chunk;
    if (first == 0 || *soft < 1) return;
    if (first > 0) {
        if (r->chunks > 0) return;
        double pace = (double)v->transcript_bytes / v->seconds * (double)(v->speed * r->rate);
        int64_t wanted = (int64_t)(pace * first);
        if (wanted < FIRST_LEAST_BYTES) wanted = FIRST_LEAST_BYTES;
        if (wanted < *soft) *soft = wanted;
        if (*soft + *soft / 2 < *hard) *hard = *soft + *soft / 2;
    } else if (r->rules->chunking == READER_UPSTREAM) {
        if (r->cut < r->region[1])
            *soft /= 4;
        else if (r->cut < r->region[0])
            *soft /= 2;
    } else if (r->chunks < 2) {
        *soft /= r->chunks == 0 ? 4 : 2;
    }
}

/* ---- cutting ----------------------------------------------------------------------------------------------------- */

/* Text to be cut: it begins where the last chunk ended. */
typedef struct {
    size_t end; /* of the prepared text */
    bool last;  /* the chunk may not go on after it */
} stretch;

/* The first sentence that is not wholly taken and ends what no chunk may cross; the number of sentences if none. */
static int32_t find_border(const reader *r, bool every_sentence) {
    int32_t i = r->first;
    while (i < r->n_sentences && !every_sentence &&
           !(r->rules->paragraph_pause > 0 && r->memory->sentences[i].paragraph))
        i++;
    return i;
}

/* Makes the first bytes of what is left the chunk. */
static void take(reader *r, size_t bytes, reader_chunk *c) {
    chunk_of(r->prepared.text + r->cut, bytes, &c->chunk);
    r->cut += bytes;
}

/* What a part of a longer stretch may have. */
static size_t part_bytes(const reader *r, int64_t soft, int64_t hard) {
    return (size_t)(r->rules->first_chunk > 0 && r->chunks == 0 ? soft : hard);
}

/* Bytes of the sentence, in chunk_next's sense, that comes next, where it is longer than the limit; of one that is very
 * long, as many as are looked at. 0: it fits, or its end is not known yet. */
static size_t long_piece(const reader *r, const stretch *s, int64_t limit) {
    const char *text = r->prepared.text + r->cut;
    size_t most = (size_t)limit * STRETCH;
    bool whole;
    size_t n = chunk_piece(text, s->end - r->cut, s->last, &whole);
    if (n <= (size_t)limit || (!whole && n <= most)) return 0;
    if (n <= most) return n;
    n = most;
    while (n > 1 && ((unsigned char)text[n] & 0xc0) == 0x80) n--;
    return n;
}

/* The first part of such a sentence. */
static bool take_part(reader *r, const stretch *s, int64_t soft, int64_t hard, reader_chunk *c) {
    size_t n = long_piece(r, s, hard);
    if (n > 0) take(r, sentence_cut(r->prepared.text + r->cut, n, part_bytes(r, soft, hard)), c);
    return n > 0;
}

/* Upstream's rule. */
static f5_status cut_pieces(reader *r, const stretch *s, int64_t soft, int64_t hard, reader_chunk *c, f5_error *error) {
    if (take_part(r, s, soft, hard, c)) return F5_OK;
    return chunk_next(r->prepared.text, s->end, s->last, &r->cut, soft, &c->chunk, error);
}

/* Upstream's short first chunks: the first chunk is cut again into halves of the limit, and the first of these into
 * quarters. Where it is a part of a longer stretch, its first quarter comes by itself. */
static f5_status find_regions(reader *r, const stretch *s, int64_t limit, f5_error *error) {
    size_t at = r->cut, n = long_piece(r, s, limit);
    if (n > 0) {
        r->region[0] = at + sentence_cut(r->prepared.text + at, n, (size_t)limit);
        r->region[1] = at + sentence_cut(r->prepared.text + at, r->region[0] - at, (size_t)(limit < 4 ? 1 : limit / 4));
        return F5_OK;
    }
    chunk c;
    F5_TRY(chunk_next(r->prepared.text, s->end, s->last, &at, limit, &c, error));
    if (!c.text) return F5_OK;
    r->region[0] = at;
    at = r->cut;
    F5_TRY(chunk_next(r->prepared.text, r->region[0], true, &at, limit / 2, &c, error));
    r->region[1] = at;
    return F5_OK;
}

static f5_status cut_upstream(reader *r, reader_chunk *c, f5_error *error) {
    int32_t border = find_border(r, false);
    stretch s = {.end = r->prepared.bytes, .last = r->segment_ended || r->crowded};
    if (border < r->n_sentences) s = (stretch){.end = (size_t)r->memory->sentences[border].to, .last = true};
    int64_t soft, hard;
    limits(r, &soft, &hard);
    if (r->rules->first_chunk < 0 && soft >= 1 && r->chunks == 0 && r->region[0] == 0) {
        F5_TRY(find_regions(r, &s, hard, error));
        if (r->region[0] == 0) return F5_OK;
        limits(r, &soft, &hard);
    }
    for (int i = 1; i >= 0; i--)
        if (r->cut < r->region[i]) {
            s = (stretch){.end = r->region[i], .last = true};
            break;
        }
    return cut_pieces(r, &s, soft, hard, c, error);
}

/* Whole sentences: as many as fit, or one. */
static void cut_sentences(reader *r, reader_chunk *c) {
    const reader_sentence *s = r->memory->sentences;
    bool each = r->rules->chunking == READER_EACH_SENTENCE || r->rules->sentence_pause > 0;
    int64_t soft, hard;
    limits(r, &soft, &hard);
    int32_t border = find_border(r, each), n = r->first;
    if (n >= r->n_sentences) {
        if (r->segment_ended) r->cut = r->prepared.bytes;
        return;
    }
    int32_t most = r->first + MOST_SENTENCES;
    while (n < r->n_sentences && n <= border && n < most && (int64_t)((size_t)s[n].to - r->cut) <= soft) n++;
    size_t first = (size_t)s[r->first].to - r->cut;
    bool certain = n < r->n_sentences || n > border || n == most || r->segment_ended || r->crowded;
    if (n == r->first && (int64_t)first > hard)
        take(r, sentence_cut(r->prepared.text + r->cut, first, part_bytes(r, soft, hard)), c);
    else if (n == r->first)
        take(r, first, c);
    else if (certain)
        take(r, (size_t)s[n - 1].to - r->cut, c);
}

/* ---- a chunk ----------------------------------------------------------------------------------------------------- */

/* Passes the white space before the next chunk, and the sentences that are taken. What was the last sentence taken
 * whole ends; NULL: none was. */
static const reader_sentence *pass_sentences(reader *r) {
    const reader_sentence *ended = NULL;
    while (r->first < r->n_sentences && (size_t)r->memory->sentences[r->first].to <= r->cut)
        ended = &r->memory->sentences[r->first++];
    bool between = r->first >= r->n_sentences || (size_t)r->memory->sentences[r->first].from >= r->cut;
    return between ? ended : NULL;
}

static void finish(reader *r, reader_chunk *c) {
    c->from = (int32_t)(c->chunk.text - r->prepared.text);
    c->to = c->from + (int32_t)c->chunk.bytes;
    c->voice = r->voice;
    c->segment = r->segment;
    c->speed = r->rules->voices[r->voice].speed * r->rate;
    c->pause_before = r->pause > 0 || r->chunks == 0 ? r->pause : r->natural_pause;
    r->pause = r->natural_pause = 0;
    const reader_sentence *ended = pass_sentences(r);
    const reader_rules *rules = r->rules;
    if (ended && ended->stopped)
        r->natural_pause =
            ended->paragraph && rules->paragraph_pause > 0 ? rules->paragraph_pause : rules->sentence_pause;
    bool more = !r->segment_ended || !chunk_is_blank(r->prepared.text + r->cut, r->prepared.bytes - r->cut);
    c->joins = more && r->natural_pause == 0;
    c->pause_follows = r->natural_pause > 0 || (!more && r->next_pause > 0);
    r->segment_spoken = r->in_flight = true;
    r->chunks++;
}

static f5_status cut(reader *r, reader_chunk *c, f5_error *error) {
    c->chunk = (chunk){0};
    bool sentences = r->rules->chunking != READER_UPSTREAM || r->rules->sentence_pause > 0;
    do {
        size_t before = r->cut;
        if (sentences)
            cut_sentences(r, c);
        else
            F5_TRY(cut_upstream(r, c, error));
        if (r->cut == before) break;
        if (c->chunk.spoken_bytes == 0) pass_sentences(r); /* white space alone */
    } while (c->chunk.spoken_bytes == 0);
    return F5_OK;
}

f5_status reader_next(reader *r, reader_outcome *outcome, reader_chunk *c, f5_error *error) {
    *c = (reader_chunk){0};
    for (;;) {
        F5_TRY(cut(r, c, error));
        if (c->chunk.spoken_bytes > 0) {
            finish(r, c);
            r->crowded = false;
            *outcome = READER_CHUNK;
            return F5_OK;
        }
        if (r->segment_ended && r->source_ended) {
            c->pause_before = r->pause + r->next_pause;
            r->pause = r->next_pause = 0;
            *outcome = READER_END;
            return F5_OK;
        }
        if (r->segment_ended) {
            begin_segment(r);
            continue;
        }
        reader_fill_outcome filled;
        F5_TRY(reader_fill(r, &filled, error));
        bool crowded = r->crowded;
        r->crowded = filled == READER_NO_ROOM && !r->in_flight;
        if (filled == READER_ADDED || (r->crowded && !crowded)) continue;
        if (r->crowded) return f5_fail(error, F5_E_LIMIT, "a chunk has more text than there is room for");
        *outcome = filled == READER_NO_TEXT ? READER_WAIT : READER_FULL;
        return F5_OK;
    }
}

int32_t reader_chunk_sentences(const reader *r, const reader_chunk *c, int32_t *first) {
    int32_t i = 0, n = 0;
    while (i < r->n_sentences && r->memory->sentences[i].to <= c->from) i++;
    while (i + n < r->n_sentences && r->memory->sentences[i + n].from < c->to) n++;
    *first = i;
    return n;
}

size_t reader_chunk_at(const reader *r, const reader_chunk *c) {
    int32_t first;
    if (reader_chunk_sentences(r, c, &first) == 0) return 0;
    const reader_sentence *s = &r->memory->sentences[first];
    return s->at < 0 ? 0 : (size_t)(s->at + (c->from > s->from ? c->from - s->from : 0));
}
