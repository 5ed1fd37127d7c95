/* vocab.c — tokens in one block of text, found by open addressing. */
#include "weights/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "weights/utf8.h"

#define VOCAB_MAX_TOKENS 1000000
#define VOCAB_MAX_BYTES (16 << 20)

/* Slots are at least twice the tokens, where runs stay well under a hundred. A longer run than this is a file made to
 * collide, and would make the parse quadratic. */
#define VOCAB_MAX_PROBES 1024

static uint32_t hash(const char *token, size_t length) {
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a, its high bits folded in */
    for (size_t i = 0; i < length; i++) h = (h ^ (uint8_t)token[i]) * 0x100000001b3u;
    h ^= h >> 32;
    return (uint32_t)(h * 0x9e3779b97f4a7c15u >> 32);
}

/* The slot that holds the token, or the free one where it belongs; -1 if neither is near. */
static int64_t find_slot(const vocab *v, const char *token, size_t length) {
    uint32_t mask = v->slots - 1, at = hash(token, length) & mask;
    for (int probes = 0; probes < VOCAB_MAX_PROBES; probes++, at = (at + 1) & mask) {
        int32_t id = v->slot[at];
        if (id < 0 || (v->length[id] == length && memcmp(v->token[id], token, length) == 0)) return at;
    }
    return -1;
}

/* A line ends where Python's text mode ends it: at LF, CRLF or a lone CR. Returns its length and where the next starts.
 */
static size_t line_length(const char *text, size_t bytes, size_t *next) {
    size_t length = 0;
    while (length < bytes && text[length] != '\n' && text[length] != '\r') length++;
    *next = length;
    if (*next < bytes && text[*next] == '\r') ++*next;
    if (*next < bytes && text[*next] == '\n') ++*next;
    return length;
}

static int32_t count_lines(const char *text, size_t bytes) {
    int32_t lines = 0;
    for (size_t at = 0, next; at < bytes && lines <= VOCAB_MAX_TOKENS; at += next, lines++)
        line_length(text + at, bytes - at, &next);
    return lines;
}

static f5_status check_text(const char *text, size_t bytes, const char *name, f5_error *error) {
    if (bytes == 0) return f5_fail(error, F5_E_FORMAT, "%s: the vocabulary is empty", name);
    if (bytes > VOCAB_MAX_BYTES)
        return f5_fail(error, F5_E_FORMAT, "%s: a vocabulary of %zu bytes, the limit is %d", name, bytes,
                       VOCAB_MAX_BYTES);
    if (memchr(text, '\0', bytes)) return f5_fail(error, F5_E_FORMAT, "%s: the vocabulary holds a NUL byte", name);
    size_t valid = utf8_valid_prefix(text, bytes);
    if (valid < bytes) return f5_fail(error, F5_E_FORMAT, "%s: the vocabulary is not UTF-8 at byte %zu", name, valid);
    return F5_OK;
}

/* One block: token pointers, lengths, slots, text. */
static f5_status allocate(vocab *v, const char *text, size_t bytes, const char *name, f5_error *error) {
    size_t size = (size_t)v->size;
    for (v->slots = 2; v->slots < 2 * size;) v->slots *= 2;
    char *memory = malloc(size * (sizeof *v->token + sizeof *v->length) + v->slots * sizeof *v->slot + bytes);
    if (!memory) return f5_fail(error, F5_E_MEMORY, "%s: out of memory for the vocabulary", name);
    v->memory = memory;
    v->token = (const char **)(void *)memory;
    v->length = (uint32_t *)(void *)(memory + size * sizeof *v->token);
    v->slot = (int32_t *)(v->length + size);
    memcpy(v->slot + v->slots, text, bytes);
    memset(v->slot, 0xff, v->slots * sizeof *v->slot); /* -1: free */
    return F5_OK;
}

f5_status vocab_parse(vocab *v, const char *text, size_t bytes, const char *name, f5_error *error) {
    *v = (vocab){0};
    F5_TRY(check_text(text, bytes, name, error));
    int32_t lines = count_lines(text, bytes);
    if (lines > VOCAB_MAX_TOKENS)
        return f5_fail(error, F5_E_FORMAT, "%s: the vocabulary has more than %d lines", name, VOCAB_MAX_TOKENS);
    vocab made = {.size = lines};
    F5_TRY(allocate(&made, text, bytes, name, error));
    const char *at = (const char *)(made.slot + made.slots), *end = at + bytes;
    for (int32_t id = 0; id < lines; id++) {
        size_t next;
        made.token[id] = at;
        made.length[id] = (uint32_t)line_length(at, (size_t)(end - at), &next);
        at += next;
        int64_t slot = find_slot(&made, made.token[id], made.length[id]);
        if (slot < 0) {
            vocab_free(&made);
            return f5_fail(error, F5_E_FORMAT, "%s: the vocabulary is made to collide in a hash table", name);
        }
        made.slot[slot] = id; /* a repeated token takes its last line */
    }
    *v = made;
    return F5_OK;
}

void vocab_free(vocab *v) {
    free(v->memory);
    *v = (vocab){0};
}

int32_t vocab_find(const vocab *v, const char *token, size_t length) {
    if (v->size == 0) return -1;
    int64_t slot = find_slot(v, token, length);
    return slot < 0 ? -1 : v->slot[slot];
}
