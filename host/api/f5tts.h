/* f5tts.h — F5-TTS speech synthesis: a few seconds of a voice, its transcript, new text -> 24 kHz speech.
 *
 * Two levels. The speech level opens a voice and speaks text, with upstream's pipeline and defaults. The model level
 * runs the stages one by one on arrays: samples -> mel, mel + token ids -> mel, mel -> samples. Beside them model files
 * are made of upstream's checkpoints and described; that needs no engine.
 *
 * Conventions
 *   Structs that start with `size` are filled by their _init function, then by the caller. Fields may be added at their
 *   end in later versions: a library takes and fills as much as the caller's header knew, and what that did not know
 *   has its default. (So _init tells the library how large the caller's struct is.)
 *   Every call that can fail returns f5_status and, through `error` (may be NULL), one line that names the offending
 *   thing and the fix. On failure outputs keep no promise, but nothing leaks and the engine stays usable, unless
 *   its device is lost (F5_E_DEVICE): then close it.
 *   Mel spectrograms are [frames,100] float, row-major, natural log; 24000 Hz, hop 256, so 93.75 frames a second.
 *   Strings are UTF-8.
 * Threads
 *   Any number of threads may call one engine; separate engines are independent. A call that finds the engine idle runs
 *   at once. Calls that come meanwhile wait, and when the engine is free the oldest of them runs, in one batch with
 *   those younger ones that ask for the same (f5_sample and f5_speak with equal solver settings; f5_vocode) and fit in
 *   beside it (batch_frames, max_batch). Company changes no result, only its time: not a bit of it differs, and an
 *   error (but for a lost device) or a cancellation is the affected call's alone. Every wait is bounded by the calls
 *   that came before and by their callbacks.
 *   f5_close must not be called, nor a voice closed, while a call that uses them has not returned.
 *   A voice belongs to its engine and may be used by any thread until it is closed. Callbacks run on the calling
 *   thread, inside the call; a call of theirs that would need a turn of the engine they come from is refused with
 *   F5_E_ARGUMENT (f5_get_info, f5_plan, f5_plan_ops and f5_tokenize need none; `resample` runs before the turn and may
 *   make any). While an audio callback runs, its samples hold part of the engine's memory, and when that is full others
 *   wait for it: copy and return.
 *   The CPU backend computes on the calling thread and on threads of the engine's own, which sleep between calls and
 *   block all signals. A call takes up to 64 KB of the calling thread's stack. In a child made by fork an engine that
 *   was idle works on, with the calling thread alone.
 *   A call on a GPU engine makes that GPU the calling thread's current CUDA device and clears its last CUDA error.
 * Memory
 *   f5_open, f5_voice_open, f5_check_voice, f5_lexicon_open, f5_stream_open, f5_edit, f5_remove_silence, f5_describe
 * and f5_convert allocate; no other call of this library does. On a GPU the driver takes memory when a size of request
 * is first met, to keep its graph; warm_frames moves that to f5_open. Inputs are read during the call only. */
#ifndef F5TTS_H
#define F5TTS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/f5_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Declares NAME_init(NAME *), and what it calls: fills `size` bytes with the defaults of a NAME. Where C macros are out
 * of reach, call that with the size of the struct as known there. */
#define F5_STRUCT_INIT(name)                                                                                           \
    void name##_init_sized(name *to, size_t size);                                                                     \
    static inline void name##_init(name *to) {                                                                         \
        name##_init_sized(to, sizeof *to);                                                                             \
    }

#define F5_SAMPLE_RATE 24000
#define F5_HOP 256
#define F5_MEL_BANDS 100

/* Limits of a reference recording. */
#define F5_MAX_CHANNELS 8
#define F5_MIN_SAMPLE_RATE 8000
#define F5_MAX_SAMPLE_RATE 192000
#define F5_MAX_RECORDING_SECONDS 600

typedef struct f5_engine f5_engine;   /* a model, its device and all working memory */
typedef struct f5_voice f5_voice;     /* a reference recording, ready to be cloned */
typedef struct f5_lexicon f5_lexicon; /* words and how they are said */
typedef struct f5_stream f5_stream;   /* a text that comes bit by bit */

const char *f5_version(void); /* "0.1.0" */

/* Something that is no error, but that a listener would notice. The message is one line and lives during the callback,
 * which runs on the calling thread. Later versions may have more kinds. */
typedef enum {
    F5_WARNING_CHARACTERS = 1, /* the model cannot say them: they are left out */
    F5_WARNING_VOICE,          /* a tag names no voice */
    F5_WARNING_RECORDING,      /* of the recording: level, clipping, noise, rate, length, pace of its transcript */
    F5_WARNING_PACE            /* the speech will be too fast or too slow */
} f5_warning_kind;
typedef void (*f5_warning_fn)(void *user, f5_warning_kind kind, const char *message);

/* ---- engine ------------------------------------------------------------------------------------------------------ */

typedef struct {
    size_t size;
    const char *model_path;  /* a .f5 file of `f5tts convert`; mapped: replace it by renaming, do not write into it */
    const char *device;      /* "auto" (default: a GPU when there is one), "cpu", "cuda", "cuda:1";
                              "cpu:sse2", "cpu:avx2", "cpu:avx512": one instruction set instead of the CPU's best */
    const char *precision;   /* "fp32", "fp16", "bf16", "int8" (README); NULL: fp16 on a GPU, fp32 on a CPU */
    int32_t max_frames;      /* most mel frames packed in one call, reference included; default 4096 (43.7 s) */
    int32_t max_batch;       /* most sequences in one call; default 8 */
    int32_t max_evaluations; /* most velocity evaluations a sampling takes (nfe, of midpoint 2 nfe); default 64 */
    int32_t max_text_bytes;  /* longest text of f5_speak or f5_edit, or transcript; takes no memory; default 1048576 */
    void (*trace)(void *user, const char *op, const char *label, const float *data, int64_t rows, int64_t cols,
                  double milliseconds); /* NULL, or called after every op; a GPU then launches op by op */
    void *trace_user;
    int32_t eager;    /* GPU: 1 launches op by op instead of replaying captured graphs; default 0 */
    int32_t portable; /* GPU: 1 uses no architecture-specific code paths, to test the portable ones; default 0 */
    int32_t poison;   /* 1 fills working memory with NaN before every call, to catch reads of uninitialised memory */
    const int32_t *warm_frames; /* [n_warm] sizes of requests that should be fast from the first on: each is run once at
                                   open, with default settings; others are prepared when first met. Default none */
    int32_t n_warm;
    int32_t batch_frames; /* waiting calls are packed into a batch of up to so many frames: more of them gives more
                             speech a second, but all of a batch are done when its last one is. 0 (default): where more
                             company hardly gains on this device (f5_get_info tells); 1: each call runs by itself */
    int32_t threads; /* CPU: threads that compute, the calling one included; the rest are made at open and joined at
                        close. 0 (default): one for each CPU that the thread which opens may run on. If the system
                        refuses some, there are fewer. The number changes no bit of a result */
    int32_t max_speaking; /* f5_speak calls that are under way at a time, each with about 0.3 MB of memory; more of them
                             wait, in the order in which they came. 0 (default): 2 max_batch */
    const char *languages; /* that `normalize` may name, "en,zh,de"; default "en,zh". The model's own is always there */
} f5_open_params;

F5_STRUCT_INIT(f5_open_params)
f5_status f5_open(const f5_open_params *params, f5_engine **engine, f5_error *error);
void f5_close(f5_engine *engine); /* NULL is fine; voices of the engine must be closed before */

typedef struct {
    size_t size;
    const char *name;      /* as given at conversion, e.g. "F5TTS_v1_Base"; this and the next: until f5_close */
    const char *backbone;  /* "DiT" */
    const char *tokenizer; /* "pinyin", "char", "byte" or "custom" */
    const char *device;    /* "cpu" or the GPU's name */
    const char *precision;
    int32_t dim, depth, heads, ff_dim, text_dim, text_blocks, vocab_size;
    int32_t vocos_dim, vocos_layers;
    int64_t parameters;   /* acoustic model + vocoder */
    int64_t weight_bytes; /* as held in memory */
    int64_t arena_bytes;  /* working memory, fixed at open */
    int32_t max_frames, max_batch, max_evaluations;
    int64_t device_bytes;   /* all that the engine holds on its device: weights, tables, arena, scratch */
    int64_t graphs;         /* captured so far (GPU) */
    int64_t calls;          /* of f5_mel, f5_sample, f5_vocode, f5_speak and f5_voice_open that had their turn so far */
    int64_t batches;        /* in which they ran */
    int64_t shared_batches; /* batches of several calls */
    int32_t batch_frames;   /* as settled at open; 1 when a trace was asked for */
    int32_t waiting;        /* calls that wait now */
    const char *vocoder;    /* "Vocos"; this and the next two: until f5_close */
    const char *path;       /* the kernels in use: "sm90", "avx2" */
    const char *normalize;  /* what the model asks for: "none", "en" */
} f5_engine_info;

F5_STRUCT_INIT(f5_engine_info)
f5_status f5_get_info(const f5_engine *engine, f5_engine_info *info, f5_error *error);

/* What a sampling of these sizes would take: nothing is run or allocated. */
typedef struct {
    size_t size;
    int64_t arena_bytes;
    int64_t op_calls; /* op calls of one whole synthesis */
    double flop;      /* multiply-adds counted twice */
} f5_plan_info;
F5_STRUCT_INIT(f5_plan_info)
f5_status f5_plan(const f5_engine *engine, int32_t frames, int32_t sequences, int32_t nfe, f5_plan_info *info,
                  f5_error *error);

/* ---- model level ------------------------------------------------------------------------------------------------- */

/* Frames of the mel spectrogram of n_samples samples: n_samples / 256 + 1, as Vocos counts them. It sizes the output of
 * f5_mel, for which no engine need be open; every model that f5_open takes so far has this count. */
int64_t f5_mel_frames(int64_t n_samples);

/* samples [n_samples] at 24 kHz -> mel [f5_mel_frames(n_samples),100]. At least 513 samples. */
f5_status f5_mel(f5_engine *engine, const float *samples, int64_t n_samples, float *mel, f5_error *error);

/* AB2 is Adams-Bashforth of two steps: one evaluation a step, as Euler, carried on by half of what changed since the
 * step before. On its own grid it is with 10 steps as near to the exact solution as Euler with 32, with 12 twice as
 * near (bench/PERF.md 39; bench/accuracy.py measures it on a model at hand). */
typedef enum { F5_METHOD_EULER = 0, F5_METHOD_MIDPOINT = 1, F5_METHOD_AB2 = 2 } f5_method;

/* Where the steps lie. OF_METHOD: Euler and midpoint have OF_SWAY; AB2 has searched grids at 6, 8, 10, 12 and 16 steps,
 * otherwise OF_CURVE. OF_SWAY: as use_epss, use_sway and sway say. OF_CURVE: s(u) = 1 / (1 + exp(-7.5 (u - 0.8))) for u
 * uniform, scaled to run from 0 to 1. */
typedef enum { F5_GRID_OF_METHOD = 0, F5_GRID_OF_SWAY = 1, F5_GRID_OF_CURVE = 2 } f5_grid;

/* Solver settings shared by all sequences of a call: they share one time grid. */
typedef struct {
    size_t size;
    int32_t nfe;      /* steps; default 32 */
    float cfg;        /* guidance strength; default 2; below 1e-5 one branch only */
    float sway;       /* sway sampling coefficient, -1 to 1.75; default -1 */
    int32_t use_sway; /* 0: uniform grid; default 1 */
    int32_t use_epss; /* 1 (default): empirically pruned steps for nfe 5, 6, 7, 10, 12, 16 */
    int32_t midpoint; /* 1: method 0 means midpoint, two evaluations a step; default 0 */
    /* After each step; non-zero cancels. On a GPU all steps are one launch: called once, when they are done. Where the
     * call shares a batch, the others go on meanwhile, and a cancelled call returns when they are done. */
    int (*progress)(void *user, int32_t step, int32_t steps);
    void *progress_user;
    int32_t method; /* an f5_method; default Euler */
    int32_t grid;   /* an f5_grid; default OF_METHOD */
} f5_sample_params;
F5_STRUCT_INIT(f5_sample_params)

typedef struct {
    size_t size;
    const float *cond; /* [cond_frames,100] mel of the reference */
    int32_t cond_frames;
    const int32_t *tokens; /* [n_tokens] ids: line numbers of the vocabulary, reference text then new text */
    int32_t n_tokens;
    int32_t frames;           /* total wanted; max(max(n_tokens, cond_frames) + 1, frames) are made */
    const uint8_t *edit_mask; /* [cond_frames] 1 = keep the reference there, 0 = generate; NULL: keep all */
    const float *noise;       /* [frames made,100] initial state; NULL: drawn from seed */
    uint64_t seed;
    float *mel; /* [frames made,100] out */
} f5_sample_request;
F5_STRUCT_INIT(f5_sample_request)

/* Frames that f5_sample makes of a request. */
int64_t f5_sample_frames(int32_t n_tokens, int32_t cond_frames, int64_t frames);

/* Runs n_requests sequences as one packed batch; each result is bit-identical to running it alone. */
f5_status f5_sample(f5_engine *engine, const f5_sample_params *params, const f5_sample_request *requests,
                    int32_t n_requests, f5_error *error);

typedef struct {
    size_t size;
    const float *mel; /* [frames,100] */
    int32_t frames;
    float *samples; /* [f5_vocode_samples(engine, frames)] out */
} f5_vocode_request;
F5_STRUCT_INIT(f5_vocode_request)
int64_t f5_vocode_samples(const f5_engine *engine, int32_t frames); /* 256 (frames - 1) for the released vocoder */
f5_status f5_vocode(f5_engine *engine, const f5_vocode_request *requests, int32_t n_requests, f5_error *error);

/* Text -> token ids of the model's tokenizer and vocabulary. Writes at most `capacity` ids, sets *n_tokens. */
f5_status f5_tokenize(const f5_engine *engine, const char *text, int32_t *tokens, int32_t capacity, int32_t *n_tokens,
                      f5_error *error);

/* ---- plans, op by op --------------------------------------------------------------------------------------------- */

/* One op call of a synthesis, as a GPU runs it. Its strings live during the callback only. */
typedef struct {
    size_t size;        /* as the library knows the struct */
    const char *label;  /* "dit.3.qkv" */
    const char *op;     /* "linear" */
    const char *shape;  /* "2816x1024 -> 3072 fp16" */
    const char *path;   /* which of the op's kernels: "sm90", "cuBLASLt"; "cuda" where there is only one */
    const char *tile;   /* "128x256"; "": no tiles, or a library chooses them */
    int32_t stages;     /* of the ring in shared memory; 0: none, or not known */
    int32_t evaluation; /* of the velocity, from 1; 0: before the first or after the last */
    double waves;       /* tiles that the busiest multiprocessor takes; 0: no tiles */
    double flop;        /* multiply-adds counted twice */
    double bytes;       /* of every tensor read or written, each once */
    double floor_us;    /* the larger of flop and bytes at the card's rates; 0: these are not known */
} f5_plan_op;
F5_STRUCT_INIT(f5_plan_op)

typedef struct {
    size_t size;
    int32_t frames;                 /* of all sequences, references included */
    int32_t sequences;              /* default 1 */
    const f5_sample_params *sample; /* nfe, cfg, method; NULL: defaults */
    const char *as;                 /* a card by name, "h200", which need not be here; NULL: the engine's own GPU */
    const char *precision;          /* as f5_open has it; NULL: fp16, or the engine's own */
    void (*op)(void *user, const f5_plan_op *op); /* called with every op call, in order */
    void *op_user;
} f5_plan_ops_params;
F5_STRUCT_INIT(f5_plan_ops_params)

/* Every op call of one whole synthesis, for a card by name or the engine's own GPU: nothing is run or allocated. A card
 * that is not known is refused with the names of those that are. */
f5_status f5_plan_ops(const f5_engine *engine, const f5_plan_ops_params *params, f5_error *error);

/* ---- speech level ------------------------------------------------------------------------------------------------ */

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
    const float *samples; /* [n_samples] 24 kHz mono; may be none */
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
    const f5_sample_params *sample; /* nfe, cfg, sway, ...; NULL: defaults. Steps are those of one batch of chunks */
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

/* stats may be NULL. Speech with a sample that is not finite is F5_E_FORMAT, and `audio` is not called with it;
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
    const f5_sample_params *sample; /* NULL: defaults */
    f5_audio_fn audio;              /* required; called once */
    void *audio_user;
    f5_warning_fn warning; /* NULL, or told of characters that the model cannot say */
    void *warning_user;
} f5_edit_params;
F5_STRUCT_INIT(f5_edit_params)

/* Hands out the edited recording: 24 kHz mono, the recording's own samples but for the edited stretches, which begin
 * and end with a cross-fade of 15 ms, and its whole mel, in which kept frames are the recording's, bit for bit. The
 * recording is neither trimmed nor clipped. stats may be NULL; there reference_seconds is what was kept. Allocates. */
f5_status f5_edit(f5_engine *engine, const f5_edit_params *params, f5_speak_stats *stats, f5_error *error);

#include "host/api/f5tts_files.h"

#ifdef __cplusplus
}
#endif
#endif
