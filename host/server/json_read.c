/* json_read.c — brackets and commas are counted before jansson sees a text: it recurses to 2048 levels and takes some
 * hundred bytes for each `[]`. */
#include "host/server/json_read.h"

#include <stdbool.h>
#include <string.h>

static f5_status check_size(const char *text, size_t bytes, f5_error *error) {
    size_t depth = 0, values = 0;
    bool in_string = false;
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\') i++;
            if (c == '"') in_string = false;
            continue;
        }
        if (c == '"') in_string = true;
        if (c == '[' || c == '{') depth++;
        if ((c == ']' || c == '}') && depth > 0) depth--;
        if (c == '[' || c == '{' || c == ',') values++;
        if (depth > JSON_READ_DEPTH)
            return f5_fail(error, F5_E_FORMAT, "the JSON is nested more than %d deep", JSON_READ_DEPTH);
        if (values > JSON_READ_VALUES)
            return f5_fail(error, F5_E_FORMAT, "the JSON has more than %d values", JSON_READ_VALUES);
    }
    return F5_OK;
}

f5_status json_read_object(const char *text, size_t bytes, json_t **object, f5_error *error) {
    *object = NULL;
    F5_TRY(check_size(text, bytes, error));
    json_error_t why;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return f5_fail(error, F5_E_FORMAT, "not JSON: %.100s (line %d, column %d)", why.text, why.line, why.column);
    if (!json_is_object(root)) {
        json_decref(root);
        return f5_fail(error, F5_E_FORMAT, "the JSON must be an object, {...}");
    }
    *object = root;
    return F5_OK;
}

f5_status json_read_string(const json_t *object, const char *key, const char **string, f5_error *error) {
    const json_t *value = json_object_get(object, key);
    *string = NULL;
    if (!value || json_is_null(value)) return F5_OK;
    if (!json_is_string(value)) return f5_fail(error, F5_E_ARGUMENT, "%s must be a string", key);
    *string = json_string_value(value);
    return F5_OK;
}
