/* memory.h — what malloc no longer needs goes back to the system, so that a server's size says what it holds. */
#ifndef F5_SERVER_MEMORY_H
#define F5_SERVER_MEMORY_H

#include "host/server/loop.h"

typedef struct memory_keeper memory_keeper;

/* Before the first thread: large blocks are the system's own, and threads share a few heaps. */
void memory_settle(void);

/* From now on free pages of all heaps are given back every few seconds, in the background. NULL: no memory. */
memory_keeper *memory_keep(loop *l);
void memory_keeper_free(memory_keeper *k); /* after loop_settle; NULL is fine */

#endif
