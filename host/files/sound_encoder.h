/* sound_encoder.h — samples in, the bytes of a sound file out, while the samples come.
 *
 * How long a sample stays inside before the bytes that say it have come out, at 24 kHz, in milliseconds (the most that
 * `tests/encoder_delay.py` finds; pieces of 10 ms are given):
 *   wav, raw 0 · flac 48 · mp3 78 · opus 87 · aac 128 · ogg 750, since libsndfile fills pages of Vorbis
 * Memory does not grow with the length of the sound. Another rate than 24 kHz adds 1.3 ms, below 24 kHz up to 4 ms. */
#ifndef F5_SOUND_ENCODER_H
#define F5_SOUND_ENCODER_H

#include <stddef.h>

#include "host/files/sound_format.h"

#define SOUND_RATE 24000 /* of the samples that are given, unless it is said */

/* Where the bytes go. Both functions return 0, or an errno value if they refuse; then the encoder writes nothing more.
 * They run on the thread that calls the encoder. */
typedef struct {
    int (*write)(void *user, const void *bytes, size_t n); /* behind all that came before */
    /* Bytes in place of others that were written; NULL where there is no way back, as in a pipe. Then a WAV header says
     * that its length is unknown (sizes of 0xffffffff, as FFmpeg writes to a pipe), and so do FLAC and MP3. */
    int (*rewrite)(void *user, int64_t at, const void *bytes, size_t n);
    void *user;
} sound_sink;

typedef struct sound_encoder sound_encoder;

/* Begins a mono sound at `rate` samples a second; its header may be written now. name: for messages, kept as a pointer.
 * An encoder belongs to one thread at a time, any number of encoders may be at work on as many threads.
 * Errors: those of sound_format_check, F5_E_MEMORY, F5_E_IO (refused). *encoder is NULL then. */
f5_status sound_encoder_open(sound_encoder **encoder, sound_format format, int32_t rate, const sound_sink *sink,
                             const char *name, f5_error *error);

/* The same for samples of another rate than SOUND_RATE. */
f5_status sound_encoder_open_of(sound_encoder **encoder, sound_format format, int32_t given, int32_t rate,
                                const sound_sink *sink, const char *name, f5_error *error);

/* Adds samples [n], finite; those beyond -1..1 are clipped where the format has no such values. F5_E_IO: the sink
 * refused, now or before; the message has the reason. F5_E_UNSUPPORTED: a WAV file would exceed 4 GiB. */
f5_status sound_encoder_add(sound_encoder *e, const float *samples, int64_t n, f5_error *error);

/* Brings out what is still inside, and puts right what the header says. Nothing may be added after it. */
f5_status sound_encoder_end(sound_encoder *e, f5_error *error);

void sound_encoder_close(sound_encoder *e); /* NULL is fine. Without an end what came out is all there is */

#endif
