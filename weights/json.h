/* json.h — a strict JSON reader for input that may be hostile, and the escaping that a writer needs.
 *
 * json_parse turns a text into a flat array of nodes, node 0 the root; a container's children are a list by `next`.
 * No recursion: nesting is a fixed stack. Time is O(n log n) in the text whatever it says (keys are sorted to find
 * duplicates), memory at most 40 bytes a node plus the text.
 *
 * Accepted is RFC 8259 with these narrowings: valid UTF-8 only; no lone surrogate; no NUL in a string; no duplicate key
 * in an object; at most JSON_MAX_DEPTH levels and JSON_MAX_NODES values. Numbers are checked for form and kept as text:
 * nothing we read has fractions. */
#ifndef F5_JSON_H
#define F5_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/error.h"

#define JSON_MAX_BYTES (64 << 20)
#define JSON_MAX_DEPTH 16
#define JSON_MAX_NODES (1 << 20)

typedef enum { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT } json_type;

typedef struct json_node json_node;
struct json_node {
    const char *key;  /* of an object's member: decoded, terminated; NULL elsewhere */
    const char *text; /* of a string: decoded, terminated. Of a number: as written, terminated. Else NULL */
    uint32_t key_bytes, text_bytes;
    int32_t first, next; /* index of the first child, of the next sibling; -1: none */
    int32_t count;       /* children */
    json_type type;
};

typedef struct {
    json_node *nodes; /* [count], node 0 is the root */
    int32_t count;
    char *strings; /* private: what key and text point into */
} json_document;

/* Parses `bytes` bytes of text (copied). `what` starts every message, e.g. "model.f5: header". On failure *d is zeroed.
 * Errors: F5_E_FORMAT with the byte where it went wrong, F5_E_MEMORY. */
f5_status json_parse(json_document *d, const char *text, size_t bytes, const char *what, f5_error *error);
void json_free(json_document *d); /* safe on a zeroed or freed one */

/* Children of a container in order: for (n = json_first(d, parent); n; n = json_next(d, n)). */
const json_node *json_first(const json_document *d, const json_node *parent);
const json_node *json_next(const json_document *d, const json_node *node);
const json_node *json_member(const json_document *d, const json_node *object, const char *key); /* NULL: none; O(n) */

/* True if the node is a number written as an integer (no fraction, no exponent) that fits. */
bool json_int64(const json_node *node, int64_t *value);

/* Writes s as the inside of a JSON string: quote, backslash and control characters escaped, the rest copied. Writes at
 * most size - 1 bytes and a terminator (size 0: nothing), never half an escape or character. Returns the bytes that the
 * whole takes. */
size_t json_escape(char *out, size_t size, const char *s, size_t bytes);

#endif
