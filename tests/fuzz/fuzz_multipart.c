/* fuzz_multipart.c — any bytes as a multipart body, in bites that the first bytes choose: read whole and in bites they
 * must give the same parts or the same failure, and a form of them must hold what its layout allows.
 * tests/fuzz_sockets.py builds and runs it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host/server/form.h"

typedef struct {
    uint64_t hash, data;
    int parts, open;
} sum;

static void mix(uint64_t *hash, const void *bytes, size_t n) {
    const uint8_t *at = bytes;
    for (size_t i = 0; i < n; i++) *hash = (*hash ^ at[i]) * 0x100000001b3u;
}

static f5_status on_part(void *user, const multipart_part *part, f5_error *error) {
    (void)error;
    sum *s = user;
    if (s->open || !memchr(part->name, 0, sizeof part->name)) abort();
    mix(&s->hash, part->name, strlen(part->name) + 1);
    mix(&s->hash, part->file, strlen(part->file) + 1);
    mix(&s->hash, part->type, strlen(part->type) + 1);
    s->open = 1;
    s->parts++;
    return F5_OK;
}

static f5_status on_data(void *user, const char *bytes, size_t n, f5_error *error) {
    (void)error;
    sum *s = user;
    if (!s->open || n == 0) abort();
    mix(&s->hash, bytes, n);
    s->data += n;
    return F5_OK;
}

static f5_status on_end(void *user, f5_error *error) {
    (void)error;
    sum *s = user;
    if (!s->open) abort();
    s->open = 0;
    mix(&s->hash, "}", 1);
    return F5_OK;
}

/* The same bytes as a form. */
static f5_status read_form(const char *type, const uint8_t *bytes, size_t n, size_t bite) {
    static const form_field fields[] = {{"name", 64}, {"ref_text", 300}};
    static const form_layout layout = {fields, 2, "audio_sample", 500};
    form f;
    f5_error error;
    f5_status status = form_begin(&f, type, &layout, &error);
    for (size_t at = 0; status == F5_OK && at < n; at += bite)
        status = form_push(&f, (const char *)bytes + at, bite < n - at ? bite : n - at, &error);
    if (status == F5_OK) status = form_finish(&f, &error);
    if (status == F5_OK) {
        for (int i = 0; i < 2; i++) {
            const char *value = form_value(&f, fields[i].name);
            if (value && strlen(value) > fields[i].max_bytes) abort();
        }
        if (f.file_bytes > layout.max_file || (f.file_bytes > 0 && f.fd < 0)) abort();
    }
    form_free(&f);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    if (n < 3) return 0;
    size_t bite = bytes[0] % 19 + 1, type_bytes = bytes[1] % 64;
    char type[96] = "multipart/form-data; boundary=b";
    bytes += 2;
    n -= 2;
    if (type_bytes < n && type_bytes > 32) { /* sometimes the header is anyone's too */
        memcpy(type + 20, bytes, type_bytes);
        type[20 + type_bytes] = '\0';
        bytes += type_bytes;
        n -= type_bytes;
    }
    f5_status status[2];
    sum got[2] = {{0}, {0}};
    for (int way = 0; way < 2; way++) {
        multipart m;
        const multipart_calls calls = {on_part, on_data, on_end, &got[way]};
        f5_error error;
        status[way] = multipart_begin(&m, type, &calls, &error);
        for (size_t at = 0; status[way] == F5_OK && at < n;) {
            size_t take = way == 0 ? n : bite < n - at ? bite : n - at;
            char *copy = malloc(take); /* so that a byte too many is seen */
            memcpy(copy, bytes + at, take);
            status[way] = multipart_push(&m, copy, take, &error);
            free(copy);
            at += take;
        }
        if (status[way] == F5_OK) status[way] = multipart_finish(&m, &error);
    }
    /* before a failure the bites may have told less data of a part, but never more parts */
    if (status[0] != status[1] || got[0].parts != got[1].parts) abort();
    if (status[0] == F5_OK && (got[0].hash != got[1].hash || got[0].data != got[1].data)) abort();
    /* a form refuses what multipart refuses, and some of what it takes */
    if (read_form(type, bytes, n, bite) == F5_OK && status[0] != F5_OK) abort();
    return 0;
}
