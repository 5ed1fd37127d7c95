/* voice_api.h — voices by HTTP: listed, uploaded as OpenAI's and vLLM-Omni's clients do it, deleted. */
#ifndef F5_SERVER_VOICE_API_H
#define F5_SERVER_VOICE_API_H

#include "host/server/server.h"

#define VOICE_API_MAX_SAMPLE (16 << 20) /* bytes of a recording that is uploaded */
#define VOICE_API_MAX_UPLOADS 16        /* that come at a time */

/* GET and POST /v1/audio/voices, GET and DELETE /v1/audio/voices/{name}. The server's `voices` must be there. */
f5_status voice_api_add_routes(server *s, f5_error *error);

#endif
