/* normalize_numbers.c — languages that have no rules of their own here: cardinals, decimals and ordinals by ICU.
 *
 * Digits are grouped by a dot, a comma, an apostrophe or a narrow space, with the decimal mark that is not the grouping
 * one, as the language has it. An ordinal is marked by what that language writes: "1." before a letter in small print
 * (de, da, cs, ...), "1er", "2e", "3ème" (fr), "1º", "2ª" (es, it, pt), "1e", "2de" (nl). A time of the day is two
 * numbers. */
#include <string.h>

#include "host/text/normalize_languages.h"
#include "weights/utf8.h"

static bool is_language(const reading *r, const char *codes) {
    const char *found = strstr(codes, r->language->code);
    return found != NULL;
}

/* Bytes of the ordinal's mark behind a number. */
static size_t ordinal_mark(const reading *r, size_t at) {
    static const struct {
        const char *mark, *codes;
    } marks[] = {
        {"er", "fr"},           {"re", "fr"},          {"\xc3\xa8me", "fr"},        {"e", "fr nl"},
        {"de", "nl"},           {"ste", "nl"},         {"\xc2\xba", "es it pt ca"}, {"\xc2\xaa", "es it pt ca"},
        {".\xc2\xba", "es pt"}, {".\xc2\xaa", "es pt"}};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (is_language(r, marks[i].codes) && reads(r, at, marks[i].mark)) {
            size_t n = strlen(marks[i].mark);
            if (!is_ascii_letter(peek(r, at + n))) return n;
        }
    bool dot = is_language(r, "de da nb no cs sk pl hu fi sl hr sr lv et lt tr") && peek(r, at) == '.';
    return dot && peek(r, at + 1) == ' ' && is_ascii_letter(peek(r, at + 2)) ? 1 : 0;
}

static size_t number(reading *r) {
    char point = spellout_decimal_point(r->language->numbers), group = point == '.' ? ',' : '.';
    size_t digits = count_digits(r, r->at), end = r->at + digits, total = digits;
    spellout_number n = {.whole = value_of(r, r->at, digits)};
    if (digits == 0) return 0;
    while (digits <= 3 && total <= 15 &&
           (peek(r, end) == group || peek(r, end) == '\'' || reads(r, end, "\xe2\x80\xaf"))) {
        size_t mark = peek(r, end) == '\xe2' ? 3 : 1;
        if (count_digits(r, end + mark) != 3) break;
        n.whole = n.whole * 1000 + value_of(r, end + mark, 3);
        total += 3;
        end += mark + 3;
    }
    if (peek(r, end) == point && is_digit(peek(r, end + 1))) {
        n.digits = r->text + end + 1;
        n.n_digits = count_digits(r, end + 1);
        end += 1 + n.n_digits;
    }
    n.negative = before(r) == '-' && r->out->bytes > r->start && r->out->text[r->out->bytes - 1] == '-' &&
                 (r->at < 2 || r->text[r->at - 2] == ' ');
    if (n.negative) r->out->bytes--;
    bool one_by_one = total > 18 || (digits > 1 && peek(r, r->at) == '0');
    size_t mark = n.n_digits == 0 && !n.negative && !one_by_one ? ordinal_mark(r, end) : 0;
    if (mark > 0) {
        static const char *const dative[] = {"am", "beim", "dem", "den", "des", "im", "vom", "zum", "zur"};
        const char *word;
        size_t bytes = word_before(r, r->at, &word);
        char first = bytes > 0 ? to_small(word[0]) : 0;
        bool ends_in_n = false; /* am dritten Oktober */
        for (size_t i = 0; i < sizeof dative / sizeof dative[0]; i++)
            ends_in_n |=
                strlen(dative[i]) == bytes && dative[i][0] == first && !memcmp(dative[i] + 1, word + 1, bytes - 1);
        say_ordinal(r, n.whole);
        if (ends_in_n && strcmp(r->language->code, "de") == 0) say_on(r, "n");
        return end + mark - r->at;
    }
    if (one_by_one) {
        say_digits(r, r->at, end - r->at);
        return end - r->at;
    }
    say_bytes(r, "", 0);
    if (!spellout_write(r->language->numbers, r->language->cardinal, n, r->out) && !r->out->full)
        say_digits(r, r->at, end - r->at);
    return end - r->at;
}

/* 14:30; of "14:30 Uhr" the word comes between. */
static size_t clock_time(reading *r) {
    size_t digits = count_digits(r, r->at), at = r->at + digits + 1, end = at + 2;
    if (digits == 0 || digits > 2 || peek(r, at - 1) != ':' || count_digits(r, at) != 2) return 0;
    uint64_t hour = value_of(r, r->at, digits), minute = value_of(r, at, 2);
    if (hour > 24 || minute > 59 || peek(r, end) == ':' || before(r) == ':') return 0;
    bool uhr = strcmp(r->language->code, "de") == 0 && reads_word(r, end, " Uhr");
    say_cardinal(r, hour);
    if (uhr) say(r, "Uhr");
    if (minute > 0 || !uhr) say_cardinal(r, minute);
    return end + (uhr ? 4 : 0) - r->at;
}

void normalize_numbers_only(reading *r) {
    static const reading_rule rules[] = {clock_time, number};
    while (r->at < r->bytes && !r->out->full) {
        if (say_lexicon(r) || SAY_BY(r, rules)) continue;
        copy_character(r);
    }
}

bool say_as_numbers_only(reading *r, say_as_kind kind, const char *format) {
    (void)format;
    static const reading_rule rules[] = {number};
    size_t digits = count_digits(r, 0);
    switch (kind) {
    case SAY_CARDINAL:
        if (peek(r, 0) == '-') copy(r, r->at++, 1);
        return SAY_BY(r, rules) && r->at == r->bytes;
    case SAY_ORDINAL:
        if (digits == 0 || digits > 18 || digits + ordinal_mark(r, digits) < r->bytes - (peek(r, digits) == '.'))
            return false;
        say_ordinal(r, value_of(r, 0, digits));
        return true;
    case SAY_DIGITS:
    case SAY_TELEPHONE:
        say_digits(r, 0, r->bytes);
        return r->out->bytes > r->start;
    case SAY_CHARACTERS:
        for (uint32_t code; r->at < r->bytes && !r->out->full;) {
            size_t n = utf8_decode(r->text + r->at, r->bytes - r->at, &code);
            if (n == 0) n = 1;
            if (is_digit(r->text[r->at]))
                say_digits(r, r->at, 1);
            else if (r->text[r->at] != ' ')
                say_bytes(r, r->text + r->at, n);
            r->at += n;
        }
        return true;
    default:
        return false;
    }
}
