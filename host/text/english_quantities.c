/* english_quantities.c — English money, percent and units of measurement: a number and what it counts. */
#include <string.h>

#include "host/text/english.h"

/* ---- units */

enum { ATTACHED = 1 }; /* a unit only where nothing stands between the number and it */

static const struct {
    const char *written, *one, *many;
    int how;
} units[] = {
    {"km/h", "kilometer per hour", "kilometers per hour", 0},
    {"kmh", "kilometer per hour", "kilometers per hour", 0},
    {"kph", "kilometer per hour", "kilometers per hour", 0},
    {"mph", "mile per hour", "miles per hour", 0},
    {"m/s\xc2\xb2", "meter per second squared", "meters per second squared", 0},
    {"m/s", "meter per second", "meters per second", 0},
    {"km\xc2\xb2", "square kilometer", "square kilometers", 0},
    {"m\xc2\xb2", "square meter", "square meters", 0},
    {"cm\xc2\xb2", "square centimeter", "square centimeters", 0},
    {"ft\xc2\xb2", "square foot", "square feet", 0},
    {"m\xc2\xb3", "cubic meter", "cubic meters", 0},
    {"cm\xc2\xb3", "cubic centimeter", "cubic centimeters", 0},
    {"sq ft", "square foot", "square feet", 0},
    {"sq km", "square kilometer", "square kilometers", 0},
    {"sq m", "square meter", "square meters", 0},
    {"km", "kilometer", "kilometers", 0},
    {"cm", "centimeter", "centimeters", 0},
    {"mm", "millimeter", "millimeters", 0},
    {"\xc2\xb5m", "micrometer", "micrometers", 0},
    {"\xce\xbcm", "micrometer", "micrometers", 0},
    {"nm", "nanometer", "nanometers", 0},
    {"m", "meter", "meters", 0},
    {"mi", "mile", "miles", 0},
    {"ft", "foot", "feet", 0},
    {"yd", "yard", "yards", 0},
    {"in", "inch", "inches", ATTACHED},
    {"in.", "inch", "inches", 0},
    {"kg", "kilogram", "kilograms", 0},
    {"mg", "milligram", "milligrams", 0},
    {"\xc2\xb5g", "microgram", "micrograms", 0},
    {"g", "gram", "grams", 0},
    {"lb", "pound", "pounds", 0},
    {"lbs", "pound", "pounds", 0},
    {"oz", "ounce", "ounces", 0},
    {"fl oz", "fluid ounce", "fluid ounces", 0},
    {"ml", "milliliter", "milliliters", 0},
    {"mL", "milliliter", "milliliters", 0},
    {"cl", "centiliter", "centiliters", 0},
    {"l", "liter", "liters", ATTACHED},
    {"L", "liter", "liters", 0},
    {"gal", "gallon", "gallons", 0},
    {"tbsp", "tablespoon", "tablespoons", 0},
    {"tsp", "teaspoon", "teaspoons", 0},
    {"TB", "terabyte", "terabytes", 0},
    {"GB", "gigabyte", "gigabytes", 0},
    {"MB", "megabyte", "megabytes", 0},
    {"kB", "kilobyte", "kilobytes", 0},
    {"KB", "kilobyte", "kilobytes", 0},
    {"GiB", "gibibyte", "gibibytes", 0},
    {"MiB", "mebibyte", "mebibytes", 0},
    {"KiB", "kibibyte", "kibibytes", 0},
    {"Gbps", "gigabit per second", "gigabits per second", 0},
    {"Mbps", "megabit per second", "megabits per second", 0},
    {"kbps", "kilobit per second", "kilobits per second", 0},
    {"MB/s", "megabyte per second", "megabytes per second", 0},
    {"GB/s", "gigabyte per second", "gigabytes per second", 0},
    {"GHz", "gigahertz", "gigahertz", 0},
    {"MHz", "megahertz", "megahertz", 0},
    {"kHz", "kilohertz", "kilohertz", 0},
    {"Hz", "hertz", "hertz", 0},
    {"kWh", "kilowatt hour", "kilowatt hours", 0},
    {"GW", "gigawatt", "gigawatts", 0},
    {"MW", "megawatt", "megawatts", 0},
    {"kW", "kilowatt", "kilowatts", 0},
    {"W", "watt", "watts", 0},
    {"kV", "kilovolt", "kilovolts", 0},
    {"V", "volt", "volts", 0},
    {"mA", "milliamp", "milliamps", 0},
    {"mAh", "milliamp hour", "milliamp hours", 0},
    {"dB", "decibel", "decibels", 0},
    {"Pa", "pascal", "pascals", 0},
    {"hPa", "hectopascal", "hectopascals", 0},
    {"kPa", "kilopascal", "kilopascals", 0},
    {"psi", "P S I", "P S I", 0},
    {"rpm", "R P M", "R P M", 0},
    {"fps", "frames per second", "frames per second", 0},
    {"dpi", "D P I", "D P I", 0},
    {"px", "pixel", "pixels", 0},
    {"kcal", "kilocalorie", "kilocalories", 0},
    {"cal", "calorie", "calories", 0},
    {"kJ", "kilojoule", "kilojoules", 0},
    {"hrs", "hour", "hours", 0},
    {"hr", "hour", "hours", 0},
    {"h", "hour", "hours", 0},
    {"mins", "minute", "minutes", 0},
    {"min", "minute", "minutes", 0},
    {"secs", "second", "seconds", 0},
    {"sec", "second", "seconds", 0},
    {"ms", "millisecond", "milliseconds", 0},
    {"\xc2\xb5s", "microsecond", "microseconds", 0},
    {"ns", "nanosecond", "nanoseconds", 0},
    {"s", "second", "seconds", 0},
    {"yrs", "year", "years", 0},
    {"yr", "year", "years", 0},
    {"ha", "hectare", "hectares", ATTACHED},
    {"\xc2\xb0"
     "C",
     "degree Celsius", "degrees Celsius", 0},
    {"\xc2\xb0"
     "F",
     "degree Fahrenheit", "degrees Fahrenheit", 0},
    {"\xc2\xb0 C", "degree Celsius", "degrees Celsius", 0},
    {"\xc2\xb0 F", "degree Fahrenheit", "degrees Fahrenheit", 0},
    {"\xc2\xba"
     "C",
     "degree Celsius", "degrees Celsius", 0},
    {"\xe2\x84\x83", "degree Celsius", "degrees Celsius", 0},
    {"\xe2\x84\x89", "degree Fahrenheit", "degrees Fahrenheit", 0},
    {"\xc2\xb0", "degree", "degrees", 0},
    {"%", "percent", "percent", 0},
    {"\xe2\x80\xb0", "per mille", "per mille", 0},
    {"\xc2\xa2", "cent", "cents", 0},
    {"\xe2\x80\xb2", "foot", "feet", 0},
    {"\xe2\x80\xb3", "inch", "inches", 0},
};

size_t english_unit(reading *r, size_t at, bool one, bool attached) {
    size_t best = 0, best_bytes = 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        const char *w = units[i].written;
        if (w[0] != peek(r, at)) continue;
        size_t n = strlen(w);
        char next = peek(r, at + n);
        bool letters = is_ascii_letter(w[n - 1]);
        if (n <= best_bytes || !reads(r, at, w) || (letters && (is_ascii_letter(next) || is_digit(next)))) continue;
        if (letters && (next == '\'' || (next == '-' && n == 1) || next == '\xc2')) continue; /* 5 m's; m² */
        if ((units[i].how & ATTACHED) && !attached) continue;
        best = i;
        best_bytes = n;
    }
    if (best_bytes == 0) return 0;
    say(r, one ? units[best].one : units[best].many);
    /* the dot of "5 ft." is the unit's own, unless the sentence ends there */
    size_t end = at + best_bytes;
    if (units[best].written[best_bytes - 1] == '.') return best_bytes - ends_sentence(r, end);
    bool dotted =
        is_ascii_letter(units[best].written[best_bytes - 1]) && peek(r, end) == '.' && !ends_sentence(r, end + 1);
    if (dotted && (is_small(peek(r, end + 2)) || is_digit(peek(r, end + 2)) || strchr(",;:)", peek(r, end + 1))))
        return best_bytes + 1;
    return best_bytes;
}

size_t english_unit_alone(reading *r) {
    if (!(reads_word(r, r->at, "km/h") || reads(r, r->at, "\xc2\xb0") || reads(r, r->at, "\xe2\x84\x83"))) return 0;
    return english_unit(r, r->at, false, true);
}

/* ---- money */

typedef struct {
    const char *written, *code, *one, *many, *cent, *cents;
} currency;

static const currency currencies[] = {
    {"US$", "USD", "U S dollar", "U S dollars", "cent", "cents"},
    {"A$", "AUD", "Australian dollar", "Australian dollars", "cent", "cents"},
    {"C$", "CAD", "Canadian dollar", "Canadian dollars", "cent", "cents"},
    {"NZ$", "NZD", "New Zealand dollar", "New Zealand dollars", "cent", "cents"},
    {"HK$", "HKD", "Hong Kong dollar", "Hong Kong dollars", "cent", "cents"},
    {"$", "", "dollar", "dollars", "cent", "cents"},
    {"\xe2\x82\xac", "EUR", "euro", "euros", "cent", "cents"},
    {"\xc2\xa3", "GBP", "pound", "pounds", "penny", "pence"},
    {"\xc2\xa5", "JPY", "yen", "yen", "sen", "sen"},
    {"CN\xc2\xa5", "CNY", "yuan", "yuan", "fen", "fen"},
    {"\xe2\x82\xb9", "INR", "rupee", "rupees", "paisa", "paise"},
    {"\xe2\x82\xa9", "KRW", "won", "won", "jeon", "jeon"},
    {"\xe2\x82\xbd", "RUB", "ruble", "rubles", "kopek", "kopeks"},
    {"\xe2\x82\xba", "TRY", "lira", "lira", "kurus", "kurus"},
    {"\xe2\x82\xbf", "BTC", "bitcoin", "bitcoins", "", ""},
    {"Fr.", "CHF", "Swiss franc", "Swiss francs", "centime", "centimes"},
};

/* The number at `at` as money; its bytes with what belongs to it. */
static size_t say_amount(reading *r, const currency *c, size_t at) {
    english_number n = english_parse_number(r, at);
    size_t end = at + n.bytes;
    const char *scale = NULL;
    size_t scaled = english_scale(r, end, &scale);
    size_t dash = peek(r, end) == '-' ? 1 : reads(r, end, "\xe2\x80\x93") ? 3 : 0;
    if (dash > 0 && is_digit(peek(r, end + dash)) && scaled == 0) { /* $5-10: the currency comes after the second one */
        english_say_number(r, at, n);
        say(r, "to");
        return end + dash - at + say_amount(r, c, end + dash);
    }
    if (scaled > 0) {
        english_say_number(r, at, n);
        say(r, scale);
        end += scaled;
        bool adjective = english_is_adjective(r, end, true);
        say(r, adjective ? c->one : c->many);
    } else if (n.decimals == 2 && c->cent[0]) {
        uint64_t cents = value_of(r, at + n.bytes - 2, 2);
        if (n.whole > 0 || cents == 0) {
            english_number whole = n;
            whole.decimals = 0;
            english_say_number(r, at, whole);
            say(r, n.whole == 1 ? c->one : c->many);
            if (cents > 0) say(r, "and");
        }
        if (cents > 0) {
            say_cardinal(r, cents);
            say(r, cents == 1 ? c->cent : c->cents);
        }
    } else {
        english_say_number(r, at, n);
        say(r, english_is_one(n) || english_is_adjective(r, end, true) ? c->one : c->many);
    }
    if (peek(r, end) == '+') {
        say(r, "plus");
        end++;
    }
    return end - at;
}

static bool starts_number(const reading *r, size_t at) {
    return is_digit(peek(r, at)) || (peek(r, at) == '.' && is_digit(peek(r, at + 1)));
}

size_t english_money(reading *r) {
    size_t minus = peek(r, r->at) == '-' && !is_word(before(r)) ? 1 : 0;
    for (size_t i = 0; i < sizeof currencies / sizeof currencies[0]; i++) {
        size_t at = r->at + minus, n = strlen(currencies[i].written);
        if (!reads(r, at, currencies[i].written)) continue;
        at += n;
        if (peek(r, at) == '-' && minus == 0 && starts_number(r, at + 1)) at++, minus = 1;
        if (peek(r, at) == ' ' && starts_number(r, at + 1)) at++;
        if (!starts_number(r, at)) continue;
        if (minus) say(r, "minus");
        return at + say_amount(r, &currencies[i], at) - r->at;
    }
    return 0;
}

static const currency *find_code(const reading *r, size_t at) {
    for (size_t i = 0; i < sizeof currencies / sizeof currencies[0]; i++)
        if (currencies[i].code[0] && reads_word(r, at, currencies[i].code)) return &currencies[i];
    return NULL;
}

size_t english_money_code(reading *r) {
    if (!is_capital(peek(r, r->at + 2))) return 0;
    const currency *c = find_code(r, r->at);
    size_t at = r->at + 3 + (peek(r, r->at + 3) == ' ');
    if (!c || !starts_number(r, at)) return 0;
    return at + say_amount(r, c, at) - r->at;
}

/* ---- quantities */

static const currency *find_symbol_after(const reading *r, size_t at, size_t *bytes) {
    for (size_t i = 6; i < sizeof currencies / sizeof currencies[0] - 1; i++)
        if (reads(r, at, currencies[i].written)) {
            *bytes = strlen(currencies[i].written);
            return &currencies[i];
        }
    *bytes = 3;
    return find_code(r, at);
}

size_t english_quantity(reading *r) {
    english_number n = english_parse_number(r, r->at);
    if (n.bytes == 0) return 0;
    size_t end = r->at + n.bytes, bytes;
    size_t space = peek(r, end) == ' ' || (peek(r, end) == '-' && is_ascii_letter(peek(r, end + 1))) ? 1
                   : reads(r, end, "\xc2\xa0")                                                       ? 2
                                                                                                     : 0;
    const currency *c = find_symbol_after(r, end + space, &bytes);
    if (c) {
        size_t said = say_amount(r, c, r->at);
        return said == n.bytes ? n.bytes + space + bytes : said;
    }
    if (space == 0) {
        const char *scale = NULL;
        size_t scaled =
            peek(r, end) == 'm' || peek(r, end) == 'K' || peek(r, end) == 'T' ? 0 : english_scale(r, end, &scale);
        if (scaled > 0) {
            english_say_number(r, r->at, n);
            say(r, scale);
            return n.bytes + scaled;
        }
    }
    /* The unit is looked for before the number is said: it is written after it, so what was said is taken back. */
    text_buffer before_number = *r->out;
    bool said = r->said;
    bool hyphen = space == 1 && peek(r, end) == '-';
    english_say_number(r, r->at, n);
    size_t unit_bytes = english_unit(r, end + space, true, space == 0);
    if (unit_bytes > 0) {
        size_t after = end + space + unit_bytes;
        bool one = english_is_one(n) || hyphen || english_is_adjective(r, after, false);
        *r->out = before_number;
        r->said = said;
        english_say_number(r, r->at, n);
        english_unit(r, end + space, one, space == 0);
        return after - r->at;
    }
    *r->out = before_number;
    r->said = said;
    return 0;
}

/* Whether a quote closes what one before it opened. */
static bool is_closing(const reading *r, size_t at) {
    bool open = false;
    for (size_t i = at > 500 ? at - 500 : 0; i < at; i++) /* but for apostrophes */
        open ^= r->text[i] == r->text[at] && !(i > 0 && is_word(r->text[i - 1]) && is_word(r->text[i + 1]));
    return open;
}

/* 5'11", 5' 11", 6'2, 12", 5'. */
size_t english_height(reading *r) {
    english_number n = english_parse_number(r, r->at);
    char single = peek(r, r->at + n.bytes);
    if (n.bytes > 0 && (single == '"' || single == '\'') && !is_word(peek(r, r->at + n.bytes + 1)) &&
        !is_closing(r, r->at + n.bytes)) {
        english_say_number(r, r->at, n);
        bool one = english_is_one(n) || english_is_adjective(r, r->at + n.bytes + 1, false);
        say(r, single == '"' ? (one ? "inch" : "inches") : (one ? "foot" : "feet"));
        return n.bytes + 1;
    }
    size_t feet = count_digits(r, r->at), at = r->at + feet;
    size_t mark = peek(r, at) == '\'' ? 1 : reads(r, at, "\xe2\x80\x99") || reads(r, at, "\xe2\x80\xb2") ? 3 : 0;
    if (feet == 0 || feet > 2 || mark == 0) return 0;
    at += mark;
    if (peek(r, at) == ' ' && is_digit(peek(r, at + 1))) at++;
    size_t inches = count_digits(r, at);
    if (inches == 0 || inches > 2 || value_of(r, at, inches) > 11 || is_ascii_letter(peek(r, at + inches))) return 0;
    uint64_t f = value_of(r, r->at, feet), i = value_of(r, at, inches);
    say_cardinal(r, f);
    say(r, f == 1 ? "foot" : "feet");
    say_cardinal(r, i);
    say(r, i == 1 ? "inch" : "inches");
    at += inches;
    if (reads(r, at, "''")) return at + 2 - r->at;
    if (reads(r, at, "\xe2\x80\x9d") || reads(r, at, "\xe2\x80\xb3")) return at + 3 - r->at;
    return at + (peek(r, at) == '"') - r->at;
}
