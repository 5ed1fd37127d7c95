/* restart.h — the program begins anew as the same process: for a GPU that only a new program can use. */
#ifndef F5_SERVER_RESTART_H
#define F5_SERVER_RESTART_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/error.h"

const char *restarted(void); /* the devices that restart was given by the program before; NULL: this is the first one */

/* The files that the program was given open, by number: they stay open for the next one. */
typedef struct {
    int *file; /* [n], to be freed */
    size_t n, room;
    bool incomplete; /* private */
} given_files;

/* Call first: notes the given files, and names the process as before. F5_E_MEMORY. */
f5_status restart_prepare(given_files *given, f5_error *error);

/* SIGTERM, SIGINT and SIGHUP wait while they are held by the calling thread, and by all others of the process. Threads
 * begin as the one that makes them; a program that begins anew begins with them held. */
void hold_signals(bool hold);

/* After so many seconds, or by SIGHUP at once, runs the program again in its own place, with the arguments and the
 * environment that it was given: its process id stays, all that it opened is closed. The signals are held, and the
 * caller has taken everything apart. devices: what "auto" was found to be among them. Returns only if SIGTERM or SIGINT
 * says so (true), or if the program cannot be run, which is told on stderr (false). */
bool restart(given_files *given, const char *devices, unsigned seconds);

#endif
