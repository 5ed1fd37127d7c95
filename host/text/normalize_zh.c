/* normalize_zh.c — Chinese: numbers become characters; Latin letters and everything else stay as they are. */
#include <string.h>

#include "host/text/chinese.h"
#include "host/text/normalize_languages.h"
#include "weights/utf8.h"

static const reading_rule at_digit[] = {chinese_numeric_date, chinese_phone,   chinese_time,
                                        chinese_year,         chinese_percent, chinese_fraction,
                                        chinese_quantity,     chinese_name,    chinese_cardinal};
static const reading_rule at_amount[] = {chinese_money, chinese_fraction};
static const reading_rule at_sign[] = {chinese_phone, chinese_negative};

chinese_number chinese_parse_number(const reading *r, size_t at) {
    chinese_number n = {.digits = count_digits(r, at)};
    size_t end = at + n.digits;
    n.whole = value_of(r, at, n.digits);
    if (n.digits == 0) return n;
    if (n.digits <= 3)
        while (peek(r, end) == ',' && count_digits(r, end + 1) == 3 && n.digits <= 12) {
            n.whole = n.whole * 1000 + value_of(r, end + 1, 3);
            n.digits += 3;
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

void chinese_say(reading *r, const char *words) {
    text_put_string(r->out, words);
}

void chinese_say_digits(reading *r, size_t at, size_t bytes, bool phone) {
    static const char *const digits[] = {"零", "一", "二", "三", "四", "五", "六", "七", "八", "九"};
    for (size_t i = at; i < at + bytes && !r->out->full; i++)
        if (is_digit(peek(r, i))) chinese_say(r, phone && r->text[i] == '1' ? "幺" : digits[r->text[i] - '0']);
}

void chinese_say_number(reading *r, size_t at, chinese_number n) {
    if (n.digits > 16 || (n.digits > 1 && peek(r, at) == '0'))
        chinese_say_digits(r, at, n.whole_bytes, false);
    else
        say_cardinal(r, n.whole);
    if (n.decimals == 0) return;
    chinese_say(r, "点");
    chinese_say_digits(r, at + n.whole_bytes + 1, n.decimals, false);
}

size_t chinese_range_mark(const reading *r, size_t at) {
    static const char *const marks[] = {"-", "~", "–", "—", "～", "－", "至"};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (reads(r, at, marks[i]) && is_digit(peek(r, at + strlen(marks[i])))) return strlen(marks[i]);
    return 0;
}

void normalize_chinese(reading *r) {
    static const reading_rule between[] = {chinese_between_numbers};
    while (r->at < r->bytes && !r->out->full) {
        if (say_lexicon(r)) continue;
        if (r->at == r->number_end && SAY_BY(r, between)) continue;
        if (is_digit(r->text[r->at]) ? SAY_BY(r, at_digit) : SAY_BY(r, at_amount)) {
            r->number_end = r->at;
            continue;
        }
        if (SAY_BY(r, at_sign)) continue;
        copy_character(r);
    }
}

bool say_as_chinese(reading *r, say_as_kind kind, const char *format) {
    static const reading_rule cardinal[] = {chinese_negative, chinese_cardinal}, time[] = {chinese_time},
                              fraction[] = {chinese_fraction, chinese_percent},
                              unit[] = {chinese_negative, chinese_quantity, chinese_cardinal},
                              currency[] = {chinese_money, chinese_cardinal};
    (void)format; /* year, month, day is the only order */
    switch (kind) {
    case SAY_CARDINAL:
        if (SAY_BY(r, cardinal) && r->at < r->bytes) SAY_BY(r, cardinal);
        return r->at == r->bytes && r->bytes > 0;
    case SAY_ORDINAL:
        if (count_digits(r, 0) != r->bytes || r->bytes == 0 || r->bytes > 15) return false;
        chinese_say(r, "第");
        say_cardinal(r, value_of(r, 0, r->bytes));
        return true;
    case SAY_CHARACTERS:
    case SAY_DIGITS:
    case SAY_TELEPHONE:
        for (uint32_t code; r->at < r->bytes && !r->out->full;) {
            size_t n = utf8_decode(r->text + r->at, r->bytes - r->at, &code);
            if (n == 0) n = 1;
            if (is_digit(r->text[r->at]))
                chinese_say_digits(r, r->at, 1, kind == SAY_TELEPHONE);
            else if (kind == SAY_CHARACTERS)
                text_put(r->out, r->text + r->at, n);
            r->at += n;
        }
        return r->out->bytes > r->start;
    case SAY_DATE:
        normalize_chinese(r);
        return true;
    case SAY_TIME:
        return SAY_BY(r, time) && r->at == r->bytes;
    case SAY_FRACTION:
        return SAY_BY(r, fraction) && r->at == r->bytes;
    case SAY_UNIT:
        while (SAY_BY(r, unit)) continue;
        return r->at == r->bytes && r->bytes > 0;
    case SAY_CURRENCY:
        return SAY_BY(r, currency) && r->at == r->bytes;
    case SAY_EXPLETIVE:
        chinese_say(r, "哔");
        return true;
    }
    return false;
}
