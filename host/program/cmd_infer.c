/* cmd_infer.c — `f5tts infer`: a text spoken in the voice of a recording. Option names, short names and defaults are
 * those of upstream's command line (f5_tts/infer/infer_cli.py); unlike there, a value of 0 counts as given. As there,
 * model and recording need not be given: those that come with the program are taken (--voice chooses among these). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/api/f5tts.h"
#include "host/files/audio_file.h"
#include "host/files/mel_png.h"
#include "host/files/npy.h"
#include "host/files/output_file.h"
#include "host/files/resample.h"
#include "host/program/cli.h"
#include "host/program/method.h"
#include "host/program/shipped.h"

#define MAX_TEXT_BYTES 65536

typedef struct {
    const char *model, *device, *precision, *method;
    const char *voice, *ref_audio, *ref_text, *gen_text, *gen_file;
    const char *output_dir, *output_file, *save_mel, *spectrogram, *init_noise;
    float target_rms, cfg_strength, sway_sampling_coef, speed, fix_duration;
    int32_t nfe_step, max_frames, threads;
    uint64_t seed;
    bool seed_given, uniform_steps, midpoint, keep_whole, float_wav, quiet;
} infer_options;

/* Everything that is held while the command runs. */
typedef struct {
    const cli_command *command;
    const infer_options *o;
    const char *model, *ref_audio, *ref_text; /* as given, or one of: */
    char *shipped_model, *shipped_audio, *shipped_text;
    char *text; /* what is spoken */
    char *output_path;
    float *noise; /* [noise_frames,100] or NULL */
    int32_t noise_frames;
    audio_file recording;
    f5_engine *engine;
    f5_voice *voice;
    f5_speak_stats stats;
    double open_seconds, voice_seconds, speak_seconds;
} infer_run;

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

static f5_status read_text_file(const char *path, char **text, f5_error *error) {
    FILE *f = fopen(path, "rb");
    if (!f) return f5_fail(error, F5_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    *text = malloc(MAX_TEXT_BYTES + 2);
    size_t n = *text ? fread(*text, 1, MAX_TEXT_BYTES + 1, f) : 0;
    bool failed = ferror(f) != 0;
    fclose(f);
    if (!*text) return f5_fail(error, F5_E_MEMORY, "%s: no memory for a text", path);
    if (failed) return f5_fail(error, F5_E_IO, "%s: cannot be read", path);
    if (n > MAX_TEXT_BYTES)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: is longer than %d bytes", path, MAX_TEXT_BYTES);
    (*text)[n] = '\0';
    if (strncmp(*text, "\xEF\xBB\xBF", 3) == 0) memmove(*text, *text + 3, (n -= 3) + 1); /* a byte order mark */
    if (strlen(*text) != n) return f5_fail(error, F5_E_FORMAT, "%s: holds a zero byte; a text file is needed", path);
    return F5_OK;
}

/* What was not given comes with the program. */
static f5_status take_shipped(infer_run *r, f5_error *error) {
    const infer_options *o = r->o;
    r->model = o->model, r->ref_audio = o->ref_audio, r->ref_text = o->ref_text;
    f5_error why = {0};
    if (!r->model) {
        f5_status status = shipped_file(SHIPPED_VOICES, SHIPPED_MODEL, "", &r->shipped_model, &why);
        if (status != F5_OK)
            return f5_fail(error, status, "no --model is given, and %.440s: give --model FILE.f5", why.message);
        r->model = r->shipped_model;
    }
    if (r->ref_audio) return F5_OK;
    char *words = NULL;
    f5_status status = shipped_file(SHIPPED_VOICES, o->voice, ".wav", &r->shipped_audio, &why);
    if (status == F5_OK) status = shipped_file(SHIPPED_VOICES, o->voice, ".txt", &words, &why);
    if (status == F5_OK)
        status = read_text_file(words, &r->shipped_text, error);
    else
        f5_fail(error, status, "no --ref_audio is given, and %.440s", why.message);
    free(words);
    if (status != F5_OK) return status;
    r->shipped_text[strcspn(r->shipped_text, "\n")] = '\0';
    r->ref_audio = r->shipped_audio, r->ref_text = r->shipped_text;
    return F5_OK;
}

/* Upstream switches voices at [name]; here that would be read out. */
static f5_status refuse_voice_tags(const char *text, f5_error *error) {
    for (const char *open = strchr(text, '['); open; open = strchr(open + 1, '[')) {
        size_t n = strspn(open + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
        if (n > 0 && open[1 + n] == ']')
            return f5_fail(error, F5_E_UNSUPPORTED,
                           "the text names a voice, %.*s: several voices are not supported yet", (int)n + 2, open);
    }
    return F5_OK;
}

static f5_status take_text(infer_run *r, f5_error *error) {
    if (r->o->gen_file)
        F5_TRY(read_text_file(r->o->gen_file, &r->text, error));
    else if (!(r->text = strdup(r->o->gen_text)))
        return f5_fail(error, F5_E_MEMORY, "no memory for a text");
    if (f5_text_is_blank(r->text)) return f5_fail(error, F5_E_ARGUMENT, "the text to speak is empty");
    return refuse_voice_tags(r->text, error);
}

/* OUTPUT_DIR/OUTPUT_FILE; an absolute output file stands alone. Folders are made only when there is a result. */
static f5_status name_output(infer_run *r, f5_error *error) {
    const infer_options *o = r->o;
    char made[64];
    const char *name = o->output_file;
    if (!name) {
        time_t now = time(NULL);
        struct tm local;
        localtime_r(&now, &local);
        strftime(made, sizeof made, "infer_cli_%Y%m%d_%H%M%S.wav", &local);
        name = made;
    }
    size_t room = strlen(o->output_dir) + strlen(name) + 2;
    r->output_path = malloc(room);
    if (!r->output_path) return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
    if (name[0] == '/')
        snprintf(r->output_path, room, "%s", name);
    else
        snprintf(r->output_path, room, "%s/%s", o->output_dir, name);
    return F5_OK;
}

/* What would fail after all the work fails before it, and no output takes the place of an input or of another output.
 */
static f5_status check_outputs(const infer_run *r, f5_error *error) {
    const infer_options *o = r->o;
    const char *files[] = {r->model,       r->ref_audio, o->gen_file,   o->init_noise,
                           r->output_path, o->save_mel,  o->spectrogram};
    enum { INPUTS = 4, FILES = sizeof files / sizeof *files };
    for (int i = INPUTS; i < FILES; i++) {
        if (!files[i]) continue;
        F5_TRY(output_check(files[i], error));
        for (int k = 0; k < i; k++)
            if (files[k]) F5_TRY(output_check_distinct(files[i], files[k], error));
    }
    return F5_OK;
}

static uint64_t random_seed(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t mixed = (uint64_t)now.tv_sec * 1000000007u ^ (uint64_t)now.tv_nsec << 20 ^ (uint64_t)getpid() << 40;
    return mixed >> 16; /* short enough to be typed again */
}

/* ---- work -------------------------------------------------------------------------------------------------------- */

static f5_status open_engine(infer_run *r, f5_error *error) {
    f5_open_params p;
    f5_open_params_init(&p);
    p.model_path = r->model;
    p.device = r->o->device;
    p.precision = r->o->precision;
    p.max_frames = r->o->max_frames;
    p.threads = r->o->threads;
    p.max_batch = 1;
    p.max_evaluations =
        r->o->nfe_step * (r->o->midpoint || method_from_name(r->o->method) == F5_METHOD_MIDPOINT ? 2 : 1);
    p.max_text_bytes = MAX_TEXT_BYTES;
    double started = cli_seconds();
    F5_TRY(f5_open(&p, &r->engine, error));
    r->open_seconds = cli_seconds() - started;
    return F5_OK;
}

static f5_status open_voice(infer_run *r, f5_error *error) {
    f5_voice_params p;
    f5_voice_params_init(&p);
    p.samples = r->recording.samples;
    p.n_frames = r->recording.n_frames;
    p.channels = r->recording.channels;
    p.sample_rate = r->recording.sample_rate;
    p.transcript = r->ref_text;
    p.target_rms = r->o->target_rms;
    p.keep_whole = r->o->keep_whole;
    p.resample = resample_soxr;
    double started = cli_seconds();
    f5_error why = {0};
    f5_status status = f5_voice_open(r->engine, &p, &r->voice, &why);
    if (status != F5_OK) return f5_fail(error, status, "%s: %.400s", r->ref_audio, why.message);
    r->voice_seconds = cli_seconds() - started;
    return F5_OK;
}

typedef struct {
    infer_run *run;
    f5_status status;
    f5_error error;
} result_sink;

static f5_status write_results(const infer_run *r, const f5_audio *audio, f5_error *error) {
    const infer_options *o = r->o;
    const char *paths[] = {r->output_path, o->save_mel, o->spectrogram};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (paths[i]) F5_TRY(output_make_folder(paths[i], error));
    if (o->save_mel) F5_TRY(npy_write(o->save_mel, audio->mel, audio->mel_frames, F5_MEL_BANDS, error));
    if (o->spectrogram)
        F5_TRY(mel_png_write(o->spectrogram, audio->mel, audio->mel_frames, F5_MEL_BANDS,
                             (double)F5_SAMPLE_RATE / F5_HOP, error));
    return audio_write(r->output_path, audio->samples, audio->n_samples, F5_SAMPLE_RATE, o->float_wav, error);
}

static int take_audio(void *user, const f5_audio *audio) {
    result_sink *sink = user;
    sink->status = write_results(sink->run, audio, &sink->error);
    return sink->status != F5_OK;
}

static f5_status speak(infer_run *r, f5_error *error) {
    const infer_options *o = r->o;
    cli_progress progress;
    result_sink sink = {.run = r};
    f5_speak_params p;
    f5_speak_params_init(&p);
    p.text = r->text;
    p.speed = o->speed;
    p.fix_duration = o->fix_duration;
    p.seed = o->seed;
    p.noise = r->noise;
    p.noise_frames = r->noise_frames;
    f5_sample_params sample;
    f5_sample_params_init(&sample);
    p.sample = &sample;
    sample.nfe = o->nfe_step;
    sample.cfg = o->cfg_strength;
    sample.sway = o->sway_sampling_coef;
    sample.use_epss = !o->uniform_steps;
    sample.midpoint = o->midpoint;
    sample.method = method_from_name(o->method);
    if (!o->quiet) {
        sample.progress = cli_progress_report;
        sample.progress_user = &progress;
    }
    p.audio = take_audio;
    p.audio_user = &sink;
    f5_speak_stats_init(&r->stats);
    cli_progress_begin(&progress, "sampling");
    f5_status status = f5_speak(r->engine, r->voice, &p, &r->stats, error);
    cli_progress_end(&progress);
    r->speak_seconds = cli_seconds() - progress.started;
    if (sink.status != F5_OK) return f5_fail(error, sink.status, "%s", sink.error.message);
    return status;
}

static void print_summary(const infer_run *r) {
    const f5_speak_stats *s = &r->stats;
    f5_engine_info info;
    f5_engine_info_init(&info);
    if (f5_get_info(r->engine, &info, NULL) != F5_OK) return;
    double generated = s->generated_seconds;
    printf("%s\n", r->output_path);
    printf("  model      %s on %s, %s\n", info.name, info.device, info.precision);
    printf("  reference  %.2f s of %s\n", s->reference_seconds, r->ref_audio);
    printf("  generated  %.2f s; %d frames with the reference, %d tokens, seed %llu\n", generated, s->frames, s->tokens,
           (unsigned long long)r->o->seed);
    printf("  time       open %.2f s, voice %.2f s, prepare %.3f s, %d steps %.3f s, vocoder %.3f s\n", r->open_seconds,
           r->voice_seconds, s->prepare_ms * 1e-3, r->o->nfe_step, s->ode_ms * 1e-3, s->vocos_ms * 1e-3);
    printf("  RTF        %.4f (%.3f s for %.2f s of speech)\n", generated > 0 ? r->speak_seconds / generated : 0,
           r->speak_seconds, generated);
}

/* Cheap checks come first: a missing recording is told before the model is opened. */
static f5_status run(infer_run *r, f5_error *error) {
    F5_TRY(take_text(r, error));
    F5_TRY(take_shipped(r, error));
    F5_TRY(name_output(r, error));
    F5_TRY(check_outputs(r, error));
    if (r->o->init_noise) F5_TRY(npy_read(r->o->init_noise, F5_MEL_BANDS, &r->noise, &r->noise_frames, error));
    F5_TRY(audio_read(&r->recording, r->ref_audio, error));
    F5_TRY(open_engine(r, error));
    F5_TRY(open_voice(r, error));
    F5_TRY(speak(r, error));
    if (!r->o->quiet) print_summary(r);
    return F5_OK;
}

static void run_end(infer_run *r) {
    f5_voice_close(r->voice);
    f5_close(r->engine);
    audio_free(&r->recording);
    free(r->shipped_model);
    free(r->shipped_audio);
    free(r->shipped_text);
    free(r->noise);
    free(r->output_path);
    free(r->text);
}

/* ---- command line ------------------------------------------------------------------------------------------------ */

#define ONE_FILE "the model is one file: give --model FILE.f5, made by `f5tts convert`"

int cmd_infer(int argc, char **argv) {
    infer_options o = {.device = "auto",
                       .gen_text = "Here we generate something just for test.",
                       .output_dir = "tests",
                       .target_rms = 0.1f,
                       .cfg_strength = 2,
                       .sway_sampling_coef = -1,
                       .speed = 1,
                       .nfe_step = 32,
                       .max_frames = 4096};
    const cli_option options[] = {
        {"model", "m", CLI_STRING, &o.model, .argument = "FILE.f5",
         .help = "the model, made by `f5tts convert`; default: the small one that comes with the program"},
        {"voice", NULL, CLI_STRING, &o.voice, .argument = "NAME",
         .help = "a recording that comes with the program: slt (default), rms, awb"},
        {"ref_audio", "r", CLI_STRING, &o.ref_audio, .argument = "FILE",
         .help = "recording of the voice, any format, instead"},
        {"ref_text", "s", CLI_TEXT, &o.ref_text, .argument = "TEXT", .help = "what the recording says, word for word"},
        {"gen_text", "t", CLI_TEXT, &o.gen_text, .argument = "TEXT", .help = "what to speak"},
        {"gen_file", "f", CLI_STRING, &o.gen_file, .argument = "FILE", .help = "the same from a file"},
        {"output_dir", "o", CLI_STRING, &o.output_dir, .argument = "DIR", .help = "made if missing; default tests"},
        {"output_file", "w", CLI_STRING, &o.output_file, .argument = "FILE",
         .help = "name in it; default infer_cli_DATE_TIME.wav"},
        {"nfe_step", NULL, CLI_INT, &o.nfe_step, .min = 1, .max = 1024, .argument = "N",
         .help = "steps of the solver; default 32"},
        {"cfg_strength", NULL, CLI_FLOAT, &o.cfg_strength, .min = 0, .max = 100, .argument = "X",
         .help = "guidance; default 2"},
        {"sway_sampling_coef", NULL, CLI_FLOAT, &o.sway_sampling_coef, .min = -1, .max = 1.75, .argument = "X",
         .help = "default -1"},
        {"speed", NULL, CLI_FLOAT, &o.speed, .min = 0.01, .max = 100, .argument = "X", .help = "default 1"},
        {"fix_duration", NULL, CLI_FLOAT, &o.fix_duration, .min = 0, .max = 600, .argument = "SECONDS",
         .help = "length of reference and speech together; default: estimated"},
        {"target_rms", NULL, CLI_FLOAT, &o.target_rms, .min = 1e-6, .max = 1, .argument = "X",
         .help = "quieter recordings are raised; default 0.1"},
        {"seed", NULL, CLI_UINT64, &o.seed, .argument = "N", .help = "of the noise; default: another each time",
         .given = &o.seed_given},
        {"device", NULL, CLI_STRING, &o.device, .argument = "NAME",
         .help = "auto (default), cpu, cpu:SET (sse2, avx2, avx512), cuda, cuda:N"},
        {"precision", NULL, CLI_STRING, &o.precision, .argument = "TYPE",
         .help = "fp32, fp16, bf16; default: best of the device"},
        {"threads", NULL, CLI_INT, &o.threads, .min = 1, .max = 1024, .argument = "N",
         .help = "threads that compute on the cpu; default: one for each CPU"},
        {"max_frames", NULL, CLI_INT, &o.max_frames, .min = 16, .max = 65536, .argument = "N",
         .help = "working memory: longest reference and speech, 93.75 a second; default 4096"},
        {"uniform_steps", NULL, CLI_FLAG, &o.uniform_steps,
         .help = "no empirically pruned steps for nfe 5, 6, 7, 10, 12, 16"},
        {"method", NULL, CLI_STRING, &o.method, .argument = "NAME", .help = "of the solver: " METHOD_NAMES},
        {"midpoint", NULL, CLI_FLAG, &o.midpoint, .help = "the same as --method midpoint"},
        {"keep_whole", NULL, CLI_FLAG, &o.keep_whole, .help = "do not clip or trim the recording"},
        {"init_noise", NULL, CLI_STRING, &o.init_noise, .argument = "FILE.npy",
         .help = "initial state [frames,100] float32 instead of noise from the seed"},
        {"save_mel", NULL, CLI_STRING, &o.save_mel, .argument = "FILE.npy", .help = "write the mel [frames,100] too"},
        {"spectrogram", NULL, CLI_STRING, &o.spectrogram, .argument = "FILE.png", .help = "write its picture too"},
        {"float_wav", NULL, CLI_FLAG, &o.float_wav, .help = "32-bit float samples instead of 16-bit"},
        {"quiet", "q", CLI_FLAG, &o.quiet, .help = "no progress, no summary"},
        {"config", "c", CLI_UNSUPPORTED, .help = "give the settings as options"},
        {"model_cfg", "mc", CLI_UNSUPPORTED, .help = ONE_FILE},
        {"ckpt_file", "p", CLI_UNSUPPORTED, .help = ONE_FILE},
        {"vocab_file", "v", CLI_UNSUPPORTED, .help = ONE_FILE},
        {"vocoder_name", NULL, CLI_UNSUPPORTED, .help = ONE_FILE},
        {"load_vocoder_from_local", NULL, CLI_UNSUPPORTED, .help = ONE_FILE},
        {"save_chunk", NULL, CLI_UNSUPPORTED, .help = "a text must fit in one chunk"},
        {"no_legacy_text", NULL, CLI_UNSUPPORTED, .help = "it only matters with --save_chunk"},
        {"cross_fade_duration", NULL, CLI_UNSUPPORTED, .help = "a text must fit in one chunk"},
        {"remove_silence", NULL, CLI_UNSUPPORTED, .help = "the speech is written as it is made"},
        {0}};
    const cli_command command = {.program = "f5tts infer",
                                 .usage =
                                     "--gen_text TEXT [--model FILE.f5] [--ref_audio FILE --ref_text TEXT] [options]",
                                 .summary = "Speaks a text in the voice of a recording and writes a WAV file.\n",
                                 .options = options};
    cli_outcome outcome = cli_parse(&command, argc, argv);
    if (outcome != CLI_RUN) return cli_exit_code(outcome);
    if (o.ref_audio && o.voice)
        return cli_usage_error(&command, "--ref_audio and --voice: both name the recording, give one");
    if (o.ref_text && !o.ref_audio)
        return cli_usage_error(&command, "--ref_text: the words of which recording? give --ref_audio too");
    if (!o.voice) o.voice = SHIPPED_VOICE;
    if (strspn(o.voice, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(o.voice))
        return cli_usage_error(
            &command,
            "--voice %s: a name of lower-case letters, digits and _ is wanted, as slt; for a file there is --ref_audio",
            o.voice);
    if (o.ref_audio && f5_text_is_blank(o.ref_text))
        return cli_usage_error(&command, "--ref_text is required: transcription is not built in, give the words that "
                                         "the recording says");
    if (method_from_name(o.method) < 0)
        return cli_usage_error(&command, "--method %s: there are %s", o.method, METHOD_NAMES);
    if (!o.seed_given) o.seed = random_seed();

    infer_run r = {.command = &command, .o = &o};
    f5_error error = {0};
    f5_status status = run(&r, &error);
    run_end(&r);
    return status == F5_OK ? CLI_EXIT_OK : cli_failure(&command, "%s", error.message);
}
