/* faulty_gpu.c — loaded before libf5tts: engines on "cuda:N" compute on the CPU, and such a GPU breaks when the file
 * that F5_TEST_FAULT names says so: "N" in it, and the next speech there takes the file away and fails. From then on
 * every call for that GPU fails, f5_open too: until all engines there are closed, or with "N stays" as long as the
 * process runs this program, as CUDA has it.
 *
 * While the file "F5_TEST_FAULT.N" exists, GPU N is broken for every process. "auto" is the first GPU, or the CPU while
 * that is broken. While the file "F5_TEST_FAULT.wait" exists, f5_open on a broken GPU waits; "F5_TEST_FAULT.waits" is
 * made when it does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/api/f5tts.h"

enum { GPUS = 4, ENGINES = 16 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { int broken, stays; } gpu[GPUS];
static struct {
    const f5_engine *engine;
    int gpu;
} opened[ENGINES];

/* The file F5_TEST_FAULT.ending */
static FILE *other_file(const char *ending, const char *mode) {
    char path[512];
    if (!getenv("F5_TEST_FAULT")) return NULL;
    snprintf(path, sizeof path, "%s.%s", getenv("F5_TEST_FAULT"), ending);
    return fopen(path, mode);
}

static int other_file_exists(const char *ending) {
    FILE *file = other_file(ending, "r");
    if (file) fclose(file);
    return file != NULL;
}

static int dead(int n) {
    const char number[2] = {(char)('0' + n)};
    return n >= 0 && other_file_exists(number);
}

static int number_of(const char *device) {
    if (device && strcmp(device, "auto") == 0) return dead(0) ? -1 : 0;
    if (!device || strncmp(device, "cuda", 4) != 0) return -1;
    return device[4] ? atoi(device + 5) % GPUS : 0;
}

static int number_of_engine(const f5_engine *e) {
    for (int i = 0; i < ENGINES; i++)
        if (opened[i].engine == e) return opened[i].gpu;
    return -1;
}

static f5_status fail(f5_error *error) {
    error->status = F5_E_DEVICE;
    strcpy(error->message, "the test broke the GPU");
    return F5_E_DEVICE;
}

/* Is that GPU broken, or to be broken now? */
static int broken(int n) {
    if (n < 0) return 0;
    pthread_mutex_lock(&lock);
    const char *path = getenv("F5_TEST_FAULT");
    FILE *file = path ? fopen(path, "r") : NULL;
    char word[8] = "";
    int which = -1;
    if (file && fscanf(file, "%d %7s", &which, word) >= 1 && which == n) {
        gpu[n].broken = 1;
        gpu[n].stays = strcmp(word, "stays") == 0;
        unlink(path);
    }
    if (file) fclose(file);
    int is = gpu[n].broken || dead(n);
    pthread_mutex_unlock(&lock);
    return is;
}

f5_status f5_open(const f5_open_params *params, f5_engine **engine, f5_error *error) {
    f5_status (*next)(const f5_open_params *, f5_engine **, f5_error *) = dlsym(RTLD_NEXT, "f5_open");
    const int n = number_of(params->device);
    if (n >= 0 && (gpu[n].broken || dead(n))) {
        if (other_file_exists("wait")) fclose(other_file("waits", "w"));
        while (other_file_exists("wait")) usleep(10000);
        return fail(error);
    }
    f5_open_params on_cpu = *params;
    if (n >= 0 || strcmp(params->device, "auto") == 0) on_cpu.device = "cpu";
    f5_status status = next(&on_cpu, engine, error);
    pthread_mutex_lock(&lock);
    int place = 0;
    while (status == F5_OK && opened[place].engine) place++;
    if (status == F5_OK) opened[place].engine = *engine, opened[place].gpu = n;
    pthread_mutex_unlock(&lock);
    return status;
}

void f5_close(f5_engine *engine) {
    void (*next)(f5_engine *) = dlsym(RTLD_NEXT, "f5_close");
    int n = -1, left = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < ENGINES; i++) {
        if (!engine || opened[i].engine != engine) continue;
        opened[i].engine = NULL;
        n = opened[i].gpu;
    }
    for (int i = 0; i < ENGINES; i++) left += opened[i].engine && opened[i].gpu == n;
    if (n >= 0 && left == 0 && !gpu[n].stays) gpu[n].broken = 0;
    pthread_mutex_unlock(&lock);
    next(engine);
}

f5_status f5_get_info(const f5_engine *e, f5_engine_info *info, f5_error *error) {
    f5_status (*next)(const f5_engine *, f5_engine_info *, f5_error *) = dlsym(RTLD_NEXT, "f5_get_info");
    f5_status status = next(e, info, error);
    if (number_of_engine(e) >= 0) info->device = "faulty GPU";
    return status;
}

f5_status f5_speak(f5_engine *e, const f5_voice *v, const f5_speak_params *p, f5_speak_stats *stats, f5_error *error) {
    f5_status (*next)(f5_engine *, const f5_voice *, const f5_speak_params *, f5_speak_stats *, f5_error *) =
        dlsym(RTLD_NEXT, "f5_speak");
    return broken(number_of_engine(e)) ? fail(error) : next(e, v, p, stats, error);
}
