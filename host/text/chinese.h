/* chinese.h — the rules of Chinese, and the numbers that they share. */
#ifndef F5_CHINESE_H
#define F5_CHINESE_H

#include "host/text/reading.h"

typedef struct {
    size_t bytes; /* in the text; 0: there is none */
    size_t digits, decimals;
    size_t whole_bytes; /* before the point, commas included */
    uint64_t whole;
} chinese_number;

chinese_number chinese_parse_number(const reading *r, size_t at);
void chinese_say_number(reading *r, size_t at, chinese_number n);         /* 一千二百三十四点五 */
void chinese_say_digits(reading *r, size_t at, size_t bytes, bool phone); /* 二零二四; 幺 for 一 on the phone */
void chinese_say(reading *r, const char *words);                          /* no spaces between words */
/* - – ~ ～ 至 between two numbers: its bytes. */
size_t chinese_range_mark(const reading *r, size_t at);

/* chinese_dates.c */
size_t chinese_numeric_date(reading *r); /* 2024-01-05 */
size_t chinese_year(reading *r);         /* 2024年, 2020-2024年 */
size_t chinese_time(reading *r);         /* 10:30 */

/* chinese_quantities.c */
size_t chinese_percent(reading *r);
size_t chinese_fraction(reading *r);
size_t chinese_money(reading *r);
size_t chinese_quantity(reading *r); /* 5km, 2个, 25℃ */
size_t chinese_negative(reading *r); /* -5, 零下五度 */
size_t chinese_phone(reading *r);
size_t chinese_name(reading *r); /* 302路, CA1234, 007 */
size_t chinese_cardinal(reading *r);
size_t chinese_between_numbers(reading *r);

#endif
