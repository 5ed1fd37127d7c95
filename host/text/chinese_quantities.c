/* chinese_quantities.c — Chinese numbers and what they count: percent, fractions, money, units, phone numbers. */
#include <string.h>

#include "host/text/chinese.h"

static size_t reads_any(const reading *r, size_t at, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (reads(r, at, list[i])) return strlen(list[i]);
    return 0;
}
#define READS_ANY(r, at, list) reads_any(r, at, list, sizeof(list) / sizeof((list)[0]))

size_t chinese_percent(reading *r) {
    static const struct { const char *mark, *said; } marks[] = {{"%", "百分之"}, {"％", "百分之"}, {"‰", "千分之"}};
    chinese_number n = chinese_parse_number(r, r->at);
    if (n.bytes == 0) return 0;
    size_t end = r->at + n.bytes, space = peek(r, end) == ' ';
    for (size_t i = 0; i < 3; i++) {
        if (reads(r, end + space, marks[i].mark)) {
            chinese_say(r, marks[i].said);
            chinese_say_number(r, r->at, n);
            return n.bytes + space + strlen(marks[i].mark);
        }
        /* 10-20%: said before the first */
        size_t range = chinese_range_mark(r, end);
        chinese_number m = range > 0 ? chinese_parse_number(r, end + range) : (chinese_number){0};
        if (m.bytes > 0 && reads(r, end + range + m.bytes, marks[i].mark)) {
            chinese_say(r, marks[i].said);
            chinese_say_number(r, r->at, n);
            chinese_say(r, "到");
            chinese_say_number(r, end + range, m);
            return n.bytes + range + m.bytes + strlen(marks[i].mark);
        }
    }
    return 0;
}

size_t chinese_fraction(reading *r) {
    static const struct {
        const char *mark, *said;
    } characters[] = {{"½", "二分之一"}, {"¼", "四分之一"}, {"¾", "四分之三"}, {"⅓", "三分之一"}, {"⅔", "三分之二"}};
    for (size_t i = 0; i < sizeof characters / sizeof characters[0]; i++)
        if (reads(r, r->at, characters[i].mark)) {
            if (r->number_end == r->at) chinese_say(r, "又");
            chinese_say(r, characters[i].said);
            return strlen(characters[i].mark);
        }
    size_t n = count_digits(r, r->at), slash = reads(r, r->at + n, "/") ? 1 : reads(r, r->at + n, "／") ? 3 : 0;
    size_t m = slash > 0 ? count_digits(r, r->at + n + slash) : 0, end = r->at + n + slash + m;
    if (n == 0 || n > 4 || m == 0 || m > 4 || peek(r, end) == '/' || peek(r, r->at) == '0') return 0;
    say_cardinal(r, value_of(r, r->at + n + slash, m));
    chinese_say(r, "分之");
    say_cardinal(r, value_of(r, r->at, n));
    return end - r->at;
}

/* ---- money */

static const struct {
    const char *mark, *said;
    bool jiao; /* tenths and hundredths have names */
} currencies[] = {{"US$", "美元", false}, {"HK$", "港元", false}, {"NT$", "新台币", false}, {"A$", "澳元", false},
                  {"C$", "加元", false},  {"$", "美元", false},   {"＄", "美元", false},    {"€", "欧元", false},
                  {"£", "英镑", false},   {"￡", "英镑", false},  {"RMB", "元", true},      {"CNY", "元", true},
                  {"USD", "美元", false}, {"EUR", "欧元", false}, {"JPY", "日元", false},   {"₩", "韩元", false},
                  {"￥", "元", true},     {"¥", "元", true},      {"₹", "卢比", false}};

size_t chinese_money(reading *r) {
    static const char *const scales[] = {"万亿", "千万", "百万", "亿", "万", "千"};
    for (size_t i = 0; i < sizeof currencies / sizeof currencies[0]; i++) {
        if (!reads(r, r->at, currencies[i].mark)) continue;
        size_t at = r->at + strlen(currencies[i].mark);
        if (peek(r, at) == ' ') at++;
        chinese_number n = chinese_parse_number(r, at);
        if (n.bytes == 0) continue;
        size_t end = at + n.bytes, scale = READS_ANY(r, end, scales);
        uint64_t hundredths = n.decimals == 2 ? value_of(r, end - 2, 2) : 0;
        if (scale == 0 && n.decimals == 2) {
            if (currencies[i].jiao || hundredths == 0) {
                chinese_number whole = n;
                whole.decimals = 0;
                if (n.whole > 0 || hundredths == 0) {
                    chinese_say_number(r, at, whole);
                    chinese_say(r, currencies[i].said);
                }
                if (hundredths / 10 > 0) {
                    say_cardinal(r, hundredths / 10);
                    chinese_say(r, "角");
                } else if (hundredths > 0 && n.whole > 0) {
                    chinese_say(r, "零");
                }
                if (hundredths % 10 > 0) {
                    say_cardinal(r, hundredths % 10);
                    chinese_say(r, "分");
                }
                return end - r->at;
            }
            if (hundredths % 10 == 0) n.decimals = 1; /* 3.50 is 三点五 */
        }
        chinese_say_number(r, at, n);
        if (scale > 0) text_put(r->out, r->text + end, scale);
        chinese_say(r, currencies[i].said);
        end += scale;
        return end + (reads(r, end, currencies[i].said) ? strlen(currencies[i].said) : 0) - r->at;
    }
    return 0;
}

/* ---- units */

static const struct {
    const char *written, *said;
} units[] = {{"km/h", "公里每小时"},
             {"m/s", "米每秒"},
             {"km²", "平方公里"},
             {"cm²", "平方厘米"},
             {"m²", "平方米"},
             {"㎡", "平方米"},
             {"m³", "立方米"},
             {"cm³", "立方厘米"},
             {"km", "公里"},
             {"cm", "厘米"},
             {"mm", "毫米"},
             {"nm", "纳米"},
             {"kg", "公斤"},
             {"mg", "毫克"},
             {"ml", "毫升"},
             {"mL", "毫升"},
             {"kWh", "千瓦时"},
             {"kW", "千瓦"},
             {"MW", "兆瓦"},
             {"GHz", "吉赫"},
             {"MHz", "兆赫"},
             {"kHz", "千赫"},
             {"Hz", "赫兹"},
             {"dB", "分贝"},
             {"min", "分钟"},
             {"ms", "毫秒"},
             {"℃", "摄氏度"},
             {"°C", "摄氏度"},
             {"℉", "华氏度"},
             {"°F", "华氏度"},
             {"°", "度"},
             {"m", "米"},
             {"g", "克"},
             {"t", "吨"},
             {"L", "升"},
             {"l", "升"},
             {"h", "小时"},
             {"s", "秒"},
             {"W", "瓦"},
             {"V", "伏"}};

static size_t find_unit(const reading *r, size_t at, const char **said) {
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t n = strlen(units[i].written);
        bool letter = is_ascii_letter(units[i].written[n - 1]);
        if (!reads(r, at, units[i].written) ||
            (letter && (is_ascii_letter(peek(r, at + n)) || is_digit(peek(r, at + n)))))
            continue;
        *said = units[i].said;
        return n;
    }
    return 0;
}

/* What two of is 两, not 二. */
static bool counts_two(const reading *r, size_t at) {
    static const char *const measures[] = {
        "个", "只", "本",   "条",   "张",   "位",   "名",   "人",     "天",   "年",   "岁",   "次", "点", "件",
        "辆", "台", "部",   "家",   "间",   "座",   "支",   "把",     "双",   "对",   "杯",   "瓶", "碗", "块",
        "元", "米", "公里", "公斤", "斤",   "吨",   "升",   "小时",   "分钟", "周",   "星期", "万", "千", "亿",
        "倍", "种", "样",   "场",   "段",   "句",   "首",   "篇",     "封",   "份",   "套",   "层", "口", "头",
        "匹", "朵", "棵",   "颗",   "美元", "欧元", "英镑", "平方米", "厘米", "毫米", "克",   "秒", "度"};
    return READS_ANY(r, at, measures) > 0 && !reads(r, at, "年级") && !reads(r, at, "周年");
}

static bool follows(const reading *r, const char *word) {
    size_t n = strlen(word);
    return r->at >= n && memcmp(r->text + r->at - n, word, n) == 0;
}

size_t chinese_quantity(reading *r) {
    chinese_number n = chinese_parse_number(r, r->at);
    if (n.bytes == 0) return 0;
    size_t end = r->at + n.bytes, space = peek(r, end) == ' ';
    const char *said = NULL;
    size_t unit = find_unit(r, end + space, &said);
    bool two = n.whole == 2 && n.decimals == 0 && n.bytes == 1 && !follows(r, "第") && !is_ascii_letter(before(r));
    if (unit > 0 && !is_ascii_letter(before(r))) {
        if (two)
            chinese_say(r, "两");
        else
            chinese_say_number(r, r->at, n);
        chinese_say(r, said);
        return n.bytes + space + unit;
    }
    if (!two || !counts_two(r, end + space)) return 0;
    chinese_say(r, "两");
    return n.bytes;
}

static bool is_dash(const reading *r, size_t *bytes) {
    *bytes = peek(r, r->at) == '-' ? 1 : reads(r, r->at, "−") || reads(r, r->at, "－") ? 3 : 0;
    return *bytes > 0;
}

size_t chinese_negative(reading *r) {
    static const char *const degrees[] = {"℃", "°", "度", "摄氏度"};
    size_t dash;
    if (!is_dash(r, &dash) || is_digit(before(r)) || is_ascii_letter(before(r)) || r->number_end == r->at) return 0;
    chinese_number n = chinese_parse_number(r, r->at + dash);
    if (n.bytes == 0) return 0;
    bool cold = READS_ANY(r, r->at + dash + n.bytes, degrees) > 0;
    if (follows(r, "零下")) return dash;
    chinese_say(r, cold ? "零下" : "负");
    return dash;
}

/* ---- numbers that are names */

size_t chinese_phone(reading *r) {
    size_t plus = peek(r, r->at) == '+', digits = count_digits(r, r->at + plus), end = r->at + plus + digits,
           total = digits;
    if (digits == 0 || is_ascii_letter(before(r))) return 0;
    size_t groups = 1;
    while (groups < 6 && (peek(r, end) == '-' || (peek(r, end) == ' ' && (plus || total >= 3))) &&
           count_digits(r, end + 1) >= 3) {
        size_t more = count_digits(r, end + 1);
        total += more;
        end += 1 + more;
        groups++;
    }
    char next = peek(r, end);
    bool mobile = groups == 1 && !plus && total == 11 && peek(r, r->at) == '1' && next != '.' && next != ',';
    bool grouped = groups >= 2 && total >= 10 && total <= 14 &&
                   (plus || peek(r, r->at) == '0' || digits == 3 || peek(r, r->at) == '1');
    bool local = groups == 1 && peek(r, r->at) == '0' && total >= 10 && total <= 12;
    bool called = groups == 1 && total >= 3 && total <= 8 &&
                  (follows(r, "打") || follows(r, "拨") || follows(r, "电话") || follows(r, "热线") ||
                   follows(r, "电话：") || follows(r, "号码"));
    if (!(mobile || grouped || local || called || (plus && total >= 8 && total <= 15))) return 0;
    if (plus) chinese_say(r, "加");
    chinese_say_digits(r, r->at, end - r->at, true);
    return end - r->at;
}

/* Rooms, bus lines, flights, codes: digit by digit. */
size_t chinese_name(reading *r) {
    static const char *const places[] = {"房", "室", "路公", "路车", "号楼", "航班", "次列"};
    size_t digits = count_digits(r, r->at), end = r->at + digits;
    bool point = peek(r, end) == '.' && is_digit(peek(r, end + 1)),
         comma = peek(r, end) == ',' && count_digits(r, end + 1) == 3;
    if (digits == 0 || comma) return 0;
    static const char *const codes[] = {"编号", "代码", "房号", "密码", "验证码", "邮编"};
    bool named = false;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) named |= follows(r, codes[i]) && digits >= 3 && !point;
    named |= digits == 2 && peek(r, r->at + 1) == '0' && reads(r, end, "后") && !reads(r, end, "后来"); /* 80后 */
    bool code = named || (digits > 1 && peek(r, r->at) == '0' && !point) || digits > 16 ||
                (is_ascii_letter(before(r)) && digits > 2) ||
                (digits >= 3 && digits <= 4 && READS_ANY(r, end, places) > 0);
    if (code) {
        chinese_say_digits(r, r->at, digits, false);
        return digits;
    }
    if (!point || peek(r, end + 1 + count_digits(r, end + 1)) != '.') return 0;
    if (!is_digit(peek(r, end + 2 + count_digits(r, end + 1)))) return 0;
    for (size_t at = r->at;;) { /* 2.1.3 */
        size_t n = count_digits(r, at);
        if (n > 2)
            chinese_say_digits(r, at, n, false);
        else
            say_cardinal(r, value_of(r, at, n));
        at += n;
        if (peek(r, at) != '.' || !is_digit(peek(r, at + 1))) return at - r->at;
        chinese_say(r, "点");
        at++;
    }
}

size_t chinese_cardinal(reading *r) {
    chinese_number n = chinese_parse_number(r, r->at);
    if (n.bytes > 0) chinese_say_number(r, r->at, n);
    return n.bytes;
}

size_t chinese_between_numbers(reading *r) {
    static const struct {
        const char *mark, *said;
    } marks[] = {{"+", "加"},    {"＋", "加"},  {"×", "乘以"}, {"*", "乘以"},     {"÷", "除以"},     {"=", "等于"},
                 {"＝", "等于"}, {">", "大于"}, {"<", "小于"}, {"≥", "大于等于"}, {"≤", "小于等于"}, {"±", "正负"}};
    if (r->at != r->number_end) return 0;
    size_t space = peek(r, r->at) == ' ', at = r->at + space;
    size_t range = chinese_range_mark(r, at);
    if (range > 0 && chinese_parse_number(r, at + range + space).bytes > 0) {
        bool minus = r->equation;
        chinese_say(r, minus ? "减" : "到");
        return space + range + space;
    }
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        size_t n = strlen(marks[i].mark);
        if (!reads(r, at, marks[i].mark)) continue;
        size_t after = at + n + (peek(r, at + n) == ' ');
        if (chinese_parse_number(r, after).bytes == 0) continue;
        chinese_say(r, marks[i].said);
        return after - r->at;
    }
    return 0;
}
