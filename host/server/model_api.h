/* model_api.h — the listings of models: GET /v1/models, /v1/models/{id}, /v1/audio/models. */
#ifndef F5_SERVER_MODEL_API_H
#define F5_SERVER_MODEL_API_H

#include "host/server/server.h"

f5_status model_api_add(server *s, f5_error *error);

#endif
