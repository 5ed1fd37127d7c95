/* json_escape.h — one character as JSON has it inside a string: quote, backslash and control characters escaped, a byte
 * that is no UTF-8 replaced. */
#ifndef F5_JSON_ESCAPE_H
#define F5_JSON_ESCAPE_H

#include <stdio.h>

#include "weights/utf8.h"

/* The character at text [bytes], of which there is at least one: how many bytes it takes. *piece [*length] is what it
 * becomes, in the text or in `escape`. */
static inline size_t json_escape_one(const char *text, size_t bytes, char escape[8], const char **piece,
                                     size_t *length) {
    uint32_t code = 0;
    size_t taken = utf8_decode(text, bytes, &code);
    *piece = escape;
    if (taken == 0)
        *length = (size_t)snprintf(escape, 8, "\\ufffd");
    else if (code == '"' || code == '\\')
        *length = (size_t)snprintf(escape, 8, "\\%c", (char)code);
    else if (code == '\n')
        *length = (size_t)snprintf(escape, 8, "\\n");
    else if (code < 0x20 || (code >= 0x7f && code < 0xa0))
        *length = (size_t)snprintf(escape, 8, "\\u%04x", (unsigned)code);
    else
        *piece = text, *length = taken;
    return taken ? taken : 1;
}

#endif
