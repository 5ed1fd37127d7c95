/* audio_stream.c — walks compressed files piece by piece; a last piece that is not whole tells of a cut. Nothing is
 * decoded. */
#include <string.h>

#include "host/files/audio_claim.h"

/* ---- MPEG audio: MP3 and its elder brothers ---------------------------------------------------------------------- */

typedef struct {
    int64_t bytes, samples;
    int side_bytes; /* between its header and what an encoder writes into a first frame without sound */
} mpeg_frame;

/* A frame's length by its header of 4 bytes; false: it is none, or of a length that it does not say. */
static bool read_frame(const unsigned char *h, mpeg_frame *f) {
    static const int16_t kbits[5][15] = {
        {0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448}, /* version 1, layer I */
        {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},    /* II */
        {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},     /* III */
        {0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},    /* version 2, layer I */
        {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}};        /* II and III */
    static const int32_t rates[] = {44100, 48000, 32000};
    int version = h[1] >> 3 & 3, layer = 4 - (h[1] >> 1 & 3), speed = h[2] >> 4, rate = h[2] >> 2 & 3;
    if (h[0] != 0xff || h[1] < 0xe0 || version == 1 || layer == 4 || speed == 0 || speed == 15 || rate == 3)
        return false;
    bool first = version == 3, mono = h[3] >> 6 == 3;
    int64_t hertz = first ? rates[rate] : rates[rate] / (version == 2 ? 2 : 4);
    int64_t bits = 1000 * (int64_t)kbits[first ? layer - 1 : layer == 1 ? 3 : 4][speed], padding = h[2] >> 1 & 1;
    f->samples = layer == 1 ? 384 : layer == 3 && !first ? 576 : 1152;
    f->bytes = layer == 1 ? (12 * bits / hertz + padding) * 4 : f->samples / 8 * bits / hertz + padding;
    f->side_bytes = first ? (mono ? 17 : 32) : (mono ? 9 : 17);
    return true;
}

/* Does the first frame hold the number of frames instead of sound? */
static bool has_count(const audio_bytes *file, int64_t at, const mpeg_frame *f) {
    unsigned char mark[18];
    if (audio_read_all(file, mark, 12, at + 4 + f->side_bytes) &&
        (memcmp(mark, "Xing", 4) == 0 || memcmp(mark, "Info", 4) == 0))
        return (mark[7] & 1) && audio_number(mark + 8, 4, true) > 0;
    return audio_read_all(file, mark, 18, at + 36) && memcmp(mark, "VBRI", 4) == 0 &&
           audio_number(mark + 14, 4, true) > 0;
}

/* Frames, until there are none: tags may follow. What has no count in a first frame libsndfile takes for as long as it
 * guesses. */
static audio_claim claim_of_mpeg(audio_bytes *file, const unsigned char *head) {
    int64_t at = 0, samples = 0;
    bool counted = false;
    if (memcmp(head, "ID3", 3) == 0) {
        for (int i = 6; i < 10; i++) at = at << 7 | (head[i] & 0x7f);
        at += head[5] & 0x10 ? 20 : 10;
    }
    for (int i = 0; i < AUDIO_MAX_PIECES; i++) {
        unsigned char h[4];
        mpeg_frame f;
        int64_t got = audio_bytes_read(file, h, 4, at);
        if (i > 1 && got > 0 && got < 4 && h[0] == 0xff) return (audio_claim){at, 4, false};
        if (got < 4 || !read_frame(h, &f)) break;
        if (i == 0) counted = has_count(file, at, &f);
        if (i > 0 && f.bytes > file->bytes - at) return (audio_claim){at, f.bytes, false};
        at += f.bytes;
        samples += f.samples;
    }
    file->ffmpeg_first = !counted;
    file->walked_frames = counted ? 0 : samples;
    return AUDIO_CLAIMS_NOTHING;
}

/* ---- Matroska and WebM: elements of a name, a size and that many bytes ------------------------------------------- */

#define SEGMENT 0x18538067u
#define CLUSTER 0x1f43b675u

/* A number whose first bits say how many bytes it has: its bytes, or 0. */
static int read_vint(const unsigned char *p, int64_t there, int most, bool keep_mark, uint64_t *value) {
    int n = 1;
    while (n <= most && !(p[0] & 0x80 >> (n - 1))) n++;
    if (n > most || n > there) return 0;
    *value = audio_number(p, n, true);
    if (!keep_mark) *value &= ~(1ull << 7 * n);
    return n;
}

/* An element that is still being written, as browsers leave the outer ones, has a size of ones only. */
static audio_claim claim_of_matroska(const audio_bytes *file) {
    int64_t at = 0;
    for (int i = 0; i < AUDIO_MAX_PIECES && at < file->bytes; i++) {
        unsigned char head[12] = {0};
        uint64_t name, size = 0;
        int64_t got = audio_bytes_read(file, head, sizeof head, at);
        int named = read_vint(head, got, 4, true, &name);
        int sized = named && named < got ? read_vint(head + named, got - named, 8, false, &size) : 0;
        if (!sized) return got < 12 && head[0] ? (audio_claim){at, 12, false} : AUDIO_CLAIMS_NOTHING;
        bool open = size == (1ull << 7 * sized) - 1;
        at += named + sized;
        if (!open && size > (uint64_t)(file->bytes - at)) return (audio_claim){at, (int64_t)size, false};
        if (name == SEGMENT && !open) return AUDIO_CLAIMS_NOTHING; /* it is all there */
        if (open && name != SEGMENT && name != CLUSTER) return AUDIO_CLAIMS_NOTHING;
        if (!open) at += (int64_t)size;
    }
    return at < file->bytes ? (audio_claim){.endless = true} : AUDIO_CLAIMS_NOTHING;
}

/* ---- a size in the header ---------------------------------------------------------------------------------------- */

/* ASF, as WMA is: objects, one of which has the size of the file, unless it was broadcast. */
static audio_claim claim_of_asf(const audio_bytes *file) {
    static const unsigned char properties[16] = {0xa1, 0xdc, 0xab, 0x8c, 0x47, 0xa9, 0xcf, 0x11,
                                                 0x8e, 0xe4, 0x00, 0xc0, 0x0c, 0x20, 0x53, 0x65};
    unsigned char object[92];
    int64_t at = 30;
    for (int i = 0; i < AUDIO_MAX_CHUNKS && audio_read_all(file, object, 24, at); i++) {
        uint64_t size = audio_number(object + 16, 8, false);
        if (size < 24 || size > (uint64_t)(file->bytes - at)) return AUDIO_CLAIMS_NOTHING;
        if (memcmp(object, properties, sizeof properties) == 0 && audio_read_all(file, object, sizeof object, at)) {
            uint64_t all = audio_number(object + 40, 8, false);
            bool broadcast = object[88] & 1;
            return broadcast || all >= 1ull << 62 ? AUDIO_CLAIMS_NOTHING : (audio_claim){0, (int64_t)all, false};
        }
        at += (int64_t)size;
    }
    return AUDIO_CLAIMS_NOTHING;
}

/* Of a FLAC stream whose header does not count its samples libsndfile leaves out a last frame that is damaged. */
static audio_claim claim_of_flac(audio_bytes *file, const unsigned char *head) {
    file->ffmpeg_first = (head[21] & 0x0f) == 0 && audio_number(head + 22, 4, true) == 0;
    return AUDIO_CLAIMS_NOTHING;
}

audio_claim audio_claim_of_stream(audio_bytes *file, const unsigned char *head) {
    mpeg_frame ignored;
    if (memcmp(head, "fLaC", 4) == 0) return claim_of_flac(file, head);
    if (memcmp(head, "\x1a\x45\xdf\xa3", 4) == 0) return claim_of_matroska(file);
    if (memcmp(head, "\x30\x26\xb2\x75\x8e\x66\xcf\x11", 8) == 0) return claim_of_asf(file);
    if (memcmp(head, "ID3", 3) == 0 || read_frame(head, &ignored)) return claim_of_mpeg(file, head);
    return AUDIO_CLAIMS_NOTHING;
}
