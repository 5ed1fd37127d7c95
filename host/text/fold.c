/* fold.c — one pass over the text. Stretches that can be said are copied; anything else goes through put_character,
 * which tries alternatives in turn and takes back what one of them wrote before it failed. */
#include "host/text/fold.h"

#include <string.h>

#include "host/text/char_class.h"
#include "host/text/character.h"
#include "host/text/fold_tables.h"
#include "weights/utf8.h"

#define MAX_DEPTH 8 /* alternatives inside alternatives; Unicode's own chains have 4 */

#define ZERO_WIDTH_JOINER 0x200D

/* ---- kinds of characters ------------------------------------------------------------------------------------------
 */

static bool is_stop(uint32_t code) {
    return code != 0 && code < 0x80 && strchr(".,!?;:", (int)code) != NULL;
}

static bool is_closer(uint32_t code) {
    return code == '"' || code == '\'' || code == ')' || code == ']';
}

static bool is_flag_letter(uint32_t code) {
    return character_within(code, 0x1F1E6, 0x1F1FF);
}

/* ---- what can be said -------------------------------------------------------------------------------------------- */

typedef struct {
    const fold_alphabet *a;
    bool known;
} token_search;

static void look_up(void *user, const char *token, size_t bytes) {
    token_search *search = user;
    if (vocab_find(search->a->v, token, bytes) >= 0) return;
    int32_t id = 0, n = 0; /* `char` may have a replacement for signs: any id but 0 tells that it was found */
    uint32_t code = 0;
    utf8_decode(token, bytes, &code);
    search->known = false;
    if (search->a->kind != TOKENIZER_CHAR || character_is_word(code) || char_is_space(code)) return;
    f5_status status = tokenizer_run(search->a->kind, search->a->v, token, bytes, &id, 1, &n, NULL);
    search->known = status == F5_OK && n == 1 && id != 0;
}

static bool ask_tokenizer(const fold_alphabet *a, uint32_t code) {
    char text[4];
    token_search search = {.a = a, .known = true};
    bool line = code == '\t' || code == '\n' || code == '\r';
    if (line && vocab_find(a->v, " ", 1) == 0) return true;
    uint64_t scratch[(TOKENIZER_SCRATCH_BYTES(1) + 7) / 8];
    tokenizer t = {.kind = a->kind, .pinyin = a->pinyin, .scratch = scratch, .scratch_bytes = sizeof scratch};
    f5_status status = tokenizer_put_tokens(&t, text, utf8_encode(text, code), 0, look_up, &search, NULL);
    /* without tables: signs among the Chinese characters, of which some fold to Latin letters, are not waited for */
    if (status == F5_E_UNSUPPORTED) return !character_within(code, 0x3200, 0x33FF) || vocab_find(a->v, text, 3) >= 0;
    return status == F5_OK && search.known;
}

void fold_alphabet_init(fold_alphabet *a, tokenizer_kind kind, const vocab *v, const pinyin_table *pinyin) {
    *a = (fold_alphabet){.kind = kind, .v = v, .pinyin = pinyin};
    for (uint32_t code = 0; code < 0x10000; code++) {
        bool surrogate = character_within(code, 0xD800, 0xDFFF);
        if (kind == TOKENIZER_BYTE || (!surrogate && ask_tokenizer(a, code)))
            a->below_10000[code / 8] |= (uint8_t)(1u << code % 8);
    }
}

bool fold_can_say(const fold_alphabet *a, uint32_t code) {
    if (code < 0x10000) return a->below_10000[code / 8] >> code % 8 & 1;
    return a->kind == TOKENIZER_BYTE || ask_tokenizer(a, code);
}

/* What fold_compat leaves as it is. */
static bool stays(uint32_t code) {
    if (code < 0x7F) return code >= ' ' || character_is_white(code);
    if (character_is_invisible(code) || character_is_white(code)) return false;
    if (character_within(code, 0x2000, 0x2BFF)) {
        bool quote_or_dash =
            character_within(code, 0x2010, 0x2015) || character_within(code, 0x2018, 0x201F) || code == 0x2212;
        bool letter =
            code == 0x2102 || character_within(code, 0x210A, 0x210E) || character_within(code, 0x2110, 0x2113) ||
            code == 0x2115 || character_within(code, 0x2119, 0x211D) || code == 0x2124 || code == 0x2128 ||
            code == 0x212A || character_within(code, 0x212C, 0x212D) || character_within(code, 0x212F, 0x2131) ||
            character_within(code, 0x2133, 0x2134) || code == 0x2139 || character_within(code, 0x2145, 0x2149);
        bool numbered = character_within(code, 0x2160, 0x217F) || character_within(code, 0x2460, 0x24FF) ||
                        character_within(code, 0x2776, 0x2793);
        return !quote_or_dash && !letter && !numbered && code != 0x20E3;
    }
    if (character_within(code, 0xFB00, 0xFB06) || code == 0xFE58 || code == 0xFE63) return false;
    if (character_within(code, 0xFF01, 0xFF5E)) { /* of full-width punctuation, signs that are read out */
        uint32_t ascii = code - 0xFF01 + '!';
        return !character_is_word(ascii) && strchr("#$%&*+-/<=>@", (int)ascii) == NULL;
    }
    return !character_within(code, 0x1D400, 0x1D7FF) && !character_within(code, 0x1F100, 0x1F149) &&
           !character_within(code, 0x1FBF0, 0x1FBF9);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

typedef enum {
    GAP_NONE,
    GAP_WORDS, /* a word came before: a space if one comes next */
    GAP_STOP,  /* a stop came before: the same, and quotes that close may come between */
} gap_kind;

typedef struct {
    const fold_alphabet *alphabet; /* NULL: fold_compat */
    text_buffer *out;
    size_t begin;   /* where this text begins in out */
    size_t last_at; /* where the last character begins in out */
    uint32_t last;  /* the last character written, 0: none */
    uint32_t
        composed; /* it and the marks that came after it as one character, whether that can be said or not; 0: none */
    gap_kind gap;
    bool dropped; /* something was left out since the last character that is no space */
    bool raised;  /* the last character came from raised or lowered digits */
} folder;

static bool can_say(const folder *f, uint32_t code) {
    return f->alphabet ? fold_can_say(f->alphabet, code) : stays(code);
}

static void append(folder *f, uint32_t code) {
    char text[4];
    f->last_at = f->out->bytes;
    f->last = f->composed = code;
    text_put(f->out, text, utf8_encode(text, code));
}

static void space_now(folder *f) {
    if (f->last != 0 && f->last != ' ' && can_say(f, ' ')) append(f, ' ');
}

/* 10.5 and 1,000 are numbers: their stop ends nothing. */
static bool inside_number(const folder *f, uint32_t code) {
    const char *text = f->out->text;
    size_t at = f->out->bytes;
    return char_is_digit(code) && at >= f->begin + 2 && (f->last == '.' || f->last == ',' || f->last == ':') &&
           char_is_digit((uint8_t)text[at - 2]);
}

static void emit(folder *f, uint32_t code) {
    f->raised = false;
    if (code == ' ') {
        f->gap = GAP_NONE;
        if (!f->dropped || (f->last != 0 && f->last != ' ')) append(f, ' ');
        return;
    }
    if (f->dropped && f->last == ' ' && (is_stop(code) || code == ')')) f->out->bytes = f->last_at;
    if (f->gap != GAP_NONE && character_is_spaced(code) && !inside_number(f, code)) space_now(f);
    if (f->gap != GAP_STOP || !is_closer(code)) f->gap = GAP_NONE;
    f->dropped = false;
    append(f, code);
}

static void leave_gap(folder *f) {
    if (character_is_spaced(f->last))
        f->gap = GAP_WORDS;
    else if (is_stop(f->last))
        f->gap = GAP_STOP;
}

static void obey_sign(folder *f, uint32_t sign, bool raised) {
    if (sign == FOLD_SPACE && f->last != 0 && f->last != ' ')
        f->gap = character_is_spaced(f->last) ? GAP_WORDS : GAP_STOP;
    else if (sign == FOLD_BEFORE && (character_is_spaced(f->last) || f->gap == GAP_STOP))
        space_now(f);
    else if ((sign == FOLD_NUMBER || (sign == FOLD_RAISED && !raised)) && char_is_digit(f->last))
        space_now(f);
}

static bool replace_last(folder *f, uint32_t code) {
    if (code == 0 || !can_say(f, code)) return false;
    f->out->bytes = f->last_at;
    uint32_t composed = f->composed;
    append(f, code);
    f->composed = composed;
    return true;
}

/* A mark that cannot be said joins the letter before it, if the two are a character that can. */
static void add_mark(folder *f, uint32_t mark) {
    if (f->composed == 0 || f->out->full) return;
    uint32_t all = character_compose(f->composed, mark);
    if (all != 0) f->composed = all;
    if (replace_last(f, all) || replace_last(f, character_compose(f->last, mark))) return;
    /* marks may come in an order that Unicode would change */
    uint32_t other = 0, base = character_take_apart(f->composed, &other);
    uint32_t first = base ? character_compose(base, mark) : 0;
    all = first ? character_compose(first, other) : 0;
    if (all != 0) f->composed = all;
    replace_last(f, all);
}

/* ---- alternatives ------------------------------------------------------------------------------------------------ */

/* The one character that Unicode gives as another form of it, `code` itself if there is none. */
static uint32_t plain_form(uint32_t code) {
    int i = character_find(fold_run_planes, fold_run_first, code);
    uint32_t further = i < 0 ? 0 : (code & 0xFFFF) - fold_run_first[i];
    return i < 0 || further > fold_run_more[i] ? code : fold_run_target[i] + further;
}

static bool put_character(folder *f, uint32_t code, int depth);

/* One alternative, up to FOLD_OR or the end. */
static bool put_alternative(folder *f, const char *text, size_t bytes, int depth) {
    bool raised = f->raised;
    int letters = 0;
    for (size_t at = 0; at < bytes;) {
        uint32_t code = 0;
        at += utf8_decode(text + at, bytes - at, &code);
        if (code <= FOLD_LAST_SIGN) {
            obey_sign(f, code, raised);
            continue;
        }
        if (!put_character(f, code, depth + 1)) return false;
        letters += !character_is_mark(code);
    }
    f->raised = bytes > 0 && text[0] == FOLD_RAISED;
    if (letters > 1) f->composed = 0;
    if (bytes == 1 && text[0] == FOLD_SPACE) f->dropped = true;
    return true;
}

static bool put_first_alternative(folder *f, const char *text, int depth) {
    for (;;) {
        const char *end = text + strcspn(text, "\1");
        folder before = *f; /* and what its writing may change in the buffer */
        size_t bytes = f->out->bytes, kept = bytes < 4 ? bytes : 4;
        char tail[4];
        memcpy(tail, f->out->text + bytes - kept, kept);
        if (put_alternative(f, text, (size_t)(end - text), depth)) return true;
        *f = before;
        f->out->bytes = bytes;
        memcpy(f->out->text + bytes - kept, tail, kept);
        if (*end == '\0') return false;
        text = end + 1;
    }
}

static bool put_syllable(folder *f, uint32_t code) {
    uint32_t n = code - HANGUL_SYLLABLE, lead = HANGUL_LEAD + n / (HANGUL_VOWELS * HANGUL_TAILS),
             vowel = HANGUL_VOWEL + n / HANGUL_TAILS % HANGUL_VOWELS;
    uint32_t tail = HANGUL_TAIL + n % HANGUL_TAILS;
    if (!can_say(f, lead) || !can_say(f, vowel) || (tail != HANGUL_TAIL && !can_say(f, tail))) return false;
    emit(f, lead);
    emit(f, vowel);
    if (tail != HANGUL_TAIL) emit(f, tail);
    return true;
}

/* Writes the character or what it folds to. false: it is unknown, and what was written must be taken back. */
static bool put_character(folder *f, uint32_t code, int depth) {
    if (depth > MAX_DEPTH) return false;
    if (can_say(f, code)) {
        emit(f, code);
        return true;
    }
    if (character_is_invisible(code)) return true;
    uint32_t other = character_other_case(code);
    if (other != code && can_say(f, other)) {
        emit(f, other);
        return true;
    }
    if (character_within(code, HANGUL_SYLLABLE, HANGUL_SYLLABLE + HANGUL_SYLLABLES - 1)) return put_syllable(f, code);
    uint32_t plain = plain_form(code);
    if (plain != code) return put_character(f, plain, depth + 1);
    int i = character_find(fold_entry_planes, fold_entry_code, code);
    if (i >= 0 && fold_entry_code[i] == (code & 0xFFFF))
        return put_first_alternative(f, (const char *)fold_text_pool + fold_entry_text[i], depth);
    if (!character_is_mark(code)) return false;
    add_mark(f, code);
    return true;
}

/* ---- the text ---------------------------------------------------------------------------------------------------- */

/* Unknown characters side by side: of an emoji made of several only the first one counts. */
typedef struct {
    uint32_t code; /* the one before, 0: none */
    bool joined;   /* a joiner came after it */
} emoji;

static void report_unknown(fold_report *report, emoji *e, uint32_t code, size_t at) {
    bool part = e->code != 0 && (e->joined || character_within(code, 0x1F3FB, 0x1F3FF) ||
                                 (is_flag_letter(e->code) && is_flag_letter(code)));
    e->code = part && is_flag_letter(code) ? ZERO_WIDTH_JOINER : code; /* a flag has two letters, not three */
    e->joined = false;
    if (part || !report) return;
    report->count++;
    int32_t i = 0;
    while (i < report->distinct && report->unknown[i].code != code) i++;
    if (i == FOLD_REPORTED) return;
    if (i == report->distinct)
        report->unknown[report->distinct++] = (fold_unknown){.code = code, .first = report->offset + at};
    report->unknown[i].count++;
}

/* A full-width stop between digits, where fold_compat makes it ASCII. */
static bool is_wide_point(const folder *f, uint32_t code, uint32_t previous, const char *rest, size_t bytes) {
    uint32_t next = 0;
    if (f->alphabet || (code != 0xFF0C && code != 0xFF0E && code != 0xFF1A) || utf8_decode(rest, bytes, &next) == 0)
        return false;
    return char_is_digit(previous) && (char_is_digit(next) || character_within(next, 0xFF10, 0xFF19));
}

/* Copies what can be said from text[at] on; returns where it ends. */
static size_t copy_sayable(folder *f, const char *text, size_t bytes, size_t at) {
    size_t start = at, before = at;
    uint32_t code = 0, previous = f->last;
    while (at < bytes) {
        size_t n = utf8_decode(text + at, bytes - at, &code);
        if (n == 0 || !can_say(f, code) || is_wide_point(f, code, previous, text + at + n, bytes - at - n)) break;
        previous = code;
        before = at;
        at += n;
    }
    if (at == start) return at;
    f->last_at = f->out->bytes + (before - start);
    f->last = f->composed = previous;
    f->raised = false;
    text_put(f->out, text + start, at - start);
    return at;
}

/* What the character at text[0] and the marks or letters of Hangul after it compose to, its bytes in *bytes, if that
 * can be said or is a syllable; else 0. Asked where the first one alone cannot be said. */
static uint32_t composed_ahead(const folder *f, const char *text, size_t *bytes) {
    uint32_t code = 0, next = 0, found = 0;
    size_t all = *bytes, used = utf8_decode(text, all, &code);
    code = plain_form(code);
    for (size_t n; (n = utf8_decode(text + used, all - used, &next)) > 0;) {
        code = character_compose(code, plain_form(next));
        if (code == 0) break;
        used += n;
        if (!can_say(f, code) && !can_say(f, character_other_case(code)) && code < HANGUL_SYLLABLE) continue;
        found = code;
        *bytes = used;
    }
    return found;
}

static f5_status fold(const fold_alphabet *a, const char *text, size_t bytes, text_buffer *out, fold_report *report,
                      f5_error *error) {
    size_t valid = utf8_valid_prefix(text, bytes), offset = report ? report->offset : 0;
    if (valid < bytes) return f5_fail(error, F5_E_FORMAT, "malformed UTF-8 at byte %zu", offset + valid);
    folder f = {.alphabet = a, .out = out, .begin = out->bytes};
    emoji e = {0};
    uint32_t code = 0;
    for (size_t at = 0; at < bytes && !out->full;) {
        if (!f.dropped && f.gap == GAP_NONE) {
            size_t end = copy_sayable(&f, text, bytes, at);
            if (end > at) e = (emoji){0};
            at = end;
            if (at == bytes) break;
        }
        size_t n = utf8_decode(text + at, bytes - at, &code), together = bytes - at;
        if (n == 0) break; /* someone changes the text while it is read */
        uint32_t ahead = can_say(&f, code) ? 0 : composed_ahead(&f, text + at, &together);
        folder before = f;
        if (is_wide_point(&f, code, f.last, text + at + n, bytes - at - n)) {
            append(&f, code - 0xFF01 + '!');
        } else if (ahead != 0 && put_character(&f, ahead, 0)) {
            n = together;
            e = (emoji){0};
        } else if (put_character(&f, code, 0)) {
            if (code == ZERO_WIDTH_JOINER)
                e.joined = true;
            else if (!character_is_invisible(code) && !character_is_mark(code))
                e = (emoji){0};
        } else {
            f = before;
            report_unknown(report, &e, code, at);
            leave_gap(&f);
            f.dropped = true;
            f.composed = 0;
        }
        at += n;
    }
    if (report) report->offset += bytes;
    if (out->full)
        return f5_fail(error, F5_E_LIMIT, "a text of %zu bytes does not fit into the %zu bytes set aside for it", bytes,
                       out->capacity);
    if (f.dropped && f.last == ' ' && !character_is_white(code)) out->bytes = f.last_at;
    return F5_OK;
}

f5_status fold_text(const fold_alphabet *a, const char *text, size_t bytes, text_buffer *out, fold_report *report,
                    f5_error *error) {
    return fold(a, text, bytes, out, report, error);
}

f5_status fold_compat(const char *text, size_t bytes, text_buffer *out, f5_error *error) {
    return fold(NULL, text, bytes, out, NULL, error);
}

bool fold_is_silent(const char *text, size_t bytes) {
    uint32_t code = 0;
    for (size_t at = 0, n; (n = utf8_decode(text + at, bytes - at, &code)) > 0; at += n)
        if (character_is_word(code) && !character_is_mark(code)) return false;
    return true;
}
