/* hub_curl.h — libcurl, loaded when something is fetched and not before: it brings some thirty libraries, which would
 * cost every run of the program tens of milliseconds. */
#ifndef F5_HUB_CURL_H
#define F5_HUB_CURL_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <stdbool.h>

/* Every function that is called, without "curl_". */
#define HUB_CURL_CALLS(X)                                                                                              \
    X(global_init)                                                                                                     \
    X(easy_init)                                                                                                       \
    X(easy_cleanup)                                                                                                    \
    X(easy_setopt)                                                                                                     \
    X(easy_perform)                                                                                                    \
    X(easy_getinfo)                                                                                                    \
    X(easy_header)                                                                                                     \
    X(easy_strerror)                                                                                                   \
    X(easy_escape)                                                                                                     \
    X(free)                                                                                                            \
    X(slist_append)                                                                                                    \
    X(slist_free_all)                                                                                                  \
    X(url)                                                                                                             \
    X(url_set)                                                                                                         \
    X(url_get)                                                                                                         \
    X(url_cleanup)

typedef struct {
#define HUB_CURL_DECLARE(function) __typeof__(&curl_##function) function;
    HUB_CURL_CALLS(HUB_CURL_DECLARE)
#undef HUB_CURL_DECLARE
} hub_curl;

/* false: no libcurl of version 4's interface is installed. It stays loaded. */
bool hub_curl_load(hub_curl *curl);

#endif
