/* sound_format.c — one table of formats: words, extensions, content types, rates. */
#include "host/files/sound_format.h"

#include <sndfile.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "host/files/sound_aac.h"

#define N_RATES 13
static const int32_t known_rates[N_RATES] = {8000,  11025, 12000, 16000, 22050,  24000, 32000,
                                             44100, 48000, 88200, 96000, 176400, 192000};

/* Bits of known_rates. */
#define EVERY_RATE ((1u << N_RATES) - 1)
#define OPUS_RATES (1u << 0 | 1u << 2 | 1u << 3 | 1u << 5 | 1u << 8)
#define MP3_RATES ((1u << 9) - 1)
#define AAC_RATES ((1u << 11) - 1)

#define LITTLE_ENDIAN_RAW (SF_FORMAT_RAW | SF_ENDIAN_LITTLE)
static const struct {
    const char *word, *extension, *content_type;
    uint32_t rates;
    int sndfile; /* libsndfile's name of it; 0: it has none */
} formats[SOUND_FORMATS] = {
    [SOUND_WAV] = {"wav", "wav", "audio/wav", EVERY_RATE, LITTLE_ENDIAN_RAW | SF_FORMAT_PCM_16},
    [SOUND_WAV24] = {"wav24", "wav", "audio/wav", EVERY_RATE, LITTLE_ENDIAN_RAW | SF_FORMAT_PCM_24},
    [SOUND_WAV_FLOAT] = {"wavf", "wav", "audio/wav", EVERY_RATE, LITTLE_ENDIAN_RAW | SF_FORMAT_FLOAT},
    [SOUND_FLAC] = {"flac", "flac", "audio/flac", EVERY_RATE, SF_FORMAT_FLAC | SF_FORMAT_PCM_16},
    [SOUND_OGG] = {"ogg", "ogg", "audio/ogg", EVERY_RATE, SF_FORMAT_OGG | SF_FORMAT_VORBIS},
    [SOUND_OPUS] = {"opus", "opus", "audio/opus", OPUS_RATES, SF_FORMAT_OGG | SF_FORMAT_OPUS},
    [SOUND_MP3] = {"mp3", "mp3", "audio/mpeg", MP3_RATES, SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III},
    [SOUND_AAC] = {"aac", "aac", "audio/aac", AAC_RATES, 0},
    [SOUND_RAW] = {"raw", "raw", "audio/pcm", EVERY_RATE, LITTLE_ENDIAN_RAW | SF_FORMAT_PCM_16},
};

/* Other extensions of the same formats. */
static const struct {
    const char *extension;
    sound_format format;
} more_extensions[] = {{"wave", SOUND_WAV}, {"oga", SOUND_OGG}, {"pcm", SOUND_RAW}, {"s16", SOUND_RAW}};

bool sound_format_of_word(const char *word, sound_format *format) {
    for (int i = 0; i < SOUND_FORMATS; i++)
        if (strcmp(word, formats[i].word) == 0) {
            *format = (sound_format)i;
            return true;
        }
    *format = SOUND_RAW;
    return strcmp(word, "pcm") == 0;
}

f5_status sound_format_of_name(const char *path, sound_format *format, f5_error *error) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    *format = SOUND_WAV;
    if (!dot || dot == name || !dot[1]) return F5_OK; /* a leading dot hides a file */
    for (int i = SOUND_FORMATS - 1; i >= 0; i--)      /* of several WAVs it is the first */
        if (strcasecmp(dot + 1, formats[i].extension) == 0) *format = (sound_format)i;
    if (strcasecmp(dot + 1, formats[*format].extension) == 0) return F5_OK;
    for (size_t i = 0; i < sizeof more_extensions / sizeof *more_extensions; i++)
        if (strcasecmp(dot + 1, more_extensions[i].extension) == 0) {
            *format = more_extensions[i].format;
            return F5_OK;
        }
    return f5_fail(error, F5_E_ARGUMENT,
                   "%s: no format is known by .%s: name it .wav, .flac, .ogg, .opus, .mp3, .aac or .raw, or say which "
                   "by --format",
                   path, dot + 1);
}

f5_status sound_format_check_name(sound_format format, const char *path, f5_error *error) {
    sound_format named;
    f5_error unknown;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    if (!dot || dot == name || sound_format_of_name(path, &named, &unknown) != F5_OK) return F5_OK;
    /* of WAV there are three, and Opus lies in Ogg */
    if (strcmp(formats[named].extension, formats[format].extension) == 0) return F5_OK;
    if (named == SOUND_OGG && format == SOUND_OPUS) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT,
                   "%s: --format %s would make it no %s: leave --format out, or give a name that ends with .%s", path,
                   formats[format].word, formats[named].word, formats[format].extension);
}

const char *sound_format_word(sound_format format) {
    return formats[format].word;
}

const char *sound_format_extension(sound_format format) {
    return formats[format].extension;
}

const char *sound_content_type(sound_format format) {
    return formats[format].content_type;
}

/* "8000, 12000": the rates of a set of bits. */
static void list_rates(uint32_t rates, char *list, size_t room) {
    size_t n = 0;
    list[0] = '\0';
    for (int i = 0; i < N_RATES; i++)
        if (rates & 1u << i && n < room)
            n += (size_t)snprintf(list + n, room - n, "%s%d", n ? ", " : "", (int)known_rates[i]);
}

static bool has_rate(uint32_t rates, int32_t rate) {
    for (int i = 0; i < N_RATES; i++)
        if (known_rates[i] == rate) return rates & 1u << i;
    return false;
}

int32_t sound_format_rate(sound_format format, int32_t rate) {
    int32_t highest = rate;
    for (int i = 0; i < N_RATES; i++) {
        if (!(formats[format].rates & 1u << i)) continue;
        highest = known_rates[i];
        if (highest >= rate) break;
    }
    return highest;
}

f5_status sound_format_check(sound_format format, int32_t rate, f5_error *error) {
    if (!has_rate(formats[format].rates, rate)) {
        char list[128];
        list_rates(formats[format].rates, list, sizeof list);
        return f5_fail(error, F5_E_ARGUMENT, "%s is not written at %d samples a second: it can have %s",
                       formats[format].word, (int)rate, list);
    }
    if (format == SOUND_AAC) return sound_aac_check(error);
    SF_INFO info = {.samplerate = rate, .channels = 1, .format = formats[format].sndfile};
    if (sf_format_check(&info)) return F5_OK;
    return f5_fail(error, F5_E_UNSUPPORTED, "%s cannot be written: this libsndfile, %s, does not know it",
                   formats[format].word, sf_version_string());
}

int sound_format_sndfile(sound_format format) {
    return formats[format].sndfile;
}
