/* sound_aac.c — libavcodec's encoder of AAC, frame by frame. */
#include "host/files/sound_aac.h"

#if F5_HAVE_AV

#include <libavcodec/avcodec.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host/files/av_library.h"

#define ADTS_BYTES 7
#define BITS_A_SAMPLE 3 /* 72 kbit/s at 24 kHz: what one channel needs to sound like the original */

/* Every function that is called: the library that has it, and its name. */
#define AV_CALLS(X)                                                                                                    \
    X(codec, avcodec_find_encoder)                                                                                     \
    X(codec, avcodec_alloc_context3)                                                                                   \
    X(codec, avcodec_free_context)                                                                                     \
    X(codec, avcodec_open2)                                                                                            \
    X(codec, avcodec_send_frame)                                                                                       \
    X(codec, avcodec_receive_packet)                                                                                   \
    X(codec, av_packet_alloc)                                                                                          \
    X(codec, av_packet_free)                                                                                           \
    X(codec, av_packet_unref)                                                                                          \
    X(util, av_channel_layout_default)                                                                                 \
    X(util, av_frame_alloc)                                                                                            \
    X(util, av_frame_free)                                                                                             \
    X(util, av_frame_get_buffer)                                                                                       \
    X(util, av_frame_make_writable)                                                                                    \
    X(util, av_log_set_level)

typedef struct {
    AV_CALLS(AV_DECLARE)
} av_calls;

struct sound_aac {
    av_calls av;
    AVCodecContext *codec;
    AVFrame *frame; /* being filled: frame_size samples */
    AVPacket *packet;
    int filled;
    int64_t pts;
    int rate_index; /* of ADTS */
    sound_aac_fn take;
    void *user;
};

static bool load(av_calls *av) {
    void *util = av_library_open(AV_LIBRARY("avutil", LIBAVUTIL_VERSION_MAJOR)),
         *codec = av_library_open(AV_LIBRARY("avcodec", LIBAVCODEC_VERSION_MAJOR));
    if (!util || !codec) return false;
    AV_CALLS(AV_FIND)
    return true;
}

static f5_status load_or_say(av_calls *av, const AVCodec **codec, f5_error *error) {
    if (!load(av))
        return f5_fail(error, F5_E_UNSUPPORTED,
                       "aac cannot be written: %s is not here: install it (Debian: apt install libavcodec%d)",
                       AV_LIBRARY("avcodec", LIBAVCODEC_VERSION_MAJOR), LIBAVCODEC_VERSION_MAJOR);
    *codec = av->avcodec_find_encoder(AV_CODEC_ID_AAC);
    return *codec ? F5_OK : f5_fail(error, F5_E_UNSUPPORTED, "aac cannot be written: this libavcodec has no encoder");
}

f5_status sound_aac_check(f5_error *error) {
    av_calls av;
    const AVCodec *codec;
    return load_or_say(&av, &codec, error);
}

f5_status sound_aac_open(sound_aac **aac, int32_t rate, sound_aac_fn take, void *user, f5_error *error) {
    static const int32_t rates[] = {96000, 88200, 64000, 48000, 44100, 32000, 24000,
                                    22050, 16000, 12000, 11025, 8000,  7350}; /* as ADTS numbers them */
    av_calls av;
    const AVCodec *codec;
    *aac = NULL;
    F5_TRY(load_or_say(&av, &codec, error));
    sound_aac *a = calloc(1, sizeof *a);
    if (!a) return f5_fail(error, F5_E_MEMORY, "no memory for an encoder");
    *a = (sound_aac){.av = av, .take = take, .user = user};
    while (rates[a->rate_index] != rate && rates[a->rate_index] != 7350) a->rate_index++;
    av.av_log_set_level(AV_LOG_QUIET);
    a->codec = av.avcodec_alloc_context3(codec);
    a->frame = av.av_frame_alloc();
    a->packet = av.av_packet_alloc();
    bool good = a->codec && a->frame && a->packet;
    if (good) {
        a->codec->sample_rate = rate;
        a->codec->sample_fmt = AV_SAMPLE_FMT_FLTP;
        a->codec->bit_rate = (int64_t)BITS_A_SAMPLE * rate;
        a->codec->thread_count = 1;
        av.av_channel_layout_default(&a->codec->ch_layout, 1);
        good = av.avcodec_open2(a->codec, codec, NULL) == 0;
    }
    if (good) {
        a->frame->nb_samples = a->codec->frame_size;
        a->frame->format = AV_SAMPLE_FMT_FLTP;
        a->frame->sample_rate = rate;
        av.av_channel_layout_default(&a->frame->ch_layout, 1);
        good = av.av_frame_get_buffer(a->frame, 0) == 0;
    }
    if (good) {
        *aac = a;
        return F5_OK;
    }
    sound_aac_close(a);
    return f5_fail(error, F5_E_MEMORY, "aac: the encoder cannot be opened at %d samples a second", (int)rate);
}

void sound_aac_close(sound_aac *a) {
    if (!a) return;
    a->av.av_packet_free(&a->packet);
    a->av.av_frame_free(&a->frame);
    a->av.avcodec_free_context(&a->codec);
    free(a);
}

/* ISO 13818-7: MPEG-4, AAC-LC, one channel, no checksum, one block a frame. */
static void adts_header(uint8_t *to, int rate_index, size_t bytes) {
    size_t length = bytes + ADTS_BYTES;
    to[0] = 0xff;
    to[1] = 0xf1;
    to[2] = (uint8_t)(1 << 6 | rate_index << 2);
    to[3] = (uint8_t)(1 << 6 | (length >> 11 & 3));
    to[4] = (uint8_t)(length >> 3);
    to[5] = (uint8_t)((length & 7) << 5 | 0x1f);
    to[6] = 0xfc;
}

/* What the encoder has ready. */
static f5_status bring_out(sound_aac *a, f5_error *error) {
    int code;
    while ((code = a->av.avcodec_receive_packet(a->codec, a->packet)) == 0) {
        uint8_t header[ADTS_BYTES];
        size_t bytes = (size_t)a->packet->size;
        adts_header(header, a->rate_index, bytes);
        int stop = a->take(a->user, header, sizeof header) || a->take(a->user, a->packet->data, bytes);
        a->av.av_packet_unref(a->packet);
        if (stop) return f5_fail(error, F5_E_CANCELLED, "the bytes were refused");
    }
    return code == AVERROR(EAGAIN) || code == AVERROR_EOF ? F5_OK : f5_fail(error, F5_E_IO, "aac: the encoder failed");
}

static f5_status send(sound_aac *a, f5_error *error) {
    a->frame->nb_samples = a->filled;
    a->frame->pts = a->pts;
    a->pts += a->filled;
    a->filled = 0;
    if (a->av.avcodec_send_frame(a->codec, a->frame) != 0) return f5_fail(error, F5_E_IO, "aac: the encoder failed");
    return bring_out(a, error);
}

f5_status sound_aac_add(sound_aac *a, const float *samples, int64_t n, f5_error *error) {
    while (n > 0) {
        int64_t room = a->codec->frame_size - a->filled, some = n < room ? n : room;
        if (a->filled == 0) a->frame->nb_samples = a->codec->frame_size;
        if (a->filled == 0 && a->av.av_frame_make_writable(a->frame) != 0)
            return f5_fail(error, F5_E_MEMORY, "no memory for an encoder");
        memcpy((float *)a->frame->data[0] + a->filled, samples, (size_t)some * sizeof *samples);
        a->filled += (int)some;
        samples += some;
        n -= some;
        if (a->filled == a->codec->frame_size) F5_TRY(send(a, error));
    }
    return F5_OK;
}

f5_status sound_aac_end(sound_aac *a, f5_error *error) {
    if (a->filled > 0) F5_TRY(send(a, error));
    a->av.avcodec_send_frame(a->codec, NULL);
    return bring_out(a, error);
}

#else

static f5_status missing(f5_error *error) {
    return f5_fail(error, F5_E_UNSUPPORTED,
                   "aac cannot be written: this f5tts was built without FFmpeg's libraries (Debian: apt install "
                   "libavcodec-dev)");
}

f5_status sound_aac_check(f5_error *error) {
    return missing(error);
}

f5_status sound_aac_open(sound_aac **aac, int32_t rate, sound_aac_fn take, void *user, f5_error *error) {
    (void)rate, (void)take, (void)user;
    *aac = 0;
    return missing(error);
}

f5_status sound_aac_add(sound_aac *a, const float *samples, int64_t n, f5_error *error) {
    (void)a, (void)samples, (void)n;
    return missing(error);
}

f5_status sound_aac_end(sound_aac *a, f5_error *error) {
    (void)a;
    return missing(error);
}

void sound_aac_close(sound_aac *a) {
    (void)a;
}

#endif
