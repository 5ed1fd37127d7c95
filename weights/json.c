/* json.c — one pass over the text with a fixed stack of open containers. */
#include "weights/json.h"

#include <stdlib.h>
#include <string.h>

#include "weights/json_escape.h"
#include "weights/utf8.h"

typedef struct {
    const char *at, *begin, *end; /* the text and where we are in it */
    char *out;                    /* next free byte of document.strings */
    json_document document;
    int32_t capacity; /* nodes allocated */
    struct {
        int32_t node, last; /* an open container and its latest child, -1: none yet */
    } open[JSON_MAX_DEPTH];
    int depth;
    const char *what;
    f5_error *error;
} parser;

static f5_status fail(const parser *p, const char *reason) {
    return f5_fail(p->error, F5_E_FORMAT, "%s: JSON byte %zu: %s", p->what, (size_t)(p->at - p->begin), reason);
}

static void skip_space(parser *p) {
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r')) p->at++;
}

static bool accept(parser *p, char c) {
    if (p->at == p->end || *p->at != c) return false;
    p->at++;
    return true;
}

/* ---- tokens ----------------------------------------------------------------------------------------------------- */

static bool hex4(const parser *p, const char *s, uint32_t *value) {
    if (p->end - s < 4) return false;
    *value = 0;
    for (int i = 0; i < 4; i++) {
        char c = s[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return false;
        *value = *value << 4 | (uint32_t)digit;
    }
    return true;
}

/* At the backslash. A character past U+FFFF is written as two escapes, a high surrogate and a low one. */
static f5_status parse_escape(parser *p) {
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (p->end - p->at < 2) return fail(p, "the text ends inside a string");
    char c = p->at[1];
    const char *letter = c ? strchr(letters, c) : NULL;
    if (letter) {
        *p->out++ = meanings[letter - letters];
        p->at += 2;
        return F5_OK;
    }
    uint32_t code, low;
    if (c != 'u' || !hex4(p, p->at + 2, &code)) return fail(p, "not an escape sequence");
    int length = 6;
    if (code >= 0xd800 && code <= 0xdbff) {
        const char *second = p->at + 6;
        if (p->end - second < 6 || second[0] != '\\' || second[1] != 'u' || !hex4(p, second + 2, &low) ||
            low < 0xdc00 || low > 0xdfff)
            return fail(p, "half a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00));
        length = 12;
    } else if (code >= 0xdc00 && code <= 0xdfff) {
        return fail(p, "half a surrogate pair");
    } else if (code == 0) {
        return fail(p, "a NUL character in a string");
    }
    p->out += utf8_encode(p->out, code);
    p->at += length;
    return F5_OK;
}

/* At the opening quote. What is decoded, with its terminator, is never longer than what is read. */
static f5_status parse_string(parser *p, const char **text, uint32_t *bytes) {
    *text = p->out;
    p->at++;
    for (;;) {
        if (p->at == p->end) return fail(p, "the text ends inside a string");
        uint32_t code;
        size_t length = utf8_decode(p->at, (size_t)(p->end - p->at), &code);
        if (length == 0) return fail(p, "not UTF-8");
        if (code < 0x20) return fail(p, "a control character in a string");
        if (code == '"') break;
        if (code == '\\') {
            F5_TRY(parse_escape(p));
            continue;
        }
        memcpy(p->out, p->at, length);
        p->out += length;
        p->at += length;
    }
    p->at++;
    *bytes = (uint32_t)(p->out - *text);
    *p->out++ = '\0';
    return F5_OK;
}

static bool skip_digits(parser *p) {
    const char *start = p->at;
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9') p->at++;
    return p->at > start;
}

static f5_status parse_number(parser *p, json_node *node) {
    const char *start = p->at;
    accept(p, '-');
    if (!accept(p, '0') && !skip_digits(p)) return fail(p, "expected a value");
    if (accept(p, '.') && !skip_digits(p)) return fail(p, "expected a digit");
    if (accept(p, 'e') || accept(p, 'E')) {
        if (!accept(p, '-')) accept(p, '+');
        if (!skip_digits(p)) return fail(p, "expected a digit");
    }
    node->type = JSON_NUMBER;
    node->text = p->out;
    node->text_bytes = (uint32_t)(p->at - start);
    memcpy(p->out, start, node->text_bytes);
    p->out += node->text_bytes;
    *p->out++ = '\0'; /* takes the place of the delimiter that must follow, or of the spare byte at the end */
    return F5_OK;
}

static f5_status parse_word(parser *p, json_node *node) {
    static const char *const words[] = {[JSON_NULL] = "null", [JSON_FALSE] = "false", [JSON_TRUE] = "true"};
    for (int type = JSON_NULL; type <= JSON_TRUE; type++) {
        size_t length = strlen(words[type]);
        if ((size_t)(p->end - p->at) >= length && memcmp(p->at, words[type], length) == 0) {
            p->at += length;
            node->type = (json_type)type;
            return F5_OK;
        }
    }
    return fail(p, "expected a value");
}

/* ---- structure -------------------------------------------------------------------------------------------------- */

/* Appends the node as the latest child of the innermost open container. */
static f5_status append(parser *p, const json_node *node) {
    json_document *d = &p->document;
    if (d->count == JSON_MAX_NODES) return fail(p, "too many values");
    if (d->count == p->capacity) {
        int32_t capacity = p->capacity ? 2 * p->capacity : 64;
        json_node *nodes = realloc(d->nodes, (size_t)capacity * sizeof *nodes);
        if (!nodes) return f5_fail(p->error, F5_E_MEMORY, "%s: out of memory", p->what);
        d->nodes = nodes;
        p->capacity = capacity;
    }
    int32_t index = d->count++;
    d->nodes[index] = *node;
    if (p->depth == 0) return F5_OK;
    int32_t parent = p->open[p->depth - 1].node, last = p->open[p->depth - 1].last;
    if (last < 0)
        d->nodes[parent].first = index;
    else
        d->nodes[last].next = index;
    d->nodes[parent].count++;
    p->open[p->depth - 1].last = index;
    return F5_OK;
}

/* One value with the key before it, if it is a member. *opened: it is a container whose inside follows. */
static f5_status parse_value(parser *p, bool *opened) {
    json_node node = {.first = -1, .next = -1};
    skip_space(p);
    if (p->depth && p->document.nodes[p->open[p->depth - 1].node].type == JSON_OBJECT) {
        if (p->at == p->end || *p->at != '"') return fail(p, "expected a key");
        F5_TRY(parse_string(p, &node.key, &node.key_bytes));
        skip_space(p);
        if (!accept(p, ':')) return fail(p, "expected ':'");
        skip_space(p);
    }
    if (p->at == p->end) return fail(p, "the text ends where a value should be");
    char c = *p->at;
    *opened = c == '{' || c == '[';
    if (*opened) {
        if (p->depth == JSON_MAX_DEPTH) return fail(p, "nested too deeply");
        node.type = c == '{' ? JSON_OBJECT : JSON_ARRAY;
        p->at++;
    } else if (c == '"') {
        node.type = JSON_STRING;
        F5_TRY(parse_string(p, &node.text, &node.text_bytes));
    } else if (c == '-' || (c >= '0' && c <= '9')) {
        F5_TRY(parse_number(p, &node));
    } else {
        F5_TRY(parse_word(p, &node));
    }
    F5_TRY(append(p, &node));
    if (*opened) {
        p->open[p->depth].node = p->document.count - 1;
        p->open[p->depth].last = -1;
        p->depth++;
    }
    return F5_OK;
}

static bool accept_close(parser *p) {
    json_type type = p->document.nodes[p->open[p->depth - 1].node].type;
    if (!accept(p, type == JSON_OBJECT ? '}' : ']')) return false;
    p->depth--;
    return true;
}

static f5_status parse_text(parser *p) {
    bool opened = false;
    do {
        F5_TRY(parse_value(p, &opened));
        skip_space(p);
        if (opened && !accept_close(p)) continue; /* a first child follows */
        while (p->depth) {                        /* after a value: a comma, or ends of containers */
            skip_space(p);
            if (accept(p, ',')) break;
            if (!accept_close(p))
                return fail(p, p->at == p->end ? "the text ends too early" : "expected ',' or an end");
        }
    } while (p->depth);
    skip_space(p);
    return p->at == p->end ? F5_OK : fail(p, "something follows the value");
}

/* ---- duplicate keys --------------------------------------------------------------------------------------------- */

typedef struct {
    int32_t object;
    uint32_t key_bytes;
    const char *key;
} member;

static int compare_members(const void *left, const void *right) {
    const member *a = left, *b = right;
    if (a->object != b->object) return a->object < b->object ? -1 : 1;
    if (a->key_bytes != b->key_bytes) return a->key_bytes < b->key_bytes ? -1 : 1;
    return memcmp(a->key, b->key, a->key_bytes);
}

/* Sorted rather than hashed: no choice of keys makes it slow. */
static f5_status reject_duplicates(const parser *p) {
    const json_document *d = &p->document;
    member *members = malloc((size_t)d->count * sizeof *members);
    if (!members) return f5_fail(p->error, F5_E_MEMORY, "%s: out of memory", p->what);
    size_t count = 0;
    for (int32_t i = 0; i < d->count; i++) {
        if (d->nodes[i].type != JSON_OBJECT) continue;
        for (const json_node *n = json_first(d, &d->nodes[i]); n; n = json_next(d, n))
            members[count++] = (member){i, n->key_bytes, n->key};
    }
    qsort(members, count, sizeof *members, compare_members);
    f5_status status = F5_OK;
    for (size_t i = 1; i < count && status == F5_OK; i++) {
        if (compare_members(&members[i - 1], &members[i]) != 0) continue;
        char shown[80];
        json_escape(shown, sizeof shown, members[i].key, members[i].key_bytes);
        status = f5_fail(p->error, F5_E_FORMAT, "%s: the key \"%s\" appears twice in an object", p->what, shown);
    }
    free(members);
    return status;
}

f5_status json_parse(json_document *d, const char *text, size_t bytes, const char *what, f5_error *error) {
    parser p = {.at = text, .begin = text, .end = text + bytes, .what = what, .error = error};
    *d = (json_document){0};
    if (bytes > JSON_MAX_BYTES)
        return f5_fail(error, F5_E_FORMAT, "%s: %zu bytes of JSON, the limit is %d", what, bytes, JSON_MAX_BYTES);
    p.document.strings = p.out = malloc(bytes + 1);
    if (!p.out) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", what);
    f5_status status = parse_text(&p);
    if (status == F5_OK) status = reject_duplicates(&p);
    if (status != F5_OK)
        json_free(&p.document);
    else
        *d = p.document;
    return status;
}

void json_free(json_document *d) {
    free(d->nodes);
    free(d->strings);
    *d = (json_document){0};
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

const json_node *json_first(const json_document *d, const json_node *parent) {
    return parent->first < 0 ? NULL : &d->nodes[parent->first];
}

const json_node *json_next(const json_document *d, const json_node *node) {
    return node->next < 0 ? NULL : &d->nodes[node->next];
}

const json_node *json_member(const json_document *d, const json_node *object, const char *key) {
    size_t bytes = strlen(key);
    for (const json_node *n = json_first(d, object); n; n = json_next(d, n))
        if (n->key && n->key_bytes == bytes && memcmp(n->key, key, bytes) == 0) return n;
    return NULL;
}

bool json_int64(const json_node *node, int64_t *value) {
    if (node->type != JSON_NUMBER) return false;
    const char *s = node->text;
    bool negative = *s == '-';
    int64_t total = 0; /* kept negative: the range reaches one further there */
    for (s += negative; *s; s++) {
        if (*s < '0' || *s > '9') return false;
        if (__builtin_mul_overflow(total, 10, &total) || __builtin_sub_overflow(total, *s - '0', &total)) return false;
    }
    if (!negative && __builtin_sub_overflow((int64_t)0, total, &total)) return false;
    *value = total;
    return true;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

size_t json_escape(char *out, size_t size, const char *s, size_t bytes) {
    size_t total = 0, written = 0;
    bool full = size == 0;
    for (size_t i = 0; i < bytes;) {
        char escape[8];
        const char *piece;
        size_t length;
        i += json_escape_one(s + i, bytes - i, escape, &piece, &length);
        total += length;
        full = full || written + length >= size;
        if (full) continue;
        memcpy(out + written, piece, length);
        written += length;
    }
    if (size) out[written] = '\0';
    return total;
}
