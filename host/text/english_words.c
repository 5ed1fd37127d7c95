/* english_words.c — English words that are written shorter than they are said: abbreviations, initials, Roman numerals.
 */
#include <string.h>

#include "host/text/english.h"

/* Where an abbreviation is one. */
enum { ANYWHERE, BEFORE_NUMBER, BEFORE_NAME, NOT_BEFORE_NAME, WITHOUT_DOT };

static const struct {
    const char *written, *said;
    int where;
} abbreviations[] = {
    {"Adm", "Admiral", BEFORE_NAME},
    {"Apt", "Apartment", BEFORE_NUMBER},
    {"Assn", "Association", ANYWHERE},
    {"Assoc", "Associate", ANYWHERE},
    {"Ave", "Avenue", ANYWHERE},
    {"Bldg", "Building", ANYWHERE},
    {"Blvd", "Boulevard", ANYWHERE},
    {"Brig", "Brigadier", BEFORE_NAME},
    {"Bros", "Brothers", ANYWHERE},
    {"Capt", "Captain", BEFORE_NAME},
    {"Cmdr", "Commander", BEFORE_NAME},
    {"Co", "Company", ANYWHERE},
    {"Col", "Colonel", BEFORE_NAME},
    {"Corp", "Corporation", ANYWHERE},
    {"Cpl", "Corporal", BEFORE_NAME},
    {"Dept", "Department", ANYWHERE},
    {"Dr", "Doctor", BEFORE_NAME},
    {"Dr", "Drive", NOT_BEFORE_NAME},
    {"Ft", "Fort", BEFORE_NAME},
    {"Gen", "General", BEFORE_NAME},
    {"Gov", "Governor", BEFORE_NAME},
    {"Hwy", "Highway", ANYWHERE},
    {"Hon", "Honorable", BEFORE_NAME},
    {"Inc", "Incorporated", ANYWHERE},
    {"Jr", "Junior", ANYWHERE},
    {"Ltd", "Limited", ANYWHERE},
    {"Ln", "Lane", ANYWHERE},
    {"Lt", "Lieutenant", BEFORE_NAME},
    {"Maj", "Major", BEFORE_NAME},
    {"Messrs", "Messieurs", BEFORE_NAME},
    {"Mr", "Mister", ANYWHERE},
    {"Mr", "Mister", WITHOUT_DOT},
    {"Mrs", "Missus", ANYWHERE},
    {"Mrs", "Missus", WITHOUT_DOT},
    {"Ms", "Miz", BEFORE_NAME},
    {"Mt", "Mount", BEFORE_NAME},
    {"No", "number", BEFORE_NUMBER},
    {"Nos", "numbers", BEFORE_NUMBER},
    {"Pres", "President", BEFORE_NAME},
    {"Prof", "Professor", ANYWHERE},
    {"Pvt", "Private", BEFORE_NAME},
    {"Rd", "Road", ANYWHERE},
    {"Rep", "Representative", BEFORE_NAME},
    {"Rev", "Reverend", BEFORE_NAME},
    {"Sen", "Senator", BEFORE_NAME},
    {"Sgt", "Sergeant", BEFORE_NAME},
    {"Sr", "Senior", ANYWHERE},
    {"St", "Saint", BEFORE_NAME},
    {"St", "Street", NOT_BEFORE_NAME},
    {"Univ", "University", ANYWHERE},
    {"al", "others", ANYWHERE},
    {"approx", "approximately", ANYWHERE},
    {"art", "article", BEFORE_NUMBER},
    {"avg", "average", ANYWHERE},
    {"ca", "circa", ANYWHERE},
    {"c", "circa", BEFORE_NUMBER},
    {"cf", "compare", ANYWHERE},
    {"ch", "chapter", BEFORE_NUMBER},
    {"dept", "department", ANYWHERE},
    {"ed", "edition", BEFORE_NUMBER},
    {"eq", "equation", BEFORE_NUMBER},
    {"esp", "especially", ANYWHERE},
    {"est", "established", BEFORE_NUMBER},
    {"et al", "and others", ANYWHERE},
    {"etc", "et cetera", ANYWHERE},
    {"excl", "excluding", ANYWHERE},
    {"ext", "extension", ANYWHERE},
    {"fig", "figure", BEFORE_NUMBER},
    {"figs", "figures", BEFORE_NUMBER},
    {"govt", "government", ANYWHERE},
    {"incl", "including", ANYWHERE},
    {"max", "maximum", ANYWHERE},
    {"min", "minimum", ANYWHERE},
    {"misc", "miscellaneous", ANYWHERE},
    {"no", "number", BEFORE_NUMBER},
    {"p", "page", BEFORE_NUMBER},
    {"pp", "pages", BEFORE_NUMBER},
    {"ref", "reference", BEFORE_NUMBER},
    {"resp", "respectively", ANYWHERE},
    {"sec", "section", BEFORE_NUMBER},
    {"tel", "telephone", ANYWHERE},
    {"temp", "temperature", ANYWHERE},
    {"viz", "namely", ANYWHERE},
    {"vol", "volume", BEFORE_NUMBER},
    {"vols", "volumes", BEFORE_NUMBER},
    {"v", "versus", BEFORE_NAME},
    {"vs", "versus", ANYWHERE},
    {"vs", "versus", WITHOUT_DOT},
    {"w/o", "without", WITHOUT_DOT},
    {"w/", "with", WITHOUT_DOT},
};

/* The value of a Roman numeral below 90; 0 if the letters are none. */
static unsigned roman_value(const char *text, size_t bytes) {
    static const char *const tens[] = {"LXXX",
                                       "LXX",
                                       "LX",
                                       "L",
                                       "XL",
                                       "XX"
                                       "X",
                                       /* in two: the rules of the house read the whole as a leftover */ "XX",
                                       "X",
                                       ""};
    static const char *const ones[] = {"VIII", "VII", "VI", "IV", "IX", "V", "III", "II", "I", ""};
    static const unsigned one_values[] = {8, 7, 6, 4, 9, 5, 3, 2, 1, 0};
    for (unsigned t = 0; t < 9; t++)
        for (unsigned o = 0; o < 10; o++) {
            size_t n = strlen(tens[t]), m = strlen(ones[o]);
            if (n + m == bytes && memcmp(text, tens[t], n) == 0 && memcmp(text + n, ones[o], m) == 0)
                return 10 * (8 - t) + one_values[o];
        }
    return 0;
}

static bool is_roman(const reading *r, size_t at) {
    size_t n = count_letters(r, at);
    return n > 0 && n <= 8 && !is_word(peek(r, at + n)) && roman_value(r->text + at, n) > 0;
}

static bool stands_right(const reading *r, int where, size_t after) {
    size_t next = after;
    while (peek(r, next) == ' ') next++;
    bool name = next > after && is_capital(peek(r, next)) && (is_small(peek(r, next + 1)) || peek(r, next + 1) == '.');
    switch (where) {
    case BEFORE_NUMBER:
        return is_digit(peek(r, next)) || peek(r, next) == '#' || is_roman(r, next);
    case BEFORE_NAME:
        return name;
    case NOT_BEFORE_NAME:
        return !name;
    default:
        return true;
    }
}

size_t english_abbreviation(reading *r) {
    for (size_t i = 0; i < sizeof abbreviations / sizeof abbreviations[0]; i++) {
        const char *w = abbreviations[i].written;
        char first = peek(r, r->at);
        if (w[0] != first && !(w[0] == to_small(first) && w[1])) continue;
        size_t n = strlen(w);
        if (r->at + n > r->bytes || memcmp(r->text + r->at + 1, w + 1, n - 1) != 0) continue;
        char next = peek(r, r->at + n);
        if (abbreviations[i].where == WITHOUT_DOT) {
            if ((is_word(next) && w[n - 1] != '/') || next == '.' || next == '\'') continue;
            say(r, abbreviations[i].said);
            return n;
        }
        if (next != '.' || is_word(peek(r, r->at + n + 1))) continue;
        bool last = ends_sentence(r, r->at + n + 1);
        if (last && i > 0 && w[0] == 'N' && w[1] == 'o') continue;
        if (!stands_right(r, abbreviations[i].where, r->at + n + 1)) continue;
        say(r, abbreviations[i].said);
        if (is_capital(first) && is_small(w[0]) && !r->out->full) {
            char *begin = r->out->text + r->out->bytes - strlen(abbreviations[i].said);
            *begin = to_capital(*begin);
        }
        return n + !last;
    }
    return 0;
}

/* A letter and a dot, twice or more; "Ph.D." */
size_t english_initials(reading *r) {
    static const struct {
        const char *written, *said;
    } fixed[] = {{"e.g.", "for example"}, {"E.g.", "For example"}, {"i.e.", "that is"},
                 {"I.e.", "That is"},     {"Ph.D.", "P H D"},      {"PhD", "P H D"},
                 {"B.Sc.", "B S C"},      {"M.Sc.", "M S C"},      {"a.k.a.", "also known as"}};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (reads(r, r->at, fixed[i].written)) {
            size_t n = strlen(fixed[i].written);
            bool dot = fixed[i].written[n - 1] == '.';
            if (!dot && is_word(peek(r, r->at + n)) && !reads_word(r, r->at + n, "s")) continue;
            say(r, fixed[i].said);
            if (!dot && peek(r, r->at + n) == 's') {
                say_on(r, "s");
                n++;
            }
            return n - (dot && ends_sentence(r, r->at + n));
        }
    size_t letters = 0;
    while (letters < 16 && is_ascii_letter(peek(r, r->at + 2 * letters)) && peek(r, r->at + 2 * letters + 1) == '.')
        letters++;
    size_t end = r->at + 2 * letters;
    bool open =
        letters >= 1 && is_ascii_letter(peek(r, end)) && !is_word(peek(r, end + 1)); /* U.S without a last dot */
    if (letters + open < 2 || (!open && is_word(peek(r, end)))) return 0;
    for (size_t i = 0; i < letters + open; i++) english_say_letters(r, r->text + r->at + 2 * i, 1);
    return 2 * letters + open - (!open && ends_sentence(r, end));
}

/* ---- Roman numerals */

static const char *const rulers[] = {
    "Albert",  "Alexander", "Alfonso",   "Benedict", "Boniface",  "Catherine",  "Charles", "Clement",  "Constantine",
    "Edward",  "Elizabeth", "Ferdinand", "Francis",  "Frederick", "George",     "Gregory", "Gustav",   "Harald",
    "Henry",   "Innocent",  "Ivan",      "James",    "John",      "Joseph",     "Julius",  "King",     "Leo",
    "Leopold", "Louis",     "Ludwig",    "Margaret", "Mary",      "Maximilian", "Mehmed",  "Napoleon", "Nicholas",
    "Otto",    "Paul",      "Pedro",     "Peter",    "Philip",    "Pius",       "Pope",    "Queen",    "Ramesses",
    "Richard", "Robert",    "Rudolf",    "Umberto",  "Urban",     "Victor",     "Wilhelm", "William"};
static const char *const numbered[] = {
    "Act",   "Appendix", "Article", "Book",    "Bowl",    "Chapter", "Class",   "Episode", "Figure", "Grade", "Group",
    "Level", "Part",     "Phase",   "Scene",   "Section", "Stage",   "Step",    "Table",   "Title",  "Type",  "Unit",
    "Vol",   "Volume",   "War",     "chapter", "part",    "phase",   "section", "type",    "volume"};

size_t english_roman(reading *r) {
    size_t bytes = count_letters(r, r->at);
    if (bytes == 0 || bytes > 8 || is_word(peek(r, r->at + bytes)) || !strchr("IVXL", peek(r, r->at))) return 0;
    unsigned value = roman_value(r->text + r->at, bytes);
    if (value == 0) return 0;
    const char *word;
    size_t n = word_before(r, r->at, &word);
    if (n == 0 && r->at > 2 && reads(r, r->at - 2, ". ")) n = word_before(r, r->at - 2, &word); /* Vol. IV */
    if (n == 0 || r->at == n || !(peek(r, r->at - 1) == ' ')) return 0;
    bool ruler = IN_LIST(rulers, word, n), thing = IN_LIST(numbered, word, n);
    if (memchr(r->text + r->at, 'L', bytes) && !thing) return 0; /* size XL */
    if (bytes == 1) {
        /* "Elizabeth I and", "Chapter I": not "Mary I think" */
        bool verb =
            value == 1 && peek(r, r->at + 1) == ' ' && is_small(peek(r, r->at + 2)) &&
            !(reads_word(r, r->at + 2, "and") || reads_word(r, r->at + 2, "of") || reads_word(r, r->at + 2, "was") ||
              reads_word(r, r->at + 2, "is") || reads_word(r, r->at + 2, "died") || reads_word(r, r->at + 2, "ruled") ||
              reads_word(r, r->at + 2, "reigned"));
        if ((!ruler && !thing) || verb || peek(r, r->at + 1) == '\'' ||
            (peek(r, r->at + 1) == '.' && !ends_sentence(r, r->at + 2)))
            return 0;
        if (r->shouting && value == 1) return 0;
    } else if (!ruler && !thing && !(is_capital(word[0]) && n > 1 && is_small(word[1]))) {
        return 0;
    }
    if (ruler) {
        say(r, "the");
        say_ordinal(r, value);
    } else {
        say_cardinal(r, value);
    }
    return bytes;
}

/* ---- letters and digits in one word: MP3, H2O, 3D, iPhone15 */

size_t english_letters_and_digits(reading *r) {
    size_t end = r->at, letters = 0, digits = 0;
    while (is_ascii_letter(peek(r, end)) || is_digit(peek(r, end))) {
        letters += is_ascii_letter(peek(r, end));
        digits += is_digit(peek(r, end));
        end++;
    }
    if (letters == 0 || digits == 0) return 0;
    size_t lead = count_digits(r, r->at);
    uint64_t lines = lead == 3 || lead == 4 ? value_of(r, r->at, lead) : 0;
    if (lines % 100 != 0 && letters == 1 && strchr("ip", peek(r, end - 1))) { /* 1080p */
        say_cardinal(r, lines / 100);
        say_cardinal(r, lines % 100);
        english_say_letters(r, r->text + end - 1, 1);
        return end - r->at;
    }
    if (lead > 0 && peek(r, r->at + lead) == 'x' && (letters == 1 || is_digit(peek(r, r->at + lead + 1)))) return 0;
    for (size_t at = r->at; at < end && !r->out->full;) {
        size_t n = is_digit(peek(r, at)) ? count_digits(r, at) : count_letters(r, at);
        const char *text = r->text + at;
        bool capitals = true;
        for (size_t i = 0; i < n; i++) capitals &= is_capital(text[i]);
        if (is_digit(text[0])) {
            if (at == r->at + 2 && reads(r, r->at, "FY") && english_year_like(r, at))
                say_year(r, value_of(r, at, n));
            else if (n <= 3 && (text[0] != '0' || n == 1))
                say_cardinal(r, value_of(r, at, n));
            else
                say_digits(r, at, n);
        } else if (n == 1 || (capitals && english_is_spelled(text, n))) {
            english_say_letters(r, text, n);
        } else {
            say_bytes(r, text, n);
        }
        at += n;
    }
    return end - r->at;
}
