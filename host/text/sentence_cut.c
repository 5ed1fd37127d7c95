/* sentence_cut.c — ranks every place between two characters, and cuts at the best one that lies well. */
#include "host/text/char_class.h"
#include "host/text/punctuation.h"
#include "host/text/sentence.h"
#include "weights/utf8.h"

#define ZERO_WIDTH_JOINER 0x200D
#define SLACK 16 /* pieces are planned to be 15/16 of what is allowed: places to cut lie where they lie */

typedef enum {
    CUT_INSIDE,   /* inside a character with its marks: never */
    CUT_LETTERS,  /* between two letters of a word */
    CUT_UNSPACED, /* beside a Chinese character, no mark of punctuation torn off */
    CUT_SPACE,    /* before white space */
    CUT_CLAUSE,   /* after the mark that ends a clause or a sentence */
    CUT_RANKS
} cut_rank;

/* Walks along a stretch from one place between two characters to the next. */
typedef struct {
    const char *text;
    size_t bytes, at;
    uint32_t before;          /* the character before the place, 0 at first */
    bool clause, full_clause; /* the last mark but closing ones ends a clause: before white space, in any case */
    bool said;                /* something other than white space lies before */
} cut_walk;

static size_t decode(const char *text, size_t bytes, uint32_t *c) {
    size_t n = utf8_decode(text, bytes, c);
    if (n > 0 || bytes == 0) return n;
    *c = 0xFFFD;
    return 1;
}

/* Steps over one character. false: the stretch ends. */
static bool step(cut_walk *w) {
    uint32_t c;
    size_t n = decode(w->text + w->at, w->bytes - w->at, &c);
    if (n == 0) return false;
    if (!mark_closes(c)) {
        w->clause = mark_is_clause(c) || mark_is_stop(c) || c == '-';
        w->full_clause = mark_is_full_clause(c) || mark_is_full(c);
        if (c == '-') w->clause = char_is_space(w->before); /* " - " */
    } else if (c == ')' || c == 0xFF09) {
        w->clause = true;
        w->full_clause = w->full_clause || c == 0xFF09;
    }
    w->said = w->said || !char_is_space(c);
    w->before = c;
    w->at += n;
    return true;
}

/* The rank of a cut where the walk stands. */
static cut_rank rank_here(const cut_walk *w) {
    uint32_t c = 0;
    decode(w->text + w->at, w->bytes - w->at, &c);
    if (!w->said || char_is_mark(c) || w->before == ZERO_WIDTH_JOINER) return CUT_INSIDE;
    bool space = char_is_space(c), after_space = char_is_space(w->before);
    bool torn = mark_is_stop(c) || mark_is_clause(c) || mark_is_full_clause(c) || (mark_closes(c) && !mark_opens(c));
    if (w->full_clause && !torn && !after_space) return CUT_CLAUSE;
    if (space && !after_space) return w->clause ? CUT_CLAUSE : CUT_SPACE;
    bool opening = mark_opens(w->before) && !mark_closes(w->before);
    bool unspaced = char_is_unspaced(c) || char_is_unspaced(w->before);
    return unspaced && !torn && !opening && !space && !after_space ? CUT_UNSPACED : CUT_LETTERS;
}

static size_t distance(size_t a, size_t b) {
    return a > b ? a - b : b - a;
}

/* The first character, though it is longer than allowed: as much of it as there is. */
static size_t first_character(const char *text, size_t bytes) {
    uint32_t c;
    return decode(text, bytes, &c);
}

/* The places of each rank up to max: in `nearest` the one nearest to the target of those from low on, in `last` the
 * last one before low; 0 where there is none. Gives the last place of all, of any rank. */
static size_t find_places(const char *text, size_t bytes, size_t max, size_t low, size_t target,
                          size_t nearest[CUT_RANKS], size_t last[CUT_RANKS]) {
    size_t any = 0;
    for (int i = 0; i < CUT_RANKS; i++) nearest[i] = last[i] = 0;
    cut_walk w = {.text = text, .bytes = bytes};
    while (step(&w) && w.at <= max) {
        cut_rank rank = rank_here(&w);
        any = w.at;
        if (w.at < low)
            last[rank] = w.at;
        else if (nearest[rank] == 0 || distance(w.at, target) <= distance(nearest[rank], target))
            nearest[rank] = w.at;
    }
    return any;
}

size_t sentence_cut(const char *text, size_t bytes, size_t max_bytes) {
    if (bytes <= max_bytes) return bytes;
    size_t full = max_bytes > 1 ? max_bytes - max_bytes / SLACK : 1;
    size_t pieces = bytes / full + (bytes % full != 0);
    size_t target = bytes / pieces + (bytes % pieces != 0);
    size_t nearest[CUT_RANKS], last[CUT_RANKS];
    size_t any = find_places(text, bytes, max_bytes, (target + 1) / 2, target, nearest, last);
    for (int rank = CUT_CLAUSE; rank >= CUT_UNSPACED; rank--)
        if (nearest[rank] > 0) return nearest[rank];
    for (int rank = CUT_CLAUSE; rank >= CUT_UNSPACED; rank--)
        if (last[rank] > 0) return last[rank];
    if (nearest[CUT_LETTERS] > 0) return nearest[CUT_LETTERS];
    if (last[CUT_LETTERS] > 0) return last[CUT_LETTERS];
    return any > 0 ? any : first_character(text, bytes);
}

size_t sentence_last_cut(const char *text, size_t max_bytes) {
    size_t last[CUT_RANKS], early[CUT_RANKS];
    size_t any = find_places(text, max_bytes, max_bytes - 4, max_bytes / 4, max_bytes, last, early);
    for (int rank = CUT_CLAUSE; rank >= CUT_LETTERS; rank--)
        if (last[rank] > 0) return last[rank];
    return any > 0 ? any : first_character(text, max_bytes);
}
