/* chunk.c — sentences are found by one scan of the text and packed greedily; a chunk is a range of the text, and
 * reading it finds its sentences again. */
#include "host/text/chunk.h"

#include <string.h>

#include "host/text/char_class.h"
#include "weights/utf8.h"

static bool is_full_width_stop(uint32_t c) {
    return c == 0xFF1B || c == 0xFF1A || c == 0xFF0C || c == 0x3002 || c == 0xFF01 || c == 0xFF1F;
}

static size_t space_run(const char *text, size_t bytes) {
    size_t at = 0;
    for (uint32_t c; at < bytes;) {
        size_t n = utf8_decode(text + at, bytes - at, &c);
        if (n == 0 || !char_is_space(c)) break;
        at += n;
    }
    return at;
}

bool chunk_is_blank(const char *text, size_t bytes) {
    return space_run(text, bytes) == bytes;
}

/* The piece at the start of the text. */
typedef struct {
    size_t bytes; /* with its stop; of a piece that is not whole, what is known of it */
    size_t next;  /* where the one after it begins, as far as the text goes */
    bool whole;   /* no text that may follow changes bytes, */
    bool settled; /* nor next */
} piece;

/* false: malformed. last: no text follows. */
static bool find_piece(const char *text, size_t bytes, bool last, piece *p) {
    for (size_t at = 0; at < bytes;) {
        uint32_t c;
        size_t n = utf8_decode(text + at, bytes - at, &c);
        if (n == 0) return false;
        at += n;
        if (is_full_width_stop(c)) {
            *p = (piece){.bytes = at, .next = at, .whole = true, .settled = true};
            return true;
        }
        size_t spaces = c < 0x80 && c != 0 && strchr(";:,.!?", (int)c) ? space_run(text + at, bytes - at) : 0;
        if (spaces > 0) {
            *p = (piece){.bytes = at, .next = at + spaces, .whole = true, .settled = last || at + spaces < bytes};
            return true;
        }
    }
    *p = (piece){.bytes = bytes, .next = bytes, .whole = last, .settled = last};
    return true;
}

size_t chunk_piece(const char *text, size_t bytes, bool last, bool *whole) {
    piece p;
    *whole = false;
    if (!find_piece(text, bytes, last, &p)) return 0;
    *whole = p.whole;
    return p.bytes;
}

/* Strips white space off both ends of a chunk. */
static void strip(chunk *c) {
    size_t start = space_run(c->text, c->bytes), end = start;
    for (size_t at = start; at < c->bytes;) {
        uint32_t code = 0;
        size_t n = utf8_decode(c->text + at, c->bytes - at, &code);
        if (n == 0) break;
        at += n;
        if (!char_is_space(code)) end = at;
    }
    c->text += start;
    c->bytes = end - start;
}

bool chunk_read(const chunk *c, size_t *at, chunk_sentence *sentence) {
    piece p;
    if (*at >= c->bytes || !find_piece(c->text + *at, c->bytes - *at, true, &p)) return false;
    *sentence = (chunk_sentence){.text = c->text + *at, .bytes = p.bytes};
    *at += p.next;
    sentence->space = *at < c->bytes && (unsigned char)sentence->text[p.bytes - 1] < 0x80;
    return true;
}

void chunk_of(const char *text, size_t bytes, chunk *c) {
    *c = (chunk){.text = text, .bytes = bytes};
    strip(c);
    chunk_sentence sentence;
    for (size_t from = 0; chunk_read(c, &from, &sentence);)
        c->spoken_bytes += sentence.bytes + (sentence.space ? 1 : 0);
}

f5_status chunk_next(const char *text, size_t bytes, bool last, size_t *at, int64_t max_bytes, chunk *c,
                     f5_error *error) {
    size_t held = 0, from = *at, end = from, next = from; /* held: bytes of the pieces taken, each with its space */
    bool blank = true;
    *c = (chunk){0};
    while (next < bytes) {
        piece p;
        if (!find_piece(text + next, bytes - next, last, &p))
            return f5_fail(error, F5_E_FORMAT, "malformed UTF-8 at byte %zu",
                           next + utf8_valid_prefix(text + next, bytes - next));
        if (held > 0 && (int64_t)(held + p.bytes) > max_bytes) {
            if (!blank) break;
            held = 0; /* a chunk of nothing but white space is none */
        }
        if (!p.settled) return F5_OK;
        blank = blank && chunk_is_blank(text + next, p.bytes);
        end = next + p.bytes;
        held += p.bytes + ((unsigned char)text[end - 1] < 0x80 ? 1 : 0);
        next += p.next;
    }
    if (next >= bytes && !last) return F5_OK;
    *at = next;
    chunk_of(text + from, end - from, c);
    return F5_OK;
}
