/* speech_job.c — a job in the hands of a thread: text goes to the engine, samples to the encoder, its bytes to the
 * loop.
 *
 * A short text is spoken by one f5_speak. Another is fed to a stream bit by bit: between two bits the job can be set
 * aside, and it then holds neither a thread nor memory of the engine. */
#include "host/server/speech_job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_TEXT 400 /* bytes: about half a minute of speech, which may wait in memory to be read */
#define FED_BYTES 256  /* of a longer text, at a time */
/* Of sound that is kept until its end, or that is made while its reader has too much. A few bytes of markup can ask for
 * hours of silence, and one call speaks all of them. */
#define SOUND_BYTES 67108864

/* ---- what is posted to the loop ---------------------------------------------------------------------------------- */

typedef struct {
    loop_post post;
    speech_job *job;
    speech_piece piece;
    bool flushed;
    _Alignas(16) char memory[]; /* sentences, their texts, the chunk's text, the encoded bytes */
} posted;

static void deliver(void *user) {
    posted *p = user;
    speech_job *job = p->job;
    if (job->events && p->flushed && job->events->flushed) job->events->flushed(job->user);
    if (job->events && !p->flushed) job->events->piece(job->user, &p->piece);
    job_release(job);
    free(p);
}

static f5_status post(speech_job *job, const f5_audio *audio, double seconds, bool begins, bool ends, f5_error *error) {
    size_t text = begins ? audio->text_bytes : 0, sentences = 0;
    int32_t marks = audio->n_marks;
    for (int32_t i = 0; i < marks; i++) sentences += audio->marks[i].bytes;
    size_t table = (size_t)marks * sizeof(speech_sentence);
    posted *p = malloc(sizeof *p + table + sentences + text + job->out.n + 16);
    if (!p) return f5_fail(error, F5_E_MEMORY, "no memory for speech");
    *p = (posted){.job = job};
    speech_sentence *list = (speech_sentence *)p->memory;
    char *to = p->memory + table;
    for (int32_t i = 0; i < marks; i++) {
        const f5_mark *m = &audio->marks[i];
        list[i] = (speech_sentence){m->start, m->end, to, m->bytes};
        memcpy(to, m->text, m->bytes);
        to += m->bytes;
    }
    p->piece = (speech_piece){.seconds = seconds,
                              .chunk = job->chunk,
                              .chunk_begins = begins,
                              .chunk_ends = ends,
                              .text = begins ? to : NULL,
                              .text_bytes = text,
                              .sentences = list,
                              .n_sentences = marks};
    if (text > 0) memcpy(to, audio->text, text);
    to += text;
    if (job->out.n > 0) memcpy(to, job->out.bytes, job->out.n);
    p->piece.bytes = to;
    p->piece.n = job->out.n;
    job->result.bytes += job->out.n;
    job->out.n = 0;
    p->post = (loop_post){.run = deliver, .user = p};
    atomic_fetch_add(&job->holders, 1);
    loop_send(job->speaker->loop, &p->post);
    return F5_OK;
}

static void post_flushed(speech_job *job) {
    posted *p = calloc(1, sizeof *p);
    if (!p) return;
    p->job = job;
    p->flushed = true;
    p->post = (loop_post){.run = deliver, .user = p};
    atomic_fetch_add(&job->holders, 1);
    loop_send(job->speaker->loop, &p->post);
}

/* ---- sound ------------------------------------------------------------------------------------------------------- */

static int out_write(void *user, const void *bytes, size_t n) {
    byte_buffer *b = user;
    if (n > b->room - b->n) {
        size_t room = b->room ? b->room : 8192;
        while (room - b->n < n) room *= 2;
        char *larger = realloc(b->bytes, room);
        if (!larger) return ENOMEM;
        b->bytes = larger;
        b->room = room;
    }
    memcpy(b->bytes + b->n, bytes, n);
    b->n += n;
    return 0;
}

static int out_rewrite(void *user, int64_t at, const void *bytes, size_t n) {
    byte_buffer *b = user;
    if (at < 0 || (uint64_t)at > b->n || n > b->n - (size_t)at) return EINVAL;
    memcpy(b->bytes + at, bytes, n);
    return 0;
}

/* A file of its own is kept until its end, so that its header can tell its length. */
static f5_status open_encoder(speech_job *job, f5_error *error) {
    bool kept = job->order.whole || job->order.separate;
    const sound_sink sink = {.write = out_write, .rewrite = kept ? out_rewrite : NULL, .user = &job->out};
    return sound_encoder_open_of(&job->encoder, job->order.format, job->speaker->options.sound_rate, job->order.rate,
                                 &sink, "the speech", error);
}

static f5_status end_encoder(speech_job *job, f5_error *error) {
    if (!job->encoder) return F5_OK;
    f5_status status = sound_encoder_end(job->encoder, error);
    sound_encoder_close(job->encoder);
    job->encoder = NULL;
    return status;
}

/* May the bytes that wait in `out` be kept, or posted? So many of them were added last. */
static f5_status check_sound(speech_job *job, size_t added, f5_error *error) {
    if (job->out.n > SOUND_BYTES)
        return f5_fail(error, F5_E_LIMIT, "the sound is larger than %d MB: split the text, or ask for a stream",
                       SOUND_BYTES >> 20);
    pthread_mutex_lock(&job->speaker->lock);
    job->unread = job->held ? job->unread + added : 0;
    pthread_mutex_unlock(&job->speaker->lock);
    if (job->order.whole || job->unread <= SOUND_BYTES) return F5_OK;
    return f5_fail(error, F5_E_LIMIT, "the sound is read too slowly: more than %d MB wait", SOUND_BYTES >> 20);
}

static f5_status take_audio(speech_job *job, const f5_audio *audio, f5_error *error) {
    bool chunk = audio->mel_frames > 0;
    double seconds = (double)audio->n_samples / job->speaker->options.sound_rate;
    size_t before = job->out.n;
    if (!job->encoder) F5_TRY(open_encoder(job, error));
    if (audio->n_samples > 0) {
        if (job->result.first == 0) job->result.first = loop_seconds() - job->ordered;
        F5_TRY(sound_encoder_add(job->encoder, audio->samples, audio->n_samples, error));
    }
    F5_TRY(check_sound(job, job->out.n - before, error));
    job->result.seconds += seconds;
    if (chunk) job->chunk = job->result.chunks++;
    bool ends = chunk && job->order.separate;
    if (ends) F5_TRY(end_encoder(job, error));
    if (job->order.whole || (job->order.separate && !ends)) {
        /* the bytes wait: a header comes back for its length */
        if (audio->n_marks == 0) return F5_OK;
        size_t kept = job->out.n;
        job->out.n = 0;
        f5_status status = post(job, audio, seconds, chunk, false, error);
        job->out.n = kept;
        return status;
    }
    return post(job, audio, seconds, chunk, ends, error);
}

/* What is streamed goes out in slices of half a second: a client reads the first ones while the last are encoded. */
static f5_status take_slices(speech_job *job, const f5_audio *audio, f5_error *error) {
    if (job->order.whole || job->order.separate) return take_audio(job, audio, error);
    const int64_t samples = job->speaker->options.sound_rate / 2;
    f5_audio slice = *audio;
    for (int64_t left = audio->n_samples; left > samples; left -= samples) {
        slice.n_samples = samples;
        F5_TRY(take_audio(job, &slice, error));
        slice = (f5_audio){.samples = slice.samples + samples, .n_samples = left - samples, .index = audio->index};
    }
    return take_audio(job, &slice, error);
}

static int on_audio(void *user, const f5_audio *audio) {
    speech_job *job = user;
    if (atomic_load(&job->cancelled)) return 1;
    job->status = take_slices(job, audio, &job->why);
    return job->status != F5_OK;
}

static int on_progress(void *user, int32_t step, int32_t steps) {
    (void)step;
    (void)steps;
    return atomic_load(&((speech_job *)user)->cancelled);
}

static int on_wait(void *user) {
    return atomic_load(&((speech_job *)user)->cancelled);
}

/* ---- engine ------------------------------------------------------------------------------------------------------ */

static f5_speak_params params_of(speech_job *job) {
    job->sample = job->order.sample; /* a stream keeps the pointer */
    job->sample.progress = on_progress;
    job->sample.waits = on_wait;
    job->sample.progress_user = job;
    f5_speak_params p = job->order.speak;
    p.sample = &job->sample;
    p.audio = on_audio;
    p.audio_user = job;
    p.normalize = job->normalize;
    p.phonemes = job->order.ipa ? NULL : job->speaker->options.phonemes.phonemes;
    p.phonemes_user = job->speaker->options.phonemes.phonemes_user;
    return p;
}

static bool spoken_at_once(const speech_job *job) {
    return job->text &&
           (job->order.speak.ssml || job->order.speak.fix_duration > 0 || job->order.text_bytes <= SHORT_TEXT);
}

static f5_status begin(speech_job *job) {
    job->begun = true;
    job->result.waited = loop_seconds() - job->ordered;
    F5_TRY(engine_take(job, &job->error));
    if (!job->speaker->options.one_voice) F5_TRY(voice_take(job, &job->error));
    f5_speak_params p = params_of(job);
    if (spoken_at_once(job)) {
        p.text = job->text;
        return f5_speak(job->slot->engine, job->voice, &p, NULL, &job->error);
    }
    p.ssml = 0;
    return f5_stream_open(job->slot->engine, job->voice, &p, &job->stream, &job->error);
}

/* The next bit of what waits; false: nothing does. */
static bool next_input(speech_job *job, char text[FED_BYTES], size_t *bytes, input_kind *kind) {
    pthread_mutex_lock(&job->speaker->lock);
    job_input *in = job->input;
    if (in) {
        *kind = in->kind;
        *bytes = in->bytes - in->at < FED_BYTES ? in->bytes - in->at : FED_BYTES;
        memcpy(text, in->text + in->at, *bytes);
        in->at += *bytes;
        job->input_bytes -= *bytes;
        if (in->at == in->bytes) {
            job->input = in->next;
            if (!job->input) job->last_input = &job->input;
            free(in);
        }
    }
    pthread_mutex_unlock(&job->speaker->lock);
    return in != NULL;
}

/* The end of the sound. */
static f5_status finish(speech_job *job) {
    if (job->order.separate) {
        job->out.n = 0; /* silence behind the last chunk, of no file */
        return F5_OK;
    }
    if (!job->encoder) F5_TRY(open_encoder(job, &job->error));
    F5_TRY(end_encoder(job, &job->error));
    const f5_audio none = {0};
    return job->out.n > 0 ? post(job, &none, 0, false, false, &job->error) : F5_OK;
}

/* What stopped the call counts for more than that it was stopped. */
static f5_status settle(speech_job *job, f5_status status) {
    if (atomic_load(&job->cancelled)) return F5_E_CANCELLED;
    if (job->status == F5_OK) return status;
    job->error = job->why;
    return job->status;
}

void job_step(speech_job *job) {
    f5_status status = F5_OK;
    bool over = false;
    if (atomic_load(&job->cancelled)) {
        status = F5_E_CANCELLED;
    } else if (atomic_load(&job->lost)) {
        status = f5_fail(&job->error, F5_E_DEVICE, "the engine was lost");
    } else if (!job->begun) {
        status = begin(job);
        over = spoken_at_once(job);
    } else {
        char text[FED_BYTES];
        size_t bytes;
        input_kind kind;
        if (!next_input(job, text, &bytes, &kind)) return;
        if (kind == INPUT_TEXT)
            status = f5_stream_push(job->stream, text, bytes, &job->error);
        else
            status = f5_stream_flush(job->stream, &job->error);
        if (status == F5_OK && kind == INPUT_FLUSH) post_flushed(job);
        over = kind == INPUT_FINISH;
    }
    status = settle(job, status);
    if (status == F5_OK && over) status = finish(job);
    if (status == F5_E_DEVICE && job->slot && !atomic_load(&job->lost)) engine_lost(job);
    job->result.status = status;
    if (status == F5_OK && !over) return;
    pthread_mutex_lock(&job->speaker->lock);
    job->state = JOB_OVER;
    pthread_mutex_unlock(&job->speaker->lock);
}

void job_clear(speech_job *job) {
    f5_stream_close(job->stream);
    job->stream = NULL;
    sound_encoder_close(job->encoder);
    job->encoder = NULL;
    free(job->out.bytes);
    job->out = (byte_buffer){0};
    if (job->voice) voice_leave(job);
    if (job->slot) engine_leave(job);
}
