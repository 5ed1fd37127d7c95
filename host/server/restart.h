/* restart.h — the program begins anew as the same process: for a GPU that only a new program can use. */
#ifndef F5_SERVER_RESTART_H
#define F5_SERVER_RESTART_H

#include <stdbool.h>

bool restarted(void); /* did this program begin so? */

/* After so many seconds runs the program again, with the arguments and the environment that it was given, in its own
 * place: its process id stays, all that it had open is closed. The caller has taken everything apart. Returns only if
 * that fails, which it tells on stderr. */
void restart(unsigned seconds);

#endif
