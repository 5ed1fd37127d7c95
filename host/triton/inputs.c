/* inputs.c — tensors by name, gathered from the buffers that the server holds them in. Nothing that a client sent is
 * trusted: neither lengths nor shapes nor that texts are text. */
#include "host/triton/inputs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "host/triton/triton_error.h"
#include "kernels/error.h"
#include "weights/utf8.h"

typedef struct {
    const char *name;
    TRITONBACKEND_Input *input;
    uint64_t bytes, elements;
    uint32_t buffers;
} tensor;

enum { WAV, WAV_LEN, REFERENCE_TEXT, TARGET_TEXT, TENSORS };

static const struct {
    const char *name, *shown;
    TRITONSERVER_DataType type;
    uint64_t bytes; /* of an element; 0: a length, and so many */
} wanted[TENSORS] = {{"reference_wav", "FP32", TRITONSERVER_TYPE_FP32, 4},
                     {"reference_wav_len", "INT32", TRITONSERVER_TYPE_INT32, 4},
                     {"reference_text", "BYTES", TRITONSERVER_TYPE_BYTES, 0},
                     {"target_text", "BYTES", TRITONSERVER_TYPE_BYTES, 0}};

/* The elements of a shape; false: there are none, or more than memory could have. */
static bool count_elements(const int64_t *shape, uint32_t dims, uint64_t *elements) {
    *elements = 1;
    for (uint32_t i = 0; i < dims; i++) {
        if (shape[i] < 1 || (uint64_t)shape[i] > ((uint64_t)1 << 40) / *elements) return false;
        *elements *= (uint64_t)shape[i];
    }
    return dims > 0;
}

static f5_status find_tensors(TRITONBACKEND_Request *request, tensor found[TENSORS], f5_error *error) {
    uint32_t count = 0, dims;
    F5_TRY(triton_status(TRITONBACKEND_RequestInputCount(request, &count), error));
    for (uint32_t i = 0; i < count; i++) {
        tensor t = {0};
        TRITONSERVER_DataType type;
        const int64_t *shape;
        F5_TRY(triton_status(TRITONBACKEND_RequestInputByIndex(request, i, &t.input), error));
        F5_TRY(triton_status(
            TRITONBACKEND_InputProperties(t.input, &t.name, &type, &shape, &dims, &t.bytes, &t.buffers), error));
        int k = 0;
        while (k < TENSORS && strcmp(t.name, wanted[k].name) != 0) k++;
        if (k == TENSORS) continue;
        if (type != wanted[k].type)
            return f5_fail(error, F5_E_ARGUMENT, "%s must be %s", wanted[k].name, wanted[k].shown);
        if (!count_elements(shape, dims, &t.elements))
            return f5_fail(error, F5_E_ARGUMENT, "%s is empty", wanted[k].name);
        if ((dims > 1 && shape[0] != 1) || dims > 2)
            return f5_fail(error, F5_E_ARGUMENT, "%s has a shape other than [1, N]: send one text in a request",
                           wanted[k].name);
        if (k != WAV && t.elements != 1)
            return f5_fail(error, F5_E_ARGUMENT, "%s must have one element, not %llu", wanted[k].name,
                           (unsigned long long)t.elements);
        if (wanted[k].bytes && t.bytes != t.elements * wanted[k].bytes)
            return f5_fail(error, F5_E_ARGUMENT, "%s has %llu bytes, which is not its shape", wanted[k].name,
                           (unsigned long long)t.bytes);
        found[k] = t;
    }
    return F5_OK;
}

/* The tensor's bytes, one more for a terminator; to be freed. */
static f5_status gather(const tensor *t, char **data, f5_error *error) {
    char *to = malloc(t->bytes + 1);
    uint64_t at = 0;
    if (!to) return f5_fail(error, F5_E_MEMORY, "no memory for %s", t->name);
    *data = to;
    for (uint32_t i = 0; i < t->buffers; i++) {
        const void *from;
        uint64_t n;
        TRITONSERVER_MemoryType type = TRITONSERVER_MEMORY_CPU;
        int64_t id = 0;
        F5_TRY(triton_status(TRITONBACKEND_InputBuffer(t->input, i, &from, &n, &type, &id), error));
        if (type == TRITONSERVER_MEMORY_GPU)
            return f5_fail(error, F5_E_UNSUPPORTED, "%s lies in a GPU's memory: send it in the system's", t->name);
        if (n > t->bytes - at) return f5_fail(error, F5_E_ARGUMENT, "%s is longer than its size says", t->name);
        memcpy(to + at, from, n);
        at += n;
    }
    if (at != t->bytes) return f5_fail(error, F5_E_ARGUMENT, "%s is shorter than its size says", t->name);
    return F5_OK;
}

static f5_status take_recording(const tensor found[TENSORS], const model_config *c, speech_inputs *in,
                                f5_error *error) {
    const tensor *wav = &found[WAV], *length = &found[WAV_LEN];
    char *data = NULL;
    int32_t n = 0;
    if (!wav->input) return f5_fail(error, F5_E_ARGUMENT, "reference_wav is missing: send a recording of the voice");
    if (wav->elements > (uint64_t)F5_MAX_RECORDING_SECONDS * (uint64_t)c->reference_rate)
        return f5_fail(error, F5_E_LIMIT, "reference_wav is longer than %d s", F5_MAX_RECORDING_SECONDS);
    f5_status status = gather(wav, &data, error);
    in->samples = (float *)data;
    F5_TRY(status);
    in->n = (int64_t)wav->elements;
    if (!length->input) return F5_OK;
    data = NULL; /* the recording's is kept */
    status = gather(length, &data, error);
    if (status == F5_OK) memcpy(&n, data, 4);
    free(data);
    F5_TRY(status);
    if (n < 1 || n > in->n)
        return f5_fail(error, F5_E_ARGUMENT, "reference_wav_len is %d, and reference_wav has %lld samples", n,
                       (long long)in->n);
    in->n = n;
    return F5_OK;
}

/* A tensor of one text: four bytes of its length, then the text. */
static f5_status take_text(const tensor *t, const char *name, int32_t most, char **text, f5_error *error) {
    char *data = NULL;
    uint32_t n;
    if (!t->input) return f5_fail(error, F5_E_ARGUMENT, "%s is missing", name);
    if (t->bytes < 4) return f5_fail(error, F5_E_ARGUMENT, "%s is no text", name);
    if (t->bytes - 4 > (uint64_t)most)
        return f5_fail(error, F5_E_LIMIT, "%s has more than %d bytes: split the text", name, most);
    f5_status status = gather(t, &data, error);
    *text = data;
    F5_TRY(status);
    memcpy(&n, data, 4);
    if (n != t->bytes - 4) return f5_fail(error, F5_E_ARGUMENT, "%s is longer or shorter than its length says", name);
    memmove(data, data + 4, n);
    data[n] = '\0';
    size_t valid = utf8_valid_prefix(data, n);
    if (valid < n) return f5_fail(error, F5_E_ARGUMENT, "%s: malformed UTF-8 at byte %zu", name, valid);
    if (memchr(data, 0, n)) return f5_fail(error, F5_E_ARGUMENT, "%s holds a zero byte", name);
    if (f5_text_is_blank(data)) return f5_fail(error, F5_E_ARGUMENT, "%s is empty", name);
    return F5_OK;
}

static f5_status take_parameters(TRITONBACKEND_Request *request, speech_settings *speech, f5_error *error) {
    uint32_t count = 0;
    bool known;
    F5_TRY(triton_status(TRITONBACKEND_RequestParameterCount(request, &count), error));
    for (uint32_t i = 0; i < count; i++) {
        const char *name;
        const void *at;
        TRITONSERVER_ParameterType type;
        F5_TRY(triton_status(TRITONBACKEND_RequestParameter(request, i, &name, &type, &at), error));
        setting_value value;
        switch (type) {
        case TRITONSERVER_PARAMETER_STRING:
            value = (setting_value){.type = SETTING_TEXT, .text = at};
            break;
        case TRITONSERVER_PARAMETER_INT:
            value = (setting_value){.type = SETTING_WHOLE, .whole = *(const int64_t *)at};
            break;
        case TRITONSERVER_PARAMETER_BOOL:
            value = (setting_value){.type = SETTING_BOOL, .whole = *(const bool *)at};
            break;
        case TRITONSERVER_PARAMETER_DOUBLE:
            value = (setting_value){.type = SETTING_REAL, .real = *(const double *)at};
            break;
        default:
            continue;
        }
        F5_TRY(speech_settings_set(speech, name, &value, &known, error));
    }
    return F5_OK;
}

static uint64_t random_seed(void) {
    uint64_t seed;
    struct timespec now;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == sizeof seed) return seed;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

f5_status inputs_read(speech_inputs *in, TRITONBACKEND_Request *request, const model_config *config, f5_error *error) {
    tensor found[TENSORS] = {{0}};
    *in = (speech_inputs){.speech = config->speech};
    F5_TRY(find_tensors(request, found, error));
    F5_TRY(take_recording(found, config, in, error));
    F5_TRY(take_text(&found[REFERENCE_TEXT], "reference_text", config->text_bytes, &in->reference_text, error));
    F5_TRY(take_text(&found[TARGET_TEXT], "target_text", config->text_bytes, &in->target_text, error));
    F5_TRY(take_parameters(request, &in->speech, error));
    if (!in->speech.seed_given) in->speech.seed = random_seed();
    return F5_OK;
}

void inputs_free(speech_inputs *in) {
    free(in->samples);
    free(in->reference_text);
    free(in->target_text);
    *in = (speech_inputs){0};
}
