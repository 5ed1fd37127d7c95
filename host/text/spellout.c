/* spellout.c — says a number by ICU's rules: finds the rule of a set that fits it, and writes the rule's parts. */
#include "host/text/spellout.h"

#include <string.h>

#include "host/text/spellout_rules.h"

enum { MAX_DEPTH = 64 }; /* ICU's own limit */

typedef struct {
    const spellout *s;
    text_buffer *out;
} writer;

static bool write_number(writer *w, int set, spellout_number number, int depth);

int spellout_set(const spellout *s, const char *name) {
    for (int i = 0; i < s->n_sets; i++)
        if (strcmp(s->sets[i].name, name) == 0) return i;
    return -1;
}

const char *spellout_set_name(const spellout *s, int set) {
    return set >= 0 && set < s->n_sets ? s->sets[set].name : NULL;
}

char spellout_decimal_point(const spellout *s) {
    return s->source.decimal_point;
}

/* Without soft hyphens, U+00AD. */
static void write_text(writer *w, const char *text, size_t bytes) {
    size_t start = 0;
    for (size_t i = 0; i + 1 < bytes; i++)
        if (text[i] == '\xc2' && text[i + 1] == '\xad') {
            text_put(w->out, text + start, i - start);
            start = i + 2;
        }
    text_put(w->out, text + start, bytes - start);
}

/* "one{million}other{millions}": the text of the keyword, or of `other`. */
static void write_plural(writer *w, const rule_part *part, uint64_t number) {
    static const char *const names[] = ICU_PLURALS;
    uint64_t n = number < ICU_PLURAL_NUMBERS ? number : 100 + number % 100;
    const char *wanted[] = {names[w->s->source.plural[n]], "other"};
    for (int k = 0; k < 2; k++)
        for (size_t at = 0; at < part->bytes;) {
            const char *entry = part->text + at, *open = memchr(entry, '{', part->bytes - at);
            const char *close = open ? memchr(open, '}', part->bytes - (size_t)(open - part->text)) : NULL;
            if (!close) break;
            if ((size_t)(open - entry) == strlen(wanted[k]) && memcmp(entry, wanted[k], strlen(wanted[k])) == 0) {
                write_text(w, open + 1, (size_t)(close - open - 1));
                return;
            }
            at = (size_t)(close + 1 - part->text);
        }
}

/* 0.digits, as near as a double comes. */
static double fraction_of(spellout_number number) {
    double value = 0;
    for (size_t i = number.n_digits < 18 ? number.n_digits : 18; i-- > 0;)
        value = (value + (number.digits[i] - '0')) / 10;
    return value;
}

static bool write_rule(writer *w, const rule *r, spellout_number number, int depth) {
    const spellout *s = w->s;
    if (depth > MAX_DEPTH) return false;
    spellout_number whole = {.whole = number.whole}, part_of = number;
    uint64_t divisor = (uint64_t)r->divisor;
    for (int i = 0; i < r->n_parts && !w->out->full; i++) {
        const rule_part *part = &s->parts[r->first_part + i];
        bool ok = true;
        switch (part->kind) {
        case PART_TEXT:
            write_text(w, part->text, part->bytes);
            break;
        case PART_PLURAL:
            write_plural(w, part,
                         number.n_digits && number.whole == 0 ? (uint64_t)(fraction_of(number) * (double)divisor + 0.5)
                                                              : number.whole / divisor);
            break;
        case PART_SAME:
            ok = write_number(w, part->set, number, depth + 1);
            break;
        case PART_WHOLE:
            ok = write_number(w, part->set, whole, depth + 1);
            break;
        case PART_QUOTIENT:
            whole.whole = number.whole / divisor;
            ok = number.n_digits == 0 && !number.negative && write_number(w, part->set, whole, depth + 1);
            break;
        case PART_REMAINDER:
            whole.whole = number.whole % divisor;
            ok = number.n_digits == 0 && !number.negative && write_number(w, part->set, whole, depth + 1);
            break;
        case PART_PREDECESSOR:
            whole.whole = number.whole % divisor;
            ok = number.n_digits == 0 && !number.negative && r > s->rules && write_rule(w, r - 1, whole, depth + 1);
            break;
        case PART_ABSOLUTE:
            part_of.negative = false;
            ok = write_number(w, part->set, part_of, depth + 1);
            break;
        case PART_DIGITS:
            ok = !number.negative;
            for (size_t d = 0; d < number.n_digits && ok && !w->out->full; d++) {
                if (d > 0 && part->spaces) text_put_string(w->out, " ");
                ok = write_number(w, part->set, (spellout_number){.whole = (uint64_t)(number.digits[d] - '0')},
                                  depth + 1);
            }
            break;
        case PART_FRACTION:
            part_of.whole = 0;
            ok = !number.negative && write_number(w, part->set, part_of, depth + 1);
            break;
        case PART_NUMERATOR:
            whole.whole = (uint64_t)(fraction_of(number) * (double)r->base + 0.5);
            for (uint64_t n = whole.whole * 10; part->zeros && n > 0 && n < (uint64_t)r->base && ok; n *= 10) {
                ok = write_number(w, part->set, (spellout_number){0}, depth + 1);
                text_put_string(w->out, " ");
            }
            ok = ok && write_number(w, part->set, whole, depth + 1);
            break;
        case PART_FORMAT:
            ok = false;
            break;
        }
        if (!ok) return false;
    }
    return true;
}

static int64_t common_multiple(int64_t a, int64_t b) {
    int64_t x = a, y = b;
    while (y) {
        int64_t t = x % y;
        x = y;
        y = t;
    }
    return x == 0 || a / x > INT64_MAX / 4 / b ? 0 : a / x * b;
}

/* The rule whose denominator comes nearest to the fraction; of two equal ones the first is for a numerator of 1. */
static const rule *find_fraction_rule(const spellout *s, const rule_set *set, spellout_number number) {
    const rule *rules = s->rules + set->first_rule;
    int64_t common = 1;
    for (int i = 0; i < set->n_rules; i++)
        if (rules[i].base < 1 || (common = common_multiple(common, rules[i].base)) == 0) return NULL;
    double fraction = fraction_of(number);
    int64_t numerator = (int64_t)(fraction * (double)common + 0.5), least = INT64_MAX;
    int winner = 0;
    for (int i = 0; i < set->n_rules && least > 0; i++) {
        if (numerator > INT64_MAX / rules[i].base) return NULL;
        int64_t difference = numerator * rules[i].base % common;
        if (common - difference < difference) difference = common - difference;
        if (difference < least) {
            least = difference;
            winner = i;
        }
    }
    if (winner + 1 < set->n_rules && rules[winner + 1].base == rules[winner].base) {
        double n = (double)rules[winner].base * fraction;
        if (n < 0.5 || n >= 2) winner++;
    }
    return set->n_rules > 0 ? &rules[winner] : NULL;
}

/* The last rule whose base value is not past the number; the one before it where that one would say a remainder of
 * nothing. */
static const rule *find_rule(const spellout *s, const rule_set *set, uint64_t number) {
    const rule *rules = s->rules + set->first_rule;
    int low = 0, high = set->n_rules;
    while (low < high) {
        int middle = (low + high) / 2;
        if ((uint64_t)rules[middle].base == number) return &rules[middle];
        if ((uint64_t)rules[middle].base > number)
            high = middle;
        else
            low = middle + 1;
    }
    if (high == 0) return NULL;
    const rule *found = &rules[high - 1];
    bool back = found->has_remainder && number % (uint64_t)found->divisor == 0 && found->base % found->divisor != 0;
    return !back ? found : high > 1 ? found - 1 : NULL;
}

static bool write_number(writer *w, int index, spellout_number number, int depth) {
    const spellout *s = w->s;
    const rule_set *set = &s->sets[index];
    if (depth > MAX_DEPTH || w->out->full) return false;
    int special = -1;
    if (set->fractions) {
        const rule *r = find_fraction_rule(s, set, number);
        return r && write_rule(w, r, number, depth);
    }
    if (number.negative && set->special[RULE_NEGATIVE] >= 0)
        special = set->special[RULE_NEGATIVE];
    else if (number.n_digits > 0 && number.whole == 0 && set->special[RULE_PROPER] >= 0)
        special = set->special[RULE_PROPER];
    else if (number.n_digits > 0)
        special = set->special[RULE_IMPROPER];
    bool up = number.n_digits > 0 && number.digits[0] >= '5'; /* a set without decimals goes by the nearest integer */
    const rule *r = special >= 0 ? &s->rules[special] : find_rule(s, set, number.whole + up);
    return r && write_rule(w, r, number, depth);
}

bool spellout_write(const spellout *s, int set, spellout_number number, text_buffer *out) {
    size_t before = out->bytes;
    if (set < 0 || set >= s->n_sets || number.whole >= SPELLOUT_LIMIT) return false;
    writer w = {.s = s, .out = out};
    bool said = write_number(&w, set, number, 0);
    if (!said && !out->full) out->bytes = before;
    return said;
}
