/* serve_request.h — one request from its tensors to its last response.
 *
 * Split in two, so that its statistics are with the server before its client knows that it is done: `serve` does the
 * work, and a model that streams sends its sound meanwhile; `finish` reports and sends the last response. The server
 * asks of the times that they grow strictly: clients of its statistics miss an interval of zero. */
#ifndef F5_TRITON_SERVE_REQUEST_H
#define F5_TRITON_SERVE_REQUEST_H

#include "host/triton/engine_shelf.h"
#include "host/triton/inputs.h"

typedef struct {
    TRITONBACKEND_ModelInstance *instance;
    TRITONBACKEND_Request *request;
    const model_config *config;
    shelf_engine *engine;
    /* filled meanwhile */
    TRITONBACKEND_ResponseFactory *factory;
    TRITONBACKEND_Response *response; /* with all of the sound, where the model does not stream */
    float *sound;                     /* [n] of [room] */
    int64_t n, room, sent;
    f5_status status;
    f5_error error;
    uint64_t begun, computing, computed, ended; /* nanoseconds */
} served_request;

/* The first five fields are given, the others 0. Neither fails: what went wrong is in the last response. */
void serve_request(served_request *r);
void finish_request(served_request *r); /* gives the request back to the server */

uint64_t clock_nanoseconds(void);
uint64_t later_than(uint64_t before); /* now, but later than that */

#endif
