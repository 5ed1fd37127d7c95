/* cmd_info.c — `f5tts info`: what a .f5 file holds, and what running it would take. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api/f5tts.h"
#include "host/program/cli.h"
#include "runtime/models/models.h"
#include "weights/config.h"
#include "weights/match.h"
#include "weights/safetensors.h"

static const char *const part_names[PARTS] = {"dit", "text", "vocos"};
static const char *const part_titles[PARTS] = {"transformer", "text encoder", "vocoder"};

typedef struct {
    int32_t tensors;
    int64_t parameters;
    size_t bytes;
} part;

/* A .f5 file, opened for its description only: no weight is read. */
typedef struct {
    const char *path;
    safetensors file;
    model_config config;
    vocab vocab;
    const char *precision, *vocoder_precision; /* of the matrices as stored */
    part parts[PARTS], total;
} description;

typedef struct {
    bool json, tensors, plan;
    int32_t frames, sequences, nfe;
    const char *device;
} info_options;

static int part_of(const char *tensor) {
    if (strncmp(tensor, "vocos.", 6) == 0) return PART_VOCODER;
    return strncmp(tensor, "text.", 5) == 0 ? PART_TEXT : PART_BACKBONE;
}

static void add_to(part *p, const safetensors_tensor *t) {
    p->tensors++;
    p->parameters += t->elements;
    p->bytes += t->bytes;
}

static f5_status describe(description *d, const char *path, f5_error *error) {
    *d = (description){.path = path};
    F5_TRY(safetensors_open(&d->file, path, error));
    int version;
    F5_TRY(model_metadata_read(&d->file, &models_catalogue, &d->config, &d->vocab, &version, path, error));
    tensor_match match;
    F5_TRY(match_tensors(&match, &d->config, &d->file, path, error));
    d->precision = dtype(match.types.matrices)->name;
    d->vocoder_precision = dtype(match.types.vocoder)->name;
    match_free(&match);
    for (int32_t i = 0; i < d->file.count; i++) {
        const safetensors_tensor *t = &d->file.tensors[i];
        add_to(&d->parts[part_of(t->name)], t);
        add_to(&d->total, t);
    }
    return F5_OK;
}

/* ---- what running it would take ---------------------------------------------------------------------------------- */

static f5_status open_plan(const char *path, const info_options *o, f5_engine_info *info, f5_plan_info *plan,
                           f5_error *error) {
    f5_open_params params;
    f5_open_params_init(&params);
    params.model_path = path;
    params.device = o->device;
    params.max_frames = o->frames;
    params.max_batch = o->sequences;
    params.max_evaluations = o->nfe;
    f5_engine *engine;
    F5_TRY(f5_open(&params, &engine, error));
    f5_status status = f5_get_info(engine, info, error);
    if (status == F5_OK) status = f5_plan(engine, o->frames, o->sequences, o->nfe, plan, error);
    f5_close(engine);
    return status;
}

/* info->device points into the closed engine, so that it is not shown. */
static void print_plan(const info_options *o, const f5_engine_info *info, const f5_plan_info *plan, bool json) {
    if (json) {
        printf(",\"plan\":{\"frames\":%d,\"sequences\":%d,\"nfe\":%d,\"op_calls\":%lld,\"flop\":%.0f,"
               "\"arena_bytes\":%lld,\"weight_bytes\":%lld}",
               (int)o->frames, (int)o->sequences, (int)o->nfe, (long long)plan->op_calls, plan->flop,
               (long long)plan->arena_bytes, (long long)info->weight_bytes);
        return;
    }
    printf("plan            %d frames (%.1f s) in %d sequence%s, %d steps\n", (int)o->frames,
           o->frames * (double)F5_HOP / F5_SAMPLE_RATE, (int)o->sequences, o->sequences == 1 ? "" : "s", (int)o->nfe);
    printf("  work          %.2f TFLOP in %lld op calls\n", plan->flop * 1e-12, (long long)plan->op_calls);
    printf("  memory        %.1f MB of weights, %.1f MB of working memory\n", (double)info->weight_bytes * 1e-6,
           (double)plan->arena_bytes * 1e-6);
}

/* ---- as text ----------------------------------------------------------------------------------------------------- */

static void print_token(const vocab *v, int32_t id) {
    char shown[64];
    json_escape(shown, sizeof shown, v->token[id], v->length[id]);
    printf(" \"%s\"", shown);
}

static void print_text(const description *d) {
    enum { SHOWN = 8 };
    const model_config *c = &d->config;
    printf("%s: %s\n", d->path, c->name);
    printf("backbone        DiT, width %d, %d blocks, %d heads of 64, feed-forward %d\n",
           (int)model_config_get(c, PART_BACKBONE, "dim", 0), (int)model_config_get(c, PART_BACKBONE, "depth", 0),
           (int)model_config_get(c, PART_BACKBONE, "heads", 0), (int)model_config_get(c, PART_BACKBONE, "ff_dim", 0));
    printf("                rotary ");
    if (model_config_get(c, PART_BACKBONE, "pe_attn_head", 0) < 0)
        printf("on all heads");
    else
        printf("on the first %d of %d heads", (int)model_config_get(c, PART_BACKBONE, "pe_attn_head", 0),
               (int)model_config_get(c, PART_BACKBONE, "heads", 0));
    printf("%s%s\n", model_config_get(c, PART_BACKBONE, "qk_norm", 0) ? ", q/k norm" : "",
           model_config_get(c, PART_BACKBONE, "long_skip", 0) ? ", long skip" : "");
    printf("text            width %d, %d ConvNeXt V2 blocks, padding %s%s\n",
           (int)model_config_get(c, PART_TEXT, "dim", 0), (int)model_config_get(c, PART_TEXT, "blocks", 0),
           model_config_get(c, PART_TEXT, "mask_padding", 0) ? "masked" : "not masked",
           model_config_get(c, PART_TEXT, "average_upsampling", 0) ? ", repeated over the frames" : "");
    printf("vocabulary      %s, %d tokens", tokenizer_name(c->tokenizer), (int)c->vocab_size);
    for (int32_t i = 0; i < d->vocab.size && i < SHOWN; i++) {
        if (i == 0) putchar(':');
        print_token(&d->vocab, i);
    }
    printf("%s\n", d->vocab.size > SHOWN ? " ..." : "");
    printf("vocoder         Vocos, width %d, %d layers, feed-forward %d, padding %s\n",
           (int)model_config_get(c, PART_VOCODER, "dim", 0), (int)model_config_get(c, PART_VOCODER, "layers", 0),
           (int)model_config_get(c, PART_VOCODER, "ff_dim", 0),
           model_config_get(c, PART_VOCODER, "same_padding", 0) ? "same" : "center");
    printf("precision       %s, vocoder %s\n", d->precision, d->vocoder_precision);
    printf("size            %12lld parameters %10.1f MB in %d tensors\n", (long long)d->total.parameters,
           (double)d->total.bytes * 1e-6, (int)d->total.tensors);
    for (int i = 0; i < PARTS; i++)
        printf("  %-13s %12lld            %10.1f MB    %d\n", part_titles[i], (long long)d->parts[i].parameters,
               (double)d->parts[i].bytes * 1e-6, (int)d->parts[i].tensors);
}

static void print_dims(const safetensors_tensor *t) {
    putchar('[');
    for (int32_t i = 0; i < t->rank; i++) printf("%s%lld", i ? "," : "", (long long)t->dims[i]);
    putchar(']');
}

static void print_tensors(const description *d) {
    for (int32_t i = 0; i < d->file.count; i++) {
        const safetensors_tensor *t = &d->file.tensors[i];
        printf("%-34s %-5s ", t->name, safetensors_dtype_name(t->dtype));
        print_dims(t);
        putchar('\n');
    }
}

/* ---- as JSON ----------------------------------------------------------------------------------------------------- */

static void print_json_string(const char *text, size_t bytes) {
    size_t size = json_escape(NULL, 0, text, bytes) + 1;
    char *escaped = malloc(size);
    if (escaped) json_escape(escaped, size, text, bytes);
    printf("\"%s\"", escaped ? escaped : "");
    free(escaped);
}

static void print_json_part(const char *name, const part *p) {
    printf("\"%s\":{\"tensors\":%d,\"parameters\":%lld,\"bytes\":%zu}", name, (int)p->tensors, (long long)p->parameters,
           p->bytes);
}

static void print_json(const description *d, bool tensors) {
    enum { SHOWN = 16 };
    char config[MODEL_CONFIG_TEXT];
    model_config_write(&d->config, config);
    printf("{\"file\":");
    print_json_string(d->path, strlen(d->path));
    printf(",\"backbone\":\"DiT\",\"precision\":\"%s\",\"vocoder_precision\":\"%s\",\"config\":%s,\"first_tokens\":[",
           d->precision, d->vocoder_precision, config);
    for (int32_t i = 0; i < d->vocab.size && i < SHOWN; i++) {
        if (i) putchar(',');
        print_json_string(d->vocab.token[i], d->vocab.length[i]);
    }
    printf("],");
    print_json_part("total", &d->total);
    printf(",\"parts\":{");
    for (int i = 0; i < PARTS; i++) {
        if (i) putchar(',');
        print_json_part(part_names[i], &d->parts[i]);
    }
    putchar('}');
    for (int32_t i = 0; tensors && i < d->file.count; i++) {
        const safetensors_tensor *t = &d->file.tensors[i];
        printf("%s{\"name\":", i ? "," : ",\"tensors\":[");
        print_json_string(t->name, strlen(t->name));
        printf(",\"dtype\":\"%s\",\"shape\":", safetensors_dtype_name(t->dtype));
        print_dims(t);
        printf("}%s", i + 1 == d->file.count ? "]" : "");
    }
}

static f5_status show(const description *d, const info_options *o, f5_error *error) {
    f5_engine_info info;
    f5_plan_info plan;
    f5_engine_info_init(&info);
    f5_plan_info_init(&plan);
    if (o->plan) F5_TRY(open_plan(d->path, o, &info, &plan, error)); /* before any output: it may fail */
    if (o->json)
        print_json(d, o->tensors);
    else
        print_text(d);
    if (o->plan) print_plan(o, &info, &plan, o->json);
    if (o->json)
        printf("}\n");
    else if (o->tensors)
        print_tensors(d);
    return F5_OK;
}

int cmd_info(int argc, char **argv) {
    info_options o = {.frames = 1024, .sequences = 1, .nfe = 32, .device = "auto"};
    const char *path = NULL;
    int n_paths = 0;
    const cli_option options[] = {
        {"json", NULL, CLI_FLAG, &o.json, .help = "as one JSON object"},
        {"tensors", "t", CLI_FLAG, &o.tensors, .help = "list every tensor"},
        {"plan", NULL, CLI_FLAG, &o.plan, .help = "what a synthesis would take; opens the model"},
        {"frames", NULL, CLI_INT, &o.frames, .min = 2, .max = 65536, .argument = "N",
         .help = "of the plan, reference included; default 1024 (10.9 s)"},
        {"sequences", NULL, CLI_INT, &o.sequences, .min = 1, .max = 256, .argument = "N",
         .help = "of the plan, sharing the frames; default 1"},
        {"nfe", NULL, CLI_INT, &o.nfe, .min = 1, .max = 1024, .argument = "N",
         .help = "Euler steps of the plan; default 32"},
        {"device", NULL, CLI_STRING, &o.device, .argument = "NAME", .help = "of the plan; default auto"},
        {0}};
    const cli_command command = {.program = "f5tts info",
                                 .usage = "FILE.f5 [options]",
                                 .summary = "Shows what a .f5 model file holds.\n",
                                 .options = options,
                                 .positional = &path,
                                 .max_positional = 1,
                                 .n_positional = &n_paths};
    cli_outcome outcome = cli_parse(&command, argc, argv);
    if (outcome != CLI_RUN) return cli_exit_code(outcome);
    if (n_paths != 1) return cli_usage_error(&command, "name one .f5 file");
    description d;
    f5_error error = {0};
    f5_status status = describe(&d, path, &error);
    if (status == F5_OK) status = show(&d, &o, &error);
    vocab_free(&d.vocab);
    safetensors_close(&d.file);
    return status == F5_OK ? CLI_EXIT_OK : cli_failure(&command, "%s", error.message);
}
