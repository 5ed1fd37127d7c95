/* test_desk.c — desks: those that wait get them in the order in which they came; one that is not wanted any more leaves
 * at once, wherever it stands, and a desk that came to it meanwhile goes on; a thread that waits is inside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "host/api/desk.h"
#include "tests/c/seed.h"

enum { DESKS = 2, WAITERS = 5, THREADS = 8, TURNS = 400 };

typedef struct {
    desk_room *room;
    pthread_t thread;
    atomic_bool unwanted, asked, seated, leaves;
    atomic_int *order, place; /* the how manieth to sit down */
    bool never_asked, was_inside;
    f5_status status;
    f5_error error;
} caller;

static void nap(void) {
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

static int wanted(void *user) {
    caller *c = user;
    c->was_inside = desk_room_has_me(c->room);
    atomic_store(&c->asked, true);
    return atomic_load(&c->unwanted);
}

static void *work(void *user) {
    caller *c = user;
    desk *d;
    c->status = desk_take(c->room, c->never_asked ? NULL : wanted, c, &d, &c->error);
    if (c->status != F5_OK) return NULL;
    if (c->order) atomic_store(&c->place, atomic_fetch_add(c->order, 1));
    atomic_store(&c->seated, true);
    while (!atomic_load(&c->leaves)) nap();
    desk_leave(c->room, d);
    return NULL;
}

static void begin(desk_room *room, caller *c) {
    c->room = room;
    assert_int_equal(pthread_create(&c->thread, NULL, work, c), 0);
}

static void open_room(desk_room *room) {
    f5_error error;
    assert_int_equal(desk_room_init(room, DESKS, 8, 1, &error), F5_OK);
}

/* Every desk is taken, and the callers wait, in their order. */
static void line_up(desk_room *room, caller holders[DESKS], caller *callers, int n) {
    for (int i = 0; i < DESKS; i++) {
        begin(room, &holders[i]);
        while (!atomic_load(&holders[i].seated)) nap();
    }
    for (int i = 0; i < n; i++) {
        begin(room, &callers[i]);
        while (desk_room_waiting(room) <= i) nap();
    }
}

static void let_go(caller *c) {
    atomic_store(&c->leaves, true);
    pthread_join(c->thread, NULL);
}

/* Each subset of those that wait is cancelled, and leaves before any desk is free; the others sit down in their order.
 */
static void cancelled_while_they_wait(void **state) {
    (void)state;
    for (int who = 0; who < 1 << WAITERS; who++) {
        desk_room room;
        atomic_int order = 0;
        caller holders[DESKS] = {0}, c[WAITERS] = {0};
        open_room(&room);
        for (int i = 0; i < WAITERS; i++) c[i].order = &order;
        c[0].never_asked = !(who & 1);
        line_up(&room, holders, c, WAITERS);
        int left = 0;
        for (int i = 0; i < WAITERS; i++) atomic_store(&c[i].unwanted, who >> i & 1);
        for (int i = 0; i < WAITERS; i++) {
            if (who >> i & 1)
                pthread_join(c[i].thread, NULL);
            else
                left++;
        }
        assert_int_equal(desk_room_waiting(&room), left);
        for (int i = 0; i < DESKS; i++) {
            assert_int_equal(holders[i].status, F5_OK);
            assert_false(atomic_load(&holders[i].asked)); /* they had not to wait */
        }
        let_go(&holders[0]); /* one desk goes from hand to hand */
        for (int i = 0, place = 0; i < WAITERS; i++) {
            if (who >> i & 1) {
                assert_int_equal(c[i].status, F5_E_CANCELLED);
                assert_string_equal(c[i].error.message, "cancelled while it waited");
                assert_true(c[i].was_inside);
                continue;
            }
            while (!atomic_load(&c[i].seated)) nap();
            assert_int_equal(atomic_load(&c[i].place), place++);
            let_go(&c[i]);
            assert_int_equal(c[i].status, F5_OK);
        }
        let_go(&holders[1]);
        assert_int_equal(desk_room_waiting(&room), 0);
        desk_room_destroy(&room);
    }
}

/* One that was not asked since it became unwanted is asked when its desk comes, and the desk goes to the next. */
static void asked_before_it_sits_down(void **state) {
    (void)state;
    for (int i = 0; i < 30; i++) {
        desk_room room;
        caller holders[DESKS] = {0}, c[2] = {0};
        open_room(&room);
        line_up(&room, holders, c, 2);
        atomic_store(&c[0].unwanted, true);
        let_go(&holders[0]);
        pthread_join(c[0].thread, NULL);
        assert_int_equal(c[0].status, F5_E_CANCELLED);
        while (!atomic_load(&c[1].seated)) nap();
        let_go(&c[1]);
        let_go(&holders[1]);
        desk_room_destroy(&room);
    }
}

typedef struct {
    desk_room *room;
    uint64_t random;
    atomic_int *seated, *most;
    int cancelled;
} guest;

static int at_random(void *user) {
    return random_below(&((guest *)user)->random, 3) == 0;
}

static void *come_and_go(void *user) {
    guest *g = user;
    for (int i = 0; i < TURNS; i++) {
        desk *d;
        f5_error error;
        const bool patient = random_below(&g->random, 2) == 0;
        if (desk_take(g->room, patient ? NULL : at_random, g, &d, &error) != F5_OK) {
            g->cancelled++;
            continue;
        }
        const int n = atomic_fetch_add(g->seated, 1) + 1;
        if (n > atomic_load(g->most)) atomic_store(g->most, n);
        memset(d->normal, i, sizeof d->normal); /* nobody else does (the thread sanitizer would see) */
        if (random_below(&g->random, 4) == 0) nap();
        atomic_fetch_sub(g->seated, 1);
        desk_leave(g->room, d);
    }
    return NULL;
}

/* Many come, wait, are cancelled at any moment, and go: never more sit than there are desks, and all desks are left. */
static void a_crowd(void **state) {
    uint64_t *random = *state;
    desk_room room;
    atomic_int seated = 0, most = 0;
    guest guests[THREADS];
    pthread_t threads[THREADS];
    open_room(&room);
    for (int i = 0; i < THREADS; i++) {
        guests[i] =
            (guest){.room = &room, .random = random_below(random, 1 << 30) + 1, .seated = &seated, .most = &most};
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &guests[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert_in_range(atomic_load(&most), 1, DESKS);
    assert_int_equal(desk_room_waiting(&room), 0);
    assert_null(room.taken);
    int free_desks = 0;
    for (const desk *d = room.free; d; d = d->next) free_desks++;
    assert_int_equal(free_desks, DESKS);
    desk_room_destroy(&room);
}

int main(void) {
    uint64_t random = random_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancelled_while_they_wait),
        cmocka_unit_test(asked_before_it_sits_down),
        cmocka_unit_test_prestate(a_crowd, &random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
