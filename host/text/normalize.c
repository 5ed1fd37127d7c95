/* normalize.c — opens languages and hands sentences to them. */
#include "host/text/normalize.h"

#include <stdlib.h>
#include <string.h>

#include "host/text/fold.h"
#include "host/text/normalize_languages.h"
#include "kernels/error.h"
#include "weights/utf8.h"

enum { MAX_LANGUAGES = 32, CODE_BYTES = 16 };

struct normalizer {
    language languages[MAX_LANGUAGES];
    char codes[MAX_LANGUAGES][CODE_BYTES];
    int n;
};

/* The first of a language's rule sets that there is. */
static int first_set(const spellout *s, const char *const *names) {
    int set = -1;
    for (int i = 0; names[i] && set < 0; i++) set = spellout_set(s, names[i]);
    return set;
}

static bool has_rules_of_its_own(const char *code) {
    return strcmp(code, "en") == 0 || strcmp(code, "zh") == 0;
}

static f5_status open_language(language *l, f5_error *error) {
    static const char *const cardinals[] = {"%spellout-cardinal", "%spellout-numbering", NULL};
    static const char *const numberings[] = {"%spellout-numbering", "%spellout-cardinal", NULL};
    static const char *const ordinals[] = {
        "%spellout-ordinal",        "%spellout-ordinal-masculine", "%spellout-ordinal-masculine-nominative",
        "%spellout-ordinal-common", "%spellout-ordinal-neuter",    NULL};
    static const char *const years[] = {"%spellout-numbering-year", "%spellout-numbering", NULL};
    static const char *const unspaced[] = {"ja", "th", "yue", "zh"};
    icu_rules rules;
    l->unspaced = IN_LIST(unspaced, l->code, strlen(l->code));
    F5_TRY(icu_builtin(l->code, &rules, error));
    if (!rules.text) F5_TRY(icu_read(l->code, &rules, error));
    F5_TRY(spellout_open(l->code, &rules, &l->numbers, error));
    l->cardinal = first_set(l->numbers, has_rules_of_its_own(l->code) ? cardinals : numberings);
    l->ordinal = first_set(l->numbers, ordinals);
    l->year = first_set(l->numbers, years);
    if (l->cardinal < 0)
        return f5_fail(error, F5_E_UNSUPPORTED, "ICU has no cardinals of '%s': use another language", l->code);
    return F5_OK;
}

/* "en-US" is "en". */
static size_t primary_bytes(const char *code, size_t bytes) {
    size_t n = 0;
    while (n < bytes && code[n] != '-' && code[n] != '_') n++;
    return n;
}

static const language *find_language(const normalizer *n, const char *code, size_t bytes) {
    for (int i = 0; i < n->n; i++)
        if (strlen(n->codes[i]) == bytes && memcmp(n->codes[i], code, bytes) == 0) return &n->languages[i];
    return NULL;
}

static f5_status add_language(normalizer *n, const char *code, size_t bytes, f5_error *error) {
    bytes = primary_bytes(code, bytes);
    bool letters = bytes >= 2 && bytes <= 3;
    for (size_t i = 0; i < bytes && letters; i++) letters = is_small(code[i]);
    if (!letters)
        return f5_fail(error, F5_E_ARGUMENT,
                       "'%.*s' is no language: en, zh, or another that ICU spells numbers of, as de",
                       (int)(bytes < 40 ? bytes : 40), code);
    if (find_language(n, code, bytes)) return F5_OK;
    if (n->n == MAX_LANGUAGES)
        return f5_fail(error, F5_E_ARGUMENT, "more than %d languages to normalise", MAX_LANGUAGES);
    memcpy(n->codes[n->n], code, bytes);
    n->languages[n->n].code = n->codes[n->n];
    return open_language(&n->languages[n->n++], error);
}

f5_status normalizer_open(const char *languages, normalizer **out, f5_error *error) {
    *out = NULL;
    normalizer *n = calloc(1, sizeof *n);
    if (!n) return f5_fail(error, F5_E_MEMORY, "out of memory: the normalizer");
    f5_status status = F5_OK;
    for (const char *at = languages; status == F5_OK && *at;) {
        size_t bytes = strcspn(at, ", ");
        if (bytes > 0) status = add_language(n, at, bytes, error);
        at += bytes;
        at += strspn(at, ", ");
    }
    if (status == F5_OK && n->n == 0)
        status = f5_fail(error, F5_E_ARGUMENT, "no language to normalise is named: en, zh, or another, as de");
    if (status != F5_OK) {
        normalizer_close(n);
        return status;
    }
    *out = n;
    return F5_OK;
}

void normalizer_close(normalizer *n) {
    if (!n) return;
    for (int i = 0; i < n->n; i++) spellout_close(n->languages[i].numbers);
    free(n);
}

bool say_lexicon(reading *r) {
    const char *said;
    size_t said_bytes, n = lexicon_find(r->words, r->text, r->bytes, r->at, &said, &said_bytes);
    if (n == 0) return false;
    copy(r, r->at, 0);
    text_put(r->out, said, said_bytes);
    r->said = true;
    r->at += n;
    return true;
}

bool say_by_rules(reading *r, const reading_rule *rules, size_t n) {
    for (size_t i = 0; i < n; i++) {
        size_t took = rules[i](r);
        if (took > 0) {
            r->at += took;
            return true;
        }
    }
    return false;
}

static f5_status begin(const normalizer *n, const char *code, const char *text, size_t bytes, text_buffer *out,
                       reading *r, f5_error *error) {
    const language *l = find_language(n, code, primary_bytes(code, strlen(code)));
    if (!l) {
        char names[MAX_LANGUAGES * CODE_BYTES] = "";
        for (int i = 0; i < n->n; i++) {
            if (i > 0) strcat(names, ", ");
            strcat(names, n->codes[i]);
        }
        return f5_fail(error, F5_E_ARGUMENT, "no normalisation of '%.40s' was opened: there are %s, and none", code,
                       names);
    }
    *r = (reading){.language = l,
                   .text = text,
                   .bytes = bytes,
                   .number_end = SIZE_MAX,
                   .out = out,
                   .start = out->bytes,
                   .equation = bytes > 0 && memchr(text, '=', bytes) != NULL};
    return F5_OK;
}

static f5_status finish(const reading *r, f5_error *error) {
    if (r->out->full)
        return f5_fail(error, F5_E_LIMIT, "the words of a sentence of %zu bytes need more than the %zu bytes set aside",
                       r->bytes, r->out->capacity);
    return F5_OK;
}

/* Whether a text has full-width, circled or mathematical letters and digits, U+FF01 .. FF5E, 2460 .. 249F, 1D400 ..
 * 1D7FF, between which nothing here would know a number. */
static bool has_compatibility_forms(const char *text, size_t bytes) {
    bool wide = false;
    for (size_t i = 0; i + 2 < bytes && !wide; i++) {
        const uint8_t *u = (const uint8_t *)text + i;
        uint32_t code = 0;
        if (u[0] < 0xe2) continue;
        if (utf8_decode(text + i, bytes - i, &code) == 0) continue;
        wide = ((code >= 0xff10 && code <= 0xff19) || (code >= 0xff21 && code <= 0xff3a) ||
                (code >= 0xff41 && code <= 0xff5a) || (code >= 0x2460 && code <= 0x249f) ||
                (code >= 0x1d400 && code <= 0x1d7ff));
    }
    return wide;
}

static f5_status read_sentence(reading *r, const lexicon *words, f5_error *error) {
    r->words = words;
    if (strcmp(r->language->code, "en") == 0)
        normalize_english(r);
    else if (strcmp(r->language->code, "zh") == 0)
        normalize_chinese(r);
    else
        normalize_numbers_only(r);
    return finish(r, error);
}

f5_status normalize_text(const normalizer *n, const char *code, const lexicon *words, const char *text, size_t bytes,
                         text_buffer *out, f5_error *error) {
    reading r;
    size_t capacity = out->capacity, room = 2 * bytes;
    if (has_compatibility_forms(text, bytes)) {
        /* the plain forms lie at the end of the buffer while the words grow from its beginning */
        text_buffer folded = {.text = out->text + capacity - room, .capacity = room};
        if (room > capacity - out->bytes)
            out->full = true;
        else if (fold_compat(text, bytes, &folded, NULL) == F5_OK) {
            text = folded.text;
            bytes = folded.bytes;
            out->capacity -= room;
        }
    }
    f5_status status = begin(n, code, text, bytes, out, &r, error);
    if (status == F5_OK) status = read_sentence(&r, words, error);
    out->capacity = capacity;
    return status;
}

f5_status normalize_say_as(const normalizer *n, const char *code, const char *interpret_as, size_t interpret_bytes,
                           const char *format, size_t format_bytes, const char *text, size_t bytes, text_buffer *out,
                           f5_error *error) {
    static const struct {
        const char *name;
        say_as_kind kind;
    } kinds[] = {{"cardinal", SAY_CARDINAL},
                 {"number", SAY_CARDINAL},
                 {"ordinal", SAY_ORDINAL},
                 {"characters", SAY_CHARACTERS},
                 {"spell-out", SAY_CHARACTERS},
                 {"verbatim", SAY_CHARACTERS},
                 {"digits", SAY_DIGITS},
                 {"date", SAY_DATE},
                 {"time", SAY_TIME},
                 {"telephone", SAY_TELEPHONE},
                 {"fraction", SAY_FRACTION},
                 {"unit", SAY_UNIT},
                 {"currency", SAY_CURRENCY},
                 {"expletive", SAY_EXPLETIVE}};
    size_t k = 0, count = sizeof kinds / sizeof kinds[0];
    while (k < count &&
           !(strlen(kinds[k].name) == interpret_bytes && memcmp(kinds[k].name, interpret_as, interpret_bytes) == 0))
        k++;
    if (k == count)
        return f5_fail(
            error, F5_E_UNSUPPORTED,
            "say-as interpret-as=\"%.*s\" is not known: cardinal, ordinal, characters, spell-out, digits, date, "
            "time, telephone, fraction, unit, currency, verbatim and expletive are",
            (int)(interpret_bytes < 40 ? interpret_bytes : 40), interpret_as);
    char form[8] = "";
    if (format && format_bytes < sizeof form) memcpy(form, format, format_bytes);
    while (bytes > 0 && strchr(" \t\r\n", text[0])) text++, bytes--;
    while (bytes > 0 && strchr(" \t\r\n", text[bytes - 1])) bytes--;
    reading r;
    F5_TRY(begin(n, code, text, bytes, out, &r, error));
    bool right = strcmp(r.language->code, "en") == 0   ? say_as_english(&r, kinds[k].kind, form)
                 : strcmp(r.language->code, "zh") == 0 ? say_as_chinese(&r, kinds[k].kind, form)
                                                       : say_as_numbers_only(&r, kinds[k].kind, form);
    F5_TRY(finish(&r, error));
    if (right) return F5_OK;
    out->bytes = r.start;
    return f5_fail(error, F5_E_FORMAT, "'%.*s' cannot be read as %s%s%s in '%s'", (int)(bytes < 80 ? bytes : 80), text,
                   kinds[k].name, form[0] ? " " : "", form, r.language->code);
}
