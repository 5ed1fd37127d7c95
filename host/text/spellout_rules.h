/* spellout_rules.h — the parsed form of ICU's spell-out rules, which spellout_parse.c makes and spellout.c runs. */
#ifndef F5_SPELLOUT_RULES_H
#define F5_SPELLOUT_RULES_H

#include "host/text/spellout.h"

typedef enum {
    PART_TEXT,        /* itself */
    PART_PLURAL,      /* $(cardinal,one{...}other{...})$: the form of number / divisor */
    PART_SAME,        /* =set= : the number */
    PART_QUOTIENT,    /* <set< : number / divisor */
    PART_REMAINDER,   /* >set> : number % divisor */
    PART_PREDECESSOR, /* >>>   : number % divisor, by the rule before this one */
    PART_ABSOLUTE,    /* >set> of a negative number */
    PART_WHOLE,       /* <set< of a number with decimals */
    PART_DIGITS,      /* >>    of one: its decimals one by one, >>> without spaces between them */
    PART_FRACTION,    /* >set> of one: its decimals as a fraction */
    PART_NUMERATOR,   /* <set< in a set of fractions: the fraction times the base value */
    PART_FORMAT       /* =#,##0= : digits; there are no words */
} part_kind;

typedef struct {
    part_kind kind;
    bool spaces; /* between PART_DIGITS */
    bool zeros;  /* <set<< : PART_NUMERATOR's leading zeros are said too */
    int set;
    const char *text; /* PART_TEXT, PART_PLURAL: [bytes] */
    size_t bytes;
} rule_part;

typedef struct {
    int64_t base, divisor; /* divisor: the radix to the power of the exponent */
    int first_part, n_parts;
    bool has_remainder;
} rule;

/* Rules that stand apart from a set's list; -1 where it has none. */
enum { RULE_NEGATIVE, RULE_IMPROPER, RULE_PROPER, RULE_SPECIALS };

typedef struct {
    const char *name;        /* terminated */
    int first_rule, n_rules; /* base values ascend */
    int special[RULE_SPECIALS];
    bool improper_is_exact; /* its decimal point is the language's own */
    bool fractions;         /* its base values are denominators */
} rule_set;

struct spellout {
    icu_rules source;
    rule_set *sets;
    rule *rules;
    rule_part *parts;
    char *texts; /* parts' texts whose brackets were taken out */
    int n_sets, n_rules, n_parts;
    size_t texts_bytes, texts_capacity;
};

#endif
