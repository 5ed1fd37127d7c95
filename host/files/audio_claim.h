/* audio_claim.h — what the readers of headers share: what a header says of the sound, and numbers of either order. */
#ifndef F5_AUDIO_CLAIM_H
#define F5_AUDIO_CLAIM_H

#include "host/files/audio_header.h"

#define AUDIO_MAX_CHUNKS 4096      /* before the sound; real files have some ten */
#define AUDIO_MAX_PIECES (1 << 20) /* pages, frames, blocks: hours of sound */
#define AUDIO_NO_CLAIM INT64_MIN

typedef struct {
    int64_t at;    /* where it begins */
    int64_t bytes; /* claimed; AUDIO_NO_CLAIM: nothing is said, or the size was left open */
    bool endless;  /* more chunks than any real file has, or bytes that are none */
} audio_claim;

static const audio_claim AUDIO_CLAIMS_NOTHING = {.bytes = AUDIO_NO_CLAIM};

/* n bytes at p, at most 8. */
static inline uint64_t audio_number(const unsigned char *p, int n, bool big_endian) {
    uint64_t value = 0;
    for (int i = 0; i < n; i++) value = value << 8 | p[big_endian ? i : n - 1 - i];
    return value;
}

static inline bool audio_read_all(const audio_bytes *file, void *to, int64_t n, int64_t at) {
    return audio_bytes_read(file, to, n, at) == n;
}

/* audio_stream.c: files of pieces that each say how long they are, MP3 and Matroska (WebM), and those whose first piece
 * says it of all, ASF (WMA) and FLAC. head [32] is the file's beginning. */
audio_claim audio_claim_of_stream(audio_bytes *file, const unsigned char *head);

#endif
