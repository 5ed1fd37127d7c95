/* fake_triton.c — the server's side of the API over plain structs. It is strict where the server is: a request is
 * released once, a response is sent once, nothing comes after the final one. */
#include "tests/c/fake_triton.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "%s:%d: the backend broke a rule: %s\n", __FILE__, __LINE__, #what);                       \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

fake_server fake = {.minor = 19};

struct TRITONSERVER_Error {
    TRITONSERVER_Error_Code code;
    char message[600];
};
struct TRITONSERVER_Message {
    const char *json;
};
struct TRITONBACKEND_Backend {
    void *state;
};
struct TRITONBACKEND_ResponseFactory {
    TRITONBACKEND_Request *request;
};
struct TRITONBACKEND_Response {
    TRITONBACKEND_Request *request;
    float *sound;
    int64_t samples;
};

static struct TRITONBACKEND_Backend backend;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char told[600];

static struct {
    TRITONSERVER_Error *(*initialize)(TRITONBACKEND_Backend *);
    TRITONSERVER_Error *(*finalize)(TRITONBACKEND_Backend *);
    TRITONSERVER_Error *(*model_initialize)(TRITONBACKEND_Model *);
    TRITONSERVER_Error *(*model_finalize)(TRITONBACKEND_Model *);
    TRITONSERVER_Error *(*instance_initialize)(TRITONBACKEND_ModelInstance *);
    TRITONSERVER_Error *(*instance_finalize)(TRITONBACKEND_ModelInstance *);
    TRITONSERVER_Error *(*execute)(TRITONBACKEND_ModelInstance *, TRITONBACKEND_Request **, const uint32_t);
} entry;

/* ---- errors, log, messages --------------------------------------------------------------------------------------- */

static void *made(size_t size) {
    void *thing = calloc(1, size);
    CHECK(thing);
    atomic_fetch_add(&fake.live, 1);
    return thing;
}

static void given_up(void *thing) {
    CHECK(thing && atomic_fetch_sub(&fake.live, 1) > 0);
    free(thing);
}

TRITONSERVER_Error *TRITONSERVER_ErrorNew(TRITONSERVER_Error_Code code, const char *msg) {
    TRITONSERVER_Error *e = made(sizeof *e);
    e->code = code;
    snprintf(e->message, sizeof e->message, "%s", msg);
    return e;
}
void TRITONSERVER_ErrorDelete(TRITONSERVER_Error *error) {
    given_up(error);
}
TRITONSERVER_Error_Code TRITONSERVER_ErrorCode(TRITONSERVER_Error *error) {
    return error->code;
}
const char *TRITONSERVER_ErrorMessage(TRITONSERVER_Error *error) {
    return error->message;
}

/* NULL, but for the call that is to fail. */
static TRITONSERVER_Error *outcome(const char *function) {
    if (atomic_fetch_add(&fake.calls, 1) + 1 != fake.fail_at) return NULL;
    return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INTERNAL, function);
}
#define MAY_FAIL()                                                                                                     \
    do {                                                                                                               \
        TRITONSERVER_Error *failed_ = outcome(__func__);                                                               \
        if (failed_) return failed_;                                                                                   \
    } while (0)

TRITONSERVER_Error *TRITONSERVER_LogMessage(TRITONSERVER_LogLevel level, const char *file, const int line,
                                            const char *msg) {
    (void)level;
    (void)file;
    (void)line;
    if (strstr(msg, " on cpu, ")) atomic_fetch_add(&fake.opened, 1);
    MAY_FAIL();
    return NULL;
}
TRITONSERVER_Error *TRITONSERVER_MessageSerializeToJson(TRITONSERVER_Message *message, const char **base,
                                                        size_t *size) {
    MAY_FAIL();
    *base = message->json;
    *size = strlen(message->json);
    return NULL;
}
TRITONSERVER_Error *TRITONSERVER_MessageDelete(TRITONSERVER_Message *message) {
    given_up(message);
    return NULL;
}

/* ---- backend, model, instance ------------------------------------------------------------------------------------ */

TRITONSERVER_Error *TRITONBACKEND_ApiVersion(uint32_t *major, uint32_t *minor) {
    MAY_FAIL();
    *major = 1;
    *minor = fake.minor;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_BackendState(TRITONBACKEND_Backend *b, void **state) {
    MAY_FAIL();
    *state = b->state;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_BackendSetState(TRITONBACKEND_Backend *b, void *state) {
    MAY_FAIL();
    b->state = state;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ModelName(TRITONBACKEND_Model *model, const char **name) {
    (void)model;
    *name = "f5_tts";
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ModelVersion(TRITONBACKEND_Model *model, uint64_t *version) {
    (void)model;
    MAY_FAIL();
    *version = 1;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ModelRepository(TRITONBACKEND_Model *model, TRITONBACKEND_ArtifactType *type,
                                                  const char **location) {
    MAY_FAIL();
    *type = TRITONBACKEND_ARTIFACT_FILESYSTEM;
    *location = model->folder;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ModelConfig(TRITONBACKEND_Model *model, const uint32_t config_version,
                                              TRITONSERVER_Message **config) {
    MAY_FAIL();
    CHECK(config_version == 1);
    *config = made(sizeof **config);
    (*config)->json = model->config;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ModelBackend(TRITONBACKEND_Model *model, TRITONBACKEND_Backend **b) {
    (void)model;
    MAY_FAIL();
    *b = &backend;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ModelState(TRITONBACKEND_Model *model, void **state) {
    MAY_FAIL();
    *state = model->state;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ModelSetState(TRITONBACKEND_Model *model, void *state) {
    MAY_FAIL();
    model->state = state;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ModelInstanceKind(TRITONBACKEND_ModelInstance *instance,
                                                    TRITONSERVER_InstanceGroupKind *kind) {
    MAY_FAIL();
    *kind = instance->kind;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ModelInstanceDeviceId(TRITONBACKEND_ModelInstance *instance, int32_t *device_id) {
    MAY_FAIL();
    *device_id = instance->device;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ModelInstanceModel(TRITONBACKEND_ModelInstance *instance,
                                                     TRITONBACKEND_Model **model) {
    MAY_FAIL();
    *model = instance->model;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ModelInstanceState(TRITONBACKEND_ModelInstance *instance, void **state) {
    MAY_FAIL();
    *state = instance->state;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ModelInstanceSetState(TRITONBACKEND_ModelInstance *instance, void *state) {
    MAY_FAIL();
    instance->state = state;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ModelInstanceReportStatistics(TRITONBACKEND_ModelInstance *instance,
                                                                TRITONBACKEND_Request *request, const bool success,
                                                                const uint64_t exec_start_ns,
                                                                const uint64_t compute_start_ns,
                                                                const uint64_t compute_end_ns,
                                                                const uint64_t exec_end_ns) {
    (void)instance;
    CHECK(request->released == 0);
    MAY_FAIL();
    request->reported++;
    request->success = success;
    request->reported_late = request->finals > 0;
    memcpy(request->time, (uint64_t[]){exec_start_ns, compute_start_ns, compute_end_ns, exec_end_ns},
           sizeof request->time);
    return NULL;
}
TRITONSERVER_Error *
TRITONBACKEND_ModelInstanceReportBatchStatistics(TRITONBACKEND_ModelInstance *instance, const uint64_t batch_size,
                                                 const uint64_t exec_start_ns, const uint64_t compute_start_ns,
                                                 const uint64_t compute_end_ns, const uint64_t exec_end_ns) {
    CHECK(batch_size > 0);
    MAY_FAIL();
    instance->batches++;
    memcpy(instance->batch_time, (uint64_t[]){exec_start_ns, compute_start_ns, compute_end_ns, exec_end_ns},
           sizeof instance->batch_time);
    return NULL;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

TRITONSERVER_Error *TRITONBACKEND_RequestInputCount(TRITONBACKEND_Request *request, uint32_t *count) {
    MAY_FAIL();
    *count = request->inputs;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_RequestInputByIndex(TRITONBACKEND_Request *request, const uint32_t index,
                                                      TRITONBACKEND_Input **input) {
    MAY_FAIL();
    CHECK(index < request->inputs);
    *input = &request->input[index];
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_InputProperties(TRITONBACKEND_Input *input, const char **name,
                                                  TRITONSERVER_DataType *datatype, const int64_t **shape,
                                                  uint32_t *dims_count, uint64_t *byte_size, uint32_t *buffer_count) {
    MAY_FAIL();
    *name = input->name;
    *datatype = input->type;
    *shape = input->shape;
    *dims_count = input->dims;
    *byte_size = input->bytes + (uint64_t)input->more;
    *buffer_count = input->buffers;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_InputBuffer(TRITONBACKEND_Input *input, const uint32_t index, const void **buffer,
                                              uint64_t *buffer_byte_size, TRITONSERVER_MemoryType *memory_type,
                                              int64_t *memory_type_id) {
    MAY_FAIL();
    CHECK(index < input->buffers);
    uint64_t each = input->bytes / input->buffers;
    *buffer = (const char *)input->data + each * index;
    *buffer_byte_size = index + 1 == input->buffers ? input->bytes - each * index : each;
    *memory_type = input->memory;
    *memory_type_id = 0;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_RequestParameterCount(TRITONBACKEND_Request *request, uint32_t *count) {
    MAY_FAIL();
    *count = request->parameters;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_RequestParameter(TRITONBACKEND_Request *request, const uint32_t index,
                                                   const char **key, TRITONSERVER_ParameterType *type,
                                                   const void **value) {
    MAY_FAIL();
    CHECK(index < request->parameters);
    fake_parameter *p = &request->parameter[index];
    static const bool yes_no[] = {false, true};
    *key = p->name;
    *type = p->type;
    *value = &p->whole;
    if (p->type == TRITONSERVER_PARAMETER_STRING) *value = p->text;
    if (p->type == TRITONSERVER_PARAMETER_BOOL) *value = &yes_no[p->whole != 0];
    if (p->type == TRITONSERVER_PARAMETER_DOUBLE) *value = &p->real;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_RequestRelease(TRITONBACKEND_Request *request, uint32_t release_flags) {
    CHECK(release_flags == TRITONSERVER_REQUEST_RELEASE_ALL && request->released == 0);
    request->released = 1;
    MAY_FAIL();
    return NULL;
}

/* ---- responses --------------------------------------------------------------------------------------------------- */

TRITONSERVER_Error *TRITONBACKEND_ResponseFactoryNew(TRITONBACKEND_ResponseFactory **factory,
                                                     TRITONBACKEND_Request *request) {
    MAY_FAIL();
    *factory = made(sizeof **factory);
    (*factory)->request = request;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ResponseFactoryDelete(TRITONBACKEND_ResponseFactory *factory) {
    given_up(factory);
    MAY_FAIL();
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ResponseFactoryIsCancelled(TRITONBACKEND_ResponseFactory *factory,
                                                             bool *is_cancelled) {
    MAY_FAIL();
    TRITONBACKEND_Request *r = factory->request;
    *is_cancelled = atomic_fetch_add(&r->asked, 1) + 1 >= r->cancel_at && r->cancel_at > 0;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ResponseFactorySendFlags(TRITONBACKEND_ResponseFactory *factory,
                                                           const uint32_t send_flags) {
    CHECK(send_flags == TRITONSERVER_RESPONSE_COMPLETE_FINAL && factory->request->finals == 0);
    MAY_FAIL();
    factory->request->finals = 1;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ResponseNew(TRITONBACKEND_Response **response, TRITONBACKEND_Request *request) {
    MAY_FAIL();
    *response = made(sizeof **response);
    (*response)->request = request;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ResponseNewFromFactory(TRITONBACKEND_Response **response,
                                                         TRITONBACKEND_ResponseFactory *factory) {
    MAY_FAIL();
    *response = made(sizeof **response);
    (*response)->request = factory->request;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_ResponseOutput(TRITONBACKEND_Response *response, TRITONBACKEND_Output **output,
                                                 const char *name, const TRITONSERVER_DataType datatype,
                                                 const int64_t *shape, const uint32_t dims_count) {
    MAY_FAIL();
    CHECK(strcmp(name, "waveform") == 0 && datatype == TRITONSERVER_TYPE_FP32 && dims_count == 2 && shape[0] == 1);
    response->samples = shape[1];
    *output = (TRITONBACKEND_Output *)response;
    return NULL;
}
TRITONSERVER_Error *TRITONBACKEND_OutputBuffer(TRITONBACKEND_Output *output, void **buffer,
                                               const uint64_t buffer_byte_size, TRITONSERVER_MemoryType *memory_type,
                                               int64_t *memory_type_id) {
    MAY_FAIL();
    TRITONBACKEND_Response *r = (TRITONBACKEND_Response *)output;
    CHECK(buffer_byte_size == (uint64_t)r->samples * sizeof(float));
    r->sound = malloc(buffer_byte_size + 1);
    *buffer = r->sound;
    *memory_type = r->request->output_on_gpu ? TRITONSERVER_MEMORY_GPU : TRITONSERVER_MEMORY_CPU;
    *memory_type_id = 0;
    return NULL;
}

/* Puts a response's sound behind what the request has. */
static void keep(TRITONBACKEND_Request *r, const TRITONBACKEND_Response *response) {
    size_t bytes = (size_t)response->samples * sizeof(float);
    r->sound = realloc(r->sound, (size_t)r->samples * sizeof(float) + bytes + 1);
    CHECK(r->sound);
    memcpy(r->sound + r->samples, response->sound, bytes);
    r->samples += response->samples;
    r->responses++;
}

TRITONSERVER_Error *TRITONBACKEND_ResponseSend(TRITONBACKEND_Response *response, const uint32_t send_flags,
                                               TRITONSERVER_Error *error) {
    TRITONBACKEND_Request *r = response->request;
    pthread_mutex_lock(&lock);
    CHECK(r->finals == 0 && r->released == 0);
    r->finals = send_flags == TRITONSERVER_RESPONSE_COMPLETE_FINAL;
    if (error) {
        r->code = (int)error->code;
        snprintf(r->message, sizeof r->message, "%s", error->message);
    } else if (response->sound) {
        keep(r, response);
    }
    pthread_mutex_unlock(&lock);
    free(response->sound);
    given_up(response);
    MAY_FAIL();
    return NULL;
}

/* ---- the server -------------------------------------------------------------------------------------------------- */

/* The message of an error, which is given up; NULL for none. */
static const char *message_of(TRITONSERVER_Error *error) {
    if (!error) return NULL;
    snprintf(told, sizeof told, "%s", error->message);
    TRITONSERVER_ErrorDelete(error);
    return told;
}

const char *fake_start(const char *path) {
    void *library = fake.library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(told, sizeof told, "%s", dlerror());
        return told;
    }
#define FIND(member, name)                                                                                             \
    do {                                                                                                               \
        *(void **)&entry.member = dlsym(library, "TRITONBACKEND_" name);                                               \
        CHECK(entry.member);                                                                                           \
    } while (0)
    FIND(initialize, "Initialize");
    FIND(finalize, "Finalize");
    FIND(model_initialize, "ModelInitialize");
    FIND(model_finalize, "ModelFinalize");
    FIND(instance_initialize, "ModelInstanceInitialize");
    FIND(instance_finalize, "ModelInstanceFinalize");
    FIND(execute, "ModelInstanceExecute");
#undef FIND
    dlclose(library); /* it stays: it asks for that */
    return message_of(entry.initialize(&backend));
}

void fake_stop(void) {
    CHECK(entry.finalize(&backend) == NULL);
    backend.state = NULL;
}

const char *fake_load(TRITONBACKEND_Model *model, TRITONBACKEND_ModelInstance *instance) {
    model->state = NULL;
    *instance = (TRITONBACKEND_ModelInstance){.model = model, .kind = instance->kind, .device = instance->device};
    const char *failed = message_of(entry.model_initialize(model));
    if (failed) return failed;
    failed = message_of(entry.instance_initialize(instance));
    if (failed) CHECK(entry.model_finalize(model) == NULL);
    return failed;
}

void fake_unload(TRITONBACKEND_Model *model, TRITONBACKEND_ModelInstance *instance) {
    CHECK(entry.instance_finalize(instance) == NULL);
    CHECK(entry.model_finalize(model) == NULL);
}

void fake_execute(TRITONBACKEND_ModelInstance *instance, TRITONBACKEND_Request **requests, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) requests[i]->code = -1;
    TRITONSERVER_Error *refused = entry.execute(instance, requests, n);
    if (!refused) return;
    for (uint32_t i = 0; i < n; i++) {
        CHECK(requests[i]->released == 0);               /* they are still the server's */
        requests[i]->released = requests[i]->finals = 1; /* and it tells their clients */
        requests[i]->code = (int)refused->code;
    }
    TRITONSERVER_ErrorDelete(refused);
}

void fake_request_free(TRITONBACKEND_Request *request) {
    free(request->sound);
    request->sound = NULL;
}
