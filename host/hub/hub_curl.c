/* hub_curl.c — the names that Debian and others give the same library, and its functions by theirs. */
#include "host/hub/hub_curl.h"

#include <dlfcn.h>
#include <string.h>

bool hub_curl_load(hub_curl *curl) {
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl-nss.so.4"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
#define FIND(function)                                                                                                 \
    {                                                                                                                  \
        void *found = dlsym(library, "curl_" #function);                                                               \
        if (!found) return false;                                                                                      \
        memcpy(&curl->function, &found, sizeof found);                                                                 \
    }
    HUB_CURL_CALLS(FIND)
#undef FIND
    return true;
}
