/* speech.c — a text becomes speech in a voice: what is asked is checked, the text is read and planned. speaking.c
 * speaks it. */
#include "host/api/speech.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/api/lexicon.h"
#include "host/api/params.h"
#include "host/text/duration.h"
#include "host/text/tokenizer.h"
#include "runtime/clock.h"
#include "runtime/request_check.h"
#include "weights/utf8.h"

/* ---- what is asked ----------------------------------------------------------------------------------------------- */

static f5_status check_range(const char *name, double value, double least, double most, f5_error *error) {
    if (value >= least && value <= most) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "%s %g: must be %g to %g", name, value, least, most);
}

static f5_status check_choice(const char *name, int32_t value, int32_t least, int32_t most, f5_error *error) {
    if (value >= least && value <= most) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "%s %d: must be %d to %d", name, (int)value, (int)least, (int)most);
}

static f5_status check_speed(const char *of, float speed, f5_error *error) {
    if (speed == 0 || (speed >= 0.01f && speed <= 100)) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "%s %g: must be 0.01 to 100, or 0 for the default", of, (double)speed);
}

static f5_status check_params(const f5_speak_params *p, bool need_text, f5_error *error) {
    if (need_text && !p->text) return f5_fail(error, F5_E_ARGUMENT, "f5_speak_params.text is NULL");
    F5_TRY(check_speed("speed", p->speed, error));
    F5_TRY(check_range("fix_duration", (double)p->fix_duration, 0, F5_MAX_FIX_DURATION, error));
    F5_TRY(check_range("cross_fade", (double)p->cross_fade, 0, F5_MAX_CROSS_FADE, error));
    F5_TRY(check_range("sentence_pause", (double)p->sentence_pause, 0, F5_MAX_PAUSE, error));
    F5_TRY(check_range("paragraph_pause", (double)p->paragraph_pause, 0, F5_MAX_PAUSE, error));
    F5_TRY(check_choice("chunking", p->chunking, F5_CHUNKS_MODEL, F5_CHUNKS_SENTENCE, error));
    F5_TRY(check_choice("brackets", p->brackets, F5_BRACKETS_MAIN, F5_BRACKETS_DROP, error));
    if (p->first_chunk != F5_FIRST_UPSTREAM && !(p->first_chunk >= 0 && p->first_chunk <= 60))
        return f5_fail(error, F5_E_ARGUMENT, "first_chunk %g: must be 0 to 60, or %d for upstream's",
                       (double)p->first_chunk, F5_FIRST_UPSTREAM);
    F5_TRY(check_choice("n_voices", p->n_voices, 0, SPEECH_MAX_VOICES, error));
    if (p->n_voices > 0 && !p->voices)
        return f5_fail(error, F5_E_ARGUMENT, "voices is NULL, n_voices is %d", p->n_voices);
    if (p->noise_frames < 0) return f5_fail(error, F5_E_ARGUMENT, "noise_frames is %d", p->noise_frames);
    return F5_OK;
}

/* Makes voice i one that the reader knows. */
static f5_status add_voice(speech *s, int32_t i, const char *name, const f5_voice *v, float speed, f5_error *error) {
    if (v->engine != s->engine) return f5_fail(error, F5_E_ARGUMENT, "the voice was opened on another engine");
    if (speed == 0) speed = s->params.speed;
    int32_t max_frames = engine_limits(s->engine->core)->max_frames, frames = max_frames - v->mel_frames - 1;
    s->voice[i] = v;
    s->speed_given[i] = speed != 0;
    if (!v->mel) {
        F5_TRY(speech_check_own_speed(s, speed != 0 ? speed : 1, error));
        s->seen[i] = speech_own_voice(s, speed != 0 ? speed : 1);
        return F5_OK;
    }
    s->seen[i] = (reader_voice){.name = name,
                                .name_bytes = name ? strlen(name) : 0,
                                .transcript = v->text,
                                .transcript_bytes = v->text_bytes,
                                .seconds = f5_voice_seconds(v),
                                .speed = speed != 0 ? speed : 1,
                                /* a fixed duration is shared out, whatever the bytes */
                                .room_bytes = s->params.fix_duration > 0
                                                  ? READER_MAX_CHUNK
                                                  : (double)frames * (double)v->text_bytes / v->ref_frames,
                                .most_bytes = ((double)max_frames - (double)v->text_bytes - 1) / 2};
    return F5_OK;
}

static f5_status add_voices(speech *s, f5_error *error) {
    for (int32_t i = 0; i < s->params.n_voices; i++) {
        f5_speak_voice v;
        f5_speak_voice_init(&v);
        F5_TRY(params_read_at(&v, sizeof v, s->params.voices, i, "f5_speak_voice", error));
        if (!v.name || !*v.name || !v.voice)
            return f5_fail(error, F5_E_ARGUMENT, "voice %d has no name, or no voice", (int)i);
        char of[128];
        snprintf(of, sizeof of, "voice '%.100s': speed", v.name);
        F5_TRY(check_speed(of, v.speed, error));
        F5_TRY(add_voice(s, i + 1, v.name, v.voice, v.speed, error));
    }
    return F5_OK;
}

const char *speech_language(const f5_engine *e, const char *normalize) {
    const char *language = normalize ? normalize : engine_model(e->core)->config.speech.normalize;
    return strcmp(language, "none") == 0 ? NULL : language;
}

/* A language that was not opened is told before there is a text in it. */
static f5_status check_language(const f5_engine *e, const char *language, f5_error *error) {
    char none[1];
    text_buffer nothing = {.text = none, .capacity = 0};
    return language ? normalize_text(e->normalizer, language, NULL, "", 0, &nothing, error) : F5_OK;
}

/* ---- what the reader asks for */

/* Where a character lies in the sentence as it was given; its start where that has no such character. */
static size_t find_character(uint32_t code, const char *sentence, size_t bytes) {
    char wanted[4];
    size_t n = utf8_encode(wanted, code);
    for (size_t i = 0; i + n <= bytes; i++)
        if (memcmp(sentence + i, wanted, n) == 0) return i;
    return 0;
}

static f5_status prepare(void *user, const char *sentence, size_t bytes, int64_t at, text_buffer *out,
                         f5_error *error) {
    speech *s = user;
    fold_report *unknown = s->planning ? &s->unknown : NULL;
    const int32_t known = s->unknown.distinct;
    const size_t start = at < 0 ? 0 : (size_t)at;
    s->unknown.offset = start;
    text_buffer normal = {.text = s->desk->normal, .capacity = sizeof s->desk->normal};
    text_buffer spoken = {.text = s->desk->spoken, .capacity = sizeof s->desk->spoken};
    const char *said = sentence;
    size_t said_bytes = bytes;
    if (s->language) {
        F5_TRY(normalize_text(s->engine->normalizer, s->language, lexicon_of(s->params.lexicon), sentence, bytes,
                              &normal, error));
        said = normal.text;
        said_bytes = normal.bytes;
    }
    if (s->params.phonemes) F5_TRY(speech_phonemes(s, &said, &said_bytes, &spoken, error));
    F5_TRY(fold_text(&s->engine->alphabet, said, said_bytes, out, unknown, error));
    for (int32_t i = known; said != sentence && i < s->unknown.distinct; i++)
        s->unknown.unknown[i].first = start + find_character(s->unknown.unknown[i].code, sentence, bytes);
    return F5_OK;
}

static f5_status say_as(void *user, const char *interpret_as, const char *format, const char *detail, const char *text,
                        size_t bytes, text_buffer *out, f5_error *error) {
    (void)detail; /* SSML leaves its meaning open */
    speech *s = user;
    return normalize_say_as(s->engine->normalizer, s->language ? s->language : "en", interpret_as, strlen(interpret_as),
                            format, strlen(format), text, bytes, out, error);
}

static void warn(const speech *s, f5_warning_kind kind, const char *format, ...) F5_PRINTF(3, 4);

static void warn(const speech *s, f5_warning_kind kind, const char *format, ...) {
    if (!s->params.warning) return;
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    s->params.warning(s->params.warning_user, kind, message);
}

static void unknown_voice(void *user, const char *name, size_t bytes) {
    speech *s = user;
    if (!s->planning || s->unknown_voices++ >= 8) return;
    warn(s, F5_WARNING_VOICE, "the text names a voice '%.*s', which is not one of those given: the main voice is taken",
         bytes > 128 ? 128 : (int)bytes, name);
}

f5_status speech_begin(speech *s, f5_engine *e, const f5_voice *v, const f5_speak_params *params, bool need_text,
                       f5_error *error) {
    *s = (speech){.engine = e, .call = {.kind = CALL_SYNTH, .of_speech = true}, .started_ms = clock_ms()};
    f5_speak_params_init(&s->params);
    F5_TRY(params_read(&s->params, sizeof s->params, params, "f5_speak_params", error));
    const f5_speak_params *p = &s->params;
    F5_TRY(check_params(p, need_text, error));
    s->language = speech_language(e, p->normalize);
    F5_TRY(check_language(e, s->language, error));
    if (p->lexicon && !s->language)
        return f5_fail(error, F5_E_ARGUMENT, "a lexicon is read where text is normalised: give normalize a language");
    if (p->phonemes && !engine_model(e->core)->config.part[PART_TEXT]->symbols)
        return f5_fail(error, F5_E_ARGUMENT, "phonemes: %s reads letters, not IPA", engine_model(e->core)->config.name);
    s->own = (f5_voice){.engine = e, .text = ""};
    F5_TRY(add_voice(s, 0, NULL, v ? v : &s->own, 0, error));
    F5_TRY(add_voices(s, error));
    F5_TRY(solver_of_model(&s->call.solver, p->sample, &engine_model(e->core)->config, error));
    engine_settle(e->core, &s->call.solver);
    F5_TRY(request_check_solver(engine_limits(e->core), &s->call.solver, error));
    int32_t chunking = p->chunking != F5_CHUNKS_MODEL ? p->chunking : engine_model(e->core)->config.speech.chunking;
    s->rules = (reader_rules){.voices = s->seen,
                              .n_voices = 1 + p->n_voices,
                              .chunking = (reader_chunking)chunking,
                              .brackets = (reader_brackets)p->brackets,
                              .ssml = p->ssml != 0,
                              .one_space = engine_model(e->core)->config.part[PART_TEXT]->symbols != NULL,
                              .sentence_pause = duration_as_written(p->sentence_pause),
                              .paragraph_pause = duration_as_written(p->paragraph_pause),
                              .first_chunk = (double)p->first_chunk,
                              .prepare = prepare,
                              .say_as = say_as,
                              .unknown_voice = unknown_voice,
                              .user = s};
    return F5_OK;
}

/* Speeds that the model does badly. */
static void check_speeds(speech *s) {
    const model_speech *well = &engine_model(s->engine->core)->config.speech;
    for (int32_t i = 0; i <= s->params.n_voices; i++) {
        double percent = 100 * (double)s->seen[i].speed;
        if (percent >= well->slowest && percent <= well->fastest) continue;
        warn(s, F5_WARNING_PACE, "speed %g: this model speaks well from %g to %g", percent / 100, well->slowest / 100.0,
             well->fastest / 100.0);
        return;
    }
}

void speech_sit_down(speech *s, desk *d) {
    s->desk = d;
    s->join = (join){.tail = d->tail, .fade = (int64_t)(duration_as_written(s->params.cross_fade) * s->engine->rate)};
    speech_rewind(s);
    check_speeds(s);
}

void speech_rewind(speech *s) {
    s->passed_pause = 0;
    reader_begin(&s->reader, &s->rules, &s->desk->text);
}

/* ---- a chunk ----------------------------------------------------------------------------------------------------- */

/* Tokens of the transcript and, after it, of the chunk: sentence by sentence, as upstream joins them. */
static f5_status tokenize(const speech *s, const desk_chunk *c, int32_t *tokens, int32_t capacity, int32_t *n,
                          f5_error *error) {
    const f5_voice *v = s->voice[c->chunk.voice];
    tokenizer t = chinese_begin(&s->engine->chinese, engine_model(s->engine->core));
    t.ids = tokens;
    t.capacity = capacity;
    f5_status status = tokenizer_put(&t, v->text, v->text_bytes, 0, error);
    size_t begin = reader_chunk_at(&s->reader, &c->chunk);
    chunk_sentence sentence;
    for (size_t at = 0; status == F5_OK && chunk_read(&c->chunk.chunk, &at, &sentence);) {
        size_t offset = begin + (size_t)(sentence.text - c->chunk.chunk.text);
        status = tokenizer_put(&t, sentence.text, sentence.bytes, offset, error);
        if (status == F5_OK && sentence.space) status = tokenizer_put(&t, " ", 1, offset, error);
    }
    if (status == F5_OK) tokenizer_end(&t);
    chinese_end(&s->engine->chinese);
    *n = t.n;
    return status;
}

/* What fix_duration gives this chunk, in upstream's arithmetic; 0: nothing is fixed. */
static double fixed_seconds(const speech *s, const reader_chunk *c) {
    double fixed = (double)s->params.fix_duration;
    if (!(fixed > 0)) return 0;
    fixed = duration_as_written(s->params.fix_duration);
    int32_t chunks = s->desk->segment_chunks[c->segment];
    if (chunks < 2) return fixed;
    double reference = (double)s->voice[c->voice]->ref_frames * s->engine->hop / s->engine->rate;
    double shared = fixed - reference + duration_as_written(s->params.cross_fade) * (chunks - 1);
    return reference + shared * (double)c->chunk.spoken_bytes / s->desk->segment_bytes[c->segment];
}

/* Is this what somebody could say in that time? Told once a text. */
static void check_pace(speech *s, const desk_chunk *c) {
    const f5_voice *v = s->voice[c->chunk.voice];
    size_t bytes = c->chunk.chunk.spoken_bytes;
    double seconds = (double)(c->frames - v->ref_frames) * s->engine->hop / s->engine->rate,
           pace = (double)bytes / seconds;
    if (s->pace_told || !v->mel || bytes < s->engine->short_text.bytes) return;
    if (pace >= DURATION_SLOW_PACE && pace <= DURATION_FAST_PACE) return;
    s->pace_told = true;
    warn(
        s, F5_WARNING_PACE,
        "chunk %d has %zu bytes for %.2f s of speech, %.1f a second; speech has about 15: it will be %s. The recording "
        "has %.1f, the speed is %g%s",
        (int)s->next, bytes, seconds, pace,
        pace < DURATION_SLOW_PACE ? "drawn out, with sounds that nobody asked for" : "hurried, with words lost",
        (double)v->text_bytes / f5_voice_seconds(v), (double)c->chunk.speed,
        s->params.fix_duration > 0 ? ", and fix_duration is given" : "");
}

f5_status speech_measure(speech *s, desk_chunk *c, int32_t *tokens, int32_t capacity, f5_error *error) {
    F5_TRY(tokenize(s, c, tokens, capacity, &c->tokens, error));
    const f5_voice *v = s->voice[c->chunk.voice];
    int32_t max_frames = engine_limits(s->engine->core)->max_frames;
    double fixed = fixed_seconds(s, &c->chunk);
    const duration_short *rule = s->speed_given[c->chunk.voice] ? NULL : &s->engine->short_text;
    int64_t requested =
        duration_requested(v->ref_frames, v->text_bytes, c->chunk.chunk.spoken_bytes, c->chunk.speed, rule, fixed);
    bool slowed = rule && fixed == 0 && c->chunk.chunk.spoken_bytes < rule->bytes;
    if (slowed && requested > max_frames) requested = max_frames; /* as slow as there is room for */
    int64_t frames = duration_frames(c->tokens, v->mel_frames, requested);
    if (!v->mel) F5_TRY(speech_own_frames(s, c, tokens, fixed, &frames, error));
    if (frames > max_frames)
        return f5_fail(error, F5_E_LIMIT,
                       "chunk %d needs %lld frames (%.1f s%s), max_frames given at open is %d: speak faster, %sor open "
                       "with a larger max_frames",
                       (int)s->next, (long long)frames, (double)frames * s->engine->hop / s->engine->rate,
                       v->mel ? ", reference included" : "", max_frames, v->mel ? "use a shorter reference, " : "");
    c->frames = (int32_t)frames;
    if (s->planning) check_pace(s, c);
    return F5_OK;
}

f5_status speech_read(speech *s, reader_outcome *outcome, reader_chunk *c, f5_error *error) {
    for (;;) {
        F5_TRY(reader_next(&s->reader, outcome, c, error));
        if (*outcome == READER_WAIT || *outcome == READER_FULL) return F5_OK;
        if (s->passed_pause > c->pause_before) c->pause_before = s->passed_pause;
        s->passed_pause = 0;
        if (*outcome == READER_END || !fold_is_silent(c->chunk.text, c->chunk.bytes)) return F5_OK;
        s->silent = true;
        s->passed_pause = c->pause_before;
    }
}

f5_status speech_text_error(f5_status status, const f5_error *why, f5_error *error) {
    bool of_text = status != F5_E_ARGUMENT && status != F5_E_CANCELLED;
    return f5_fail(error, status, of_text ? "text: %s" : "%s", why->message);
}

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

/* Adds a chunk to what its segment has. */
static f5_status count_segment(speech *s, const reader_chunk *c, f5_error *error) {
    double reference = f5_voice_seconds(s->voice[c->voice]);
    if ((double)s->params.fix_duration <= reference)
        return f5_fail(error, F5_E_ARGUMENT,
                       "fix_duration %g: the recording alone has %.2f s, and fix_duration is the length of both: "
                       "nothing is left for speech",
                       (double)s->params.fix_duration, reference);
    if (c->segment >= DESK_SEGMENTS)
        return f5_fail(error, F5_E_UNSUPPORTED, "a text with fix_duration may switch voices or pause %d times at most",
                       DESK_SEGMENTS - 1);
    if (c->segment >= s->segment || s->next == 0) {
        s->desk->segment_bytes[c->segment] = 0;
        s->desk->segment_chunks[c->segment] = 0;
        s->segment = c->segment + 1;
    }
    s->desk->segment_bytes[c->segment] += (double)c->chunk.spoken_bytes;
    s->desk->segment_chunks[c->segment]++;
    return F5_OK;
}

typedef struct {
    int (*said)(void *user, const f5_said *chunk);
    void *user;
    int64_t frames;
} plan;

static f5_status tell_chunk(const speech *s, const plan *p, const desk_chunk *c, f5_error *error) {
    if (!p->said) return F5_OK;
    int64_t samples = engine_vocode_samples(s->engine->core, c->frames - s->voice[c->chunk.voice]->ref_frames);
    const f5_said told = {.size = sizeof told,
                          .text = c->chunk.chunk.text,
                          .bytes = c->chunk.chunk.bytes,
                          .index = s->next,
                          .voice = c->chunk.voice,
                          .frames = c->frames,
                          .tokens = c->tokens,
                          .seconds = (double)samples / s->engine->rate,
                          .pause = c->chunk.pause_before};
    return p->said(p->user, &told) == 0 ? F5_OK : f5_fail(error, F5_E_CANCELLED, "cancelled by the callback");
}

/* One reading from end to end. counting: only how much each segment has. */
static f5_status read_through(speech *s, bool counting, plan *p, f5_error *error) {
    speech_rewind(s);
    s->next = s->segment = 0;
    reader_feed(&s->reader, s->params.text, strlen(s->params.text), true);
    for (;;) {
        desk_chunk c = {0};
        reader_outcome outcome;
        F5_TRY(speech_read(s, &outcome, &c.chunk, error));
        if (outcome == READER_END) return F5_OK;
        if (outcome == READER_CHUNK && counting) {
            F5_TRY(count_segment(s, &c.chunk, error));
        } else if (outcome == READER_CHUNK) {
            F5_TRY(speech_measure(s, &c, s->desk->tokens, 2 * engine_limits(s->engine->core)->max_frames, error));
            F5_TRY(tell_chunk(s, p, &c, error));
            p->frames += c.frames;
        }
        s->next += outcome == READER_CHUNK;
        reader_release(&s->reader);
    }
}

void speech_warn_characters(speech *s) {
    char message[480];
    fold_report_message(&s->unknown, message, sizeof message);
    if (s->unknown.count > 0) warn(s, F5_WARNING_CHARACTERS, "%s", message);
    s->unknown = (fold_report){0};
}

/* A text of which nothing can be said is an error; characters that are left out are a warning. */
static f5_status report_characters(speech *s, f5_error *error) {
    if (s->next > 0) {
        speech_warn_characters(s);
        return F5_OK;
    }
    char message[480];
    fold_report_message(&s->unknown, message, sizeof message);
    if (s->unknown.count > 0) return f5_fail(error, F5_E_ARGUMENT, "nothing of the text can be said: %s", message);
    return f5_fail(error, F5_E_ARGUMENT,
                   s->silent ? "the text to speak has no letter, digit or ideograph: nothing of it can be said"
                             : "the text to speak is empty");
}

f5_status speech_plan(speech *s, int (*said)(void *user, const f5_said *chunk), void *user, f5_error *error) {
    plan p = {.said = said, .user = user};
    f5_error why = {0};
    f5_status status = s->params.fix_duration > 0 ? read_through(s, true, &p, &why) : F5_OK;
    s->planning = true;
    if (status == F5_OK) status = read_through(s, false, &p, &why);
    s->planning = false;
    if (status != F5_OK) return speech_text_error(status, &why, error);
    F5_TRY(report_characters(s, error));
    if (s->params.noise && s->params.noise_frames != p.frames)
        return f5_fail(error, F5_E_ARGUMENT, "the noise given has %d frames, this text takes %lld",
                       s->params.noise_frames, (long long)p.frames);
    s->n_chunks = s->next;
    return F5_OK;
}

/* ---- the calls --------------------------------------------------------------------------------------------------- */

int32_t f5_text_is_blank(const char *text) {
    return !text || chunk_is_blank(text, strlen(text));
}

/* What is wrong with a call before its text is looked at. */
static f5_status begin_call(speech *s, f5_engine *e, const f5_voice *v, const f5_speak_params *params,
                            f5_error *error) {
    F5_TRY(speech_begin(s, e, v, params, true, error));
    size_t bytes = strlen(s->params.text);
    if (bytes > (size_t)e->max_text_bytes)
        return f5_fail(error, F5_E_LIMIT, "the text has %zu bytes, max_text_bytes given at open is %d", bytes,
                       e->max_text_bytes);
    return call_refuse_inside(e, error); /* it would wait for its own thread */
}

static f5_status take_desk(speech *s, desk **d, f5_error *error) {
    const synth_solver *solver = &s->call.solver;
    return desk_take(&s->engine->desks, solver->waits, solver->progress_user, d, error);
}

static f5_status speak(speech *s, f5_error *error) {
    F5_TRY(speech_plan(s, NULL, NULL, error));
    speech_rewind(s);
    s->next = s->segment = 0;
    reader_feed(&s->reader, s->params.text, strlen(s->params.text), true);
    F5_TRY(speech_go_on(s, error));
    return speech_finish(s, error);
}

f5_status f5_speak(f5_engine *e, const f5_voice *v, const f5_speak_params *params, f5_speak_stats *stats,
                   f5_error *error) {
    if (!e || !speech_has_voice(e, v)) return f5_fail(error, F5_E_ARGUMENT, "f5_speak: engine or voice is NULL");
    speech s;
    F5_TRY(begin_call(&s, e, v, params, error));
    if (!s.params.audio)
        return f5_fail(error, F5_E_ARGUMENT, "f5_speak_params.audio is NULL: nothing would hear the speech");
    if (stats) F5_TRY(params_write(stats, &s.stats, sizeof s.stats, "f5_speak_stats", error)); /* refused early */
    s.call.timed = stats != NULL;
    double before = clock_ms();
    desk *d;
    F5_TRY(take_desk(&s, &d, error));
    s.stats.wait_ms = clock_ms() - before;
    speech_sit_down(&s, d);
    f5_status status = speak(&s, error);
    desk_leave(&e->desks, d);
    if (status != F5_OK) return status;
    return stats ? params_write(stats, &s.stats, sizeof s.stats, "f5_speak_stats", error) : F5_OK;
}

f5_status f5_show_text(f5_engine *e, const f5_voice *v, const f5_speak_params *params,
                       int (*said)(void *user, const f5_said *chunk), void *user, f5_error *error) {
    if (!e || !speech_has_voice(e, v) || !said)
        return f5_fail(error, F5_E_ARGUMENT, "f5_show_text: engine, voice or said is NULL");
    speech s;
    F5_TRY(begin_call(&s, e, v, params, error));
    desk *d;
    F5_TRY(take_desk(&s, &d, error));
    speech_sit_down(&s, d);
    f5_status status = speech_plan(&s, said, user, error);
    desk_leave(&e->desks, d);
    return status;
}
