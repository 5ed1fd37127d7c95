/* output_litter.h — what lies on the disk only until an output is whole: temporary names, reserved names, folders that
 * were made for outputs. A program that watches removes them whenever it is ended by a signal that can be caught.
 *
 * This is the one thing of the process here that is global: a signal knows of nothing else. Any thread may call. */
#ifndef F5_OUTPUT_LITTER_H
#define F5_OUTPUT_LITTER_H

#include <stdbool.h>

/* Remembers the name of a file that nobody else has, before it is made. The number to give it up by, or -1: it is too
 * long, or 192 are remembered. */
int litter_add(const char *path);

/* Makes a new file, or a folder, that is remembered as soon as it is there. -1: errno says why not. */
int litter_create(const char *path, int *number); /* an open file, for writing */
int litter_mkdir(const char *path);

/* The name is nobody's litter any more: it was removed, or became an output. -1 is fine. */
void litter_forget(int number);

/* Removes what is remembered: files, and then those folders that are empty. */
void litter_sweep(void);

/* From here on INT, TERM, HUP and PIPE sweep before they end the process as they would have, where they were not
 * ignored; XFSZ does nothing, so that a file that may not grow is an error like a full disk. For the main thread, once.
 */
void litter_watch(void);

#endif
