/* page.h — the page at /: its files, with the headers that keep it to this server. */
#ifndef F5_SERVER_PAGE_H
#define F5_SERVER_PAGE_H

#include "host/server/http.h"

f5_status page_add_routes(http_server *s, f5_error *error);

#endif
