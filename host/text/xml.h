/* xml.h — a small XML reader that trusts nothing: tags, attributes and text of a document in memory, one after another.
 *
 * It holds to well-formedness: elements nest and close, there is one root, names and characters are XML's, no "<" in an
 * attribute and no "]]>" in text. It knows UTF-8 alone, the five named entities and numeric ones; a DOCTYPE is refused,
 * so no entity can grow. Comments, processing instructions and the XML declaration are read over. Whether attributes
 * are unique is left to the caller, who knows which there are. A reader allocates nothing, and goes through the
 * document once (twice with the check at the start). */
#ifndef F5_XML_H
#define F5_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/error.h"

#define XML_MAX_DEPTH 32
#define XML_MAX_VALUE 1024 /* bytes of an attribute's value */
#define XML_MAX_NAME 64    /* bytes */

/* Its members are the reader's own. */
typedef struct {
    const char *text;
    size_t bytes, at;
    size_t open[XML_MAX_DEPTH]; /* where the names of the open elements stand */
    uint8_t open_bytes[XML_MAX_DEPTH];
    int depth;
    bool in_tag; /* in a start tag, before its end */
    bool empty;  /* the element just begun was <name/>: it ends next */
    bool rooted; /* the root has begun */
    char character[4];
} xml_reader;

typedef enum { XML_END, XML_START, XML_CLOSE, XML_TEXT } xml_kind;

typedef struct {
    xml_kind kind;
    const char *text; /* the element's name, or some of the text, in the document or (an entity) in the reader */
    size_t bytes;
    size_t at; /* where in the document it stands */
} xml_event;

typedef struct {
    const char *name;
    size_t name_bytes;
    size_t at;       /* where its name stands */
    size_t value_at; /* where its value stands, from the quote on */
    char value[XML_MAX_VALUE];
    size_t bytes; /* of the value */
} xml_attribute;

/* Checks the whole document's characters, and reads over a byte order mark and an XML declaration. */
f5_status xml_open(xml_reader *r, const char *text, size_t bytes, f5_error *error);

/* The next tag or part of the text. At XML_END the root has closed and nothing else follows. */
f5_status xml_next(xml_reader *r, xml_event *event, f5_error *error);

/* After XML_START: the tag's next attribute. *more false: there is none. xml_next reads over those that are left. */
f5_status xml_next_attribute(xml_reader *r, xml_attribute *attribute, bool *more, f5_error *error);

/* Reads the value whose quote stands at `at`: entities replaced, white space of every kind as spaces. Gives in *end
 * where it ends, after the second quote (end may be NULL). */
f5_status xml_read_value(const xml_reader *r, size_t at, char value[XML_MAX_VALUE], size_t *bytes, size_t *end,
                         f5_error *error);

/* Fails with the line and the column (in characters) of the byte `at` before the message. */
f5_status xml_fail(const xml_reader *r, size_t at, f5_error *error, f5_status status, const char *format, ...)
    F5_PRINTF(5, 6);

/* How many bytes of the text a message shows: at most XML_MAX_NAME, and whole characters. */
size_t xml_clip(const char *text, size_t bytes);

/* Space, tab and line ends: XML's white space. */
static inline bool xml_is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

#endif
