/* english_dates.c — English dates, months, weekdays and times of day. */
#include <string.h>

#include "host/text/english.h"

static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                     "July",    "August",   "September", "October", "November", "December"};
static const char *const short_months[] = {"Jan", "Feb", "Mar", "Apr", "",    "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* The month at an offset, 1 .. 12, full or shortened with or without its dot; its bytes. */
static size_t parse_month(const reading *r, size_t at, unsigned *month, bool *shortened) {
    size_t n = count_letters(r, at);
    if (n < 3 || n > 9 || is_digit(peek(r, at + n))) return 0;
    *shortened = false;
    for (*month = 1; *month <= 12; ++*month) {
        const char *name = months[*month - 1], *brief = short_months[*month - 1];
        if (strlen(name) == n &&
            (memcmp(r->text + at, name, n) == 0 ||
             (is_capital(peek(r, at + 1)) && is_capital(peek(r, at)) && strncasecmp(r->text + at, name, n) == 0)))
            return n;
        if (brief[0] &&
            ((n == 3 && memcmp(r->text + at, brief, 3) == 0) || (*month == 9 && n == 4 && reads(r, at, "Sept")))) {
            *shortened = true;
            return n + (peek(r, at + n) == '.');
        }
    }
    return 0;
}

/* "5", "5th": the day of a month, where no other number goes on. */
static size_t parse_day(const reading *r, size_t at, unsigned *day) {
    size_t digits = count_digits(r, at), end = at + digits;
    if (digits == 0 || digits > 2) return 0;
    *day = (unsigned)value_of(r, at, digits);
    if (*day < 1 || *day > 31) return 0;
    static const char *const endings[] = {"st", "nd", "rd", "th"};
    for (size_t i = 0; i < 4; i++)
        if (reads_word(r, end, endings[i])) return digits + 2;
    char next = peek(r, end);
    bool goes_on = is_word(next) || next == '%' || next == '/' || next == ':' ||
                   ((next == '.' || next == ',') && is_digit(peek(r, end + 1)));
    return goes_on && !reads(r, end, "\xe2\x80\x93") && !reads(r, end, "\xe2\x80\x99") ? 0 : digits;
}

/* ", 2024" or " 2024" after a day: its bytes. */
static size_t parse_year(const reading *r, size_t at, unsigned *year) {
    size_t n = peek(r, at) == ',';
    if (peek(r, at + n) != ' ' || count_digits(r, at + n + 1) != 4) return 0;
    char next = peek(r, at + n + 5);
    if (is_word(next) || (next == '.' && is_digit(peek(r, at + n + 6)))) return 0;
    *year = (unsigned)value_of(r, at + n + 1, 4);
    return n + 5;
}

bool english_say_date(reading *r, unsigned year, unsigned month, unsigned day) {
    if (month > 12 || day > 31) return false;
    if (month) say(r, months[month - 1]);
    if (day) say_ordinal(r, day);
    if (year && (day || month) && day) say_on(r, ",");
    if (year) say_year(r, year);
    return true;
}

size_t english_numeric_date(reading *r) {
    size_t first = count_digits(r, r->at);
    char mark = peek(r, r->at + first);
    if (mark != '-' && mark != '/' && mark != '.') return 0;
    size_t second_at = r->at + first + 1, second = count_digits(r, second_at), third_at = second_at + second + 1;
    size_t third = second > 0 && peek(r, third_at - 1) == mark ? count_digits(r, third_at) : 0;
    size_t end = third_at + third;
    if (third == 0 || second > 2 || is_word(peek(r, end))) return 0;
    if ((peek(r, end) == mark || peek(r, end) == '/') && is_digit(peek(r, end + 1))) return 0;
    unsigned a = (unsigned)value_of(r, r->at, first), b = (unsigned)value_of(r, second_at, second);
    unsigned c = (unsigned)value_of(r, third_at, third), year, month, day;
    if (first == 4 && third <= 2) {
        year = a, month = b, day = c;
    } else if (first <= 2 && (third == 4 || (third == 2 && mark == '/'))) {
        bool day_first = a > 12 || mark == '.';
        month = day_first ? b : a;
        day = day_first ? a : b;
        year = third == 4 ? c : c < 50 ? 2000 + c : 1900 + c;
    } else {
        return 0;
    }
    if (month < 1 || month > 12 || day < 1 || day > 31) return 0;
    english_say_date(r, year, month, day);
    return end - r->at;
}

size_t english_day_month(reading *r) {
    unsigned day, month, year;
    bool shortened;
    size_t n = parse_day(r, r->at, &day);
    if (n == 0 || peek(r, r->at + n) != ' ') return 0;
    size_t name = parse_month(r, r->at + n + 1, &month, &shortened), end = r->at + n + 1 + name;
    if (name == 0 || is_word(peek(r, end))) return 0;
    size_t more = parse_year(r, end, &year);
    if (more == 0 && (month == 5 || month == 3) && peek(r, end) == ' ' && is_small(peek(r, end + 1))) return 0;
    const char *word;
    size_t before_bytes = word_before(r, r->at, &word);
    bool the = before_bytes == 3 && reads_any_case(r, (size_t)(word - r->text), "the");
    if (!the) say(r, "the");
    say_ordinal(r, day);
    say(r, "of");
    say(r, months[month - 1]);
    if (more > 0) say_year(r, year);
    if (more == 0 && shortened && peek(r, end - 1) == '.' && ends_sentence(r, end)) end--;
    return end + more - r->at;
}

size_t english_month(reading *r) {
    unsigned month, day, last, year;
    bool shortened;
    size_t name = parse_month(r, r->at, &month, &shortened), end = r->at + name;
    if (name == 0 || is_word(peek(r, end))) return 0;
    size_t n = peek(r, end) == ' ' ? parse_day(r, end + 1, &day) : 0;
    if (n > 0 && peek(r, end + 1 + n) == ' ' && english_is_plural_noun(r, end + n + 2)) n = 0;
    if (n == 0) {
        size_t alone = shortened ? parse_year(r, end, &year) : 0;
        bool dotted = shortened && peek(r, end - 1) == '.';
        if (!dotted && alone == 0) return 0;
        say(r, months[month - 1]);
        return name - (dotted && alone == 0 && ends_sentence(r, end));
    }
    say(r, months[month - 1]);
    say_ordinal(r, day);
    end += 1 + n;
    size_t dash = peek(r, end) == '-' ? 1 : reads(r, end, "\xe2\x80\x93") ? 3 : 0;
    size_t m = dash > 0 ? parse_day(r, end + dash, &last) : 0;
    if (m > 0) {
        say(r, "to");
        say_ordinal(r, last);
        end += dash + m;
    }
    size_t more = parse_year(r, end, &year);
    if (more > 0) {
        say_on(r, ",");
        say_year(r, year);
    }
    return end + more - r->at;
}

size_t english_weekday(reading *r) {
    static const struct {
        const char *written, *said;
    } days[] = {{"Mon.", "Monday"},   {"Tue.", "Tuesday"},   {"Tues.", "Tuesday"},   {"Wed.", "Wednesday"},
                {"Thu.", "Thursday"}, {"Thur.", "Thursday"}, {"Thurs.", "Thursday"}, {"Fri.", "Friday"},
                {"Sat.", "Saturday"}, {"Sun.", "Sunday"}};
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++)
        if (reads(r, r->at, days[i].written)) {
            size_t n = strlen(days[i].written);
            if (ends_sentence(r, r->at + n)) n--;
            if (n < strlen(days[i].written) && i >= 8) return 0; /* "in the Sun." */
            say(r, days[i].said);
            return n;
        }
    return 0;
}

/* am, pm, a.m., P.M. after a time, with or without a space: bytes, the sentence's own stop not among them. */
static size_t parse_half(const reading *r, size_t at, char *half) {
    size_t space = peek(r, at) == ' ';
    *half = to_capital(peek(r, at + space));
    if (*half != 'A' && *half != 'P') return 0;
    size_t dot = peek(r, at + space + 1) == '.', m = at + space + 1 + dot;
    if (to_small(peek(r, m)) != 'm' || is_word(peek(r, m + 1))) return 0;
    if (dot && peek(r, m + 1) != '.') return 0;
    size_t end = m + 1 + (dot && !ends_sentence(r, m + 2));
    return end - at;
}

static void say_half(reading *r, char half) {
    say(r, half == 'A' ? "A M" : "P M");
}

/* 10:30, 3:05 pm, 7 a.m., 10:30:15; 16:9 and other ratios. */
size_t english_time(reading *r) {
    size_t hour_digits = count_digits(r, r->at), end = r->at + hour_digits;
    if (hour_digits == 0 || hour_digits > 3) return 0;
    uint64_t hour = value_of(r, r->at, hour_digits);
    char half;
    if (peek(r, end) != ':') {
        size_t n = hour_digits <= 2 && hour >= 1 && hour <= 12 ? parse_half(r, end, &half) : 0;
        if (n == 0) return 0;
        say_cardinal(r, hour);
        say_half(r, half);
        return hour_digits + n;
    }
    size_t minute_digits = count_digits(r, end + 1);
    if (minute_digits == 0 || minute_digits > 3) return 0;
    uint64_t minute = value_of(r, end + 1, minute_digits);
    size_t after = end + 1 + minute_digits;
    bool clock = minute_digits == 2 && hour <= 24 && minute < 60 && hour_digits <= 2;
    if (!clock) {
        if (is_word(peek(r, after)) || peek(r, after) == ':') return 0;
        say_cardinal(r, hour);
        say(r, "to");
        say_cardinal(r, minute);
        return after - r->at;
    }
    uint64_t second = 0;
    bool seconds = peek(r, after) == ':' && count_digits(r, after + 1) == 2;
    if (seconds) {
        second = value_of(r, after + 1, 2);
        after += 3;
    }
    size_t n = parse_half(r, after, &half);
    if (n == 0 && is_word(peek(r, after)) && peek(r, after) != '\xe2') return 0;
    if (hour % 24 == 0 && n == 0 && !seconds) { /* 0:30 */
        say(r, minute == 0 ? "midnight" : "twelve");
        if (minute > 0 && minute < 10) say(r, "oh");
        if (minute > 0) say_cardinal(r, minute);
        if (minute > 0) say(r, "A M");
        return after - r->at;
    }
    say_cardinal(r, hour);
    if (minute == 0 && n == 0 && !seconds)
        say(r, hour >= 1 && hour <= 12 && hour_digits - (peek(r, r->at) == '0') > 0 ? "o'clock" : "hundred");
    else if (minute > 0 && minute < 10)
        say(r, "oh");
    if (minute > 0) say_cardinal(r, minute);
    if (seconds) {
        say(r, "and");
        say_cardinal(r, second);
        say(r, second == 1 ? "second" : "seconds");
    }
    if (n > 0) say_half(r, half);
    return after + n - r->at;
}
