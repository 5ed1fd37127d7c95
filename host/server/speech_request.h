/* speech_request.h — the JSON body of a request for speech, read and held against every limit. It knows no server: what
 * comes in is text, what comes out a struct or the reason why not. */
#ifndef F5_SERVER_SPEECH_REQUEST_H
#define F5_SERVER_SPEECH_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/api/f5tts.h"
#include "host/files/sound_format.h"

/* What requests that do not say have. */
typedef struct {
    int32_t nfe_step, method; /* method: an f5_method */
    float first_chunk;        /* of those that stream */
    size_t text_bytes;        /* most of an input */
    int32_t rate;             /* samples a second of the model's speech */
    bool one_voice;           /* the model's own: no recording, no guidance */
    bool reads_phonemes, ipa; /* the model; ipa: nothing here makes phonemes of words, all texts are IPA */
} speech_defaults;

/* Strings belong to `body`, or to the item of a batch, and live as long. */
typedef struct {
    const char *model, *input, *voice; /* model and voice: NULL where not given */
    size_t input_bytes;
    const char *ref_audio, *ref_text; /* NULL, or both: base64 or a data URL, and what it says */
    sound_format format;
    int32_t rate;
    bool sse, streams;       /* server-sent events; the client said that it reads while it comes */
    bool subtitles;          /* events that tell sentences and their times */
    f5_speak_params speak;   /* how it is said; its text, seed and `sample` are what stands here */
    f5_sample_params sample; /* the solver */
    bool seed_given;
    bool ipa; /* the input is that, of a model that reads phonemes */
} speech_request;

/* Why a request is refused: an answer of OpenAI's form. */
typedef struct {
    int status;        /* 400, 413 */
    const char *param; /* a constant, or NULL */
    const char *code;  /* a constant, or NULL */
    char message[512];
} request_fault;

/* Reads `object`; fields that are not given come from `shared`, which may be NULL (a batch has it). false: *why says
 * what is wrong. Unknown fields are passed over, wrong types and values are not. */
bool speech_request_read(const json_t *object, const json_t *shared, const speech_defaults *defaults,
                         speech_request *request, request_fault *why);

#endif
