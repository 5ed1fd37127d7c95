/* key_names.c — takes the words of a key one by one and leaves out those that wrappers put there. */
#include "weights/convert/key_names.h"

#include <stdbool.h>
#include <string.h>

static bool is_word(const char *word, size_t length, const char *name) {
    return strlen(name) == length && memcmp(word, name, length) == 0;
}

size_t key_plain(char *out, const char *key, size_t length, key_owner *owner) {
    size_t n = 0;
    *owner = KEY_OF_ANY;
    for (size_t at = 0; at < length;) {
        const char *word = key + at, *dot = memchr(word, '.', length - at);
        size_t bytes = dot ? (size_t)(dot - word) : length - at;
        bool averaged = n == 0 && is_word(word, bytes, "ema_model"),
             plain = n == 0 && is_word(word, bytes, "online_model");
        bool wrapper = is_word(word, bytes, "module") || is_word(word, bytes, "_orig_mod") || averaged || plain ||
                       (n == 0 && (is_word(word, bytes, "model") || is_word(word, bytes, "base_model")));
        if (dot && averaged) *owner = KEY_OF_AVERAGED;
        if (dot && plain) *owner = KEY_OF_PLAIN;
        if (!dot || !wrapper) {
            memcpy(out + n, word, bytes + (dot != NULL));
            n += bytes + (dot != NULL);
        }
        at += bytes + (dot != NULL);
    }
    out[n] = '\0';
    return n;
}
