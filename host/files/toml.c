/* toml.c — keys, tables and values of a TOML file. What may be defined twice and what may not is TOML's own rule: a
 * header and a dotted key make tables, each table is made by one of them, and nothing is added to an inline one. */
#include "host/files/toml.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/files/text_file.h"
#include "host/files/toml_scan.h"

enum {
    DEFINED = 1, /* a table that a header or dotted keys of another place made: no dotted key adds to it */
    OPEN = 2,    /* a table that dotted keys of the current place make: becomes DEFINED at the next header */
    CLOSED = 4,  /* a value, or an inline table or array and what is in it: nothing adds to it */
};

typedef struct {
    toml_scan scan;
    toml_file *toml;
    uint8_t *state; /* [TOML_MAX_NODES] */
    char path[TOML_MAX_PATH];
    size_t path_length;         /* of what is read now */
    size_t end[TOML_MAX_DEPTH]; /* [n_ends] of each key in the path, as take_key read it */
    int n_ends;
} parser;

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static int find(const toml_file *toml, const char *path, size_t length) {
    for (int i = 0; i < toml->count; i++)
        if (strncmp(toml->node[i].path, path, length) == 0 && toml->node[i].path[length] == '\0') return i;
    return -1;
}

const toml_node *toml_find(const toml_file *toml, const char *path) {
    int i = find(toml, path, strlen(path));
    return i < 0 ? NULL : &toml->node[i];
}

/* Takes value, also where it fails. */
static f5_status add_node(parser *p, size_t length, toml_type type, char *value, uint8_t state) {
    toml_file *toml = p->toml;
    char *path = toml->count < TOML_MAX_NODES ? strndup(p->path, length) : NULL;
    if (!path) {
        free(value);
        return toml->count == TOML_MAX_NODES
                   ? toml_refuse(&p->scan, F5_E_UNSUPPORTED, "more than %d values", TOML_MAX_NODES)
                   : toml_refuse(&p->scan, F5_E_MEMORY, "no memory for a key");
    }
    toml->node[toml->count] = (toml_node){.path = path, .value = value, .type = type, .line = p->scan.line};
    p->state[toml->count++] = state;
    return F5_OK;
}

static f5_status extend_path(parser *p, const char *text, size_t bytes) {
    if (bytes >= sizeof p->path - p->path_length)
        return toml_refuse(&p->scan, F5_E_UNSUPPORTED, "keys nested too long");
    memcpy(p->path + p->path_length, text, bytes);
    p->path_length += bytes;
    p->path[p->path_length] = '\0';
    return F5_OK;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static f5_status take_key_part(parser *p) {
    static const char bare[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    toml_scan *s = &p->scan;
    if (*s->at != '"' && *s->at != '\'') {
        size_t length = strspn(s->at, bare);
        if (length == 0) return toml_refuse(s, F5_E_FORMAT, "a key is missing: letters, digits, _ and -, or quotes");
        F5_TRY(extend_path(p, s->at, length));
        s->at += length;
        return F5_OK;
    }
    char *key;
    size_t bytes;
    F5_TRY(toml_take_string(s, false, &key, &bytes));
    f5_status status = F5_OK;
    bool odd = bytes == 0;
    for (size_t i = 0; i < bytes; i++) odd |= strchr(".[]\x7f", key[i]) || (unsigned char)key[i] < 0x20;
    if (odd)
        status = toml_refuse(s, F5_E_UNSUPPORTED,
                             "the key \"%.40s\": empty, or with a dot, a bracket or a control character", key);
    else
        status = extend_path(p, key, bytes);
    free(key);
    return status;
}

/* A dotted key, appended to the path of `base` bytes. */
static f5_status take_key(parser *p, size_t base) {
    p->path_length = base;
    p->path[base] = '\0';
    p->n_ends = 0;
    for (;;) {
        if (p->n_ends == TOML_MAX_DEPTH) return toml_refuse(&p->scan, F5_E_UNSUPPORTED, "keys nested too deep");
        if (p->path_length) F5_TRY(extend_path(p, ".", 1));
        F5_TRY(take_key_part(p));
        p->end[p->n_ends++] = p->path_length;
        toml_skip_blanks(&p->scan);
        if (*p->scan.at != '.') return F5_OK;
        p->scan.at++;
        toml_skip_blanks(&p->scan);
    }
}

static f5_status refuse_twice(const parser *p, size_t length) {
    int i = find(p->toml, p->path, length);
    return toml_refuse(&p->scan, F5_E_FORMAT, "%.*s is there already, at line %d", (int)length, p->path,
                       p->toml->node[i].line);
}

/* The tables on the way to the last key of the path, made where they are missing. `forbidden` are the states in which a
 * table may not be added to. */
static f5_status enter_tables(parser *p, uint8_t forbidden, uint8_t made) {
    for (int k = 0; k + 1 < p->n_ends; k++) {
        int i = find(p->toml, p->path, p->end[k]);
        if (i < 0) {
            F5_TRY(add_node(p, p->end[k], TOML_TABLE, NULL, made));
        } else if (p->state[i] & forbidden) {
            return refuse_twice(p, p->end[k]);
        } else {
            p->state[i] |= made;
        }
    }
    return F5_OK;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static f5_status take_value(parser *p, int depth);

/* After '['. The items' paths are made by number. */
static f5_status take_array(parser *p, int depth) {
    size_t base = p->path_length;
    for (int item = 0;; item++) {
        F5_TRY(toml_skip_lines(&p->scan));
        if (*p->scan.at != ']') {
            char index[16];
            int digits = snprintf(index, sizeof index, "[%d]", item);
            p->path_length = base;
            F5_TRY(extend_path(p, index, (size_t)digits));
            F5_TRY(take_value(p, depth + 1));
            F5_TRY(toml_skip_lines(&p->scan));
            if (*p->scan.at == ',') {
                p->scan.at++;
                continue;
            }
        }
        if (*p->scan.at != ']') return toml_refuse(&p->scan, F5_E_FORMAT, "an array that is not closed by ]");
        p->scan.at++;
        return F5_OK;
    }
}

/* After '{'. */
static f5_status take_inline_table(parser *p, int depth) {
    size_t base = p->path_length;
    int first = p->toml->count;
    toml_scan *s = &p->scan;
    toml_skip_blanks(s);
    bool more = *s->at != '}';
    while (more) {
        F5_TRY(take_key(p, base));
        if (*s->at != '=') return toml_refuse(s, F5_E_FORMAT, "= is missing after the key %s", p->path + base + 1);
        s->at++;
        F5_TRY(enter_tables(p, CLOSED, 0));
        if (find(p->toml, p->path, p->path_length) >= 0) return refuse_twice(p, p->path_length);
        F5_TRY(take_value(p, depth + 1));
        toml_skip_blanks(s);
        more = *s->at == ',';
        if (more) s->at++;
        toml_skip_blanks(s);
    }
    if (*s->at != '}') return toml_refuse(s, F5_E_FORMAT, "an inline table that is not closed by } on its line");
    s->at++;
    for (int i = first; i < p->toml->count; i++) p->state[i] |= CLOSED;
    return F5_OK;
}

/* The value of the path as it stands now. */
static f5_status take_value(parser *p, int depth) {
    toml_scan *s = &p->scan;
    toml_skip_blanks(s);
    if (depth > TOML_MAX_DEPTH) return toml_refuse(s, F5_E_UNSUPPORTED, "values nested too deep");
    if (*s->at == '[' || *s->at == '{') {
        bool array = *s->at++ == '[';
        F5_TRY(add_node(p, p->path_length, array ? TOML_ARRAY : TOML_TABLE, NULL, CLOSED));
        return array ? take_array(p, depth) : take_inline_table(p, depth);
    }
    toml_type type = TOML_STRING;
    char *value;
    size_t bytes;
    int line = s->line;
    if (*s->at == '"' || *s->at == '\'')
        F5_TRY(toml_take_string(s, true, &value, &bytes));
    else
        F5_TRY(toml_take_plain(s, &type, &value));
    F5_TRY(add_node(p, p->path_length, type, value, CLOSED));
    p->toml->node[p->toml->count - 1].line = line;
    return F5_OK;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

/* [table]: its path stays in p->path. */
static f5_status take_header(parser *p) {
    toml_scan *s = &p->scan;
    for (int i = 0; i < p->toml->count; i++)
        if (p->state[i] & OPEN) p->state[i] = (uint8_t)((p->state[i] & ~OPEN) | DEFINED);
    s->at++;
    if (*s->at == '[') return toml_refuse(s, F5_E_UNSUPPORTED, "[[...]], an array of tables, is not read");
    toml_skip_blanks(s);
    F5_TRY(take_key(p, 0));
    if (*s->at != ']') return toml_refuse(s, F5_E_FORMAT, "] is missing after [%s", p->path);
    s->at++;
    F5_TRY(enter_tables(p, CLOSED, 0));
    int i = find(p->toml, p->path, p->path_length);
    if (i < 0) return add_node(p, p->path_length, TOML_TABLE, NULL, DEFINED);
    if (p->state[i] & (DEFINED | CLOSED)) return refuse_twice(p, p->path_length);
    p->state[i] |= DEFINED;
    return F5_OK;
}

/* key = value, in the table whose path has `base` bytes. */
static f5_status take_pair(parser *p, size_t base) {
    F5_TRY(take_key(p, base));
    if (*p->scan.at != '=')
        return toml_refuse(&p->scan, F5_E_FORMAT, "= is missing after the key %s", p->path + (base ? base + 1 : 0));
    p->scan.at++;
    F5_TRY(enter_tables(p, DEFINED | CLOSED, OPEN));
    if (find(p->toml, p->path, p->path_length) >= 0) return refuse_twice(p, p->path_length);
    return take_value(p, 0);
}

static f5_status parse(parser *p) {
    size_t table = 0;
    for (;;) {
        F5_TRY(toml_skip_lines(&p->scan));
        if (p->scan.at == p->scan.end) return F5_OK;
        if (*p->scan.at == '[') {
            F5_TRY(take_header(p));
            table = p->path_length;
        } else {
            F5_TRY(take_pair(p, table));
        }
        F5_TRY(toml_end_line(&p->scan));
    }
}

/* Lines that end by "\r\n" end by "\n"; the new number of bytes. */
static size_t join_line_ends(char *text, size_t bytes) {
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++)
        if (text[i] != '\r' || text[i + 1] != '\n') text[n++] = text[i];
    text[n] = '\0';
    return n;
}

f5_status toml_read(toml_file *toml, const char *path, f5_error *error) {
    *toml = (toml_file){.file = path};
    char *text;
    size_t bytes;
    F5_TRY(text_file_read(path, TOML_MAX_BYTES, &text, &bytes, error));
    bytes = join_line_ends(text, bytes);
    parser p = {.toml = toml, .scan = {.at = text, .end = text + bytes, .line = 1, .file = path, .error = error}};
    toml->node = calloc(TOML_MAX_NODES, sizeof *toml->node);
    p.state = calloc(TOML_MAX_NODES, 1);
    f5_status status = toml->node && p.state ? parse(&p) : f5_fail(error, F5_E_MEMORY, "%s: out of memory", path);
    free(p.state);
    free(text);
    if (status != F5_OK) toml_free(toml);
    return status;
}

void toml_free(toml_file *toml) {
    for (int i = 0; i < toml->count; i++) {
        free(toml->node[i].path);
        free(toml->node[i].value);
    }
    free(toml->node);
    *toml = (toml_file){0};
}
