/* quote.h — makes a name that came from a file fit to print in a one-line message. */
#ifndef F5_CONVERT_QUOTE_H
#define F5_CONVERT_QUOTE_H

#include <stddef.h>

typedef struct {
    char text[84];
} quoted_name;

/* At most 80 bytes of the name; control bytes and bytes beyond ASCII become '?', a longer name ends in "...". */
static inline quoted_name quote(const char *name, size_t length) {
    quoted_name q;
    size_t kept = length <= 80 ? length : 77, n = 0;
    for (; n < kept; n++) {
        unsigned char byte = (unsigned char)name[n];
        q.text[n] = byte >= 0x20 && byte < 0x7f ? (char)byte : '?';
    }
    for (int dots = 0; length > 80 && dots < 3; dots++) q.text[n++] = '.';
    q.text[n] = '\0';
    return q;
}

#endif
