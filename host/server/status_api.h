/* status_api.h — how the server is: /health, /livez, /readyz, /metrics, and what /v1/ says to those that warm up a
 * connection. */
#ifndef F5_SERVER_STATUS_API_H
#define F5_SERVER_STATUS_API_H

#include "host/server/server.h"

f5_status status_api_add(server *s, f5_error *error);

#endif
