/* fault.c — breaks a GPU for the process, as a faulty kernel does: a thread that writes to address 16, in the context
 * that all of the process share. Loaded before libf5tts it does so at the next speech once the file that F5_TEST_FAULT
 * names is there, which it takes away; by itself, when fault_gpu is called. Only the driver's own functions are used.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/api/f5tts.h"

static const char kernel[] = ".version 7.0\n"
                             ".target sm_80\n"
                             ".address_size 64\n"
                             ".visible .entry write_wrongly() {\n"
                             "    .reg .b64 %rd<2>;\n"
                             "    .reg .b32 %r<2>;\n"
                             "    mov.u64 %rd1, 16;\n"
                             "    mov.u32 %r1, 1;\n"
                             "    st.global.u32 [%rd1], %r1;\n"
                             "    ret;\n"
                             "}\n";

/* Launches it and returns, while it is under way: 0, or the driver's status of what failed before. */
int fault_gpu(int ordinal) {
    void *driver = dlopen("libcuda.so.1", RTLD_NOW), *context = NULL, *module = NULL, *function = NULL;
    int device = 0, status = -1;
    if (!driver) return status;
    int (*init)(unsigned) = dlsym(driver, "cuInit");
    int (*get)(int *, int) = dlsym(driver, "cuDeviceGet");
    int (*retain)(void **, int) = dlsym(driver, "cuDevicePrimaryCtxRetain");
    int (*release)(int) = dlsym(driver, "cuDevicePrimaryCtxRelease_v2");
    int (*push)(void *) = dlsym(driver, "cuCtxPushCurrent_v2");
    int (*pop)(void **) = dlsym(driver, "cuCtxPopCurrent_v2");
    int (*load)(void **, const void *) = dlsym(driver, "cuModuleLoadData");
    int (*find)(void **, void *, const char *) = dlsym(driver, "cuModuleGetFunction");
    int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,
                  void **) = dlsym(driver, "cuLaunchKernel");
    if (!init || !get || !retain || !release || !push || !pop || !load || !find || !launch) return status;
    if ((status = init(0)) || (status = get(&device, ordinal)) || (status = retain(&context, device))) return status;
    release(device); /* the engine's own hold stays */
    if ((status = push(context))) return status;
    if (!(status = load(&module, kernel)) && !(status = find(&function, module, "write_wrongly")))
        status = launch(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL);
    pop(&context);
    return status;
}

f5_status f5_speak(f5_engine *e, const f5_voice *v, const f5_speak_params *p, f5_speak_stats *stats, f5_error *error) {
    f5_status (*next)(f5_engine *, const f5_voice *, const f5_speak_params *, f5_speak_stats *, f5_error *) =
        dlsym(RTLD_NEXT, "f5_speak");
    const char *path = getenv("F5_TEST_FAULT");
    if (path && unlink(path) == 0) fprintf(stderr, "fault.c: %d\n", fault_gpu(0));
    return next(e, v, p, stats, error);
}
