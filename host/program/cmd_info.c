/* cmd_info.c — `f5tts info`: what a .f5 file holds, and what running it would take. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/api/f5tts.h"
#include "host/files/json_text.h"
#include "host/program/cli.h"
#include "host/program/model_file.h"
#include "host/program/model_settings.h"
#include "host/program/plan_table.h"

/* What is told of a file. */
typedef struct {
    const char *path;
    f5_model_file *file;
    f5_model_info info;
} description;

typedef struct {
    bool json, tensors, plan, ops, all;
    int32_t frames, sequences, nfe;
    const char *device, *as, *precision, *vocoder_precision;
} info_options;

/* What running it would take. The names of an engine's info live as long as the engine, so that none is kept. */
typedef struct {
    int64_t weight_bytes;
    double seconds; /* of its frames */
    f5_plan_info cost;
    plan_table ops; /* empty where they are not asked for */
} info_plan;

static f5_status describe(description *d, const char *path, f5_error *error) {
    *d = (description){.path = path};
    return model_describe(path, &d->file, &d->info, error);
}

/* ---- one of many; an index within d->info is never refused ------------------------------------------------------- */

static f5_model_setting setting_at(const description *d, int32_t i) {
    f5_model_setting s;
    f5_model_setting_init(&s);
    (void)f5_model_file_setting(d->file, i, &s, NULL);
    return s;
}

static const char *setting(const description *d, const char *name) {
    return model_setting(d->file, name);
}

static bool flag(const description *d, const char *name) {
    return strcmp(setting(d, name), "true") == 0;
}

static f5_model_part part_at(const description *d, int32_t i) {
    f5_model_part p;
    f5_model_part_init(&p);
    (void)f5_model_file_part(d->file, i, &p, NULL);
    return p;
}

static f5_model_tensor tensor_at(const description *d, int32_t i) {
    f5_model_tensor t;
    f5_model_tensor_init(&t);
    (void)f5_model_file_tensor(d->file, i, &t, NULL);
    return t;
}

static f5_model_token token_at(const description *d, int32_t id) {
    f5_model_token t;
    f5_model_token_init(&t);
    (void)f5_model_file_token(d->file, id, &t, NULL);
    return t;
}

/* ---- what running it would take ---------------------------------------------------------------------------------- */

static f5_status plan_ops(const f5_engine *engine, const info_options *o, int32_t method, plan_table *table,
                          f5_error *error) {
    f5_sample_params sample;
    f5_plan_ops_params wanted;
    f5_sample_params_init(&sample);
    f5_plan_ops_params_init(&wanted);
    sample.nfe = o->nfe;
    sample.method = method;
    wanted.frames = o->frames;
    wanted.sequences = o->sequences;
    wanted.sample = &sample;
    wanted.as = o->as;
    wanted.precision = o->precision;
    wanted.vocoder_precision = o->vocoder_precision;
    return plan_table_make(table, engine, &wanted, error);
}

static f5_status open_plan(const char *path, const info_options *o, info_plan *plan, f5_error *error) {
    f5_open_params params;
    f5_open_params_init(&params);
    params.model_path = path;
    params.device = o->device;
    params.max_frames = o->frames;
    params.max_batch = o->sequences;
    params.max_evaluations = o->nfe;
    f5_engine *engine;
    F5_TRY(f5_open(&params, &engine, error));
    f5_engine_info info;
    f5_engine_info_init(&info);
    f5_plan_info_init(&plan->cost);
    f5_status status = f5_get_info(engine, &info, error);
    if (status == F5_OK) status = f5_plan(engine, o->frames, o->sequences, o->nfe, &plan->cost, error);
    if (status == F5_OK && o->ops) status = plan_ops(engine, o, info.default_method, &plan->ops, error);
    plan->weight_bytes = info.weight_bytes;
    const int64_t hop = f5_vocode_samples(engine, 2) - f5_vocode_samples(engine, 1);
    plan->seconds = (double)o->frames * (double)hop / info.sample_rate;
    f5_close(engine);
    return status;
}

static void print_plan(const info_options *o, const info_plan *plan) {
    const f5_plan_info *cost = &plan->cost;
    if (o->json) {
        printf(",\"plan\":{\"frames\":%d,\"sequences\":%d,\"nfe\":%d,\"op_calls\":%lld,\"flop\":%.0f,"
               "\"arena_bytes\":%lld,\"weight_bytes\":%lld",
               (int)o->frames, (int)o->sequences, (int)o->nfe, (long long)cost->op_calls, cost->flop,
               (long long)cost->arena_bytes, (long long)plan->weight_bytes);
        if (o->ops) printf(",\"ops\":");
        if (o->ops) plan_table_print_json(&plan->ops);
        putchar('}');
        return;
    }
    printf("plan            %d frames (%.1f s) in %d sequence%s, %d steps\n", (int)o->frames, plan->seconds,
           (int)o->sequences, o->sequences == 1 ? "" : "s", (int)o->nfe);
    printf("  work          %.2f TFLOP in %lld op calls\n", cost->flop * 1e-12, (long long)cost->op_calls);
    printf("  memory        %.1f MB of weights, %.1f MB of working memory\n", (double)plan->weight_bytes * 1e-6,
           (double)cost->arena_bytes * 1e-6);
    if (o->ops) plan_table_print(&plan->ops, o->all);
}

/* ---- as text ----------------------------------------------------------------------------------------------------- */

static void print_dit(const description *d) {
    printf("backbone        DiT, width %s, %s blocks, %s heads of 64, feed-forward %s\n", setting(d, "backbone.dim"),
           setting(d, "backbone.depth"), setting(d, "backbone.heads"), setting(d, "backbone.ff_dim"));
    printf("                rotary ");
    if (atoi(setting(d, "backbone.pe_attn_head")) < 0)
        printf("on all heads");
    else
        printf("on the first %s of %s heads", setting(d, "backbone.pe_attn_head"), setting(d, "backbone.heads"));
    printf("%s%s\n", flag(d, "backbone.qk_norm") ? ", q/k norm" : "",
           flag(d, "backbone.long_skip") ? ", long skip" : "");
}

static void print_convnext_text(const description *d) {
    printf("text            width %s, %s ConvNeXt V2 blocks, padding %s%s\n", setting(d, "text.dim"),
           setting(d, "text.blocks"), flag(d, "text.mask_padding") ? "masked" : "not masked",
           flag(d, "text.average_upsampling") ? ", repeated over the frames" : "");
}

static void print_vocos(const description *d) {
    printf("vocoder         Vocos, width %s, %s layers, feed-forward %s, padding %s\n", setting(d, "vocoder.dim"),
           setting(d, "vocoder.layers"), setting(d, "vocoder.ff_dim"),
           flag(d, "vocoder.same_padding") ? "same" : "center");
}

/* What the model asks for when it speaks, where it asks for something. */
static void print_speech(const description *d) {
    static const struct {
        const char *name, *title;
    } speeds[] = {{"speech.short_speed", "short texts"}, {"speech.slowest", "slowest"}, {"speech.fastest", "fastest"}};
    static const char *const cuts[] = {"as upstream", "at sentences", "each sentence by itself"};
    const char *language = setting(d, "speech.normalize"), *cut = setting(d, "speech.chunking"), *comma = "";
    char line[256] = "";
    size_t used = 0;
    if (*language) used += (size_t)snprintf(line, sizeof line, "normalize %s", language), comma = ", ";
    for (size_t i = 0; i < sizeof speeds / sizeof *speeds; i++) {
        const char *percent = setting(d, speeds[i].name);
        if (!*percent || used >= sizeof line) continue;
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%s %s %%", comma, speeds[i].title, percent);
        comma = ", ";
    }
    int index = atoi(cut);
    if (*cut && index >= 0 && index < 3 && used < sizeof line)
        used += (size_t)snprintf(line + used, sizeof line - used, "%scut %s", comma, cuts[index]);
    if (used > 0) printf("speech          %s\n", line);
}

/* How the model asks to be spoken with, where it asks. */
static void print_defaults(const f5_model_info *info) {
    const bool solver = info->default_nfe > 0;
    const char *precision = info->default_precision;
    if (!solver && !precision) return;
    printf("asks for        ");
    if (solver) printf("%s, %d steps", method_names[info->default_method], (int)info->default_nfe);
    printf("%s%s\n", solver && precision ? ", " : "", precision ? precision : "");
}

/* One line each: what has control characters is no model's. */
static void print_rights(const f5_model_info *info) {
    if (*info->license) printf("licence         %s\n", info->license);
    if (*info->credit) printf("credit          %s\n", info->credit);
}

/* A part of another kind than those above: its settings as the file has them. */
static void print_part(const description *d, const char *part, const char *kind) {
    printf("%-15s %s", part, kind);
    model_settings_print(d->file, part);
    putchar('\n');
}

static void print_text(const description *d) {
    enum { SHOWN = 8, TOKEN_BYTES = 63 };
    const f5_model_info *info = &d->info;
    printf("%s: %s\n", d->path, info->name);
    if (strcmp(info->backbone, "DiT") == 0)
        print_dit(d);
    else
        print_part(d, "backbone", info->backbone);
    if (*setting(d, "text.blocks"))
        print_convnext_text(d);
    else
        print_part(d, "text", *setting(d, "text.dim") ? "a stream of its own" : "phonemes");
    printf("vocabulary      %s, %s tokens", info->tokenizer, setting(d, "vocab_size"));
    for (int32_t i = 0; i < info->tokens && i < SHOWN; i++) {
        f5_model_token t = token_at(d, i);
        printf("%s \"", i == 0 ? ":" : "");
        json_write_escaped(stdout, t.text, (size_t)t.bytes, TOKEN_BYTES);
        putchar('"');
    }
    printf("%s\n", info->tokens > SHOWN ? " ..." : "");
    if (info->pinyin_bytes)
        printf("Chinese         spelled by tables of %.1f MB\n", (double)info->pinyin_bytes * 1e-6);
    else if (strcmp(info->tokenizer, "pinyin") == 0 || strcmp(info->tokenizer, "custom") == 0)
        printf("Chinese         refused: the file carries no tables for it\n");
    if (strcmp(info->vocoder, "Vocos") == 0)
        print_vocos(d);
    else
        print_part(d, "vocoder", info->vocoder);
    print_speech(d);
    print_defaults(info);
    print_rights(info);
    printf("precision       %s", info->precision);
    if (info->wide_matrices > 0)
        printf(" but for %d of %d matrices", (int)info->wide_matrices,
               (int)(info->wide_matrices + info->int8_matrices));
    printf(", vocoder %s\n", info->vocoder_precision);
    printf("size            %12lld parameters %10.1f MB in %d tensors\n", (long long)info->parameters,
           (double)info->bytes * 1e-6, (int)info->tensors);
    for (int32_t i = 0; i < info->parts; i++) {
        f5_model_part p = part_at(d, i);
        printf("  %-13s %12lld            %10.1f MB    %d\n", p.title, (long long)p.parameters, (double)p.bytes * 1e-6,
               (int)p.tensors);
    }
}

static void print_dims(const f5_model_tensor *t) {
    putchar('[');
    for (int32_t i = 0; i < t->rank; i++) printf("%s%lld", i ? "," : "", (long long)t->dims[i]);
    putchar(']');
}

static void print_tensors(const description *d) {
    for (int32_t i = 0; i < d->info.tensors; i++) {
        f5_model_tensor t = tensor_at(d, i);
        printf("%-34s %-5s ", t.name, t.type);
        print_dims(&t);
        putchar('\n');
    }
}

/* ---- as JSON ----------------------------------------------------------------------------------------------------- */

static void print_json_text(const char *text) {
    json_write_string(stdout, text, strlen(text));
}

/* The settings of a part, "part.name", stand together: they are an object of their own. */
static void print_json_config(const description *d) {
    const char *group = "";
    size_t length = 0; /* of the group's name; 0: outside */
    for (int32_t i = 0; i < d->info.settings; i++) {
        f5_model_setting s = setting_at(d, i);
        const char *dot = strchr(s.name, '.');
        size_t prefix = dot ? (size_t)(dot - s.name) : 0;
        bool same = prefix == length && strncmp(s.name, group, length) == 0;
        if (!same && length) putchar('}');
        putchar(i ? ',' : '{');
        if (!same && prefix) {
            json_write_string(stdout, s.name, prefix);
            printf(":{");
        }
        group = s.name, length = prefix;
        print_json_text(dot ? dot + 1 : s.name);
        putchar(':');
        if (s.is_text)
            print_json_text(s.value);
        else
            printf("%s", s.value);
    }
    printf(length ? "}}" : "}");
}

static void print_json_size(const char *name, int32_t tensors, int64_t parameters, int64_t bytes) {
    printf("\"%s\":{\"tensors\":%d,\"parameters\":%lld,\"bytes\":%lld}", name, (int)tensors, (long long)parameters,
           (long long)bytes);
}

static void print_json(const description *d, bool tensors) {
    enum { SHOWN = 16 };
    const f5_model_info *info = &d->info;
    printf("{\"file\":");
    print_json_text(d->path);
    printf(",\"backbone\":\"%s\",\"precision\":\"%s\",\"vocoder_precision\":\"%s\",\"config\":", info->backbone,
           info->precision, info->vocoder_precision);
    print_json_config(d);
    printf(",\"license\":");
    print_json_text(info->license);
    printf(",\"credit\":");
    print_json_text(info->credit);
    printf(",\"int8_matrices\":%d,\"wide_matrices\":%d", (int)info->int8_matrices, (int)info->wide_matrices);
    printf(",\"first_tokens\":[");
    for (int32_t i = 0; i < info->tokens && i < SHOWN; i++) {
        f5_model_token t = token_at(d, i);
        if (i) putchar(',');
        json_write_string(stdout, t.text, (size_t)t.bytes);
    }
    printf("],\"pinyin_bytes\":%lld,", (long long)info->pinyin_bytes);
    print_json_size("total", info->tensors, info->parameters, info->bytes);
    printf(",\"parts\":{");
    for (int32_t i = 0; i < info->parts; i++) {
        f5_model_part p = part_at(d, i);
        if (i) putchar(',');
        print_json_size(p.name, p.tensors, p.parameters, p.bytes);
    }
    putchar('}');
    for (int32_t i = 0; tensors && i < info->tensors; i++) {
        f5_model_tensor t = tensor_at(d, i);
        printf("%s{\"name\":", i ? "," : ",\"tensors\":[");
        print_json_text(t.name);
        printf(",\"dtype\":\"%s\",\"shape\":", t.type);
        print_dims(&t);
        printf("}%s", i + 1 == info->tensors ? "]" : "");
    }
}

static f5_status show(const description *d, const info_options *o, f5_error *error) {
    info_plan plan = {0};
    if (o->plan) F5_TRY(open_plan(d->path, o, &plan, error)); /* before any output: it may fail */
    if (o->json)
        print_json(d, o->tensors);
    else
        print_text(d);
    if (o->plan) print_plan(o, &plan);
    plan_table_free(&plan.ops);
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
         .help = "of the plan, reference included; F5 has 93.75 a second", .unit = "frames"},
        {"sequences", NULL, CLI_INT, &o.sequences, .min = 1, .max = 256, .argument = "N",
         .help = "of the plan, sharing the frames", .unit = "sequences"},
        {"nfe", NULL, CLI_INT, &o.nfe, .min = 1, .max = 1024, .argument = "N",
         .help = "of the plan, by the method that the model asks for", .unit = "steps"},
        {"device", NULL, CLI_STRING, &o.device, .argument = "NAME", .help = "of the plan",
         .words = "auto|cpu|cpu:sse2|cpu:avx2|cpu:avx512|cuda|cuda:0"},
        {"ops", NULL, CLI_FLAG, &o.ops,
         .help = "with --plan: every op call as a GPU runs it: path, tile, stages, waves, floor"},
        {"as", NULL, CLI_STRING, &o.as, .argument = "CARD",
         .help = "with --ops: as that card, which need not be here, say h200", .usual = "this GPU"},
        {"precision", NULL, CLI_STRING, &o.precision, .argument = "TYPE", .help = "with --ops: of the operands",
         .words = "fp32|fp16|bf16|int8", .usual = "fp16, int8 of a file in 8 bits"},
        {"vocoder_precision", NULL, CLI_STRING, &o.vocoder_precision, .argument = "TYPE",
         .help = "with --ops: of the vocoder's; 16 bits: BigVGAN, MB-iSTFT", .words = "fp32|fp16|bf16",
         .usual = "fp32"},
        {"all", NULL, CLI_FLAG, &o.all,
         .help = "with --ops: each evaluation and block by itself, as --json always has them"},
        {0}};
    const cli_command command = {.program = "f5tts info",
                                 .usage = "FILE.f5 | NAME [options]",
                                 .summary = "Shows what a .f5 model file holds.\n",
                                 .options = options,
                                 .positional = &path,
                                 .max_positional = 1,
                                 .n_positional = &n_paths,
                                 .positional_kind = CLI_MODEL};
    cli_outcome outcome = cli_parse(&command, argc, argv);
    if (outcome != CLI_RUN) return cli_exit_code(outcome);
    if (n_paths != 1) return cli_usage_error(&command, "name one .f5 file");
    if (o.ops && !o.plan) return cli_usage_error(&command, "--ops belongs to a plan: add --plan");
    if ((o.as || o.precision || o.vocoder_precision || o.all) && !o.ops)
        return cli_usage_error(
            &command, "--as, --precision, --vocoder_precision and --all belong to a plan's ops: add --plan --ops");
    description d = {0};
    f5_error error = {0};
    char *named = NULL; /* where the model of a name lies */
    f5_status status = F5_OK;
    if (!strpbrk(path, "/.") && access(path, F_OK) != 0) {
        const model_wish wish = {.model = path};
        status = model_file(&wish, command.program, false, &named, &error);
    }
    if (status == F5_OK) status = describe(&d, named ? named : path, &error);
    if (status == F5_OK) status = show(&d, &o, &error);
    f5_model_file_close(d.file);
    free(named);
    return status == F5_OK ? CLI_EXIT_OK : cli_failure(&command, "%s", error.message);
}
