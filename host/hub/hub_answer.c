/* hub_answer.c — headers digit by digit; the JSON by jansson, once its depth is known to be harmless. */
#include "host/hub/hub_answer.h"

#include <string.h>

#if F5_HAVE_JANSSON
#include <jansson.h>
#endif

bool hub_etag_hash(const char *etag, char hash[HUB_HASH]) {
    if (strncmp(etag, "W/", 2) == 0) etag += 2;
    bool quoted = *etag == '"';
    etag += quoted;
    size_t digits = strspn(etag, "0123456789abcdef");
    if ((digits != 40 && digits != 64) || strcmp(etag + digits, quoted ? "\"" : "") != 0) return false;
    memcpy(hash, etag, digits);
    hash[digits] = '\0';
    return true;
}

/* Reads the number that *text begins with, and moves *text behind it. */
static bool take_number(const char **text, int64_t *number) {
    const char *at = *text;
    for (*number = 0; *at >= '0' && *at <= '9'; at++) {
        if (*number > (INT64_MAX - 9) / 10) return false;
        *number = *number * 10 + (*at - '0');
    }
    bool some = at > *text;
    *text = at;
    return some;
}

bool hub_size(const char *text, int64_t *size) {
    return take_number(&text, size) && !*text;
}

bool hub_content_range(const char *text, int64_t *from, int64_t *to, int64_t *size) {
    if (strncmp(text, "bytes ", 6) != 0) return false;
    text += 6;
    return take_number(&text, from) && *text++ == '-' && take_number(&text, to) && *text++ == '/' &&
           take_number(&text, size) && !*text && *from <= *to && *to < *size;
}

#if F5_HAVE_JANSSON
/* Brackets outside of strings, counted; whether they fit each other is jansson's to say. */
static bool is_shallow(const char *json, size_t bytes) {
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < bytes; i++) {
        if (in_string && json[i] == '\\')
            i++;
        else if (json[i] == '"')
            in_string = !in_string;
        else if (!in_string && (json[i] == '{' || json[i] == '[') && ++depth > HUB_MAX_JSON_DEPTH)
            return false;
        else if (!in_string && (json[i] == '}' || json[i] == ']'))
            depth--;
    }
    return true;
}

/* A licence's name is letters, digits, dots, dashes and plus signs; anything else is none. */
static bool take_licence(const char *name, char licence[HUB_LICENCE]) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-+_";
    size_t bytes = name ? strspn(name, letters) : 0;
    if (bytes == 0 || bytes >= HUB_LICENCE || name[bytes]) return false;
    memcpy(licence, name, bytes + 1);
    return true;
}

f5_status hub_licence_parse(const char *json, size_t bytes, char licence[HUB_LICENCE], f5_error *error) {
    *licence = '\0';
    if (bytes > HUB_MAX_JSON || !is_shallow(json, bytes))
        return f5_fail(error, F5_E_FORMAT, "the hub's description of a repository is longer or deeper than one is");
    json_error_t why;
    json_t *root = json_loadb(json, bytes, JSON_REJECT_DUPLICATES, &why);
    if (!root) return f5_fail(error, F5_E_FORMAT, "the hub's description of a repository is no JSON: %s", why.text);
    json_t *tags = json_object_get(root, "tags");
    bool found =
        take_licence(json_string_value(json_object_get(json_object_get(root, "cardData"), "license")), licence);
    for (size_t i = 0; !found && i < json_array_size(tags); i++) {
        const char *tag = json_string_value(json_array_get(tags, i));
        found = tag && strncmp(tag, "license:", 8) == 0 && take_licence(tag + 8, licence);
    }
    bool is_object = json_is_object(root);
    json_decref(root);
    return is_object ? F5_OK : f5_fail(error, F5_E_FORMAT, "the hub's description of a repository is no object");
}
#else
f5_status hub_licence_parse(const char *json, size_t bytes, char licence[HUB_LICENCE], f5_error *error) {
    (void)json;
    (void)bytes;
    *licence = '\0';
    return f5_fail(error, F5_E_UNSUPPORTED, "this build lacks jansson: install libjansson-dev and build again");
}
#endif
