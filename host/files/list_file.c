/* list_file.c — lines are read into one buffer, checked, and cut in place; JSON is jansson's work. */
#include "host/files/list_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/files/text_file.h"
#include "weights/utf8.h"

#if F5_HAVE_JANSSON
#include <jansson.h>
#endif

#define COLUMNS_BYTES 4096 /* the most that a header holds */

typedef enum { LIST_TSV, LIST_JSON, LIST_BY_FIRST } list_format;

struct list_file {
    const char *path, *shown;
    FILE *stream;
    list_format format; /* BY_FIRST until a line was seen */
    bool header_due;    /* of TSV: the next line may be one */
    bool ended;
    int32_t number; /* lines read */
    char *line;     /* [LIST_MAX_LINE_BYTES + 2] */
    char columns[COLUMNS_BYTES];
    const char *column[LIST_MAX_VALUES]; /* [n_columns] in `columns`, or constants */
    int32_t n_columns;
    bool (*is_name)(void *user, const char *name);
    void *user;
    char *values; /* of a JSON line: texts one after the other, [values_room] */
    size_t values_bytes, values_room;
};

/* Fails with a message about the line that is read. */
#define refuse(l, error, status, ...) text_line_error(error, status, (l)->shown, (int)(l)->number, __VA_ARGS__)

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static bool ends_in(const char *path, const char *ending) {
    size_t n = strlen(path), m = strlen(ending);
    return n > m && strcasecmp(path + n - m, ending) == 0;
}

static void begin(list_file *l) {
    static const char *const usual[] = {"text", "voice", "output"};
    l->n_columns = sizeof usual / sizeof *usual;
    for (int32_t i = 0; i < l->n_columns; i++) l->column[i] = usual[i];
    l->format = ends_in(l->path, ".jsonl") || ends_in(l->path, ".ndjson") ? LIST_JSON
                : ends_in(l->path, ".tsv") || ends_in(l->path, ".txt")    ? LIST_TSV
                                                                          : LIST_BY_FIRST;
    l->header_due = true;
    l->ended = false;
    l->number = 0;
}

/* Standard input as a file without a name, which can be read twice. NULL: it could not be made. */
static FILE *spool(void) {
    FILE *copy = tmpfile();
    char block[16384];
    size_t n;
    while (copy && (n = fread(block, 1, sizeof block, stdin)) > 0) {
        if (fwrite(block, 1, n, copy) == n) continue;
        fclose(copy);
        return NULL;
    }
    if (copy) rewind(copy);
    return copy;
}

f5_status list_open(list_file **list, const char *path, bool (*is_name)(void *user, const char *name), void *user,
                    f5_error *error) {
    bool standard_input = strcmp(path, "-") == 0;
    list_file *l = *list = calloc(1, sizeof *l);
    char *line = malloc(LIST_MAX_LINE_BYTES + 2);
    if (!l || !line) {
        free(line);
        free(l);
        *list = NULL;
        return f5_fail(error, F5_E_MEMORY, "%s: no memory for a list", path);
    }
    *l = (list_file){.path = path, .shown = standard_input ? "standard input" : path, .line = line};
    l->is_name = is_name, l->user = user;
    l->stream = standard_input ? spool() : fopen(path, "rb");
    if (!l->stream) {
        f5_status status = f5_fail(error, F5_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
        list_close(l);
        *list = NULL;
        return status;
    }
    begin(l);
    return F5_OK;
}

void list_close(list_file *l) {
    if (!l) return;
    if (l->stream) fclose(l->stream);
    free(l->line);
    free(l->values);
    free(l);
}

f5_status list_rewind(list_file *l, f5_error *error) {
    if (fseek(l->stream, 0, SEEK_SET) != 0)
        return f5_fail(error, F5_E_IO, "%s: cannot be read twice: %s", l->shown, strerror(errno));
    begin(l);
    return F5_OK;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

/* Errors that end the list. */
static f5_status give_up(list_file *l, f5_error *error, f5_status status, const char *what) {
    l->ended = true;
    return refuse(l, error, status, "%s", what);
}

/* The next line into l->line, without its end; l->ended after the last. */
static f5_status read_line(list_file *l, size_t *bytes, f5_error *error) {
    size_t n = 0;
    int c;
    while ((c = getc_unlocked(l->stream)) != EOF && c != '\n') {
        l->line[n++] = (char)c;
        if (n <= LIST_MAX_LINE_BYTES) continue;
        l->number++;
        return give_up(l, error, F5_E_UNSUPPORTED, "a line of more than 1 MiB");
    }
    if (ferror(l->stream)) return give_up(l, error, F5_E_IO, strerror(errno));
    if (c == EOF && n == 0) {
        l->ended = true;
        return F5_OK;
    }
    l->number++;
    if (l->number > LIST_MAX_LINES)
        return give_up(l, error, F5_E_UNSUPPORTED, "more than a million lines: split the list");
    if (n > 0 && l->line[n - 1] == '\r') n--;
    if (l->number == 1 && n >= 3 && memcmp(l->line, "\xEF\xBB\xBF", 3) == 0) memmove(l->line, l->line + 3, n -= 3);
    l->line[n] = '\0';
    *bytes = n;
    if (strlen(l->line) != n) return refuse(l, error, F5_E_FORMAT, "holds a zero byte; a text file is needed");
    size_t good = utf8_valid_prefix(l->line, n);
    if (good == n) return F5_OK;
    return refuse(l, error, F5_E_FORMAT, "malformed UTF-8 at byte %zu of the line: save it as UTF-8", good);
}

/* ---- tab-separated ----------------------------------------------------------------------------------------------- */

/* Cuts a text at its tabs, in place; the number of cells, or one more than `most`. */
static int32_t cut(char *text, const char **cell, int32_t most) {
    int32_t n = 0;
    for (char *at = text;; *at++ = '\0') {
        if (n == most) return most + 1;
        cell[n++] = at;
        at += strcspn(at, "\t");
        if (!*at) return n;
    }
}

/* Is the line a header? Its columns are then taken. */
static f5_status take_header(list_file *l, bool *header, f5_error *error) {
    const char *cell[LIST_MAX_VALUES];
    size_t bytes = strlen(l->line);
    *header = false;
    if (bytes >= sizeof l->columns) return F5_OK;
    memcpy(l->columns, l->line, bytes + 1);
    int32_t n = cut(l->columns, cell, LIST_MAX_VALUES);
    if (n > LIST_MAX_VALUES) return F5_OK;
    for (int32_t i = 0; i < n; i++)
        if (!l->is_name || !l->is_name(l->user, cell[i])) return F5_OK;
    for (int32_t i = 0; i < n; i++)
        for (int32_t k = 0; k < i; k++)
            if (strcmp(cell[i], cell[k]) == 0)
                return refuse(l, error, F5_E_FORMAT, "two columns are called %s", cell[i]);
    *header = true;
    memcpy(l->column, cell, sizeof cell);
    l->n_columns = n;
    return F5_OK;
}

static f5_status take_cells(list_file *l, list_line *line, f5_error *error) {
    const char *cell[LIST_MAX_VALUES];
    int32_t n = cut(l->line, cell, l->n_columns);
    if (n > l->n_columns)
        return refuse(l, error, F5_E_FORMAT, "has more than %d cells, which are separated by tabs", (int)l->n_columns);
    for (int32_t i = 0; i < n; i++)
        if (*cell[i]) line->value[line->count++] = (list_value){l->column[i], cell[i]};
    return F5_OK;
}

/* ---- JSON lines -------------------------------------------------------------------------------------------------- */

#if F5_HAVE_JANSSON

/* A copy in l->values, as an offset: the memory may move. */
static bool keep(list_file *l, const char *text, size_t *offset) {
    size_t bytes = strlen(text) + 1;
    if (bytes > l->values_room - l->values_bytes) {
        size_t room = 2 * (l->values_room + bytes);
        char *more = realloc(l->values, room);
        if (!more) return false;
        l->values = more, l->values_room = room;
    }
    memcpy(l->values + l->values_bytes, text, bytes);
    *offset = l->values_bytes;
    l->values_bytes += bytes;
    return true;
}

/* A scalar as text, or NULL. */
static const char *text_of(const json_t *value, char number[40]) {
    switch (json_typeof(value)) {
    case JSON_STRING:
        return json_string_value(value);
    case JSON_INTEGER:
        snprintf(number, 40, "%lld", (long long)json_integer_value(value));
        return number;
    case JSON_REAL:
        snprintf(number, 40, "%.17g", json_real_value(value));
        return number;
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    default:
        return NULL;
    }
}

static f5_status take_members(list_file *l, json_t *object, list_line *line, f5_error *error) {
    size_t name_at[LIST_MAX_VALUES], value_at[LIST_MAX_VALUES];
    const char *name;
    json_t *value;
    l->values_bytes = 0;
    json_object_foreach(object, name, value) {
        if (json_is_null(value)) continue;
        char number[40];
        const char *text = text_of(value, number);
        if (!text)
            return refuse(l, error, F5_E_FORMAT,
                          "%.40s is a list or an object: a text, a number, true or false is wanted", name);
        if (line->count == LIST_MAX_VALUES)
            return refuse(l, error, F5_E_FORMAT, "has more values than there are options");
        int32_t i = line->count++;
        if (!keep(l, name, &name_at[i]) || !keep(l, text, &value_at[i]))
            return refuse(l, error, F5_E_MEMORY, "no memory for a line");
    }
    for (int32_t i = 0; i < line->count; i++)
        line->value[i] = (list_value){l->values + name_at[i], l->values + value_at[i]};
    return F5_OK;
}

static f5_status take_object(list_file *l, size_t bytes, list_line *line, f5_error *error) {
    json_error_t why;
    json_t *object = json_loadb(l->line, bytes, JSON_REJECT_DUPLICATES, &why);
    if (!object) return refuse(l, error, F5_E_FORMAT, "no JSON object: %.100s", why.text);
    f5_status status = json_is_object(object) ? take_members(l, object, line, error)
                                              : refuse(l, error, F5_E_FORMAT, "no JSON object: begin the line with {");
    json_decref(object);
    return status;
}

#else

static f5_status take_object(list_file *l, size_t bytes, list_line *line, f5_error *error) {
    (void)bytes, (void)line;
    return give_up(l, error, F5_E_UNSUPPORTED,
                   "JSON lines need jansson, which this build lacks: install libjansson-dev and build again, or give "
                   "tab-separated lines");
}

#endif

/* ------------------------------------------------------------------------------------------------------------------ */

f5_status list_next(list_file *l, list_line *line, f5_error *error) {
    line->count = 0;
    line->number = 0;
    while (!l->ended) {
        size_t bytes = 0;
        f5_status status = read_line(l, &bytes, error);
        line->number = l->number;
        if (status != F5_OK) return status;
        if (l->ended) break;
        size_t blank = strspn(l->line, " \t");
        if (blank == bytes) continue;
        if (l->format == LIST_BY_FIRST) l->format = l->line[blank] == '{' ? LIST_JSON : LIST_TSV;
        if (l->format == LIST_JSON) return take_object(l, bytes, line, error);
        bool header = false;
        if (l->header_due) {
            l->header_due = false;
            F5_TRY(take_header(l, &header, error));
        }
        if (!header) return take_cells(l, line, error);
    }
    line->number = 0;
    return F5_OK;
}
