/* reading.c — looks at a sentence that is normalised, and puts words where they belong. */
#include "host/text/reading.h"

#include <string.h>

#include "weights/utf8.h"

bool reads(const reading *r, size_t at, const char *what) {
    size_t n = strlen(what);
    return at <= r->bytes && n <= r->bytes - at && memcmp(r->text + at, what, n) == 0;
}

bool reads_any_case(const reading *r, size_t at, const char *what) {
    for (size_t i = 0; what[i]; i++)
        if (to_small(peek(r, at + i)) != what[i]) return false;
    return true;
}

bool reads_word(const reading *r, size_t at, const char *word) {
    return reads(r, at, word) && !is_word(peek(r, at + strlen(word)));
}

size_t count_digits(const reading *r, size_t at) {
    size_t n = 0;
    while (is_digit(peek(r, at + n))) n++;
    return n;
}

size_t count_letters(const reading *r, size_t at) {
    size_t n = 0;
    while (is_ascii_letter(peek(r, at + n))) n++;
    return n;
}

uint64_t value_of(const reading *r, size_t at, size_t digits) {
    uint64_t value = 0;
    for (size_t i = 0; i < digits && i < 18; i++) value = value * 10 + (uint64_t)(peek(r, at + i) - '0');
    return value;
}

bool ends_sentence(const reading *r, size_t at) {
    while (at < r->bytes &&
           (strchr(" \t\r\n\"')]*_", r->text[at]) || reads(r, at, "\xe2\x80\x99") || reads(r, at, "\xe2\x80\x9d")))
        at += r->text[at] == '\xe2' ? 3 : 1;
    return at >= r->bytes;
}

size_t word_before(const reading *r, size_t at, const char **word) {
    enum { LONGEST = 32 };
    if (at > 0 && (r->text[at - 1] == ' ' || r->text[at - 1] == '\t')) at--;
    size_t end = at;
    while (at > 0 && end - at < LONGEST && is_ascii_letter(r->text[at - 1])) at--;
    *word = r->text + at;
    return end - at;
}

/* Whether words that follow in out need a space first. */
static bool needs_space(const reading *r) {
    const char *text = r->out->text;
    size_t end = r->out->bytes;
    if (end == r->start || r->language->unspaced) return false;
    char last = text[end - 1];
    if (end - r->start >= 3 && text[end - 3] == '\xe2' && text[end - 2] == '\x80') /* quotes and dashes */
        return last == '\x99' || last == '\x9d' || last == '\xa6';
    return !strchr(" \t\r\n([{\"'-/", last);
}

void say_bytes(reading *r, const char *words, size_t bytes) {
    if (needs_space(r)) text_put_string(r->out, " ");
    text_put(r->out, words, bytes);
    r->said = true;
}

void say(reading *r, const char *words) {
    say_bytes(r, words, strlen(words));
}

void say_on(reading *r, const char *words) {
    text_put_string(r->out, words);
    r->said = true;
}

void copy(reading *r, size_t at, size_t bytes) {
    if (at >= r->bytes) return;
    if (bytes > r->bytes - at) bytes = r->bytes - at;
    if (r->said && bytes > 0 && is_word(r->text[at]) && needs_space(r)) text_put_string(r->out, " ");
    text_put(r->out, r->text + at, bytes);
    r->said = false;
}

void copy_character(reading *r) {
    uint32_t code;
    size_t n = utf8_decode(r->text + r->at, r->bytes - r->at, &code);
    if (n == 0) n = 1;
    copy(r, r->at, n);
    r->at += n;
}

static bool say_number(reading *r, int set, uint64_t value) {
    size_t bytes = r->out->bytes;
    if (needs_space(r)) text_put_string(r->out, " ");
    r->said = true;
    if (spellout_write(r->language->numbers, set, (spellout_number){.whole = value}, r->out) || r->out->full)
        return true;
    r->out->bytes = bytes;
    return false;
}

void say_cardinal(reading *r, uint64_t value) {
    say_number(r, r->language->cardinal, value);
}

void say_ordinal(reading *r, uint64_t value) {
    if (!say_number(r, r->language->ordinal, value)) say_cardinal(r, value);
}

void say_year(reading *r, uint64_t value) {
    if (!say_number(r, r->language->year, value)) say_cardinal(r, value);
}

void say_digits(reading *r, size_t at, size_t bytes) {
    for (size_t i = at; i < at + bytes && !r->out->full; i++)
        if (is_digit(peek(r, i))) say_cardinal(r, (uint64_t)(r->text[i] - '0'));
}

bool in_list(const char *const *sorted, size_t n, const char *word, size_t bytes) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strncmp(sorted[middle], word, bytes);
        if (order == 0 && sorted[middle][bytes] != 0) order = 1;
        if (order == 0) return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}
