/* voice_watch.h — says when something in some folders may have changed: soon by inotify, and every few seconds anyway,
 * since not every file system tells. All on the loop's thread. */
#ifndef F5_SERVER_VOICE_WATCH_H
#define F5_SERVER_VOICE_WATCH_H

#include "host/server/loop.h"
#include "host/server/voice_list.h"

#define VOICE_WATCH_SECONDS 10

typedef struct voice_watch voice_watch;

/* changed(user) is called from the loop; several changes at a time are one. The folders must live on. NULL: no memory.
 * Without inotify it is a timer. */
voice_watch *voice_watch_new(loop *l, const voice_folder *folders, int n_folders, loop_fn changed, void *user);
void voice_watch_free(voice_watch *w); /* NULL is fine */

#endif
