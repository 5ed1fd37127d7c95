/* consent_file.c — the recording is kept for whom it may concern; nothing here listens to it. */
#include "host/server/consent_file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/server/voice_metadata.h"

#define FORMAT_NAME "f5tts consent"
#define FORMAT_VERSION 1
#define MAX_FILE_BYTES (CONSENT_MAX_BYTES + (1 << 20))

static f5_status take_word(const safetensors *st, const char *key, char word[CONSENT_MAX_NAME + 1], f5_error *error) {
    const char *text;
    F5_TRY(metadata_text(st, key, CONSENT_MAX_NAME, &text, error));
    snprintf(word, CONSENT_MAX_NAME + 1, "%s", text ? text : "");
    return F5_OK;
}

static f5_status read_consent(consent_file *c, const safetensors *st, f5_error *error) {
    F5_TRY(metadata_format(st, FORMAT_NAME, FORMAT_VERSION, error));
    F5_TRY(take_word(st, "name", c->name, error));
    F5_TRY(take_word(st, "language", c->language, error));
    F5_TRY(take_word(st, "media_type", c->media_type, error));
    F5_TRY(metadata_number(st, "created_at", INT64_MAX / 2, 0, &c->created_at, error));
    const safetensors_tensor *t = safetensors_find(st, "recording");
    if (!t || t->dtype != ST_U8 || t->rank != 1 || t->bytes == 0)
        return f5_fail(error, F5_E_FORMAT, "has no tensor \"recording\" of U8 [bytes]");
    c->bytes = (int64_t)t->bytes;
    return F5_OK;
}

f5_status consent_file_read(consent_file *c, const char *path, f5_error *error) {
    *c = (consent_file){0};
    int copy;
    safetensors st;
    f5_error why = {0};
    F5_TRY(metadata_open(&st, &copy, path, MAX_FILE_BYTES, error));
    f5_status status = read_consent(c, &st, &why);
    if (status != F5_OK) f5_fail(error, status, "%s: %s", path, why.message);
    safetensors_close(&st);
    close(copy);
    return status;
}

static f5_status write_head(const consent_file *c, safetensors_writer *w, f5_error *error) {
    F5_TRY(metadata_put(w, "format", FORMAT_NAME, error));
    F5_TRY(metadata_put_number(w, "version", FORMAT_VERSION, error));
    F5_TRY(metadata_put(w, "name", c->name, error));
    F5_TRY(metadata_put(w, "language", c->language, error));
    F5_TRY(metadata_put(w, "media_type", c->media_type, error));
    F5_TRY(metadata_put_number(w, "created_at", c->created_at, error));
    F5_TRY(safetensors_writer_declare(w, "recording", ST_U8, 1, &c->bytes, error));
    return safetensors_writer_begin(w, error);
}

static f5_status copy_from_file(safetensors_writer *w, const char *from, f5_error *error) {
    FILE *file = fopen(from, "rb");
    if (!file) return f5_fail(error, F5_E_IO, "the recording cannot be read");
    char block[16384];
    f5_status status = F5_OK;
    for (size_t n; status == F5_OK && (n = fread(block, 1, sizeof block, file)) > 0;)
        status = safetensors_writer_data(w, block, n, error);
    fclose(file);
    return status;
}

static f5_status copy_from_consent(safetensors_writer *w, const char *path, f5_error *error) {
    int copy;
    safetensors st;
    F5_TRY(metadata_open(&st, &copy, path, MAX_FILE_BYTES, error));
    const safetensors_tensor *t = safetensors_find(&st, "recording");
    f5_status status = t ? safetensors_writer_data(w, t->data, t->bytes, error)
                         : f5_fail(error, F5_E_FORMAT, "%s: has no recording", path);
    safetensors_close(&st);
    close(copy);
    return status;
}

f5_status consent_file_write(const consent_file *c, const char *path, const char *from, f5_error *error) {
    safetensors_writer *w;
    F5_TRY(safetensors_writer_open(&w, path, error));
    f5_status status = write_head(c, w, error);
    if (status == F5_OK) status = from ? copy_from_file(w, from, error) : copy_from_consent(w, path, error);
    if (status == F5_OK) status = safetensors_writer_finish(w, error);
    safetensors_writer_close(w);
    return status;
}
