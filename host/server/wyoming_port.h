/* wyoming_port.h — Wyoming on a port of its own, for Home Assistant: connections, and the speech that they ask for. On
 * the loop's thread. The protocol has no keys: whoever reaches the port may speak. */
#ifndef F5_WYOMING_PORT_H
#define F5_WYOMING_PORT_H

#include "host/server/server.h"

/* Listens at server_options.wyoming_host and .wyoming_port. *port receives the port, which may be asked for as 0. */
f5_status wyoming_port_listen(server *s, int *port, f5_error *error);

#endif
