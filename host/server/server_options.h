/* server_options.h — everything that `f5tts serve` can be told. */
#ifndef F5_SERVER_OPTIONS_H
#define F5_SERVER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/api/f5tts.h"

#define SERVER_DEVICES_MAX 16
#define SERVER_ALIASES_MAX 64
#define SERVER_WARM_MAX 16

typedef struct {
    /* the engines */
    const char *model, *model_id; /* path; as clients call it, default "f5-tts" */
    const char *precision, *vocoder_precision, *languages;
    const char *devices; /* "cuda:0,cuda:1" */
    int32_t max_frames, max_batch, threads;
    const char *warm; /* seconds, "5,10" */
    /* the model, as it says itself */
    int32_t sound_rate;              /* samples a second of its speech */
    bool one_voice;                  /* which is its own: it takes no recording */
    bool reads_phonemes;             /* its texts are IPA */
    char license[256], credit[1024]; /* as in f5_model_info */
    f5_speak_params phonemes; /* its phonemes and phonemes_user make IPA of words; NULL: the model reads letters, or all
                                 texts are IPA */
    /* the voices */
    const char *shipped_voices;         /* folder; NULL: none */
    const char *voice_dir, *upload_dir; /* NULL: none */
    const char *default_voice;
    const char *const *alias; /* [n_alias] "alloy=slt" */
    int32_t n_alias;
    /* the sockets */
    const char *host;
    int32_t port;
    int32_t wyoming_port; /* -1: off */
    const char *wyoming_host;
    int32_t connections, connections_per_address;
    float head_seconds, body_seconds, keep_alive_seconds, slow_seconds;
    int32_t head_bytes, headers, body_megabytes;
    const char *cors_origin, *allowed_hosts, *key_file;
    /* the work */
    int32_t running, waiting, text_bytes, buffer_megabytes;
    int32_t nfe_step, method; /* of requests that do not say */
    bool solver_given;        /* either of them */
    float first_chunk;        /* of requests that stream */
    float drain_seconds;
    /* what is seen */
    int32_t log_format; /* 0 json, 1 text, 2 none */
    const char *log_file;
    bool no_page, check_config;
} server_options;

/* Runs until SIGTERM; prints errors. Gives the exit code. */
int server_run(const server_options *options);

#endif
