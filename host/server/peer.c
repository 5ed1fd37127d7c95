/* peer.c — peers on libevent's bufferevents.
 *
 * A peer is never freed inside a callback of its bufferevent: what ends it marks it, and the mailbox frees it in the
 * loop's next turn. */
#include "host/server/peer.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define LINGER_SECONDS 2.0   /* after the last byte was sent, what still comes is read and dropped */
#define LINGER_BYTES 4194304 /* at most so many of them */
#define LISTENERS_MAX 4
#define ACCEPT_PAUSE 0.1 /* seconds, when the system is out of descriptors */

enum { PEER_OPEN, PEER_CLOSING, PEER_LINGERING, PEER_DEAD };

struct peer {
    peers *all;
    peer *before, *after; /* in the list of all */
    struct bufferevent *buffer;
    const peer_events *events;
    void *user;
    int state;
    bool ended; /* the other side sends no more */
    bool full;  /* `drained` is owed */
    bool busy;  /* data() runs: peer_again waits */
    bool again; /* it is posted */
    size_t lingered;
    size_t sent, sent_before; /* bytes that the system took; at the last look */
    bool queued_before;
    double idle;
    loop_timer *deadline, *pace, *quiet;
    loop_post post, free_post;
    char address[INET6_ADDRSTRLEN];
};

typedef struct {
    peers *all;
    struct evconnlistener *listener;
    const char *refusal;
    void (*accept)(void *user, peer *p);
    void *user;
} door;

struct peers {
    loop *loop;
    peer_limits limits;
    peer *first;
    int count;
    size_t queued, held;
    door doors[LISTENERS_MAX];
    int n_doors;
    loop_timer *reopen;
};

/* ---- the end of a peer ------------------------------------------------------------------------------------------- */

static void free_peer(void *user) {
    peer *p = user;
    loop_timer_free(p->deadline);
    loop_timer_free(p->pace);
    loop_timer_free(p->quiet);
    free(p);
}

/* Frees what the system gave at once, and the struct in the loop's next turn, when no callback of it can be running. A
 * post that was sent and did not run yet lies before it in the mailbox. */
static void bury(peer *p) {
    if (p->state == PEER_DEAD) return;
    p->state = PEER_DEAD;
    peers *all = p->all;
    if (p->before) p->before->after = p->after;
    if (!p->before) all->first = p->after;
    if (p->after) p->after->before = p->before;
    all->count--;
    all->queued -= peer_queued(p); /* freeing tells on_output nothing */
    bufferevent_free(p->buffer);
    p->buffer = NULL;
    loop_timer_stop(p->deadline);
    loop_timer_stop(p->pace);
    loop_timer_stop(p->quiet);
    p->free_post = (loop_post){.run = free_peer, .user = p};
    loop_send(all->loop, &p->free_post);
}

/* The other side ended it, or a limit did. */
static void lose(peer *p) {
    bool told = p->state == PEER_OPEN;
    const peer_events *events = p->events;
    void *user = p->user;
    bury(p);
    if (told && events && events->closed) events->closed(user);
}

static void lose_late(void *user) {
    peer *p = user;
    if (p->state != PEER_DEAD) lose(p);
}

/* All is sent: says so, and reads on for a while, since closing with unread bytes would take the answer from the other
 * side. */
static void linger(peer *p) {
    if (p->state != PEER_CLOSING || evbuffer_get_length(bufferevent_get_output(p->buffer)) > 0) return;
    p->state = PEER_LINGERING;
    loop_timer_stop(p->pace);
    loop_timer_stop(p->quiet);
    if (shutdown(bufferevent_getfd(p->buffer), SHUT_WR) != 0 || p->ended) {
        bury(p);
        return;
    }
    bufferevent_disable(p->buffer, EV_WRITE);
    bufferevent_setwatermark(p->buffer, EV_READ, 0, 0);
    bufferevent_enable(p->buffer, EV_READ);
    loop_timer_set(p->deadline, LINGER_SECONDS);
}

/* ---- bufferevent's callbacks ------------------------------------------------------------------------------------- */

static void drop_input(peer *p) {
    struct evbuffer *in = bufferevent_get_input(p->buffer);
    p->lingered += evbuffer_get_length(in);
    evbuffer_drain(in, evbuffer_get_length(in));
    if (p->lingered > LINGER_BYTES) bury(p);
}

/* Hands on what came for as long as some of it is taken. */
static void hand_on(peer *p) {
    if (p->busy) return;
    p->busy = true;
    while (p->state == PEER_OPEN) {
        struct evbuffer *in = bufferevent_get_input(p->buffer);
        size_t n = evbuffer_get_length(in);
        if (n == 0 || !p->events || !p->events->data) break;
        const char *bytes = (const char *)evbuffer_pullup(in, -1);
        size_t taken = bytes ? p->events->data(p->user, bytes, n) : 0;
        if (!bytes) lose(p);
        if (p->state == PEER_DEAD) break;
        if (taken > 0) evbuffer_drain(in, taken);
        if (taken == 0) break;
    }
    p->busy = false;
}

static void on_read(struct bufferevent *buffer, void *user) {
    (void)buffer;
    peer *p = user;
    if (p->idle > 0) loop_timer_set(p->quiet, p->idle);
    if (p->state == PEER_OPEN)
        hand_on(p);
    else if (p->state != PEER_DEAD)
        drop_input(p);
}

static void on_written(struct bufferevent *buffer, void *user) {
    (void)buffer;
    peer *p = user;
    if (p->state == PEER_CLOSING) {
        linger(p);
        return;
    }
    if (p->state != PEER_OPEN || !p->full || peer_queued(p) > PEER_LOW) return;
    p->full = false;
    if (p->events && p->events->drained) p->events->drained(p->user);
}

static void on_event(struct bufferevent *buffer, short what, void *user) {
    (void)buffer;
    peer *p = user;
    if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))) return;
    bool only_half = !(what & BEV_EVENT_ERROR) && p->state != PEER_LINGERING && peer_queued(p) > 0;
    if (!only_half) {
        lose(p);
        return;
    }
    /* it sends no more, and may still read what is on its way: nothing else is begun for it */
    p->ended = true;
    if (p->state == PEER_OPEN) {
        const peer_events *events = p->events;
        void *whose = p->user;
        peer_close(p);
        if (events && events->closed) events->closed(whose);
    }
}

/* Counts what is queued, and what the system took. */
static void on_output(struct evbuffer *out, const struct evbuffer_cb_info *info, void *user) {
    (void)out;
    peer *p = user;
    p->sent += info->n_deleted;
    p->all->queued += info->n_added;
    p->all->queued -= info->n_deleted;
}

/* ---- timers ------------------------------------------------------------------------------------------------------ */

/* A reader that took too little while there was something to take. */
static void check_pace(void *user) {
    peer *p = user;
    bool queued = peer_queued(p) > 0;
    if (queued && p->queued_before && p->sent - p->sent_before < p->all->limits.slow_bytes) {
        lose(p);
        return;
    }
    p->sent_before = p->sent;
    p->queued_before = queued;
    if (queued) loop_timer_set(p->pace, p->all->limits.slow_seconds);
}

static void at_deadline(void *user) {
    lose(user);
}

/* ---- what users call --------------------------------------------------------------------------------------------- */

void peer_take(peer *p, const peer_events *events, void *user) {
    p->events = events;
    p->user = user;
}

bool peer_write(peer *p, const void *bytes, size_t n) {
    if (p->state != PEER_OPEN || n == 0) return p->state == PEER_OPEN;
    bool idle = peer_queued(p) == 0;
    if (bufferevent_write(p->buffer, bytes, n) != 0) {
        if (!p->again) {
            p->again = true;
            p->post = (loop_post){.run = lose_late, .user = p};
            loop_send(p->all->loop, &p->post);
        }
        return false;
    }
    if (idle && p->all->limits.slow_seconds > 0) {
        p->queued_before = true;
        p->sent_before = p->sent;
        loop_timer_set(p->pace, p->all->limits.slow_seconds);
    }
    if (peer_queued(p) >= PEER_LOW) p->full = true;
    return true;
}

size_t peer_queued(const peer *p) {
    return p->buffer ? evbuffer_get_length(bufferevent_get_output(p->buffer)) : 0;
}

static void hand_on_late(void *user) {
    peer *p = user;
    p->again = false;
    if (p->state == PEER_OPEN) hand_on(p);
}

void peer_again(peer *p) {
    if (p->again || p->state != PEER_OPEN) return;
    p->again = true;
    p->post = (loop_post){.run = hand_on_late, .user = p};
    loop_send(p->all->loop, &p->post);
}

void peer_close(peer *p) {
    if (p->state != PEER_OPEN) return;
    p->state = PEER_CLOSING;
    loop_timer_stop(p->deadline);
    loop_timer_stop(p->quiet);
    bufferevent_setwatermark(p->buffer, EV_WRITE, 0, 0);
    bufferevent_setwatermark(p->buffer, EV_READ, 0, 0);
    linger(p);
}

void peer_cut(peer *p) {
    if (p->state == PEER_DEAD) return;
    /* a reset, so that nobody takes what came for the whole */
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(bufferevent_getfd(p->buffer), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    bury(p);
}

void peer_deadline(peer *p, double seconds) {
    if (p->state != PEER_OPEN) return;
    if (seconds > 0)
        loop_timer_set(p->deadline, seconds);
    else
        loop_timer_stop(p->deadline);
}

void peer_idle(peer *p, double seconds) {
    if (p->state != PEER_OPEN) return;
    p->idle = seconds;
    if (seconds > 0)
        loop_timer_set(p->quiet, seconds);
    else
        loop_timer_stop(p->quiet);
}

const char *peer_address(const peer *p) {
    return p->address;
}

loop *peer_loop(const peer *p) {
    return p->all->loop;
}

peers *peer_all(const peer *p) {
    return p->all;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static void write_address(const struct sockaddr *from, char to[INET6_ADDRSTRLEN]) {
    snprintf(to, INET6_ADDRSTRLEN, "?");
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
    if (from->sa_family == AF_INET)
        evutil_inet_ntop(AF_INET, &((const struct sockaddr_in *)from)->sin_addr, to, INET6_ADDRSTRLEN);
    else if (from->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        evutil_inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], to, INET6_ADDRSTRLEN);
    else if (from->sa_family == AF_INET6)
        evutil_inet_ntop(AF_INET6, &six->sin6_addr, to, INET6_ADDRSTRLEN);
}

static bool within_limits(const peers *all, const char *address) {
    if (all->count >= all->limits.connections) return false;
    if (all->limits.connections_per_address <= 0) return true;
    int same = 0;
    for (const peer *p = all->first; p; p = p->after) same += strcmp(p->address, address) == 0;
    return same < all->limits.connections_per_address;
}

/* Makes the peer of a socket, which it owns from then on; NULL: no memory. */
static peer *make_peer(peers *all, evutil_socket_t socket, const char *address) {
    peer *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->all = all;
    snprintf(p->address, sizeof p->address, "%s", address);
    p->deadline = loop_timer_new(all->loop, at_deadline, p);
    p->quiet = loop_timer_new(all->loop, at_deadline, p);
    p->pace = loop_timer_new(all->loop, check_pace, p);
    if (p->deadline && p->quiet && p->pace)
        p->buffer = bufferevent_socket_new(loop_base(all->loop), socket, BEV_OPT_CLOSE_ON_FREE);
    if (!p->buffer || !evbuffer_add_cb(bufferevent_get_output(p->buffer), on_output, p)) {
        if (p->buffer) bufferevent_setfd(p->buffer, -1);
        if (p->buffer) bufferevent_free(p->buffer);
        free_peer(p);
        return NULL;
    }
    int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    bufferevent_setcb(p->buffer, on_read, on_written, on_event, p);
    bufferevent_setwatermark(p->buffer, EV_READ, 0, PEER_INPUT);
    bufferevent_setwatermark(p->buffer, EV_WRITE, PEER_LOW, 0);
    p->after = all->first;
    if (p->after) p->after->before = p;
    all->first = p;
    all->count++;
    return p;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t socket, struct sockaddr *from, int length,
                      void *user) {
    (void)listener;
    (void)length;
    door *d = user;
    char address[INET6_ADDRSTRLEN];
    write_address(from, address);
    peer *p = within_limits(d->all, address) ? make_peer(d->all, socket, address) : NULL;
    if (!p) {
        /* a few bytes always fit into a new socket's buffer; SHUT_WR lets them arrive */
        if (d->refusal && send(socket, d->refusal, strlen(d->refusal), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
            shutdown(socket, SHUT_WR);
        evutil_closesocket(socket);
        return;
    }
    d->accept(d->user, p);
    if (p->state == PEER_OPEN) bufferevent_enable(p->buffer, EV_READ | EV_WRITE);
}

static void open_doors(void *user) {
    peers *all = user;
    for (int i = 0; i < all->n_doors; i++)
        if (all->doors[i].listener) evconnlistener_enable(all->doors[i].listener);
}

/* Out of descriptors: nobody is let in for a moment. */
static void on_accept_error(struct evconnlistener *listener, void *user) {
    door *d = user;
    evconnlistener_disable(listener);
    loop_timer_set(d->all->reopen, ACCEPT_PAUSE);
}

peers *peers_new(loop *l, const peer_limits *limits) {
    peers *all = calloc(1, sizeof *all);
    if (!all) return NULL;
    all->loop = l;
    all->limits = *limits;
    all->reopen = loop_timer_new(l, open_doors, all);
    if (all->reopen) return all;
    free(all);
    return NULL;
}

static void close_doors(peers *all) {
    for (int i = 0; i < all->n_doors; i++) {
        if (all->doors[i].listener) evconnlistener_free(all->doors[i].listener);
        all->doors[i].listener = NULL;
    }
    loop_timer_stop(all->reopen);
}

void peers_close(peers *all) {
    if (!all) return;
    close_doors(all);
    for (peer *p = all->first, *after; p; p = after) {
        after = p->after;
        lose(p);
    }
    /* those posts run in the loop's last turn */
    event_base_loop(loop_base(all->loop), EVLOOP_NONBLOCK);
}

void peers_free(peers *all) {
    if (!all) return;
    loop_timer_free(all->reopen);
    free(all);
}

void peers_end(peers *all) {
    close_doors(all);
    for (peer *p = all->first, *after; p; p = after) {
        after = p->after; /* `ending` may bury p, and no other */
        if (p->state == PEER_OPEN && p->events && p->events->ending) p->events->ending(p->user);
    }
}

int peers_count(const peers *all) {
    return all->count;
}

size_t peers_queued(const peers *all) {
    return all->queued;
}

bool peers_crowded(const peers *all) {
    return all->queued >= all->limits.queued_bytes;
}

void peers_hold(peers *all, size_t before, size_t now) {
    all->held += now - before;
}

bool peers_full(const peers *all) {
    return all->held > all->limits.held_bytes;
}

/* Also 127.0.0.1 in the form ::ffff:127.0.0.1. */
static bool is_loopback_six(const struct in6_addr *a) {
    return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
}

f5_status peers_listen(peers *all, const char *address, int port, const char *refusal,
                       void (*accept)(void *user, peer *p), void *user, peers_place *place, f5_error *error) {
    if (all->n_doors == LISTENERS_MAX) return f5_fail(error, F5_E_LIMIT, "no more than %d listeners", LISTENERS_MAX);
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_protocol = IPPROTO_TCP,
                                    .ai_flags = EVUTIL_AI_PASSIVE},
                           *found = NULL;
    int failed = evutil_getaddrinfo(address, service, &hints, &found);
    if (failed || !found)
        return f5_fail(error, F5_E_IO, "%.100s: is no address to listen at: %s", address, evutil_gai_strerror(failed));
    door *d = &all->doors[all->n_doors];
    *d = (door){.all = all, .refusal = refusal, .accept = accept, .user = user};
    d->listener = evconnlistener_new_bind(loop_base(all->loop), on_accept, d,
                                          LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, SOMAXCONN,
                                          found->ai_addr, (int)found->ai_addrlen);
    int why = errno;
    evutil_freeaddrinfo(found);
    if (!d->listener)
        return f5_fail(error, F5_E_IO, "%.100s port %d: cannot be listened at: %s", address, port, strerror(why));
    evconnlistener_set_error_cb(d->listener, on_accept_error);
    all->n_doors++;
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    getsockname(evconnlistener_get_fd(d->listener), (struct sockaddr *)&bound, &size);
    const struct sockaddr_in *four = (const struct sockaddr_in *)&bound;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&bound;
    bool is_six = bound.ss_family == AF_INET6;
    place->port = ntohs(is_six ? six->sin6_port : four->sin_port);
    place->loopback = is_six ? is_loopback_six(&six->sin6_addr) : ntohl(four->sin_addr.s_addr) >> 24 == 127;
    return F5_OK;
}
