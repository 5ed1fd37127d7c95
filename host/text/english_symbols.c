/* english_symbols.c — English names of symbols, and markdown's marks, which are not said. */
#include <string.h>

#include "host/text/english.h"

/* Said wherever they stand; "" is silent. */
static const struct {
    const char *written, *said;
} symbols[] = {
    {"->", "to"},
    {"=>", "to"},
    {"<=", "less than or equal to"},
    {">=", "greater than or equal to"},
    {"!=", "not equal to"},
    {"==", "equals"},
    {"=", "equals"},
    {"&", "and"},
    {"%", "percent"},
    {"@", "at"},
    {"+", "plus"},
    {"<", "less than"},
    {">", "greater than"},
    {"\\", "backslash"},
    {"`", ""},
    {"|", ""},
    {"^", ""},
    {"\xc2\xa7", "section"},
    {"\xc2\xb6", "paragraph"},
    {"\xc2\xae", ""},
    {"\xe2\x84\xa2", ""},
    {"\xc2\xb1", "plus or minus"},
    {"\xc3\x97", "times"},
    {"\xc3\xb7", "divided by"},
    {"\xc2\xb2", "squared"},
    {"\xc2\xb3", "cubed"},
    {"\xe2\x82\xac", "euro"},
    {"\xc2\xa3", "pound"},
    {"\xc2\xa5", "yen"},
    {"\xc2\xa2", "cents"},
    {"\xe2\x84\x96", "number"},
    {"\xe2\x89\x88", "approximately"},
    {"\xe2\x89\xa0", "not equal to"},
    {"\xe2\x89\xa4", "less than or equal to"},
    {"\xe2\x89\xa5", "greater than or equal to"},
    {"\xe2\x88\x92", "minus"},
    {"\xe2\x88\x9e", "infinity"},
    {"\xe2\x88\x9a", "square root of"},
    {"\xe2\x86\x92", "to"},
    {"\xe2\x80\xa2", ""},
    {"\xe2\x80\xa0", ""},
    {"\xcf\x80", "pi"},
};

size_t english_markdown_start(const reading *r) {
    size_t hashes = 0;
    while (peek(r, hashes) == '#') hashes++;
    if (hashes > 0 && hashes <= 6 && peek(r, hashes) == ' ') return hashes + 1;
    if ((peek(r, 0) == '*' || peek(r, 0) == '>' || peek(r, 0) == '+') && peek(r, 1) == ' ' && !is_digit(peek(r, 2)))
        return 2;
    if (reads(r, 0, "\xe2\x80\xa2 ")) return 4;
    return 0;
}

/* A run of one character, as in "-----", "====", "****", is drawn rather than said. */
static size_t drawn(const reading *r) {
    char c = peek(r, r->at);
    size_t n = 1;
    if (!c || !strchr("=_~#+<>|\\@%-", c)) return 0;
    while (peek(r, r->at + n) == c) n++;
    if (n < 3 || (c == '-' && n == 3)) return 0;
    return before(r) == ' ' && peek(r, r->at + n) == ' ' ? n + 1 : n;
}

enum { LINK_BYTES = 400 }; /* the longest half of a link that is looked for */

/* The offset of a byte within LINK_BYTES from `at` on; SIZE_MAX if there is none. */
static size_t find_byte(const reading *r, size_t at, char c) {
    size_t bytes = at < r->bytes ? r->bytes - at : 0;
    const char *found = bytes > 0 ? memchr(r->text + at, c, bytes < LINK_BYTES ? bytes : LINK_BYTES) : NULL;
    return found ? (size_t)(found - r->text) : SIZE_MAX;
}

/* [words](address): the words are copied, the rest is passed over. */
static size_t link(reading *r) {
    if (peek(r, r->at) == '[') {
        size_t close = find_byte(r, r->at, ']');
        bool address = close != SIZE_MAX && peek(r, close + 1) == '(' && find_byte(r, close, ')') != SIZE_MAX;
        return address && !is_digit(peek(r, close + 2)) ? 1 : 0;
    }
    if (!reads(r, r->at, "](")) return 0;
    size_t close = find_byte(r, r->at, ')'), space = find_byte(r, r->at, ' ');
    size_t from = r->at > LINK_BYTES ? r->at - LINK_BYTES : 0;
    size_t open = find_byte(r, from, '[');
    return close != SIZE_MAX && close < space && open < r->at ? close + 1 - r->at : 0;
}

/* <b>, </i>, <br/> */
static size_t tag(const reading *r) {
    static const char *const names[] = {"a", "b",  "br", "code", "div",    "em", "hr",
                                        "i", "li", "p",  "span", "strong", "u",  "ul"};
    size_t at = r->at + 1 + (peek(r, r->at + 1) == '/'), n = count_letters(r, at);
    if (peek(r, r->at) != '<' || n == 0 || !IN_LIST(names, r->text + at, n)) return 0;
    at += n;
    while (peek(r, at) == ' ' || peek(r, at) == '/') at++;
    return peek(r, at) == '>' ? at + 1 - r->at : 0;
}

static size_t star(reading *r) {
    size_t n = 1;
    while (peek(r, r->at + n) == '*') n++;
    bool spaces = before(r) == ' ' && peek(r, r->at + 1) == ' ';
    if (n == 1 && spaces && r->number_end + 1 == r->at) say(r, "times");
    return n;
}

static size_t hash(reading *r) {
    if (is_digit(peek(r, r->at + 1))) {
        say(r, "number");
        return 1;
    }
    if (is_capital(before(r)) && (r->at < 2 || !is_word(r->text[r->at - 2])) && !is_word(peek(r, r->at + 1))) {
        say(r, "sharp");
        return 1;
    }
    size_t n = english_hashtag(r);
    if (n > 0) return n;
    if (peek(r, r->at + 1) != '#') say(r, "hash");
    n = 1;
    while (peek(r, r->at + n) == '#') n++;
    return n;
}

static size_t slash(reading *r) {
    static const char *const pairs[] = {"her", "hers", "no", "or", "she", "him", "off"};
    bool between = is_word(before(r)) && is_word(peek(r, r->at + 1));
    if (!between) return is_word(before(r)) || is_word(peek(r, r->at + 1)) ? (say(r, "slash"), 1) : 1;
    bool pair = false;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) pair |= reads_word(r, r->at + 1, pairs[i]);
    if (reads_word(r, r->at + 1, "or"))
        text_put_string(r->out, " ");
    else
        say(r, pair ? "or" : "slash");
    return 1;
}

static size_t underscore(reading *r) {
    if (is_word(before(r)) && is_word(peek(r, r->at + 1))) text_put_string(r->out, " ");
    return 1;
}

size_t english_power(reading *r) {
    if (peek(r, r->at) != '^' || !is_word(before(r)) || !is_word(peek(r, r->at + 1))) return 0;
    bool alone = !is_word(peek(r, r->at + 2)), two = peek(r, r->at + 1) == '2', three = peek(r, r->at + 1) == '3';
    say(r, alone && two ? "squared" : alone && three ? "cubed" : "to the power of");
    return alone && (two || three) ? 2 : 1;
}

static size_t copyright(reading *r) {
    const char *word;
    size_t n = word_before(r, r->at, &word), bytes = reads(r, r->at, "\xc2\xa9") ? 2 : 0;
    if (bytes == 0) return 0;
    if (n == 9 && reads_any_case(r, (size_t)(word - r->text), "copyright"))
        return bytes + (peek(r, r->at + bytes) == ' ');
    say(r, "copyright");
    return bytes;
}

static size_t tilde(reading *r) {
    if (peek(r, r->at + 1) == '~') return 2;
    if (is_digit(peek(r, r->at + 1)) || peek(r, r->at + 1) == '$') say(r, "about");
    return 1;
}

size_t english_symbol(reading *r) {
    size_t n = drawn(r);
    if (n > 0) return n;
    if ((n = link(r)) > 0 || (n = tag(r)) > 0 || (n = english_power(r)) > 0 || (n = copyright(r)) > 0) return n;
    switch (peek(r, r->at)) {
    case '*':
        return star(r);
    case '#':
        return hash(r);
    case '/':
        return slash(r);
    case '_':
        return underscore(r);
    case '~':
        return tilde(r);
    case '-': /* "-5" */
        if (is_word(before(r)) || before(r) == '-' || !(is_digit(peek(r, r->at + 1)) || peek(r, r->at + 1) == '.') ||
            !is_digit(peek(r, r->at + 1 + (peek(r, r->at + 1) == '.'))))
            break;
        say(r, "minus");
        return 1;
    case '@':
        if ((n = english_handle(r)) > 0) return n;
        break;
    case '$':
        if (is_word(before(r)) || is_word(peek(r, r->at + 1))) return 0;
        say(r, "dollar");
        return 1;
    case '+': /* C++ */
        if (is_capital(before(r)) && peek(r, r->at + 1) == '+') {
            say(r, "plus plus");
            return 2;
        }
        break;
    case '<': /* a heart, an arrow, a comparison */
    case '>':
    default:
        break;
    }
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++)
        if (symbols[i].written[0] == r->text[r->at] && reads(r, r->at, symbols[i].written)) {
            n = strlen(symbols[i].written);
            if (symbols[i].said[0]) say(r, symbols[i].said);
            /* a silent mark between spaces takes one of them along */
            else if ((before(r) == ' ' || r->at == 0) && peek(r, r->at + n) == ' ')
                n++;
            return n;
        }
    return 0;
}
