/* interruption.c — signals are taken from the queue of this thread by sigtimedwait. */
#define _GNU_SOURCE /* sigtimedwait */
#include "host/program/interruption.h"

#include <stddef.h>
#include <time.h>
#include <unistd.h>

void interruption_begin(interruption *i) {
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    *i = (interruption){.signal = 0};
    sigemptyset(&i->waiting);
    for (size_t k = 0; k < sizeof ending / sizeof *ending; k++) {
        struct sigaction now;
        if (sigaction(ending[k], NULL, &now) == 0 && now.sa_handler != SIG_IGN) sigaddset(&i->waiting, ending[k]);
    }
    sigprocmask(SIG_BLOCK, &i->waiting, &i->before);
}

bool interruption_arrived(interruption *i, int milliseconds) {
    if (i->signal) return true;
    const struct timespec time = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
    int arrived = sigtimedwait(&i->waiting, NULL, &time);
    if (arrived > 0) i->signal = arrived;
    return i->signal != 0;
}

void interruption_end(const interruption *i) {
    sigprocmask(SIG_SETMASK, &i->before, NULL);
    if (!i->signal) return;
    raise(i->signal);
    _exit(128 + i->signal); /* process 1 survives a signal's own action */
}
