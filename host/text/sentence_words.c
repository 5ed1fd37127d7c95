/* sentence_words.c — the lists, in small letters, each word between two spaces. */
#include "host/text/sentence_words.h"

#include <string.h>

#define MAX_WORD 12

typedef struct {
    word_kind kind;
    enum { ANY, CAPITAL, SMALL } first; /* how the word begins: "Sat." is a day, "sat." is not */
    const char *words;
} word_list;

static const word_list lists[] = {
    {WORD_NEVER, ANY,
     " mr mrs ms dr prof messrs mme mlle mx rev sr sra srta dra v vs cf viz approx incl excl ca bzw vgl bsp nr "
     "resp aka esp misc e.g i.e z.b d.h u.a p.ex c.f v.s a.k.a "},
    {WORD_NEVER, CAPITAL,
     " gen col capt lt sgt maj cmdr adm brig cpl pvt gov sen rep pres hon supt insp det amb msgr fr hr "},
    {WORD_ANSWER, ANY, " no nos art eq eqs ex par para pt pts ver vers tel ext op "},
    {WORD_NUMBER, ANY, " c p pp vol vols fig figs sec sect ch chap pág núm abb abs kap "},
    {WORD_STARTER, CAPITAL,
     " sat sun mon tue tues wed thu thur thurs fri jan feb mar apr jun jul aug sep sept oct nov dec ft bc ad "},
    {WORD_UNIT, ANY, " in ft yd mi oz lb lbs qt gal hr hrs min mins secs mph km cm mm kg m "},
    {WORD_STARTER, SMALL, " est "},
    {WORD_STARTER, ANY,
     " st mt ave blvd rd hwy pl sq apt dept univ assn assoc bros inc ltd co corp jr al ed eds trans repr orig min "
     "max temp avg govt intl natl phd d.c u.s u.k "},
    {WORD_CAPITAL, ANY, " etc usw etcétera "},
    {WORD_TIME, ANY, " a.m p.m am pm "},
};

static const char starters[] =
    " The This That These Those It Its He She We They You His Her Our Their My Your A I "
    "I'm I've I'd I'll It's He's She's We're They're That's There's You're Don't Can't Let's "
    "There Here Then But And Or So Yet If When While Where After Before Because Since Although Though Despite However "
    "In On At By For From With Without As To Of Over During Among Between "
    "What Why How Which Whose Is Are Was Were Do Does Did Has Have Had Can Could Would Should Might Must "
    "Not No Yes Now Today Tomorrow Yesterday Tonight Meanwhile Moreover Furthermore Also Another All Some Many Most "
    "Each Every Both Several Few Much Other Others One Two Once Until Unless Even Only Just Perhaps Maybe Please "
    "Thus Therefore Hence Instead Nevertheless Nobody Nothing Everyone Everything Someone Something Later Soon "
    "Still Suddenly Finally Such Any Anyone Let Thank Thanks Well ";

static const char after_time[] =
    " Monday Tuesday Wednesday Thursday Friday Saturday Sunday Mon Tue Tues Wed Thu Thur Thurs Fri Sat Sun "
    "January February March April May June July August September October November December "
    "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec "
    "EST EDT ET CST CDT CT MST MDT MT PST PDT PT GMT UTC BST CET CEST EET IST JST AEST "
    "Eastern Central Mountain Pacific Greenwich ";

static const char after_ordinal[] =
    " Januar Jänner Februar März April Mai Juni Juli August September Oktober November Dezember Jahrhundert "
    "Jahrhunderts "
    "Jahrestag Geburtstag Weltkrieg Klasse Stock Platz Mal Etage Kapitel Auflage Lebensjahr Spieltag Bundesliga ";

/* Stands the word, between spaces, in the list? */
static bool listed(const char *list, const char *word, size_t bytes) {
    if (bytes == 0 || memchr(word, ' ', bytes)) return false;
    for (const char *at = list; *at;) {
        size_t n = strcspn(at + 1, " "); /* at is on a space */
        if (n == bytes && memcmp(at + 1, word, n) == 0) return true;
        at += 1 + n;
        if (at[0] == ' ' && at[1] == '\0') break;
    }
    return false;
}

word_kind sentence_abbreviation(const char *word, size_t bytes) {
    char small[MAX_WORD];
    if (bytes == 0 || bytes > sizeof(small)) return WORD_PLAIN;
    bool capital = word[0] >= 'A' && word[0] <= 'Z';
    for (size_t i = 0; i < bytes; i++) small[i] = (char)(word[i] | (word[i] >= 'A' && word[i] <= 'Z' ? 0x20 : 0));
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if (lists[i].first != (capital ? SMALL : CAPITAL) && listed(lists[i].words, small, bytes)) return lists[i].kind;
    return WORD_PLAIN;
}

bool sentence_starter(const char *word, size_t bytes) {
    return listed(starters, word, bytes);
}

bool sentence_follows_time(const char *word, size_t bytes) {
    return listed(after_time, word, bytes);
}

bool sentence_follows_ordinal(const char *word, size_t bytes) {
    return listed(after_ordinal, word, bytes);
}
