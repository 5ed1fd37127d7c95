/* keys.c — every key lies in a block of one size, and a comparison reads all blocks to their ends. */
#include "host/server/keys.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/files/text_file.h"

#define KEY_BYTES 256 /* with the end */
#define KEYS_MAX 1024
#define FILE_BYTES (KEY_BYTES * KEYS_MAX)

struct keys {
    int n;
    char key[KEYS_MAX][KEY_BYTES]; /* zeros behind each */
};

static f5_status take_line(keys *k, char *line, const char *path, int number, f5_error *error) {
    line += strspn(line, " \t");
    size_t n = strlen(line);
    while (n > 0 && strchr(" \t\r", line[n - 1])) n--;
    if (n == 0 || *line == '#') return F5_OK;
    if (n >= KEY_BYTES) return f5_fail(error, F5_E_FORMAT, "%s:%d: a key has at most 255 bytes", path, number);
    if (k->n == KEYS_MAX) return f5_fail(error, F5_E_FORMAT, "%s:%d: more than %d keys", path, number, KEYS_MAX);
    memcpy(k->key[k->n++], line, n);
    return F5_OK;
}

f5_status keys_read(keys **made, const char *path, f5_error *error) {
    char *text;
    F5_TRY(text_file_read(path, FILE_BYTES, &text, NULL, error));
    keys *k = calloc(1, sizeof *k);
    f5_status status = k ? F5_OK : f5_fail(error, F5_E_MEMORY, "no memory for keys");
    int number = 0;
    for (char *line = text, *next; status == F5_OK && line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        status = take_line(k, line, path, ++number, error);
    }
    if (status == F5_OK && k->n == 0) status = f5_fail(error, F5_E_FORMAT, "%s: holds no key", path);
    explicit_bzero(text, strlen(text));
    free(text);
    if (status != F5_OK) {
        keys_free(k);
        return status;
    }
    keys_free(*made);
    *made = k;
    return F5_OK;
}

void keys_free(keys *k) {
    if (k) explicit_bzero(k, sizeof *k);
    free(k);
}

bool keys_allow(const keys *k, const char *authorization) {
    char given[KEY_BYTES] = {0};
    if (!authorization || strncasecmp(authorization, "bearer ", 7) != 0) return false;
    authorization += 7 + strspn(authorization + 7, " ");
    size_t n = strlen(authorization);
    if (n == 0 || n >= KEY_BYTES) return false;
    memcpy(given, authorization, n);
    unsigned found = 0;
    for (int i = 0; i < k->n; i++) {
        volatile unsigned difference = 0;
        for (int b = 0; b < KEY_BYTES; b++) difference |= (unsigned char)(given[b] ^ k->key[i][b]);
        found |= difference == 0;
    }
    return found != 0;
}
