/* multipart.c — a state machine over bytes. Only a delimiter begins with CR, so a match that breaks off is data as far
 * as it came, and a new one can begin at the byte where it broke off alone. */
#include "host/server/multipart.h"

#include <string.h>
#include <strings.h>

#include "weights/utf8.h"

enum {
    AT_START,    /* before the first boundary */
    IN_DATA,     /* of a part, with `matched` bytes of a delimiter seen */
    AFTER_MATCH, /* of a boundary: "--" or the end of its line */
    AT_DASH,     /* after the first of the two */
    IN_PADDING,  /* blanks after a boundary */
    AT_LF,       /* the CR that ends the boundary's line was seen */
    IN_HEAD,     /* headers */
    AT_END       /* after the last boundary: what follows says nothing */
};

#define MAX_PADDING 64

static bool is_token(unsigned char c) {
    return c > 0x20 && c < 0x7f && !strchr("()<>@,;:\\\"/[]?={}", c);
}

static bool is_boundary(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("'()+_,-./:=? ", c));
}

static const char *skip_blanks(const char *at) {
    return at + strspn(at, " \t");
}

/* ---- parameters: ; name=value; name="value" ---------------------------------------------------------------------- */

typedef struct {
    const char *name;
    size_t name_bytes;
    char value[MULTIPART_MAX_NAME + 1];
} parameter;

/* Reads the parameter behind the ';' at *at and moves on. Backslashes stand for themselves unless before a quote or
 * another one: a browser once sent whole paths. */
static bool next_parameter(const char **at, parameter *p) {
    const char *s = skip_blanks(*at + 1);
    p->name = s;
    while (is_token((unsigned char)*s)) s++;
    p->name_bytes = (size_t)(s - p->name);
    size_t n = 0;
    if (p->name_bytes == 0 || *s++ != '=') return false;
    bool quoted = *s == '"';
    if (quoted) s++;
    while (quoted ? *s && *s != '"' : is_token((unsigned char)*s)) {
        if (quoted && *s == '\\' && (s[1] == '"' || s[1] == '\\')) s++;
        if (n == MULTIPART_MAX_NAME) return false;
        p->value[n++] = *s++;
    }
    p->value[n] = '\0';
    if (quoted ? *s++ != '"' : n == 0) return false;
    *at = skip_blanks(s);
    return **at == ';' || **at == '\0';
}

static bool parameter_is(const parameter *p, const char *name) {
    return p->name_bytes == strlen(name) && strncasecmp(p->name, name, p->name_bytes) == 0;
}

f5_status multipart_begin(multipart *m, const char *content_type, const multipart_calls *calls, f5_error *error) {
    static const char wanted[] = "multipart/form-data";
    *m = (multipart){.calls = *calls, .state = AT_START, .matched = 2};
    m->failed = f5_fail(error, F5_E_ARGUMENT, "Content-Type: multipart/form-data with a boundary is wanted");
    if (!content_type) return m->failed;
    const char *at = skip_blanks(content_type);
    if (strncasecmp(at, wanted, strlen(wanted)) != 0) return m->failed;
    at = skip_blanks(at + strlen(wanted));
    parameter p;
    bool found = false;
    while (*at == ';') {
        if (!next_parameter(&at, &p)) return m->failed;
        if (!parameter_is(&p, "boundary")) continue;
        size_t n = strlen(p.value);
        if (found || n == 0 || n > MULTIPART_MAX_BOUNDARY || p.value[n - 1] == ' ') return m->failed;
        for (size_t i = 0; i < n; i++)
            if (!is_boundary((unsigned char)p.value[i])) return m->failed;
        memcpy(m->delimiter, "\r\n--", 4);
        memcpy(m->delimiter + 4, p.value, n);
        m->delimiter_bytes = n + 4;
        found = true;
    }
    if (!found || *at) return m->failed;
    if (error) *error = (f5_error){0};
    return m->failed = F5_OK;
}

/* ---- the head of a part ------------------------------------------------------------------------------------------ */

static f5_status malformed(const multipart *m, const char *what, f5_error *error) {
    return f5_fail(error, F5_E_FORMAT, "multipart body: part %d: %s", m->parts, what);
}

static f5_status read_disposition(multipart *m, const char *value, f5_error *error) {
    static const char wanted[] = "form-data";
    if (m->named) return malformed(m, "two Content-Disposition headers", error);
    if (strncasecmp(value, wanted, strlen(wanted)) != 0) return malformed(m, "is no form-data", error);
    const char *at = skip_blanks(value + strlen(wanted));
    bool name = false;
    parameter p;
    while (*at == ';') {
        if (!next_parameter(&at, &p)) return malformed(m, "a Content-Disposition that cannot be read", error);
        bool is_name = parameter_is(&p, "name"), is_file = parameter_is(&p, "filename");
        if ((is_name && name) || (is_file && m->part.is_file)) return malformed(m, "a name given twice", error);
        if (is_name) memcpy(m->part.name, p.value, sizeof p.value);
        if (is_file) memcpy(m->part.file, p.value, sizeof p.value);
        name |= is_name;
        m->part.is_file |= is_file;
    }
    if (*at) return malformed(m, "a Content-Disposition that cannot be read", error);
    if (!name || !*m->part.name) return malformed(m, "has no name", error);
    m->named = true;
    return F5_OK;
}

/* A line of the head, terminated and without its CRLF. */
static f5_status read_header(multipart *m, const char *line, f5_error *error) {
    size_t n = strlen(line), name = 0;
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f)
            return malformed(m, "a control character in a header", error);
    if (utf8_valid_prefix(line, n) < n) return malformed(m, "malformed UTF-8 in a header", error);
    while (is_token((unsigned char)line[name])) name++;
    if (name == 0 || line[name] != ':') return malformed(m, "a line that is no header", error);
    const char *value = skip_blanks(line + name + 1);
    if (name == strlen("Content-Disposition") && strncasecmp(line, "Content-Disposition", name) == 0)
        return read_disposition(m, value, error);
    if (name == strlen("Content-Type") && strncasecmp(line, "Content-Type", name) == 0) {
        if (*m->part.type) return malformed(m, "two Content-Type headers", error);
        if (strlen(value) > MULTIPART_MAX_NAME)
            return f5_fail(error, F5_E_UNSUPPORTED, "multipart body: part %d: its Content-Type is longer than %d bytes",
                           m->parts, MULTIPART_MAX_NAME);
        strcpy(m->part.type, value);
    }
    if (name == strlen("Content-Transfer-Encoding") && strncasecmp(line, "Content-Transfer-Encoding", name) == 0 &&
        strcasecmp(value, "binary") != 0 && strcasecmp(value, "8bit") != 0 && strcasecmp(value, "7bit") != 0)
        return f5_fail(error, F5_E_UNSUPPORTED,
                       "multipart body: part %d: Content-Transfer-Encoding %.40s: send it binary", m->parts, value);
    return F5_OK;
}

static f5_status begin_head(multipart *m, f5_error *error) {
    if (m->parts == MULTIPART_MAX_PARTS)
        return f5_fail(error, F5_E_UNSUPPORTED, "multipart body: more than %d parts", MULTIPART_MAX_PARTS);
    m->parts++;
    m->part = (multipart_part){0};
    m->head_bytes = m->line = 0;
    m->headers = 0;
    m->named = false;
    m->state = IN_HEAD;
    return F5_OK;
}

/* A byte of the head. The line's end is looked at when its LF comes. */
static f5_status put_head(multipart *m, char c, f5_error *error) {
    if (m->head_bytes == sizeof m->head)
        return f5_fail(error, F5_E_UNSUPPORTED, "multipart body: part %d: more than %d bytes of headers", m->parts,
                       MULTIPART_MAX_HEAD);
    if (c == '\0') return malformed(m, "a zero byte in a header", error);
    m->head[m->head_bytes++] = c;
    if (c != '\n') return F5_OK;
    if (m->head_bytes < m->line + 2 || m->head[m->head_bytes - 2] != '\r')
        return malformed(m, "a line of its headers ends without CR", error);
    m->head[m->head_bytes - 2] = '\0';
    const char *line = m->head + m->line;
    m->line = m->head_bytes;
    if (*line) {
        if (m->headers++ == MULTIPART_MAX_HEADERS)
            return f5_fail(error, F5_E_UNSUPPORTED, "multipart body: part %d: more than %d headers", m->parts,
                           MULTIPART_MAX_HEADERS);
        return read_header(m, line, error);
    }
    if (!m->named) return malformed(m, "has no Content-Disposition", error);
    m->state = IN_DATA;
    m->matched = 0;
    return m->calls.part(m->calls.user, &m->part, error);
}

/* ---- the body ---------------------------------------------------------------------------------------------------- */

static f5_status put_data(multipart *m, const char *bytes, size_t n, f5_error *error) {
    return n > 0 ? m->calls.data(m->calls.user, bytes, n, error) : F5_OK;
}

/* Reads data up to a delimiter, or all there is; *used tells how much. `matched` counts the delimiter's bytes so far.
 */
static f5_status read_data(multipart *m, const char *bytes, size_t n, size_t *used, f5_error *error) {
    size_t i = 0, before = m->matched; /* of the match, what lies before `bytes` */
    while (i < n && m->matched < m->delimiter_bytes) {
        if (bytes[i] == m->delimiter[m->matched]) {
            m->matched++;
            i++;
            continue;
        }
        F5_TRY(put_data(m, m->delimiter, before, error));
        before = m->matched = 0;
        const char *next = memchr(bytes + i, '\r', n - i);
        i = next ? (size_t)(next - bytes) : n;
    }
    *used = i;
    return put_data(m, bytes, i - (m->matched - before), error); /* what lies before the match */
}

/* A byte behind a boundary, up to the end of its line. */
static f5_status put_boundary_line(multipart *m, char c, f5_error *error) {
    switch (m->state) {
    case AFTER_MATCH:
        m->padding = 0;
        if (c == '-') {
            m->state = AT_DASH;
            return F5_OK;
        } /* fall through */
    case IN_PADDING:
        if (c == '\r') {
            m->state = AT_LF;
            return F5_OK;
        }
        m->state = IN_PADDING;
        if ((c == ' ' || c == '\t') && m->padding++ < MAX_PADDING) return F5_OK;
        break;
    case AT_DASH:
        m->state = AT_END;
        if (c == '-') return F5_OK;
        break;
    default:
        if (c == '\n') return begin_head(m, error);
    }
    return f5_fail(error, F5_E_FORMAT, "multipart body: a boundary with something behind it, after part %d", m->parts);
}

/* Before the first boundary stands nothing, or one CRLF. */
static f5_status put_start(multipart *m, char c, f5_error *error) {
    if (c == '\r' && m->matched == 2 && m->padding++ == 0) m->matched = 0;
    if (c != m->delimiter[m->matched])
        return f5_fail(error, F5_E_FORMAT, "multipart body: does not begin with the boundary that Content-Type gives");
    if (++m->matched == m->delimiter_bytes) m->state = AFTER_MATCH;
    return F5_OK;
}

static f5_status push(multipart *m, const char *bytes, size_t n, f5_error *error) {
    for (size_t i = 0, used; i < n && m->state != AT_END; i += used) {
        used = 1;
        if (m->state == AT_START) {
            F5_TRY(put_start(m, bytes[i], error));
        } else if (m->state == IN_HEAD) {
            F5_TRY(put_head(m, bytes[i], error));
        } else if (m->state == IN_DATA) {
            F5_TRY(read_data(m, bytes + i, n - i, &used, error));
            if (m->matched < m->delimiter_bytes) continue;
            m->state = AFTER_MATCH;
            F5_TRY(m->calls.end(m->calls.user, error));
        } else {
            F5_TRY(put_boundary_line(m, bytes[i], error));
        }
    }
    return F5_OK;
}

f5_status multipart_push(multipart *m, const char *bytes, size_t n, f5_error *error) {
    if (m->failed != F5_OK) return f5_fail(error, m->failed, "multipart body: it failed before");
    return m->failed = push(m, bytes, n, error);
}

f5_status multipart_finish(multipart *m, f5_error *error) {
    if (m->failed != F5_OK) return f5_fail(error, m->failed, "multipart body: it failed before");
    if (m->state != AT_END)
        m->failed = f5_fail(error, F5_E_FORMAT, "multipart body: is cut off: its last boundary is missing");
    return m->failed;
}
