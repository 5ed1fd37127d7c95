/* normalize_en.c — English: which rules are tried, in which order, at each kind of character. */
#include <string.h>

#include "host/text/english.h"
#include "host/text/normalize_languages.h"

/* The first rule that fits is taken: what is longer or rarer stands before what is shorter. */
static const reading_rule at_digit[] = {
    english_numeric_date, english_phone,    english_scientific, english_long_digits,        english_address,
    english_time,         english_fraction, english_height,     english_day_month,          english_decade,
    english_quantity,     english_ordinal,  english_year,       english_letters_and_digits, english_cardinal};
static const reading_rule at_letter[] = {english_initials,
                                         english_address,
                                         english_money,
                                         english_money_code,
                                         english_month,
                                         english_weekday,
                                         english_version,
                                         english_abbreviation,
                                         english_roman,
                                         english_unit_alone,
                                         english_letters_and_digits,
                                         english_capitals};
/* These say a number, english_symbol does not. */
static const reading_rule at_amount[] = {english_phone, english_money, english_decade, english_fraction,
                                         english_cardinal};
static const reading_rule at_symbol[] = {english_unit_alone, english_symbol};

/* Letters of a word, with apostrophes and what is not ASCII. */
static size_t word_bytes(const reading *r, size_t at) {
    size_t n = 0;
    for (;;) {
        char c = peek(r, at + n);
        bool quote = c == '\'' && n > 0 && is_ascii_letter(peek(r, at + n + 1));
        if (!is_ascii_letter(c) && !quote) return n;
        n++;
    }
}

/* A word in small letters that nothing follows but a space or a comma: it is said as it is written. */
static bool is_plain(const reading *r, size_t bytes) {
    char next = peek(r, r->at + bytes);
    if (bytes < 3 || !(next == ' ' || next == ',' || next == 0 || next == '\n')) return false;
    for (size_t i = 0; i < bytes; i++)
        if (is_capital(r->text[r->at + i])) return false;
    return true;
}

static bool is_shouting(const reading *r) {
    size_t words = 0, run = 0;
    for (size_t i = 0; i < r->bytes; i++) {
        if (is_small(r->text[i])) return false;
        run = is_capital(r->text[i]) ? run + 1 : 0;
        words += run == 2;
    }
    return words >= 2;
}

static void read_word(reading *r) {
    size_t n = word_bytes(r, r->at);
    bool begins = !is_word(before(r));
    if (begins && !is_plain(r, n) && SAY_BY(r, at_letter)) return;
    copy(r, r->at, n);
    r->at += n;
}

static void read_other(reading *r) {
    char c = r->text[r->at];
    if (c != ' ' && c != ',') {
        if (SAY_BY(r, at_amount)) {
            r->number_end = r->at;
            return;
        }
        if (SAY_BY(r, at_symbol)) return;
    }
    copy_character(r);
}

void normalize_english(reading *r) {
    static const reading_rule between[] = {english_between_numbers};
    r->shouting = is_shouting(r);
    r->at = english_markdown_start(r);
    while (r->at < r->bytes && !r->out->full) {
        if (say_lexicon(r)) continue;
        if (r->at == r->number_end && SAY_BY(r, between)) continue;
        char c = r->text[r->at];
        if (is_ascii_letter(c)) {
            read_word(r);
        } else if (is_digit(c)) {
            SAY_BY(r, at_digit);
            r->number_end = r->at;
        } else {
            read_other(r);
        }
    }
}

/* ---- SSML's say-as */

static void say_characters(reading *r) {
    for (r->at = 0; r->at < r->bytes && !r->out->full;) {
        char c = r->text[r->at];
        if (is_digit(c)) {
            say_digits(r, r->at, 1);
            r->at++;
        } else if (is_ascii_letter(c)) {
            english_say_letters(r, &c, 1);
            r->at++;
        } else if (c == '-' || c == '.' || c == '/' || c == '_') {
            say(r, c == '-' ? "dash" : c == '.' ? "dot" : c == '/' ? "slash" : "underscore");
            r->at++;
        } else {
            read_other(r);
        }
    }
}

/* "12/31/2024" with "mdy": numbers in the order that the format says. */
static bool say_date(reading *r, const char *format) {
    static const reading_rule dates[] = {english_numeric_date, english_day_month, english_month};
    if (!format[0]) return SAY_BY(r, dates) && r->at == r->bytes;
    unsigned parts[3] = {0}; /* year, month, day */
    size_t at = 0;
    bool compact = format[1] && count_digits(r, 0) == r->bytes; /* 20241231 */
    for (const char *f = format; *f; f++) {
        while (at < r->bytes && !is_digit(peek(r, at))) at++;
        size_t digits = count_digits(r, at);
        size_t take = compact ? (*f == 'y' ? 4 : 2) : digits;
        if (!strchr("ymd", *f) || take == 0 || take > 4) return false;
        parts[*f == 'y' ? 0 : *f == 'm' ? 1 : 2] = (unsigned)value_of(r, at, take);
        at += take;
    }
    r->at = r->bytes;
    return english_say_date(r, parts[0], parts[1], parts[2]);
}

bool say_as_english(reading *r, say_as_kind kind, const char *format) {
    static const reading_rule cardinal[] = {english_cardinal}, ordinal[] = {english_ordinal}, time[] = {english_time},
                              fraction[] = {english_fraction, english_cardinal},
                              unit[] = {english_height, english_quantity, english_cardinal},
                              currency[] = {english_money, english_money_code, english_quantity, english_cardinal};
    bool minus = (kind == SAY_CARDINAL || kind == SAY_UNIT) && peek(r, 0) == '-';
    if (minus) {
        say(r, "minus");
        r->at = 1;
    }
    switch (kind) {
    case SAY_CARDINAL:
        return SAY_BY(r, cardinal) && r->at == r->bytes;
    case SAY_ORDINAL: {
        english_number n = english_parse_number(r, 0);
        if (n.bytes != r->bytes || n.decimals > 0) return SAY_BY(r, ordinal) && r->at == r->bytes;
        say_ordinal(r, n.whole);
        return n.whole_digits <= 18;
    }
    case SAY_CHARACTERS:
        say_characters(r);
        return true;
    case SAY_DIGITS:
        say_digits(r, 0, r->bytes);
        return count_digits(r, 0) > 0 || r->out->bytes > r->start;
    case SAY_TELEPHONE:
        if (peek(r, 0) == '+') say(r, "plus");
        for (size_t at = 0, first = 1; at < r->bytes; at++) {
            if (!is_digit(r->text[at])) continue;
            if (!first) say_on(r, ",");
            first = 0;
            say_digits(r, at, count_digits(r, at));
            at += count_digits(r, at);
        }
        return r->out->bytes > r->start;
    case SAY_DATE:
        return say_date(r, format);
    case SAY_TIME:
        return SAY_BY(r, time) && r->at == r->bytes;
    case SAY_FRACTION:
        return SAY_BY(r, fraction) && r->at == r->bytes;
    case SAY_UNIT:
        return SAY_BY(r, unit) && r->at == r->bytes;
    case SAY_CURRENCY:
        return SAY_BY(r, currency) && r->at == r->bytes;
    case SAY_EXPLETIVE:
        say(r, "beep");
        return true;
    }
    return false;
}
