/* english_capitals.c — English words in capitals: acronyms said letter by letter or as a word, and words that only
 * shout.
 *
 * In a sentence of capitals a word is an ordinary one unless the lists say otherwise or nobody could pronounce it. In
 * any other sentence short words are acronyms, except the commonest words of the language, and longer ones are words if
 * they can be pronounced: their consonants begin and end as English words do. */
#include <string.h>

#include "host/text/english.h"

/* Words of two and three letters that people stress by capitals. */
static const char *const common[] = {
    "AHA", "ALL", "AN",  "AND", "ANY", "ARE", "AS",  "ASK", "AT",  "ATE", "AW",  "BAD", "BAG",  "BE",  "BED", "BIG",
    "BIT", "BOO", "BOX", "BOY", "BUS", "BUT", "BUY", "BY",  "BYE", "CAN", "CAR", "CAT", "CUT",  "DAD", "DAY", "DID",
    "DIE", "DO",  "DOG", "DRY", "DUE", "EAR", "EAT", "EGG", "EH",  "END", "EYE", "FAR", "FAT",  "FEW", "FIX", "FLY",
    "FOR", "FUN", "GET", "GO",  "GOD", "GOT", "GUN", "GUY", "HA",  "HAD", "HAS", "HAT", "HE",   "HER", "HEY", "HI",
    "HIM", "HIS", "HIT", "HMM", "HOT", "HOW", "HUH", "ICE", "IF",  "ILL", "IN",  "IS",  "JOB",  "JOY", "KEY", "KID",
    "LAW", "LAY", "LEG", "LET", "LIE", "LOT", "LOW", "MAD", "MAN", "MAY", "ME",  "MEN", "MOM",  "MY",  "NAH", "NEW",
    "NO",  "NOR", "NOT", "NOW", "ODD", "OF",  "OFF", "OH",  "OIL", "OLD", "ON",  "ONE", "OOPS", "OR",  "OUR", "OUT",
    "OWN", "PAY", "PUT", "RAN", "RED", "RUN", "SAD", "SAT", "SAW", "SAY", "SEA", "SEE", "SET",  "SHE", "SIT", "SIX",
    "SKY", "SO",  "SON", "SUN", "TAX", "TEA", "TEN", "THE", "TO",  "TOO", "TOP", "TRY", "TWO",  "UGH", "UM",  "UP",
    "USE", "WAR", "WAS", "WAY", "WE",  "WET", "WHO", "WHY", "WIN", "WON", "WOW", "YAY", "YEP",  "YES", "YET", "YOU",
};
/* Said letter by letter though they could be pronounced, or though the sentence is in capitals. */
static const char *const spelled[] = {
    "AAA",  "ABC", "ACLU",  "AD",   "ADHD", "AFAIK", "AI",    "AKA",  "ALU",  "AP",  "API", "APR",  "ASAP", "ATM",
    "ATV",  "BA",  "BBC",   "BC",   "BCE",  "CAD",   "CBS",   "CCTV", "CD",   "CE",  "CEO", "CFO",  "CIA",  "CIO",
    "CNN",  "CPR", "CPU",   "CSS",  "CSV",  "CT",    "CTO",   "CV",   "DC",   "DHL", "DIY", "DJ",   "DNA",  "DNS",
    "DOJ",  "DUI", "DVD",   "EEG",  "EFL",  "EKG",   "ER",    "ESA",  "ESL",  "ESP", "ETA", "EU",   "FAQ",  "FBI",
    "FDA",  "FM",  "FTP",   "FYI",  "GDP",  "GMO",   "GMT",   "GOP",  "GPA",  "GPS", "GPU", "GUI",  "HBO",  "HDMI",
    "HIV",  "HP",  "HQ",    "HR",   "HTML", "HTTP",  "HTTPS", "IBM",  "ICU",  "ID",  "IDE", "IEEE", "IMF",  "IMO",
    "INS",  "IOC", "IOU",   "IP",   "IPO",  "IQ",    "IRA",   "IRS",  "ISBN", "ISO", "ISP", "IT",   "ITV",  "IV",
    "IVF",  "JFK", "KGB",   "KPI",  "LA",   "LCD",   "LED",   "LLC",  "LLM",  "LP",  "MBA", "MIT",  "MP",   "MRI",
    "MSN",  "MTV", "NAACP", "NBA",  "NBC",  "NFL",   "NGO",   "NHL",  "NHS",  "NPR", "NSA", "NYC",  "NYPD", "OCD",
    "OECD", "OS",  "PA",    "PC",   "PDF",  "PGA",   "PHD",   "PM",   "PR",   "PS",  "PTA", "PTSD", "PVC",  "QA",
    "RAF",  "REM", "RIP",   "RNA",  "RSVP", "RV",    "SMS",   "SOS",  "SQL",  "SSD", "SSN", "STD",  "SUV",  "TBA",
    "TBD",  "TV",  "UAE",   "UCLA", "UFC",  "UFO",   "UI",    "UK",   "UN",   "UPS", "URI", "URL",  "US",   "USA",
    "USAF", "USB", "USC",   "USDA", "USSR", "UTC",   "UV",    "UX",   "VAT",  "VCR", "VIP", "VPN",  "WC",   "WTO",
    "WWF",  "XML", "YMCA",  "YWCA",
};
static const struct {
    const char *written, *said;
} words[] = {
    {"AIDS", "Aids"},       {"ASCII", "askey"},       {"ASEAN", "Asean"},      {"BAFTA", "Bafta"},   {"BIOS", "bios"},
    {"CAPTCHA", "captcha"}, {"CERN", "Cern"},         {"COVID", "Covid"},      {"DARPA", "Darpa"},   {"DOS", "doss"},
    {"DR", "Doctor"},       {"EBITDA", "ebitda"},     {"ETC", "et cetera"},    {"EULA", "yoola"},    {"FAANG", "fang"},
    {"FEMA", "Fema"},       {"FIFA", "Fifa"},         {"GIF", "gif"},          {"GUI", "gooey"},     {"HIPAA", "hippa"},
    {"IKEA", "Ikea"},       {"INTERPOL", "Interpol"}, {"JPEG", "jay peg"},     {"JSON", "Jason"},    {"LAN", "lan"},
    {"LASER", "laser"},     {"LEGO", "Lego"},         {"LOL", "lol"},          {"MERS", "Mers"},     {"MIDI", "midi"},
    {"MOMA", "Moma"},       {"MR", "Mister"},         {"MRS", "Missus"},       {"NAFTA", "Nafta"},   {"NAS", "nass"},
    {"NASA", "Nasa"},       {"NASCAR", "Nascar"},     {"NASDAQ", "Nasdaq"},    {"NATO", "Nato"},     {"NIMBY", "nimby"},
    {"OK", "okay"},         {"OPEC", "Opec"},         {"OSHA", "Osha"},        {"PAC", "pack"},      {"PETA", "Peta"},
    {"PIN", "pin"},         {"POTUS", "potus"},       {"RADAR", "radar"},      {"RAM", "ram"},       {"ROM", "rom"},
    {"SAP", "S A P"},       {"SARS", "Sars"},         {"SAT", "S A T"},        {"SCOTUS", "scotus"}, {"SCUBA", "scuba"},
    {"SIM", "sim"},         {"SONAR", "sonar"},       {"SPAM", "spam"},        {"SWAT", "Swat"},     {"TED", "Ted"},
    {"TOEFL", "toefl"},     {"UEFA", "Uefa"},         {"UNESCO", "Unesco"},    {"UNICEF", "Unicef"}, {"VS", "versus"},
    {"WAN", "wan"},         {"WIMAX", "wimax"},       {"WYSIWYG", "wizzywig"}, {"YOLO", "yolo"},     {"ZIP", "zip"},
};
static const char *const beginnings[] = {
    "BL",  "BR",  "CH",  "CL", "CR",  "DR", "DW",  "FL",  "FR", "GL",  "GN", "GR", "KN", "KR", "PH",
    "PL",  "PR",  "PS",  "QU", "RH",  "SC", "SCH", "SCR", "SH", "SHR", "SK", "SL", "SM", "SN", "SP",
    "SPH", "SPL", "SPR", "SQ", "SQU", "ST", "STR", "SW",  "TH", "THR", "TR", "TW", "WH", "WR",
};
static const char *const ends[] = {
    "BS",   "BT",  "CH",  "CK",  "CKS",  "CS",   "CT",  "CTS", "DGE", "DS",   "DTH",   "FF",  "FFS", "FT",
    "FTH",  "FTS", "GGS", "GH",  "GHT",  "GHTS", "GN",  "GS",  "KS",  "LD",   "LDS",   "LF",  "LK",  "LKS",
    "LL",   "LLS", "LM",  "LMS", "LP",   "LPS",  "LS",  "LT",  "LTH", "LTS",  "LVES",  "MB",  "MBS", "MP",
    "MPS",  "MPT", "MS",  "NC",  "NCH",  "ND",   "NDS", "NG",  "NGS", "NGTH", "NGTHS", "NK",  "NKS", "NN",
    "NS",   "NSE", "NT",  "NTH", "NTHS", "NTS",  "PH",  "PHS", "PS",  "PT",   "PTH",   "PTS", "RB",  "RBS",
    "RCH",  "RD",  "RDS", "RF",  "RG",   "RGS",  "RK",  "RKS", "RL",  "RLD",  "RLDS",  "RLS", "RM",  "RMS",
    "RMTH", "RN",  "RNS", "RP",  "RPS",  "RR",   "RS",  "RSH", "RST", "RT",   "RTH",   "RTS", "RVE", "SC",
    "SH",   "SK",  "SKS", "SM",  "SMS",  "SP",   "SS",  "ST",  "STS", "TCH",  "TH",    "THS", "TS",  "TT",
    "WD",   "WDS", "WK",  "WKS", "WL",   "WLS",  "WN",  "WNS", "WS",  "WTH",  "XT",    "XTH", "XTS", "ZZ"};

static bool is_vowel(char c) {
    return c && strchr("AEIOUY", c);
}

bool english_is_pronounceable(const char *word, size_t bytes) {
    size_t first = 0, last = bytes, run = 0;
    while (first < bytes && !is_vowel(word[first])) first++;
    if (first == bytes) return false;
    while (!is_vowel(word[last - 1])) last--;
    for (size_t i = first; i < last; i++) {
        run = is_vowel(word[i]) ? 0 : run + 1;
        if (run > 4) return false;
    }
    if (bytes > 1 && word[0] == 'Q' && word[1] == 'U' && first == 1) first = 0;
    return (first <= 1 || IN_LIST(beginnings, word, first)) &&
           (bytes - last <= 1 || IN_LIST(ends, word + last, bytes - last));
}

/* The word said for an acronym; NULL if it is none of those. */
static const char *find_word(const char *word, size_t bytes) {
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (words[i].written[0] == word[0] && strlen(words[i].written) == bytes &&
            memcmp(words[i].written, word, bytes) == 0)
            return words[i].said;
    return NULL;
}

bool english_is_spelled(const char *word, size_t bytes) {
    if (find_word(word, bytes)) return false;
    if (IN_LIST(spelled, word, bytes)) return true;
    if (bytes <= 3) return !IN_LIST(common, word, bytes);
    return !english_is_pronounceable(word, bytes);
}

void english_say_letters(reading *r, const char *letters, size_t bytes) {
    for (size_t i = 0; i < bytes && !r->out->full; i++) {
        char letter = to_capital(letters[i]);
        say_bytes(r, &letter, 1);
    }
}

/* DR. SMITH: the dot goes with it. */
static bool takes_dot(const char *word, size_t bytes) {
    static const char *const dotted[] = {"DR", "ETC", "MR", "MRS", "VS"};
    return IN_LIST(dotted, word, bytes);
}

static size_t count_capitals(const reading *r, size_t at) {
    size_t n = 0;
    while (is_capital(peek(r, at + n))) n++;
    return n;
}

/* A word in capitals that is surely no acronym. */
static bool is_ordinary(const reading *r, size_t at, size_t bytes) {
    const char *word = r->text + at;
    if (is_small(peek(r, at + bytes)) || bytes < 2) return false;
    return IN_LIST(common, word, bytes) || (bytes >= 4 && !find_word(word, bytes) && !english_is_spelled(word, bytes));
}

/* Whether a word beside this one shouts, so that this one does too. */
static bool neighbours_shout(const reading *r, size_t at, size_t bytes) {
    const char *word;
    size_t n = word_before(r, at, &word);
    if (n > 0 && at > n && is_ordinary(r, (size_t)(word - r->text), n) && is_capital(word[n - 1])) {
        bool all = true;
        for (size_t i = 0; i < n; i++) all &= is_capital(word[i]);
        if (all) return true;
    }
    size_t next = at + bytes + 1;
    return peek(r, next - 1) == ' ' && is_ordinary(r, next, count_capitals(r, next));
}

static bool begins_sentence(const reading *r) {
    for (size_t i = r->start; i < r->out->bytes; i++)
        if (is_word(r->out->text[i]) && !(r->out->text[i] & 0x80)) return false;
    return true;
}

static void say_small(reading *r, size_t at, size_t bytes, bool capital) {
    char part[64];
    for (size_t done = 0; done < bytes && !r->out->full;) {
        size_t n = bytes - done < sizeof part ? bytes - done : sizeof part;
        for (size_t i = 0; i < n; i++) part[i] = to_small(r->text[at + done + i]);
        if (done == 0 && capital) part[0] = to_capital(part[0]);
        if (done == 0)
            say_bytes(r, part, n);
        else
            text_put(r->out, part, n);
        done += n;
    }
}

/* DON'T, I'LL, THEY'RE: bytes from the apostrophe on, 0 for anything else. 'S is a suffix of acronyms too. */
static size_t contraction(const reading *r, size_t at, bool *possessive) {
    static const char *const ends_of[] = {"T", "RE", "LL", "VE", "M", "D", "S", "CLOCK"};
    size_t mark = peek(r, at) == '\'' ? 1 : reads(r, at, "\xe2\x80\x99") ? 3 : 0;
    *possessive = false;
    for (size_t i = 0; mark > 0 && i < sizeof ends_of / sizeof ends_of[0]; i++)
        if (reads_word(r, at + mark, ends_of[i])) {
            *possessive = i == 6;
            return mark + strlen(ends_of[i]);
        }
    return 0;
}

static size_t say_suffix(reading *r, size_t at, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        char c = to_small(r->text[at + i]);
        text_put(r->out, &c, 1);
    }
    return bytes;
}

size_t english_capitals(reading *r) {
    size_t at = r->at, bytes = count_capitals(r, at);
    const char *word = r->text + at;
    bool possessive;
    size_t suffix = contraction(r, at + bytes, &possessive);
    bool first = begins_sentence(r);
    if (bytes == 1 && suffix == 0) {
        bool article = word[0] == 'A' && r->shouting && !first && peek(r, at + 1) == ' ' && is_capital(peek(r, at + 2));
        if (!article) return 0;
        say(r, "a");
        return 1;
    }
    bool plural = peek(r, at + bytes) == 's' && !is_word(peek(r, at + bytes + 1));
    if (is_word(peek(r, at + bytes)) && !plural && suffix == 0) return 0;
    if (suffix > 0 && !possessive) { /* I'M keeps its capital */
        say_small(r, at, bytes, first || bytes == 1);
        return bytes + say_suffix(r, at + bytes, suffix);
    }
    if (bytes <= 3 && (peek(r, at + bytes) == '&' || before(r) == '&')) { /* AT&T */
        english_say_letters(r, word, bytes);
        return bytes;
    }
    const char *said = find_word(word, bytes);
    bool shouts = (r->shouting || neighbours_shout(r, at, bytes)) && !plural;
    bool letters = shouts ? (IN_LIST(spelled, word, bytes) && bytes > 2 && !IN_LIST(common, word, bytes)) ||
                                !english_is_pronounceable(word, bytes)
                          : english_is_spelled(word, bytes);
    if (said && !(shouts && IN_LIST(common, word, bytes))) {
        say(r, said);
        if (first && !r->out->full && is_small(r->out->text[r->out->bytes - strlen(said)])) {
            char *begin = r->out->text + r->out->bytes - strlen(said);
            *begin = to_capital(*begin);
        }
    } else if (letters) {
        english_say_letters(r, word, bytes);
    } else {
        say_small(r, at, bytes, first);
    }
    bool abbreviation =
        said && peek(r, at + bytes) == '.' && !ends_sentence(r, at + bytes + 1) && takes_dot(word, bytes);
    if (plural) say_on(r, "s");
    return bytes + plural + abbreviation + say_suffix(r, at + bytes, suffix);
}
