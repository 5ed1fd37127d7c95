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
 *   After a fault on a GPU, as a wrong address, CUDA refuses that GPU to the process for good: f5_open fails there too,
 *   and only a new process can use it.
 *   Mel spectrograms are [frames,100] float, row-major, natural log; 24000 Hz, hop 256, so 93.75 frames a second. Of a
 *   model with one voice (f5_engine_info) they have its mel_bands and its rate.
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
 *   f5_open, f5_voice_open, f5_check_voice, f5_clip_voice, f5_lexicon_open, f5_stream_open, f5_edit, f5_remove_silence,
 * f5_describe, f5_plan_ops, f5_convert and f5_calibration_* allocate; no other call of this library does. On a GPU the
 * driver takes memory when a size of request is first met, to keep its graph; warm_frames moves that to f5_open. Inputs
 * are read during the call. */
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
    const char *precision;   /* "fp32", "fp16", "bf16", "int8" (README); NULL: int8 of a file in 8 bits, else
                              fp16 on a GPU, fp32 on a CPU */
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
                             wait, in the order in which they came, and ask `waits`. 0 (default): 2 max_batch */
    const char *languages; /* that `normalize` may name, "en,zh,de"; default "en,zh". The model's own is always there */
    const char *vocoder_precision; /* of a vocoder's operands, "fp32", on a GPU "fp16" or "bf16" too where the vocoder
                                      has them (BigVGAN, MB-iSTFT; else F5_E_UNSUPPORTED); NULL: fp32 */
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
    int32_t sample_rate;    /* of its speech: 24000, of Flow-Matching-TTS 22050 */
    int32_t mel_bands;      /* 100, 80: where this header says [frames,100], it is this number */
    int32_t one_voice;      /* 1: it has one voice of its own, and takes no recording, no cond and no guidance */
    int32_t reads_phonemes; /* 1: its text is IPA */
    int32_t default_method, default_nfe; /* of f5_model_defaults; nfe 0: the usual ones */
    const char *license, *credit;        /* of f5_model_info; until f5_close */
} f5_engine_info;

F5_STRUCT_INIT(f5_engine_info)
f5_status f5_get_info(const f5_engine *engine, f5_engine_info *info, f5_error *error);

/* What a sampling of these sizes would take, by the method that the model asks for: nothing is run or allocated. */
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

/* Frames of an engine's mel of n_samples samples: n_samples / 256 + 1 with Vocos, n_samples / 256 with BigVGAN. */
int64_t f5_engine_mel_frames(const f5_engine *engine, int64_t n_samples);
int64_t f5_mel_frames(int64_t n_samples); /* the most that any engine has */

/* samples [n_samples] at 24 kHz -> mel [f5_engine_mel_frames,100]. At least 513 samples; with BigVGAN 385. */
f5_status f5_mel(f5_engine *engine, const float *samples, int64_t n_samples, float *mel, f5_error *error);

/* AB2 is Adams-Bashforth of two steps: one evaluation a step, as Euler, carried on by half of what changed since the
 * step before. On its own grid it is with 10 steps as near to the exact solution as Euler with 32, with 12 twice as
 * near (bench/PERF.md 39; bench/accuracy.py measures it on a model at hand). */
typedef enum { F5_METHOD_EULER = 0, F5_METHOD_MIDPOINT = 1, F5_METHOD_AB2 = 2 } f5_method;

/* Where the steps lie. OF_METHOD: Euler and midpoint have OF_SWAY; AB2 has searched grids at 6, 8, 10, 12 and 16 steps,
 * otherwise OF_CURVE. OF_SWAY: as use_epss, use_sway and sway say. OF_CURVE: s(u) = 1 / (1 + exp(-7.5 (u - 0.8))) for u
 * uniform, scaled to run from 0 to 1. QUADRATIC: uniform steps, of which the model is told t + sway t (1 - t), within 0
 * to 1, instead of t; Flow-Matching-TTS's own, which such a model has for OF_METHOD, and there Euler's where it sways.
 */
typedef enum { F5_GRID_OF_METHOD = 0, F5_GRID_OF_SWAY = 1, F5_GRID_OF_CURVE = 2, F5_GRID_QUADRATIC = 3 } f5_grid;

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
    /* Asked now and then, with progress_user, while the call waits for its turn; non-zero cancels it before it is run.
     * NULL (default): it is not asked. */
    int (*waits)(void *user);
} f5_sample_params;
F5_STRUCT_INIT(f5_sample_params)

typedef struct {
    size_t size;
    const float *cond; /* [cond_frames,100] mel of the reference */
    int32_t cond_frames;
    const int32_t *tokens; /* [n_tokens] ids: line numbers of the vocabulary, reference text then new text */
    int32_t n_tokens;
    int32_t frames;           /* total wanted; f5_engine_sample_frames are made */
    const uint8_t *edit_mask; /* [cond_frames] 1 = keep the reference there, 0 = generate; NULL: keep all */
    const float *noise;       /* [frames made,100] initial state; NULL: drawn from seed */
    uint64_t seed;
    float *mel; /* [frames made,100] out */
} f5_sample_request;
F5_STRUCT_INIT(f5_sample_request)

/* Frames of a text, as the model's duration predictor has them (5 a token where it has none). Only of a model with one
 * voice. scale: 0.01 to 100, above 1 is slower; where nothing is predicted it is not read. Waits for its turn. */
f5_status f5_predict_frames(f5_engine *engine, const int32_t *tokens, int32_t n_tokens, float scale, int32_t *frames,
                            f5_error *error);

/* Frames that f5_sample makes of a request: max(max(n_tokens, cond_frames) + 1, frames), of a model with one voice
 * max(n_tokens, frames). Limits are not looked at. */
int64_t f5_engine_sample_frames(const f5_engine *engine, int32_t n_tokens, int32_t cond_frames, int64_t frames);
int64_t f5_sample_frames(int32_t n_tokens, int32_t cond_frames, int64_t frames); /* of a model that takes recordings */

/* Runs n_requests sequences as one packed batch; each result is bit-identical to running it alone. params NULL: the
 * solver that the model asks for (f5_model_defaults). */
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
    const char *precision;          /* NULL: as f5_open has it on a GPU, or the engine's own */
    void (*op)(void *user, const f5_plan_op *op); /* called with every op call, in order */
    void *op_user;
    const char *vocoder_precision; /* as in f5_open_params; NULL: of a card by name "fp32", else the engine's own */
} f5_plan_ops_params;
F5_STRUCT_INIT(f5_plan_ops_params)

/* Every op call of one whole synthesis, for a card by name or the engine's own GPU: nothing is run, and no memory is
 * kept. A card that is not known is refused with the names of those that are. F5_E_MEMORY. */
f5_status f5_plan_ops(const f5_engine *engine, const f5_plan_ops_params *params, f5_error *error);

#include "host/api/f5tts_speech.h"

#include "host/api/f5tts_files.h"

#ifdef __cplusplus
}
#endif
#endif
