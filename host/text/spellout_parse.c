/* spellout_parse.c — reads ICU's spell-out rules into sets, rules and their parts.
 *
 * A line is a set's name ("%spellout-cardinal:") or a rule: "100: << hundred[ >>];", that is base value, optional
 * radix ("80/20"), text. The text in brackets is left out where nothing remains: such a rule is two. */
#include <stdlib.h>
#include <string.h>

#include "host/text/spellout_rules.h"
#include "kernels/error.h"

enum { MAX_PARTS = 7 }; /* two substitutions, a plural, and text around them */

typedef struct {
    spellout *s;
    const char *language;
    f5_error *error;
    int top;           /* special rules are put at the end of the array: the first of them */
    int64_t next_base; /* of a rule that says none */
} parser;

typedef struct {
    const char *text;
    size_t bytes;
} span;

static size_t find(span in, size_t from, const char *what) {
    size_t n = strlen(what);
    for (size_t at = from; at + n <= in.bytes; at++)
        if (memcmp(in.text + at, what, n) == 0) return at;
    return in.bytes;
}

static f5_status refuse(const parser *p, span line, const char *why) {
    return f5_fail(p->error, F5_E_UNSUPPORTED, "ICU's rule '%.*s' of '%s' %s: numbers in it cannot be spelled",
                   (int)(line.bytes < 100 ? line.bytes : 100), line.text, p->language, why);
}

/* ---- the parts of a text */

static f5_status find_set(const parser *p, span line, span name, int *set) {
    for (*set = 0; *set < p->s->n_sets; ++*set) {
        const char *own = p->s->sets[*set].name;
        if (strlen(own) == name.bytes && memcmp(own, name.text, name.bytes) == 0) return F5_OK;
    }
    return refuse(p, line, "names a set that does not exist");
}

/* `in` is a substitution with its marks. `special` is the rule's kind, RULE_SPECIALS for one with a base value. */
static f5_status parse_substitution(parser *p, span line, span in, int own_set, int special, rule_part *part) {
    char mark = in.text[0];
    span name = {in.text + 1, in.bytes - 2};
    bool decimals = special == RULE_IMPROPER || special == RULE_PROPER, thrice = in.bytes == 3 && in.text[1] == '>';
    bool fractions = p->s->sets[own_set].fractions;
    *part = (rule_part){.set = own_set};
    if (mark == '<' && fractions && name.bytes > 0 && name.text[name.bytes - 1] == '<') {
        part->zeros = true;
        name.bytes--;
    }
    if (name.bytes > 0 && (name.text[0] == '#' || name.text[0] == '0')) {
        part->kind = PART_FORMAT;
        return F5_OK;
    }
    if (name.bytes > 0 && !thrice) F5_TRY(find_set(p, line, name, &part->set));
    if (mark == '=') {
        part->kind = PART_SAME;
    } else if (mark == '<') {
        if (special == RULE_NEGATIVE) return refuse(p, line, "divides a negative number");
        part->kind = decimals ? PART_WHOLE : fractions ? PART_NUMERATOR : PART_QUOTIENT;
    } else if (special == RULE_NEGATIVE) {
        part->kind = PART_ABSOLUTE;
    } else if (decimals) {
        bool digits = part->set == own_set;
        part->kind = digits ? PART_DIGITS : PART_FRACTION;
        part->spaces = !thrice;
        if (!digits) p->s->sets[part->set].fractions = true;
    } else {
        if (fractions) return refuse(p, line, "takes the rest of a fraction");
        part->kind = thrice ? PART_PREDECESSOR : PART_REMAINDER;
    }
    return F5_OK;
}

static bool opens_substitution(span text, size_t at) {
    static const char starts[][3] = {"<<", "<%", "<#", "<0", ">>", ">%", ">#", ">0", "=%", "=#", "=0"};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (at + 2 <= text.bytes && memcmp(text.text + at, starts[i], 2) == 0) return true;
    return false;
}

static size_t substitution_bytes(span text, size_t at) {
    if (at + 3 <= text.bytes && memcmp(text.text + at, ">>>", 3) == 0) return 3;
    size_t end = at + 1;
    while (end < text.bytes && text.text[end] != text.text[at]) end++;
    if (end >= text.bytes) return 0;
    if (text.text[at] == '<' && end + 1 < text.bytes && text.text[end + 1] == '<') end++;
    return end + 1 - at;
}

static void add_text(spellout *s, rule *r, span text) {
    if (text.bytes > 0) {
        s->parts[s->n_parts++] = (rule_part){.kind = PART_TEXT, .text = text.text, .bytes = text.bytes};
        r->n_parts++;
    }
}

static f5_status parse_parts(parser *p, span line, span text, int own_set, int special, rule *r) {
    spellout *s = p->s;
    r->first_part = s->n_parts;
    r->n_parts = 0;
    int substitutions = 0, plurals = 0;
    size_t start = 0;
    for (size_t at = 0; at < text.bytes;) {
        size_t n = 0;
        rule_part part;
        if (substitutions < 2 && opens_substitution(text, at) && (n = substitution_bytes(text, at)) > 0) {
            F5_TRY(parse_substitution(p, line, (span){text.text + at, n}, own_set, special, &part));
            r->has_remainder |= part.kind == PART_REMAINDER || part.kind == PART_PREDECESSOR;
            substitutions++;
        } else if (plurals == 0 && find(text, at, "$(") == at) {
            size_t end = find(text, at, ")$");
            if (end == text.bytes || find(text, at, "$(cardinal,") != at || find(text, at, "=") < end)
                return refuse(p, line, "has a plural that is not cardinal");
            n = end + 2 - at;
            size_t head = strlen("$(cardinal,");
            part = (rule_part){.kind = PART_PLURAL, .text = text.text + at + head, .bytes = end - at - head};
            plurals++;
        } else {
            at++;
            continue;
        }
        add_text(s, r, (span){text.text + start, at - start});
        s->parts[s->n_parts++] = part;
        r->n_parts++;
        at += n;
        start = at;
    }
    add_text(s, r, (span){text.text + start, text.bytes - start});
    return F5_OK;
}

/* ---- rules */

/* The text without [ and ], and with or without what is between them, in memory of the spellout's. */
static span without_brackets(spellout *s, span text, size_t open, size_t close, bool keep) {
    char *to = s->texts + s->texts_bytes;
    size_t n = open, inside = close - open - 1;
    memcpy(to, text.text, open);
    if (keep) {
        memcpy(to + n, text.text + open + 1, inside);
        n += inside;
    }
    memcpy(to + n, text.text + close + 1, text.bytes - close - 1);
    n += text.bytes - close - 1;
    s->texts_bytes += n;
    return (span){to, n};
}

static f5_status add_rule(parser *p, span line, span text, int set, int special, int64_t base, int64_t divisor) {
    spellout *s = p->s;
    rule *r;
    if (special < RULE_SPECIALS) {
        r = &s->rules[--p->top];
        s->sets[set].special[special] = p->top;
    } else {
        if (base < p->next_base && !s->sets[set].fractions) return refuse(p, line, "is out of order");
        r = &s->rules[s->n_rules++];
        s->sets[set].n_rules++;
        p->next_base = s->sets[set].fractions ? base : base + 1;
    }
    *r = (rule){.base = base, .divisor = divisor};
    return parse_parts(p, line, text, set, special, r);
}

/* "100", "80/20", "1000>" -> base value and divisor. */
static bool parse_base(span in, int64_t *base, int64_t *divisor) {
    int64_t radix = 10, *value = base;
    int fewer = 0;
    *base = 0;
    for (size_t i = 0; i < in.bytes; i++) {
        char c = in.text[i];
        if (c == '/' && value == base) {
            radix = 0;
            value = &radix;
        } else if (c == '>') {
            fewer++;
        } else if (c >= '0' && c <= '9' && fewer == 0) {
            if (*value > (INT64_MAX - 9) / 10) return false;
            *value = *value * 10 + (c - '0');
        } else if (c != '.' && c != ',' && c != ' ') {
            return false;
        }
    }
    if (radix < 2) return false;
    for (*divisor = 1; *divisor <= *base / radix;) *divisor *= radix;
    while (fewer-- > 0 && *divisor > 1) *divisor /= radix;
    return in.bytes > 0;
}

static f5_status parse_rule(parser *p, span line, int set) {
    spellout *s = p->s;
    if (line.bytes == 0 || line.text[line.bytes - 1] != ';') return refuse(p, line, "does not end with a semicolon");
    span in = {line.text, line.bytes - 1};
    size_t colon = find(in, 0, ":");
    span head = {in.text, colon < in.bytes ? colon : 0}, text = in;
    int special = RULE_SPECIALS;
    int64_t base = p->next_base, divisor = 1;
    bool decimal_comma = false;
    if (head.bytes > 0) {
        decimal_comma = head.bytes == 3 && head.text[1] == ',';
        if (find(head, 0, "Inf") == 0 || find(head, 0, "NaN") == 0) return F5_OK;
        if (find(head, 0, "-x") == 0)
            special = RULE_NEGATIVE;
        else if (find(head, 0, "x.x") == 0 || find(head, 0, "x,x") == 0)
            special = RULE_IMPROPER;
        else if (find(head, 0, "0.x") == 0 || find(head, 0, "0,x") == 0)
            special = RULE_PROPER;
        else if (!parse_base(head, &base, &divisor))
            return refuse(p, line, "begins with what is no number");
        text = (span){in.text + colon + 1, in.bytes - colon - 1};
    }
    while (text.bytes > 0 && text.text[0] == ' ') text.text++, text.bytes--;
    if (text.bytes > 0 && text.text[0] == '\'') text.text++, text.bytes--;
    if (special == RULE_IMPROPER) {
        /* the rule for the language's own decimal point goes before the other */
        bool exact = decimal_comma == (s->source.decimal_point == ',');
        if (s->sets[set].special[RULE_IMPROPER] >= 0 && (s->sets[set].improper_is_exact || !exact)) return F5_OK;
        s->sets[set].improper_is_exact = exact;
    }
    size_t open = find(text, 0, "["), close = find(text, open, "]");
    if (close == text.bytes || special == RULE_NEGATIVE || special == RULE_PROPER)
        return add_rule(p, line, text, set, special, base, divisor);
    if (find(text, open, "|") < close) return refuse(p, line, "has two choices in brackets");
    if (special == RULE_IMPROPER) {
        F5_TRY(add_rule(p, line, without_brackets(s, text, open, close, false), set, RULE_PROPER, base, divisor));
    } else if (base > 0 && base % divisor == 0) {
        F5_TRY(add_rule(p, line, without_brackets(s, text, open, close, false), set, special, base, divisor));
        base += s->sets[set].fractions ? 0 : 1;
    }
    return add_rule(p, line, without_brackets(s, text, open, close, true), set, special, base, divisor);
}

/* ---- sets */

static bool next_line(const icu_rules *rules, size_t *at, span *line) {
    if (*at >= rules->bytes) return false;
    const char *start = rules->text + *at, *end = memchr(start, '\n', rules->bytes - *at);
    *line = (span){start, (size_t)(end ? end - start : (rules->text + rules->bytes) - start)};
    *at += line->bytes + 1;
    return true;
}

static bool is_set_name(span line) {
    return line.bytes > 1 && line.text[0] == '%';
}

static bool is_lenient(span line) {
    return find(line, 0, "%%lenient-parse") == 0;
}

/* Names first: a rule may name a set that comes after it. The colon becomes the name's end. */
static f5_status parse_names(parser *p) {
    spellout *s = p->s;
    span line;
    for (size_t at = 0; next_line(&s->source, &at, &line);) {
        if (!is_set_name(line) || is_lenient(line)) continue;
        size_t end = find(line, 0, "@noparse");
        if (end == line.bytes) end = find(line, 0, ":");
        if (end == line.bytes || find(line, 0, ":") + 1 != line.bytes) return refuse(p, line, "is no name of a set");
        s->source.text[(size_t)(line.text - s->source.text) + end] = '\0';
        s->sets[s->n_sets++] = (rule_set){.name = line.text, .special = {-1, -1, -1}};
    }
    return F5_OK;
}

static f5_status parse_rules(parser *p) {
    spellout *s = p->s;
    span line;
    int set = -1;
    bool skip = true; /* %%lenient-parse has collation rules, for reading words as numbers */
    for (size_t at = 0; next_line(&s->source, &at, &line);) {
        if (is_set_name(line)) {
            skip = is_lenient(line);
            if (skip) continue;
            s->sets[++set].first_rule = s->n_rules;
            p->next_base = 0;
        } else if (!skip) {
            F5_TRY(parse_rule(p, line, set));
        }
    }
    return F5_OK;
}

f5_status spellout_open(const char *language, icu_rules *rules, spellout **out, f5_error *error) {
    *out = NULL;
    spellout *s = calloc(1, sizeof *s);
    if (!s) return f5_fail(error, F5_E_MEMORY, "out of memory: rules to spell numbers in '%s'", language);
    s->source = *rules;
    *rules = (icu_rules){0};
    size_t lines = 1;
    for (size_t i = 0; i < s->source.bytes; i++) lines += s->source.text[i] == '\n';
    s->sets = calloc(lines, sizeof *s->sets);
    s->rules = calloc(2 * lines, sizeof *s->rules);
    s->parts = calloc(2 * lines * MAX_PARTS, sizeof *s->parts);
    s->texts = malloc(2 * s->source.bytes + 1);
    parser p = {.s = s, .language = language, .error = error, .top = (int)(2 * lines)};
    f5_status status = s->sets && s->rules && s->parts && s->texts && lines < 100000
                           ? F5_OK
                           : f5_fail(error, F5_E_MEMORY, "out of memory: rules to spell numbers in '%s'", language);
    if (status == F5_OK) status = parse_names(&p);
    if (status == F5_OK) status = parse_rules(&p);
    if (status != F5_OK) {
        spellout_close(s);
        return status;
    }
    rule_part *parts = realloc(s->parts, ((size_t)s->n_parts + 1) * sizeof *parts);
    if (parts) s->parts = parts;
    *out = s;
    return F5_OK;
}

void spellout_close(spellout *s) {
    if (!s) return;
    free(s->source.text);
    free(s->sets);
    free(s->rules);
    free(s->parts);
    free(s->texts);
    free(s);
}
