/* speaking.c — chunks become sound: some of them at a time in one batch, each joined to what was there before, and
 * handed to the caller in order. */
#include <math.h>
#include <string.h>

#include "host/api/speech.h"
#include "runtime/clock.h"
#include "runtime/finite.h"

#define SILENCE_SAMPLES 12000 /* of a pause that are handed over at a time */

/* ---- a batch ----------------------------------------------------------------------------------------------------- */

/* The first chunk is spoken alone, so that it is heard early. Of the others as many go together as the batch has room
 * for. */
static bool fits(const speech *s, int32_t chunks, int32_t frames, const desk_chunk *c) {
    const engine_options *l = engine_limits(s->engine->core);
    if (chunks == 0) return true;
    return s->next > 0 && chunks < l->max_batch && (int64_t)frames + c->frames <= l->batch_frames;
}

/* Seeds of the later chunks are the first one's, mixed (splitmix64's finaliser). */
static uint64_t seed_of(uint64_t seed, int32_t index) {
    if (index == 0) return seed;
    uint64_t x = seed + (uint64_t)index * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Cuts the chunks of the next batch: *n of them with *frames. One more may have been cut, and waits on the desk. */
static f5_status gather(speech *s, int32_t *n, int32_t *frames, reader_outcome *outcome, double *pause,
                        f5_error *error) {
    desk *d = s->desk;
    int32_t max_frames = engine_limits(s->engine->core)->max_frames, tokens = 0;
    *n = *frames = 0;
    *outcome = READER_CHUNK;
    for (;;) {
        desk_chunk *c = &d->chunks[*n];
        if (s->n_held == 0) {
            F5_TRY(speech_read(s, outcome, &c->chunk, error));
            *pause = c->chunk.pause_before;
            if (*outcome != READER_CHUNK) break;
        }
        F5_TRY(speech_measure(s, c, d->tokens + tokens, 2 * max_frames - tokens, error));
        s->n_held = 1;
        if (!fits(s, *n, *frames, c)) break;
        s->n_held = 0;
        const f5_voice *v = s->voice[c->chunk.voice];
        int32_t before = 0, after = 0;
        if (!s->params.exact) speech_around(s->engine, v->ref_frames, &before, &after);
        d->jobs[*n] = (synth_job){.cond = v->mel,
                                  .cond_frames = v->mel_frames,
                                  .tokens = d->tokens + tokens,
                                  .n_tokens = c->tokens,
                                  .frames = c->frames,
                                  .seed = seed_of(s->params.seed, s->next + *n),
                                  .vocode_from = v->ref_frames,
                                  .vocode_before = before,
                                  .vocode_after = after};
        tokens += c->tokens;
        *frames += c->frames;
        ++*n;
    }
    return F5_OK;
}

/* Initial states that were given belong to the chunks in order. */
static f5_status give_noise(speech *s, int32_t n, int32_t frames, f5_error *error) {
    if (!s->params.noise) return F5_OK;
    if (s->noise_at + frames > s->params.noise_frames)
        return f5_fail(error, F5_E_ARGUMENT,
                       "the noise given has too few frames: the text was changed while it was read");
    for (int32_t i = 0; i < n; i++) {
        s->desk->jobs[i].noise = s->params.noise + (size_t)s->noise_at * (size_t)s->engine->bands;
        s->noise_at += s->desk->jobs[i].frames;
    }
    return F5_OK;
}

/* What the vocoder does not see is loud to it, and becomes a burst at 12 kHz. Before the speech it sees the reference.
 * Behind the speech there is nothing, so it sees the last frame again, as far as its convolutions reach. */
void speech_around(const f5_engine *e, int32_t room, int32_t *before, int32_t *after) {
    engine_vocode_around(e->core, before, after);
    if (room / 2 < *before) *before = room / 2;
    if (room - *before < *after) *after = room - *before;
}

/* ---- the result -------------------------------------------------------------------------------------------------- */

/* A reference that was raised gives speech that is lowered by as much. */
static void undo_level(const f5_voice *v, float *samples, int64_t n) {
    if (!(v->rms < v->target_rms)) return;
    for (int64_t i = 0; i < n; i++) samples[i] = samples[i] * v->rms / v->target_rms;
}

f5_status speech_check_sound(const f5_engine *e, const float *samples, int64_t n, f5_error *error) {
    int64_t good = finite_until(samples, n);
    if (good == n) return F5_OK;
    return f5_fail(error, F5_E_FORMAT,
                   "no speech came of it: sample %lld is not a finite number; the model's weights are damaged%s",
                   (long long)good,
                   engine_precision(e->core) == F5_F32
                       ? ": convert the model again"
                       : ": convert the model again; or its numbers are too large for 16 bits: open it in fp32");
}

static f5_status hand_over(speech *s, f5_audio *audio, f5_error *error) {
    audio->seconds = (double)s->out / s->engine->rate;
    audio->chunks = s->n_chunks;
    bool is_speech = s->next > 0; /* before the first chunk there is only silence that was asked for */
    if (s->stats.first_ms == 0 && is_speech && audio->n_samples > 0) s->stats.first_ms = clock_ms() - s->started_ms;
    if (s->params.audio(s->params.audio_user, audio) != 0)
        return f5_fail(error, F5_E_CANCELLED, "cancelled by the audio callback");
    s->out += audio->n_samples;
    return F5_OK;
}

static f5_status hand_over_plain(speech *s, const float *samples, int64_t n, f5_error *error) {
    f5_audio audio = {.samples = samples, .n_samples = n, .index = s->next - 1, .segment = s->segment};
    return n > 0 ? hand_over(s, &audio, error) : F5_OK;
}

/* What is held back of the output, which nothing is to overlap: [*n]. */
static float *end_joined(speech *s, int64_t *n) {
    float *tail = join_end(&s->join, n);
    int64_t edge = *n < SPEECH_EDGE ? *n : SPEECH_EDGE;
    if (!s->params.exact) join_fade_out(tail + *n - edge, edge);
    return tail;
}

f5_status speech_finish(speech *s, f5_error *error) {
    int64_t n;
    const float *tail = end_joined(s, &n);
    return hand_over_plain(s, tail, n, error);
}

/* A pause that was made. */
static f5_status be_silent(speech *s, double seconds, f5_error *error) {
    static const float silence[SILENCE_SAMPLES];
    int64_t left = (int64_t)llround(seconds * s->engine->rate);
    if (left > 0) {
        F5_TRY(speech_finish(s, error));
        s->after_pause = true;
    }
    while (left > 0) {
        int64_t n = left < SILENCE_SAMPLES ? left : SILENCE_SAMPLES;
        F5_TRY(hand_over_plain(s, silence, n, error));
        left -= n;
    }
    return F5_OK;
}

/* Times of the sentences in a chunk that lies at [start,end] seconds; those that end in it become marks. */
static int32_t mark_sentences(speech *s, const reader_chunk *c, double start, double end) {
    int32_t first, marks = 0, n = reader_chunk_sentences(&s->reader, c, &first);
    double length = c->to - c->from;
    for (int32_t i = first; i < first + n; i++) {
        reader_sentence *sentence = &s->desk->text.sentences[i];
        double from = sentence->from > c->from ? sentence->from - c->from : 0;
        double to = sentence->to < c->to ? sentence->to - c->from : length;
        if (!sentence->begun) sentence->start = start + (end - start) * from / length;
        sentence->begun = true;
        if (sentence->to > c->to && !chunk_is_blank(s->desk->text.prepared + c->to, (size_t)(sentence->to - c->to)))
            continue;
        s->desk->marks[marks++] = (f5_mark){.start = sentence->start,
                                            .end = start + (end - start) * to / length,
                                            .text = s->desk->text.original + sentence->original,
                                            .bytes = (size_t)sentence->original_bytes,
                                            .at = sentence->at};
    }
    return marks;
}

/* Joins a chunk's samples [n] to the output and hands over what is new. */
static f5_status join_chunk(speech *s, const desk_chunk *c, float *samples, int64_t n, f5_audio *audio,
                            f5_error *error) {
    int64_t before = s->out + s->join.held, ready;
    join_add(&s->join, samples, n, &ready);
    int64_t after = s->out + ready + s->join.held;
    audio->samples = samples;
    audio->n_samples = ready;
    if (!c->chunk.joins) {
        int64_t rest;
        const float *tail = end_joined(s, &rest);
        if (ready > 0) {
            memcpy(samples + ready, tail, (size_t)rest * sizeof *samples); /* it was a copy of the chunk's own end */
            audio->n_samples = n;
        } else {
            audio->samples = tail, audio->n_samples = rest;
        }
    }
    int64_t start = after - n < before ? after - n : before;
    if (start > s->chunk_at) s->chunk_at = start; /* a short chunk may lie wholly over the one before it */
    audio->n_marks =
        mark_sentences(s, &c->chunk, (double)s->chunk_at / s->engine->rate, (double)after / s->engine->rate);
    audio->marks = s->desk->marks;
    return hand_over(s, audio, error);
}

/* Ends of a chunk that no other overlaps fade. Its last samples fade when it is known that nothing will, in end_joined,
 * but where none are held back. Of upstream's own samples those beside a pause that was made fade. */
static void fade_ends(const speech *s, const reader_chunk *c, float *samples, int64_t n) {
    int64_t edge = n < SPEECH_EDGE ? n : SPEECH_EDGE;
    bool alone = !s->params.exact && s->join.held == 0, open_end = !s->params.exact && s->join.fade == 0;
    if (s->after_pause || alone) join_fade_in(samples, edge);
    if (open_end || (s->params.exact && c->pause_follows)) join_fade_out(samples + n - edge, edge);
}

/* What came of a chunk: `at` is where its part of the store begins. */
static f5_status deliver(speech *s, const desk_chunk *c, size_t at, f5_error *error) {
    f5_engine *e = s->engine;
    const f5_voice *v = s->voice[c->chunk.voice];
    int32_t made = c->frames - v->ref_frames;
    int64_t n = engine_vocode_samples(e->core, made);
    float *samples = e->samples + at * F5_HOP;
    undo_level(v, samples, n);
    F5_TRY(speech_check_sound(e, samples, n, error));
    F5_TRY(be_silent(s, c->chunk.pause_before, error));
    if (c->chunk.segment != s->segment) F5_TRY(speech_finish(s, error)); /* voices follow each other without a fade */
    fade_ends(s, &c->chunk, samples, n);
    s->after_pause = false;
    s->segment = c->chunk.segment;
    f5_audio audio = {.mel = e->mel + (at + (size_t)v->ref_frames) * (size_t)e->bands,
                      .mel_frames = made,
                      .index = s->next++,
                      .segment = s->segment,
                      .voice = c->chunk.voice,
                      .text = c->chunk.chunk.text,
                      .text_bytes = c->chunk.chunk.bytes};
    s->stats.reference_seconds = f5_voice_seconds(s->voice[0]);
    s->stats.chunks++;
    s->stats.frames += c->frames;
    s->stats.tokens += c->tokens;
    return join_chunk(s, c, samples, n, &audio, error);
}

static void count_times(speech *s, const api_call *call) {
    f5_speak_stats *t = &s->stats;
    t->prepare_ms += call->times.prepare_ms;
    t->ode_ms += call->times.ode_ms;
    t->vocos_ms += call->times.vocode_ms;
    t->total_ms += call->times.total_ms;
    t->wait_ms += call->turn.wait_ms;
    if (call->turn.batch_sequences > t->batch_sequences) t->batch_sequences = call->turn.batch_sequences;
}

/* Speaks the n chunks that were gathered. */
static f5_status speak_batch(speech *s, int32_t n, int32_t frames, f5_error *error) {
    F5_TRY(give_noise(s, n, frames, error));
    api_call call = s->call;
    call.n = n;
    call.jobs = s->desk->jobs;
    call.turn.store_frames = frames;
    F5_TRY(call_serve(s->engine, &call, error));
    count_times(s, &call);
    f5_status status = F5_OK;
    size_t at = (size_t)call.turn.store_at;
    for (int32_t i = 0; i < n && status == F5_OK; i++) {
        status = deliver(s, &s->desk->chunks[i], at, error);
        at += (size_t)s->desk->chunks[i].frames;
    }
    call_release(s->engine, &call);
    return status;
}

f5_status speech_go_on(speech *s, f5_error *error) {
    for (;;) {
        int32_t n, frames;
        reader_outcome outcome;
        double pause = 0;
        f5_error why = {0};
        f5_status status = gather(s, &n, &frames, &outcome, &pause, &why);
        if (status != F5_OK) return speech_text_error(status, &why, error);
        if (n > 0) F5_TRY(speak_batch(s, n, frames, error));
        if (s->n_held > 0)
            s->desk->chunks[0] = s->desk->chunks[n]; /* its text stays where it is */
        else
            reader_release(&s->reader);
        if (outcome == READER_END) F5_TRY(be_silent(s, pause, error));
        s->stats.generated_seconds = (double)(s->out + s->join.held) / s->engine->rate;
        if (outcome == READER_END || outcome == READER_WAIT) return F5_OK;
    }
}
