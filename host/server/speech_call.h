/* speech_call.h — from a request for speech that was read to a job that speaks: finds or decodes the voice, fills the
 * order. */
#ifndef F5_SERVER_SPEECH_CALL_H
#define F5_SERVER_SPEECH_CALL_H

#include "host/server/server.h"
#include "host/server/speech_request.h"

/* Is the model, as a client named it, this server's? NULL is. */
bool model_is_known(const server *s, const char *model);

/* Checks what only the server knows: the model, the voice, whether a recording is given. false: *why. *voice is held,
 * or NULL where ref_audio gives the voice. */
bool speech_call_check(const server *s, const speech_request *q, recording **voice, request_fault *why);

/* Any thread: decodes ref_audio into a recording that the caller holds. */
f5_status speech_call_decode(const speech_request *q, recording **voice, f5_error *error);

/* The order of a request. Strings stay the request's. */
void speech_call_order(const speech_request *q, recording *voice, speech_order *order);

speech_defaults speech_call_defaults(const server *s);

#endif
