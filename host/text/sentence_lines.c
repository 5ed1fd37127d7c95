/* sentence_lines.c — what a line looks like, read from its characters. */
#include "host/text/sentence_lines.h"

#include <string.h>

#include "host/text/char_class.h"
#include "host/text/sentence_words.h"

#define MAX_LINE 120    /* bytes of a heading in capitals */
#define MAX_TITLE 60    /* bytes of any other heading */
#define MAX_WORD 32     /* bytes of the next line's first word that are looked at */
#define MAX_UNSPACED 16 /* characters of a Chinese heading */

static bool is_digit(uint32_t c) {
    return c >= '0' && c <= '9';
}

static bool space_at(growing_text *t, size_t at) {
    uint32_t c;
    return growing_peek(t, at, &c) > 0 && char_is_space(c);
}

/* One to six # and white space. */
static bool is_marked_heading(growing_text *t, size_t at) {
    uint32_t c;
    size_t n = 0;
    while (n < 7 && growing_peek(t, at + n, &c) > 0 && c == '#') n++;
    return n >= 1 && n <= 6 && space_at(t, at + n);
}

size_t sentence_list_marker(growing_text *t, size_t at) {
    uint32_t c;
    size_t n = growing_peek(t, at, &c);
    if (c == '-' || c == '*' || c == '+' || c == 0x2022 || c == 0x2023 || c == 0x25E6 || c == 0x25AA || c == 0x2013 ||
        c == 0x2014)
        return space_at(t, at + n) ? n : 0;
    bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    if (!letter && !is_digit(c)) return 0;
    for (int i = 0; !letter && i < 2; i++) {
        if (growing_peek(t, at + n, &c) == 0 || !is_digit(c)) break;
        n++;
    }
    growing_peek(t, at + n, &c);
    if (c != ')' && (c != '.' || letter)) return 0;
    return space_at(t, at + n + 1) ? n + 1 : 0;
}

/* Reads the word at `at`: its bytes, at most MAX_WORD. */
static size_t word_at(growing_text *t, size_t at) {
    size_t n = 0;
    for (uint32_t c; n < MAX_WORD;) {
        size_t step = growing_peek(t, at + n, &c);
        if (step == 0 || !(char_is_word(c) || char_is_mark(c) || c == '\'' || c == 0x2019)) break;
        n += step;
    }
    return n;
}

/* Two capitals or more, and no small letter, in the stretch. */
static bool all_capitals(growing_text *t, size_t start, size_t end) {
    int capitals = 0;
    for (size_t at = start; at < end;) {
        uint32_t c;
        size_t n = growing_peek(t, at, &c);
        if (n == 0 || char_is_lower(c) || char_is_unspaced(c)) return false;
        capitals += char_is_upper(c);
        at += n;
    }
    return capitals >= 2;
}

static bool only(const char *text, size_t bytes, const char *allowed) {
    for (size_t i = 0; i < bytes; i++)
        if (text[i] == '\0' || !strchr(allowed, text[i])) return false;
    return true;
}

/* "Chapter 7", "Part II: The Sea", "Act One". */
static bool is_part(growing_text *t, size_t start, size_t end) {
    static const char *const parts[] = {"Chapter", "Part",     "Section", "Book",    "Act",    "Scene",
                                        "Volume",  "Appendix", "Canto",   "Episode", "Lesson", "Unit"};
    static const char *const numbers[] = {"One",   "Two",  "Three", "Four",   "Five",   "Six",      "Seven",
                                          "Eight", "Nine", "Ten",   "Eleven", "Twelve", "Thirteen", "Fourteen"};
    size_t n = word_at(t, start), at = start + n;
    bool part = false, number = false;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        part = part || (strlen(parts[i]) == n && memcmp(parts[i], t->text + start, n) == 0);
    if (!part || at >= end || !space_at(t, at)) return false;
    at++;
    n = word_at(t, at);
    if (n == 0 || at + n > end) return false;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        number = number || (strlen(numbers[i]) == n && memcmp(numbers[i], t->text + at, n) == 0);
    return number || only(t->text + at, n, "0123456789") || only(t->text + at, n, "IVXLC");
}

/* 第 at the start, and within a few characters a word for a part. */
static bool is_unspaced_part(growing_text *t, size_t start, size_t end) {
    static const uint32_t parts[] = {0x7AE0, 0x8282, 0x7BC0, 0x56DE, 0x90E8, 0x5377, 0x7BC7, 0x5E55, 0x8A71, 0x96C6};
    uint32_t c;
    size_t at = start + growing_peek(t, start, &c);
    if (c != 0x7B2C) return false;
    for (int i = 0; i < 6 && at < end; i++) {
        at += growing_peek(t, at, &c);
        for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++)
            if (c == parts[k]) return true;
    }
    return false;
}

/* Few characters of a script without spaces, and nothing else but white space. */
static bool is_short_unspaced(growing_text *t, size_t start, size_t end) {
    int letters = 0;
    for (size_t at = start; at < end;) {
        uint32_t c;
        size_t n = growing_peek(t, at, &c);
        if (n == 0 || !(char_is_unspaced(c) || char_is_space(c) || is_digit(c))) return false;
        letters += char_is_unspaced(c);
        at += n;
    }
    return letters > 0 && letters <= MAX_UNSPACED;
}

static bool is_title(growing_text *t, size_t start, size_t end, size_t next) {
    int words = 0;
    for (size_t at = start; at < end;) {
        uint32_t c;
        size_t n = growing_peek(t, at, &c);
        if (n == 0) return false;
        if (char_is_space(c)) {
            at += n;
            continue;
        }
        n = word_at(t, at);
        if (n == 0) return false; /* punctuation */
        if ((n > 3 || words == 0) && !char_is_upper(c)) return false;
        if (words == 0 && sentence_starter(t->text + at, n)) return false;
        words++;
        at += n;
    }
    size_t n = word_at(t, next);
    return words >= 2 && !(n > 0 && t->text[next] == 'I') && sentence_starter(t->text + next, n);
}

bool sentence_line_ends(growing_text *t, size_t start, size_t end, size_t next) {
    uint32_t c, after;
    size_t n = growing_peek(t, next, &c), indent = 0;
    if (n == 0) return true;
    if (is_marked_heading(t, next)) return true;
    bool item = sentence_list_marker(t, 0) > 0; /* the sentence is one */
    if (sentence_list_marker(t, next) > 0) {
        growing_peek(t, next + n, &after);
        bool first = c == '1' && !is_digit(after);
        if (!is_digit(c) || first || (item && is_digit((unsigned char)t->text[0])) || t->text[end - 1] == ':')
            return true;
    }
    while (t->text[next - 1 - indent] == ' ') indent++; /* a line end stands before */
    if (item) return indent < 2 && !char_is_lower(c) && !is_digit(c);
    if (end <= MAX_LINE && all_capitals(t, 0, end) && !all_capitals(t, next, next + word_at(t, next))) return true;
    if (start > 0) return false; /* the sentence began on an earlier line */
    if (is_marked_heading(t, start)) return true;
    return end - start <= MAX_TITLE && (is_part(t, start, end) || is_unspaced_part(t, start, end) ||
                                        is_short_unspaced(t, start, end) || is_title(t, start, end, next));
}
