/* vocab.h — the vocabulary: token strings and their ids (id = line number of vocab.txt).
 * Line 0 of the released vocabularies is a single space; an unknown token takes id 0. Lookup is a hash table. */
#ifndef F5_VOCAB_H
#define F5_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/error.h"

typedef struct {
    int32_t size;       /* tokens */
    const char **token; /* [size] not terminated by '\0': use length */
    uint32_t *length;   /* [size] bytes */
    int32_t *slot;      /* [slots] id or -1; open addressing */
    uint32_t slots;     /* power of two */
    void *memory;       /* the one allocation behind all of it, text included; private */
} vocab;

/* Reads the bytes of a vocab.txt: lines end where text mode ends them (LF, CRLF or CR), the last one may lack its
 * ending; a repeated token takes its last line, as upstream's dict does. Errors: F5_E_FORMAT (empty, NUL byte, not
 * UTF-8, over 1e6 lines or 16 MB, made to collide), F5_E_MEMORY. */
f5_status vocab_parse(vocab *v, const char *text, size_t bytes, const char *name, f5_error *error);
void vocab_free(vocab *v);

int32_t vocab_find(const vocab *v, const char *token, size_t length); /* id, or -1 if unknown */

#endif
