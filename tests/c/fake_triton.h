/* fake_triton.h — as much of a Triton server as a backend sees: it loads one, gives it models and requests, and keeps
 * what it answers. Every function of triton_api.h is here; the n-th call of one can be made to fail. */
#ifndef F5_TEST_FAKE_TRITON_H
#define F5_TEST_FAKE_TRITON_H

#include <stdatomic.h>

#include "host/triton/triton_api.h"

#define FAKE_MAX 8

struct TRITONBACKEND_Input {
    const char *name;
    TRITONSERVER_DataType type;
    int64_t shape[3];
    uint32_t dims;
    const void *data;
    uint64_t bytes; /* there are */
    int64_t more;   /* that it says to have besides */
    uint32_t buffers;
    TRITONSERVER_MemoryType memory;
};

typedef struct {
    const char *name;
    TRITONSERVER_ParameterType type;
    int64_t whole;
    double real;
    const char *text;
} fake_parameter;

struct TRITONBACKEND_Request {
    TRITONBACKEND_Input input[FAKE_MAX];
    uint32_t inputs;
    fake_parameter parameter[FAKE_MAX];
    uint32_t parameters;
    int cancel_at; /* it is cancelled from this question for it on, from 1; 0: never */
    bool output_on_gpu;
    /* what came of it */
    atomic_int asked; /* whether it is cancelled */
    float *sound;     /* [samples] of all responses, to be freed */
    int64_t samples;
    int responses; /* with sound */
    int finals, released, reported;
    bool success, reported_late;
    uint64_t time[4]; /* begun, computing, computed, ended */
    int code;         /* of the error; -1: none */
    char message[600];
};

struct TRITONBACKEND_Model {
    const char *folder, *config; /* JSON */
    void *state;
};

struct TRITONBACKEND_ModelInstance {
    TRITONBACKEND_Model *model;
    TRITONSERVER_InstanceGroupKind kind;
    int32_t device;
    void *state;
    int batches;
    uint64_t batch_time[4];
};

typedef struct {
    uint32_t minor;    /* of the API */
    atomic_int calls;  /* of functions that may fail */
    int fail_at;       /* this one fails, from 1; 0: none */
    atomic_int live;   /* errors, responses, factories, messages that were made and not given up */
    atomic_int opened; /* lines of the log that tell of an engine */
    void *library;     /* the backend's: dlsym finds functions of the engine's library by it */
} fake_server;
extern fake_server fake;

/* Opens the backend and starts it; the error's message, or NULL. */
const char *fake_start(const char *path);
void fake_stop(void);

/* The model and one instance of it. The error's message, or NULL; it lives until the next call. */
const char *fake_load(TRITONBACKEND_Model *model, TRITONBACKEND_ModelInstance *instance);
void fake_unload(TRITONBACKEND_Model *model, TRITONBACKEND_ModelInstance *instance);

/* Gives requests [n] to the instance at once, and waits until they are done. */
void fake_execute(TRITONBACKEND_ModelInstance *instance, TRITONBACKEND_Request **requests, uint32_t n);
void fake_request_free(TRITONBACKEND_Request *request);

#endif
