/* sentence_words.h — the English words that say whether a stop ends a sentence: abbreviations, and words that begin
 * one. (A few abbreviations of German, French and Spanish are among them.) */
#ifndef F5_SENTENCE_WORDS_H
#define F5_SENTENCE_WORDS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    WORD_PLAIN = 0, /* no abbreviation */
    WORD_NEVER,     /* its stop ends no sentence: "Mr.", "e.g." */
    WORD_NUMBER,    /* an abbreviation where a number follows, otherwise as WORD_STARTER: "p. 5" */
    WORD_ANSWER,    /* an abbreviation where a number follows, otherwise a word: "No. 5" */
    WORD_UNIT,      /* after a number as WORD_CAPITAL, otherwise a word: "5 in." */
    WORD_STARTER,   /* ends one where the next word clearly begins one: "U.S. The" */
    WORD_TIME,      /* ends one before any capital but days, months and time zones: "5 p.m. John" */
    WORD_CAPITAL    /* ends one before any capital: "etc. John" */
} word_kind;

/* What the word before a stop is, the stop not included. */
word_kind sentence_abbreviation(const char *word, size_t bytes);

/* A word with a capital that begins sentences far more often than it stands inside one: "The", "However". */
bool sentence_starter(const char *word, size_t bytes);

/* A day, a month or a time zone: what follows a time of the day in one sentence. */
bool sentence_follows_time(const char *word, size_t bytes);

#endif
