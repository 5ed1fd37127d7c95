/* decimal.h — numbers of configuration files as they are written, "2.5" or "16", in any locale. */
#ifndef F5_CONVERT_DECIMAL_H
#define F5_CONVERT_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

/* digits / ten: 2.5 is 25 / 10. */
typedef struct {
    int64_t digits, ten; /* digits of 0 to 1e15 - 1 */
} decimal;

/* A number without sign and exponent, of at most 15 digits; false: it is written in another way. */
static inline bool decimal_read(decimal *d, const char *text) {
    int seen = 0;
    *d = (decimal){.ten = 1};
    for (bool point = false; *text; text++) {
        if (*text == '.' && !point && seen > 0) {
            point = true;
        } else if (*text >= '0' && *text <= '9' && seen < 15) {
            d->digits = 10 * d->digits + (*text - '0');
            if (point) d->ten *= 10;
            seen++;
        } else {
            return false;
        }
    }
    return seen > 0;
}

/* The nearest double: both are exact in one. */
static inline double decimal_value(decimal d) {
    return (double)d.digits / (double)d.ten;
}

#endif
