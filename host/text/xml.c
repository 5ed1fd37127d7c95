/* xml.c — reads forward over the document; `at` is where the reader stands. */
#include "host/text/xml.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "weights/utf8.h"

f5_status xml_fail(const xml_reader *r, size_t at, f5_error *error, f5_status status, const char *format, ...) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < r->bytes; i++) {
        unsigned char c = (unsigned char)r->text[i];
        bool ends = c == '\n' || (c == '\r' && (i + 1 >= r->bytes || r->text[i + 1] != '\n'));
        line += ends;
        column = ends ? 1 : column + ((c & 0xC0) != 0x80);
    }
    char message[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    return f5_fail(error, status, "SSML, line %zu, column %zu: %s", line, column, message);
}

size_t xml_clip(const char *text, size_t bytes) {
    size_t n = bytes < XML_MAX_NAME ? bytes : XML_MAX_NAME;
    while (n < bytes && n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) n--;
    return n;
}

static bool valid_character(uint32_t c) {
    return (c >= 0x20 || c == '\t' || c == '\n' || c == '\r') && c != 0xFFFE && c != 0xFFFF && c <= 0x10FFFF &&
           !(c >= 0xD800 && c <= 0xDFFF);
}

static bool starts(const xml_reader *r, size_t at, const char *with) {
    size_t n = strlen(with);
    return at <= r->bytes && r->bytes - at >= n && memcmp(r->text + at, with, n) == 0;
}

/* Moves over white space. false: there is none. */
static bool skip_space(xml_reader *r) {
    size_t from = r->at;
    while (r->at < r->bytes && xml_is_space(r->text[r->at])) r->at++;
    return r->at > from;
}

static bool name_character(char c, bool first) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' || (unsigned char)c >= 0x80;
    return letter || (!first && ((c >= '0' && c <= '9') || c == '-' || c == '.'));
}

/* Moves over a name of a tag, an attribute or an instruction. */
static f5_status read_name(xml_reader *r, const char *of, const char **name, size_t *bytes, f5_error *error) {
    size_t from = r->at;
    while (r->at < r->bytes && name_character(r->text[r->at], r->at == from)) r->at++;
    *name = r->text + from;
    *bytes = r->at - from;
    if (*bytes == 0) return xml_fail(r, from, error, F5_E_FORMAT, "the name of %s is missing", of);
    if (*bytes > XML_MAX_NAME)
        return xml_fail(r, from, error, F5_E_FORMAT, "the name of %s is longer than %d bytes", of, XML_MAX_NAME);
    return F5_OK;
}

/* Moves over everything up to and with `end`. */
static f5_status skip_to(xml_reader *r, const char *end, const char *what, f5_error *error) {
    for (size_t from = r->at; !starts(r, r->at, end); r->at++)
        if (r->at >= r->bytes) return xml_fail(r, from, error, F5_E_FORMAT, "%s does not end with %s", what, end);
    r->at += strlen(end);
    return F5_OK;
}

/* Reads the entity at `at`, where an & stands. */
static f5_status read_entity(const xml_reader *r, size_t at, uint32_t *code, size_t *end, f5_error *error) {
    static const struct {
        const char *name;
        char code;
    } named[] = {{"amp;", '&'}, {"lt;", '<'}, {"gt;", '>'}, {"quot;", '"'}, {"apos;", '\''}};
    size_t i = at + 1;
    for (size_t k = 0; k < sizeof(named) / sizeof(named[0]); k++)
        if (starts(r, i, named[k].name)) {
            *code = (uint32_t)named[k].code;
            *end = i + strlen(named[k].name);
            return F5_OK;
        }
    if (!starts(r, i, "#")) {
        size_t n = 0;
        while (n < 24 && i + n < r->bytes && name_character(r->text[i + n], n == 0)) n++;
        if (n > 0 && starts(r, i + n, ";"))
            return xml_fail(r, at, error, F5_E_FORMAT,
                            "&%.*s; is no entity: there are &amp; &lt; &gt; &quot; &apos; and numbers, as &#233;",
                            (int)n, r->text + i);
        return xml_fail(r, at, error, F5_E_FORMAT, "a lone &: write &amp;");
    }
    bool hex = starts(r, ++i, "x");
    uint32_t value = 0;
    size_t from = i += hex;
    for (; i < r->bytes && value <= 0x10FFFF; i++) {
        char c = r->text[i];
        char small = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            value = value * (hex ? 16 : 10) + (uint32_t)(c - '0');
        else if (hex && small >= 'a' && small <= 'f')
            value = value * 16 + (uint32_t)(small - 'a' + 10);
        else
            break;
    }
    if (i == from || value > 0x10FFFF || !starts(r, i, ";") || !valid_character(value))
        return xml_fail(r, at, error, F5_E_FORMAT, "a numeric entity that stands for no character of XML");
    *code = value;
    *end = i + 1;
    return F5_OK;
}

f5_status xml_read_value(const xml_reader *r, size_t at, char value[XML_MAX_VALUE], size_t *bytes, size_t *end,
                         f5_error *error) {
    if (at >= r->bytes || (r->text[at] != '"' && r->text[at] != '\''))
        return xml_fail(r, at, error, F5_E_FORMAT, "an attribute's value stands in quotes: name=\"value\"");
    char quote = r->text[at];
    *bytes = 0;
    for (size_t i = at + 1; i < r->bytes;) {
        char out[4] = {r->text[i]};
        size_t n = 1;
        if (r->text[i] == quote) {
            if (end) *end = i + 1;
            return F5_OK;
        }
        if (r->text[i] == '<')
            return xml_fail(r, i, error, F5_E_FORMAT,
                            "a < in an attribute's value (or a quote is missing): write &lt;");
        if (r->text[i] == '&') {
            uint32_t code;
            F5_TRY(read_entity(r, i, &code, &i, error));
            n = utf8_encode(out, code);
        } else {
            i++;
        }
        if (n == 1 && xml_is_space(out[0])) out[0] = ' ';
        if (n > XML_MAX_VALUE - *bytes)
            return xml_fail(r, at, error, F5_E_FORMAT, "an attribute's value is longer than %d bytes", XML_MAX_VALUE);
        memcpy(value + *bytes, out, n);
        *bytes += n;
    }
    return xml_fail(r, at, error, F5_E_FORMAT, "an attribute's value does not end: its second %c is missing", quote);
}

/* An attribute at the reader's place. */
static f5_status read_attribute(xml_reader *r, xml_attribute *a, f5_error *error) {
    a->at = r->at;
    F5_TRY(read_name(r, "an attribute", &a->name, &a->name_bytes, error));
    skip_space(r);
    if (!starts(r, r->at, "="))
        return xml_fail(r, r->at, error, F5_E_FORMAT, "= and a value in quotes are missing after the attribute %.*s",
                        (int)a->name_bytes, a->name);
    r->at++;
    skip_space(r);
    a->value_at = r->at;
    return xml_read_value(r, r->at, a->value, &a->bytes, &r->at, error);
}

f5_status xml_next_attribute(xml_reader *r, xml_attribute *attribute, bool *more, f5_error *error) {
    *more = false;
    if (!r->in_tag) return F5_OK;
    bool space = skip_space(r);
    r->empty = starts(r, r->at, "/>");
    if (r->empty || starts(r, r->at, ">")) {
        r->at += r->empty ? 2 : 1;
        r->in_tag = false;
        return F5_OK;
    }
    if (r->at >= r->bytes) return xml_fail(r, r->at, error, F5_E_FORMAT, "the document ends inside a tag");
    if (!space) return xml_fail(r, r->at, error, F5_E_FORMAT, "white space or > is missing in a tag");
    *more = true;
    return read_attribute(r, attribute, error);
}

static bool is(const char *text, size_t bytes, const char *what) {
    return bytes == strlen(what) && memcmp(text, what, bytes) == 0;
}

static bool is_utf8(const char *name, size_t bytes) {
    return bytes == 5 && (name[0] | 0x20) == 'u' && (name[1] | 0x20) == 't' && (name[2] | 0x20) == 'f' &&
           memcmp(name + 3, "-8", 2) == 0;
}

/* <?xml version="1.0" encoding="UTF-8" standalone="yes"?>: the last two may be missing. */
static f5_status read_declaration(xml_reader *r, f5_error *error) {
    xml_attribute a;
    r->at += 5;
    for (int i = 0; i < 4; i++) {
        bool space = skip_space(r);
        if (starts(r, r->at, "?>")) {
            r->at += 2;
            return i > 0
                       ? F5_OK
                       : xml_fail(r, r->at, error, F5_E_FORMAT, "the XML declaration has no version: version=\"1.0\"");
        }
        if (!space || i == 3) break;
        F5_TRY(read_attribute(r, &a, error));
        bool version = i == 0 && is(a.name, a.name_bytes, "version");
        bool encoding = i == 1 && is(a.name, a.name_bytes, "encoding");
        bool standalone = i > 0 && is(a.name, a.name_bytes, "standalone") &&
                          (is(a.value, a.bytes, "yes") || is(a.value, a.bytes, "no"));
        if (encoding && !is_utf8(a.value, a.bytes))
            return xml_fail(r, a.value_at, error, F5_E_UNSUPPORTED, "the encoding %.*s: only UTF-8 is read",
                            (int)xml_clip(a.value, a.bytes), a.value);
        if (version && !is(a.value, a.bytes, "1.0") && !is(a.value, a.bytes, "1.1"))
            return xml_fail(r, a.value_at, error, F5_E_UNSUPPORTED, "XML of another version than 1.0 and 1.1");
        if (!version && !encoding && !standalone) break;
        if (standalone) i = 2;
    }
    return xml_fail(r, r->at, error, F5_E_FORMAT,
                    "the XML declaration is none: <?xml version=\"1.0\" encoding=\"UTF-8\"?>");
}

f5_status xml_open(xml_reader *r, const char *text, size_t bytes, f5_error *error) {
    *r = (xml_reader){.text = text, .bytes = bytes};
    for (size_t at = 0; at < bytes;) {
        uint32_t c;
        size_t n = utf8_decode(text + at, bytes - at, &c);
        if (n == 0) return xml_fail(r, at, error, F5_E_FORMAT, "malformed UTF-8");
        if (!valid_character(c))
            return xml_fail(r, at, error, F5_E_FORMAT, "U+%04X, a character that XML does not allow", (unsigned)c);
        at += n;
    }
    if (starts(r, 0, "\xEF\xBB\xBF")) r->at = 3;
    return starts(r, r->at, "<?xml") && r->bytes - r->at > 5 && xml_is_space(text[r->at + 5])
               ? read_declaration(r, error)
               : F5_OK;
}

static f5_status read_instruction(xml_reader *r, f5_error *error) {
    const char *name;
    size_t bytes, from = r->at;
    r->at += 2;
    F5_TRY(read_name(r, "a processing instruction", &name, &bytes, error));
    if (bytes == 3 && (name[0] | 0x20) == 'x' && (name[1] | 0x20) == 'm' && (name[2] | 0x20) == 'l')
        return xml_fail(r, from, error, F5_E_FORMAT, "an XML declaration stands at the very start or nowhere");
    if (!starts(r, r->at, "?>") && !skip_space(r))
        return xml_fail(r, r->at, error, F5_E_FORMAT, "white space or ?> is missing in a processing instruction");
    return skip_to(r, "?>", "a processing instruction", error);
}

static f5_status read_comment(xml_reader *r, f5_error *error) {
    r->at += 4;
    F5_TRY(skip_to(r, "--", "a comment", error));
    if (!starts(r, r->at, ">")) return xml_fail(r, r->at - 2, error, F5_E_FORMAT, "-- inside a comment");
    r->at++;
    return F5_OK;
}

static f5_status read_start(xml_reader *r, xml_event *event, f5_error *error) {
    event->kind = XML_START;
    r->at++;
    if (r->depth == 0 && r->rooted)
        return xml_fail(r, event->at, error, F5_E_FORMAT, "a second element after the root: one <speak> is a document");
    F5_TRY(read_name(r, "an element", &event->text, &event->bytes, error));
    if (r->depth == XML_MAX_DEPTH)
        return xml_fail(r, event->at, error, F5_E_FORMAT, "elements are nested more than %d deep", XML_MAX_DEPTH);
    r->open[r->depth] = (size_t)(event->text - r->text);
    r->open_bytes[r->depth++] = (uint8_t)event->bytes;
    r->in_tag = r->rooted = true;
    return F5_OK;
}

/* The end of the innermost element: its name, as it began. */
static f5_status close_element(xml_reader *r, xml_event *event) {
    r->depth--;
    event->kind = XML_CLOSE;
    event->text = r->text + r->open[r->depth];
    event->bytes = r->open_bytes[r->depth];
    return F5_OK;
}

static f5_status read_close(xml_reader *r, xml_event *event, f5_error *error) {
    const char *name;
    size_t bytes;
    r->at += 2;
    F5_TRY(read_name(r, "an element", &name, &bytes, error));
    if (r->depth == 0)
        return xml_fail(r, event->at, error, F5_E_FORMAT, "</%.*s> closes what is not open", (int)bytes, name);
    F5_TRY(close_element(r, event));
    if (bytes != event->bytes || memcmp(name, event->text, bytes) != 0)
        return xml_fail(r, event->at, error, F5_E_FORMAT, "</%.*s> stands where </%.*s> should", (int)bytes, name,
                        (int)event->bytes, event->text);
    skip_space(r);
    if (!starts(r, r->at, ">")) return xml_fail(r, r->at, error, F5_E_FORMAT, "> is missing in an end tag");
    r->at++;
    return F5_OK;
}

/* Text up to the next tag or entity, an entity, or a CDATA section. Outside the root there is only white space. */
static f5_status read_text(xml_reader *r, xml_event *event, f5_error *error) {
    bool blank = false;
    event->kind = XML_TEXT;
    event->text = r->text + r->at;
    if (starts(r, r->at, "<![CDATA[")) {
        r->at += 9;
        event->text = r->text + r->at;
        F5_TRY(skip_to(r, "]]>", "a CDATA section", error));
        event->bytes = (size_t)(r->text + r->at - 3 - event->text);
    } else if (r->text[r->at] == '&') {
        uint32_t code;
        F5_TRY(read_entity(r, r->at, &code, &r->at, error));
        event->text = r->character;
        event->bytes = utf8_encode(r->character, code);
    } else {
        blank = true;
        for (; r->at < r->bytes && r->text[r->at] != '<' && r->text[r->at] != '&'; r->at++) {
            if (starts(r, r->at, "]]>")) return xml_fail(r, r->at, error, F5_E_FORMAT, "]]> in the text: write ]]&gt;");
            blank = blank && xml_is_space(r->text[r->at]);
        }
        event->bytes = (size_t)(r->text + r->at - event->text);
    }
    if (r->depth == 0 && !blank)
        return xml_fail(r, event->at, error, F5_E_FORMAT, "text %s the root: a document is <speak> ... </speak>",
                        r->rooted ? "after" : "before");
    return F5_OK;
}

f5_status xml_next(xml_reader *r, xml_event *event, f5_error *error) {
    xml_attribute left;
    for (bool more = true; more;) F5_TRY(xml_next_attribute(r, &left, &more, error));
    *event = (xml_event){.at = r->at};
    if (r->empty) {
        r->empty = false;
        return close_element(r, event);
    }
    for (; r->at < r->bytes; event->at = r->at) {
        if (starts(r, r->at, "<!--")) {
            F5_TRY(read_comment(r, error));
        } else if (starts(r, r->at, "<?")) {
            F5_TRY(read_instruction(r, error));
        } else if (starts(r, r->at, "</")) {
            return read_close(r, event, error);
        } else if (starts(r, r->at, "<!") && !starts(r, r->at, "<![CDATA[")) {
            return xml_fail(r, r->at, error, F5_E_UNSUPPORTED, "a DOCTYPE or another declaration: none is read");
        } else if (r->text[r->at] == '<' && !starts(r, r->at, "<![CDATA[")) {
            return read_start(r, event, error);
        } else {
            F5_TRY(read_text(r, event, error));
            if (r->depth > 0 && event->bytes > 0) return F5_OK;
        }
    }
    if (r->depth > 0)
        return xml_fail(r, r->bytes, error, F5_E_FORMAT, "the document ends before </%.*s>",
                        (int)r->open_bytes[r->depth - 1], r->text + r->open[r->depth - 1]);
    if (!r->rooted)
        return xml_fail(r, r->bytes, error, F5_E_FORMAT, "there is no root: a document is <speak> ... </speak>");
    event->kind = XML_END;
    return F5_OK;
}
