/* fuzz_speech_request.c — any bytes as the body of a request for speech: what is accepted keeps every limit, what is
 * not names a reason; as an item of a batch it is the same. tests/fuzz_sockets.py builds and runs it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host/server/json_read.h"
#include "host/server/speech_request.h"

static const speech_defaults defaults = {.nfe_step = 32,
                                         .method = F5_METHOD_EULER,
                                         .first_chunk = 1.5f,
                                         .text_bytes = 4096,
                                         .rate = 24000,
                                         .reads_phonemes = true};

/* In the place of the encoders, which link more than this is about. */
bool sound_format_of_word(const char *word, sound_format *format) {
    static const char *const words[] = {"wav", "flac", "opus", "mp3", "aac", "pcm"};
    static const sound_format formats[] = {SOUND_WAV, SOUND_FLAC, SOUND_OPUS, SOUND_MP3, SOUND_AAC, SOUND_RAW};
    for (int i = 0; i < 6; i++) {
        if (strcmp(word, words[i]) != 0) continue;
        *format = formats[i];
        return true;
    }
    return false;
}

f5_status sound_format_check(sound_format format, int32_t rate, f5_error *error) {
    return format == SOUND_OPUS && rate > 24000 ? f5_fail(error, F5_E_ARGUMENT, "no such rate") : F5_OK;
}

int32_t sound_format_rate(sound_format format, int32_t rate) {
    (void)format;
    return rate;
}

static void require(int good) {
    if (!good) abort();
}

static void check(const speech_request *q) {
    require(q->input && q->input_bytes > 0 && q->input_bytes <= defaults.text_bytes && !f5_text_is_blank(q->input));
    require((q->ref_audio != NULL) == (q->ref_text != NULL));
    require(q->speak.speed == 0 || (q->speak.speed >= 0.25f && q->speak.speed <= 4));
    require(q->sample.nfe >= 1 && q->sample.nfe <= 1024 && q->sample.method >= F5_METHOD_EULER &&
            q->sample.method <= F5_METHOD_AB2);
    require(q->sample.cfg >= 0 && q->sample.cfg <= 100 && q->sample.sway >= -1 && q->sample.sway <= 1.75f);
    require(q->speak.fix_duration >= 0 && q->speak.fix_duration <= F5_MAX_FIX_DURATION && q->speak.cross_fade >= 0 &&
            q->speak.cross_fade <= 2);
    require(q->speak.first_chunk >= -1 && q->speak.first_chunk <= 22 && q->rate >= 8000 && q->rate <= 48000);
    require(q->format >= 0 && q->format < SOUND_FORMATS && (!q->subtitles || q->sse));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    json_t *body;
    f5_error error = {0};
    if (json_read_object((const char *)bytes, n, &body, &error) != F5_OK) {
        require(error.status != F5_OK && error.message[0]);
        return 0;
    }
    speech_request one, item;
    request_fault why, item_why;
    bool good = speech_request_read(body, NULL, &defaults, &one, &why);
    if (good)
        check(&one);
    else
        require(why.status == 400 && why.message[0]);
    json_t *empty = json_object();
    bool good_too = speech_request_read(empty, body, &defaults, &item, &item_why);
    require(good == good_too && (good ? one.input == item.input : strcmp(why.message, item_why.message) == 0));
    json_decref(empty);
    json_decref(body);
    return 0;
}
