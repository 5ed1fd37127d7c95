/* sound_encoder.c — libsndfile encodes, and writes to a file that is not there: what it appends goes to the sink, and
 * what it puts right too, where the sink can. WAV's header is ours, since libsndfile has none of unknown length. */
#include "host/files/sound_encoder.h"

#include <errno.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>

#include "host/files/sound_aac.h"
#include "host/files/stream_resampler.h"

#define MAX_HEADER 56
#define PIECE 512 /* samples that Vorbis is given at a time: what it makes of them depends on how they are cut */
#define UNKNOWN 0xffffffffu
#define FLAC_LEVEL 0.25     /* of libsndfile's 0 to 1: blocks of 1152 samples; from 0.375 on they have 4096 */
#define OPUS_PAGE_MS 60     /* libsndfile takes 50 or more */
#define MP3_QUALITY_24 0.42 /* of libsndfile's 0 to 1: 96 kbit/s, constant, from 16 to 24 kHz; 199 from 32 kHz */

struct sound_encoder {
    sound_format format;
    int32_t given, rate; /* of the samples, of the sound */
    sound_sink sink;
    const char *name;
    SNDFILE *file;
    sound_aac *aac;
    stream_resampler *resampler; /* NULL: the rate is that of the samples */
    int64_t at, bytes;           /* of libsndfile's file: where it stands, how long it is */
    int64_t samples;             /* encoded */
    int failed;                  /* errno value: the sink refused */
    int32_t kept;
    float piece[PIECE]; /* [kept] for Vorbis */
};

/* ---- the file that is not there ---------------------------------------------------------------------------------- */

static int append(void *user, const void *bytes, size_t n) {
    sound_encoder *e = user;
    if (!e->failed) e->failed = e->sink.write(e->sink.user, bytes, n);
    return e->failed;
}

static sf_count_t file_bytes(void *user) {
    return ((sound_encoder *)user)->bytes;
}

static sf_count_t file_tell(void *user) {
    return ((sound_encoder *)user)->at;
}

static sf_count_t file_seek(sf_count_t offset, int whence, void *user) {
    sound_encoder *e = user;
    int64_t to = offset + (whence == SEEK_CUR ? e->at : whence == SEEK_END ? e->bytes : 0);
    if (to < 0 || to > e->bytes) return -1;
    return e->at = to;
}

static sf_count_t file_read(void *to, sf_count_t n, void *user) {
    (void)to, (void)n, (void)user;
    return 0;
}

static sf_count_t file_write(const void *from, sf_count_t n, void *user) {
    sound_encoder *e = user;
    int64_t over = e->bytes - e->at < n ? e->bytes - e->at : n; /* in place of what is there */
    if (over > 0 && e->sink.rewrite && !e->failed) e->failed = e->sink.rewrite(e->sink.user, e->at, from, (size_t)over);
    if (n > over && append(e, (const char *)from + over, (size_t)(n - over)) == 0) e->bytes += n - over;
    if (e->failed) return 0;
    e->at += n;
    return n;
}

static f5_status refused(const sound_encoder *e, f5_error *error) {
    return f5_fail(error, F5_E_IO, "%s: cannot be written: %s", e->name, strerror(e->failed));
}

/* ---- WAV --------------------------------------------------------------------------------------------------------- */

static int bytes_a_sample(sound_format format) {
    return format == SOUND_WAV24 ? 3 : format == SOUND_WAV_FLOAT ? 4 : 2;
}

static bool is_wav(sound_format format) {
    return format <= SOUND_WAV_FLOAT;
}

static void put(uint8_t **to, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; i++) *(*to)++ = (uint8_t)(value >> 8 * i);
}

static void put_name(uint8_t **to, const char *name) {
    memcpy(*to, name, 4);
    *to += 4;
}

/* Of so many samples; -1: not known. Returns its length. */
static size_t wav_header(uint8_t header[MAX_HEADER], sound_format format, int32_t rate, int64_t samples) {
    uint32_t width = (uint32_t)bytes_a_sample(format), data = samples < 0 ? UNKNOWN : (uint32_t)samples * width;
    bool is_float = format == SOUND_WAV_FLOAT;
    size_t length = is_float ? 56 : 44;
    uint8_t *to = header;
    put_name(&to, "RIFF");
    put(&to, samples < 0 ? UNKNOWN : (uint32_t)length - 8 + data + (data & 1), 4);
    put_name(&to, "WAVE");
    put_name(&to, "fmt ");
    put(&to, 16, 4);
    put(&to, is_float ? 3 : 1, 2);
    put(&to, 1, 2);
    put(&to, (uint32_t)rate, 4);
    put(&to, (uint32_t)rate * width, 4);
    put(&to, width, 2);
    put(&to, 8 * width, 2);
    if (is_float) {
        put_name(&to, "fact");
        put(&to, 4, 4);
        put(&to, samples < 0 ? UNKNOWN : (uint32_t)samples, 4);
    }
    put_name(&to, "data");
    put(&to, data, 4);
    return length;
}

/* An odd number of bytes is made even, and the header gets its sizes. */
static void end_wav(sound_encoder *e) {
    uint8_t header[MAX_HEADER], zero = 0;
    if (!e->sink.rewrite || e->failed) return;
    size_t length = wav_header(header, e->format, e->rate, e->samples);
    if (e->samples * bytes_a_sample(e->format) % 2) append(e, &zero, 1);
    if (!e->failed) e->failed = e->sink.rewrite(e->sink.user, 0, header, length);
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

static f5_status open_sndfile(sound_encoder *e, f5_error *error) {
    SF_VIRTUAL_IO io = {
        .get_filelen = file_bytes, .seek = file_seek, .read = file_read, .write = file_write, .tell = file_tell};
    SF_INFO info = {.samplerate = e->rate, .channels = 1, .format = sound_format_sndfile(e->format)};
    e->file = sf_open_virtual(&io, SFM_WRITE, &info, e);
    if (e->failed) return refused(e, error);
    if (!e->file)
        return f5_fail(error, F5_E_IO, "%s: no %s can be made: %s", e->name, sound_format_word(e->format),
                       sf_strerror(NULL));
    double level = FLAC_LEVEL, page = OPUS_PAGE_MS, quality = MP3_QUALITY_24;
    int constant = SF_BITRATE_MODE_CONSTANT;
    sf_command(e->file, SFC_SET_CLIPPING, NULL, SF_TRUE);
    if (e->format == SOUND_FLAC) sf_command(e->file, SFC_SET_COMPRESSION_LEVEL, &level, sizeof level);
    if (e->format == SOUND_OPUS) sf_command(e->file, SFC_SET_OGG_PAGE_LATENCY_MS, &page, sizeof page);
    if (e->format == SOUND_MP3) {
        sf_command(e->file, SFC_SET_BITRATE_MODE, &constant, sizeof constant);
        sf_command(e->file, SFC_SET_COMPRESSION_LEVEL, &quality, sizeof quality);
    }
    return F5_OK;
}

static f5_status begin(sound_encoder *e, f5_error *error) {
    if (e->rate != e->given) F5_TRY(stream_resampler_open(&e->resampler, e->given, e->rate, error));
    if (e->format == SOUND_AAC) return sound_aac_open(&e->aac, e->rate, append, e, error);
    F5_TRY(open_sndfile(e, error));
    if (!is_wav(e->format)) return F5_OK;
    uint8_t header[MAX_HEADER];
    return append(e, header, wav_header(header, e->format, e->rate, -1)) ? refused(e, error) : F5_OK;
}

f5_status sound_encoder_open_of(sound_encoder **encoder, sound_format format, int32_t given, int32_t rate,
                                const sound_sink *sink, const char *name, f5_error *error) {
    *encoder = NULL;
    F5_TRY(sound_format_check(format, rate, error));
    sound_encoder *e = calloc(1, sizeof *e);
    if (!e) return f5_fail(error, F5_E_MEMORY, "%s: no memory for an encoder", name);
    *e = (sound_encoder){.format = format, .given = given, .rate = rate, .sink = *sink, .name = name};
    f5_status status = begin(e, error);
    if (status == F5_OK)
        *encoder = e;
    else
        sound_encoder_close(e);
    return status;
}

f5_status sound_encoder_open(sound_encoder **encoder, sound_format format, int32_t rate, const sound_sink *sink,
                             const char *name, f5_error *error) {
    return sound_encoder_open_of(encoder, format, SOUND_RATE, rate, sink, name, error);
}

static bool encode_pieces(sound_encoder *e, const float *samples, int64_t n) {
    while (n > 0) {
        int64_t some = PIECE - e->kept < n ? PIECE - e->kept : n;
        memcpy(e->piece + e->kept, samples, (size_t)some * sizeof *samples);
        e->kept += (int32_t)some;
        samples += some;
        n -= some;
        if (e->kept < PIECE) break;
        if (sf_writef_float(e->file, e->piece, PIECE) != PIECE) return false;
        e->kept = 0;
    }
    return true;
}

/* Samples of the format's own rate. */
static f5_status encode(void *user, const float *samples, int64_t n, f5_error *error) {
    sound_encoder *e = user;
    if (is_wav(e->format) && e->sink.rewrite && (e->samples + n) > (UINT32_MAX - 64) / bytes_a_sample(e->format))
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: a WAV file holds no more than 4 GiB: split the text", e->name);
    e->samples += n;
    bool good;
    if (e->aac)
        good = sound_aac_add(e->aac, samples, n, error) == F5_OK;
    else if (e->format == SOUND_OGG)
        good = encode_pieces(e, samples, n);
    else
        good = sf_writef_float(e->file, samples, n) == n;
    if (e->failed) return refused(e, error);
    return good ? F5_OK : f5_fail(error, F5_E_IO, "%s: cannot be encoded as %s", e->name, sound_format_word(e->format));
}

f5_status sound_encoder_add(sound_encoder *e, const float *samples, int64_t n, f5_error *error) {
    if (e->failed) return refused(e, error);
    if (n <= 0) return F5_OK;
    return e->resampler ? stream_resampler_add(e->resampler, samples, n, encode, e, error)
                        : encode(e, samples, n, error);
}

f5_status sound_encoder_end(sound_encoder *e, f5_error *error) {
    if (e->failed) return refused(e, error);
    if (e->resampler) F5_TRY(stream_resampler_end(e->resampler, encode, e, error));
    bool good = e->kept == 0 || sf_writef_float(e->file, e->piece, e->kept) == e->kept;
    good = (e->aac ? sound_aac_end(e->aac, error) == F5_OK : sf_close(e->file) == 0) && good;
    e->file = NULL;
    if (is_wav(e->format)) end_wav(e);
    if (e->failed) return refused(e, error);
    return good ? F5_OK : f5_fail(error, F5_E_IO, "%s: cannot be encoded as %s", e->name, sound_format_word(e->format));
}

void sound_encoder_close(sound_encoder *e) {
    if (!e) return;
    e->failed = e->failed ? e->failed : EPIPE; /* what libsndfile still writes is nobody's */
    if (e->file) sf_close(e->file);
    sound_aac_close(e->aac);
    stream_resampler_close(e->resampler);
    free(e);
}
