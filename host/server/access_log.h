/* access_log.h — a line for each request that is over. Nothing here waits for a disk or a reader. */
#ifndef F5_SERVER_ACCESS_LOG_H
#define F5_SERVER_ACCESS_LOG_H

#include "host/server/http.h"

typedef struct access_log access_log;
enum { LOG_JSON, LOG_TEXT, LOG_NONE };

/* path NULL: standard output. F5_E_IO names the file; F5_E_MEMORY. */
f5_status access_log_open(access_log **log, const char *path, int format, f5_error *error);
void access_log_reopen(access_log *log); /* the file was moved away: another begins */
void access_log_close(access_log *log);  /* waits for the last lines, two seconds at most; NULL is fine */

void access_log_write(access_log *log, const http_record *record);

#endif
