/* lost_device.c — loaded before libf5tts: while the file that F5_TEST_LOST names exists, every call of the engine fails
 * as on a GPU that is gone, and opening one fails too. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/api/f5tts.h"

static int lost(f5_error *error) {
    const char *path = getenv("F5_TEST_LOST");
    if (!path || access(path, F_OK) != 0) return 0;
    if (error) {
        error->status = F5_E_DEVICE;
        strcpy(error->message, "the test took the device away");
    }
    return 1;
}

f5_status f5_open(const f5_open_params *params, f5_engine **engine, f5_error *error) {
    f5_status (*next)(const f5_open_params *, f5_engine **, f5_error *) = dlsym(RTLD_NEXT, "f5_open");
    return lost(error) ? F5_E_DEVICE : next(params, engine, error);
}

f5_status f5_speak(f5_engine *e, const f5_voice *v, const f5_speak_params *p, f5_speak_stats *stats, f5_error *error) {
    f5_status (*next)(f5_engine *, const f5_voice *, const f5_speak_params *, f5_speak_stats *, f5_error *) =
        dlsym(RTLD_NEXT, "f5_speak");
    return lost(error) ? F5_E_DEVICE : next(e, v, p, stats, error);
}

f5_status f5_stream_push(f5_stream *stream, const char *text, size_t bytes, f5_error *error) {
    f5_status (*next)(f5_stream *, const char *, size_t, f5_error *) = dlsym(RTLD_NEXT, "f5_stream_push");
    return lost(error) ? F5_E_DEVICE : next(stream, text, bytes, error);
}
