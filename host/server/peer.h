/* peer.h — one TCP connection: bytes in, bytes out, deadlines, and a reader that is too slow is cut.
 *
 * All on the loop's thread. HTTP lies on peers; a WebSocket takes over the peer of its request, Wyoming has a listener
 * of its own. */
#ifndef F5_SERVER_PEER_H
#define F5_SERVER_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include "host/server/loop.h"

#define PEER_HIGH 262144  /* bytes queued from which a writer should wait for `drained` */
#define PEER_LOW 65536    /* bytes queued at which `drained` is called */
#define PEER_INPUT 262144 /* bytes that wait to be taken before the peer is no longer read */

typedef struct peer peer;
typedef struct peers peers; /* all of a server's, with their limits */

/* Whoever has the peer. Any may be NULL. A function may close the peer. */
typedef struct {
    /* bytes [n] that came, with those that were not taken before; returns how many it takes. What it leaves comes again
     * with what comes next, or after peer_again. */
    size_t (*data)(void *user, const char *bytes, size_t n);
    void (*drained)(void *user); /* less than PEER_LOW is queued, after it was more */
    void (*closed)(void *user);  /* the other side went, or was cut: the peer must not be used any more. Not called
                                    after the user's own peer_close or peer_cut */
    void (*ending)(void *user);  /* the server drains: finish what is begun, begin nothing, then peer_close */
} peer_events;

void peer_take(peer *p, const peer_events *events, void *user); /* from now on these are told; *events must live on */
bool peer_write(peer *p, const void *bytes, size_t n);          /* queues; false: no memory, the peer is cut soon */
size_t peer_queued(const peer *p);                              /* bytes that the system has not taken yet */
void peer_again(peer *p); /* data() is called soon with what was left, if there is any */
void peer_close(peer *p); /* when what is queued is sent; lingers a little, so that the last bytes are read there */
void peer_cut(peer *p);   /* now */
void peer_deadline(peer *p, double seconds); /* cut when so many seconds have passed, come what may; 0: no deadline */
void peer_idle(peer *p, double seconds);     /* cut when nothing came for so long; 0: not */
const char *peer_address(const peer *p);     /* "127.0.0.1" */
loop *peer_loop(const peer *p);
peers *peer_all(const peer *p);

typedef struct {
    int connections;             /* in all */
    int connections_per_address; /* 0: no limit of its own */
    size_t queued_bytes;         /* over all peers, from which peers_crowded is true */
    size_t held_bytes;           /* from which peers_full is true */
    double slow_seconds; /* a peer to which bytes are queued gets slow_bytes away in so many seconds, or is cut */
    size_t slow_bytes;
} peer_limits;

peers *peers_new(loop *l, const peer_limits *limits); /* NULL: no memory */
void peers_close(peers *all);                         /* stops listening, cuts those that are left; NULL is fine */
void peers_free(peers *all);                          /* after it */
void peers_end(peers *all);                           /* stops listening, tells everyone `ending` */
int peers_count(const peers *all);
size_t peers_queued(const peers *all);
bool peers_crowded(const peers *all); /* so much waits to be read that nothing new should begin */

/* What clients sent, and what is kept of it: bodies, messages, recordings. Whoever keeps it counts it: it was so many
 * bytes before, and is so many now. */
void peers_hold(peers *all, size_t before, size_t now);
bool peers_full(const peers *all); /* so much is kept that nothing large should be begun */

typedef struct {
    int port;
    bool loopback; /* only this machine can connect */
} peers_place;

/* accept() is called for each connection within the limits and takes the peer. One beyond them gets `refusal`, which
 * may be NULL, and is closed. *place receives where it listens: port may be asked for as 0. */
f5_status peers_listen(peers *all, const char *address, int port, const char *refusal,
                       void (*accept)(void *user, peer *p), void *user, peers_place *place, f5_error *error);

#endif
