/* hub_client.c — one request at a time over one connection: redirects and second tries are loops around it. */
#define _GNU_SOURCE /* asprintf */
#include "host/hub/hub_client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/api/f5tts.h"
#include "host/hub/hub_curl.h"

#define MAX_REDIRECTS 5
#define MAX_TRIES 5
#define FIRST_PAUSE 0.25          /* seconds; the next is twice as long */
#define MAX_WAIT 120              /* seconds that a hub may ask for */
#define MAX_HEAD_BYTES (64 << 10) /* of one answer's headers */
#define MAX_PAGE_BYTES (1 << 20)  /* of the page that comes with an error, which is not looked at */

struct hub_client {
    const hub_place *place;
    const hub_events *events;
    hub_curl curl;
    CURL *easy;
    struct curl_slist *with_token; /* headers for the endpoint; NULL: no token */
    char reason[CURL_ERROR_SIZE];
};

/* One thing asked for, and how far it has come. */
typedef struct {
    hub_client *client;
    const char *what;     /* for messages: the file's name */
    bool head;            /* headers alone are wanted */
    int max_tries;        /* in a row that bring nothing */
    int64_t at, size;     /* the byte that comes next, and bytes in all; -1: not known */
    const hub_sink *sink; /* NULL: of a head */
    bool in_body;
    size_t head_bytes, page_bytes;
    long code; /* of the last answer; 0: none came */
    f5_status failed;
    f5_error *error;
} request;

void hub_note(const hub_events *events, const char *format, ...) {
    char message[512];
    va_list arguments;
    if (!events || !events->note) return;
    va_start(arguments, format);
    f5_format(message, sizeof message, format, arguments);
    va_end(arguments);
    events->note(events->user, message);
}

/* ---- open and close ---------------------------------------------------------------------------------------------- */

/* Do two addresses have scheme, host and port in common? */
static bool same_origin(hub_client *c, const char *a, const char *b) {
    static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    CURLU *first = c->curl.url(), *second = c->curl.url();
    bool same = first && second && c->curl.url_set(first, CURLUPART_URL, a, 0) == CURLUE_OK &&
                c->curl.url_set(second, CURLUPART_URL, b, 0) == CURLUE_OK;
    for (int i = 0; same && i < 3; i++) {
        char *x = NULL, *y = NULL;
        same = c->curl.url_get(first, parts[i], &x, CURLU_DEFAULT_PORT) == CURLUE_OK &&
               c->curl.url_get(second, parts[i], &y, CURLU_DEFAULT_PORT) == CURLUE_OK && strcmp(x, y) == 0;
        c->curl.free(x);
        c->curl.free(y);
    }
    c->curl.url_cleanup(first);
    c->curl.url_cleanup(second);
    return same;
}

static f5_status take_token(hub_client *c, f5_error *error) {
    char *token = NULL, *header = NULL;
    F5_TRY(hub_token(&token, error));
    if (!token) return F5_OK;
    if (asprintf(&header, "Authorization: Bearer %s", token) < 0) header = NULL;
    free(token);
    if (header) c->with_token = c->curl.slist_append(NULL, header);
    free(header);
    return c->with_token ? F5_OK : f5_fail(error, F5_E_MEMORY, "no memory for a token");
}

static size_t take_head(char *bytes, size_t one, size_t n, void *user);
static size_t take_body(char *bytes, size_t one, size_t n, void *user);

/* false: this libcurl is too old to be told which protocols it may speak. */
static bool set_options(hub_client *c, bool plain_http) {
    char agent[64];
    snprintf(agent, sizeof agent, "f5tts/%s", f5_version());
    if (c->curl.easy_setopt(c->easy, CURLOPT_PROTOCOLS_STR, plain_http ? "http,https" : "https") != CURLE_OK)
        return false;
    c->curl.easy_setopt(c->easy, CURLOPT_FOLLOWLOCATION, 0L);
    c->curl.easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
    c->curl.easy_setopt(c->easy, CURLOPT_USERAGENT, agent);
    c->curl.easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT, (long)c->place->stall_seconds);
    c->curl.easy_setopt(c->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    c->curl.easy_setopt(c->easy, CURLOPT_LOW_SPEED_TIME, (long)c->place->stall_seconds);
    c->curl.easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->reason);
    c->curl.easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, take_head);
    c->curl.easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, take_body);
    const char *bundle = getenv("CURL_CA_BUNDLE"); /* as the program curl has it */
    if (!bundle || !*bundle) bundle = getenv("SSL_CERT_FILE");
    if (bundle && *bundle) c->curl.easy_setopt(c->easy, CURLOPT_CAINFO, bundle);
    return true;
}

f5_status hub_client_open(hub_client **client, const hub_place *place, const hub_events *events, f5_error *error) {
    const bool plain_http = strncmp(place->endpoint, "http://", 7) == 0;
    hub_client *c = *client = calloc(1, sizeof *c);
    if (!c) return f5_fail(error, F5_E_MEMORY, "no memory for a connection");
    c->place = place;
    c->events = events;
    f5_status status = F5_OK;
    if (!hub_curl_load(&c->curl) || c->curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        status = f5_fail(error, F5_E_UNSUPPORTED, "libcurl is not installed, or cannot be loaded: it is what fetches");
    else if ((!plain_http && strncmp(place->endpoint, "https://", 8) != 0) ||
             !same_origin(c, place->endpoint, place->endpoint))
        status = f5_fail(error, F5_E_ARGUMENT, "HF_ENDPOINT is no address of a hub: https://huggingface.co is one");
    else
        status = take_token(c, error);
    if (status == F5_OK && !(c->easy = c->curl.easy_init()))
        status = f5_fail(error, F5_E_MEMORY, "no memory for a connection");
    if (status == F5_OK && !set_options(c, plain_http))
        status = f5_fail(error, F5_E_UNSUPPORTED, "libcurl 7.85 or later is wanted: an older one is installed");
    if (status == F5_OK) return F5_OK;
    hub_client_close(c);
    *client = NULL;
    return status;
}

void hub_client_close(hub_client *c) {
    if (!c) return;
    if (c->easy) c->curl.easy_cleanup(c->easy);
    if (c->with_token) c->curl.slist_free_all(c->with_token);
    free(c);
}

/* ---- what comes -------------------------------------------------------------------------------------------------- */

/* A header of the last answer, "" where it has none. It lives until the next request. */
static const char *header(hub_client *c, const char *name) {
    struct curl_header *found;
    return c->curl.easy_header(c->easy, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value : "";
}

static size_t take_head(char *bytes, size_t one, size_t n, void *user) {
    (void)bytes;
    request *r = user;
    r->head_bytes += one * n;
    if (r->head_bytes <= MAX_HEAD_BYTES) return one * n;
    r->failed = f5_fail(r->error, F5_E_FORMAT, "%s: the answer's headers do not end", r->what);
    return 0;
}

/* What comes instead of a file where somebody else answers. */
static f5_status check_type(request *r) {
    char *type = NULL;
    r->client->curl.easy_getinfo(r->client->easy, CURLINFO_CONTENT_TYPE, &type);
    if (!type || strncmp(type, "text/html", 9) != 0) return F5_OK;
    return f5_fail(r->error, F5_E_FORMAT,
                   "%s: a page of HTML came instead of the file: is there a login page or a proxy in between?",
                   r->what);
}

static f5_status begin_body(request *r) {
    curl_off_t length = -1;
    int64_t from, to, size;
    r->in_body = true;
    F5_TRY(check_type(r));
    if (r->code == 206) {
        if (!hub_content_range(header(r->client, "content-range"), &from, &to, &size) || from != r->at ||
            size != r->size)
            return f5_fail(r->error, F5_E_FORMAT, "%s: another part came than the one that was asked for", r->what);
        return F5_OK;
    }
    r->client->curl.easy_getinfo(r->client->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (r->size >= 0 && length >= 0 && length != r->size)
        return f5_fail(r->error, F5_E_FORMAT, "%s: %lld bytes come, where the hub says that it has %lld", r->what,
                       (long long)length, (long long)r->size);
    if (r->at == 0) return F5_OK;
    r->at = 0; /* the server does not know parts */
    return r->sink->restart(r->sink->user, r->error);
}

static size_t take_body(char *bytes, size_t one, size_t n, void *user) {
    request *r = user;
    const hub_events *events = r->client->events;
    n *= one;
    r->client->curl.easy_getinfo(r->client->easy, CURLINFO_RESPONSE_CODE, &r->code);
    if (r->head || (r->code != 200 && r->code != 206)) {
        r->page_bytes += n;
        return r->page_bytes <= MAX_PAGE_BYTES ? n : 0;
    }
    if (!r->in_body) r->failed = begin_body(r);
    if (r->failed == F5_OK && r->size >= 0 && (int64_t)n > r->size - r->at)
        r->failed = f5_fail(r->error, F5_E_FORMAT, "%s: more bytes come than the %lld that the hub says it has",
                            r->what, (long long)r->size);
    if (r->failed == F5_OK) r->failed = r->sink->data(r->sink->user, bytes, n, r->error);
    if (r->failed != F5_OK) return 0;
    r->at += (int64_t)n;
    if (r->size >= 0 && events && events->progress) events->progress(events->user, r->what, r->at, r->size);
    return n;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

/* One request and its redirects. A head ends where the hub itself has answered, also where the file lies elsewhere. */
static CURLcode follow(request *r, const char *url) {
    hub_client *c = r->client;
    CURLcode result = CURLE_OUT_OF_MEMORY;
    char *here = strdup(url), range[32];
    for (int hops = 0; here && hops <= MAX_REDIRECTS; hops++) {
        bool at_home = same_origin(c, here, c->place->endpoint);
        r->in_body = false;
        r->head_bytes = r->page_bytes = 0;
        r->code = 0;
        c->reason[0] = '\0';
        snprintf(range, sizeof range, "%lld-", (long long)r->at);
        c->curl.easy_setopt(c->easy, CURLOPT_URL, here);
        c->curl.easy_setopt(c->easy, CURLOPT_HTTPHEADER, at_home ? c->with_token : NULL);
        c->curl.easy_setopt(c->easy, CURLOPT_NOBODY, r->head ? 1L : 0L);
        if (!r->head) c->curl.easy_setopt(c->easy, CURLOPT_HTTPGET, 1L);
        c->curl.easy_setopt(c->easy, CURLOPT_RANGE, r->at > 0 ? range : NULL);
        c->curl.easy_setopt(c->easy, CURLOPT_HEADERDATA, r);
        c->curl.easy_setopt(c->easy, CURLOPT_WRITEDATA, r);
        result = c->curl.easy_perform(c->easy);
        c->curl.easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &r->code);
        char *next = NULL;
        c->curl.easy_getinfo(c->easy, CURLINFO_REDIRECT_URL, &next);
        if (result != CURLE_OK || r->code < 300 || r->code > 399 || !next) break;
        if (r->head && *header(c, "x-repo-commit") && !same_origin(c, next, c->place->endpoint)) break;
        next = strdup(next);
        free(here);
        here = next;
    }
    free(here);
    return result;
}

static bool is_passing(CURLcode result, long code) {
    switch (result) {
    case CURLE_OK:
        return code == 408 || code == 429 || code == 200 || code == 206 || (code >= 500 && code <= 504);
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR:
        return true;
    default:
        return false;
    }
}

/* What an answer that is no file means, and what helps. */
static f5_status explain(const request *r, CURLcode result, f5_error *error) {
    hub_client *c = r->client;
    const char *code = header(c, "x-error-code");
    if (result != CURLE_OK && !(result == CURLE_WRITE_ERROR && r->code >= 400))
        return f5_fail(error, F5_E_IO, "%s: %s%s", r->what, *c->reason ? c->reason : c->curl.easy_strerror(result),
                       result == CURLE_UNSUPPORTED_PROTOCOL ? " (only https is, unless HF_ENDPOINT says http)" : "");
    if (strcmp(code, "GatedRepo") == 0 || r->code == 403)
        return f5_fail(error, F5_E_IO,
                       "%s: the hub refuses it (%ld): its owner asks for an agreement first: accept it on the "
                       "repository's page, and set HF_TOKEN",
                       r->what, r->code);
    if (r->code == 401)
        return f5_fail(error, F5_E_IO, "%s: the hub refuses it (401): there is no such repository, or it is private%s",
                       r->what, c->with_token ? ", and HF_TOKEN does not open it" : ": set HF_TOKEN");
    if (r->code == 404)
        return f5_fail(error, F5_E_IO, "%s: not found (404)%s", r->what,
                       strcmp(code, "RevisionNotFound") == 0 ? ": there is no such revision"
                       : strcmp(code, "RepoNotFound") == 0   ? ": there is no such repository"
                                                             : "");
    if (r->code >= 300 && r->code < 400)
        return f5_fail(error, F5_E_IO, "%s: the hub sends elsewhere more than %d times", r->what, MAX_REDIRECTS);
    if (r->code == 200 || r->code == 206)
        return f5_fail(error, F5_E_IO, "%s: ends after %lld of %lld bytes: try again, it goes on from there", r->what,
                       (long long)r->at, (long long)r->size);
    return f5_fail(error, F5_E_IO, "%s: the hub answers %ld: try again later", r->what, r->code);
}

static void wait_seconds(double seconds) {
    struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&left, &left) != 0) continue;
}

/* Asks again where that may help, until all has come. */
static f5_status transfer(request *r, const char *url, f5_error *error) {
    hub_client *c = r->client;
    double pause = FIRST_PAUSE;
    for (int tries = 1;; tries++) {
        int64_t before = r->at;
        CURLcode result = follow(r, url);
        if (r->failed != F5_OK) return r->failed;
        bool answered = result == CURLE_OK && (r->code == 200 || r->code == 206 || (r->head && r->code / 100 == 3));
        if (answered && (r->head || r->size < 0 || r->at == r->size)) return F5_OK;
        bool restart = r->at > 0 && (r->size < 0 || r->code == 416); /* no parts of it are to be had */
        if ((!restart && !is_passing(result, r->code)) || (tries >= r->max_tries && r->at <= before))
            return explain(r, result, error);
        if (restart) {
            r->at = 0;
            F5_TRY(r->sink->restart(r->sink->user, error));
        } else if (r->at > before) {
            tries = 0;
            pause = FIRST_PAUSE;
        }
        curl_off_t asked = 0;
        c->curl.easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &asked);
        if (result == CURLE_OK && asked > MAX_WAIT)
            return f5_fail(error, F5_E_IO, "%s: the hub asks to wait %lld s (%ld): try again then", r->what,
                           (long long)asked, r->code);
        double wait = result == CURLE_OK && asked > 0 ? (double)asked : pause;
        if (wait >= 1) hub_note(c->events, "%s: trying again in %.0f s", r->what, wait);
        wait_seconds(wait);
        pause *= 2;
    }
}

/* ENDPOINT/OWNER/NAME/resolve/REVISION/PATH with what an address cannot have written as %XX; to be freed. */
static char *address_of(hub_client *c, const hub_file *file, const char *revision) {
    char *path = c->curl.easy_escape(c->easy, file->path, 0), *url = NULL;
    if (!path) return NULL;
    char *to = path; /* the slashes come back */
    for (const char *from = path; *from;) {
        bool slash = strncmp(from, "%2F", 3) == 0;
        *to++ = slash ? '/' : *from;
        from += slash ? 3 : 1;
    }
    *to = '\0';
    if (asprintf(&url, "%s/%s/resolve/%s/%s", c->place->endpoint, file->repository, revision, path) < 0) url = NULL;
    c->curl.free(path);
    return url;
}

static f5_status ask(request *r, char *url, f5_error *error) {
    f5_status status = url ? transfer(r, url, error) : f5_fail(error, F5_E_MEMORY, "no memory for an address");
    free(url);
    return status;
}

static f5_status read_head(request *r, hub_head *head, f5_error *error) {
    hub_client *c = r->client;
    const char *commit = header(c, "x-repo-commit"), *etag = header(c, "x-linked-etag");
    const char *size = header(c, "x-linked-size");
    if (!*etag) etag = header(c, "etag");
    if (!*size) size = header(c, "content-length");
    if (!hub_is_commit(commit))
        return f5_fail(error, F5_E_FORMAT,
                       "%s: what answers is not a model hub: is there a login page or a proxy in between, or is "
                       "HF_ENDPOINT wrong?",
                       r->what);
    memcpy(head->commit, commit, HUB_COMMIT);
    if (!hub_etag_hash(etag, head->hash) || !hub_size(size, &head->size))
        return f5_fail(error, F5_E_FORMAT, "%s: the hub gives no hash or no size of it: it cannot be checked", r->what);
    return F5_OK;
}

f5_status hub_client_head(hub_client *c, const hub_file *file, hub_head *head, f5_error *error) {
    *head = (hub_head){0};
    char *name = hub_file_url(file, NULL);
    request r = {
        .client = c, .what = name ? name : "", .head = true, .max_tries = MAX_TRIES, .size = -1, .error = error};
    f5_status status = ask(&r, address_of(c, file, file->revision), error);
    if (status == F5_OK)
        status = read_head(&r, head, error);
    else if (r.code == 404 && strcmp(header(c, "x-error-code"), "EntryNotFound") == 0)
        head->missing = true;
    free(name);
    return head->missing ? F5_OK : status;
}

f5_status hub_client_get(hub_client *c, const hub_file *file, const hub_head *head, int64_t from, const hub_sink *sink,
                         f5_error *error) {
    const char *slash = strrchr(file->path, '/');
    request r = {.client = c,
                 .what = slash ? slash + 1 : file->path,
                 .max_tries = MAX_TRIES,
                 .at = from,
                 .size = head->size,
                 .sink = sink,
                 .error = error};
    return ask(&r, address_of(c, file, head->commit), error);
}

/* ---- the description --------------------------------------------------------------------------------------------- */

typedef struct {
    char *text;
    size_t bytes;
} page;

static f5_status page_restart(void *user, f5_error *error) {
    (void)error;
    ((page *)user)->bytes = 0;
    return F5_OK;
}

static f5_status page_add(void *user, const void *bytes, size_t n, f5_error *error) {
    page *p = user;
    char *more = n <= HUB_MAX_JSON - p->bytes ? realloc(p->text, p->bytes + n + 1) : NULL;
    if (!more) return f5_fail(error, F5_E_FORMAT, "the hub's description of a repository is longer than one is");
    p->text = more;
    memcpy(p->text + p->bytes, bytes, n);
    p->bytes += n;
    return F5_OK;
}

f5_status hub_client_licence(hub_client *c, const hub_file *file, char licence[HUB_LICENCE], f5_error *error) {
    page p = {0};
    const hub_sink sink = {page_restart, page_add, &p};
    request r = {.client = c, .what = file->repository, .max_tries = 1, .size = -1, .sink = &sink, .error = error};
    char *url;
    *licence = '\0';
    if (asprintf(&url, "%s/api/models/%s/revision/%s", c->place->endpoint, file->repository, file->revision) < 0)
        url = NULL;
    f5_status status = ask(&r, url, error);
    if (status == F5_OK) status = hub_licence_parse(p.text ? p.text : "", p.bytes, licence, error);
    free(p.text);
    return status;
}
