/* hub_place.c — one look at each variable; the order is huggingface_hub's. */
#define _GNU_SOURCE /* asprintf */
#include "host/hub/hub_place.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define MAX_TOKEN_BYTES 1024

/* A variable that is set to something. */
static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static bool is_on(const char *name) {
    static const char *const words[] = {"1", "on", "yes", "true"};
    const char *value = variable(name);
    for (size_t i = 0; value && i < sizeof words / sizeof *words; i++)
        if (strcasecmp(value, words[i]) == 0) return true;
    return false;
}

/* folder/name, to be freed; NULL: no memory. */
static char *below(const char *folder, const char *name) {
    char *path;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* As Python's expanduser has it: HOME, or what the system knows of the user; to be freed. NULL: neither, or no memory.
 */
static char *home_folder(void) {
    struct passwd user, *found = NULL;
    char *strings = NULL, *copy;
    const char *home = variable("HOME");
    for (size_t bytes = 4096, more = 1; !home && more && bytes <= 1 << 20;
         bytes *= 4) { /* directories have long entries */
        char *larger = realloc(strings, bytes);
        if (!larger) break;
        strings = larger;
        more = getpwuid_r(getuid(), &user, strings, bytes, &found) == ERANGE;
        if (!more && found) home = user.pw_dir;
    }
    copy = home && *home ? strdup(home) : NULL;
    free(strings);
    return copy;
}

/* The folder without '/' at its end, and with the home folder for a leading ~; to be freed. NULL: no home, or no
 * memory. */
static char *expanded(const char *folder) {
    bool of_home = folder[0] == '~' && (folder[1] == '/' || !folder[1]);
    char *path, *home = of_home ? home_folder() : strdup("");
    bool made = home && asprintf(&path, "%s%s", home, folder + of_home) >= 0;
    free(home);
    if (!made) return NULL;
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--) path[n - 1] = '\0';
    return path;
}

/* The folder of an XDG variable, which must be absolute, else the one below home; to be freed. */
static char *xdg(const char *name, const char *otherwise) {
    const char *value = variable(name);
    return expanded(value && *value == '/' ? value : otherwise);
}

/* Where huggingface_hub keeps its things; to be freed. */
static char *hub_home(void) {
    const char *given = variable("HF_HOME");
    if (given) return expanded(given);
    char *cache = xdg("XDG_CACHE_HOME", "~/.cache"), *home = cache ? below(cache, "huggingface") : NULL;
    free(cache);
    return home;
}

static char *hub_cache(void) {
    const char *given = variable("HF_HUB_CACHE");
    if (!given) given = variable("HUGGINGFACE_HUB_CACHE");
    if (given) return expanded(given);
    char *home = hub_home(), *cache = home ? below(home, "hub") : NULL;
    free(home);
    return cache;
}

static char *own_folder(const char *name, const char *otherwise, const char *folder) {
    char *base = xdg(name, otherwise), *path = base ? below(base, folder) : NULL;
    free(base);
    return path;
}

static int stall_seconds(void) {
    const char *given = variable("HF_HUB_DOWNLOAD_TIMEOUT");
    long seconds = given ? strtol(given, NULL, 10) : 0;
    return seconds > 0 && seconds <= 3600 ? (int)seconds : 30;
}

f5_status hub_place_find(hub_place *place, f5_error *error) {
    const char *endpoint = variable("HF_ENDPOINT");
    *place = (hub_place){.cache = hub_cache(),
                         .models = own_folder("XDG_DATA_HOME", "~/.local/share", "f5tts/models"),
                         .converted = own_folder("XDG_CACHE_HOME", "~/.cache", "f5tts/converted"),
                         .endpoint = strdup(endpoint ? endpoint : "https://huggingface.co"),
                         .offline = is_on("HF_HUB_OFFLINE") || is_on("TRANSFORMERS_OFFLINE"),
                         .stall_seconds = stall_seconds()};
    if (!place->cache || !place->models || !place->converted || !place->endpoint)
        return f5_fail(
            error, F5_E_IO,
            "no folder for models: HOME is not set, and the system knows no home of user %u: set HOME, or all of "
            "HF_HUB_CACHE, XDG_DATA_HOME and XDG_CACHE_HOME",
            (unsigned)getuid());
    for (size_t n = strlen(place->endpoint); n > 0 && place->endpoint[n - 1] == '/'; n--) place->endpoint[n - 1] = '\0';
    return F5_OK;
}

void hub_place_free(hub_place *place) {
    free(place->cache);
    free(place->models);
    free(place->converted);
    free(place->endpoint);
    *place = (hub_place){0};
}

/* What the file of a login holds; NULL where there is none. */
static char *stored_token(void) {
    const char *given = variable("HF_TOKEN_PATH");
    char *home = given ? NULL : hub_home();
    char *path = given ? expanded(given) : home ? below(home, "token") : NULL;
    free(home);
    int file = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    free(path);
    if (file < 0) return NULL;
    char text[MAX_TOKEN_BYTES + 1];
    ssize_t n = read(file, text, sizeof text);
    close(file);
    return n > 0 ? strndup(text, (size_t)n) : NULL;
}

f5_status hub_token(char **token, f5_error *error) {
    const char *given = variable("HF_TOKEN");
    if (!given) given = variable("HUGGING_FACE_HUB_TOKEN");
    char *text = given ? strdup(given) : is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN") ? NULL : stored_token();
    *token = NULL;
    if (!text) return F5_OK;
    size_t from = strspn(text, " \t\r\n"), bytes = strcspn(text + from, " \t\r\n");
    bool whole = strspn(text + from + bytes, " \t\r\n") == strlen(text + from + bytes),
         plain = bytes <= MAX_TOKEN_BYTES;
    for (size_t i = 0; i < bytes; i++) plain = plain && text[from + i] > 0x20 && text[from + i] < 0x7f;
    if (whole && plain && bytes > 0) *token = strndup(text + from, bytes);
    free(text);
    if (!whole || !plain)
        return f5_fail(error, F5_E_FORMAT,
                       "HF_TOKEN, or the file of the hub's login, holds no token: it has blanks "
                       "or characters that no token has");
    return F5_OK;
}
