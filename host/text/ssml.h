/* ssml.h — reads an SSML document event by event: the part of SSML 1.1 that this synthesiser can honour.
 *
 *   speak (version 1.0 or 1.1, xml:lang, xmlns) | p | s | break (time, strength) | voice (name) | prosody (rate)
 *   sub (alias) | say-as (interpret-as, format, detail)
 * Everything else is an error that names the element or the attribute, its line and its column.
 *
 * rate: "50%" or "0.5" is half the pace, "+20%" is 1.2, "-20%" is 0.8 of it; x-slow 0.5, slow 0.75, medium and default
 *   1, fast 1.25, x-fast 1.5. Nested rates multiply; each and their product lie within 0.1 to 10.
 * break: time "250ms" or "1.5s", up to 60 s, which outweighs strength: none and x-weak 0, weak 0.1, medium (also
 * without any attribute) 0.3, strong 0.6, x-strong 1 s. White space says nothing: a run of it is handed out as one
 * space, and none at the start, after a break, or at the start of a sentence or paragraph. So no text holds a line end.
 * XML: UTF-8 only, well-formed; the five named entities and numeric ones; no DOCTYPE, so no entities of its own; at
 *   most 32 elements deep, attribute values of at most 1024 bytes. Comments and processing instructions are skipped.
 * Pure; allocates nothing; time grows linearly with the document. */
#ifndef F5_SSML_H
#define F5_SSML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/text/xml.h"
#include "kernels/error.h"

typedef enum {
    SSML_END,           /* the document ended well; every later call says so again */
    SSML_TEXT,          /* text: some of the text, of at least one byte; a word may come in several parts */
    SSML_SUB,           /* text: to be spoken in place of the element's content, which is left out */
    SSML_BREAK,         /* seconds */
    SSML_SENTENCE_END,  /* at </s>, or <s> after text: only where something was said since the last end */
    SSML_PARAGRAPH_END, /* at </p>, or <p> after text: likewise */
    SSML_VOICE,        /* at <voice> and </voice>. text: the name in force from here; 0 bytes: the voice at the start */
    SSML_RATE,         /* at <prosody> and </prosody>. rate: the product in force from here */
    SSML_SAY_AS_BEGIN, /* text: interpret-as; format, detail (0 bytes where not given). Only text until the end */
    SSML_SAY_AS_END
} ssml_kind;

typedef struct {
    ssml_kind kind;
    const char *text; /* in the document or in the reader: valid until the next call */
    size_t bytes;
    const char *format, *detail;
    size_t format_bytes, detail_bytes;
    double seconds, rate;
} ssml_event;

/* A reader is filled by ssml_open; its members are its own. */
typedef struct {
    xml_reader xml;
    uint8_t element[XML_MAX_DEPTH]; /* what is open */
    double rate[XML_MAX_DEPTH];     /* in force inside it */
    size_t voice[XML_MAX_DEPTH];    /* where in the document the name in force is written, its quote; 0: nowhere */
    int depth;
    const char *text; /* what is left of some text */
    size_t bytes;
    bool begun;               /* something was said since the last break or end: white space counts */
    bool space;               /* white space was read, and comes before what is said next */
    bool sentence, paragraph; /* something was said since the last end of one */
    bool waits;               /* `waiting` comes before anything else */
    ssml_event waiting;
    char values[3][XML_MAX_VALUE];
} ssml_reader;

/* Starts at the beginning of a document, which stays as it is while it is read. F5_E_FORMAT: not UTF-8 or a character
 * that XML forbids. */
f5_status ssml_open(ssml_reader *r, const char *document, size_t bytes, f5_error *error);

/* The next event. F5_E_FORMAT: not well-formed or a bad value; F5_E_UNSUPPORTED: an element or attribute that is not
 * honoured. After an error the reader is not to be used. */
f5_status ssml_next(ssml_reader *r, ssml_event *event, f5_error *error);

#endif
