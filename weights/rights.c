/* rights.c — licence and credit: checked where they come in, so that whoever shows them need not. */
#include "weights/rights.h"

#include <stddef.h>
#include <string.h>

#include "weights/utf8.h"

typedef struct {
    const char *key;
    size_t offset, room;
} rights_line;

static const rights_line lines[] = {{"license", offsetof(model_rights, license), sizeof((model_rights *)NULL)->license},
                                    {"credit", offsetof(model_rights, credit), sizeof((model_rights *)NULL)->credit}};
enum { LINES = sizeof lines / sizeof *lines };

static f5_status set(model_rights *rights, const rights_line *line, const char *text, size_t bytes, const char *where,
                     f5_error *error) {
    if (bytes >= line->room)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: %s has %zu bytes: at most %zu", where, line->key, bytes,
                       line->room - 1);
    for (size_t at = 0, taken; at < bytes; at += taken) {
        uint32_t code;
        taken = utf8_decode(text + at, bytes - at, &code);
        if (taken == 0) return f5_fail(error, F5_E_UNSUPPORTED, "%s: %s is not UTF-8 (byte %zu)", where, line->key, at);
        if (utf8_is_control(code))
            return f5_fail(error, F5_E_UNSUPPORTED,
                           "%s: %s has U+%04X (byte %zu): it is one line of text without control characters", where,
                           line->key, (unsigned)code, at);
    }
    char *to = (char *)rights + line->offset;
    memcpy(to, text, bytes);
    to[bytes] = '\0';
    return F5_OK;
}

f5_status model_rights_set(model_rights *rights, const char *license, const char *credit, f5_error *error) {
    const char *const given[LINES] = {license, credit};
    for (int i = 0; i < LINES; i++)
        if (given[i]) F5_TRY(set(rights, &lines[i], given[i], strlen(given[i]), "the new model", error));
    return F5_OK;
}

f5_status model_rights_read(model_rights *rights, const safetensors *st, const char *where, f5_error *error) {
    for (int i = 0; i < LINES; i++) {
        const safetensors_text *t = safetensors_metadata(st, lines[i].key);
        if (t) F5_TRY(set(rights, &lines[i], t->value, t->value_bytes, where, error));
    }
    return F5_OK;
}

f5_status model_rights_write(safetensors_writer *w, const model_rights *rights, f5_error *error) {
    for (int i = 0; i < LINES; i++) {
        const char *text = (const char *)rights + lines[i].offset;
        if (*text) F5_TRY(safetensors_writer_metadata(w, lines[i].key, text, strlen(text), error));
    }
    return F5_OK;
}
