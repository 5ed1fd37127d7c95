/* sound_format.h — the formats that speech is written in, by the words and the extensions that people know them by. */
#ifndef F5_SOUND_FORMAT_H
#define F5_SOUND_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/error.h"

typedef enum {
    SOUND_WAV,       /* 16 bits */
    SOUND_WAV24,     /* 24 bits */
    SOUND_WAV_FLOAT, /* 32-bit float */
    SOUND_FLAC,      /* 16 bits, lossless */
    SOUND_OGG,       /* Vorbis in Ogg */
    SOUND_OPUS,      /* Opus in Ogg */
    SOUND_MP3,
    SOUND_AAC, /* AAC-LC in ADTS frames */
    SOUND_RAW, /* 16 bits, little-endian, no header */
    SOUND_FORMATS
} sound_format;

/* In the order of the enum, as a table of options wants them. */
#define SOUND_FORMAT_WORDS "wav|wav24|wavf|flac|ogg|opus|mp3|aac|raw"

/* A word of that list, or "pcm", which means raw. False: it is neither. */
bool sound_format_of_word(const char *word, sound_format *format);

/* By the extension of a file's name, in capitals or not; without one it is WAV. F5_E_ARGUMENT names the extension and
 * those that are known. */
f5_status sound_format_of_name(const char *path, sound_format *format, f5_error *error);

/* F5_E_ARGUMENT: a file of that name would be taken for one of another format. A name without an extension, or with one
 * that is nobody's here, fits all. */
f5_status sound_format_check_name(sound_format format, const char *path, f5_error *error);

const char *sound_format_word(sound_format format);
const char *sound_format_extension(sound_format format); /* "wav", without the dot */
const char *sound_content_type(sound_format format);     /* "audio/mpeg", as OpenAI's service and its clients have it */

/* A rate for sound of `rate` samples a second where nobody asks for another: that, or the next higher one that the
 * format has, or else its highest. */
int32_t sound_format_rate(sound_format format, int32_t rate);

/* Whether this build and this machine can write the format at that rate, in samples a second. F5_E_ARGUMENT: the format
 * has no such rate, and the message lists those that it has. F5_E_UNSUPPORTED: a library is missing. */
f5_status sound_format_check(sound_format format, int32_t rate, f5_error *error);

/* libsndfile's number of it; 0: libsndfile has none. A WAV is to it raw samples behind a header of ours. */
int sound_format_sndfile(sound_format format);

#endif
