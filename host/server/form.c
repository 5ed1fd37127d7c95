/* form.c — parts find their field by name; each may come once. */
#define _GNU_SOURCE /* memfd_create */
#include "host/server/form.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "weights/utf8.h"

static f5_status begin_file(form *f, const multipart_part *part, f5_error *error) {
    if (f->fd >= 0) return f5_fail(error, F5_E_FORMAT, "form: %s is given twice", part->name);
    f->fd = memfd_create("f5tts upload", MFD_CLOEXEC);
    if (f->fd < 0) return f5_fail(error, F5_E_MEMORY, "form: no memory for %s: %s", part->name, strerror(errno));
    memcpy(f->media_type, part->type, sizeof f->media_type);
    f->in_file = true;
    return F5_OK;
}

static f5_status on_part(void *user, const multipart_part *part, f5_error *error) {
    form *f = user;
    f->at = -1;
    f->in_file = false;
    f->n = 0;
    if (strcmp(part->name, f->layout->file) == 0) return begin_file(f, part, error);
    for (int i = 0; i < f->layout->n_fields; i++) {
        if (strcmp(part->name, f->layout->fields[i].name) != 0) continue;
        if (f->value[i]) return f5_fail(error, F5_E_FORMAT, "form: %s is given twice", part->name);
        f->value[i] = malloc(f->layout->fields[i].max_bytes + 1);
        if (!f->value[i]) return f5_fail(error, F5_E_MEMORY, "form: no memory for %s", part->name);
        f->value[i][0] = '\0';
        f->at = i;
    }
    return F5_OK;
}

static f5_status put_file(form *f, const char *bytes, size_t n, f5_error *error) {
    if (n > f->layout->max_file - f->file_bytes)
        return f5_fail(error, F5_E_LIMIT, "form: %s is larger than %zu MB", f->layout->file, f->layout->max_file >> 20);
    f->file_bytes += n;
    while (n > 0) {
        ssize_t put = write(f->fd, bytes, n);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0)
            return f5_fail(error, F5_E_MEMORY, "form: no memory for %s: %s", f->layout->file, strerror(errno));
        bytes += put;
        n -= (size_t)put;
    }
    return F5_OK;
}

static f5_status on_data(void *user, const char *bytes, size_t n, f5_error *error) {
    form *f = user;
    if (f->in_file) return put_file(f, bytes, n, error);
    if (f->at < 0) return F5_OK;
    const form_field *field = &f->layout->fields[f->at];
    if (n > field->max_bytes - f->n)
        return f5_fail(error, F5_E_LIMIT, "form: %s is longer than %zu bytes", field->name, field->max_bytes);
    memcpy(f->value[f->at] + f->n, bytes, n);
    f->n += n;
    f->value[f->at][f->n] = '\0';
    return F5_OK;
}

static f5_status on_end(void *user, f5_error *error) {
    form *f = user;
    if (f->at < 0) return F5_OK;
    const char *value = f->value[f->at], *name = f->layout->fields[f->at].name;
    for (size_t i = 0; i < f->n; i++)
        if (((unsigned char)value[i] < 0x20 && !(value[i] && strchr("\t\r\n", value[i]))) || value[i] == 0x7f)
            return f5_fail(error, F5_E_FORMAT, "form: %s holds a control character", name);
    if (utf8_valid_prefix(value, f->n) < f->n) return f5_fail(error, F5_E_FORMAT, "form: %s is not UTF-8", name);
    return F5_OK;
}

f5_status form_begin(form *f, const char *content_type, const form_layout *layout, f5_error *error) {
    *f = (form){.layout = layout, .fd = -1, .at = -1};
    const multipart_calls calls = {on_part, on_data, on_end, f};
    return multipart_begin(&f->parser, content_type, &calls, error);
}

f5_status form_push(form *f, const char *bytes, size_t n, f5_error *error) {
    return multipart_push(&f->parser, bytes, n, error);
}

f5_status form_finish(form *f, f5_error *error) {
    return multipart_finish(&f->parser, error);
}

void form_free(form *f) {
    for (int i = 0; i < FORM_MAX_FIELDS; i++) free(f->value[i]);
    if (f->fd >= 0) close(f->fd);
    *f = (form){.fd = -1};
}

const char *form_value(const form *f, const char *name) {
    for (int i = 0; i < f->layout->n_fields; i++)
        if (strcmp(f->layout->fields[i].name, name) == 0) return f->value[i] && *f->value[i] ? f->value[i] : NULL;
    return NULL;
}
