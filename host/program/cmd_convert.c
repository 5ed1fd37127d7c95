/* cmd_convert.c — `f5tts convert`: upstream's files into one .f5. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/files/yaml_tree.h"
#include "host/program/cli.h"
#include "runtime/models/models.h"
#include "weights/convert/convert.h"

static const char *const types[] = {[F5_F32] = "fp32", [F5_F16] = "fp16", [F5_BF16] = "bf16"};

static bool type_from_name(f5_dtype *type, const char *name) {
    for (int i = F5_F32; i <= F5_BF16; i++)
        if (strcmp(name, types[i]) == 0) {
            *type = (f5_dtype)i;
            return true;
        }
    return false;
}

static void print_summary(const convert_options *o, const convert_summary *s, double seconds) {
    const model_config *c = &s->config;
    printf("%s: %s\n", o->output_path, c->name);
    printf("  DiT       width %d, %d blocks, %d heads, feed-forward %d; from %s\n",
           (int)model_config_get(c, PART_BACKBONE, "dim", 0), (int)model_config_get(c, PART_BACKBONE, "depth", 0),
           (int)model_config_get(c, PART_BACKBONE, "heads", 0), (int)model_config_get(c, PART_BACKBONE, "ff_dim", 0),
           s->checkpoint_types);
    printf("  text      width %d, %d blocks, %d tokens\n", (int)model_config_get(c, PART_TEXT, "dim", 0),
           (int)model_config_get(c, PART_TEXT, "blocks", 0), (int)c->vocab_size);
    printf("  vocos     width %d, %d layers; from %s\n", (int)model_config_get(c, PART_VOCODER, "dim", 0),
           (int)model_config_get(c, PART_VOCODER, "layers", 0), s->vocos_types);
    printf("  %d tensors, %.2f M parameters, %.1f MB with matrices in %s, vocos in %s, %.1f s\n", (int)s->tensors,
           (double)s->parameters * 1e-6, (double)s->bytes * 1e-6, types[o->types.matrices], types[o->types.vocoder],
           seconds);
}

/* The settings of a tree, as the converter wants them; the caller frees the list. They point into the tree. */
static f5_status list_settings(settings *to, setting **list, const yaml_tree *tree, f5_error *error) {
    *list = calloc((size_t)tree->count + 1, sizeof **list);
    if (!*list) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", tree->file);
    for (int i = 0; i < tree->count; i++) {
        const yaml_node *n = &tree->node[i];
        (*list)[i] = (setting){.path = n->path, .value = n->value, .quoted = n->quoted};
    }
    *to = (settings){.item = *list, .count = tree->count, .file = tree->file};
    return F5_OK;
}

static f5_status convert(convert_options *o, const char *config, const char *vocos_config, convert_summary *summary,
                         f5_error *error) {
    yaml_tree tree[2] = {{0}};
    setting *list[2] = {NULL};
    f5_status status = yaml_tree_read(&tree[0], config, error);
    if (status == F5_OK) status = yaml_tree_read(&tree[1], vocos_config, error);
    if (status == F5_OK) status = list_settings(&o->config, &list[0], &tree[0], error);
    if (status == F5_OK) status = list_settings(&o->vocos_config, &list[1], &tree[1], error);
    if (status == F5_OK) status = convert_run(o, summary, error);
    for (int i = 0; i < 2; i++) {
        free(list[i]);
        yaml_tree_free(&tree[i]);
    }
    return status;
}

int cmd_convert(int argc, char **argv) {
    convert_options o = {.parts = &models_catalogue};
    const char *config = NULL, *vocos_config = NULL, *matrices = types[F5_F32], *vocoder = types[F5_F32];
    bool quiet = false;
    const cli_option options[] = {
        {"config", "c", CLI_STRING, &config, .argument = "FILE", .help = "upstream's YAML (F5TTS_v1_Base.yaml)"},
        {"checkpoint", "p", CLI_STRING, &o.checkpoint_path, .argument = "FILE",
         .help = "weights, .safetensors or .pt; averaged (ema) ones are taken when there are any"},
        {"vocab", "v", CLI_STRING, &o.vocab_path, .argument = "FILE",
         .help = "vocab.txt; not needed by the byte tokenizer"},
        {"vocos-config", NULL, CLI_STRING, &vocos_config, .argument = "FILE", .help = "config.yaml of vocos-mel-24khz"},
        {"vocos", NULL, CLI_STRING, &o.vocos_path, .argument = "FILE",
         .help = "pytorch_model.bin of vocos-mel-24khz, or the same as .safetensors"},
        {"output", "o", CLI_STRING, &o.output_path, .argument = "FILE", .help = "where the model goes (NAME.f5)"},
        {"dtype", NULL, CLI_STRING, &matrices, .argument = "TYPE",
         .help = "fp32 (default: exact), fp16 or bf16: how matrices are stored; the rest stays fp32"},
        {"vocos-dtype", NULL, CLI_STRING, &vocoder, .argument = "TYPE",
         .help = "the same for those of vocos, which are computed in fp32 whatever this is; default fp32"},
        {"name", NULL, CLI_STRING, &o.name, .argument = "TEXT", .help = "the model's name; default: model.name"},
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
    } required[] = {{"config", config},
                    {"checkpoint", o.checkpoint_path},
                    {"vocos-config", vocos_config},
                    {"vocos", o.vocos_path},
                    {"output", o.output_path}};
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        if (!required[i].value) return cli_usage_error(&command, "--%s is required", required[i].name);
    if (!type_from_name(&o.types.matrices, matrices))
        return cli_usage_error(&command, "--dtype %s: known are fp32, fp16 and bf16", matrices);
    if (!type_from_name(&o.types.vocoder, vocoder))
        return cli_usage_error(&command, "--vocos-dtype %s: known are fp32, fp16 and bf16", vocoder);

    cli_progress progress;
    convert_summary summary;
    f5_error error = {0};
    cli_progress_begin(&progress, "converting");
    if (!quiet) {
        o.progress = cli_progress_report;
        o.progress_user = &progress;
    }
    double started = cli_seconds();
    f5_status status = convert(&o, config, vocos_config, &summary, &error);
    cli_progress_end(&progress);
    if (status != F5_OK) return cli_failure(&command, "%s", error.message);
    if (!quiet) print_summary(&o, &summary, cli_seconds() - started);
    return CLI_EXIT_OK;
}
