/* punctuation.h — which marks end sentences and clauses, and which open and close. */
#ifndef F5_PUNCTUATION_H
#define F5_PUNCTUATION_H

#include <stdbool.h>
#include <stdint.h>

/* ! ? and their like in scripts that write spaces. */
static inline bool mark_exclaims(uint32_t c) {
    return c == '!' || c == '?' || (c >= 0x203C && c <= 0x203D) || (c >= 0x2047 && c <= 0x2049) || c == 0x61F ||
           c == 0x6D4 || c == 0x964 || c == 0x965;
}

/* 。！？ and their like: what ends a sentence without white space after it. */
static inline bool mark_is_full(uint32_t c) {
    return c == 0x3002 || c == 0xFF01 || c == 0xFF1F || c == 0xFF61 || c == 0x589 || c == 0x1362 || c == 0x17D4 ||
           c == 0x104B;
}

static inline bool mark_is_stop(uint32_t c) {
    return c == '.' || c == 0x2026 || c == 0xFF0E || mark_exclaims(c) || mark_is_full(c);
}

/* Closing quotes and brackets, and the marks of emphasis in markdown. ' and " close where they stand after a stop. */
static inline bool mark_closes(uint32_t c) {
    return c == '"' || c == '\'' || c == ')' || c == ']' || c == '}' || c == '*' || c == '_' || c == 0xBB ||
           c == 0x2019 || c == 0x201D || c == 0x203A || (c >= 0x3009 && c <= 0x3011 && (c & 1)) ||
           (c >= 0x3015 && c <= 0x301B && (c & 1)) || c == 0x301E || c == 0x301F || c == 0xFF02 || c == 0xFF07 ||
           c == 0xFF09 || c == 0xFF3D || c == 0xFF5D || c == 0xFF63;
}

/* Opening ones, and what else stands before the first word of a sentence. */
static inline bool mark_opens(uint32_t c) {
    return c == '"' || c == '\'' || c == '(' || c == '[' || c == '{' || c == '*' || c == '_' || c == 0xA1 ||
           c == 0xAB || c == 0xBF || c == 0x2018 || c == 0x201A || c == 0x201C || c == 0x201E || c == 0x2039 ||
           (c >= 0x3008 && c <= 0x3010 && !(c & 1)) || (c >= 0x3014 && c <= 0x301A && !(c & 1)) || c == 0x301D ||
           c == 0xFF08 || c == 0xFF3B || c == 0xFF5B || c == 0xFF62;
}

static inline bool mark_is_dash(uint32_t c) {
    return c == '-' || (c >= 0x2010 && c <= 0x2015) || c == 0x2E3A || c == 0x2E3B;
}

/* Ends a clause where white space follows. */
static inline bool mark_is_clause(uint32_t c) {
    return c == ',' || c == ';' || c == ':' || c == 0x2013 || c == 0x60C || c == 0x61B || c == 0x37E || c == 0x387;
}

/* Ends a clause whatever follows. */
static inline bool mark_is_full_clause(uint32_t c) {
    return c == 0x2014 || c == 0x2015 || c == 0x3001 || c == 0xFF0C || c == 0xFF1A || c == 0xFF1B || c == 0xFF64 ||
           c == 0x55D;
}

/* The line ends that a character makes. CR LF makes one: its LF counts none after a CR. */
static inline int mark_line_ends(uint32_t c, uint32_t before) {
    if (c == '\n') return before != '\r';
    if (c == 0x2029 || c == '\f') return 2;
    return c == '\r' || c == 0x0B || c == 0x85 || c == 0x2028;
}

#endif
