/* speech_request.c — fields by name, each with its type and its range. */
#include "host/server/speech_request.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernels/error.h"

typedef struct {
    const json_t *object, *shared;
    request_fault *why;
} reader;

static bool refuse(reader *r, const char *param, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static bool refuse(reader *r, const char *param, const char *code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    f5_format(r->why->message, sizeof r->why->message, format, args); /* a text that is cut stays UTF-8 */
    va_end(args);
    r->why->status = 400;
    r->why->param = param;
    r->why->code = code;
    return false;
}

/* NULL: not given; null counts as that. */
static const json_t *get(const reader *r, const char *name) {
    const json_t *value = json_object_get(r->object, name);
    if (!value || json_is_null(value)) value = json_object_get(r->shared, name);
    return value && !json_is_null(value) ? value : NULL;
}

static bool get_string(reader *r, const char *name, const char **to) {
    const json_t *value = get(r, name);
    if (!value) return true;
    if (!json_is_string(value)) return refuse(r, name, "invalid_type", "%s must be a string", name);
    *to = json_string_value(value);
    return true;
}

static bool get_bool(reader *r, const char *name, bool *to) {
    const json_t *value = get(r, name);
    if (!value) return true;
    if (!json_is_boolean(value)) return refuse(r, name, "invalid_type", "%s must be true or false", name);
    *to = json_is_true(value);
    return true;
}

static bool get_number(reader *r, const char *name, double least, double most, float *to) {
    const json_t *value = get(r, name);
    if (!value) return true;
    if (!json_is_number(value)) return refuse(r, name, "invalid_type", "%s must be a number", name);
    double number = json_number_value(value);
    if (!(number >= least && number <= most))
        return refuse(r, name, "out_of_range", "%s must be from %g to %g", name, least, most);
    *to = (float)number;
    return true;
}

static bool get_whole(reader *r, const char *name, int64_t least, int64_t most, int64_t *to) {
    const json_t *value = get(r, name);
    if (!value) return true;
    double number = json_number_value(value);
    if (!json_is_number(value) || number != floor(number))
        return refuse(r, name, "invalid_type", "%s must be a whole number", name);
    /* an integer of jansson's is exact; a real that is whole, as 7.0, is one too if a double can say it */
    int64_t whole = json_is_integer(value) ? json_integer_value(value)
                    : fabs(number) < 9e15  ? (int64_t)number
                                           : INT64_MIN;
    if (whole < least || whole > most)
        return refuse(r, name, "out_of_range", "%s must be from %lld to %lld", name, (long long)least, (long long)most);
    *to = whole;
    return true;
}

/* Which of the words it is. */
static bool get_word(reader *r, const char *name, const char *const *words, int n_words, int *to) {
    const char *text = NULL;
    if (!get_string(r, name, &text)) return false;
    if (!text) return true;
    char list[160] = "";
    for (int i = 0; i < n_words; i++) {
        if (strcmp(text, words[i]) == 0) {
            *to = i;
            return true;
        }
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", words[i]);
    }
    return refuse(r, name, "invalid_value", "%s: %.60s is none of %s", name, text, list);
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

static bool read_input(reader *r, const speech_defaults *d, speech_request *q) {
    if (!get_string(r, "input", &q->input)) return false;
    if (!q->input) return refuse(r, "input", "missing", "input is missing: the text to say");
    q->input_bytes = strlen(q->input);
    if (f5_text_is_blank(q->input)) return refuse(r, "input", "empty", "input is empty: nothing to say");
    if (q->input_bytes <= d->text_bytes) return true;
    return refuse(r, "input", "string_above_max_length", "input has %zu bytes, and at most %zu are taken",
                  q->input_bytes, d->text_bytes);
}

static bool read_ipa(reader *r, const speech_defaults *d, speech_request *q) {
    q->ipa = d->ipa;
    if (!get_bool(r, "ipa", &q->ipa)) return false;
    if (q->ipa && !d->reads_phonemes) return refuse(r, "ipa", "unsupported", "ipa: this model reads letters");
    if (q->ipa || !d->ipa) return true;
    return refuse(r, "ipa", "unsupported", "ipa: this server was started with --ipa, and takes IPA alone");
}

/* A name, or {"id": name}; vLLM-Omni's clients call it speaker. */
static bool read_voice(reader *r, speech_request *q) {
    const json_t *value = get(r, "voice");
    if (!value) return get_string(r, "speaker", &q->voice);
    if (json_is_object(value)) value = json_object_get(value, "id");
    if (!json_is_string(value))
        return refuse(r, "voice", "invalid_type", "voice must be a name, or an object with an id that is one");
    q->voice = json_string_value(value);
    return true;
}

/* {"audio_path" or "audio": ..., "text": ...}, as SGLang-Omni's clients say ref_audio and ref_text. */
static bool read_references(reader *r, speech_request *q) {
    const json_t *list = get(r, "references");
    if (!list) return true;
    if (!json_is_array(list)) return refuse(r, "references", "invalid_type", "references must be a list");
    if (json_array_size(list) == 0) return true;
    if (json_array_size(list) > 1)
        return refuse(r, "references", "invalid_value", "references: one recording is cloned, give one");
    const json_t *one = json_array_get(list, 0);
    const json_t *audio = json_object_get(one, "audio_path"), *text = json_object_get(one, "text");
    if (!audio) audio = json_object_get(one, "audio");
    if (!json_is_string(audio) || !json_is_string(text))
        return refuse(r, "references", "invalid_type",
                      "references must hold an object with audio_path, base64 or a data URL, and text");
    q->ref_audio = json_string_value(audio);
    q->ref_text = json_string_value(text);
    return true;
}

static bool read_reference(reader *r, const speech_defaults *d, speech_request *q) {
    if (!read_references(r, q) || !get_string(r, "ref_audio", &q->ref_audio) ||
        !get_string(r, "ref_text", &q->ref_text))
        return false;
    if (!q->ref_audio && q->ref_text && !*q->ref_text) q->ref_text = NULL;
    if (q->ref_text && !q->ref_audio)
        return refuse(r, "ref_audio", "missing", "ref_text is given without ref_audio, the recording that says it");
    if (!q->ref_audio) return true;
    if (d->one_voice)
        return refuse(r, "ref_audio", "unsupported", "ref_audio: this model has one voice of its own and clones none");
    static const char *const elsewhere[] = {"http://", "https://", "file://", "ftp://", "/"};
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0] - 1; i++)
        if (strncmp(q->ref_audio, elsewhere[i], strlen(elsewhere[i])) == 0)
            return refuse(r, "ref_audio", "invalid_value",
                          "ref_audio: this server fetches nothing: send the recording in base64 or as a data URL");
    if (f5_text_is_blank(q->ref_text))
        return refuse(r, "ref_text", "missing", "ref_text is missing: the words that the recording says");
    return true;
}

/* The model's own, or the next that the format has; but who plays raw samples takes them for OpenAI's of 24 kHz. */
static int32_t usual_rate(const speech_defaults *d, sound_format format) {
    return format == SOUND_RAW ? F5_SAMPLE_RATE : sound_format_rate(format, d->rate);
}

static bool read_format(reader *r, const speech_defaults *d, speech_request *q) {
    const char *word = "mp3";
    if (!get_string(r, "response_format", &word)) return false;
    if (!sound_format_of_word(word, &q->format))
        return refuse(r, "response_format", "invalid_value",
                      "response_format: %.60s is none of mp3, opus, aac, flac, wav, pcm", word);
    int64_t rate = usual_rate(d, q->format);
    if (!get_whole(r, "sample_rate", 8000, 48000, &rate)) return false;
    q->rate = (int32_t)rate;
    f5_error error;
    if (sound_format_check(q->format, q->rate, &error) != F5_OK)
        return refuse(r, "response_format", "unsupported", "response_format %s: %.400s", word, error.message);
    return true;
}

/* A client that asks for events, for a stream, or for raw samples plays what comes. */
static bool read_stream(reader *r, const speech_defaults *d, speech_request *q) {
    static const char *const formats[] = {"audio", "sse"};
    int format = 0;
    q->streams = q->format == SOUND_RAW;
    if (!get_word(r, "stream_format", formats, 2, &format) || !get_bool(r, "stream", &q->streams)) return false;
    q->sse = format == 1;
    q->streams = q->streams || q->sse;
    q->speak.first_chunk = q->streams ? d->first_chunk : 0;
    if (!get_bool(r, "subtitles", &q->subtitles)) return false;
    if (q->subtitles && !q->sse)
        return refuse(r, "subtitles", "invalid_value", "subtitles come as events: give stream_format \"sse\"");
    return get_number(r, "first_chunk", F5_FIRST_UPSTREAM, 22, &q->speak.first_chunk);
}

static bool read_speech(reader *r, speech_request *q) {
    /* 1 is what clients send that mean nothing by it: short texts keep the pace that the model asks for */
    float speed = 1;
    if (!get_number(r, "speed", 0.25, 4, &speed)) return false;
    q->speak.speed = speed == 1 ? 0 : speed;
    bool ssml = false;
    const char *passed_over = NULL;
    if (!get_bool(r, "ssml", &ssml)) return false;
    q->speak.ssml = ssml;
    return get_number(r, "fix_duration", 0, F5_MAX_FIX_DURATION, &q->speak.fix_duration) &&
           get_number(r, "cross_fade_duration", 0, F5_MAX_CROSS_FADE, &q->speak.cross_fade) &&
           get_number(r, "sentence_pause", 0, F5_MAX_PAUSE, &q->speak.sentence_pause) &&
           get_number(r, "paragraph_pause", 0, F5_MAX_PAUSE, &q->speak.paragraph_pause) &&
           get_string(r, "normalize", &q->speak.normalize) && get_string(r, "instructions", &passed_over) &&
           get_string(r, "language", &passed_over) && get_string(r, "task_type", &passed_over);
}

static bool read_solver(reader *r, const speech_defaults *d, speech_request *q) {
    static const char *const methods[] = {"euler", "midpoint", "ab2"};
    int64_t nfe = d->nfe_step, seed = 0;
    int method = d->method;
    q->seed_given = get(r, "seed") != NULL;
    if (d->one_voice && get(r, "cfg_strength"))
        return refuse(r, "cfg_strength", "unsupported", "cfg_strength: this model has no guidance");
    if (!get_whole(r, "nfe_step", 1, 1024, &nfe) || !get_whole(r, "seed", 0, INT64_MAX, &seed) ||
        !get_word(r, "method", methods, 3, &method) || !get_number(r, "cfg_strength", 0, 100, &q->sample.cfg) ||
        !get_number(r, "sway_sampling_coef", -1, 1.75, &q->sample.sway))
        return false;
    q->sample.nfe = (int32_t)nfe;
    q->sample.method = method;
    q->speak.seed = (uint64_t)seed;
    return true;
}

bool speech_request_read(const json_t *object, const json_t *shared, const speech_defaults *defaults,
                         speech_request *request, request_fault *why) {
    *request = (speech_request){0};
    f5_speak_params_init(&request->speak);
    f5_sample_params_init(&request->sample);
    *why = (request_fault){0};
    reader r = {object, shared, why};
    if (!json_is_object(object)) return refuse(&r, NULL, "invalid_type", "the request must be a JSON object");
    return get_string(&r, "model", &request->model) && read_input(&r, defaults, request) &&
           read_ipa(&r, defaults, request) && read_voice(&r, request) && read_reference(&r, defaults, request) &&
           read_format(&r, defaults, request) && read_stream(&r, defaults, request) && read_speech(&r, request) &&
           read_solver(&r, defaults, request);
}
