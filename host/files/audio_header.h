/* audio_header.h — how many bytes of sound the header of a file claims, held against how many are there. libsndfile
 * reads what is left of a cut file without a word, and some of the sizes that recorders leave when they write to a pipe
 * it takes for none. */
#ifndef F5_AUDIO_HEADER_H
#define F5_AUDIO_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/error.h"

/* A file as it is to be read: its bytes, of which a few in the header are others. */
typedef struct {
    int fd;
    int64_t bytes;
    int64_t patch_at; /* where patch [patch_bytes] stands instead of what the file has */
    int32_t patch_bytes;
    unsigned char patch[8];
    bool ffmpeg_first; /* where libsndfile takes headers of inner blocks for sound (VOC of several), guesses the length
                        * (MP3 without a count) or is silent about a cut (FLAC without one) */
    int64_t walked_frames; /* of MP3 without a count: what its whole pieces hold; 0: not known */
} audio_bytes;

/* Bytes read in a row without any sound among them, as in a file that is all holes: no more are read. */
#define AUDIO_MAX_FRUITLESS (16 << 20)

/* Like pread, patch included. */
int64_t audio_bytes_read(const audio_bytes *file, void *to, int64_t n, int64_t at);

/* Reads the headers of WAV, AIFF, 8SVX, RF64, W64, AU, CAF, VOC, NIST, AVR, MATLAB 4 and 5, WVE and WMA, the pages of
 * Ogg, the frames of MP3, the elements of Matroska (WebM). A size that was left open (0, 0x7f000000 and more, -1) is
 * patched to what is there. F5_E_FORMAT: it is truncated, or its chunks have no end; `name` is that of the file. Other
 * formats pass. */
f5_status audio_header_check(audio_bytes *file, const char *name, f5_error *error);

#endif
