/* consent_api.h — recorded consents by HTTP, as OpenAI's /v1/audio/voice_consents. */
#ifndef F5_SERVER_CONSENT_API_H
#define F5_SERVER_CONSENT_API_H

#include "host/server/server.h"

#define CONSENT_API_MAX_UPLOADS 8 /* that come at a time */

/* GET and POST /v1/audio/voice_consents, GET, POST and DELETE /v1/audio/voice_consents/{id}. The server's `consents`
 * must be there. */
f5_status consent_api_add_routes(server *s, f5_error *error);

#endif
