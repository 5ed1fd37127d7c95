/* metrics.h — counters of the server, as Prometheus reads them. */
#ifndef F5_SERVER_METRICS_H
#define F5_SERVER_METRICS_H

#include "host/server/http.h"
#include "host/server/speaker.h"

typedef struct metrics metrics;

metrics *metrics_new(void); /* NULL: no memory */
void metrics_free(metrics *m);

void metrics_request(metrics *m, const http_record *record);
/* Speech that ended, over whichever protocol. first: seconds from the request until its first sound was sent, 0: there
 * was none; whole: until its end. */
void metrics_speech(metrics *m, const speech_result *result, double first, double whole);
void metrics_cancelled(metrics *m); /* its client left */

/* The text of GET /metrics, to be freed; NULL: no memory. `gauges` are lines that the caller adds, whole with their
 * HELP and TYPE. */
char *metrics_text(const metrics *m, const char *gauges);

#endif
