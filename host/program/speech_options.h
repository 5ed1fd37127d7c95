/* speech_options.h — the options by which speech is made, as the command line, a TOML file and a line of a list give
 * them: one struct, one table, and the parameters of the library that follow from them. Names and defaults are those of
 * upstream's command line (f5_tts/infer/infer_cli.py); unlike there, a value of 0 counts as given. */
#ifndef F5_SPEECH_OPTIONS_H
#define F5_SPEECH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/api/f5tts.h"
#include "host/hub/model_sources.h"
#include "host/program/cli.h"
#include "host/program/transcribe.h"

typedef struct {
    /* the engine */
    const char *model, *device, *precision, *vocoder_precision;
    const char *ckpt_file, *vocab_file, *model_cfg, *vocoder_name;
    bool load_vocoder_from_local;
    int32_t max_frames, threads;
    /* the voice */
    const char *voice, *ref_audio, *ref_text, *transcribe;
    float transcribe_seconds;
    float target_rms;
    bool keep_whole;
    /* the text */
    const char *gen_text, *gen_file, *normalize, *lexicon;
    int32_t brackets, chunking;
    bool ssml, ipa;
    /* the speech */
    float cfg_strength, sway_sampling_coef, speed, duration_scale, fix_duration;
    float cross_fade_duration, sentence_pause, paragraph_pause, first_chunk;
    int32_t nfe_step, method;
    uint64_t seed;
    bool seed_given, solver_given, cfg_given, rms_given, uniform_steps, midpoint;
    const char *init_noise;
    /* the output */
    const char *output_dir, *output_file, *save_mel, *spectrogram, *subtitles, *loudness;
    int32_t format; /* 0: by the name, else a sound_format + 1 */
    int32_t rate;
    bool rate_given, exact, float_wav, save_chunk, no_legacy_text, remove_silence;
    /* the model's own, of speech_options_of_model */
    int32_t model_rate, mel_bands, hop; /* samples a second, bands, samples a frame */
    bool one_voice, reads_phonemes, predicts_durations;
    char license[256], credit[1024]; /* as in f5_model_info */
} speech_options;

void speech_options_init(speech_options *o);

/* Groups of the table; each function writes its entries and returns what follows them. The table is ended by {0}. Those
 * that begin with a title: model, voice, text, solver, speech. */
#define SPEECH_OPTIONS_MAX 128
cli_option *speech_options_model(cli_option *to, speech_options *o);
cli_option *speech_options_voice(cli_option *to, speech_options *o);
cli_option *speech_options_transcribe(cli_option *to, speech_options *o);
cli_option *speech_options_text(cli_option *to, speech_options *o); /* gen_text and gen_file left out */
cli_option *speech_options_solver(cli_option *to, speech_options *o);
cli_option *speech_options_speech(cli_option *to, speech_options *o);
cli_option *speech_options_folder(cli_option *to, speech_options *o);   /* the title, and output_dir */
cli_option *speech_options_sound(cli_option *to, speech_options *o);    /* format and rate */
cli_option *speech_options_output(cli_option *to, speech_options *o);   /* output_dir and output_file left out */
cli_option *speech_options_files(cli_option *to, speech_options *o);    /* of one text each */
cli_option *speech_options_upstream(cli_option *to, speech_options *o); /* the files of a model, as upstream */

/* Options that cannot go together; the message names them. */
f5_status speech_options_check(const speech_options *o, f5_error *error);

/* What the model file says: its rate, bands, voice, and the steps and method that it asks for where no option of the
 * solver's was given. F5_E_UNSUPPORTED: it has one voice of its own, and own_voice is false. */
f5_status speech_options_of_model(speech_options *o, const char *model, bool own_voice, f5_error *error);

/* Options that the model does not have, which of_model has looked at; the message names them. */
f5_status speech_options_fit(const speech_options *o, const char *model, f5_error *error);

/* What only an engine knows of the model: samples a frame, until then F5's. */
void speech_options_of_engine(speech_options *o, const f5_engine *engine);

/* Which model is asked for. */
model_wish speech_options_wish(const speech_options *o);

/* Parameters of the library. Pointers are the options' own; what is not an option keeps its default. */
void speech_options_open(const speech_options *o, f5_open_params *p);
void speech_options_sample(const speech_options *o, f5_sample_params *p);
void speech_options_speak(const speech_options *o, const f5_sample_params *sample, f5_speak_params *p);

/* The recogniser that --transcribe names; what it heard is told as the command's (NULL: it is not). transcriber_free.
 */
transcriber speech_options_transcriber(const speech_options *o, const cli_command *say);

int32_t speech_options_evaluations(const speech_options *o); /* of the velocity, a piece */

uint64_t random_seed(void); /* short enough to be typed again */

/* For the library's `warning`: told as one of the command's own, which is a cli_command. */
void speech_options_warn(void *command, f5_warning_kind kind, const char *message);

#endif
