/* backend.c — libtriton_f5tts.so: what Triton Inference Server calls.
 *
 * Every instance of a model holds the engine for its device, from the shelf that all models share. An instance executes
 * on a thread of its own; so many requests are spoken at a time, and the engine's scheduler packs them. Where the
 * server batches requests itself, those of a batch are spoken on threads, and come to the same. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/triton/serve_request.h"
#include "host/triton/triton_error.h"
#include "kernels/error.h"

#define ENTRY __attribute__((visibility("default")))
#define MOST_AT_A_TIME 32

ENTRY TRITONSERVER_Error *TRITONBACKEND_Initialize(TRITONBACKEND_Backend *backend);
ENTRY TRITONSERVER_Error *TRITONBACKEND_Finalize(TRITONBACKEND_Backend *backend);
ENTRY TRITONSERVER_Error *TRITONBACKEND_ModelInitialize(TRITONBACKEND_Model *model);
ENTRY TRITONSERVER_Error *TRITONBACKEND_ModelFinalize(TRITONBACKEND_Model *model);
ENTRY TRITONSERVER_Error *TRITONBACKEND_ModelInstanceInitialize(TRITONBACKEND_ModelInstance *instance);
ENTRY TRITONSERVER_Error *TRITONBACKEND_ModelInstanceFinalize(TRITONBACKEND_ModelInstance *instance);
ENTRY TRITONSERVER_Error *TRITONBACKEND_ModelInstanceExecute(TRITONBACKEND_ModelInstance *instance,
                                                             TRITONBACKEND_Request **requests, const uint32_t count);

typedef struct {
    model_config config;
    engine_shelf *shelf; /* the backend's */
} model_state;

typedef struct {
    const model_state *model;
    shelf_engine *engine;
} instance_state;

/* ---- the backend ------------------------------------------------------------------------------------------------- */

TRITONSERVER_Error *TRITONBACKEND_Initialize(TRITONBACKEND_Backend *backend) {
    uint32_t major, minor;
    f5_error error;
    TRITONSERVER_Error *failed = TRITONBACKEND_ApiVersion(&major, &minor);
    if (failed) return failed;
    if (major != TRITON_API_MAJOR || minor < TRITON_API_MINOR)
        return triton_error(f5_fail(&error, F5_E_UNSUPPORTED,
                                    "this server has backend API %u.%u; f5tts needs %d.%d or a later one of %d", major,
                                    minor, TRITON_API_MAJOR, TRITON_API_MINOR, TRITON_API_MAJOR),
                            &error);
    engine_shelf *shelf = engine_shelf_new();
    if (!shelf) return triton_error(f5_fail(&error, F5_E_MEMORY, "no memory for the backend"), &error);
    failed = TRITONBACKEND_BackendSetState(backend, shelf);
    if (failed) engine_shelf_free(shelf);
    return failed;
}

TRITONSERVER_Error *TRITONBACKEND_Finalize(TRITONBACKEND_Backend *backend) {
    void *shelf = NULL;
    TRITONSERVER_Error *failed = TRITONBACKEND_BackendState(backend, &shelf);
    if (!failed) engine_shelf_free(shelf);
    return failed;
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

static f5_status read_config(model_state *m, TRITONBACKEND_Model *model, f5_error *error) {
    TRITONBACKEND_ArtifactType type;
    const char *where, *json;
    size_t bytes;
    uint64_t version;
    char folder[4096];
    TRITONSERVER_Message *message;
    F5_TRY(triton_status(TRITONBACKEND_ModelRepository(model, &type, &where), error));
    F5_TRY(triton_status(TRITONBACKEND_ModelVersion(model, &version), error));
    if (type != TRITONBACKEND_ARTIFACT_FILESYSTEM)
        return f5_fail(error, F5_E_UNSUPPORTED, "the model's repository is no folder");
    int n = snprintf(folder, sizeof folder, "%s/%llu", where, (unsigned long long)version);
    if (n < 0 || (size_t)n >= sizeof folder) return f5_fail(error, F5_E_ARGUMENT, "%s: the path is too long", where);
    F5_TRY(triton_status(TRITONBACKEND_ModelConfig(model, 1, &message), error));
    f5_status status = triton_status(TRITONSERVER_MessageSerializeToJson(message, &json, &bytes), error);
    if (status == F5_OK) status = model_config_read(&m->config, json, bytes, folder, error);
    TRITONSERVER_Error *failed = TRITONSERVER_MessageDelete(message);
    if (failed) TRITONSERVER_ErrorDelete(failed);
    return status;
}

static f5_status make_model(TRITONBACKEND_Model *model, f5_error *error) {
    TRITONBACKEND_Backend *backend;
    void *shelf;
    F5_TRY(triton_status(TRITONBACKEND_ModelBackend(model, &backend), error));
    F5_TRY(triton_status(TRITONBACKEND_BackendState(backend, &shelf), error));
    model_state *m = calloc(1, sizeof *m);
    if (!m) return f5_fail(error, F5_E_MEMORY, "no memory for a model");
    m->shelf = shelf;
    f5_status status = read_config(m, model, error);
    if (status == F5_OK) status = triton_status(TRITONBACKEND_ModelSetState(model, m), error);
    if (status != F5_OK) free(m);
    return status;
}

TRITONSERVER_Error *TRITONBACKEND_ModelInitialize(TRITONBACKEND_Model *model) {
    f5_error error;
    return triton_error(make_model(model, &error), &error);
}

TRITONSERVER_Error *TRITONBACKEND_ModelFinalize(TRITONBACKEND_Model *model) {
    void *state = NULL;
    TRITONSERVER_Error *failed = TRITONBACKEND_ModelState(model, &state);
    if (!failed) free(state);
    return failed;
}

/* ---- instances --------------------------------------------------------------------------------------------------- */

/* The GPU that the instance is for, or the device that the configuration names. */
static f5_status find_device(TRITONBACKEND_ModelInstance *instance, const model_state *m, char device[32],
                             f5_error *error) {
    TRITONSERVER_InstanceGroupKind kind;
    int32_t number;
    F5_TRY(triton_status(TRITONBACKEND_ModelInstanceKind(instance, &kind), error));
    F5_TRY(triton_status(TRITONBACKEND_ModelInstanceDeviceId(instance, &number), error));
    if (kind == TRITONSERVER_INSTANCEGROUPKIND_GPU)
        snprintf(device, 32, "cuda:%d", number);
    else
        snprintf(device, 32, "%s", m->config.device);
    return F5_OK;
}

static f5_status make_instance(TRITONBACKEND_ModelInstance *instance, f5_error *error) {
    TRITONBACKEND_Model *model;
    void *state;
    char device[32];
    F5_TRY(triton_status(TRITONBACKEND_ModelInstanceModel(instance, &model), error));
    F5_TRY(triton_status(TRITONBACKEND_ModelState(model, &state), error));
    const model_state *m = state;
    F5_TRY(find_device(instance, m, device, error));
    instance_state *i = calloc(1, sizeof *i);
    if (!i) return f5_fail(error, F5_E_MEMORY, "no memory for an instance");
    i->model = m;
    f5_status status = shelf_take(m->shelf, &m->config, device, &i->engine, error);
    if (status == F5_OK) {
        status = triton_status(TRITONBACKEND_ModelInstanceSetState(instance, i), error);
        if (status != F5_OK) shelf_leave(m->shelf, i->engine);
    }
    if (status != F5_OK) free(i);
    return status;
}

TRITONSERVER_Error *TRITONBACKEND_ModelInstanceInitialize(TRITONBACKEND_ModelInstance *instance) {
    f5_error error;
    return triton_error(make_instance(instance, &error), &error);
}

TRITONSERVER_Error *TRITONBACKEND_ModelInstanceFinalize(TRITONBACKEND_ModelInstance *instance) {
    void *state = NULL;
    TRITONSERVER_Error *failed = TRITONBACKEND_ModelInstanceState(instance, &state);
    instance_state *i = state;
    if (failed || !i) return failed;
    shelf_leave(i->model->shelf, i->engine);
    free(i);
    return NULL;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

/* When all requests of a batch were begun, computed and ended: each time later than the one before. */
typedef struct {
    uint64_t begun, computing, computed, ended;
} batch_times;

static void add_times(batch_times *t, const served_request *r) {
    if (r->computing < t->computing) t->computing = r->computing;
    if (r->computed > t->computed) t->computed = r->computed;
    if (r->ended > t->ended) t->ended = r->ended;
}

static void report_batch(TRITONBACKEND_ModelInstance *instance, uint32_t count, const batch_times *t) {
    TRITONSERVER_Error *failed = TRITONBACKEND_ModelInstanceReportBatchStatistics(instance, count, t->begun,
                                                                                  t->computing, t->computed, t->ended);
    if (failed) TRITONSERVER_ErrorDelete(failed);
}

static void *serve_on_thread(void *user) {
    serve_request(user);
    finish_request(user);
    return NULL;
}

/* Several at a time, each but the first on a thread; on this one where the system gives none. */
static void serve_together(served_request *r, uint32_t count) {
    pthread_t thread[MOST_AT_A_TIME];
    bool runs[MOST_AT_A_TIME] = {false};
    for (uint32_t i = 1; i < count; i++) runs[i] = pthread_create(&thread[i], NULL, serve_on_thread, &r[i]) == 0;
    for (uint32_t i = 0; i < count; i++)
        if (!runs[i]) serve_on_thread(&r[i]);
    for (uint32_t i = 1; i < count; i++)
        if (runs[i]) pthread_join(thread[i], NULL);
}

/* From here on the requests are ours: what goes wrong is told in their responses. */
TRITONSERVER_Error *TRITONBACKEND_ModelInstanceExecute(TRITONBACKEND_ModelInstance *instance,
                                                       TRITONBACKEND_Request **requests, const uint32_t count) {
    void *state = NULL;
    TRITONSERVER_Error *failed = TRITONBACKEND_ModelInstanceState(instance, &state);
    if (failed) return failed;
    const instance_state *i = state;
    batch_times times = {.begun = clock_nanoseconds(), .computing = UINT64_MAX};
    served_request first;
    if (count == 1) {
        first = (served_request){
            .instance = instance, .request = requests[0], .config = &i->model->config, .engine = i->engine};
        serve_request(&first);
        times.begun = first.begun;
        add_times(&times, &first);
        report_batch(instance, 1, &times);
        finish_request(&first);
        return NULL;
    }
    for (uint32_t at = 0; at < count; at += MOST_AT_A_TIME) {
        served_request r[MOST_AT_A_TIME];
        uint32_t n = count - at < MOST_AT_A_TIME ? count - at : MOST_AT_A_TIME;
        for (uint32_t k = 0; k < n; k++)
            r[k] = (served_request){
                .instance = instance, .request = requests[at + k], .config = &i->model->config, .engine = i->engine};
        serve_together(r, n);
        for (uint32_t k = 0; k < n; k++) add_times(&times, &r[k]);
    }
    report_batch(instance, count, &times);
    return NULL;
}
