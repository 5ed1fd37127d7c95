/* count_allocations.c — which calls of libf5tts allocate? Only opening may.
 *
 *   count_allocations MODEL.f5 SEED [DEVICE]
 *
 * The allocation functions are defined here, so every call in the process comes through them and is charged to the
 * loaded object (program or library) whose code made it. Two phases are counted: opening an engine and a voice, then
 * 50 rounds of requests of different lengths and settings by one thread and on the CPU as many by four at once. On a
 * GPU the solver stays the same and the rounds are run once before they are counted, since graphs are captured when a
 * size is first met. Prints "PHASE OBJECT COUNT" for every object that allocated, and exits 1 if a request fails.
 * tests/stages/test_stage_memory.py judges the counts: opening must show some from libf5tts, which proves that the
 * counter counts. */
#define _GNU_SOURCE
#include <errno.h>
#include <link.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api/f5tts.h"

enum { PHASE_NONE, PHASE_OPEN, PHASE_REQUESTS, PHASES, MAX_OBJECTS = 64 };
static const char *const phase_names[PHASES] = {"none", "open", "requests"};

/* ---- the counter */

static struct {
    uintptr_t low, high;
    char name[64];
    atomic_long count[PHASES];
} objects[MAX_OBJECTS];
static int n_objects;
static atomic_int phase;

static int record_object(struct dl_phdr_info *info, size_t size, void *user) {
    (void)size, (void)user;
    if (n_objects == MAX_OBJECTS) return 1;
    uintptr_t low = UINTPTR_MAX, high = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
        uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, end = start + info->dlpi_phdr[i].p_memsz;
        if (start < low) low = start;
        if (end > high) high = end;
    }
    const char *name = info->dlpi_name[0] ? info->dlpi_name : "program";
    const char *slash = strrchr(name, '/');
    objects[n_objects].low = low;
    objects[n_objects].high = high;
    snprintf(objects[n_objects].name, sizeof objects[n_objects].name, "%s", slash ? slash + 1 : name);
    n_objects++;
    return 0;
}

static void charge(void *caller) {
    int now = atomic_load(&phase);
    if (now == PHASE_NONE) return;
    for (int i = 0; i < n_objects; i++) {
        if ((uintptr_t)caller < objects[i].low || (uintptr_t)caller >= objects[i].high) continue;
        atomic_fetch_add(&objects[i].count[now], 1);
        return;
    }
}

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t bytes) {
    charge(__builtin_return_address(0));
    return __libc_malloc(bytes);
}
void *calloc(size_t n, size_t bytes) {
    charge(__builtin_return_address(0));
    return __libc_calloc(n, bytes);
}
void *realloc(void *p, size_t bytes) {
    charge(__builtin_return_address(0));
    return __libc_realloc(p, bytes);
}
void *aligned_alloc(size_t align, size_t bytes) {
    charge(__builtin_return_address(0));
    return __libc_memalign(align, bytes);
}
void *memalign(size_t align, size_t bytes);
void *memalign(size_t align, size_t bytes) {
    charge(__builtin_return_address(0));
    return __libc_memalign(align, bytes);
}
int posix_memalign(void **p, size_t align, size_t bytes) {
    charge(__builtin_return_address(0));
    *p = __libc_memalign(align, bytes);
    return *p ? 0 : ENOMEM;
}

/* ---- the requests */

enum { MAX_FRAMES = 160, MAX_SEQUENCES = 3, ROUNDS = 50, THREADS = 4, VOICE_SAMPLES = 24000, CAPACITY = 256 };
static float cond[MAX_FRAMES * F5_MEL_BANDS], voice_sound[VOICE_SAMPLES];

typedef struct {
    f5_engine *engine;
    f5_voice *voice;
    f5_stream *stream; /* opened before anything is counted */
    int32_t vocab_size, rounds;
    bool any_solver;
    uint64_t state;
    float mels[MAX_SEQUENCES][MAX_FRAMES * F5_MEL_BANDS], sound[MAX_FRAMES * F5_HOP];
    int32_t tokens[CAPACITY], ids[CAPACITY];
} client;
static client clients[THREADS];
static pthread_barrier_t begin, end;

/* xorshift64*, upper bits: 0 .. below-1 */
static int32_t pick(client *c, int32_t below) {
    c->state ^= c->state >> 12;
    c->state ^= c->state << 25;
    c->state ^= c->state >> 27;
    return (int32_t)((c->state * 0x2545F4914F6CDD1Dull >> 33) % (uint64_t)below);
}

static void demand(f5_status status, const f5_error *error, const char *what) {
    if (status == F5_OK) return;
    fprintf(stderr, "%s: %s: %s\n", what, f5_status_string(status), error->message);
    exit(1);
}

static int ignore_audio(void *user, const f5_audio *audio) {
    *(int64_t *)user += audio->n_samples;
    return 0;
}

static int ignore_chunk(void *user, const f5_said *said) {
    *(int64_t *)user += said->frames;
    return 0;
}

static void ignore_warning(void *user, f5_warning_kind kind, const char *message) {
    *(int64_t *)user += kind > 0 && message[0];
}

/* Texts of one chunk and of many, with tags, pauses and marks that nobody can say; SSML; a stream. */
static const char *const texts[] = {
    "No.", "Others call me mother.",
    "Some call me nature. Others, though, call me mother nature: I have been here for over four and a half billion "
    "years. [pause 0.1s] That is long.\n\n[town] Is it? [nobody] It is \xe2\x98\x83! Twenty-two thousand five hundred "
    "times longer than you.",
    "<speak>Some call <prosody rate='fast'>me nature.</prosody><break time='50ms'/><voice name='town'>Others "
    "<sub alias='do not'>x</sub>.</voice></speak>"};

static void run_speech(client *c, const f5_sample_params *params) {
    f5_error error;
    int64_t n_samples = 0;
    f5_speak_params speak;
    f5_speak_params_init(&speak);
    f5_speak_voice town;
    f5_speak_voice_init(&town);
    town.name = "town";
    town.voice = c->voice;
    town.speed = 1.5f;
    int32_t kind = pick(c, 12), text = kind < 10 ? kind % 2 : kind - 8; /* the long ones seldom, and fast */
    speak.text = texts[text];
    speak.ssml = text == 3;
    speak.speed = text > 1 ? 6 : 0;
    speak.voices = &town;
    speak.n_voices = 1;
    speak.chunking = pick(c, 3);
    speak.first_chunk = (float)(pick(c, 3) - 1);
    speak.sentence_pause = pick(c, 2) ? 0.05f : 0;
    speak.brackets = pick(c, 3);
    speak.warning = ignore_warning;
    speak.warning_user = &n_samples;
    speak.seed = (uint64_t)pick(c, 1000);
    f5_sample_params quick = *params;
    quick.nfe = 1;
    speak.sample = text > 1 ? &quick : params;
    speak.audio = ignore_audio;
    speak.audio_user = &n_samples;
    f5_speak_stats stats;
    f5_speak_stats_init(&stats);
    demand(f5_speak(c->engine, c->voice, &speak, &stats, &error), &error, "f5_speak");
    if (n_samples == 0) exit(1);
    demand(f5_show_text(c->engine, c->voice, &speak, ignore_chunk, &n_samples, &error), &error, "f5_show_text");
    if (!c->stream || text != 2) return;
    const char *pushed = texts[2];
    for (size_t at = 0, bytes = strlen(pushed), n; at < bytes; at += n) {
        n = 1 + (size_t)pick(c, 40);
        if (n > bytes - at) n = bytes - at;
        demand(f5_stream_push(c->stream, pushed + at, n, &error), &error, "f5_stream_push");
    }
    demand(f5_stream_flush(c->stream, &error), &error, "f5_stream_flush");
}

/* A stream with a solver and a counter of its own. */
static void open_stream(client *c) {
    static int64_t n_samples[THREADS];
    f5_error error;
    f5_sample_params params;
    f5_sample_params_init(&params);
    params.nfe = 1;
    f5_speak_params speak;
    f5_speak_params_init(&speak);
    speak.sample = &params;
    speak.chunking = F5_CHUNKS_SENTENCES;
    speak.speed = 6;
    speak.audio = ignore_audio;
    speak.audio_user = &n_samples[c - clients];
    demand(f5_stream_open(c->engine, c->voice, &speak, &c->stream, &error), &error, "f5_stream_open");
}

static void run_round(client *c) {
    f5_engine *engine = c->engine;
    f5_error error;
    f5_sample_params params;
    f5_sample_params_init(&params);
    params.nfe = 5;
    if (c->any_solver) {
        params.nfe = 1 + pick(c, 7);
        params.cfg = pick(c, 3) ? 2 : 0;
        params.midpoint = pick(c, 3) == 0;
        params.method = pick(c, 4) ? F5_METHOD_EULER : F5_METHOD_AB2;
        params.grid = pick(c, 3);
        params.use_sway = pick(c, 4) != 0;
    }

    f5_sample_request requests[MAX_SEQUENCES];
    int32_t n = 1 + pick(c, MAX_SEQUENCES), room = MAX_FRAMES;
    for (int32_t i = 0; i < n; i++) {
        f5_sample_request *r = &requests[i];
        f5_sample_request_init(r);
        r->frames = 8 + pick(c, room / (n - i) - 8);
        room -= r->frames;
        r->cond = cond;
        r->cond_frames = 1 + pick(c, r->frames / 2);
        r->tokens = c->tokens;
        r->n_tokens = 1 + pick(c, r->frames - 2);
        for (int32_t j = 0; j < r->n_tokens; j++) c->tokens[j] = j % c->vocab_size;
        r->seed = (uint64_t)pick(c, 1000);
        r->mel = c->mels[i];
    }
    demand(f5_sample(engine, &params, requests, n, &error), &error, "f5_sample");

    f5_vocode_request vocode;
    f5_vocode_request_init(&vocode);
    vocode.mel = c->mels[0];
    vocode.frames = requests[0].frames;
    vocode.samples = c->sound;
    demand(f5_vocode(engine, &vocode, 1, &error), &error, "f5_vocode");

    demand(f5_mel(engine, voice_sound, 600 + pick(c, 8000), c->mels[0], &error), &error, "f5_mel");
    int32_t n_ids;
    demand(f5_tokenize(engine, "Some call me nature.", c->ids, CAPACITY, &n_ids, &error), &error, "f5_tokenize");

    run_speech(c, &params);
}

static void *run_client(void *user) {
    client *c = user;
    run_round(c);                 /* what the system takes for a new thread is not of interest */
    pthread_barrier_wait(&begin); /* ready */
    pthread_barrier_wait(&begin); /* counted from here */
    for (int32_t i = 0; i < c->rounds; i++) run_round(c);
    pthread_barrier_wait(&end); /* done */
    pthread_barrier_wait(&end); /* no longer counted: the end of a thread allocates too */
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: count_allocations MODEL.f5 SEED [DEVICE]\n");
        return 2;
    }
    const char *device = argc == 4 ? argv[3] : "cpu";
    bool cpu = strcmp(device, "cpu") == 0;
    client *first = &clients[0];
    first->state = strtoull(argv[2], NULL, 10) | 1;
    for (int i = 0; i < MAX_FRAMES * F5_MEL_BANDS; i++) cond[i] = (float)(pick(first, 2000) - 1000) / 500 - 3;
    for (int i = 0; i < VOICE_SAMPLES; i++)
        voice_sound[i] = 0.3f * sinf(0.05f * (float)i) + 1e-4f * (float)pick(first, 100);
    printf("counting allocations\n"); /* stdout has its buffer before anything is counted */
    dl_iterate_phdr(record_object, NULL);

    f5_error error;
    f5_engine *engine;
    f5_voice *voice;
    f5_open_params open;
    f5_open_params_init(&open);
    open.model_path = argv[1];
    open.device = device;
    open.max_frames = 512;
    atomic_store(&phase, PHASE_OPEN);
    demand(f5_open(&open, &engine, &error), &error, "f5_open");
    f5_voice_params params;
    f5_voice_params_init(&params);
    params.samples = voice_sound;
    params.n_frames = VOICE_SAMPLES;
    params.channels = 1;
    params.sample_rate = F5_SAMPLE_RATE;
    params.transcript = "A reference.";
    demand(f5_voice_open(engine, &params, &voice, &error), &error, "f5_voice_open");
    atomic_store(&phase, PHASE_NONE);
    f5_engine_info info;
    f5_engine_info_init(&info);
    demand(f5_get_info(engine, &info, &error), &error, "f5_get_info");

    /* one client alone, then, on the CPU, all at once */
    pthread_t threads[THREADS];
    unsigned n_threads = cpu ? THREADS : 0;
    pthread_barrier_init(&begin, NULL, n_threads + 1);
    pthread_barrier_init(&end, NULL, n_threads + 1);
    *first = (client){.engine = engine,
                      .voice = voice,
                      .vocab_size = info.vocab_size,
                      .any_solver = cpu,
                      .state = first->state,
                      .rounds = ROUNDS};
    open_stream(first);
    uint64_t seed = first->state;
    for (int round = 0; !cpu && round < ROUNDS; round++) run_round(first);
    first->state = seed;
    atomic_store(&phase, PHASE_REQUESTS);
    for (int round = 0; round < ROUNDS; round++) run_round(first);
    atomic_store(&phase, PHASE_NONE);
    for (unsigned t = 0; t < n_threads; t++) {
        if (t > 0) {
            clients[t] = *first;
            open_stream(&clients[t]);
        }
        clients[t].state += 2 * t;
        clients[t].rounds = ROUNDS / THREADS;
        if (pthread_create(&threads[t], NULL, run_client, &clients[t]) != 0) return 1;
    }
    pthread_barrier_wait(&begin);
    atomic_store(&phase, PHASE_REQUESTS);
    pthread_barrier_wait(&begin);
    pthread_barrier_wait(&end);
    atomic_store(&phase, PHASE_NONE);
    pthread_barrier_wait(&end);
    for (unsigned t = 0; t < n_threads; t++) pthread_join(threads[t], NULL);
    demand(f5_get_info(engine, &info, &error), &error, "f5_get_info");
    if (cpu && info.shared_batches == 0) {
        fprintf(stderr, "no batch was shared\n");
        return 1;
    }

    for (int p = PHASE_OPEN; p < PHASES; p++) {
        for (int i = 0; i < n_objects; i++) {
            long count = atomic_load(&objects[i].count[p]);
            if (count) printf("%s %s %ld\n", phase_names[p], objects[i].name, count);
        }
    }
    for (unsigned t = 0; t < THREADS; t++) f5_stream_close(clients[t].stream);
    f5_voice_close(voice);
    f5_close(engine);
    return 0;
}
