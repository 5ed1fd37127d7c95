/* fold_report.c — the one message about characters that a model cannot say. */
#include <stdio.h>
#include <string.h>

#include "host/text/character.h"
#include "host/text/fold.h"
#include "weights/utf8.h"

/* Letters of any script, signs and emoji; not what moves a cursor, turns the line's direction or has no shape. */
static bool can_be_shown(uint32_t code) {
    if (character_is_invisible(code) || character_is_white(code) || character_is_mark(code)) return false;
    return code < 0x80 || character_within(code, 0xA1, 0xBF) || character_is_word(code) ||
           character_within(code, 0x2010, 0x2BFF) || character_within(code, 0x3001, 0x303F) ||
           character_within(code, 0xFF01, 0xFFEE) || character_within(code, 0x1F000, 0x1FAFF);
}

/* Appends all of the text or nothing: a message that is cut ends between two items. */
static bool append(char *message, size_t size, const char *text) {
    size_t used = strlen(message), bytes = strlen(text);
    if (bytes >= size - used) return false;
    memcpy(message + used, text, bytes + 1);
    return true;
}

static void describe(char text[96], const fold_unknown *u, const char *before) {
    char shown[8] = "";
    if (can_be_shown(u->code)) {
        shown[0] = ' ';
        shown[1] = '\'';
        size_t n = utf8_encode(shown + 2, u->code);
        shown[2 + n] = '\'';
        shown[3 + n] = '\0';
    }
    if (u->count == 1)
        snprintf(text, 96, "%sU+%04X%s (at byte %zu)", before, (unsigned)u->code, shown, u->first);
    else
        snprintf(text, 96, "%sU+%04X%s (%lld times, first at byte %zu)", before, (unsigned)u->code, shown,
                 (long long)u->count, u->first);
}

void fold_report_message(const fold_report *report, char *message, size_t size) {
    enum { REST = 32 }; /* room for " and ... more" */
    if (size == 0) return;
    message[0] = '\0';
    if (report->count == 0) return;
    char item[96];
    bool one = report->count == 1;
    snprintf(item, sizeof item,
             "the text has %lld character%s that the model cannot say, and leaves %s out: ", (long long)report->count,
             one ? "" : "s", one ? "it" : "them");
    if (!append(message, size, item)) return;
    int64_t told = 0;
    for (int32_t i = 0; i < report->distinct; i++) {
        const fold_unknown *u = &report->unknown[i];
        describe(item, u, i == 0 ? "" : ", ");
        if (strlen(message) + strlen(item) + REST >= size || !append(message, size, item)) break;
        told += u->count;
    }
    if (told == report->count) return;
    snprintf(item, sizeof item, "%s%lld %s", told ? " and " : "", (long long)(report->count - told),
             told ? "more" : "of them");
    append(message, size, item);
}
