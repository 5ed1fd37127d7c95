/* replies.c — answers in JSON, and errors in the form that OpenAI's clients know. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "host/server/server.h"

/* error.type by status, as OpenAI's server has them. */
static const char *type_of(int status) {
    if (status == 401) return "authentication_error";
    if (status == 403) return "permission_error";
    if (status == 404) return "not_found_error";
    if (status == 429) return "rate_limit_error";
    return status >= 500 ? "server_error" : "invalid_request_error";
}

void reply_json(http_request *r, int status, json_t *value) {
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(value);
    if (text)
        http_reply(r, status, "application/json", text, strlen(text));
    else
        http_reply(r, 503, "text/plain", "no memory", 9);
    free(text);
}

json_t *error_json(int status, const char *param, const char *code, const char *message) {
    return json_pack("{s:{s:s,s:s,s:s?,s:s?}}", "error", "message", message, "type", type_of(status), "param", param,
                     "code", code);
}

void reply_error(http_request *r, int status, const char *param, const char *code, const char *format, ...) {
    char message[1024];
    va_list args;
    va_start(args, format);
    f5_format(message, sizeof message, format, args); /* a text that is cut stays UTF-8 */
    va_end(args);
    if (status == 503 || status == 429) http_set(r, "Retry-After", "1");
    http_note(r, "error", message);
    reply_json(r, status, error_json(status, param, code, message));
}

int status_of(f5_status status) {
    switch (status) {
    case F5_OK:
        return 200;
    case F5_E_ARGUMENT:
    case F5_E_FORMAT:
    case F5_E_SHAPE:
    case F5_E_UNSUPPORTED:
        return 400;
    case F5_E_LIMIT:
        return 413;
    case F5_E_MEMORY:
    case F5_E_DEVICE:
    case F5_E_CANCELLED:
        return 503;
    case F5_E_IO:
        return 500;
    }
    return 500;
}

void reply_status(http_request *r, f5_status status, const char *message) {
    reply_error(r, status_of(status), NULL, NULL, "%s", message);
}
