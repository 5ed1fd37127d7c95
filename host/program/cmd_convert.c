/* cmd_convert.c — `f5tts convert`: upstream's files into one .f5. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "host/api/f5tts.h"
#include "host/program/cli.h"
#include "host/program/convert_calibrated.h"
#include "host/program/convert_files.h"
#include "host/program/model_settings.h"

/* A part as the summary has it; of a kind whose settings are not known by name here, all that it has. */
static void print_backbone(const f5_model_file *file, const char *kind) {
    printf("  %s", kind);
    if (strcmp(kind, "DiT") == 0)
        printf("       width %s, %s blocks, %s heads, feed-forward %s", model_setting(file, "backbone.dim"),
               model_setting(file, "backbone.depth"), model_setting(file, "backbone.heads"),
               model_setting(file, "backbone.ff_dim"));
    else
        model_settings_print(file, "backbone");
}

static void print_text(const f5_model_file *file, const f5_model_info *info) {
    printf("  text      ");
    if (*model_setting(file, "text.dim"))
        printf("width %s, %s blocks", model_setting(file, "text.dim"),
               *model_setting(file, "text.blocks") ? model_setting(file, "text.blocks") : "no");
    else
        printf("phonemes, %s", strcmp(model_setting(file, "text.predicts_durations"), "true") == 0
                                   ? "durations predicted"
                                   : "5 frames a symbol");
    printf(", %s tokens%s\n", model_setting(file, "vocab_size"), info->pinyin_bytes ? ", tables for Chinese" : "");
}

static void print_vocoder(const f5_model_file *file, const char *kind) {
    if (strcmp(kind, "Vocos") == 0) {
        printf("  vocos     width %s, %s layers", model_setting(file, "vocoder.dim"),
               model_setting(file, "vocoder.layers"));
    } else {
        printf("  %s", kind);
        model_settings_print(file, "vocoder");
    }
}

/* Which weights were taken, and what was wanted where that is another thing. */
static void print_weights(const f5_convert_params *p, const f5_convert_summary *s) {
    const bool averaged = strcmp(s->weights, "ema") == 0, wanted = strcmp(p->weights, "ema") == 0;
    printf("  weights   ");
    if (!*s->weights)
        printf("one set, which the file does not call averaged");
    else
        printf("%s", averaged ? "averaged (ema)" : "those of training (model)");
    if (s->other_weights)
        printf("; the file holds the %s too (--weights %s)", averaged ? "plain ones" : "averaged ones",
               averaged ? "model" : "ema");
    else if (*s->weights && averaged != wanted)
        printf("; the file has no others");
    if (s->merged) printf("; %d changed by %s, scale %g", (int)s->merged, p->lora_path, (double)p->lora_scale);
    printf("\n");
}

static void print_notes(const f5_model_info *info, const f5_convert_summary *s, const char *masked) {
    if (s->unspoken_tokens)
        printf(
            "  note      the vocabulary has %d lines twice and the embedding a row for each token only: %d tokens lie "
            "beyond it and cannot be said:%s\n",
            (int)s->repeated_tokens, (int)s->unspoken_tokens, s->unspoken);
    if (strcmp(info->backbone, "DiT") == 0)
        printf("  note      taken as F5TTS%s, as the configuration says; the checkpoint cannot tell, and as the other "
               "one it gives noise\n",
               strcmp(masked, "true") == 0 ? "_v1 (text_mask_padding true)"
                                           : " of before v1 (text_mask_padding false)");
}

static f5_status print_summary(const f5_convert_params *p, const f5_convert_summary *s, double seconds,
                               f5_error *error) {
    f5_model_file *file;
    f5_model_info info;
    F5_TRY(model_describe(p->output_path, &file, &info, error));
    printf("%s: %s\n", p->output_path, info.name);
    print_backbone(file, info.backbone);
    printf("; from %s\n", s->checkpoint_types);
    print_text(file, &info);
    print_weights(p, s);
    print_vocoder(file, info.vocoder);
    printf("; from %s\n", s->vocoder_types);
    printf("  %d tensors, %.2f M parameters, %.1f MB with matrices in %s, vocos in %s, %.1f s\n", (int)s->tensors,
           (double)s->parameters * 1e-6, (double)s->bytes * 1e-6, p->matrices, p->vocoder_matrices, seconds);
    print_notes(&info, s, model_setting(file, "text.mask_padding"));
    f5_model_file_close(file);
    return F5_OK;
}

static bool is_type(const char *name) {
    return strcmp(name, "fp32") == 0 || strcmp(name, "fp16") == 0 || strcmp(name, "bf16") == 0;
}

/* Flow-Matching-TTS's configuration is JSON, and asks for no other file. */
static const char *missing_vocoder(const f5_convert_params *p) {
    const size_t bytes = strlen(p->config_path);
    if (bytes > 5 && strcmp(p->config_path + bytes - 5, ".json") == 0) return NULL;
    return !p->vocoder_config_path ? "vocos-config" : !p->vocoder_path ? "vocos" : NULL;
}

int cmd_convert(int argc, char **argv) {
    f5_convert_params p;
    f5_convert_params_init(&p);
    f5_calibration_params usual;
    f5_calibration_params_init(&usual);
    calibration_wish calibrate = {.most_error = usual.most_error};
    bool quiet = false, stored_rotary = false;
    const cli_option options[] = {
        {"config", "c", CLI_STRING, &p.config_path, .argument = "FILE",
         .help = "upstream's YAML (F5TTS_v1_Base.yaml), or Flow-Matching-TTS's JSON", .kind = CLI_FILE,
         .required = true},
        {"checkpoint", "p", CLI_STRING, &p.checkpoint_path, .argument = "FILE",
         .help = "weights, .safetensors or .pt, of any float type and with any wrapper's prefixes", .kind = CLI_FILE,
         .required = true},
        {"weights", NULL, CLI_STRING, &p.weights, .argument = "WHICH",
         .help = "of a checkpoint that holds both: the averaged ones, or those of training", .words = "ema|model"},
        {"lora", NULL, CLI_STRING, &p.lora_path, .argument = "DIR",
         .help = "merge a LoRA adapter: PEFT's adapter_config.json and adapter_model.safetensors or .bin",
         .kind = CLI_FOLDER},
        {"lora-scale", NULL, CLI_FLOAT, &p.lora_scale, .argument = "X", .min = -1000, .max = 1000,
         .help = "how much of the adapter", .unit = "times"},
        {"stored-rotary", NULL, CLI_FLAG, &stored_rotary,
         .help = "position frequencies rounded as those of a 16-bit checkpoint, as upstream has them; for a comparison "
                 "with it"},
        {"vocab", "v", CLI_STRING, &p.vocab_path, .argument = "FILE",
         .help = "vocab.txt; not needed by the byte tokenizer", .kind = CLI_FILE},
        {"vocos-config", NULL, CLI_STRING, &p.vocoder_config_path, .argument = "FILE",
         .help = "config.yaml of vocos-mel-24khz; Flow-Matching-TTS has none", .kind = CLI_FILE},
        {"vocos", NULL, CLI_STRING, &p.vocoder_path, .argument = "FILE",
         .help = "pytorch_model.bin of vocos-mel-24khz, or the same as .safetensors", .kind = CLI_FILE},
        {"pinyin", NULL, CLI_STRING, &p.pinyin_path, .argument = "FILE",
         .help = "the tables for Chinese text that a pinyin model carries; none: without", .kind = CLI_FILE,
         .usual = "the shipped ones"},
        {"output", "o", CLI_STRING, &p.output_path, .argument = "FILE", .help = "where the model goes (NAME.f5)",
         .kind = CLI_FILE, .required = true},
        {"dtype", NULL, CLI_STRING, &p.matrices, .argument = "TYPE",
         .help = "how matrices are stored, fp32 exactly; int8: those of the blocks in 8 bits, others in fp16",
         .words = "fp32|fp16|bf16|int8"},
        {"vocos-dtype", NULL, CLI_STRING, &p.vocoder_matrices, .argument = "TYPE",
         .help = "the same for those of the vocoder", .words = "fp32|fp16|bf16"},
        {"calibrate", NULL, CLI_STRING, &calibrate.recording, .argument = "FILE",
         .help = "with --dtype int8: a recording of speech, or a voice's name, on which the products of the blocks are "
                 "measured; channels are scaled so that 8 bits hold them, and what still loses too much stays in fp16",
         .kind = CLI_FILE},
        {"text", NULL, CLI_STRING, &calibrate.words, .argument = "TEXT", .help = "the words of that recording"},
        {"most-error", NULL, CLI_FLOAT, &calibrate.most_error, .min = 0, .max = 1, .argument = "X",
         .help = "with --calibrate: how much of its output a product may lose in 8 bits", .unit = ""},
        {"normalize", NULL, CLI_STRING, &p.normalize, .argument = "LANGUAGE",
         .help = "the language in which numbers and the like become words when the model speaks", .words = "en|zh"},
        {"short-speed", NULL, CLI_FLOAT, &p.short_speed, .min = 0.01, .max = 100, .argument = "N",
         .help = "the speed at which it says texts of fewer than 10 bytes", .unit = "times the recording's",
         .usual = "0.3, as upstream"},
        {"license", NULL, CLI_STRING, &p.license, .argument = "TEXT",
         .help = "what users of the weights are told of their licence, as \"cc-by-nc-4.0\""},
        {"credit", NULL, CLI_STRING, &p.credit, .argument = "TEXT", .help = "whom they are to name, and for what"},
        {"name", NULL, CLI_STRING, &p.name, .argument = "TEXT", .help = "the model's name",
         .usual = "model.name of the configuration"},
        {"quiet", "q", CLI_FLAG, &quiet, .help = "no progress, no summary"},
        {0}};
    const cli_command command = {
        .program = "f5tts convert",
        .usage = "--config FILE --checkpoint FILE --vocab FILE --vocos-config FILE "
                 "--vocos FILE --output NAME.f5 [options]",
        .summary = "Makes a .f5 model file of upstream's files. A checkpoint does not say whether it is of F5TTS_v1 or "
                   "of the F5TTS before it: --config does, and the wrong one gives noise. Early in a fine-tune the "
                   "weights of training (--weights model) are the better ones.\n",
        .options = options};
    cli_outcome outcome = cli_parse(&command, argc, argv);
    if (outcome != CLI_RUN) return cli_exit_code(outcome);
    p.stored_rotary = stored_rotary;
    const char *missing = missing_vocoder(&p);
    if (missing) return cli_usage_error(&command, "--%s is required where --config is no .json", missing);
    if (!is_type(p.matrices) && strcmp(p.matrices, "int8") != 0)
        return cli_usage_error(&command, "--dtype %s: known are fp32, fp16, bf16 and int8", p.matrices);
    if (!is_type(p.vocoder_matrices))
        return cli_usage_error(&command, "--vocos-dtype %s: known are fp32, fp16 and bf16", p.vocoder_matrices);
    if (strcmp(p.weights, "ema") != 0 && strcmp(p.weights, "model") != 0)
        return cli_usage_error(&command, "--weights %s: known are ema and model", p.weights);

    if (calibrate.recording && strcmp(p.matrices, "int8") != 0)
        return cli_usage_error(&command, "--calibrate is for 8 bits: give --dtype int8");
    if (calibrate.words && !calibrate.recording)
        return cli_usage_error(&command, "--text: the words of which recording? Give --calibrate FILE");
    if (calibrate.most_error != usual.most_error && !calibrate.recording)
        return cli_usage_error(&command, "--most-error: measured on which recording? Give --calibrate FILE");

    f5_convert_summary summary;
    f5_convert_summary_init(&summary);
    f5_error error = {0};
    double started = cli_seconds();
    f5_status status = calibrate.recording
                           ? convert_calibrated(&p, &calibrate, command.program, quiet, &summary, &error)
                           : convert_files(&p, command.program, quiet, &summary, &error);
    if (status != F5_OK) return cli_failure(&command, "%s", error.message);
    if (!quiet && print_summary(&p, &summary, cli_seconds() - started, &error) != F5_OK)
        return cli_failure(&command, "%s", error.message);
    return CLI_EXIT_OK;
}
