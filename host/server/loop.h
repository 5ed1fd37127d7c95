/* loop.h — the server's one thread for sockets: it waits for them, runs timers, and takes what other threads post.
 *
 * Everything of host/server/ runs on this thread unless its header says otherwise, so that nothing there needs a lock.
 * What takes longer than a millisecond is given to loop_background. */
#ifndef F5_SERVER_LOOP_H
#define F5_SERVER_LOOP_H

#include <stdint.h>

#include "kernels/error.h"

struct event_base; /* libevent's */
typedef struct loop loop;
typedef struct loop_timer loop_timer;
typedef void (*loop_fn)(void *user);

/* threads: that run what loop_background is given. */
f5_status loop_new(loop **l, int threads, f5_error *error);
void loop_free(loop *l); /* waits for background work; what was posted and did not run is dropped */
void loop_run(loop *l);  /* returns after loop_stop */
void loop_stop(loop *l);
/* After loop_stop: waits for background work, then runs what was posted, so that whoever asked for it is told while it
 * is still there. NULL is fine. */
void loop_settle(loop *l);
struct event_base *loop_base(loop *l); /* for sockets and signals */
double loop_seconds(void);             /* of a clock that only goes forward; any thread */

/* run(user) on the loop's thread, soon, in the order of the calls. Any thread. Aborts nothing and never fails: the post
 * lies in `user`'s own loop_post, which must live until run was called. */
typedef struct loop_post {
    struct loop_post *next;
    loop_fn run;
    void *user;
} loop_post;
void loop_send(loop *l, loop_post *post);

/* work(user) on another thread, then done(user) on the loop's. F5_E_LIMIT: too much waits already. F5_E_CANCELLED:
 * after loop_settle. */
f5_status loop_background(loop *l, loop_fn work, loop_fn done, void *user, f5_error *error);

/* A timer that calls run(user). It is not set when it is made; NULL: no memory. Freeing or stopping it in its own run
 * is fine. */
loop_timer *loop_timer_new(loop *l, loop_fn run, void *user);
void loop_timer_set(loop_timer *t, double seconds); /* once, so far from now; replaces what was set */
void loop_timer_stop(loop_timer *t);
void loop_timer_free(loop_timer *t); /* NULL is fine */

#endif
