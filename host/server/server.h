/* server.h — what handlers reach through http_user(r): the parts of a running server. */
#ifndef F5_SERVER_SERVER_H
#define F5_SERVER_SERVER_H

#include <jansson.h>
#include <stdbool.h>

#include "host/server/http.h"
#include "host/server/server_options.h"
#include "host/server/speaker.h"

typedef struct server server;
struct server {
    const server_options *options;
    char devices[SERVER_DEVICES_MAX * 64]; /* as options', but what "auto" was found to be */
    loop *loop;
    peers *peers;
    http_server *http;
    speaker *speaker;
    struct voice_store *voices;
    struct consent_store *consents;
    int uploads, consent_orders; /* voices and consents that are being changed */
    struct metrics *metrics;
    struct access_log *log;
    struct keys *keys;
    struct memory_keeper *memory;
    double started;     /* seconds of the epoch */
    bool ending;        /* drains: nothing new begins */
    bool anew;          /* then the program is to begin anew */
    loop_post hopeless; /* the speaker's word that it must */
    loop_timer *look;
    double drained; /* loop_seconds at which draining is over at the latest */
};

/* {"error": {"message", "type", "param", "code"}}, as OpenAI's. type and code follow from the status unless given;
 * param and code may be NULL. 503 and 429 carry Retry-After. */
void reply_error(http_request *r, int status, const char *param, const char *code, const char *format, ...)
    F5_PRINTF(5, 6);
void reply_status(http_request *r, f5_status status, const char *message); /* the HTTP status follows from it */
int status_of(f5_status status);                                           /* it */
json_t *error_json(int status, const char *param, const char *code, const char *message);
void reply_json(http_request *r, int status, json_t *value); /* takes value, which may be NULL: 500 */

#endif
