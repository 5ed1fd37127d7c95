/* serve_request.c — voice, speech, responses of one request. */
#include "host/triton/serve_request.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/triton/triton_error.h"
#include "kernels/error.h"

/* Of one request. A few bytes of text can ask for hours of silence, which would wait in memory to be read. */
#define MOST_SECONDS 1200
#define MOST_SAMPLES ((int64_t)MOST_SECONDS * F5_SAMPLE_RATE)

uint64_t clock_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t later_than(uint64_t before) {
    uint64_t now = clock_nanoseconds();
    return now > before ? now : before + 1;
}

/* ---- responses --------------------------------------------------------------------------------------------------- */

/* A response with sound [n] in it, to be sent. */
static f5_status make_response(served_request *r, const float *sound, int64_t n, TRITONBACKEND_Response **made,
                               f5_error *error) {
    TRITONBACKEND_Response *response;
    TRITONBACKEND_Output *output;
    TRITONSERVER_MemoryType type = TRITONSERVER_MEMORY_CPU;
    const int64_t shape[2] = {1, n};
    int64_t id = 0;
    void *to = NULL;
    F5_TRY(triton_status(TRITONBACKEND_ResponseNewFromFactory(&response, r->factory), error));
    *made = response;
    F5_TRY(triton_status(TRITONBACKEND_ResponseOutput(response, &output, "waveform", TRITONSERVER_TYPE_FP32, shape, 2),
                         error));
    uint64_t bytes = (uint64_t)n * sizeof(float);
    F5_TRY(triton_status(TRITONBACKEND_OutputBuffer(output, &to, bytes, &type, &id), error));
    if (type == TRITONSERVER_MEMORY_GPU)
        return f5_fail(error, F5_E_UNSUPPORTED, "waveform is asked for in a GPU's memory: take it in the system's");
    if (n > 0) memcpy(to, sound, bytes);
    return F5_OK;
}

/* Sends and gives up a response. A client that has gone is no failure of ours. */
static void send_response(TRITONBACKEND_Response *response, uint32_t flags, f5_status status, const f5_error *why) {
    TRITONSERVER_Error *told = triton_error(status, why);
    f5_error error;
    if (triton_status(TRITONBACKEND_ResponseSend(response, flags, told), &error) != F5_OK)
        triton_log(TRITONSERVER_LOG_WARN, "f5tts: a response was not sent: %s", error.message);
    if (told) TRITONSERVER_ErrorDelete(told);
}

static f5_status send_sound(served_request *r, const float *sound, int64_t n, f5_error *error) {
    TRITONBACKEND_Response *response = NULL;
    f5_status status = make_response(r, sound, n, &response, error);
    if (status == F5_OK) {
        send_response(response, 0, F5_OK, NULL);
        r->sent += n;
    } else if (response) {
        r->response = response; /* finish tells the client by it */
    }
    return status;
}

/* ---- speech ------------------------------------------------------------------------------------------------------ */

static bool is_cancelled(const served_request *r) {
    bool cancelled = false;
    f5_error error;
    return triton_status(TRITONBACKEND_ResponseFactoryIsCancelled(r->factory, &cancelled), &error) == F5_OK &&
           cancelled;
}

static int on_step(void *user, int32_t step, int32_t steps) {
    (void)step;
    (void)steps;
    return is_cancelled(user);
}

static int on_wait(void *user) {
    return is_cancelled(user);
}

static f5_status keep_sound(served_request *r, const float *sound, int64_t n, f5_error *error) {
    if (n > r->room - r->n) {
        int64_t room = r->room ? 2 * r->room : 16 * F5_SAMPLE_RATE;
        while (room - r->n < n) room *= 2;
        float *larger = realloc(r->sound, (size_t)room * sizeof(float));
        if (!larger) return f5_fail(error, F5_E_MEMORY, "no memory for speech");
        r->sound = larger;
        r->room = room;
    }
    if (n > 0) memcpy(r->sound + r->n, sound, (size_t)n * sizeof(float));
    r->n += n;
    return F5_OK;
}

static int on_audio(void *user, const f5_audio *audio) {
    served_request *r = user;
    if (is_cancelled(r)) return 1;
    if (audio->n_samples == 0) return 0;
    if (audio->n_samples > MOST_SAMPLES - r->n - r->sent)
        r->status =
            f5_fail(&r->error, F5_E_LIMIT, "the speech is longer than %d minutes: split the text", MOST_SECONDS / 60);
    else if (r->config->decoupled)
        r->status = send_sound(r, audio->samples, audio->n_samples, &r->error);
    else
        r->status = keep_sound(r, audio->samples, audio->n_samples, &r->error);
    return r->status != F5_OK;
}

static f5_status speak(served_request *r, f5_engine *engine, const f5_voice *voice, const speech_inputs *in,
                       f5_error *error) {
    const speech_settings *s = &in->speech;
    f5_sample_params sample;
    f5_speak_params p;
    f5_sample_params_init(&sample);
    f5_speak_params_init(&p);
    sample.nfe = s->nfe;
    sample.method = s->method;
    sample.cfg = s->cfg;
    sample.sway = s->sway;
    sample.progress = on_step;
    sample.waits = on_wait;
    sample.progress_user = r;
    p.text = in->target_text;
    p.sample = &sample;
    p.audio = on_audio;
    p.audio_user = r;
    p.speed = s->speed;
    p.fix_duration = s->fix_duration;
    p.cross_fade = s->cross_fade;
    p.sentence_pause = s->sentence_pause;
    p.paragraph_pause = s->paragraph_pause;
    p.first_chunk = s->first_chunk;
    p.ssml = s->ssml;
    p.seed = s->seed;
    p.brackets = F5_BRACKETS_TEXT; /* a client's text names no voices */
    if (*s->normalize) p.normalize = s->normalize;
    return f5_speak(engine, voice, &p, NULL, error);
}

/* What stopped the call counts for more than that it was stopped. */
static f5_status settle(served_request *r, f5_status status, const f5_error *error) {
    if (r->status != F5_OK || status == F5_OK) return r->status;
    r->error = *error;
    return status;
}

static f5_status say(served_request *r, const speech_inputs *in) {
    f5_error error = {0};
    f5_engine *engine;
    shelf_voice *voice = NULL;
    f5_status status = shelf_begin(r->engine, &engine, &r->error);
    if (status != F5_OK) return status;
    status =
        shelf_voice_take(r->engine, in->samples, in->n, r->config->reference_rate, in->reference_text, &voice, &error);
    if (status == F5_OK) status = speak(r, engine, shelf_voice_open(voice), in, &error);
    shelf_voice_leave(r->engine, voice);
    shelf_end(r->engine, status);
    return settle(r, status, &error);
}

void serve_request(served_request *r) {
    speech_inputs in = {0};
    r->begun = clock_nanoseconds();
    r->status = triton_status(TRITONBACKEND_ResponseFactoryNew(&r->factory, r->request), &r->error);
    if (r->status != F5_OK) r->factory = NULL;
    if (r->status == F5_OK && is_cancelled(r))
        r->status = f5_fail(&r->error, F5_E_CANCELLED, "the request is cancelled");
    if (r->status == F5_OK) r->status = inputs_read(&in, r->request, r->config, &r->error);
    r->computing = later_than(r->begun);
    if (r->status == F5_OK) r->status = say(r, &in);
    inputs_free(&in);
    r->computed = later_than(r->computing);
    if (r->status == F5_OK && !r->config->decoupled)
        r->status = make_response(r, r->sound, r->n, &r->response, &r->error);
    free(r->sound);
    r->sound = NULL;
    r->ended = later_than(r->computed);
}

/* Also where there is no factory: a client that gets no response waits for ever. */
static void send_last(served_request *r) {
    f5_error error;
    const uint32_t last = TRITONSERVER_RESPONSE_COMPLETE_FINAL;
    if (r->status == F5_OK && r->config->decoupled) {
        if (triton_status(TRITONBACKEND_ResponseFactorySendFlags(r->factory, last), &error) == F5_OK) return;
        r->status = f5_fail(&r->error, F5_E_IO, "the stream could not be ended: %s", error.message);
    }
    f5_status status = r->response ? F5_OK : F5_E_IO;
    if (!r->response && r->factory)
        status = triton_status(TRITONBACKEND_ResponseNewFromFactory(&r->response, r->factory), &error);
    if (status != F5_OK) status = triton_status(TRITONBACKEND_ResponseNew(&r->response, r->request), &error);
    if (status == F5_OK)
        send_response(r->response, last, r->status, &r->error);
    else
        triton_log(TRITONSERVER_LOG_ERROR, "f5tts: no response could be made: %s", error.message);
    r->response = NULL;
}

void finish_request(served_request *r) {
    f5_error error;
    if (triton_status(TRITONBACKEND_ModelInstanceReportStatistics(r->instance, r->request, r->status == F5_OK, r->begun,
                                                                  r->computing, r->computed, r->ended),
                      &error) != F5_OK)
        triton_log(TRITONSERVER_LOG_WARN, "f5tts: no statistics: %s", error.message);
    send_last(r);
    if (r->factory) triton_status(TRITONBACKEND_ResponseFactoryDelete(r->factory), &error);
    if (triton_status(TRITONBACKEND_RequestRelease(r->request, TRITONSERVER_REQUEST_RELEASE_ALL), &error) != F5_OK)
        triton_log(TRITONSERVER_LOG_ERROR, "f5tts: a request was not released: %s", error.message);
}
