/* voice_watch.c — inotify says that something happened, never what: a scan finds that out, so that no event can be
 * missed. */
#include "host/server/voice_watch.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#define SETTLE_SECONDS 0.2 /* what changes together is one change */

struct voice_watch {
    int inotify; /* -1: none */
    struct event *readable;
    loop_timer *settled, *regular;
    const voice_folder *folders;
    int n_folders;
    loop_fn changed;
    void *user;
};

/* Of a folder that is watched already this changes nothing; one that was made anew is watched again. */
static void add_watches(voice_watch *w) {
    for (int i = 0; i < w->n_folders && w->inotify >= 0; i++)
        inotify_add_watch(w->inotify, w->folders[i].path, IN_CLOSE_WRITE | IN_MOVE | IN_DELETE | IN_ONLYDIR);
}

static void on_readable(evutil_socket_t fd, short what, void *user) {
    (void)what;
    voice_watch *w = user;
    char events[4096];
    while (read(fd, events, sizeof events) > 0) {
    }
    loop_timer_set(w->settled, SETTLE_SECONDS);
}

static void on_settled(void *user) {
    voice_watch *w = user;
    w->changed(w->user);
}

static void on_regular(void *user) {
    voice_watch *w = user;
    add_watches(w);
    loop_timer_set(w->regular, VOICE_WATCH_SECONDS);
    w->changed(w->user);
}

voice_watch *voice_watch_new(loop *l, const voice_folder *folders, int n_folders, loop_fn changed, void *user) {
    voice_watch *w = malloc(sizeof *w);
    if (!w) return NULL;
    *w = (voice_watch){.folders = folders, .n_folders = n_folders, .changed = changed, .user = user};
    w->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    w->settled = loop_timer_new(l, on_settled, w);
    w->regular = loop_timer_new(l, on_regular, w);
    if (w->inotify >= 0) w->readable = event_new(loop_base(l), w->inotify, EV_READ | EV_PERSIST, on_readable, w);
    if (!w->settled || !w->regular) {
        voice_watch_free(w);
        return NULL;
    }
    if (w->readable) event_add(w->readable, NULL);
    add_watches(w);
    loop_timer_set(w->regular, VOICE_WATCH_SECONDS);
    return w;
}

void voice_watch_free(voice_watch *w) {
    if (!w) return;
    if (w->readable) event_free(w->readable);
    if (w->inotify >= 0) close(w->inotify);
    loop_timer_free(w->settled);
    loop_timer_free(w->regular);
    free(w);
}
