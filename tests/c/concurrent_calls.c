/* concurrent_calls.c — many threads at one engine through the public API, for the sanitizers.
 *
 *   concurrent_calls MODEL.f5 SEED [THREADS] [CALLS of each]
 *
 * Every thread makes random calls of its own: samplings of several settings, some with a progress callback that
 * cancels, some with a token the vocabulary lacks; the vocoder; mels; speech of one chunk or two, streams that come a
 * few bytes at a time, edits. Fewer may speak at a time than there are threads. First one after the other on an engine
 * that packs nothing, then all at once on one that does: results must be the same bits and errors the same. Prints how
 * many batches it took; exits 1 at a difference. tests/test_threads.py runs it. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api/f5tts.h"
#include "tests/c/seed.h"

enum { MAX_FRAMES = 256, MAX_THREADS = 64, MAX_CALLS = 1000, LONGEST = 60, REFERENCE_FRAMES = 20 };

typedef struct {
    int id, calls;
    uint64_t seed;
    f5_engine *engine;
    f5_voice *voice;
    int32_t vocab_size;
    uint64_t results[MAX_CALLS]; /* a hash of the bits, or of the message */
    pthread_t thread;
    int steps, refuse_at;
    int wrong; /* laws of callbacks broken */
    float cond[REFERENCE_FRAMES * F5_MEL_BANDS], mel[LONGEST * F5_MEL_BANDS], sound[LONGEST * F5_HOP];
} client;

/* FNV-1a */
static uint64_t hash(uint64_t h, const void *data, size_t bytes) {
    const uint8_t *p = data;
    for (size_t i = 0; i < bytes; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static int progress(void *user, int32_t step, int32_t steps) {
    client *c = user;
    c->steps++;
    if (!pthread_equal(c->thread, pthread_self()) || step > steps || step != c->steps) c->wrong++;
    return step == c->refuse_at;
}

static int listen(void *user, const f5_audio *audio) {
    uint64_t *h = user;
    *h = hash(*h, audio->samples, (size_t)audio->n_samples * sizeof(float));
    *h = hash(*h, audio->mel, (size_t)audio->mel_frames * F5_MEL_BANDS * sizeof(float));
    return 0;
}

static f5_status sample(client *c, uint64_t *state, f5_error *error) {
    int32_t tokens[LONGEST];
    f5_sample_params params;
    f5_sample_params_init(&params);
    params.nfe = 2 + random_below(state, 2);
    if (random_below(state, 4) == 0) params.cfg = 0;
    c->steps = 0;
    c->refuse_at = random_below(state, 4) ? 0 : 1 + random_below(state, params.nfe);
    if (c->refuse_at || random_below(state, 2)) {
        params.progress = progress;
        params.progress_user = c;
    }
    f5_sample_request r;
    f5_sample_request_init(&r);
    r.frames = 8 + random_below(state, LONGEST - 8);
    r.n_tokens = 1 + random_below(state, r.frames - 2);
    for (int32_t i = 0; i < r.n_tokens; i++) tokens[i] = random_below(state, c->vocab_size);
    if (random_below(state, 10) == 0) tokens[0] = c->vocab_size;
    r.cond_frames = 1 + random_below(state, r.frames < REFERENCE_FRAMES ? r.frames - 2 : REFERENCE_FRAMES - 1);
    r.cond = c->cond;
    r.tokens = tokens;
    r.seed = random_next(state);
    r.mel = c->mel;
    f5_status status = f5_sample(c->engine, &params, &r, 1, error);
    if (status == F5_OK) c->results[c->calls] = hash(status, c->mel, (size_t)r.frames * F5_MEL_BANDS * sizeof(float));
    if (status == F5_OK && params.progress && c->steps != params.nfe) c->wrong++;
    return status;
}

static f5_status vocode(client *c, uint64_t *state, f5_error *error) {
    f5_vocode_request r;
    f5_vocode_request_init(&r);
    r.mel = c->cond;
    r.frames = 1 + random_below(state, REFERENCE_FRAMES);
    r.samples = c->sound;
    f5_status status = f5_vocode(c->engine, &r, 1, error);
    size_t n = (size_t)f5_vocode_samples(c->engine, r.frames);
    if (status == F5_OK) c->results[c->calls] = hash(1, c->sound, n * sizeof(float));
    return status;
}

static f5_status mel(client *c, uint64_t *state, f5_error *error) {
    float samples[4096];
    int32_t n = 600 + random_below(state, 3000);
    for (int32_t i = 0; i < n; i++) samples[i] = sinf(0.01f * (float)(i + 1) * (float)(1 + random_below(state, 3)));
    f5_status status = f5_mel(c->engine, samples, n, c->mel, error);
    size_t values = (size_t)f5_mel_frames(n) * F5_MEL_BANDS;
    if (status == F5_OK) c->results[c->calls] = hash(2, c->mel, values * sizeof(float));
    return status;
}

/* The same text is spoken as a whole, or comes bit by bit. */
static f5_status speak(client *c, uint64_t *state, f5_error *error) {
    static const char *const texts[] = {"No.", "Others call me mother.", "Yes. And no. [pause 0.1s] So it is."};
    f5_sample_params params;
    f5_sample_params_init(&params);
    params.nfe = 2;
    f5_speak_params p;
    f5_speak_params_init(&p);
    const char *text = texts[random_below(state, 3)];
    p.seed = random_next(state);
    p.sample = &params;
    p.chunking = F5_CHUNKS_SENTENCE;
    p.audio = listen;
    p.audio_user = &c->results[c->calls];
    if (random_below(state, 2)) {
        f5_stream *stream;
        f5_status status = f5_stream_open(c->engine, c->voice, &p, &stream, error);
        for (size_t n = strlen(text); status == F5_OK && n > 0;) {
            size_t bytes = 1 + (size_t)random_below(state, 9);
            if (bytes > n) bytes = n;
            status = f5_stream_push(stream, text, bytes, error);
            text += bytes;
            n -= bytes;
        }
        if (status == F5_OK) status = f5_stream_flush(stream, error);
        f5_stream_close(stream);
        return status;
    }
    p.text = text;
    f5_speak_stats stats;
    f5_speak_stats_init(&stats);
    return f5_speak(c->engine, c->voice, &p, &stats, error);
}

static f5_status edit(client *c, uint64_t *state, f5_error *error) {
    float recording[6000];
    for (int i = 0; i < 6000; i++) recording[i] = 0.3f * sinf(0.03f * (float)i);
    const f5_edit_span span = {.start = 0.1, .end = 0.1, .duration = 0.05 + 0.01 * random_below(state, 9)};
    f5_edit_params p;
    f5_edit_params_init(&p);
    f5_sample_params params;
    f5_sample_params_init(&params);
    params.nfe = 2;
    p.samples = recording;
    p.n_frames = 6000;
    p.text = "A few words.";
    p.edits = &span;
    p.n_edits = 1;
    p.seed = random_next(state);
    p.sample = &params;
    p.audio = listen;
    p.audio_user = &c->results[c->calls];
    return f5_edit(c->engine, &p, NULL, error);
}

/* Call number c->calls, the same whenever it is made. */
static void call(client *c) {
    uint64_t state = c->seed + 1000003u * (uint64_t)c->calls;
    f5_error error = {0};
    f5_status status = F5_OK;
    c->results[c->calls] = 0;
    switch (random_below(&state, 10)) {
    case 0:
        status = vocode(c, &state, &error);
        break;
    case 1:
        status = mel(c, &state, &error);
        break;
    case 2:
    case 4:
        status = speak(c, &state, &error);
        break;
    case 5:
        status = edit(c, &state, &error);
        break;
    case 3: { /* looks in while the others are at it */
        f5_engine_info info;
        f5_engine_info_init(&info);
        status = f5_get_info(c->engine, &info, &error);
        f5_plan_info plan;
        f5_plan_info_init(&plan);
        if (status == F5_OK) status = f5_plan(c->engine, 50, 2, 3, &plan, &error);
        if (info.waiting < 0 || info.shared_batches > info.batches || info.batches > info.calls) c->wrong++;
        break;
    }
    default:
        status = sample(c, &state, &error);
    }
    if (status != F5_OK) c->results[c->calls] = hash((uint64_t)status, error.message, strlen(error.message));
}

static void *be_client(void *user) {
    client *c = user;
    c->thread = pthread_self();
    for (int n = c->calls, i = 0; i < n; i++) {
        c->calls = i;
        call(c);
        c->calls = n;
    }
    return NULL;
}

static void demand(f5_status status, const f5_error *error) {
    if (status == F5_OK) return;
    fprintf(stderr, "%s\n", error->message);
    exit(1);
}

static void open_engine(const char *path, int32_t batch_frames, f5_engine **engine, f5_voice **voice) {
    static float sound[24000];
    for (int i = 0; i < 24000; i++) sound[i] = 0.3f * sinf(0.05f * (float)i);
    f5_error error;
    f5_open_params open;
    f5_open_params_init(&open);
    open.model_path = path;
    open.device = "cpu";
    open.max_frames = MAX_FRAMES;
    open.batch_frames = batch_frames;
    open.max_speaking = 2;
    demand(f5_open(&open, engine, &error), &error);
    f5_voice_params recording;
    f5_voice_params_init(&recording);
    recording.samples = sound;
    recording.n_frames = 12000;
    recording.transcript = "A reference.";
    demand(f5_voice_open(*engine, &recording, voice, &error), &error);
}

int main(int argc, char **argv) {
    int threads = argc > 3 ? atoi(argv[3]) : 8, calls = argc > 4 ? atoi(argv[4]) : 20, differing = 0;
    if (argc < 3 || threads < 1 || threads > MAX_THREADS || calls < 1 || calls > MAX_CALLS) {
        fprintf(stderr, "usage: concurrent_calls MODEL.f5 SEED [THREADS] [CALLS]\n");
        return 2;
    }
    client *alone = calloc(2 * (size_t)threads, sizeof *alone), *crowd = alone + threads;
    if (!alone) return 2;
    f5_engine *one, *many;
    f5_voice *voice_of_one, *voice_of_many;
    open_engine(argv[1], 1, &one, &voice_of_one);
    open_engine(argv[1], MAX_FRAMES, &many, &voice_of_many);
    f5_error error;
    f5_engine_info info;
    f5_engine_info_init(&info);
    demand(f5_get_info(one, &info, &error), &error);
    for (int t = 0; t < threads; t++) {
        client *c = &alone[t];
        *c = (client){.id = t, .calls = calls, .engine = one, .voice = voice_of_one, .vocab_size = info.vocab_size};
        c->seed = strtoull(argv[2], NULL, 10) + 7919u * (uint64_t)t;
        uint64_t state = c->seed;
        for (int i = 0; i < REFERENCE_FRAMES * F5_MEL_BANDS; i++)
            c->cond[i] = (float)random_below(&state, 2000) / 500 - 5;
        crowd[t] = *c;
        crowd[t].engine = many;
        crowd[t].voice = voice_of_many;
        be_client(c);
    }
    pthread_t handles[MAX_THREADS];
    for (int t = 0; t < threads; t++) {
        if (pthread_create(&handles[t], NULL, be_client, &crowd[t]) != 0) return 2;
    }
    for (int t = 0; t < threads; t++) {
        pthread_join(handles[t], NULL);
        differing += alone[t].wrong + crowd[t].wrong;
        for (int i = 0; i < calls; i++) {
            if (alone[t].results[i] == crowd[t].results[i]) continue;
            fprintf(stderr, "thread %d, call %d differs\n", t, i);
            differing++;
        }
    }
    demand(f5_get_info(many, &info, &error), &error);
    printf("%lld calls in %lld batches, %lld shared; %d differences\n", (long long)info.calls, (long long)info.batches,
           (long long)info.shared_batches, differing);
    f5_voice_close(voice_of_one);
    f5_voice_close(voice_of_many);
    f5_close(one);
    f5_close(many);
    free(alone);
    return differing > 0 || info.shared_batches == 0;
}
