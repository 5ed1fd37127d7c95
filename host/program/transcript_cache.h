/* transcript_cache.h — what recognisers heard, kept between runs: a small text file for each sound and command. */
#ifndef F5_TRANSCRIPT_CACHE_H
#define F5_TRANSCRIPT_CACHE_H

#include <stdint.h>

/* The words kept under the hash, to be freed; NULL: none are. */
char *transcript_find(uint64_t hash);

/* Keeps them. Where that cannot be done nothing is: it costs the next run its time. */
void transcript_keep(uint64_t hash, const char *words);

#endif
