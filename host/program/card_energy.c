/* card_energy.c — four functions of libnvidia-ml.so.1; their types as nvml.h has them. */
#include "host/program/card_energy.h"

#include <dlfcn.h>
#include <string.h>

typedef int (*plain_fn)(void);
typedef int (*count_fn)(unsigned int *count);
typedef int (*handle_fn)(unsigned int index, void **card);
typedef int (*energy_fn)(void *card, unsigned long long *millijoules);

/* ISO C has no conversion of an object's pointer to a function's. */
#define FIND(library, name, function)                                                                                  \
    do {                                                                                                               \
        void *found_ = dlsym(library, name);                                                                           \
        memcpy(&(function), &found_, sizeof found_);                                                                   \
    } while (0)

void card_energy_open(card_energy *e) {
    *e = (card_energy){0};
    e->library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!e->library) return;
    plain_fn start;
    count_fn count;
    handle_fn handle;
    energy_fn energy;
    FIND(e->library, "nvmlInit_v2", start);
    FIND(e->library, "nvmlDeviceGetCount_v2", count);
    FIND(e->library, "nvmlDeviceGetHandleByIndex_v2", handle);
    FIND(e->library, "nvmlDeviceGetTotalEnergyConsumption", energy);
    unsigned int cards = 0;
    void *card = NULL;
    if (!start || !count || !handle || !energy || start() != 0) return;
    if (count(&cards) == 0 && cards == 1 && handle(0, &card) == 0) e->card = card;
    e->read = energy;
}

double card_energy_joules(const card_energy *e) {
    unsigned long long millijoules;
    return e->card && e->read(e->card, &millijoules) == 0 ? 1e-3 * (double)millijoules : -1;
}

void card_energy_close(card_energy *e) {
    plain_fn end;
    if (e->read) {
        FIND(e->library, "nvmlShutdown", end);
        if (end) (void)end();
    }
    if (e->library) dlclose(e->library);
    *e = (card_energy){0};
}
