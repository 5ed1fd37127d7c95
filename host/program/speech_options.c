/* speech_options.c — the table in groups, and what becomes of the values. */
#include "host/program/speech_options.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/files/sound_format.h"
#include "host/program/model_settings.h"
#include "host/program/speech_level.h"

void speech_options_init(speech_options *o) {
    *o = (speech_options){.device = "auto",
                          .gen_text = "Here we generate something just for test.",
                          .output_dir = "tests",
                          .target_rms = 0.1f,
                          .transcribe_seconds = TRANSCRIBE_SECONDS,
                          .cfg_strength = 2,
                          .sway_sampling_coef = -1,
                          .cross_fade_duration = 0.15f,
                          .nfe_step = 32,
                          .rate = F5_SAMPLE_RATE,
                          .model_rate = F5_SAMPLE_RATE,
                          .mel_bands = F5_MEL_BANDS,
                          .max_frames = 4096};
}

/* Appends an array of options. */
#define APPEND(to, options) (memcpy(to, options, sizeof(options)), (to) + sizeof(options) / sizeof((options)[0]))

cli_option *speech_options_model(cli_option *to, speech_options *o) {
    const cli_option options[] = {
        {"Model and device", .type = CLI_HEADING},
        {"model", "m", CLI_STRING, &o->model, .argument = "NAME",
         .help = "the model: a name, as F5TTS_v1_Base, or FILE.f5",
         .usual = "the small one that comes with the program", .kind = CLI_MODEL},
        {"device", NULL, CLI_STRING, &o->device, .argument = "NAME", .help = "what computes",
         .words = "auto|cpu|cpu:sse2|cpu:avx2|cpu:avx512|cuda|cuda:0"},
        {"precision", NULL, CLI_STRING, &o->precision, .argument = "TYPE", .help = "numbers that it computes with",
         .words = "fp32|fp16|bf16|int8", .usual = "fp16 on a GPU, fp32 on a CPU, int8 of such a file"},
        {"vocoder_precision", NULL, CLI_STRING, &o->vocoder_precision, .argument = "TYPE",
         .help = "and those of the vocoder; 16 bits: BigVGAN, MB-iSTFT on a GPU", .words = "fp32|fp16|bf16",
         .usual = "fp32"},
        {"threads", NULL, CLI_INT, &o->threads, .min = 1, .max = 1024, .argument = "N",
         .help = "threads that compute on the cpu", .unit = "threads", .usual = "one for each CPU"},
        {"max_frames", NULL, CLI_INT, &o->max_frames, .min = 16, .max = 65536, .argument = "N",
         .help = "working memory: references and speech of a batch; F5 has 93.75 a second", .unit = "frames"}};
    return APPEND(to, options);
}

cli_option *speech_options_voice(cli_option *to, speech_options *o) {
    const cli_option options[] = {
        {"Voice", .type = CLI_HEADING},
        {"voice", NULL, CLI_STRING, &o->voice, .argument = "NAME",
         .help = "a recording that comes with the program: heart, bella, michael, george; flite's slt, rms, awb",
         .usual = "heart", .kind = CLI_VOICE},
        {"ref_audio", "r", CLI_STRING, &o->ref_audio, .argument = "FILE",
         .help = "recording of the voice instead: wav, flac, mp3, m4a, webm, ...; -: standard input", .kind = CLI_FILE},
        {"ref_text", "s", CLI_TEXT, &o->ref_text, .argument = "TEXT", .help = "what the recording says, word for word",
         .usual = "FILE.txt beside it"},
        {"target_rms", NULL, CLI_FLOAT, &o->target_rms, .given = &o->rms_given, .min = 1e-6, .max = 1, .argument = "X",
         .help = "quieter recordings are raised to this level", .unit = "of full scale"},
        {"keep_whole", NULL, CLI_FLAG, &o->keep_whole, .help = "do not clip or trim the recording"}};
    return APPEND(to, options);
}

cli_option *speech_options_transcribe(cli_option *to, speech_options *o) {
    const cli_option options[] = {
        {"transcribe", NULL, CLI_STRING, &o->transcribe, .argument = "COMMAND", .typed_only = true,
         .help = "without a transcript, a program hears the words: 'whisper-cli -f {}'; {} is a WAV file of 16 kHz"},
        {"transcribe_seconds", NULL, CLI_FLOAT, &o->transcribe_seconds, .min = 1, .max = 3600, .argument = "S",
         .help = "how long it may take", .unit = "seconds"}};
    return APPEND(to, options);
}

cli_option *speech_options_text(cli_option *to, speech_options *o) {
    const cli_option options[] = {
        {"Text", .type = CLI_HEADING},
        {"brackets", NULL, CLI_CHOICE, &o->brackets, .argument = "main|text|drop",
         .help = "[name] of no voice: the main voice goes on, it is read out, or it is left out"},
        {"ssml", NULL, CLI_FLAG, &o->ssml, .help = "the text is an SSML document"},
        {"ipa", NULL, CLI_FLAG, &o->ipa, .help = "the text is IPA, of a model that reads it"},
        {"normalize", NULL, CLI_STRING, &o->normalize, .argument = "LANGUAGE",
         .help = "numbers, dates, abbreviations become words of this language", .words = "en|zh|none",
         .usual = "what the model asks for"},
        {"lexicon", NULL, CLI_STRING, &o->lexicon, .argument = "FILE",
         .help = "how words are said: lines of a word, a tab, what to say", .kind = CLI_FILE},
        {"chunking", NULL, CLI_CHOICE, &o->chunking, .argument = "model|upstream|sentences|sentence",
         .help = "cut a long text as the model asks, at any stop, at ends of sentences, at each of them"},
        {"first_chunk", NULL, CLI_FLOAT, &o->first_chunk, .min = -1, .max = 22, .argument = "X",
         .help = "length of the first piece; 0: as the rest; -1: short, as upstream's server", .unit = "seconds"}};
    return APPEND(to, options);
}

cli_option *speech_options_solver(cli_option *to, speech_options *o) {
    const cli_option options[] = {
        {"Solver", .type = CLI_HEADING},
        {"nfe_step", NULL, CLI_INT, &o->nfe_step, .min = 1, .max = 1024, .argument = "N", .given = &o->solver_given,
         .usual = "32, or what the model asks for",
         .help = "how many steps it takes: more are nearer to the exact solution, and slower", .unit = "steps"},
        {"cfg_strength", NULL, CLI_FLOAT, &o->cfg_strength, .given = &o->cfg_given, .min = 0, .max = 100,
         .argument = "X", .help = "guidance: how much more than the text asks for; 0: none, and half the work",
         .unit = ""},
        {"sway_sampling_coef", NULL, CLI_FLOAT, &o->sway_sampling_coef, .min = -1, .max = 1.75, .argument = "X",
         .help = "sway of the time steps: negative is more of them at the start", .unit = ""},
        {"seed", NULL, CLI_UINT64, &o->seed, .argument = "N", .given = &o->seed_given, .help = "same seed, same speech",
         .unit = "", .usual = "random"},
        {"uniform_steps", NULL, CLI_FLAG, &o->uniform_steps,
         .help = "no empirically pruned steps for nfe 5, 6, 7, 10, 12, 16"},
        {"method", NULL, CLI_CHOICE, &o->method, .argument = "euler|midpoint|ab2", .given = &o->solver_given,
         .help = "of the solver; ab2 is as near with 10 steps as euler with 32"},
        {"midpoint", NULL, CLI_FLAG, &o->midpoint, .given = &o->solver_given,
         .help = "--method midpoint: two evaluations a step"}};
    return APPEND(to, options);
}

cli_option *speech_options_speech(cli_option *to, speech_options *o) {
    const cli_option options[] = {
        {"Speech", .type = CLI_HEADING},
        {"speed", NULL, CLI_FLOAT, &o->speed, .min = 0.01, .max = 100, .argument = "X",
         .help = "pace: 2 is twice as fast", .unit = "times the recording's",
         .usual = "1, and for short texts what the model asks for"},
        {"duration_scale", NULL, CLI_FLOAT, &o->duration_scale, .min = 0.01, .max = 100, .argument = "X",
         .help = "of a model that predicts durations: 2 is twice as slow", .unit = "times as long", .usual = "1"},
        {"fix_duration", NULL, CLI_FLOAT, &o->fix_duration, .min = 0, .max = F5_MAX_FIX_DURATION, .argument = "S",
         .help = "length of recording and speech together; 0: estimated from the texts", .unit = "seconds"},
        {"cross_fade_duration", NULL, CLI_FLOAT, &o->cross_fade_duration, .min = 0, .max = F5_MAX_CROSS_FADE,
         .argument = "S", .help = "by how much pieces overlap", .unit = "seconds"},
        {"sentence_pause", NULL, CLI_FLOAT, &o->sentence_pause, .min = 0, .max = F5_MAX_PAUSE, .argument = "S",
         .help = "silence between sentences, instead of an overlap", .unit = "seconds"},
        {"paragraph_pause", NULL, CLI_FLOAT, &o->paragraph_pause, .min = 0, .max = F5_MAX_PAUSE, .argument = "S",
         .help = "the same between paragraphs", .unit = "seconds"}};
    return APPEND(to, options);
}

cli_option *speech_options_sound(cli_option *to, speech_options *o) {
    const cli_option options[] = {
        {"format", NULL, CLI_CHOICE, &o->format, .argument = "auto|" SOUND_FORMAT_WORDS,
         .help = "of the sound: by its name's ending, 16, 24 or 32-bit float WAV, FLAC, Vorbis, Opus, MP3, AAC, or "
                 "16-bit samples alone"},
        {"rate", NULL, CLI_INT, &o->rate, .given = &o->rate_given,
         .usual = "the model's own, or the next that the format has", .min = 8000, .max = 192000, .argument = "HZ",
         .help = "samples a second: 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000 or more",
         .unit = "samples a second"},
        {"loudness", NULL, CLI_STRING, &o->loudness, .argument = "LEVEL",
         .help = "the recording's level, its peak at -1 dB of full scale, or this loudness in LUFS, as -16; a change "
                 "needs all of the speech before it is written",
         .words = SPEECH_LEVEL_WORDS, .usual = "keep"},
        {"float_wav", NULL, CLI_FLAG, &o->float_wav, .help = "--format wavf: 32-bit float samples"}};
    return APPEND(to, options);
}

cli_option *speech_options_folder(cli_option *to, speech_options *o) {
    const cli_option options[] = {{"Output", .type = CLI_HEADING},
                                  {"output_dir", "o", CLI_STRING, &o->output_dir, .argument = "DIR",
                                   .help = "where the outputs lie, made if missing", .kind = CLI_FOLDER}};
    return APPEND(to, options);
}

cli_option *speech_options_output(cli_option *to, speech_options *o) {
    to = speech_options_sound(to, o);
    const cli_option options[] = {
        {"exact", NULL, CLI_FLAG, &o->exact,
         .help = "upstream's samples: with a burst at both ends, which is otherwise kept away"},
        {"remove_silence", NULL, CLI_FLAG, &o->remove_silence, .help = "take out silence of more than a second"},
        {"save_chunk", NULL, CLI_FLAG, &o->save_chunk,
         .help = "write each stretch in one voice too, into the folder NAME_chunks"},
        {"no_legacy_text", NULL, CLI_FLAG, &o->no_legacy_text,
         .help = "no effect: names in that folder are never transliterated"}};
    return APPEND(to, options);
}

cli_option *speech_options_files(cli_option *to, speech_options *o) {
    const cli_option options[] = {
        {"subtitles", NULL, CLI_STRING, &o->subtitles, .argument = "FILE",
         .help = "write what is said when: .srt, .vtt or .json", .kind = CLI_FILE},
        {"save_mel", NULL, CLI_STRING, &o->save_mel, .argument = "FILE.npy", .help = "write the mel [frames,100] too",
         .kind = CLI_FILE},
        {"spectrogram", NULL, CLI_STRING, &o->spectrogram, .argument = "FILE.png", .help = "write its picture too",
         .kind = CLI_FILE},
        {"init_noise", NULL, CLI_STRING, &o->init_noise, .argument = "FILE.npy",
         .help = "initial states [frames,100] float32 of all pieces instead of noise from the seed", .kind = CLI_FILE}};
    return APPEND(to, options);
}

cli_option *speech_options_upstream(cli_option *to, speech_options *o) {
    const cli_option options[] = {{"A model in upstream's files", .type = CLI_HEADING},
                                  {"ckpt_file", "p", CLI_TEXT, &o->ckpt_file, .argument = "FILE",
                                   .help = "its checkpoint, .safetensors or .pt, or hf://OWNER/NAME/FILE",
                                   .usual = "that of --model", .kind = CLI_FILE},
                                  {"vocab_file", "v", CLI_TEXT, &o->vocab_file, .argument = "FILE",
                                   .help = "its vocab.txt, or hf://OWNER/NAME/FILE",
                                   .usual = "the one beside the checkpoint, else upstream's", .kind = CLI_FILE},
                                  {"model_cfg", "mc", CLI_TEXT, &o->model_cfg, .argument = "FILE.yaml",
                                   .help = "its configuration", .usual = "that of --model", .kind = CLI_FILE},
                                  {"vocoder_name", NULL, CLI_TEXT, &o->vocoder_name, .argument = "NAME",
                                   .help = "what makes its sound", .usual = "that of --model",
                                   .words = "vocos|bigvgan"},
                                  {"load_vocoder_from_local", NULL, CLI_FLAG, &o->load_vocoder_from_local,
                                   .help = "take the vocoder that lies in ../checkpoints"}};
    return APPEND(to, options);
}

transcriber speech_options_transcriber(const speech_options *o, const cli_command *say) {
    return (transcriber){.command = o->transcribe, .seconds = o->transcribe_seconds, .say = say};
}

f5_status speech_options_check(const speech_options *o, f5_error *error) {
    if (o->transcribe) F5_TRY(transcriber_check(o->transcribe, error));
    if (o->ref_audio && o->voice)
        return f5_fail(error, F5_E_ARGUMENT, "--ref_audio and --voice: both name the recording, give one");
    if (o->duration_scale != 0 && o->speed != 0)
        return f5_fail(error, F5_E_ARGUMENT, "--speed and --duration_scale: both say how fast, give one");
    speech_level level;
    F5_TRY(speech_level_read(o->loudness, &level, error));
    if (o->remove_silence && o->subtitles)
        return f5_fail(error, F5_E_ARGUMENT,
                       "--subtitles and --remove_silence: the times would be those before silence was taken out");
    return F5_OK;
}

model_wish speech_options_wish(const speech_options *o) {
    return (model_wish){.model = o->model,
                        .ckpt_file = o->ckpt_file,
                        .vocab_file = o->vocab_file,
                        .model_cfg = o->model_cfg,
                        .vocoder_name = o->vocoder_name,
                        .vocoder_from_local = o->load_vocoder_from_local};
}

/* What a model with one voice of its own does not take. */
static f5_status check_own_voice(const speech_options *o, const char *model, f5_error *error) {
    const char *recording = o->ref_audio    ? "--ref_audio"
                            : o->voice      ? "--voice"
                            : o->ref_text   ? "--ref_text"
                            : o->transcribe ? "--transcribe"
                            : o->keep_whole ? "--keep_whole"
                            : o->rms_given  ? "--target_rms"
                                            : NULL;
    if (recording)
        return f5_fail(error, F5_E_ARGUMENT, "%s: %s has one voice of its own and takes no recording", recording,
                       model);
    if (o->cfg_given) return f5_fail(error, F5_E_ARGUMENT, "--cfg_strength: %s has no guidance: leave it out", model);
    const char *pace = o->duration_scale != 0 ? "--duration_scale" : o->speed != 0 ? "--speed" : NULL;
    if (pace && !o->predicts_durations)
        return f5_fail(error, F5_E_ARGUMENT, "%s: %s predicts no durations: its speech has one pace", pace, model);
    speech_level level;
    F5_TRY(speech_level_read(o->loudness, &level, error));
    const char *rate_bound = o->remove_silence          ? "--remove_silence"
                             : level.kind == LEVEL_LUFS ? "--loudness in LUFS"
                                                        : NULL;
    if (rate_bound && o->model_rate != F5_SAMPLE_RATE)
        return f5_fail(error, F5_E_ARGUMENT, "%s: is for speech of %d samples a second, that of %s has %d", rate_bound,
                       F5_SAMPLE_RATE, model, (int)o->model_rate);
    return F5_OK;
}

f5_status speech_options_fit(const speech_options *o, const char *model, f5_error *error) {
    if (o->one_voice) F5_TRY(check_own_voice(o, model, error));
    if (o->ipa && !o->reads_phonemes) return f5_fail(error, F5_E_ARGUMENT, "--ipa: %s reads letters", model);
    if (o->duration_scale == 0 || o->one_voice) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "--duration_scale: %s predicts no durations; give --speed", model);
}

f5_status speech_options_of_model(speech_options *o, const char *model, bool own_voice, f5_error *error) {
    f5_model_file *file;
    f5_model_info info;
    F5_TRY(model_describe(model, &file, &info, error));
    o->predicts_durations = strcmp(model_setting(file, "text.predicts_durations"), "true") == 0;
    snprintf(o->license, sizeof o->license, "%s", info.license);
    snprintf(o->credit, sizeof o->credit, "%s", info.credit);
    f5_model_file_close(file);
    o->model_rate = info.sample_rate;
    o->mel_bands = info.mel_bands;
    o->hop = F5_HOP;
    o->one_voice = info.one_voice;
    o->reads_phonemes = info.reads_phonemes;
    if (o->one_voice && !own_voice)
        return f5_fail(
            error, F5_E_UNSUPPORTED,
            "%s: this model has one voice of its own and reads phonemes, with which only f5tts infer, batch and serve "
            "speak",
            model);
    F5_TRY(speech_options_fit(o, model, error));
    if (!o->rate_given && o->one_voice) o->rate = o->model_rate;
    if (o->solver_given || info.default_nfe == 0) return F5_OK;
    o->nfe_step = info.default_nfe;
    o->method = info.default_method;
    return F5_OK;
}

void speech_options_of_engine(speech_options *o, const f5_engine *engine) {
    o->hop = (int32_t)(f5_vocode_samples(engine, 2) - f5_vocode_samples(engine, 1));
}

/* The names of --method stand in this order. */
static int32_t method_of(const speech_options *o) {
    static const int32_t methods[] = {F5_METHOD_EULER, F5_METHOD_MIDPOINT, F5_METHOD_AB2};
    return o->method == 0 && o->midpoint ? F5_METHOD_MIDPOINT : methods[o->method];
}

int32_t speech_options_evaluations(const speech_options *o) {
    return o->nfe_step * (method_of(o) == F5_METHOD_MIDPOINT ? 2 : 1);
}

void speech_options_open(const speech_options *o, f5_open_params *p) {
    f5_open_params_init(p);
    p->model_path = o->model;
    p->device = o->device;
    p->precision = o->precision;
    p->vocoder_precision = o->vocoder_precision;
    p->max_frames = o->max_frames;
    p->threads = o->threads;
    p->max_evaluations = speech_options_evaluations(o);
    if (o->normalize && strcmp(o->normalize, "none") != 0) p->languages = o->normalize;
}

void speech_options_sample(const speech_options *o, f5_sample_params *p) {
    f5_sample_params_init(p);
    p->nfe = o->nfe_step;
    p->cfg = o->cfg_strength;
    p->sway = o->sway_sampling_coef;
    p->use_epss = !o->uniform_steps;
    p->midpoint = o->midpoint;
    p->method = method_of(o);
}

void speech_options_speak(const speech_options *o, const f5_sample_params *sample, f5_speak_params *p) {
    static const int32_t brackets[] = {F5_BRACKETS_MAIN, F5_BRACKETS_TEXT, F5_BRACKETS_DROP};
    static const int32_t chunking[] = {F5_CHUNKS_MODEL, F5_CHUNKS_UPSTREAM, F5_CHUNKS_SENTENCES, F5_CHUNKS_SENTENCE};
    f5_speak_params_init(p);
    p->speed = o->duration_scale != 0 ? 1 / o->duration_scale : o->speed;
    p->fix_duration = o->fix_duration;
    p->seed = o->seed;
    p->sample = sample;
    p->brackets = brackets[o->brackets];
    p->ssml = o->ssml;
    p->normalize = o->normalize;
    p->chunking = chunking[o->chunking];
    p->cross_fade = o->cross_fade_duration;
    p->sentence_pause = o->sentence_pause;
    p->paragraph_pause = o->paragraph_pause;
    p->first_chunk = o->first_chunk;
    p->exact = o->exact;
}

uint64_t random_seed(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t mixed = (uint64_t)now.tv_sec * 1000000007u ^ (uint64_t)now.tv_nsec << 20 ^ (uint64_t)getpid() << 40;
    return mixed >> 16;
}

void speech_options_warn(void *command, f5_warning_kind kind, const char *message) {
    (void)kind;
    cli_warning(command, "%s", message);
}
