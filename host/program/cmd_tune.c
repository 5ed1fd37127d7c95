/* cmd_tune.c — `f5tts tune`: a model's precisions and solver settings beside each other, on the user's own machine,
 * voice and texts; which of them is fast and near enough; and that written into the model file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/files/json_text.h"
#include "host/files/text_file.h"
#include "host/program/interruption.h"
#include "host/program/model_file.h"
#include "host/program/model_settings.h"
#include "host/program/speech_voices.h"
#include "host/program/tune_trial.h"

enum { MAX_TEXTS = 1000, MAX_SETTINGS = 64, MAX_PRECISIONS = 4, MAX_TEXT_BYTES = 1 << 20, MOST_STEPS = 64 };

/* The one that others are held against, and upstream's. */
static const tune_setting usual = {F5_METHOD_EULER, 32};

typedef struct {
    const char *precision; /* one that f5_open knows */
    tune_setting setting;
    tune_result result;
} tune_row;

typedef struct {
    cli_command command;
    speech_options o;
    const char *texts_path;
    cli_list wanted; /* settings as given */
    int32_t exact_steps;
    float tolerance; /* 0: that of Euler with 32 steps */
    bool write, json, quiet;
    config_file config; /* none is read */
    speech_voices voices;
    char *model, *text;
    const char *line[MAX_TEXTS];
    int32_t n_lines;
    tune_setting setting[MAX_SETTINGS];
    int32_t n_settings;
    tune_row row[MAX_SETTINGS * MAX_PRECISIONS];
    int32_t n_rows;
    double bound;
    char name[64], device[64], path[32];
    int32_t int8_matrices, wide_matrices; /* of the file */
    bool in_8_bits;                       /* it is opened so unless another precision is asked for */
    tune_trial trial;
    cli_progress bar;
} tune_run;

/* ---- what is tried ----------------------------------------------------------------------------------------------- */

static bool read_setting(const char *text, tune_setting *s) {
    char method[16];
    const char *colon = strchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof method) return false;
    memcpy(method, text, (size_t)(colon - text));
    method[colon - text] = '\0';
    char *end;
    const long steps = colon[1] >= '0' && colon[1] <= '9' ? strtol(colon + 1, &end, 10) : 0;
    *s = (tune_setting){cli_find_word(TUNE_METHODS, method), (int32_t)(steps <= MOST_STEPS ? steps : 0)};
    return s->method >= 0 && s->steps > 0 && *end == '\0' && tune_evaluations(*s) <= MOST_STEPS;
}

/* false: *bad is none. */
static bool read_settings(tune_run *r, const char **bad) {
    static const char *const known[] = {"euler:32", "euler:16", "euler:7", "midpoint:16", "midpoint:8",
                                        "ab2:6",    "ab2:8",    "ab2:10",  "ab2:12",      "ab2:16"};
    const int n = r->wanted.count ? r->wanted.count : (int)(sizeof known / sizeof *known);
    for (int i = 0; i < n; i++) {
        *bad = r->wanted.count ? r->wanted.item[i] : known[i];
        if (r->n_settings == MAX_SETTINGS || !read_setting(*bad, &r->setting[r->n_settings])) return false;
        r->n_settings++;
    }
    return true;
}

static f5_status take_texts(tune_run *r, f5_error *error) {
    static const char usual_texts[] = "The children are playing in the garden.\n"
                                      "It was late when she came home, and the house was dark.\n"
                                      "Would you open the window, please?\n"
                                      "He had walked along the river for an hour before he met anyone at all.\n";
    if (r->texts_path) {
        F5_TRY(text_file_read(r->texts_path, MAX_TEXT_BYTES, &r->text, NULL, error));
    } else if (!(r->text = strdup(usual_texts))) {
        return f5_fail(error, F5_E_MEMORY, "no memory for the texts");
    }
    for (char *at = r->text; at;) {
        char *end = strchr(at, '\n'), *next = end ? end + 1 : NULL;
        if (end) *end = '\0';
        if (!f5_text_is_blank(at)) {
            if (r->n_lines == MAX_TEXTS)
                return f5_fail(error, F5_E_ARGUMENT, "%s: has more than %d texts", r->texts_path, MAX_TEXTS);
            r->line[r->n_lines++] = at;
        }
        at = next;
    }
    return r->n_lines > 0 ? F5_OK : f5_fail(error, F5_E_ARGUMENT, "%s: holds no text", r->texts_path);
}

/* ---- trying ------------------------------------------------------------------------------------------------------ */

/* All settings in a precision. One that this model cannot run in is told of, unless it was asked for. */
static f5_status try_precision(tune_run *r, const char *precision, int32_t *done, int32_t of, f5_error *error) {
    f5_error why;
    const f5_status opened = tune_open(&r->trial, precision, MOST_STEPS, &why);
    if (opened == F5_E_UNSUPPORTED && !r->o.precision) {
        cli_note(&r->command, "%s", why.message);
        return F5_OK;
    }
    if (opened != F5_OK) return f5_fail(error, opened, "%s", why.message);
    for (int32_t i = 0; i < r->n_settings; i++) {
        tune_row *row = &r->row[r->n_rows];
        *row = (tune_row){.precision = precision, .setting = r->setting[i]};
        F5_TRY(tune_try(&r->trial, row->setting, &row->result, error));
        r->n_rows++;
        ++*done;
        if (!r->quiet) cli_progress_report(&r->bar, *done, of);
    }
    return F5_OK;
}

/* What a tolerance is when none is given: how far Euler with 32 steps is, in the precision that is tried first. */
static f5_status settle_bound(tune_run *r, f5_error *error) {
    r->bound = r->tolerance;
    if (r->tolerance > 0) return F5_OK;
    for (int32_t i = 0; i < r->n_rows; i++)
        if (r->row[i].setting.method == usual.method && r->row[i].setting.steps == usual.steps) {
            r->bound = r->row[i].result.worst;
            return F5_OK;
        }
    tune_result result;
    F5_TRY(tune_try(&r->trial, usual, &result, error));
    r->bound = result.worst;
    return F5_OK;
}

/* A file of 8 bits may have some matrices in 16: its int8 is both kinds. */
static f5_status look_at_file(tune_run *r, f5_error *error) {
    f5_model_info info;
    f5_model_file *file;
    F5_TRY(model_describe(r->model, &file, &info, error));
    r->int8_matrices = info.int8_matrices;
    r->wide_matrices = info.wide_matrices;
    r->in_8_bits = strcmp(info.precision, "int8") == 0;
    f5_model_file_close(file);
    return F5_OK;
}

static f5_status try_all(tune_run *r, f5_error *error) {
    F5_TRY(look_at_file(r, error));
    F5_TRY(tune_open(&r->trial, "fp32", 2 * r->exact_steps, error));
    f5_engine_info info;
    f5_engine_info_init(&info);
    F5_TRY(f5_get_info(r->trial.engine, &info, error));
    snprintf(r->name, sizeof r->name, "%s", info.name);
    snprintf(r->device, sizeof r->device, "%s", info.device);
    snprintf(r->path, sizeof r->path, "%s", info.path);
    const bool cpu = strcmp(info.device, "cpu") == 0;
    const char *precision[MAX_PRECISIONS] = {cpu ? "fp32" : "fp16", "int8"};
    int n = 2;
    if (!cpu) precision[n++] = "fp32";
    if (r->o.precision) precision[0] = r->o.precision, n = 1;
    const int32_t of = 1 + n * r->n_settings;
    int32_t done = 1;
    if (!r->quiet) cli_progress_begin(&r->bar, "tuning");
    f5_status status = tune_exact(&r->trial, r->exact_steps, error);
    if (status == F5_OK && !r->quiet) cli_progress_report(&r->bar, done, of);
    for (int i = 0; i < n && status == F5_OK; i++) {
        status = try_precision(r, precision[i], &done, of, error);
        if (i == 0 && status == F5_OK) status = settle_bound(r, error);
    }
    if (!r->quiet) cli_progress_end(&r->bar);
    return status;
}

/* The quickest that is near enough; NULL: none is. */
static const tune_row *best(const tune_run *r) {
    const tune_row *found = NULL;
    for (int32_t i = 0; i < r->n_rows; i++) {
        const tune_result *x = &r->row[i].result;
        if (x->worst <= r->bound && (!found || x->seconds < found->result.seconds)) found = &r->row[i];
    }
    return found;
}

/* ---- what is told ------------------------------------------------------------------------------------------------ */

static void print_table(const tune_run *r, const tune_row *chosen) {
    printf("%s on %s (%s): %d texts, %.2f s of speech; distances from midpoint with %d steps in fp32\n", r->name,
           r->device, r->path, (int)r->n_lines, r->trial.speech_seconds, (int)r->exact_steps);
    if (r->wide_matrices > 0)
        printf("int8 but for %d of %d matrices, which the file has in 16 bits\n", (int)r->wide_matrices,
               (int)(r->wide_matrices + r->int8_matrices));
    printf("%-10s%-10s%6s%13s%16s%16s%10s%10s\n", "precision", "method", "steps", "evaluations", "ms a second",
           "joules a second", "median", "worst");
    for (int32_t i = 0; i < r->n_rows; i++) {
        const tune_row *x = &r->row[i];
        char joules[32] = "not told";
        if (x->result.joules >= 0) snprintf(joules, sizeof joules, "%.2f", x->result.joules);
        printf("%-10s%-10s%6d%13d%16.1f%16s%10.4f%10.4f%s\n", x->precision, method_names[x->setting.method],
               (int)x->setting.steps, (int)tune_evaluations(x->setting), 1e3 * x->result.seconds, joules,
               x->result.median, x->result.worst, x == chosen ? "  *" : "");
    }
    if (chosen)
        printf("* the quickest of those within %.4f: --precision %s --method %s --nfe_step %d\n", r->bound,
               chosen->precision, method_names[chosen->setting.method], (int)chosen->setting.steps);
    else
        printf("none is within %.4f\n", r->bound);
}

static void print_row(const tune_row *x) {
    printf("{\"precision\":\"%s\",\"method\":\"%s\",\"steps\":%d,\"evaluations\":%d,\"seconds\":%.9g,\"joules\":",
           x->precision, method_names[x->setting.method], (int)x->setting.steps, (int)tune_evaluations(x->setting),
           x->result.seconds);
    if (x->result.joules >= 0)
        printf("%.9g", x->result.joules);
    else
        printf("null");
    printf(",\"median\":%.9g,\"worst\":%.9g}", x->result.median, x->result.worst);
}

static void print_json(const tune_run *r, const tune_row *chosen) {
    printf("{\"model\":");
    json_write_string(stdout, r->name, strlen(r->name));
    printf(",\"device\":");
    json_write_string(stdout, r->device, strlen(r->device));
    printf(",\"int8_matrices\":%d,\"wide_matrices\":%d", (int)r->int8_matrices, (int)r->wide_matrices);
    printf(",\"texts\":%d,\"speech_seconds\":%.9g,\"exact_steps\":%d,\"tolerance\":%.9g,\"rows\":[", (int)r->n_lines,
           r->trial.speech_seconds, (int)r->exact_steps, r->bound);
    for (int32_t i = 0; i < r->n_rows; i++) {
        if (i) printf(",\n");
        print_row(&r->row[i]);
    }
    printf("],\"recommended\":");
    if (chosen)
        print_row(chosen);
    else
        printf("null");
    printf("}\n");
}

/* A precision that the device has anyway is not written: the file may be used on another one. */
static f5_status write_defaults(tune_run *r, const tune_row *chosen, f5_error *error) {
    if (!chosen)
        return f5_fail(error, F5_E_ARGUMENT,
                       "no setting is within %.4f: nothing was written; give a larger --tolerance, or --setting with "
                       "more steps",
                       r->bound);
    const bool of_device = strcmp(chosen->precision, strcmp(r->device, "cpu") == 0 ? "fp32" : "fp16") == 0;
    f5_model_defaults d;
    f5_model_defaults_init(&d);
    d.method = chosen->setting.method;
    d.nfe = chosen->setting.steps;
    d.precision = of_device && !r->in_8_bits ? NULL : chosen->precision;
    if (strcmp(chosen->precision, "fp16") == 0 || strcmp(chosen->precision, "bf16") == 0) d.precision = NULL;
    tune_close(&r->trial); /* with its threads, which signals would come to */
    interruption ending;
    interruption_begin(&ending); /* a file that is half written is not left */
    const f5_status status = f5_set_model_defaults(r->model, &d, error);
    interruption_end(&ending);
    F5_TRY(status);
    if (!r->quiet) cli_note(&r->command, "written into %s", r->model);
    return F5_OK;
}

static f5_status run(tune_run *r, f5_error *error) {
    F5_TRY(take_texts(r, error));
    F5_TRY(speech_voices_check(&r->voices, error));
    r->trial = (tune_trial){.o = &r->o,
                            .model = r->model,
                            .voice = &r->voices.main,
                            .text = r->line,
                            .n_texts = r->n_lines,
                            .warning = speech_options_warn,
                            .warning_user = &r->command};
    F5_TRY(try_all(r, error));
    const tune_row *chosen = best(r);
    (r->json ? print_json : print_table)(r, chosen);
    return r->write ? write_defaults(r, chosen, error) : F5_OK;
}

/* ---- command line ------------------------------------------------------------------------------------------------ */

static int tune(tune_run *r, int argc, char **argv) {
    cli_option table[SPEECH_OPTIONS_MAX], *to = table;
    speech_options *o = &r->o;
    speech_options_init(o);
    o->seed = 1;
    *to++ = (cli_option){"texts",
                         "f",
                         CLI_STRING,
                         &r->texts_path,
                         .argument = "FILE",
                         .help = "what is spoken for it, a text a line",
                         .usual = "four English sentences",
                         .kind = CLI_FILE};
    *to++ = (cli_option){"setting",
                         NULL,
                         CLI_LIST,
                         &r->wanted,
                         .argument = "METHOD:STEPS",
                         .help = "one to try, as ab2:10",
                         .usual = "ten of the three methods"};
    *to++ = (cli_option){"tolerance",
                         NULL,
                         CLI_FLOAT,
                         &r->tolerance,
                         .min = 0,
                         .max = 10,
                         .argument = "X",
                         .help = "how far any text may be from the exact solution, as a part of it; 0: as far as "
                                 "euler:32 is",
                         .unit = ""};
    *to++ = (cli_option){
        "exact_steps",  NULL,       CLI_INT,         &r->exact_steps,
        .min = 8,       .max = 512, .argument = "N", .help = "of the midpoint method, which is taken for exact",
        .unit = "steps"};
    *to++ = (cli_option){"write", NULL, CLI_FLAG, &r->write,
                         .help = "make what is recommended the model file's default, for who does not ask for another"};
    *to++ = (cli_option){"json", NULL, CLI_FLAG, &r->json, .help = "all of it as a JSON object"};
    *to++ = (cli_option){"quiet", "q", CLI_FLAG, &r->quiet, .help = "no progress"};
    to = speech_options_voice(to, o);
    to = speech_options_model(to, o);
    *to = (cli_option){0};
    r->command.options = table;
    cli_outcome outcome = cli_parse(&r->command, argc, argv);
    if (outcome != CLI_RUN) return cli_exit_code(outcome);
    if (o->ref_text && !o->ref_audio)
        return cli_usage_error(&r->command, "--ref_text: the words of which recording? give --ref_audio too");
    const char *bad;
    if (!read_settings(r, &bad))
        return cli_usage_error(&r->command,
                               "--setting %s: METHOD:STEPS is wanted, of euler, midpoint and ab2, with at most %d "
                               "evaluations, as ab2:10",
                               bad, MOST_STEPS);
    f5_error error = {0};
    if (speech_options_check(o, &error) != F5_OK) return cli_usage_error(&r->command, "%s", error.message);
    const model_wish wish = speech_options_wish(o);
    transcriber none = speech_options_transcriber(o, NULL);
    f5_status status = model_file(&wish, r->command.program, r->quiet, &r->model, &error);
    speech_options of_model = *o; /* it tries settings of its own */
    if (status == F5_OK) status = speech_options_of_model(&of_model, r->model, false, &error);
    if (status == F5_OK) status = speech_voices_find(&r->voices, true, o, &r->config, r->texts_path, &none, &error);
    transcriber_free(&none);
    if (status == F5_E_ARGUMENT) return cli_usage_error(&r->command, "%s", error.message);
    if (status == F5_OK) status = run(r, &error);
    return status == F5_OK ? CLI_EXIT_OK : cli_failure(&r->command, "%s", error.message);
}

int cmd_tune(int argc, char **argv) {
    tune_run *r = calloc(1, sizeof *r);
    if (!r) return CLI_EXIT_FAILED;
    r->exact_steps = 96;
    r->command = (cli_command){
        .program = "f5tts tune",
        .usage = "[--model FILE.f5] [--ref_audio FILE --ref_text TEXT] [--texts FILE] [options]",
        .summary =
            "Tries a model's precisions and solver settings on this machine: how long each takes, what the card "
            "uses where it tells, and how far the speech is from the exact solution. Recommends the quickest one "
            "that is near enough.\n",
        .examples = "f5tts tune -m v1_base.f5 -r me.wav -s \"What I say there.\" --write\n"};
    int exit_code = tune(r, argc, argv);
    tune_close(&r->trial);
    speech_voices_close(&r->voices);
    free(r->model);
    free(r->text);
    free(r);
    return exit_code;
}
