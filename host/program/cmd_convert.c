/* cmd_convert.c — `f5tts convert`: upstream's files into one .f5. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api/f5tts.h"
#include "host/files/yaml_tree.h"
#include "host/program/cli.h"
#include "host/program/model_settings.h"
#include "host/program/shipped.h"

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

static void print_vocoder(const f5_model_file *file, const char *kind) {
    if (strcmp(kind, "Vocos") == 0) {
        printf("  vocos     width %s, %s layers", model_setting(file, "vocoder.dim"),
               model_setting(file, "vocoder.layers"));
    } else {
        printf("  %s", kind);
        model_settings_print(file, "vocoder");
    }
}

static f5_status print_summary(const f5_convert_params *p, const f5_convert_summary *s, double seconds,
                               f5_error *error) {
    f5_model_file *file;
    f5_model_info info;
    f5_model_info_init(&info);
    F5_TRY(f5_describe(p->output_path, &file, error));
    f5_status status = f5_model_file_info(file, &info, error);
    if (status == F5_OK) {
        printf("%s: %s\n", p->output_path, info.name);
        print_backbone(file, info.backbone);
        printf("; from %s\n", s->checkpoint_types);
        printf("  text      width %s, %s blocks, %s tokens%s\n", model_setting(file, "text.dim"),
               model_setting(file, "text.blocks"), model_setting(file, "vocab_size"),
               info.pinyin_bytes ? ", tables for Chinese" : "");
        print_vocoder(file, info.vocoder);
        printf("; from %s\n", s->vocoder_types);
        printf("  %d tensors, %.2f M parameters, %.1f MB with matrices in %s, vocos in %s, %.1f s\n", (int)s->tensors,
               (double)s->parameters * 1e-6, (double)s->bytes * 1e-6, p->matrices, p->vocoder_matrices, seconds);
    }
    f5_model_file_close(file);
    return status;
}

/* The tables that are asked for, or those that come with the program. Without any the model is made all the same. */
static char *find_pinyin(f5_convert_params *p, bool quiet) {
    char *path = NULL;
    f5_error why = {0};
    if (p->pinyin_path && strcmp(p->pinyin_path, "none") == 0)
        p->pinyin_path = NULL;
    else if (!p->pinyin_path && shipped_file(SHIPPED_TEXT, SHIPPED_PINYIN, "", &path, &why) == F5_OK)
        p->pinyin_path = path;
    else if (!p->pinyin_path && !quiet)
        fprintf(stderr,
                "f5tts convert: no tables for Chinese, which a pinyin model would carry: %s: give --pinyin FILE\n",
                why.message);
    return path;
}

static f5_status convert(f5_convert_params *p, f5_convert_summary *summary, f5_error *error) {
    yaml_tree config = {0}, vocoder_config = {0};
    f5_status status = yaml_tree_read(&config, p->config_path, error);
    if (status == F5_OK) status = yaml_tree_read(&vocoder_config, p->vocoder_config_path, error);
    p->config = config.setting;
    p->n_config = config.count;
    p->vocoder_config = vocoder_config.setting;
    p->n_vocoder_config = vocoder_config.count;
    if (status == F5_OK) status = f5_convert(p, summary, error);
    yaml_tree_free(&config);
    yaml_tree_free(&vocoder_config);
    return status;
}

static bool is_type(const char *name) {
    return strcmp(name, "fp32") == 0 || strcmp(name, "fp16") == 0 || strcmp(name, "bf16") == 0;
}

int cmd_convert(int argc, char **argv) {
    f5_convert_params p;
    f5_convert_params_init(&p);
    bool quiet = false;
    const cli_option options[] = {
        {"config", "c", CLI_STRING, &p.config_path, .argument = "FILE", .help = "upstream's YAML (F5TTS_v1_Base.yaml)"},
        {"checkpoint", "p", CLI_STRING, &p.checkpoint_path, .argument = "FILE",
         .help = "weights, .safetensors or .pt; averaged (ema) ones are taken when there are any"},
        {"vocab", "v", CLI_STRING, &p.vocab_path, .argument = "FILE",
         .help = "vocab.txt; not needed by the byte tokenizer"},
        {"vocos-config", NULL, CLI_STRING, &p.vocoder_config_path, .argument = "FILE",
         .help = "config.yaml of vocos-mel-24khz"},
        {"vocos", NULL, CLI_STRING, &p.vocoder_path, .argument = "FILE",
         .help = "pytorch_model.bin of vocos-mel-24khz, or the same as .safetensors"},
        {"pinyin", NULL, CLI_STRING, &p.pinyin_path, .argument = "FILE",
         .help = "the tables for Chinese text that a pinyin model carries; default: the shipped ones; none: without"},
        {"output", "o", CLI_STRING, &p.output_path, .argument = "FILE", .help = "where the model goes (NAME.f5)"},
        {"dtype", NULL, CLI_STRING, &p.matrices, .argument = "TYPE",
         .help = "fp32 (default: exact), fp16 or bf16: how matrices are stored; the rest stays fp32"},
        {"vocos-dtype", NULL, CLI_STRING, &p.vocoder_matrices, .argument = "TYPE",
         .help = "the same for those of vocos, which are computed in fp32 whatever this is; default fp32"},
        {"normalize", NULL, CLI_STRING, &p.normalize, .argument = "LANGUAGE",
         .help = "the language in which numbers and the like become words when the model speaks (en); default: none"},
        {"short-speed", NULL, CLI_FLOAT, &p.short_speed, .min = 0.01, .max = 100, .argument = "N",
         .help = "the speed at which it says texts of fewer than 10 bytes; default: 0.3, as upstream"},
        {"name", NULL, CLI_STRING, &p.name, .argument = "TEXT", .help = "the model's name; default: model.name"},
        {"quiet", "q", CLI_FLAG, &quiet, .help = "no progress, no summary"},
        {0}};
    const cli_command command = {.program = "f5tts convert",
                                 .usage = "--config FILE --checkpoint FILE --vocab FILE --vocos-config FILE "
                                          "--vocos FILE --output NAME.f5 [options]",
                                 .summary = "Makes a .f5 model file of upstream's files.\n",
                                 .options = options};
    cli_outcome outcome = cli_parse(&command, argc, argv);
    if (outcome != CLI_RUN) return cli_exit_code(outcome);
    const struct {
        const char *name, *value;
    } required[] = {{"config", p.config_path},
                    {"checkpoint", p.checkpoint_path},
                    {"vocos-config", p.vocoder_config_path},
                    {"vocos", p.vocoder_path},
                    {"output", p.output_path}};
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        if (!required[i].value) return cli_usage_error(&command, "--%s is required", required[i].name);
    if (!is_type(p.matrices)) return cli_usage_error(&command, "--dtype %s: known are fp32, fp16 and bf16", p.matrices);
    if (!is_type(p.vocoder_matrices))
        return cli_usage_error(&command, "--vocos-dtype %s: known are fp32, fp16 and bf16", p.vocoder_matrices);

    cli_progress progress;
    f5_convert_summary summary;
    f5_convert_summary_init(&summary);
    f5_error error = {0};
    cli_progress_begin(&progress, "converting");
    if (!quiet) {
        p.progress = cli_progress_report;
        p.progress_user = &progress;
    }
    double started = cli_seconds();
    char *pinyin = find_pinyin(&p, quiet);
    f5_status status = convert(&p, &summary, &error);
    free(pinyin);
    cli_progress_end(&progress);
    if (status != F5_OK) return cli_failure(&command, "%s", error.message);
    if (!quiet && print_summary(&p, &summary, cli_seconds() - started, &error) != F5_OK)
        return cli_failure(&command, "%s", error.message);
    return CLI_EXIT_OK;
}
