/* f5tts_speech.h — a part of f5tts.h, which is what to include: the speech level. A recording becomes a voice, a text
 * speech in it; words of a recording are replaced. */
#ifndef F5TTS_SPEECH_H
#define F5TTS_SPEECH_H

/* Converts mono samples from one rate to another into out [capacity]; returns samples written or -1. */
typedef int64_t (*f5_resample_fn)(void *user, const float *in, int64_t n_in, int32_t rate_in, int32_t rate_out,
                                  float *out, int64_t capacity);

typedef struct {
    size_t size;
    const float *samples; /* [n_frames,channels] interleaved, -1..1; what is beyond is clipped, as upstream */
    int64_t n_frames;
    int32_t channels;        /* 1 .. F5_MAX_CHANNELS */
    int32_t sample_rate;     /* in F5_MIN_SAMPLE_RATE .. F5_MAX_SAMPLE_RATE */
    const char *transcript;  /* what the recording says */
    float target_rms;        /* quieter recordings are raised to it, and the output lowered again; default 0.1 */
    int32_t keep_whole;      /* 1: no clipping to 12 s, no trimming of silence; default 0 */
    f5_resample_fn resample; /* to 24000 Hz; NULL (default): torchaudio's resampler, as upstream */
    void *resample_user;
    f5_warning_fn warning; /* NULL, or told what is wrong with the recording, as f5_check_voice tells it */
    void *warning_user;
    const char *normalize; /* of the transcript, as in f5_speak_params */
} f5_voice_params;
F5_STRUCT_INIT(f5_voice_params)
f5_status f5_voice_open(f5_engine *engine, const f5_voice_params *params, f5_voice **voice, f5_error *error);
void f5_voice_close(f5_voice *voice);
double f5_voice_seconds(const f5_voice *voice); /* of the reference as used */

/* Tells what f5_voice_open would hear in a recording, a call each for "level", "clipping", "noise", "rate", "length"
 * and "pace": it is good (1), or the message, which lives during the call, says what to do (0). No engine is needed,
 * and the transcript may be NULL. What would be refused there is refused here. Allocates. */
typedef void (*f5_advice_fn)(void *user, const char *what, int32_t good, const char *message);
f5_status f5_check_voice(const f5_voice_params *params, f5_advice_fn advice, void *user, f5_error *error);

/* Hands `take` the part of a recording that f5_voice_open would use, clipped, trimmed and mono, [n] samples of 24 kHz
 * at a level of at least target_rms, for a program that hears what it says. It is called once, and the samples live
 * during the call. Errors are those of f5_voice_open about the recording. Allocates. */
f5_status f5_clip_voice(const f5_voice_params *params, void (*take)(void *user, const float *samples, int64_t n),
                        void *user, f5_error *error);

/* When something was said, in seconds of the whole output. This struct never grows. */
typedef struct {
    double start, end; /* estimated from its share of the chunk's bytes */
    const char *text;  /* [bytes] a sentence as it was given, before it was normalised */
    size_t bytes;
    int64_t at; /* where it begins in the text given: a byte; -1 with SSML */
} f5_mark;

/* A piece of the output, handed to the caller as soon as it exists. Put one behind the other, the samples of all pieces
 * are the output. There is one for each chunk, in order, with the chunk's mel, text and marks; where chunks overlap,
 * the end of a chunk's samples comes with the next piece. Pieces without a chunk hold silence, or the end of the last
 * chunk: their mel_frames is 0. All pointers live during the callback. The library makes these structs, and later
 * versions may add fields at the end. */
typedef struct {
    const float *samples; /* [n_samples] 24 kHz mono, or of the model's rate; may be none */
    int64_t n_samples;
    const float *mel; /* [mel_frames,100] the mel that the chunk was made from */
    int32_t mel_frames;
    int32_t index;    /* of the chunk: 0, 1, ...; without one, of the chunk before, or -1 */
    int32_t chunks;   /* of the whole text; 0: not known, as a stream does not know it */
    int32_t segment;  /* of the chunk: a stretch between tags, 0, 1, ... */
    int32_t voice;    /* of the chunk: 0 the main voice, i + 1 voices[i] */
    const char *text; /* [text_bytes] what the chunk says, as it is said */
    size_t text_bytes;
    double seconds;       /* where `samples` begin in the output */
    const f5_mark *marks; /* [n_marks] sentences that end in this chunk */
    int32_t n_marks;
} f5_audio;
typedef int (*f5_audio_fn)(void *user, const f5_audio *audio); /* non-zero cancels */

/* A voice that a text may switch to: [name], or <voice name="name"> in SSML. */
typedef struct {
    size_t size;
    const char *name; /* letters, digits and _; of two with one name the first is taken */
    const f5_voice *voice;
    float speed; /* 0.01 to 100; 0 (default): that of f5_speak_params */
} f5_speak_voice;
F5_STRUCT_INIT(f5_speak_voice)

/* How long text is cut. No chunk is longer than the reference leaves room for: 22 s with it, at its pace. */
enum {
    F5_CHUNKS_MODEL = -1, /* as the model asks; as upstream where it asks nothing */
    F5_CHUNKS_UPSTREAM,   /* after any of ; : , . ! ? and as much as fits, as upstream */
    F5_CHUNKS_SENTENCES,  /* where sentences end, and as many as fit */
    F5_CHUNKS_SENTENCE    /* every sentence by itself */
};

/* What [name] is where no voice has that name. */
enum {
    F5_BRACKETS_MAIN, /* as upstream: a warning, and the main voice goes on */
    F5_BRACKETS_TEXT, /* text */
    F5_BRACKETS_DROP  /* nothing: the voice goes on */
};

#define F5_MAX_CROSS_FADE 2     /* seconds */
#define F5_MAX_PAUSE 60         /* seconds */
#define F5_MAX_FIX_DURATION 600 /* seconds */
#define F5_FIRST_UPSTREAM -1    /* first_chunk: a quarter of the limit, then half, as upstream's server */

typedef struct {
    size_t size;
    const char *text; /* [pause 0.5s] or [pause 500ms] is silence of that length */
    float speed; /* 0 (default): 1, and for short texts what the model asks for. Any other, 0.01 to 100, counts as it is
                  */
    float fix_duration;   /* total seconds, reference included, of a stretch in one voice; 0 (default): estimated */
    uint64_t seed;        /* chunk 0 has it, the others have seeds made of it */
    const float *noise;   /* [noise_frames,100] initial states of all chunks, one after another, or NULL */
    int32_t noise_frames; /* exactly those of f5_show_text, added up */
    const f5_sample_params *sample; /* nfe, cfg, sway, ...; NULL: the model's (f5_model_defaults). Steps are
                                       those of one batch of chunks */
    f5_audio_fn audio;              /* required */
    void *audio_user;
    const f5_speak_voice *voices; /* [n_voices] of the same engine, or NULL */
    int32_t n_voices;             /* at most 64 */
    int32_t brackets;             /* F5_BRACKETS_ */
    int32_t ssml;                 /* 1: the text is an SSML document; default 0 */
    const char *normalize; /* "none", "en", "zh", ...: one of `languages`; NULL (default): what the model asks for */
    const f5_lexicon *lexicon; /* NULL: none. It needs `normalize` */
    int32_t chunking;          /* F5_CHUNKS_; default F5_CHUNKS_MODEL */
    float cross_fade;          /* seconds by which chunks overlap; default 0.15 */
    float sentence_pause;      /* seconds of silence between sentences: every sentence is a chunk then; default 0 */
    float paragraph_pause;     /* the same between paragraphs, which no chunk crosses then; default 0 */
    float first_chunk; /* seconds, about, at most 60, of the first chunk, which then comes early; 0 (default): as the
                          others; F5_FIRST_UPSTREAM */
    f5_warning_fn warning; /* NULL, or told what a listener would notice, before the work begins */
    void *warning_user;
    int32_t exact; /* 1: upstream's samples, which begin and end with a burst of the vocoder's. 0 (default): it sees
                      more frames on either side, and what no other chunk overlaps fades within 5 ms. A voice of the
                      model's own has no such frames: it only fades */
    /* For a model that reads phonemes: makes IPA of a sentence [bytes], at most `capacity` bytes at out, *n of them.
     * NULL (default): the text is IPA. Called on the calling thread by f5_speak, f5_show_text, f5_stream_push and
     * f5_stream_flush, more than once for a sentence: it must answer the same. Its error is the call's. */
    f5_status (*phonemes)(void *user, const char *text, size_t bytes, char *out, size_t capacity, size_t *n,
                          f5_error *error);
    void *phonemes_user;
} f5_speak_params;
F5_STRUCT_INIT(f5_speak_params)

typedef struct {
    size_t size;
    double reference_seconds, generated_seconds;
    int32_t chunks, frames, tokens;
    double prepare_ms;         /* time grid and modulations, batch layout, noise */
    double ode_ms;             /* text encoder, condition, all steps */
    double vocos_ms, total_ms; /* these are times of the whole batch */
    double wait_ms;            /* until it began */
    int32_t batch_sequences;   /* in it; 1: alone. Of several batches: the most; times are sums */
    double first_ms;           /* from the call until its first piece of speech was handed out; f5_edit: 0 */
} f5_speak_stats;
F5_STRUCT_INIT(f5_speak_stats)

/* Nothing but white space, or nothing at all, as f5_speak sees it: 1; else 0. NULL is nothing. */
int32_t f5_text_is_blank(const char *text);

/* voice: NULL for a model that has one voice of its own (f5_engine_info.one_voice), and for no other. Its chunks are as
 * long as the model's durations say, divided by the speed (upstream's duration_scale is 1 / speed); a model that
 * predicts none has one pace, and takes no speed but 1. Its samples have the model's own rate
 * (f5_engine_info.sample_rate), its mel the model's bands.
 *
 * stats may be NULL. Speech with a sample that is not finite is F5_E_FORMAT, and `audio` is not called with it;
 * f5_vocode gives what comes. A text is read to its end before the work begins, so that what is wrong with it is told
 * at once. */
f5_status f5_speak(f5_engine *engine, const f5_voice *voice, const f5_speak_params *params, f5_speak_stats *stats,
                   f5_error *error);

/* A chunk as f5_speak would say it. */
typedef struct {
    size_t size;
    const char *text; /* [bytes] as it is said */
    size_t bytes;
    int32_t index, voice;   /* as in f5_audio */
    int32_t frames, tokens; /* frames: reference included */
    double seconds;         /* of its speech */
    double pause;           /* seconds of silence before it */
} f5_said;
F5_STRUCT_INIT(f5_said)

/* Reads the text as f5_speak does with these params, and tells each chunk; nothing is spoken, and `audio` may be NULL.
 * said returns non-zero to cancel. */
f5_status f5_show_text(f5_engine *engine, const f5_voice *voice, const f5_speak_params *params,
                       int (*said)(void *user, const f5_said *chunk), void *user, f5_error *error);

/* ---- text that comes bit by bit, as a language model writes it */

/* params as f5_speak has them, but text, fix_duration, noise and ssml, which must not be given. The engine, the voices,
 * the lexicon and what params points to must live until the stream is closed. Allocates. One thread at a time may use a
 * stream; other streams and calls of the engine go on beside it. */
f5_status f5_stream_open(f5_engine *engine, const f5_voice *voice, const f5_speak_params *params, f5_stream **stream,
                         f5_error *error);
/* Adds text [bytes], which may end inside a word or a character. Chunks whose end is certain are spoken before the call
 * returns. The output is that of f5_speak of the whole text, bit for bit, however it was cut. After an error the stream
 * can only be closed, and none of its callbacks may close it. */
f5_status f5_stream_push(f5_stream *stream, const char *text, size_t bytes, f5_error *error);
/* Speaks what is left. Text that comes later is a new one: a new paragraph, in the main voice. */
f5_status f5_stream_flush(f5_stream *stream, f5_error *error);
void f5_stream_close(f5_stream *stream); /* NULL is fine; what was not spoken is dropped */

/* ---- words and how they are said */

/* Lines of a word, a tab, and how it is said; `#` begins a comment. `where` names the text in messages. Allocates. Any
 * number of calls may read one lexicon; they must have returned before it is closed. F5_E_FORMAT names the line. */
f5_status f5_lexicon_open(const char *text, size_t bytes, const char *where, f5_lexicon **lexicon, f5_error *error);
void f5_lexicon_close(f5_lexicon *lexicon); /* NULL is fine */

/* ---- finished speech --------------------------------------------------------------------------------------------- */

/* Takes long silence out of 24 kHz mono speech: of every stretch of a second or more below -50 dBFS at most a second is
 * left, half of it on either side, as upstream's remove_silence does. The result has whole milliseconds, as upstream's:
 * up to F5_SILENCE_ROUNDING samples are cut or zeros added at the end, even where nothing is silent. Speech that is
 * silent throughout gives 0 samples. out may be `samples` itself. Allocates. */
#define F5_SILENCE_ROUNDING 12
f5_status f5_remove_silence(const float *samples, int64_t n, float *out /* [n + F5_SILENCE_ROUNDING] */, int64_t *n_out,
                            f5_error *error);

/* How loud 24 kHz mono speech is. */
typedef struct {
    size_t size;
    double lufs;    /* integrated loudness by ITU-R BS.1770-4; -infinity: nothing is above -70 LUFS */
    double peak_db; /* the largest sample; 0: full scale. -infinity: none */
    int64_t beyond; /* samples beyond full scale, which 16 bits would clip */
} f5_level;
F5_STRUCT_INIT(f5_level)
f5_status f5_measure_level(const float *samples, int64_t n, f5_level *level, f5_error *error);

/* A stretch of a recording, in seconds, and how long what takes its place shall be: at least F5_MIN_EDIT_SECONDS. Times
 * are rounded to frames. start == end inserts. This struct never grows. */
#define F5_MIN_EDIT_SECONDS 0.05
#define F5_MAX_EDITS 256
typedef struct {
    double start, end;
    double duration; /* 0: as it was */
} f5_edit_span;

/* Words of a recording are replaced, its voice and everything else kept (upstream's speech_edit.py). */
typedef struct {
    size_t size;
    const float *samples; /* [n_frames,channels] interleaved, -1..1 */
    int64_t n_frames;
    int32_t channels;    /* 1 .. F5_MAX_CHANNELS; they are averaged */
    int32_t sample_rate; /* as in f5_voice_params */
    f5_resample_fn resample;
    void *resample_user;
    float target_rms;          /* as in f5_voice_params */
    const char *text;          /* all that the edited recording shall say, kept words included; it is not normalised */
    const f5_edit_span *edits; /* [n_edits] in order, without overlap */
    int32_t n_edits;           /* 1 .. F5_MAX_EDITS */
    uint64_t seed;
    const float *noise; /* [noise_frames,100] initial state of the edited recording's frames, or NULL */
    int32_t noise_frames;
    const f5_sample_params *sample; /* NULL: the model's */
    f5_audio_fn audio;              /* required; called once */
    void *audio_user;
    f5_warning_fn warning; /* NULL, or told of characters that the model cannot say */
    void *warning_user;
    int32_t exact; /* as in f5_speak_params; it matters to edits at the recording's ends */
} f5_edit_params;
F5_STRUCT_INIT(f5_edit_params)

/* Hands out the edited recording: 24 kHz mono, the recording's own samples but for the edited stretches, which begin
 * and end with a cross-fade of 15 ms, and its whole mel, in which kept frames are the recording's, bit for bit. The
 * recording is neither trimmed nor clipped. stats may be NULL; there reference_seconds is what was kept. Allocates. */
f5_status f5_edit(f5_engine *engine, const f5_edit_params *params, f5_speak_stats *stats, f5_error *error);

#endif
