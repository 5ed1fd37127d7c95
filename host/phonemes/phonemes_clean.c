/* phonemes_clean.c — the cleaners before phonemizer: to ASCII, to small letters, abbreviations spelled out. */
#include <stdbool.h>
#include <string.h>

#include "host/phonemes/phonemes.h"
#include "weights/utf8.h"

/* U+00C0 .. U+017F without their accents, each followed by a space. */
static const char latin[] =
    "a a a a a a ae c e e e e i i i i d n o o o o o x o u u u u y th ss a a a a a a ae c e e e e i i i i d n o o o o o "
    "/ o u u u u y th y a a a a a a c c c c c c c c d d d d e e e e e e e e e e g g g g g g g g h h h h i i i i i i i "
    "i i i ij ij j j k k k l l l l l l l l l l n n n n n n 'n ng ng o o o o o o oe oe r r r r r r s s s s s s s s t t "
    "t t t t u u u u u u u u u u u u w w y y y z z z z z z s ";

typedef struct {
    uint32_t code;
    const char *ascii;
} character;

static const character others[] = {
    {0xA1, "!"},    {0xA3, "ps"},   {0xA9, "(c)"},  {0xAB, "<<"},    {0xAD, ""},      {0xAE, "(r)"},  {0xB0, "deg"},
    {0xB1, "+-"},   {0xB2, "2"},    {0xB3, "3"},    {0xB4, "'"},     {0xB7, "*"},     {0xB9, "1"},    {0xBB, ">>"},
    {0xBC, " 1/4"}, {0xBD, " 1/2"}, {0xBE, " 3/4"}, {0xBF, "?"},     {0x2010, "-"},   {0x2011, "-"},  {0x2012, "-"},
    {0x2013, "-"},  {0x2014, "--"}, {0x2015, "--"}, {0x2018, "'"},   {0x2019, "'"},   {0x201A, ","},  {0x201B, "'"},
    {0x201C, "\""}, {0x201D, "\""}, {0x201E, ",,"}, {0x2022, "*"},   {0x2026, "..."}, {0x2030, "%0"}, {0x2032, "'"},
    {0x2033, "''"}, {0x2039, "<"},  {0x203A, ">"},  {0x20AC, "eur"}, {0x2122, "(tm)"}};

/* What the cleaners read as whole words: short forms before a full stop, and what takes their place. In this order. */
static const struct {
    const char *abbreviation, *word;
} abbreviations[] = {{"mrs", "misess"},   {"mr", "mister"},    {"dr", "doctor"},     {"st", "saint"},
                     {"co", "company"},   {"jr", "junior"},    {"maj", "major"},     {"gen", "general"},
                     {"drs", "doctors"},  {"rev", "reverend"}, {"lt", "lieutenant"}, {"hon", "honorable"},
                     {"sgt", "sergeant"}, {"capt", "captain"}, {"esq", "esquire"},   {"ltd", "limited"},
                     {"col", "colonel"},  {"ft", "fort"}};
enum { ABBREVIATIONS = sizeof abbreviations / sizeof *abbreviations };

/* ASCII for a character beyond it; NULL: none. *length receives its bytes. */
static const char *ascii_of(uint32_t code, size_t *length) {
    if (code >= 0xC0 && code <= 0x17F) {
        const char *at = latin;
        for (uint32_t i = 0xC0; i < code; i++) at = strchr(at, ' ') + 1;
        *length = (size_t)(strchr(at, ' ') - at);
        return at;
    }
    const bool space = code == 0xA0 || (code >= 0x2000 && code <= 0x200B) || code == 0x202F;
    if (space || (code >= 0x200C && code <= 0x200F)) {
        *length = space;
        return " ";
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i].code == code) {
            *length = strlen(others[i].ascii);
            return others[i].ascii;
        }
    return NULL;
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* What text [n] ends in, where that is an abbreviation: its word takes its place. Returns the bytes; unchanged: none.
 */
static size_t spell_out(char *text, size_t n) {
    size_t start = n;
    while (start > 0 && is_word(text[start - 1])) start--;
    for (int i = 0; i < ABBREVIATIONS; i++) {
        const char *word = abbreviations[i].word;
        if (strlen(abbreviations[i].abbreviation) != n - start) continue;
        if (memcmp(text + start, abbreviations[i].abbreviation, n - start) != 0) continue;
        memcpy(text + start, word, strlen(word));
        return start + strlen(word);
    }
    return n;
}

size_t phonemes_clean(const char *text, size_t bytes, char *out) {
    size_t n = 0;
    for (size_t at = 0, length; at < bytes; at += length) {
        uint32_t code = 0;
        size_t replaced = 1;
        length = utf8_decode(text + at, bytes - at, &code);
        if (length == 0) break;
        if (code < 0x20 || code == 0x7F) code = ' '; /* espeak takes some of them for commands */
        char small = code >= 'A' && code <= 'Z' ? (char)(code | 0x20) : (char)code;
        const char *ascii = code < 0x80 ? &small : ascii_of(code, &replaced);
        if (!ascii) ascii = text + at, replaced = length;
        size_t spelled = code == '.' ? spell_out(out, n) : n;
        if (spelled != n) { /* its full stop is gone too */
            n = spelled;
            continue;
        }
        memcpy(out + n, ascii, replaced);
        n += replaced;
    }
    return n;
}
