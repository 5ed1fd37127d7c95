/* script.h — tags in plain text: `[name]` switches voices, `[pause 0.5s]` is silence.
 *
 * A tag is upstream's \[\w+\] (f5_tts/infer/infer_cli.py): letters, digits and _ in brackets. Upstream cuts the text
 * before every tag, the tag that a piece begins with names its voice ("main" for a piece without one or with an unknown
 * name), every tag is taken out of the text, and a piece of which nothing but white space is left before that is
 * skipped. Here a name has at most SCRIPT_MAX_NAME bytes, a longer one is text.
 * A pause is `[pause N]`, `[pause Ns]` or `[pause Nms]`: N is a decimal number (seconds without a unit), at most
 * SCRIPT_MAX_PAUSE seconds, with spaces before, after and before the unit as one likes. `[pause]` is a tag of that
 * name.
 *
 * Pure; allocates nothing. A text that comes bit by bit gives the same tags whatever the sizes of the bits. */
#ifndef F5_SCRIPT_H
#define F5_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#define SCRIPT_MAX_NAME 128
#define SCRIPT_MAX_PAUSE 60
#define SCRIPT_MAX_PENDING (SCRIPT_MAX_NAME + 4) /* bytes from a pending `[` on: with more the answer is there */

typedef enum {
    SCRIPT_TEXT_ONLY, /* no tag is left */
    SCRIPT_PENDING,   /* a `[` that may become a tag when more text comes; never if last */
    SCRIPT_TAG,       /* name, name_bytes */
    SCRIPT_PAUSE,     /* seconds */
    SCRIPT_BAD_PAUSE, /* begins with "[pause " and is no pause; bytes reach to its ] or, without one, to the space */
} script_kind;

typedef struct {
    script_kind kind;
    size_t bytes;     /* of the tag, brackets included; 0 for the first two kinds */
    const char *name; /* in the text */
    size_t name_bytes;
    double seconds;
} script_tag;

/* Looks for the next tag: returns how many bytes of text come before it (all of them, or those before the pending `[`).
 * last: no more text follows. */
size_t script_find(const char *text, size_t bytes, bool last, script_tag *tag);

#endif
