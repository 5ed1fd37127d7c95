/* english.h — the rules of English, one function for each kind of thing that is written otherwise than it is said. Each
 * is a reading_rule; normalize_en.c has the tables that say which is tried first. */
#ifndef F5_ENGLISH_H
#define F5_ENGLISH_H

#include "host/text/reading.h"

/* A number as English writes it: "1,234.50". */
typedef struct {
    size_t bytes;       /* in the text; 0: there is none */
    size_t whole_bytes; /* before the point, commas included */
    size_t whole_digits, decimals;
    uint64_t whole; /* where whole_digits <= 18 */
    bool commas;
} english_number;

english_number english_parse_number(const reading *r, size_t at);
void english_say_number(reading *r, size_t at, english_number n);
bool english_is_one(english_number n);
/* Whether an amount from r->at to `after` stands before a noun like an adjective: "a 5 km run", "the $2 million deal"
 * (scaled). Its unit is singular then. */
bool english_is_adjective(const reading *r, size_t after, bool scaled);
/* Whether the word at `at` looks like a noun of the plural. */
bool english_is_plural_noun(const reading *r, size_t at);
/* k, M, bn ... and "million" behind money: bytes, and the word. */
size_t english_scale(const reading *r, size_t at, const char **word);
bool english_year_like(const reading *r, size_t at);

/* english_numbers.c */
size_t english_long_digits(reading *r); /* 007, 192.168.0.1, 2.1.3, 24/7 */
size_t english_fraction(reading *r);
size_t english_ordinal(reading *r);
size_t english_decade(reading *r);
size_t english_year(reading *r);
size_t english_cardinal(reading *r);
size_t english_between_numbers(reading *r); /* 10-20, 4x4, 5/month */

/* english_dates.c */
size_t english_numeric_date(reading *r); /* 2024-01-05, 1/5/2024 */
size_t english_day_month(reading *r);    /* 5 January 2024 */
size_t english_month(reading *r);        /* Jan. 5, 2024 */
size_t english_weekday(reading *r);
size_t english_time(reading *r);
bool english_say_date(reading *r, unsigned year, unsigned month, unsigned day); /* 0: not said */

/* english_quantities.c */
size_t english_money(reading *r);      /* $5, US$5 */
size_t english_money_code(reading *r); /* USD 5 */
size_t english_quantity(reading *r);   /* 5 km, 5%, 5 EUR, 99¢ */
size_t english_height(reading *r);     /* 5'11" */
size_t english_unit_alone(reading *r); /* km/h */
/* Says the unit written at `at`; its bytes, 0 if there is none. `attached`: nothing is between the number and it. */
size_t english_unit(reading *r, size_t at, bool one, bool attached);

/* english_addresses.c */
size_t english_phone(reading *r);
size_t english_address(reading *r); /* e-mail, URL, file name */
size_t english_version(reading *r); /* v2.1.3 */
size_t english_hashtag(reading *r);
size_t english_handle(reading *r);

/* english_words.c */
size_t english_abbreviation(reading *r);
size_t english_initials(reading *r); /* U.S., e.g. */
size_t english_roman(reading *r);
size_t english_letters_and_digits(reading *r); /* MP3 */

/* english_capitals.c */
size_t english_capitals(reading *r);
void english_say_letters(reading *r, const char *letters, size_t bytes); /* "F B I" */
bool english_is_pronounceable(const char *word, size_t bytes);           /* in capitals */
/* Whether the word in capitals is said letter by letter. */
bool english_is_spelled(const char *word, size_t bytes);

/* english_symbols.c */
size_t english_symbol(reading *r);
size_t english_power(reading *r);                /* ^2 */
size_t english_markdown_start(const reading *r); /* bytes of "## ", "* ", "> " that a sentence begins with */

#endif
