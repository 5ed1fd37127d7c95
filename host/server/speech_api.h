/* speech_api.h — POST /v1/audio/speech and /v1/audio/speech/batch. */
#ifndef F5_SERVER_SPEECH_API_H
#define F5_SERVER_SPEECH_API_H

#include "host/server/server.h"

f5_status speech_api_add(server *s, f5_error *error);

void speech_batch_run(http_request *r, void *user); /* speech_batch.c */

#endif
