/* page.c — the page is part of the program; a browser that has it already gets 304. */
#include "host/server/page.h"

#include <string.h>

#include "host/server/page_files.h"

/* Nothing but what comes from here: no other host, no script in the HTML. `blob:` is what the browser recorded. */
#define POLICY                                                                                                         \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src blob:; img-src data:; "    \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* Is the tag in an If-None-Match? A proxy may have made a weak one of it. */
static bool has_tag(const char *header, const char *tag) {
    return header && (strcmp(header, "*") == 0 || strstr(header, tag) != NULL);
}

static void send_file(http_request *r, void *user) {
    const page_file *file = user;
    http_set(r, "ETag", file->tag);
    http_set(r, "Cache-Control", "no-cache");
    http_set(r, "Content-Security-Policy", POLICY);
    http_set(r, "X-Content-Type-Options", "nosniff");
    http_set(r, "Referrer-Policy", "no-referrer");
    http_set(r, "Permissions-Policy", "microphone=(self), camera=(), geolocation=()");
    http_set(r, "Cross-Origin-Opener-Policy", "same-origin");
    if (has_tag(http_header(r, "if-none-match"), file->tag))
        http_reply(r, 304, file->type, NULL, 0);
    else
        http_reply(r, 200, file->type, file->bytes, file->n);
}

f5_status page_add_routes(http_server *s, f5_error *error) {
    for (int i = 0; i < page_file_count; i++) {
        const http_route route = {.method = "GET",
                                  .path = page_files[i].path,
                                  .open = true,
                                  .run = send_file,
                                  .user = (void *)&page_files[i]};
        F5_TRY(http_route_add(s, &route, error));
    }
    return F5_OK;
}
