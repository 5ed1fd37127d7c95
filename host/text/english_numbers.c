/* english_numbers.c — English numbers that stand alone: cardinals, decimals, ordinals, years, decades, fractions. */
#include <string.h>

#include "host/text/english.h"

english_number english_parse_number(const reading *r, size_t at) {
    english_number n = {0};
    size_t digits = count_digits(r, at), end = at + digits;
    n.whole_digits = digits;
    n.whole = value_of(r, at, digits);
    if (digits >= 1 && digits <= 3 && peek(r, at) != '0')
        while (peek(r, end) == ',' && count_digits(r, end + 1) == 3 && n.whole_digits <= 15) {
            n.whole = n.whole * 1000 + value_of(r, end + 1, 3);
            n.whole_digits += 3;
            n.commas = true;
            end += 4;
        }
    n.whole_bytes = end - at;
    if (peek(r, end) == '.' && is_digit(peek(r, end + 1))) {
        n.decimals = count_digits(r, end + 1);
        end += 1 + n.decimals;
    }
    n.bytes = end - at;
    return n;
}

bool english_is_one(english_number n) {
    return n.whole == 1 && n.decimals == 0 && n.whole_digits == 1;
}

void english_say_number(reading *r, size_t at, english_number n) {
    bool by_digits = n.whole_digits > 18 || (n.whole_digits > 1 && peek(r, at) == '0');
    if (by_digits)
        say_digits(r, at, n.whole_bytes);
    else if (n.whole_digits > 0)
        say_cardinal(r, n.whole);
    if (n.decimals > 0) {
        say(r, "point");
        say_digits(r, at + n.whole_bytes, n.bytes - n.whole_bytes);
    }
}

bool english_is_adjective(const reading *r, size_t after, bool scaled) {
    static const char *const determiners[] = {"that", "the", "this"};
    const char *word;
    size_t n = word_before(r, r->at, &word);
    char small[32];
    for (size_t i = 0; i < n; i++) small[i] = to_small(word[i]);
    bool article = (n == 1 && to_small(word[0]) == 'a') || (n == 2 && to_small(word[0]) == 'a' && word[1] == 'n');
    article |= scaled && IN_LIST(determiners, small, n);
    static const char *const no_nouns[] = {"a",    "and", "are",  "as", "at",   "by",    "for",  "from",
                                           "had",  "has", "have", "he", "in",   "into",  "is",   "it",
                                           "more", "my",  "of",   "on", "or",   "she",   "that", "the",
                                           "they", "to",  "was",  "we", "were", "which", "with", "you"};
    if (IN_LIST(no_nouns, r->text + after + 1, count_letters(r, after + 1))) return false;
    return article && (peek(r, after) == ' ' || peek(r, after) == '-') && is_small(peek(r, after + 1));
}

bool english_is_plural_noun(const reading *r, size_t at) {
    static const char *const irregular[] = {"children", "feet", "men", "people", "women"};
    static const char *const singular[] = {"always", "as",     "does", "goes",   "has",   "his",   "its",
                                           "makes",  "means",  "plus", "sees",   "shows", "takes", "this",
                                           "thus",   "unless", "us",   "versus", "was",   "years"};
    size_t n = count_letters(r, at);
    if (n < 3 || !is_small(peek(r, at)) || peek(r, at + n) == '\'') return false;
    if (IN_LIST(irregular, r->text + at, n)) return true;
    bool years = n == 5 && reads(r, at, "years");
    return peek(r, at + n - 1) == 's' && peek(r, at + n - 2) != 's' && (years || !IN_LIST(singular, r->text + at, n));
}

bool english_year_like(const reading *r, size_t at) {
    if (count_digits(r, at) != 4) return false;
    uint64_t value = value_of(r, at, 4);
    return value >= 1100 && value < 2100;
}

size_t english_scale(const reading *r, size_t at, const char **word) {
    static const struct {
        const char *written, *said;
    } scales[] = {{"bn", "billion"}, {"mn", "million"}, {"tn", "trillion"}, {"k", "thousand"}, {"K", "thousand"},
                  {"m", "million"},  {"M", "million"},  {"b", "billion"},   {"B", "billion"},  {"T", "trillion"}};
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++)
        if (reads_word(r, at, scales[i].written)) {
            *word = scales[i].said;
            return strlen(scales[i].written);
        }
    static const char *const words[] = {"thousand", "million", "billion", "trillion"};
    if (peek(r, at) != ' ' && peek(r, at) != '-') return 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (reads_word(r, at + 1, words[i])) {
            *word = words[i];
            return 1 + strlen(words[i]);
        }
    return 0;
}

/* ---- rules */

/* 978-3-16-148410-0: three groups and more. */
static size_t say_hyphened(reading *r) {
    size_t end = r->at + count_digits(r, r->at), groups = 1;
    for (; peek(r, end) == '-' && is_digit(peek(r, end + 1)); groups++) end += 1 + count_digits(r, end + 1);
    if (groups < 3 || is_word(peek(r, end)) || (peek(r, end) == '.' && is_digit(peek(r, end + 1)))) return 0;
    for (size_t at = r->at; at < end && !r->out->full; at += count_digits(r, at) + 1) {
        if (at > r->at) say_on(r, ",");
        say_digits(r, at, count_digits(r, at));
    }
    return end - r->at;
}

/* MO 63101 */
static bool is_zip_code(const reading *r) {
    static const char *const states[] = {"AK", "AL", "AR", "AZ", "CA", "CO", "CT", "DC", "DE", "FL", "GA", "HI", "IA",
                                         "ID", "IL", "IN", "KS", "KY", "LA", "MA", "MD", "ME", "MI", "MN", "MO", "MS",
                                         "MT", "NC", "ND", "NE", "NH", "NJ", "NM", "NV", "NY", "OH", "OK", "OR", "PA",
                                         "RI", "SC", "SD", "TN", "TX", "UT", "VA", "VT", "WA", "WI", "WV", "WY"};
    const char *word;
    size_t n = word_before(r, r->at, &word);
    return count_digits(r, r->at) == 5 && !is_word(peek(r, r->at + 5)) && IN_LIST(states, word, n);
}

/* "a 911 call" */
static bool is_emergency(const reading *r) {
    static const char *const numbers[] = {"112", "911", "999"};
    static const char *const calls[] = {"call", "caller", "callers", "calls", "dispatcher", "operator"};
    return IN_LIST(numbers, r->text + r->at, count_digits(r, r->at)) && peek(r, r->at + 3) == ' ' &&
           IN_LIST(calls, r->text + r->at + 4, count_letters(r, r->at + 4));
}

/* Digits that are names rather than amounts: dotted and hyphened ones, emergency numbers, ZIP codes, and a few that
 * have words of their own. */
size_t english_long_digits(reading *r) {
    static const struct {
        const char *written, *said;
    } fixed[] = {
        {"24/7", "twenty-four seven"}, {"50/50", "fifty-fifty"}, {"50-50", "fifty-fifty"}, {"9/11", "nine eleven"}};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (reads_word(r, r->at, fixed[i].written) && peek(r, r->at + strlen(fixed[i].written)) != '/') {
            say(r, fixed[i].said);
            return strlen(fixed[i].written);
        }
    size_t end = r->at, groups = 0;
    while (is_digit(peek(r, end))) {
        end += count_digits(r, end);
        groups++;
        if (peek(r, end) != '.' || !is_digit(peek(r, end + 1))) break;
        end++;
    }
    if (groups >= 3) {
        for (size_t at = r->at; at < end;) {
            size_t digits = count_digits(r, at);
            if (at > r->at) say(r, groups == 4 ? "dot" : "point");
            if (digits > 2 || peek(r, at) == '0')
                say_digits(r, at, digits);
            else
                say_cardinal(r, value_of(r, at, digits));
            at += digits + 1;
        }
        return end - r->at;
    }
    size_t hyphened = say_hyphened(r);
    if (hyphened > 0) return hyphened;
    if (is_zip_code(r) || is_emergency(r)) {
        say_digits(r, r->at, count_digits(r, r->at));
        return count_digits(r, r->at);
    }
    static const char *const calls[] = {"call", "called", "calling", "dial", "dialed", "dialing", "dialled"};
    const char *word;
    size_t n = word_before(r, r->at, &word);
    char small[32];
    for (size_t i = 0; i < n; i++) small[i] = to_small(word[i]);
    static const char *const codes[] = {"code", "extension", "id", "password", "pin", "text", "zip"};
    size_t digits = count_digits(r, r->at);
    if (digits >= 4 && IN_LIST(codes, small, n)) {
        say_digits(r, r->at, digits);
        return digits;
    }
    if (count_digits(r, r->at) != 3 || is_word(peek(r, r->at + 3)) || n == 0) return 0;
    if (IN_LIST(calls, small, n)) {
        say_digits(r, r->at, 3);
        return 3;
    }
    static const char *const places[] = {"airbus",     "boeing", "channel", "flight", "highway",
                                         "interstate", "room",   "route",   "suite"};
    if (!IN_LIST(places, small, n) || peek(r, r->at) == '0') return 0;
    uint64_t rest = value_of(r, r->at + 1, 2);
    say_digits(r, r->at, 1);
    if (rest == 0) say(r, "hundred");
    if (rest > 0 && rest < 10) say(r, "oh");
    if (rest > 0) say_cardinal(r, rest);
    return peek(r, r->at + 3) == '-' && count_digits(r, r->at + 4) == 3 ? 4 : 3; /* Boeing 737-800 */
}

static void say_fraction(reading *r, uint64_t numerator, uint64_t denominator, bool mixed) {
    if (mixed && numerator == 1 && (denominator == 2 || denominator == 4))
        say(r, denominator == 2 ? "a" : "a quarter");
    else
        say_cardinal(r, numerator);
    if (denominator == 2)
        say(r, numerator == 1 ? "half" : "halves");
    else if (denominator == 4 && (!mixed || numerator != 1))
        say(r, numerator == 1 ? "quarter" : "quarters");
    else if (denominator != 4) {
        say_ordinal(r, denominator);
        if (numerator != 1) say_on(r, "s");
    }
}

/* "3/4" at an offset: its bytes. What is said is two cardinals where it is no part of a whole. */
static size_t parse_fraction(const reading *r, size_t at, uint64_t *numerator, uint64_t *denominator) {
    size_t n = count_digits(r, at), m = peek(r, at + n) == '/' ? count_digits(r, at + n + 1) : 0;
    size_t bytes = n + 1 + m;
    if (n == 0 || n > 3 || m == 0 || m > 3 || peek(r, at) == '0' || peek(r, at + n + 1) == '0') return 0;
    char next = peek(r, at + bytes);
    if (is_word(next) || next == '/') return 0;
    *numerator = value_of(r, at, n);
    *denominator = value_of(r, at + n + 1, m);
    return bytes;
}

static const struct {
    const char *written;
    uint8_t numerator, denominator;
} characters[] = {{"\xc2\xbc", 1, 4},     {"\xc2\xbd", 1, 2},      {"\xc2\xbe", 3, 4},     {"\xe2\x85\x90", 1, 7},
                  {"\xe2\x85\x91", 1, 9}, {"\xe2\x85\x92", 1, 10}, {"\xe2\x85\x93", 1, 3}, {"\xe2\x85\x94", 2, 3},
                  {"\xe2\x85\x95", 1, 5}, {"\xe2\x85\x96", 2, 5},  {"\xe2\x85\x97", 3, 5}, {"\xe2\x85\x98", 4, 5},
                  {"\xe2\x85\x99", 1, 6}, {"\xe2\x85\x9a", 5, 6},  {"\xe2\x85\x9b", 1, 8}, {"\xe2\x85\x9c", 3, 8},
                  {"\xe2\x85\x9d", 5, 8}, {"\xe2\x85\x9e", 7, 8}};

static size_t parse_any_fraction(const reading *r, size_t at, uint64_t *numerator, uint64_t *denominator) {
    for (size_t i = 0; i < sizeof characters / sizeof characters[0]; i++)
        if (reads(r, at, characters[i].written)) {
            *numerator = characters[i].numerator;
            *denominator = characters[i].denominator;
            return strlen(characters[i].written);
        }
    return parse_fraction(r, at, numerator, denominator);
}

size_t english_fraction(reading *r) {
    uint64_t numerator, denominator;
    size_t bytes = parse_any_fraction(r, r->at, &numerator, &denominator);
    static const char *const dated[] = {"Due",      "Fri",   "Friday", "Mon",     "Monday", "On",   "Sat",
                                        "Saturday", "Since", "Sun",    "Sunday",  "Thu",    "Thur", "Thurs",
                                        "Thursday", "Tue",   "Tues",   "Tuesday", "Until",  "Wed",  "Wednesday",
                                        "due",      "on",    "since",  "until"};
    const char *word;
    size_t n = word_before(r, r->at, &word);
    if (bytes > 2 && IN_LIST(dated, word, n) && numerator <= 12 && denominator <= 31 && is_digit(peek(r, r->at))) {
        english_say_date(r, 0, (unsigned)numerator, (unsigned)denominator); /* on 3/4 */
        return bytes;
    }
    if (bytes > 0) {
        if (denominator >= 2 && (numerator < denominator || denominator <= 4) && denominator <= 100) {
            say_fraction(r, numerator, denominator, false);
        } else {
            say_cardinal(r, numerator);
            say(r, "over");
            say_cardinal(r, denominator);
        }
    } else { /* 2 1/2, 2½ */
        size_t digits = count_digits(r, r->at), at = r->at + digits;
        if (digits == 0 || digits > 3) return 0;
        if (peek(r, at) == ' ') at++;
        size_t more =
            is_digit(peek(r, at)) && at == r->at + digits ? 0 : parse_any_fraction(r, at, &numerator, &denominator);
        if (more == 0 || numerator >= denominator || denominator > 64) return 0;
        say_cardinal(r, value_of(r, r->at, digits));
        say(r, "and");
        say_fraction(r, numerator, denominator, true);
        bytes = at + more - r->at;
    }
    size_t after = r->at + bytes;
    bool space = peek(r, after) == ' ';
    size_t unit = english_unit(r, after + space, numerator == 1 && bytes <= 3, !space);
    return bytes + (unit > 0 ? space + unit : 0);
}

size_t english_ordinal(reading *r) {
    english_number n = english_parse_number(r, r->at);
    if (n.whole_digits == 0 || n.whole_digits > 18 || n.decimals > 0) return 0;
    static const char *const endings[] = {"st", "nd", "rd", "th"};
    for (size_t i = 0; i < 4; i++)
        if (reads_any_case(r, r->at + n.bytes, endings[i]) && !is_word(peek(r, r->at + n.bytes + 2))) {
            say_ordinal(r, n.whole);
            return n.bytes + 2;
        }
    return 0;
}

/* 1980s, 1980's, '90s, 80s. */
size_t english_decade(reading *r) {
    size_t quote = peek(r, r->at) == '\''                                               ? 1
                   : reads(r, r->at, "\xe2\x80\x99") || reads(r, r->at, "\xe2\x80\x98") ? 3
                                                                                        : 0;
    size_t at = r->at + quote, digits = count_digits(r, at), end = at + digits;
    if (quote > 0 && digits == 2 && !is_word(peek(r, end)) && peek(r, end) != '\'' && !is_word(before(r))) { /* '99 */
        if (peek(r, at) == '0') say(r, "oh");
        say_cardinal(r, value_of(r, at, 2));
        return end - r->at;
    }
    if (peek(r, end) == '\'') end++;
    if (!(digits == 2 || (digits == 4 && quote == 0)) || peek(r, at + digits - 1) != '0') return 0;
    if (peek(r, end) != 's' || is_word(peek(r, end + 1))) return 0;
    uint64_t value = value_of(r, at, digits);
    if (value < 20 || (digits == 4 && !english_year_like(r, at))) return 0;
    if (digits == 4)
        say_year(r, value);
    else
        say_cardinal(r, value);
    text_buffer *out = r->out;
    if (out->bytes > r->start && out->text[out->bytes - 1] == 'y') {
        out->bytes--;
        say_on(r, "ies");
    } else {
        say_on(r, "s");
    }
    return end + 1 - r->at;
}

size_t english_year(reading *r) {
    static const char *const prepositions[] = {"about", "after", "before", "by",   "circa", "from",
                                               "in",    "of",    "since",  "till", "until", "year"};
    const char *word;
    size_t n = word_before(r, r->at, &word), after = r->at + 4;
    bool early = count_digits(r, r->at) == 4 && reads(r, r->at, "10") && n > 0 && IN_LIST(prepositions, word, n);
    if (!early && !english_year_like(r, r->at)) return 0;
    if (is_word(peek(r, after)) || (peek(r, after) == '.' && is_digit(peek(r, after + 1)))) return 0;
    if (peek(r, after) == ' ' && before(r) != '-' && english_is_plural_noun(r, after + 1)) return 0;
    say_year(r, value_of(r, r->at, 4));
    uint64_t next = peek(r, after) == '/' && count_digits(r, after + 1) == 2 ? value_of(r, after + 1, 2) : 0;
    if (next == 0 || next != (value_of(r, r->at + 2, 2) + 1) % 100 || is_word(peek(r, after + 3))) return 4;
    say_cardinal(r, next); /* 2023/24 */
    return 7;
}

/* 1e-4 */
size_t english_scientific(reading *r) {
    english_number n = english_parse_number(r, r->at);
    size_t at = r->at + n.bytes + 1, sign = peek(r, at) == '-' || peek(r, at) == '+',
           digits = count_digits(r, at + sign);
    char e = peek(r, at - 1);
    if (n.bytes == 0 || !(e == 'e' || (e == 'E' && (sign || n.decimals > 0))) || digits == 0 || digits > 3) return 0;
    if (is_word(peek(r, at + sign + digits))) return 0;
    english_say_number(r, r->at, n);
    say(r, "times ten to the power of");
    if (peek(r, at) == '-') say(r, "minus");
    say_cardinal(r, value_of(r, at + sign, digits));
    return at + sign + digits - r->at;
}

size_t english_cardinal(reading *r) {
    english_number n = english_parse_number(r, r->at);
    if (n.bytes == 0 || (n.whole_digits == 0 && is_word(before(r)))) return 0;
    english_say_number(r, r->at, n);
    return n.bytes;
}

/* ---- what may stand between a number and the next one */

static bool starts_amount(const reading *r, size_t at) {
    return is_digit(peek(r, at)) || peek(r, at) == '$' || reads(r, at, "\xc2\xa3") || reads(r, at, "\xe2\x82\xac") ||
           (peek(r, at) == '.' && is_digit(peek(r, at + 1)));
}

size_t english_between_numbers(reading *r) {
    size_t at = r->number_end, space = 0;
    if (r->at != at) return 0;
    while (peek(r, at) == ' ' && space == 0) at++, space++;
    size_t dash = peek(r, at) == '-' ? 1 : reads(r, at, "\xe2\x80\x93") ? 3 : reads(r, at, "\xe2\x88\x92") ? 3 : 0;
    if (dash > 0 && starts_amount(r, at + dash + space) && (space == 0 || peek(r, at + dash) == ' ')) {
        say(r, r->equation || reads(r, at, "\xe2\x88\x92") ? "minus" : "to");
        return at + dash + space - r->at;
    }
    size_t times = peek(r, at) == 'x' || peek(r, at) == 'X' || peek(r, at) == '*' ? 1
                   : reads(r, at, "\xc3\x97")                                     ? 2
                                                                                  : 0;
    if (times > 0 && is_digit(peek(r, at + times + space)) && (space == 0 || peek(r, at + times) == ' ')) {
        bool product = peek(r, at) == '*' || r->equation || (space && times == 2);
        say(r, product ? "times" : "by");
        return at + times + space - r->at;
    }
    if (space == 0 && (peek(r, at) == 'x' || reads(r, at, "\xc3\x97")) && !is_word(peek(r, at + times))) {
        say(r, "times");
        return times;
    }
    if (space == 0 && peek(r, at) == '/' && is_ascii_letter(peek(r, at + 1))) {
        say(r, "per");
        size_t unit = english_unit(r, at + 1, true, false);
        return 1 + unit;
    }
    if (space == 0 && peek(r, at) == '/' && is_digit(peek(r, at + 1))) {
        say(r, r->equation ? "divided by" : "over");
        return 1;
    }
    if (space == 1 && peek(r, at) == '/' && peek(r, at + 1) == ' ' && is_digit(peek(r, at + 2))) {
        say(r, "divided by");
        return 3;
    }
    return 0;
}
