/* sentence.c — one scan to the first stop, blank line or line end that ends the sentence. */
#include "host/text/sentence.h"

#include <string.h>

#include "host/text/char_class.h"
#include "host/text/growing_text.h"
#include "host/text/punctuation.h"
#include "host/text/sentence_lines.h"
#include "host/text/sentence_words.h"

#define MAX_WORD 32     /* bytes of a word that is looked at */
#define MAX_OPENING 8   /* characters before the first letter of the next word */
#define HESITATION 2    /* "这个……" before a letter: so few characters before …… are no sentence */
#define URL_LOOKBACK 96 /* bytes before a stop in which :// or @ makes a URL of its word */

/* A run of white space. */
typedef struct {
    size_t end;
    int line_ends;
    bool at_end; /* the text ends after it, or it is longer than any is read */
} gap;

static gap read_gap(growing_text *t, size_t at) {
    gap g = {.end = at};
    for (uint32_t c, before = 0;; before = c) {
        size_t n = growing_peek(t, g.end, &c);
        g.at_end = n == 0 || g.end + n - at > SENTENCE_MAX_BYTES;
        if (g.at_end || !char_is_space(c)) return g;
        g.line_ends += mark_line_ends(c, before);
        g.end += n;
    }
}

/* A stop: the marks of a run, with what closes after them. */
typedef struct {
    size_t start, end;
    int dots, ellipses, exclaims, fulls;
    bool closed;
} stop;

/* "[12]" or "²" right after a stop: its bytes. */
static size_t footnote(growing_text *t, size_t at) {
    uint32_t c;
    size_t n = growing_peek(t, at, &c);
    if (c == 0xB2 || c == 0xB3 || c == 0xB9 || (c >= 0x2070 && c <= 0x2079)) return n;
    if (c != '[') return 0;
    for (int digits = 0; digits <= 3; digits++, n++) {
        if (growing_peek(t, at + n, &c) == 0) return 0;
        if (c == ']') return digits > 0 ? n + 1 : 0;
        if (c < '0' || c > '9') return 0;
    }
    return 0;
}

/* " ." of ". . .", not " .NET"? */
static bool spaced_dot(growing_text *t, size_t at) {
    uint32_t c;
    growing_peek(t, at + 1, &c);
    if (c != '.') return false;
    growing_peek(t, at + 2, &c);
    return !char_is_word(c);
}

/* The bytes of a closing quote at `at` that elsewhere opens („Ja.“, »Ja.«) or stands apart (« Oui. »), 0 for none: no
 * letter follows it. */
static size_t foreign_quote(growing_text *t, size_t at) {
    uint32_t c, after;
    size_t n = growing_peek(t, at, &c);
    if (char_is_space(c)) {
        n += growing_peek(t, at + n, &c);
        if (c != 0xBB) return 0;
    } else if (c != 0x201C && c != 0x2018 && c != 0xAB && c != 0x2039) {
        return 0;
    }
    growing_peek(t, at + n, &after);
    return char_is_word(after) || mark_opens(after) ? 0 : n;
}

static stop read_stop(growing_text *t, size_t at) {
    stop s = {.start = at, .end = at};
    for (uint32_t c;;) {
        size_t n = growing_peek(t, s.end, &c);
        if (n == 0 || s.end + n > SENTENCE_MAX_BYTES) return s;
        if (c == ' ' && s.dots > 0 && !s.closed && spaced_dot(t, s.end)) {
            s.dots++;
            n = 2;
        } else if (mark_is_stop(c)) {
            s.dots += c == '.' || c == 0xFF0E;
            s.ellipses += c == 0x2026;
            s.exclaims += mark_exclaims(c);
            s.fulls += mark_is_full(c);
        } else if (mark_closes(c)) {
            s.closed = true; /* marks may go on after it: "(Really?)." */
        } else {
            size_t quote = foreign_quote(t, s.end), mark = quote > 0 ? quote : footnote(t, s.end);
            s.closed = s.closed || quote > 0;
            if (mark == 0 || s.end + mark > SENTENCE_MAX_BYTES) return s;
            n = mark;
        }
        s.end += n;
    }
}

/* The start of the word that ends at `end`: after white space, an opening mark, a long dash or a Chinese character. A
 * word longer than MAX_WORD begins within itself. */
static size_t word_before(const growing_text *t, size_t end) {
    size_t start = end;
    while (start > 0 && end - start < MAX_WORD) {
        size_t at = start - 1;
        while (at > 0 && start - at < 4 && ((unsigned char)t->text[at] & 0xC0) == 0x80) at--;
        uint32_t c = 0;
        if (utf8_decode(t->text + at, start - at, &c) != start - at) break;
        bool apostrophe = c == '\'' || c == 0x2019;
        if (!apostrophe && (char_is_space(c) || mark_opens(c) || mark_closes(c) || char_is_unspaced(c))) break;
        if (mark_is_full_clause(c) || c == '/' || c == ',' || c == ':' || c == ';') break;
        start = at;
    }
    while (start < end && t->text[start] == '\'') start++;
    return start;
}

/* The first word after a stop. */
typedef struct {
    enum { NEXT_NOTHING, NEXT_LOWER, NEXT_UPPER, NEXT_DIGIT, NEXT_OTHER } kind;
    size_t at;
    uint32_t first;
} next_word;

static next_word read_next(growing_text *t, size_t at) {
    next_word w = {.at = at};
    for (int i = 0; i < MAX_OPENING; i++) {
        size_t n = growing_peek(t, w.at, &w.first);
        if (n == 0) return w;
        bool skip = mark_opens(w.first) || mark_is_dash(w.first) || w.first == '#' || w.first == '>' ||
                    (i > 0 && w.first == ' ') || w.first == 0x2026 || w.first == '.';
        if (!skip) break;
        w.at += n;
    }
    uint32_t second;
    size_t n = growing_peek(t, w.at, &w.first);
    if (n == 0) return w;
    if (char_is_lower(w.first)) {
        growing_peek(t, w.at + n, &second);
        w.kind = char_is_upper(second) ? NEXT_UPPER : NEXT_LOWER; /* iPhone */
    } else if (char_is_upper(w.first)) {
        w.kind = NEXT_UPPER;
    } else {
        w.kind = w.first >= '0' && w.first <= '9' ? NEXT_DIGIT : NEXT_OTHER;
    }
    return w;
}

/* The next word's letters and apostrophes (’ as ') into word; its bytes. *c is what follows them. */
static size_t spell_next(growing_text *t, size_t at, char word[MAX_WORD], uint32_t *c) {
    size_t bytes = 0;
    for (;;) {
        size_t n = growing_peek(t, at, c);
        bool apostrophe = *c == '\'' || *c == 0x2019;
        if (n == 0 || !(char_is_word(*c) || apostrophe) || bytes + n > MAX_WORD) return bytes;
        if (apostrophe)
            word[bytes++] = '\'';
        else {
            memcpy(word + bytes, t->text + at, n);
            bytes += n;
        }
        at += n;
    }
}

/* Does the next word clearly begin a sentence? A lone letter with a stop is an initial. */
static bool begins_sentence(growing_text *t, const next_word *next) {
    char word[MAX_WORD];
    uint32_t after;
    if (next->kind != NEXT_UPPER) return false;
    size_t n = spell_next(t, next->at, word, &after);
    return sentence_starter(word, n) && !(n == 1 && after == '.');
}

/* Does a number follow: digits, or Roman ones in capitals? Where a sentence may follow, I is none. */
static bool number_follows(growing_text *t, const next_word *next, bool sentence) {
    char word[MAX_WORD];
    uint32_t after;
    if (next->kind != NEXT_UPPER) return next->kind == NEXT_DIGIT;
    size_t n = spell_next(t, next->at, word, &after);
    for (size_t i = 0; i < n; i++)
        if (!strchr("IVXLC", word[i]) || word[i] == '\0') return false;
    return n > 1 || (n == 1 && !(sentence && word[0] == 'I'));
}

static bool is_digit_byte(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* "U.S", "e.g", "Ph.D", "J.-P": one or two letters between stops. */
static bool is_dotted(const char *word, size_t bytes) {
    size_t letters = 0;
    bool any = false;
    for (size_t i = 0; i < bytes; i++) {
        if (word[i] == '.') {
            if (letters == 0) return false;
            letters = 0;
            any = true;
        } else if (is_letter_byte(word[i])) {
            if (++letters > 2) return false;
        } else if (word[i] != '-' || letters > 0) {
            return false;
        }
    }
    return any && letters > 0;
}

/* "1", "12", "a", "iv" as the sentence's first word, on a line's start, or after a colon: what leads a list item. */
static bool leads_item(const growing_text *t, size_t start, size_t end) {
    size_t before = start, digits = 0, roman = 0, n = end - start;
    if (n == 0 || n > 4) return false;
    for (size_t i = start; i < end; i++) {
        digits += is_digit_byte(t->text[i]);
        roman += t->text[i] && strchr("ivxIVX", t->text[i]);
    }
    if (!((digits == n && n <= 3) || roman == n || (n == 1 && is_letter_byte(t->text[start])))) return false;
    while (before > 0 && t->text[before - 1] == ' ') before--;
    if (before > 0 && (t->text[before - 1] == '\n' || (t->text[before - 1] == ':' && before < start))) return true;
    for (size_t at = 0; at < before;) {
        uint32_t c;
        size_t step = utf8_decode(t->text + at, before - at, &c);
        if (step == 0 || char_is_word(c)) return false;
        at += step;
    }
    return true;
}

/* Is there a digit in the last word before `start`? */
static bool number_before(const growing_text *t, size_t start) {
    while (start > 0 && t->text[start - 1] == ' ') start--;
    return start > 0 && is_digit_byte(t->text[start - 1]);
}

/* Letters only, two or more, a vowel among them: a word, and no abbreviation that the lists lack. */
static bool is_word(const char *word, size_t bytes) {
    bool vowel = false;
    for (size_t i = 0; i < bytes; i++) {
        if ((unsigned char)word[i] < 0x80 && !is_letter_byte(word[i]) && word[i] != '\'' && word[i] != '-')
            return false;
        vowel = vowel || (unsigned char)word[i] >= 0x80 || (word[i] && strchr("aeiouyAEIOUY", word[i]));
    }
    return bytes >= 2 && vowel;
}

/* One stop with white space after it: the word before and the word after it decide. */
static bool period_ends(growing_text *t, const stop *s, const next_word *next) {
    size_t start = word_before(t, s->start);
    const char *word = t->text + start;
    size_t bytes = s->start - start;
    if (bytes == 0) return next->kind != NEXT_LOWER;
    if (leads_item(t, start, s->start)) return false;
    for (size_t i = bytes; i > 0; i--)
        if (word[i - 1] == '-' && !is_dotted(word, bytes)) { /* "mid-Jan." */
            word += i;
            bytes -= i;
            break;
        }
    uint32_t initial;
    bool single = bytes > 0 && utf8_decode(word, bytes, &initial) == bytes && char_is_upper(initial);
    if (single) {
        size_t space = start;
        while (space > 0 && t->text[space - 1] == ' ') space--;
        size_t before = word_before(t, space); /* "you and I", but "Albert I" */
        bool pronoun = initial == 'I' && before < space && t->text[before] >= 'a' && t->text[before] <= 'z';
        return pronoun ? next->kind != NEXT_LOWER : begins_sentence(t, next) || next->kind == NEXT_OTHER;
    }
    word_kind kind = sentence_abbreviation(word, bytes);
    if (kind == WORD_PLAIN && is_dotted(word, bytes)) kind = WORD_STARTER;
    if (kind == WORD_UNIT) kind = number_before(t, start) ? WORD_CAPITAL : WORD_PLAIN;
    if (kind == WORD_ANSWER || kind == WORD_NUMBER) {
        if (number_follows(t, next, kind == WORD_ANSWER)) return false;
        kind = kind == WORD_NUMBER ? WORD_STARTER : WORD_PLAIN;
    }
    if (kind == WORD_PLAIN) return next->kind != NEXT_LOWER || (!s->closed && is_word(word, bytes));
    if (kind == WORD_NEVER) return false;
    if (kind == WORD_STARTER || next->kind != NEXT_UPPER)
        return kind == WORD_STARTER ? begins_sentence(t, next) : next->kind == NEXT_OTHER;
    char after[MAX_WORD];
    uint32_t c;
    return kind == WORD_CAPITAL || !sentence_follows_time(after, spell_next(t, next->at, after, &c));
}

/* The character that ends at `end`. */
static uint32_t char_before(const growing_text *t, size_t end) {
    size_t at = end;
    uint32_t c = 0;
    while (at > 0 && ((unsigned char)t->text[--at] & 0xC0) == 0x80) {
    }
    return end > 0 && utf8_decode(t->text + at, end - at, &c) == end - at ? c : 0xFFFD;
}

/* Is the word before a stop a URL or an e-mail address? */
static bool in_url(const growing_text *t, size_t end) {
    size_t low = end > URL_LOOKBACK ? end - URL_LOOKBACK : 0;
    for (size_t at = end; at > low && !char_is_space((unsigned char)t->text[at - 1]); at--)
        if (t->text[at - 1] == '@' || (t->text[at - 1] == '/' && at >= 2 && t->text[at - 2] == '/')) return true;
    return false;
}

/* Something other than white space follows the stop. letters: characters between it and the mark before it. */
static bool stop_ends_unspaced(growing_text *t, const stop *s, int letters) {
    uint32_t c, d;
    size_t n = growing_peek(t, s->end, &c);
    if (s->fulls > 0) {
        if (mark_is_full_clause(c) || c == ',') return false;
        if (!s->closed) return true;
        if (c != 0x3068 && c != 0x3063) return true; /* 」と and 」って go on */
        if (c == 0x3068) return false;
        growing_peek(t, s->end + n, &d);
        return d != 0x3066;
    }
    if (!char_is_unspaced(c) && !(mark_opens(c) && c >= 0x2000)) return false;
    if (in_url(t, s->start)) return false;
    if (s->exclaims > 0) return true;
    if (s->dots + s->ellipses > 1) return s->closed || letters > HESITATION;
    return s->ellipses == 0 && char_is_unspaced(char_before(t, s->start));
}

/* Does the stop end the sentence that the text begins with? *g is the white space after it. line: where its line began.
 * said: a letter or a number stands before it. */
static bool stop_ends(growing_text *t, const stop *s, size_t line, bool said, int letters, gap *g) {
    *g = read_gap(t, s->end);
    if (g->at_end || g->line_ends >= 2) return true;
    if (g->end == s->end) return said && stop_ends_unspaced(t, s, letters);
    if (g->line_ends == 1 && sentence_line_ends(t, line, s->end, g->end)) return true;
    if (!said || (s->closed && mark_opens(char_before(t, s->start)))) return false; /* "[...]", "(?)" */
    if (s->fulls > 0) return true;
    next_word next = read_next(t, g->end);
    if (s->exclaims > 0) return !(s->closed && next.kind == NEXT_LOWER);
    if (s->dots > 1 || s->ellipses > 0) {
        if (next.kind == NEXT_LOWER || next.kind == NEXT_DIGIT) return false;
        char word[MAX_WORD];
        uint32_t c;
        if (next.first != 'I') return true;
        size_t n = spell_next(t, next.at, word, &c);
        return !(n == 1 || (n > 1 && word[1] == '\'')); /* "Well... I think" */
    }
    return period_ends(t, s, &next);
}

/* The cut of a sentence that is too long. */
static sentence_span cut_long(growing_text *t) {
    size_t cut = sentence_last_cut(t->text, SENTENCE_MAX_BYTES);
    return (sentence_span){.bytes = cut, .next = read_gap(t, cut).end};
}

static sentence_span find(growing_text *t) {
    gap g = read_gap(t, 0);
    if (g.end > 0) return (sentence_span){.next = g.end, .paragraph = g.at_end || g.line_ends >= 2};
    size_t line = 0;
    bool said = false;
    int letters = 0;
    for (size_t at = 0;;) {
        uint32_t c;
        size_t n = growing_peek(t, at, &c);
        if (n == 0) return (sentence_span){.bytes = at, .next = at, .paragraph = true};
        if (at + n > SENTENCE_MAX_BYTES) return cut_long(t);
        if (char_is_space(c)) {
            g = read_gap(t, at);
            if (g.at_end || g.line_ends >= 2 || (g.line_ends == 1 && sentence_line_ends(t, line, at, g.end)))
                return (sentence_span){.bytes = at, .next = g.end, .paragraph = g.at_end || g.line_ends >= 2};
            if (g.line_ends == 1) line = g.end;
            at = g.end;
        } else if (mark_is_stop(c)) {
            stop s = read_stop(t, at);
            if (stop_ends(t, &s, line, said, letters, &g))
                return (sentence_span){.bytes = s.end, .next = g.end, .paragraph = g.at_end || g.line_ends >= 2};
            at = s.end;
            letters = 0;
        } else {
            bool word = char_is_word(c);
            said = said || word;
            letters = word ? letters + 1 : 0;
            at += n;
        }
    }
}

bool sentence_next(const char *text, size_t bytes, bool last, sentence_span *s) {
    growing_text t = {.text = text, .bytes = bytes, .last = last};
    sentence_span found = find(&t);
    *s = t.read_out ? (sentence_span){0} : found;
    return !t.read_out;
}
