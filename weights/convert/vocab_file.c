/* vocab_file.c — reads vocab.txt, refuses what is none, and shortens one that the embedding is too small for. */
#include "weights/convert/vocab_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/convert/quote.h"
#include "weights/convert/read_file.h"
#include "weights/utf8.h"

#define VOCAB_FILE_MAX_BYTES (16 << 20)

/* A token that is spoken: one letter of any script, or pinyin with its tone. */
static bool is_spoken(const char *token, size_t length) {
    uint32_t code = 0;
    size_t n = utf8_decode(token, length, &code);
    if (n == 0) return false;
    if (n == length && code >= 0x80)
        return code >= 0xC0 && code != 0xD7 && code != 0xF7 && code != 0xFEFF && !(code >= 0x2000 && code < 0x2C00) &&
               !(code >= 0x3000 && code < 0x3040) && !(code >= 0xFE00 && code < 0xFE70) &&
               !(code >= 0x1F000 && code < 0x20000);
    size_t letters = 0;
    while (letters < length && ((token[letters] | 0x20) >= 'a' && (token[letters] | 0x20) <= 'z')) letters++;
    bool tone = letters + 1 == length && token[letters] >= '1' && token[letters] <= '5';
    return letters > 0 && ((letters == 1 && length == 1) || tone);
}

/* A vocabulary without letters is a file of another form, "token TAB id" or JSON: every text would be noise. */
static f5_status check_letters(const vocab *v, const char *path, f5_error *error) {
    bool tab = false;
    char shown[3][84] = {"", "", ""};
    for (int32_t i = 0; i < v->size; i++) {
        if (is_spoken(v->token[i], v->length[i])) return F5_OK;
        tab |= memchr(v->token[i], '\t', v->length[i]) != NULL;
        if (i < 3) memcpy(shown[i], quote(v->token[i], v->length[i]).text, sizeof shown[i]);
    }
    return f5_fail(error, F5_E_FORMAT,
                   "%s: no line is a letter, so that no text could be said; its first lines are '%.40s', '%.40s', "
                   "'%.40s'; a vocab.txt holds one token a line and nothing else, its id is the number of its line%s",
                   path, shown[0], shown[1], shown[2],
                   tab ? ": take what stands before the tab (cut -f1), in the order of the ids" : "");
}

f5_status vocab_file_read(vocab *v, const char *path, f5_error *error) {
    char *text;
    size_t bytes;
    F5_TRY(read_file(path, VOCAB_FILE_MAX_BYTES, &text, &bytes, error));
    f5_status status = vocab_parse(v, text, bytes, path, error);
    free(text);
    F5_TRY(status);
    status = check_letters(v, path, error);
    if (status != F5_OK) vocab_free(v);
    return status;
}

/* The last line of line i's token. */
static int32_t last_line(const vocab *v, int32_t i) {
    return vocab_find(v, v->token[i], v->length[i]);
}

static void note_unspoken(vocab_repeats *repeats, const char *token, size_t length) {
    size_t used = strlen(repeats->examples);
    repeats->unspoken++;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)token[i] < 0x20 || token[i] == 0x7f) return; /* what would upset a terminal */
    if (used + length + 2 > sizeof repeats->examples) return;
    repeats->examples[used] = ' ';
    memcpy(repeats->examples + used + 1, token, length);
    repeats->examples[used + 1 + length] = '\0';
}

/* Lines 0 .. size - 1 as text, empty where the token's last line is not among them; NULL: out of memory. */
static char *shortened(const vocab *v, int32_t size, size_t *bytes) {
    *bytes = 0;
    for (int32_t i = 0; i < size; i++) *bytes += v->length[i] + (size_t)1;
    char *text = malloc(*bytes + 1), *to = text;
    for (int32_t i = 0; text && i < size; i++) {
        size_t length = last_line(v, i) < size ? v->length[i] : 0;
        memcpy(to, v->token[i], length);
        to += length;
        *to++ = '\n';
    }
    if (text) *bytes = (size_t)(to - text);
    return text;
}

f5_status vocab_file_fit(vocab *v, vocab_repeats *repeats, int64_t rows, const char *path, f5_error *error) {
    *repeats = (vocab_repeats){0};
    for (int32_t i = 0; i < v->size; i++) repeats->repeated += last_line(v, i) != i;
    const int32_t distinct = v->size - repeats->repeated;
    if (repeats->repeated == 0 || rows != (int64_t)distinct + 1) return F5_OK;
    for (int32_t i = distinct; i < v->size; i++)
        if (last_line(v, i) == i) note_unspoken(repeats, v->token[i], v->length[i]);
    size_t bytes;
    char *text = shortened(v, distinct, &bytes);
    if (!text) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", path);
    vocab fitted;
    f5_status status = vocab_parse(&fitted, text, bytes, path, error);
    free(text);
    F5_TRY(status);
    vocab_free(v);
    *v = fitted;
    return check_letters(v, path, error);
}

f5_status vocab_file_of_symbols(vocab *v, const char *symbols, int32_t size, const char *where, f5_error *error) {
    const size_t bytes = strlen(symbols);
    size_t used = 0;
    int32_t lines = 0;
    char *text = malloc(2 * bytes + (size_t)size);
    if (!text) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", where);
    for (size_t at = 0, length; at < bytes; at += length, lines++) {
        uint32_t code;
        length = utf8_decode(symbols + at, bytes - at, &code);
        memcpy(text + used, symbols + at, length);
        used += length;
        text[used++] = '\n';
    }
    for (int32_t i = lines; i < size; i++) text[used++] = '\n';
    f5_status status = lines > size ? f5_fail(error, F5_E_UNSUPPORTED,
                                              "%s: a vocabulary of %d tokens; this kind of model has %d symbols", where,
                                              (int)size, (int)lines)
                                    : vocab_parse(v, text, used, where, error);
    free(text);
    return status;
}
