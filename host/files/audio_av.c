/* audio_av.c — FFmpeg's libraries behind one call. */
#include "host/files/audio_av.h"

#include "host/api/f5tts.h"

#if F5_HAVE_AV

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/files/av_library.h"

/* What may be in a file. Lists of other files and addresses, which FFmpeg also takes for media, may not. */
#define CONTAINERS                                                                                                     \
    "mov,matroska,asf,aac,amr,amrnb,amrwb,mp3,flac,ogg,wav,caf,aiff,avi,voc,mpegts,mpeg,ac3,eac3,dts,ape,wv,tta"
#define IO_BYTES 32768

/* Every function that is called: the library that has it, and its name. */
#define AV_CALLS(X)                                                                                                    \
    X(format, avformat_alloc_context)                                                                                  \
    X(format, avformat_open_input)                                                                                     \
    X(format, avformat_find_stream_info)                                                                               \
    X(format, avformat_close_input)                                                                                    \
    X(format, av_find_best_stream)                                                                                     \
    X(format, av_read_frame)                                                                                           \
    X(format, avio_alloc_context)                                                                                      \
    X(format, avio_context_free)                                                                                       \
    X(codec, avcodec_alloc_context3)                                                                                   \
    X(codec, avcodec_free_context)                                                                                     \
    X(codec, avcodec_parameters_to_context)                                                                            \
    X(codec, avcodec_open2)                                                                                            \
    X(codec, avcodec_send_packet)                                                                                      \
    X(codec, avcodec_receive_frame)                                                                                    \
    X(codec, av_packet_alloc)                                                                                          \
    X(codec, av_packet_free)                                                                                           \
    X(codec, av_packet_unref)                                                                                          \
    X(util, av_frame_alloc)                                                                                            \
    X(util, av_frame_free)                                                                                             \
    X(util, av_log_set_level)                                                                                          \
    X(util, av_malloc)                                                                                                 \
    X(util, av_freep)                                                                                                  \
    X(util, av_strdup)                                                                                                 \
    X(util, av_strerror)

typedef struct {
    AV_CALLS(AV_DECLARE)
} av_calls;

static bool load(av_calls *av) {
    void *util = av_library_open(AV_LIBRARY("avutil", LIBAVUTIL_VERSION_MAJOR)),
         *codec = av_library_open(AV_LIBRARY("avcodec", LIBAVCODEC_VERSION_MAJOR)),
         *format = av_library_open(AV_LIBRARY("avformat", LIBAVFORMAT_VERSION_MAJOR));
    if (!util || !codec || !format) return false;
    AV_CALLS(AV_FIND)
    return true;
}

/* A file that is being decoded. */
typedef struct {
    av_calls av;
    const audio_bytes *file;
    const char *name;
    int64_t at;        /* in the file */
    int64_t fruitless; /* bytes read since the last sound */
    AVIOContext *io;
    AVFormatContext *format;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame;
    int stream;
    audio_file *to;
    int64_t room;     /* frames that `to` has memory for */
    bool sixteen_bit; /* upstream rounds what this codec gives to 16 bits */
} decoder;

static f5_status fail_by(const decoder *d, const char *what, int code, f5_error *error) {
    char reason[128] = "";
    if (d->av.av_strerror(code, reason, sizeof reason) < 0) strcpy(reason, "a frame is none of its code");
    return f5_fail(error, F5_E_FORMAT, "%s: %s: %s", d->name, what, reason);
}

/* It is no recording that FFmpeg reads. */
static f5_status fail_to_open(const decoder *d, int code, f5_error *error) {
    char reason[128] = "";
    d->av.av_strerror(code, reason, sizeof reason);
    return f5_fail(error, F5_E_ARGUMENT, "%s", reason);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static int io_read(void *user, uint8_t *to, int n) {
    decoder *d = user;
    int64_t got = d->fruitless < AUDIO_MAX_FRUITLESS ? audio_bytes_read(d->file, to, n, d->at) : 0;
    d->at += got;
    d->fruitless += got;
    return got > 0 ? (int)got : AVERROR_EOF;
}

static int64_t io_seek(void *user, int64_t offset, int whence) {
    decoder *d = user;
    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE) return d->file->bytes;
    int64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? d->at : d->file->bytes;
    if (offset < -from || offset > INT64_MAX - from) return AVERROR(EINVAL);
    return d->at = from + offset;
}

static f5_status open_file(decoder *d, f5_error *error) {
    unsigned char *buffer = d->av.av_malloc(IO_BYTES);
    d->io = buffer ? d->av.avio_alloc_context(buffer, IO_BYTES, 0, d, io_read, NULL, io_seek) : NULL;
    if (!d->io) d->av.av_freep(&buffer);
    d->format = d->av.avformat_alloc_context();
    d->packet = d->av.av_packet_alloc();
    d->frame = d->av.av_frame_alloc();
    if (!d->io || !d->format || !d->packet || !d->frame)
        return f5_fail(error, F5_E_MEMORY, "%s: no memory to decode it", d->name);
    d->format->pb = d->io;
    d->format->format_whitelist = d->av.av_strdup(CONTAINERS);
    d->format->protocol_whitelist = d->av.av_strdup("none");
    int code = d->av.avformat_open_input(&d->format, NULL, NULL, NULL);
    if (code < 0) return fail_to_open(d, code, error);
    code = d->av.avformat_find_stream_info(d->format, NULL);
    return code < 0 ? fail_to_open(d, code, error) : F5_OK;
}

static f5_status open_codec(decoder *d, f5_error *error) {
    const AVCodec *codec = NULL;
    d->stream = d->av.av_find_best_stream(d->format, AVMEDIA_TYPE_AUDIO, -1, -1, &codec, 0);
    if (d->stream < 0 || !codec)
        return f5_fail(error, F5_E_ARGUMENT, "%s",
                       d->stream == AVERROR_DECODER_NOT_FOUND ? "its sound is in an unknown code" : "it has no sound");
    const AVStream *stream = d->format->streams[d->stream];
    for (unsigned i = 0; i < d->format->nb_streams; i++)
        if ((int)i != d->stream) d->format->streams[i]->discard = AVDISCARD_ALL;
    d->codec = d->av.avcodec_alloc_context3(codec);
    if (!d->codec) return f5_fail(error, F5_E_MEMORY, "%s: no memory to decode it", d->name);
    int code = d->av.avcodec_parameters_to_context(d->codec, stream->codecpar);
    d->codec->pkt_timebase = stream->time_base; /* without it the silence that an encoder puts first is not left out */
    d->codec->thread_count = 1;
    d->sixteen_bit = codec->id == AV_CODEC_ID_AAC || codec->id == AV_CODEC_ID_MP3;
    if (code >= 0) code = d->av.avcodec_open2(d->codec, codec, NULL);
    return code < 0 ? fail_to_open(d, code, error) : F5_OK;
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

/* Sample i of a row of a format that is not planar any more. */
static float sample_at(const void *row, int64_t i, enum AVSampleFormat format) {
    switch (format) {
    case AV_SAMPLE_FMT_U8:
        return (float)(((const uint8_t *)row)[i] - 128) / 128;
    case AV_SAMPLE_FMT_S16:
        return (float)((const int16_t *)row)[i] / 32768;
    case AV_SAMPLE_FMT_S32:
        return (float)((double)((const int32_t *)row)[i] / 2147483648.0);
    case AV_SAMPLE_FMT_S64:
        return (float)((double)((const int64_t *)row)[i] / 9223372036854775808.0);
    case AV_SAMPLE_FMT_FLT:
        return ((const float *)row)[i];
    default:
        return (float)((const double *)row)[i];
    }
}

/* The kind of a format's samples, and whether each channel has a row of its own. */
static enum AVSampleFormat packed(enum AVSampleFormat format, bool *planar) {
    static const struct {
        enum AVSampleFormat planar, packed;
    } pairs[] = {{AV_SAMPLE_FMT_U8P, AV_SAMPLE_FMT_U8},   {AV_SAMPLE_FMT_S16P, AV_SAMPLE_FMT_S16},
                 {AV_SAMPLE_FMT_S32P, AV_SAMPLE_FMT_S32}, {AV_SAMPLE_FMT_S64P, AV_SAMPLE_FMT_S64},
                 {AV_SAMPLE_FMT_FLTP, AV_SAMPLE_FMT_FLT}, {AV_SAMPLE_FMT_DBLP, AV_SAMPLE_FMT_DBL}};
    *planar = false;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (pairs[i].planar == format) *planar = true;
        if (pairs[i].planar == format || pairs[i].packed == format) return pairs[i].packed;
    }
    return AV_SAMPLE_FMT_NONE;
}

static f5_status make_room(decoder *d, int64_t frames, f5_error *error) {
    if (frames <= d->room) return F5_OK;
    int64_t room = frames * 2;
    float *more = realloc(d->to->samples, (size_t)(room * d->to->channels) * sizeof *more);
    if (!more) return f5_fail(error, F5_E_MEMORY, "%s: no memory for %lld frames", d->name, (long long)room);
    d->to->samples = more;
    d->room = room;
    return F5_OK;
}

static f5_status take_frame(decoder *d, f5_error *error) {
    audio_file *a = d->to;
    const AVFrame *f = d->frame;
    int channels = f->ch_layout.nb_channels;
    bool planar;
    enum AVSampleFormat format = packed((enum AVSampleFormat)f->format, &planar);
    if (format == AV_SAMPLE_FMT_NONE)
        return f5_fail(error, F5_E_FORMAT, "%s: its samples are of an unknown kind", d->name);
    if (a->channels == 0) {
        a->channels = channels;
        a->sample_rate = f->sample_rate;
        F5_TRY(audio_limits_check(a, d->name, error));
    }
    if ((f->flags & AV_FRAME_FLAG_CORRUPT || f->decode_error_flags) && a->n_frames > 0)
        return f5_fail(error, F5_E_FORMAT, "%s: is truncated or damaged after %.2f s", d->name,
                       (double)a->n_frames / a->sample_rate);
    if (channels != a->channels || f->sample_rate != a->sample_rate)
        return f5_fail(error, F5_E_FORMAT, "%s: goes from %d channels at %d Hz to %d at %d Hz in the middle", d->name,
                       a->channels, a->sample_rate, channels, f->sample_rate);
    d->fruitless = 0;
    F5_TRY(make_room(d, a->n_frames + f->nb_samples, error));
    float *to = a->samples + a->n_frames * channels;
    for (int64_t i = 0; i < f->nb_samples; i++)
        for (int c = 0; c < channels; c++)
            *to++ = planar ? sample_at(f->extended_data[c], i, format)
                           : sample_at(f->extended_data[0], i * channels + c, format);
    a->n_frames += f->nb_samples;
    return audio_limits_check(a, d->name, error);
}

/* What AMR has for pauses, which FFmpeg does not decode: a description of the noise, or nothing. The header of a frame
 * says so. */
static bool is_amr_pause(const decoder *d, const AVPacket *packet) {
    int first = d->codec->codec_id == AV_CODEC_ID_AMR_NB ? 8 : d->codec->codec_id == AV_CODEC_ID_AMR_WB ? 9 : 16;
    return packet && packet->size > 0 && (packet->data[0] >> 3 & 15) >= first;
}

/* A frame of AMR, which lasts 20 ms, as silence. */
static f5_status take_pause(decoder *d, f5_error *error) {
    audio_file *a = d->to;
    if (a->channels == 0) {
        a->channels = d->codec->ch_layout.nb_channels;
        a->sample_rate = d->codec->sample_rate;
        F5_TRY(audio_limits_check(a, d->name, error));
    }
    int64_t frames = a->sample_rate / 50;
    F5_TRY(make_room(d, a->n_frames + frames, error));
    memset(a->samples + a->n_frames * a->channels, 0, (size_t)(frames * a->channels) * sizeof *a->samples);
    a->n_frames += frames;
    return audio_limits_check(a, d->name, error);
}

/* One packet, or NULL at the end. What a stream that begins in the middle has before its first frame is passed over. */
static f5_status decode(decoder *d, const AVPacket *packet, f5_error *error) {
    if (is_amr_pause(d, packet)) return take_pause(d, error);
    int code = d->av.avcodec_send_packet(d->codec, packet);
    if (code < 0 && code != AVERROR_EOF && d->to->n_frames > 0) return fail_by(d, "is damaged", code, error);
    while ((code = d->av.avcodec_receive_frame(d->codec, d->frame)) == 0) F5_TRY(take_frame(d, error));
    return code == AVERROR_EOF || code == AVERROR(EAGAIN) || d->to->n_frames == 0
               ? F5_OK
               : fail_by(d, "is damaged", code, error);
}

/* A container that knows how long it is must hold as much, but for the frame or two that encoders round by. */
static f5_status check_length(const decoder *d, f5_error *error) {
    const AVFormatContext *f = d->format;
    const AVStream *s = f->streams[d->stream];
    if (d->to->n_frames == 0) return f5_fail(error, F5_E_FORMAT, "%s: holds no samples", d->name);
    double held = (double)d->to->n_frames / d->to->sample_rate, claimed = 0;
    if (s->duration != AV_NOPTS_VALUE)
        claimed = (double)s->duration * s->time_base.num / s->time_base.den;
    else if (f->duration != AV_NOPTS_VALUE)
        claimed = (double)f->duration / AV_TIME_BASE;
    if (f->duration_estimation_method == AVFMT_DURATION_FROM_BITRATE || held > 0.98 * claimed - 0.25) return F5_OK;
    return f5_fail(error, F5_E_FORMAT, "%s: is truncated: %.2f of %.2f s could be read", d->name, held, claimed);
}

static f5_status decode_all(decoder *d, f5_error *error) {
    int code;
    while ((code = d->av.av_read_frame(d->format, d->packet)) >= 0) {
        bool mine = d->packet->stream_index == d->stream;
        f5_status status = F5_OK;
        if (mine && d->packet->flags & AV_PKT_FLAG_CORRUPT)
            status = f5_fail(error, F5_E_FORMAT, "%s: is truncated or damaged after %.2f s", d->name,
                             d->to->sample_rate ? (double)d->to->n_frames / d->to->sample_rate : 0);
        else if (mine)
            status = decode(d, d->packet, error);
        d->av.av_packet_unref(d->packet);
        F5_TRY(status);
    }
    if (code != AVERROR_EOF) return fail_by(d, "is truncated or damaged", code, error);
    F5_TRY(decode(d, NULL, error));
    return check_length(d, error);
}

static void decoder_free(decoder *d) {
    d->av.av_frame_free(&d->frame);
    d->av.av_packet_free(&d->packet);
    d->av.avcodec_free_context(&d->codec);
    d->av.avformat_close_input(&d->format);
    if (d->io) d->av.av_freep(&d->io->buffer);
    d->av.avio_context_free(&d->io);
}

f5_status audio_av_read(audio_file *a, const audio_bytes *file, const char *name, f5_error *error) {
    decoder d = {.file = file, .name = name, .to = a};
    if (!load(&d.av))
        return f5_fail(error, F5_E_UNSUPPORTED,
                       "%s, %s and %s are not here: install them (Debian: apt install "
                       "libavformat%d)",
                       AV_LIBRARY("avformat", LIBAVFORMAT_VERSION_MAJOR),
                       AV_LIBRARY("avcodec", LIBAVCODEC_VERSION_MAJOR), AV_LIBRARY("avutil", LIBAVUTIL_VERSION_MAJOR),
                       LIBAVFORMAT_VERSION_MAJOR);
    d.av.av_log_set_level(AV_LOG_QUIET);
    f5_status status = open_file(&d, error);
    if (status == F5_OK) status = open_codec(&d, error);
    if (status == F5_OK) status = decode_all(&d, error);
    if (status == F5_OK && d.sixteen_bit) audio_round(a);
    decoder_free(&d);
    return status;
}

#else

f5_status audio_av_read(audio_file *a, const audio_bytes *file, const char *name, f5_error *error) {
    (void)a, (void)file, (void)name;
    return f5_fail(error, F5_E_UNSUPPORTED,
                   "this f5tts was built without FFmpeg's libraries (Debian: apt install libavformat-dev)");
}

#endif
