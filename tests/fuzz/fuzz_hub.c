/* fuzz_hub.c — any bytes as what a model hub answers: headers, its description of a repository, and names of files as a
 * user types them. What is believed must be harmless: hashes are digits, parts lie in their file, names lead down. For
 * libFuzzer: tests/fuzz_hub.py. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host/hub/hub_answer.h"
#include "host/hub/hub_cache.h"
#include "host/hub/model_names.h"

#define CHECK(what)                                                                                                    \
    if (!(what)) abort()

static void fuzz_headers(const char *text) {
    char hash[HUB_HASH];
    int64_t from, to, size;
    if (hub_etag_hash(text, hash)) {
        size_t n = strlen(hash);
        CHECK((n == 40 || n == 64) && strspn(hash, "0123456789abcdef") == n);
    }
    if (hub_size(text, &size)) CHECK(size >= 0);
    if (hub_content_range(text, &from, &to, &size)) CHECK(0 <= from && from <= to && to < size);
    if (hub_is_commit(text)) CHECK(strlen(text) == 40 && !strchr(text, '/'));
}

static void fuzz_description(const char *bytes, size_t n) {
    char licence[HUB_LICENCE];
    f5_error error;
    if (hub_licence_parse(bytes, n, licence, &error) != F5_OK) return;
    CHECK(memchr(licence, 0, sizeof licence));
    for (const char *c = licence; *c; c++) CHECK((unsigned char)*c > 0x20 && (unsigned char)*c < 0x7f);
}

static void fuzz_name(const char *text) {
    hub_file file, again;
    f5_error error;
    char url[2048] = "hf://";
    strncat(url, text, sizeof url - 6);
    if (hub_file_parse(&file, url, &error) != F5_OK) return;
    CHECK(!strstr(file.repository, "..") && !strstr(file.revision, "..") && !strchr(file.revision, '/'));
    CHECK(file.path[0] != '/' && !strstr(file.path, "/../") && strncmp(file.path, "../", 3) != 0);
    size_t n = strlen(file.path);
    CHECK(n > 0 && strcmp(file.path, "..") != 0 && (n < 3 || strcmp(file.path + n - 3, "/..") != 0));
    char *told = hub_file_url(&file, NULL);
    CHECK(told && hub_file_parse(&again, told, &error) == F5_OK);
    CHECK(strcmp(again.repository, file.repository) == 0 && strcmp(again.path, file.path) == 0 &&
          strcmp(again.revision, file.revision) == 0);
    free(told);
    model_kind_of_path(file.path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    if (n == 0) return 0;
    char *text = malloc(n); /* without the first byte, and with an end */
    CHECK(text);
    memcpy(text, bytes + 1, n - 1);
    text[n - 1] = '\0';
    if (bytes[0] % 3 == 0)
        fuzz_headers(text);
    else if (bytes[0] % 3 == 1)
        fuzz_description(text, n - 1);
    else
        fuzz_name(text);
    free(text);
    return 0;
}
