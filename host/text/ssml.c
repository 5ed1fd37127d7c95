/* ssml.c — what the tags of an SSML document mean: which may stand where, and what each makes of its attributes. */
#include "host/text/ssml.h"

#include <string.h>

#define MIN_RATE 0.1
#define MAX_RATE 10.0
#define MAX_BREAK 60.0
#define HONOURED "speak, p, s, break, voice, prosody (rate), sub and say-as are"

typedef enum { SPEAK, P, S, BREAK, VOICE, PROSODY, SUB, SAY_AS, ELEMENTS } element_kind;

#define MAX_ATTRIBUTES 3

/* The first of `needed` attributes must be there. */
static const struct {
    const char *name;
    const char *attributes[MAX_ATTRIBUTES];
    int needed;
    const char *takes; /* for messages */
} elements[ELEMENTS] = {
    [SPEAK] = {"speak", {"version", "xml:lang", "xmlns"}, 0, "version, xml:lang and xmlns are"},
    [P] = {"p", {0}, 0, "none is"},
    [S] = {"s", {0}, 0, "none is"},
    [BREAK] = {"break", {"time", "strength"}, 0, "time and strength are"},
    [VOICE] = {"voice", {"name"}, 1, "name is"},
    [PROSODY] = {"prosody", {"rate"}, 1, "rate is"},
    [SUB] = {"sub", {"alias"}, 1, "alias is"},
    [SAY_AS] = {"say-as", {"interpret-as", "format", "detail"}, 1, "interpret-as, format and detail are"},
};

/* The attributes of a start tag, in the order of the table. */
typedef struct {
    bool given[MAX_ATTRIBUTES];
    size_t bytes[MAX_ATTRIBUTES], value_at[MAX_ATTRIBUTES];
} values;

static bool is(const char *text, size_t bytes, const char *what) {
    return bytes == strlen(what) && memcmp(text, what, bytes) == 0;
}

static f5_status read_attributes(ssml_reader *r, element_kind kind, const xml_event *tag, values *v, f5_error *error) {
    xml_attribute a;
    for (bool more;;) {
        F5_TRY(xml_next_attribute(&r->xml, &a, &more, error));
        if (!more) break;
        int i = 0;
        while (i < MAX_ATTRIBUTES &&
               !(elements[kind].attributes[i] && is(a.name, a.name_bytes, elements[kind].attributes[i])))
            i++;
        if (i == MAX_ATTRIBUTES)
            return xml_fail(&r->xml, a.at, error, F5_E_UNSUPPORTED, "the attribute %.*s of <%s> is not honoured: %s",
                            (int)a.name_bytes, a.name, elements[kind].name, elements[kind].takes);
        if (v->given[i])
            return xml_fail(&r->xml, a.at, error, F5_E_FORMAT, "the attribute %.*s of <%s> stands there twice",
                            (int)a.name_bytes, a.name, elements[kind].name);
        v->given[i] = true;
        v->bytes[i] = a.bytes;
        v->value_at[i] = a.value_at;
        memcpy(r->values[i], a.value, a.bytes);
    }
    if (elements[kind].needed && !v->given[0])
        return xml_fail(&r->xml, tag->at, error, F5_E_FORMAT, "<%s> needs its attribute %s", elements[kind].name,
                        elements[kind].attributes[0]);
    return F5_OK;
}

/* May the element stand here? */
static f5_status check_place(const ssml_reader *r, element_kind kind, const xml_event *tag, f5_error *error) {
    if ((kind == SPEAK) != (r->depth == 0))
        return kind == SPEAK
                   ? xml_fail(&r->xml, tag->at, error, F5_E_FORMAT, "<speak> inside <speak>: it is the root alone")
                   : xml_fail(&r->xml, tag->at, error, F5_E_FORMAT,
                              "the root is <%s>: a document is <speak> ... </speak>", elements[kind].name);
    for (int i = 0; i < r->depth; i++) {
        element_kind outer = (element_kind)r->element[i];
        if (outer == BREAK || outer == SUB || outer == SAY_AS)
            return xml_fail(&r->xml, tag->at, error, F5_E_FORMAT, "<%s> inside <%s>, which holds %s",
                            elements[kind].name, elements[outer].name, outer == BREAK ? "nothing" : "only text");
        if ((kind == P && (outer == P || outer == S)) || (kind == S && outer == S))
            return xml_fail(&r->xml, tag->at, error, F5_E_FORMAT, "<%s> inside <%s>", elements[kind].name,
                            elements[outer].name);
    }
    return F5_OK;
}

/* A decimal number without sign at the start of the text: its bytes, 0 for none. At most 15 digits. */
static size_t read_number(const char *text, size_t bytes, double *value) {
    size_t n = 0, digits = 0;
    double scale = 1;
    bool point = false;
    *value = 0;
    for (; n < bytes; n++) {
        if (text[n] == '.' && !point) {
            point = true;
            continue;
        }
        if (text[n] < '0' || text[n] > '9') break;
        if (++digits > 15) return 0;
        *value = *value * 10 + (text[n] - '0');
        if (point) scale *= 10;
    }
    *value /= scale;
    return digits > 0 ? n : 0;
}

/* "1.5s" or "250ms" in seconds; -1 for anything else. */
static double read_time(const char *text, size_t bytes) {
    double value;
    size_t n = read_number(text, bytes, &value);
    if (n == 0) return -1;
    if (is(text + n, bytes - n, "ms"))
        value /= 1000;
    else if (!is(text + n, bytes - n, "s"))
        return -1;
    return value <= MAX_BREAK ? value : -1;
}

/* A rate as a factor; -1 for anything else. */
static double read_rate(const char *text, size_t bytes) {
    static const struct {
        const char *name;
        double factor;
    } named[] = {{"x-slow", 0.5}, {"slow", 0.75}, {"medium", 1}, {"default", 1}, {"fast", 1.25}, {"x-fast", 1.5}};
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
        if (is(text, bytes, named[i].name)) return named[i].factor;
    double value;
    bool sign = bytes > 0 && (text[0] == '+' || text[0] == '-');
    size_t n = read_number(text + sign, bytes - sign, &value);
    bool percent = is(text + sign + n, bytes - sign - n, "%");
    if (n == 0 || (!percent && (sign || n != bytes))) return -1;
    if (!sign) return percent ? value / 100 : value;
    return text[0] == '+' ? 1 + value / 100 : 1 - value / 100;
}

static f5_status read_break(ssml_reader *r, const values *v, ssml_event *event, f5_error *error) {
    static const struct {
        const char *name;
        double seconds;
    } named[] = {{"none", 0}, {"x-weak", 0}, {"weak", 0.1}, {"medium", 0.3}, {"strong", 0.6}, {"x-strong", 1}};
    event->kind = SSML_BREAK;
    event->seconds = v->given[1] ? -1 : 0.3;
    for (size_t i = 0; v->given[1] && i < sizeof(named) / sizeof(named[0]); i++)
        if (is(r->values[1], v->bytes[1], named[i].name)) event->seconds = named[i].seconds;
    if (event->seconds < 0)
        return xml_fail(&r->xml, v->value_at[1], error, F5_E_FORMAT,
                        "strength %.*s of <break>: there are none, x-weak, weak, medium, strong and x-strong",
                        (int)xml_clip(r->values[1], v->bytes[1]), r->values[1]);
    if (!v->given[0]) return F5_OK;
    event->seconds = read_time(r->values[0], v->bytes[0]);
    if (event->seconds < 0)
        return xml_fail(&r->xml, v->value_at[0], error, F5_E_FORMAT,
                        "time %.*s of <break>: write 250ms or 1.5s, at most %.0f s",
                        (int)xml_clip(r->values[0], v->bytes[0]), r->values[0], MAX_BREAK);
    return F5_OK;
}

/* The event that begins something to be said: after the space that is due. */
static void say(ssml_reader *r, ssml_event *event) {
    if (r->space && r->begun) {
        r->waiting = *event;
        r->waits = true;
        *event = (ssml_event){.kind = SSML_TEXT, .text = " ", .bytes = 1};
    }
    r->space = false;
    r->begun = r->sentence = r->paragraph = true;
}

/* The end of a sentence or a paragraph. false: nothing was said in it. */
static bool end_of(ssml_reader *r, ssml_kind kind, ssml_event *event) {
    bool said = kind == SSML_PARAGRAPH_END ? r->paragraph : r->sentence;
    r->begun = r->space = r->sentence = false;
    if (kind == SSML_PARAGRAPH_END) r->paragraph = false;
    event->kind = kind;
    return said;
}

/* The rate or the voice in force at the reader's depth. */
static f5_status in_force(ssml_reader *r, element_kind kind, ssml_event *event, f5_error *error) {
    int at = r->depth - 1;
    if (kind == PROSODY) {
        *event = (ssml_event){.kind = SSML_RATE, .rate = r->rate[at]};
        return F5_OK;
    }
    *event = (ssml_event){.kind = SSML_VOICE, .text = r->values[0]};
    return r->voice[at] ? xml_read_value(&r->xml, r->voice[at], r->values[0], &event->bytes, NULL, error) : F5_OK;
}

/* Begins an element. *any false: it makes no event. */
static f5_status begin(ssml_reader *r, const xml_event *tag, ssml_event *event, bool *any, f5_error *error) {
    int kind = 0;
    values v = {0};
    while (kind < ELEMENTS && !is(tag->text, tag->bytes, elements[kind].name)) kind++;
    if (kind == ELEMENTS)
        return xml_fail(&r->xml, tag->at, error, F5_E_UNSUPPORTED, "<%.*s> is not honoured: " HONOURED, (int)tag->bytes,
                        tag->text);
    F5_TRY(check_place(r, (element_kind)kind, tag, error));
    F5_TRY(read_attributes(r, (element_kind)kind, tag, &v, error));
    int at = r->depth++;
    r->element[at] = (uint8_t)kind;
    r->rate[at] = at > 0 ? r->rate[at - 1] : 1;
    r->voice[at] = at > 0 ? r->voice[at - 1] : 0;
    switch ((element_kind)kind) {
    case SPEAK:
        if (v.given[0] && !is(r->values[0], v.bytes[0], "1.0") && !is(r->values[0], v.bytes[0], "1.1"))
            return xml_fail(&r->xml, v.value_at[0], error, F5_E_UNSUPPORTED, "SSML %.*s: there are 1.0 and 1.1",
                            (int)xml_clip(r->values[0], v.bytes[0]), r->values[0]);
        break;
    case P:
        *any = end_of(r, SSML_PARAGRAPH_END, event);
        break;
    case S:
        *any = end_of(r, SSML_SENTENCE_END, event);
        break;
    case BREAK:
        *any = true;
        r->begun = r->space = false;
        return read_break(r, &v, event, error);
    case VOICE:
        if (v.bytes[0] == 0)
            return xml_fail(&r->xml, v.value_at[0], error, F5_E_FORMAT, "the name of <voice> is empty");
        r->voice[at] = v.value_at[0];
        *any = true;
        return in_force(r, VOICE, event, error);
    case PROSODY: {
        double factor = read_rate(r->values[0], v.bytes[0]);
        if (factor < 0)
            return xml_fail(
                &r->xml, v.value_at[0], error, F5_E_FORMAT,
                "rate %.*s of <prosody>: write 80%%, +20%%, 0.8 or x-slow, slow, medium, fast, x-fast, default",
                (int)xml_clip(r->values[0], v.bytes[0]), r->values[0]);
        r->rate[at] *= factor;
        if (!(factor >= MIN_RATE && factor <= MAX_RATE && r->rate[at] >= MIN_RATE && r->rate[at] <= MAX_RATE))
            return xml_fail(&r->xml, v.value_at[0], error, F5_E_FORMAT,
                            "the rate of <prosody> comes to %g; it and the product of nested ones lie within 0.1 to 10",
                            r->rate[at]);
        *any = true;
        return in_force(r, PROSODY, event, error);
    }
    case SUB:
        *event = (ssml_event){.kind = SSML_SUB, .text = r->values[0], .bytes = v.bytes[0]};
        *any = v.bytes[0] > 0;
        if (*any) say(r, event);
        break;
    case SAY_AS:
        *event = (ssml_event){.kind = SSML_SAY_AS_BEGIN,
                              .text = r->values[0],
                              .bytes = v.bytes[0],
                              .format = r->values[1],
                              .format_bytes = v.bytes[1],
                              .detail = r->values[2],
                              .detail_bytes = v.bytes[2]};
        *any = true;
        say(r, event);
        r->begun = false; /* no space at its start */
        break;
    case ELEMENTS:
        break;
    }
    return F5_OK;
}

/* Ends the innermost element. *any false: that makes no event. */
static f5_status end(ssml_reader *r, ssml_event *event, bool *any, f5_error *error) {
    element_kind kind = (element_kind)r->element[--r->depth];
    *any = true;
    switch (kind) {
    case P:
        *any = end_of(r, SSML_PARAGRAPH_END, event);
        break;
    case S:
        *any = end_of(r, SSML_SENTENCE_END, event);
        break;
    case VOICE:
    case PROSODY:
        return in_force(r, kind, event, error);
    case SAY_AS:
        event->kind = SSML_SAY_AS_END;
        break;
    default:
        *any = false;
    }
    return F5_OK;
}

/* Takes the next stretch of the text that is left, with no white space in it but single spaces. false: none is left. */
static bool take_text(ssml_reader *r, ssml_event *event) {
    while (r->bytes > 0 && xml_is_space(r->text[0])) {
        r->space = true;
        r->text++;
        r->bytes--;
    }
    size_t n = 0;
    while (n < r->bytes &&
           (!xml_is_space(r->text[n]) || (r->text[n] == ' ' && n + 1 < r->bytes && !xml_is_space(r->text[n + 1]))))
        n++;
    if (n == 0) return false;
    *event = (ssml_event){.kind = SSML_TEXT, .text = r->text, .bytes = n};
    r->text += n;
    r->bytes -= n;
    say(r, event);
    return true;
}

f5_status ssml_open(ssml_reader *r, const char *document, size_t bytes, f5_error *error) {
    memset(r, 0, sizeof(*r));
    return xml_open(&r->xml, document, bytes, error);
}

f5_status ssml_next(ssml_reader *r, ssml_event *event, f5_error *error) {
    if (r->waits) {
        *event = r->waiting;
        r->waits = false;
        return F5_OK;
    }
    for (bool any = false; !any;) {
        *event = (ssml_event){.kind = SSML_END};
        if (take_text(r, event)) return F5_OK;
        xml_event read;
        F5_TRY(xml_next(&r->xml, &read, error));
        if (read.kind == XML_END) return F5_OK;
        if (read.kind == XML_START) {
            F5_TRY(begin(r, &read, event, &any, error));
        } else if (read.kind == XML_CLOSE) {
            F5_TRY(end(r, event, &any, error));
        } else if (r->element[r->depth - 1] == BREAK) {
            for (size_t i = 0; i < read.bytes; i++)
                if (!xml_is_space(read.text[i]))
                    return xml_fail(&r->xml, read.at, error, F5_E_FORMAT, "text inside <break>, which holds nothing");
        } else if (r->element[r->depth - 1] != SUB) {
            r->text = read.text;
            r->bytes = read.bytes;
        }
    }
    return F5_OK;
}
