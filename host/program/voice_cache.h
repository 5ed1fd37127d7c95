/* voice_cache.h — voices opened once and kept while many texts are spoken by many threads. Of those that nobody uses,
 * the one used longest ago makes room. */
#ifndef F5_VOICE_CACHE_H
#define F5_VOICE_CACHE_H

#include "host/program/voice_files.h"

typedef struct voice_cache voice_cache;

/* At most `kept` voices are open at a time; no more may be in use. NULL: no memory. */
voice_cache *voice_cache_new(f5_engine *engine, int kept);
void voice_cache_free(voice_cache *cache); /* closes all; NULL is fine */

/* The voice of that recording, transcript and settings, opened if it is not open yet; other threads that want the same
 * one meanwhile wait for it. Each got voice is given back by voice_cache_release. */
f5_status voice_cache_get(voice_cache *cache, const voice_files *files, const voice_settings *settings,
                          const f5_voice **voice, f5_error *error);
void voice_cache_release(voice_cache *cache, const f5_voice *voice);

#endif
