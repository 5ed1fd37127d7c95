/* chinese_dates.c — Chinese dates and times of day: 二零二四年一月五日, 十点三十分. */
#include <string.h>

#include "host/text/chinese.h"

size_t chinese_numeric_date(reading *r) {
    char mark = peek(r, r->at + 4);
    if (count_digits(r, r->at) != 4 || (mark != '-' && mark != '/' && mark != '.')) return 0;
    size_t month_at = r->at + 5, m = count_digits(r, month_at), day_at = month_at + m + 1;
    size_t d = m > 0 && peek(r, day_at - 1) == mark ? count_digits(r, day_at) : 0;
    if (m > 2 || d == 0 || d > 2 || peek(r, day_at + d) == mark) return 0;
    uint64_t month = value_of(r, month_at, m), day = value_of(r, day_at, d);
    if (month < 1 || month > 12 || day < 1 || day > 31) return 0;
    chinese_say_digits(r, r->at, 4, false);
    chinese_say(r, "年");
    say_cardinal(r, month);
    chinese_say(r, "月");
    say_cardinal(r, day);
    chinese_say(r, "日");
    return day_at + d - r->at;
}

/* Digit by digit: four digits before 年, or two of the last century; both ends of a range of years. */
size_t chinese_year(reading *r) {
    size_t digits = count_digits(r, r->at), end = r->at + digits;
    if (digits != 4 && digits != 2) return 0;
    bool decade = reads(r, end, "年代");
    if (decade && digits == 2) return 0; /* 80年代 is 八十年代 */
    if (reads(r, end, "年") || reads(r, end, " 年") || reads(r, end, "级") || reads(r, end, "届")) {
        bool age = digits == 2 && (value_of(r, r->at, 2) < 50 && peek(r, r->at) != '0');
        if (age || (digits == 2 && !reads(r, end, "年") && !reads(r, end, "级"))) return 0;
        chinese_say_digits(r, r->at, digits, false);
        return digits;
    }
    size_t mark = chinese_range_mark(r, end);
    size_t second = count_digits(r, end + mark), after = end + mark + second;
    if (mark == 0 || digits != 4 || (second != 4 && second != 2) || !reads(r, after, "年")) return 0;
    chinese_say_digits(r, r->at, 4, false);
    chinese_say(r, "到");
    chinese_say_digits(r, end + mark, second, false);
    return after - r->at;
}

static void say_hour(reading *r, uint64_t hour) {
    if (hour == 2)
        chinese_say(r, "两");
    else
        say_cardinal(r, hour);
}

static size_t colon(const reading *r, size_t at) {
    return peek(r, at) == ':' ? 1 : reads(r, at, "：") ? 3 : 0;
}

/* 10:30, 8:05:20; 3:1 is a score. */
size_t chinese_time(reading *r) {
    size_t h = count_digits(r, r->at), mark = colon(r, r->at + h), m_at = r->at + h + mark;
    size_t m = mark > 0 ? count_digits(r, m_at) : 0, end = m_at + m;
    if (h == 0 || h > 3 || m == 0 || m > 3) return 0;
    uint64_t hour = value_of(r, r->at, h), minute = value_of(r, m_at, m);
    if (m != 2 || h > 2 || hour > 24 || minute > 59) {
        if (colon(r, end)) return 0;
        say_cardinal(r, hour);
        chinese_say(r, "比");
        say_cardinal(r, minute);
        return end - r->at;
    }
    say_hour(r, hour);
    chinese_say(r, "点");
    size_t second_mark = colon(r, end), s = second_mark ? count_digits(r, end + second_mark) : 0;
    if (minute > 0 || s == 2) {
        if (minute < 10) chinese_say(r, "零");
        if (minute > 0) say_cardinal(r, minute);
        chinese_say(r, "分");
    }
    if (s != 2) return end - r->at;
    uint64_t second = value_of(r, end + second_mark, 2);
    if (second < 10) chinese_say(r, "零");
    if (second > 0) say_cardinal(r, second);
    chinese_say(r, "秒");
    return end + second_mark + 2 - r->at;
}
