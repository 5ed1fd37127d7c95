/* interruption.h — a time in which the signals that end a program wait, so that work of several steps ends tidily: it
 * looks for them, stops, puts away what it holds, and then the program ends as it would have. */
#ifndef F5_INTERRUPTION_H
#define F5_INTERRUPTION_H

#include <signal.h>
#include <stdbool.h>

typedef struct {
    sigset_t waiting, before;
    int signal; /* that arrived; 0: none yet */
} interruption;

/* INT, TERM, HUP and QUIT wait, unless they are ignored, as under nohup. For one thread, before it makes others. */
void interruption_begin(interruption *i);

/* Did one arrive? Waits up to `milliseconds` for it. */
bool interruption_arrived(interruption *i, int milliseconds);

/* Ends the program if one arrived, else the waiting. */
void interruption_end(const interruption *i);

#endif
