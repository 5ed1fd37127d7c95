/* audio_header.c — one small reader for each format, chosen by the first bytes; all of them read a hostile file. */
#include "host/files/audio_header.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/files/audio_claim.h"

#define MAX_BYTES (1ll << 40)
#define OPEN_SIZE 0x7f000000u /* and above: what a program writes that does not know the size yet */

int64_t audio_bytes_read(const audio_bytes *file, void *to, int64_t n, int64_t at) {
    if (n <= 0 || at < 0) return 0;
    int64_t got = 0;
    while (got < n) {
        ssize_t now = pread(file->fd, (char *)to + got, (size_t)(n - got), (off_t)(at + got));
        if (now <= 0) break;
        got += now;
    }
    for (int32_t i = 0; i < file->patch_bytes; i++) {
        int64_t place = file->patch_at + i - at;
        if (place >= 0 && place < got) ((unsigned char *)to)[place] = file->patch[i];
    }
    return got;
}

/* The size at `at` [n] becomes that of all that follows `from`. */
static void patch_size(audio_bytes *file, int64_t at, int32_t n, bool big_endian, int64_t from) {
    uint64_t size = (uint64_t)(file->bytes - from);
    file->patch_at = at;
    file->patch_bytes = n;
    for (int32_t i = 0; i < n; i++) file->patch[i] = (unsigned char)(size >> 8 * (big_endian ? n - 1 - i : i));
}

static bool printable(const unsigned char *name) {
    for (int i = 0; i < 4; i++)
        if (name[i] < 0x20 || name[i] > 0x7e) return false;
    return true;
}

/* ---- chunks of a name, a size and that many bytes: WAV, RF64, AIFF, 8SVX ----------------------------------------- */

/* Do chunks follow that end where the file ends? Then a sound of 0 bytes before them is one. */
static bool chunks_to_the_end(const audio_bytes *file, int64_t at, bool big) {
    unsigned char chunk[8];
    if (at >= file->bytes) return true;
    for (int i = 0; i < AUDIO_MAX_CHUNKS && audio_read_all(file, chunk, 8, at) && printable(chunk); i++) {
        int64_t size = (int64_t)audio_number(chunk + 4, 4, big);
        at += 8 + size + (size & 1);
        if (at == file->bytes || at == file->bytes + 1) return true;
    }
    return false;
}

/* Behind something that is no chunk: is the sound near by? libsndfile finds it then, and else it reads on and on. */
static bool name_is_near(const audio_bytes *file, int64_t at, const char *name) {
    char near[4096];
    int64_t got = audio_bytes_read(file, near, sizeof near, at);
    for (int64_t i = 0; i + 4 <= got; i++)
        if (memcmp(near + i, name, 4) == 0) return true;
    return false;
}

static audio_claim claim_of_chunks(audio_bytes *file, const unsigned char *head) {
    bool big = head[0] == 'F' || memcmp(head, "RIFX", 4) == 0;
    const char *sound = head[0] != 'F' ? "data" : memcmp(head + 8, "AIF", 3) == 0 ? "SSND" : "BODY";
    unsigned char chunk[24];
    int64_t at = 12;
    uint64_t long_size = 0;
    int64_t long_at = 0; /* where it stands */
    for (int i = 0; i < AUDIO_MAX_CHUNKS; i++) {
        if (!audio_read_all(file, chunk, 8, at)) return AUDIO_CLAIMS_NOTHING;
        if (!printable(chunk))
            return name_is_near(file, at, sound) ? AUDIO_CLAIMS_NOTHING : (audio_claim){.endless = true};
        int64_t size = (int64_t)audio_number(chunk + 4, 4, big);
        at += 8;
        if (memcmp(chunk, "ds64", 4) == 0 && audio_read_all(file, chunk, 16, at)) {
            long_size = audio_number(chunk + 8, 8, false);
            long_at = at + 8;
        }
        if (memcmp(chunk, sound, 4) == 0) {
            if (head[1] == 'F' && size == 0xffffffff && long_size > 0 && long_size < INT64_MAX)
                return (audio_claim){at, (int64_t)long_size, false};
            if (head[1] == 'F' && size == 0xffffffff && long_at > 0) patch_size(file, long_at, 8, false, at);
            if (size > 0 && size < OPEN_SIZE) return (audio_claim){at, size, false};
            if (size == 0 && !chunks_to_the_end(file, at, big)) patch_size(file, at - 4, 4, big, at);
            return AUDIO_CLAIMS_NOTHING;
        }
        at += size + (size & 1);
    }
    return (audio_claim){.endless = true};
}

/* Sony Wave64: names of 16 bytes, sizes of 8 with name and size counted in, all at multiples of 8. */
static audio_claim claim_of_w64(audio_bytes *file) {
    unsigned char chunk[24];
    int64_t at = 40;
    for (int i = 0; i < AUDIO_MAX_CHUNKS; i++) {
        if (!audio_read_all(file, chunk, 24, at)) return AUDIO_CLAIMS_NOTHING;
        uint64_t size = audio_number(chunk + 16, 8, false);
        bool sound = memcmp(chunk, "data\xf3\xac\xd3\x11", 8) == 0;
        if (sound && (size == 24 || size >= 1ull << 62)) patch_size(file, at + 16, 8, false, at);
        if (size < 24 || size >= 1ull << 62 || (sound && size == 24)) return AUDIO_CLAIMS_NOTHING;
        if (sound) return (audio_claim){at + 24, (int64_t)size - 24, false};
        at += ((int64_t)size + 7) & ~(int64_t)7;
    }
    return (audio_claim){.endless = true};
}

/* Apple's Core Audio: big-endian, sizes of 8 bytes; the sound begins with 4 bytes of another number. */
static audio_claim claim_of_caf(audio_bytes *file) {
    unsigned char chunk[12];
    int64_t at = 8;
    for (int i = 0; i < AUDIO_MAX_CHUNKS; i++) {
        if (!audio_read_all(file, chunk, 12, at)) return AUDIO_CLAIMS_NOTHING;
        uint64_t size = audio_number(chunk + 4, 8, true);
        bool sound = memcmp(chunk, "data", 4) == 0;
        if (sound && (size == 4 || size == UINT64_MAX)) {
            patch_size(file, at + 4, 8, true, at + 12);
            return AUDIO_CLAIMS_NOTHING;
        }
        if (size >= 1ull << 62) return AUDIO_CLAIMS_NOTHING;
        if (sound) return (audio_claim){at + 12, (int64_t)size, false};
        at += 12 + (int64_t)size;
    }
    return (audio_claim){.endless = true};
}

/* ---- other headers ----------------------------------------------------------------------------------------------- */

static audio_claim claim_of_au(audio_bytes *file, const unsigned char *head) {
    bool big = head[0] == '.';
    int64_t at = (int64_t)audio_number(head + 4, 4, big), size = (int64_t)audio_number(head + 8, 4, big);
    if (size > 0 && size < OPEN_SIZE) return (audio_claim){at, size, false};
    if (at < file->bytes) patch_size(file, 8, 4, big, at);
    return AUDIO_CLAIMS_NOTHING;
}

/* Blocks of a type, a size of 3 bytes and that many bytes, until one of type 0, which is a byte alone. */
static audio_claim claim_of_voc(audio_bytes *file) {
    unsigned char block[4];
    int sounds = 0;
    if (!audio_read_all(file, block, 2, 20)) return AUDIO_CLAIMS_NOTHING;
    int64_t at = (int64_t)audio_number(block, 2, false);
    for (int i = 0; i < AUDIO_MAX_CHUNKS && at < file->bytes; i++) {
        int64_t got = audio_bytes_read(file, block, 4, at);
        if (got < 1 || block[0] == 0) return AUDIO_CLAIMS_NOTHING;
        int64_t size = got == 4 ? (int64_t)audio_number(block + 1, 3, false) : 0;
        if (got < 4 || size > file->bytes - at - 4) return (audio_claim){at + 4, size, false};
        sounds += block[0] <= 2 || block[0] == 9;
        file->ffmpeg_first = sounds > 1;
        at += 4 + size;
    }
    return at < file->bytes ? (audio_claim){.endless = true} : AUDIO_CLAIMS_NOTHING;
}

/* A number behind a name in the text header of NIST SPHERE, "sample_count -i 79560"; -1: none. */
static int64_t nist_field(const char *text, const char *name) {
    const char *at = strstr(text, name);
    if (!at) return -1;
    long long value = -1;
    return sscanf(at + strlen(name), " -i %lld", &value) == 1 ? value : -1;
}

static audio_claim claim_of_nist(const audio_bytes *file) {
    char text[1025] = {0};
    if (audio_bytes_read(file, text, 1024, 0) < 16) return AUDIO_CLAIMS_NOTHING;
    int64_t header = strtoll(text + 8, NULL, 10), count = nist_field(text, "sample_count"),
            channels = nist_field(text, "channel_count"), bytes = nist_field(text, "sample_n_bytes");
    bool good = header > 0 && header < 1 << 20 && count > 0 && count < 1ll << 40 && channels > 0 && channels < 1024 &&
                bytes > 0 && bytes <= 8;
    return good ? (audio_claim){header, count * channels * bytes, false} : AUDIO_CLAIMS_NOTHING;
}

static audio_claim claim_of_avr(const audio_bytes *file) {
    unsigned char h[128];
    if (!audio_read_all(file, h, sizeof h, 0)) return AUDIO_CLAIMS_NOTHING;
    int64_t bytes = (int64_t)audio_number(h + 14, 2, true) / 8 * (audio_number(h + 12, 2, true) ? 2 : 1);
    return (audio_claim){128, (int64_t)audio_number(h + 26, 4, true) * bytes, false};
}

/* Elements of a type, a size and that many bytes, the last of which is the matrix of the sound. */
static audio_claim claim_of_mat5(const audio_bytes *file) {
    unsigned char element[8];
    if (!audio_read_all(file, element, 2, 126)) return AUDIO_CLAIMS_NOTHING;
    bool big = element[0] == 'M';
    int64_t at = 128;
    for (int i = 0; i < AUDIO_MAX_CHUNKS && at < file->bytes; i++) {
        if (!audio_read_all(file, element, 8, at)) return AUDIO_CLAIMS_NOTHING;
        int64_t size = (int64_t)audio_number(element + 4, 4, big);
        /* libsndfile itself writes 8 too many */
        if (size - 8 > file->bytes - at - 8) return (audio_claim){at + 8, size - 8, false};
        at += 8 + size;
    }
    return at < file->bytes ? (audio_claim){.endless = true} : AUDIO_CLAIMS_NOTHING;
}

/* Two matrices: the rate, and the sound. libsndfile's own are the only ones that it reads. */
static audio_claim claim_of_mat4(const audio_bytes *file, bool big) {
    static const int64_t sizes[] = {8, 4, 4, 2, 2, 1};
    unsigned char h[20];
    int64_t at = 0;
    for (int i = 0; i < 2; i++) {
        if (!audio_read_all(file, h, sizeof h, at)) return AUDIO_CLAIMS_NOTHING;
        int64_t type = (int64_t)audio_number(h, 4, big) / 10 % 10, rows = (int64_t)audio_number(h + 4, 4, big),
                columns = (int64_t)audio_number(h + 8, 4, big), name = (int64_t)audio_number(h + 16, 4, big);
        if (type > 5 || rows > 1024) return AUDIO_CLAIMS_NOTHING;
        at += (int64_t)sizeof h + name;
        if (i == 1) return (audio_claim){at, rows * columns * sizes[type], false};
        at += rows * columns * sizes[type];
    }
    return AUDIO_CLAIMS_NOTHING;
}

/* Pages, each of which says in its header how long it is. A last page that is whole may lack the mark of the end, as
 * recorders leave it; one that is not whole was cut. */
static audio_claim claim_of_ogg(const audio_bytes *file) {
    unsigned char page[27 + 255];
    int64_t at = 0;
    for (int i = 0; i < AUDIO_MAX_PIECES && at < file->bytes; i++) {
        int64_t got = audio_bytes_read(file, page, sizeof page, at), header, body = 0;
        if (got < 4 || memcmp(page, "OggS", 4) != 0) return AUDIO_CLAIMS_NOTHING;
        header = got < 27 ? 27 : 27 + page[26];
        if (got < header) return (audio_claim){at, header, false};
        for (int s = 0; s < page[26]; s++) body += page[27 + s];
        if (header + body > file->bytes - at) return (audio_claim){at, header + body, false};
        at += header + body;
    }
    return at < file->bytes ? (audio_claim){.endless = true} : AUDIO_CLAIMS_NOTHING;
}

static audio_claim read_claim(audio_bytes *file) {
    unsigned char h[32] = {0};
    if (audio_bytes_read(file, h, sizeof h, 0) < 20) return AUDIO_CLAIMS_NOTHING;
    bool riff = memcmp(h, "RIFF", 4) == 0 || memcmp(h, "RIFX", 4) == 0 || memcmp(h, "RF64", 4) == 0;
    if ((riff && memcmp(h + 8, "WAVE", 4) == 0) ||
        (memcmp(h, "FORM", 4) == 0 &&
         (memcmp(h + 8, "AIF", 3) == 0 || memcmp(h + 8, "8SVX", 4) == 0 || memcmp(h + 8, "16SV", 4) == 0)))
        return claim_of_chunks(file, h);
    if (memcmp(h, "riff\x2e\x91\xcf\x11", 8) == 0) return claim_of_w64(file);
    if (memcmp(h, "caff", 4) == 0) return claim_of_caf(file);
    if (memcmp(h, ".snd", 4) == 0 || memcmp(h, "dns.", 4) == 0) return claim_of_au(file, h);
    if (memcmp(h, "Creative Voice File\x1a", 20) == 0) return claim_of_voc(file);
    if (memcmp(h, "NIST_1A\n", 8) == 0) return claim_of_nist(file);
    if (memcmp(h, "2BIT", 4) == 0) return claim_of_avr(file);
    if (memcmp(h, "MATLAB 5.0", 10) == 0) return claim_of_mat5(file);
    if (memcmp(h + 4, "\1\0\0\0\1\0\0\0\0\0\0", 12) == 0) return claim_of_mat4(file, false);
    if (memcmp(h + 4, "\0\0\0\1\0\0\0\1\0\0\0", 12) == 0) return claim_of_mat4(file, true);
    if (memcmp(h, "OggS", 4) == 0) return claim_of_ogg(file);
    if (memcmp(h, "ALawSoundFile**", 16) == 0) return (audio_claim){32, (int64_t)audio_number(h + 18, 4, true), false};
    return audio_claim_of_stream(file, h);
}

f5_status audio_header_check(audio_bytes *file, const char *name, f5_error *error) {
    audio_claim c = read_claim(file);
    if (c.endless) return f5_fail(error, F5_E_FORMAT, "%s: is damaged: no sound is found among its chunks", name);
    if (c.bytes == AUDIO_NO_CLAIM) return F5_OK;
    if (c.bytes > MAX_BYTES)
        return f5_fail(error, F5_E_FORMAT, "%s: is damaged: its header claims more sound than any file holds", name);
    int64_t there = c.at < file->bytes ? file->bytes - c.at : 0;
    return c.bytes <= there ? F5_OK
                            : f5_fail(error, F5_E_FORMAT, "%s: is truncated: %lld bytes of sound are missing", name,
                                      (long long)(c.bytes - there));
}
