/* run_program.h — another program, run to its end: what it printed, and whether it did its work. */
#ifndef F5_RUN_PROGRAM_H
#define F5_RUN_PROGRAM_H

#include <stddef.h>

#include "host/program/interruption.h"
#include "kernels/error.h"

/* Runs words [..., NULL], looked for in PATH, without a shell, its standard input empty, with all that it starts as one
 * group of processes. *out [*bytes + 1], ended by a zero, receives what it printed; free() it.
 *
 * The group is ended, first by TERM and two seconds later by KILL, when `seconds` are over, when more than max_bytes
 * were printed, and when a signal arrives that would end this program, which the caller then leaves to
 * interruption_end. Errors begin with the program's name: F5_E_IO (it cannot be run; it failed, with its status and the
 * last line that it printed to standard error), F5_E_UNSUPPORTED (too much), F5_E_CANCELLED (the time, a signal),
 * F5_E_MEMORY. *out is NULL then. */
f5_status run_program(char *const *words, double seconds, size_t max_bytes, interruption *ending, char **out,
                      size_t *bytes, f5_error *error);

#endif
