/* shell_words.c — one pass over the text; a word is never longer than what is left of it. */
#include "host/program/shell_words.h"

#include <stdlib.h>
#include <string.h>

void shell_words_free(shell_words *words) {
    for (int i = 0; i < words->n; i++) free(words->word[i]);
    *words = (shell_words){.n = 0};
}

static f5_status needs_shell(char c, f5_error *error) {
    return f5_fail(error, F5_E_ARGUMENT, "%c is done by a shell, which is not asked: write sh -c '...', or quote it",
                   c);
}

/* One word from *at on, which moves behind it; to has room for all that is left. */
static f5_status take_word(const char **at, char *to, f5_error *error) {
    char quote = '\0';
    const char *c = *at;
    for (; *c && (quote || !strchr(" \t\r\n", *c)); c++) {
        if (quote == '\'' && *c != '\'') {
            *to++ = *c;
        } else if (*c == quote || (!quote && (*c == '\'' || *c == '"'))) {
            quote = quote ? '\0' : *c;
        } else if (*c == '\\' && c[1] && (!quote || c[1] == '"' || c[1] == '\\' || c[1] == '$' || c[1] == '`')) {
            *to++ = *++c;
        } else if (*c == '$' || *c == '`' || (!quote && strchr("|&;<>()", *c))) {
            return needs_shell(*c, error);
        } else {
            *to++ = *c;
        }
    }
    *to = '\0';
    *at = c;
    return quote ? f5_fail(error, F5_E_ARGUMENT, "a %c is not closed", quote) : F5_OK;
}

static f5_status split(shell_words *words, const char *text, f5_error *error) {
    for (const char *at = text; *(at += strspn(at, " \t\r\n"));) {
        if (words->n == SHELL_WORDS_MAX)
            return f5_fail(error, F5_E_ARGUMENT, "has more than %d words", SHELL_WORDS_MAX);
        char *word = malloc(strlen(at) + 1);
        if (!word) return f5_fail(error, F5_E_MEMORY, "no memory for a command");
        words->word[words->n++] = word;
        F5_TRY(take_word(&at, word, error));
    }
    return words->n > 0 ? F5_OK : f5_fail(error, F5_E_ARGUMENT, "is blank");
}

f5_status shell_words_split(shell_words *words, const char *text, f5_error *error) {
    *words = (shell_words){.n = 0};
    f5_status status = split(words, text, error);
    if (status != F5_OK) shell_words_free(words);
    return status;
}

int shell_words_fill(shell_words *words, const char *value) {
    int filled = 0;
    const size_t bytes = strlen(value);
    for (int i = 0; i < words->n; i++) {
        int places = 0;
        for (const char *c = words->word[i]; (c = strstr(c, "{}")); c += 2) places++;
        if (places == 0) continue;
        char *word = malloc(strlen(words->word[i]) + (size_t)places * bytes + 1), *to = word;
        if (!word) return -1;
        const char *from = words->word[i];
        for (const char *c; (c = strstr(from, "{}")); from = c + 2) {
            memcpy(to, from, (size_t)(c - from));
            to += c - from;
            memcpy(to, value, bytes);
            to += bytes;
        }
        strcpy(to, from);
        free(words->word[i]);
        words->word[i] = word;
        filled += places;
    }
    return filled;
}
