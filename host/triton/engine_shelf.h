/* engine_shelf.h — the open engines of this server, and the voices that each of them keeps.
 *
 * Models that ask for the same engine (file, device, settings) share one, so that their requests are packed together:
 * the usual model and the one that streams need the memory of one. Any thread may call. An engine whose device was lost
 * is opened again by the next request, when those that it had are gone. */
#ifndef F5_TRITON_ENGINE_SHELF_H
#define F5_TRITON_ENGINE_SHELF_H

#include "host/triton/model_config.h"

typedef struct engine_shelf engine_shelf;
typedef struct shelf_engine shelf_engine;
typedef struct shelf_voice shelf_voice;

engine_shelf *engine_shelf_new(void); /* NULL: no memory */
void engine_shelf_free(engine_shelf *shelf);

/* Opens the engine that the configuration asks for, on the device, or shares the one that is open. */
f5_status shelf_take(engine_shelf *shelf, const model_config *config, const char *device, shelf_engine **engine,
                     f5_error *error);
void shelf_leave(engine_shelf *shelf, shelf_engine *engine); /* the last one closes it; NULL is fine */

/* Around a request. F5_E_MEMORY: the engine is lost, and cannot be opened again now. `status` is what the request came
 * to. */
f5_status shelf_begin(shelf_engine *engine, f5_engine **open, f5_error *error);
void shelf_end(shelf_engine *engine, f5_status status);

/* Inside of that: the voice of a recording, samples [n]. Clients send the same few recordings with every request: 32 of
 * them, and of their samples 64 MB, are kept. */
f5_status shelf_voice_take(shelf_engine *engine, const float *samples, int64_t n, int32_t rate, const char *transcript,
                           shelf_voice **voice, f5_error *error);
const f5_voice *shelf_voice_open(const shelf_voice *voice);
void shelf_voice_leave(shelf_engine *engine, shelf_voice *voice); /* NULL is fine */

#endif
