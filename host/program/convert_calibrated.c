/* convert_calibrated.c — converts to fp32, lets an engine on the CPU speak under the calibration's trace, writes. */
#include "host/program/convert_calibrated.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/files/audio_file.h"
#include "host/files/output_file.h"
#include "host/files/output_litter.h"
#include "host/program/convert_files.h"
#include "host/program/model_settings.h"
#include "host/program/voice_files.h"

enum { STEPS = 16 }; /* of Euler's: operands of early times and of late ones */

typedef struct {
    const f5_convert_params *params;
    const calibration_wish *wish;
    bool quiet;
    int exact; /* the model in fp32, open; -1: not yet */
    char path[OUTPUT_MAX_PATH];
    voice_files files;
    f5_calibration *calibration;
    f5_engine *engine;
    f5_voice *voice;
    int32_t products, wide;
} calibrating;

/* Found and read before anything is converted, which takes long. */
static f5_status find_recording(calibrating *c, f5_error *error) {
    const calibration_wish *w = c->wish;
    const bool there = access(w->recording, F_OK) == 0, named = !there && !strpbrk(w->recording, "./");
    if (named && w->words)
        return f5_fail(error, F5_E_ARGUMENT,
                       "--calibrate %s: no such file, and a shipped voice has words of its own: leave --text out",
                       w->recording);
    if (named) return voice_files_shipped(&c->files, w->recording, error);
    if (!there) return f5_fail(error, F5_E_IO, "--calibrate %s: there is no such file", w->recording);
    const f5_status status = voice_files_named(&c->files, w->recording, w->words, NULL, false, error);
    if (status == F5_E_ARGUMENT && f5_text_is_blank(w->words))
        return f5_fail(error, status, "--calibrate %s: what does it say? Give --text, or write it beside it as a .txt",
                       w->recording);
    F5_TRY(status);
    audio_file recording;
    F5_TRY(audio_read(&recording, w->recording, error));
    audio_free(&recording);
    return F5_OK;
}

static int hear_nothing(void *user, const f5_audio *audio) {
    (void)user, (void)audio;
    return 0;
}

/* What the recording says, once more. */
static f5_status speak(calibrating *c, f5_error *error) {
    f5_open_params open;
    f5_open_params_init(&open);
    open.model_path = c->path;
    open.device = "cpu";
    open.precision = "fp32";
    open.trace = f5_calibration_trace;
    open.trace_user = c->calibration;
    F5_TRY(f5_open(&open, &c->engine, error));
    const voice_settings settings = {.target_rms = 0.1f};
    F5_TRY(voice_files_open(&c->files, c->engine, &settings, &c->voice, error));
    f5_sample_params sample;
    f5_sample_params_init(&sample);
    sample.nfe = STEPS;
    f5_speak_params p;
    f5_speak_params_init(&p);
    p.text = c->files.words;
    p.sample = &sample;
    p.audio = hear_nothing;
    return f5_speak(c->engine, c->voice, &p, NULL, error);
}

/* "dit.3.qkv" as its block and its name: "3", "qkv"; of an MMDiT's text "text's qkv". */
static void print_product(void *user, const f5_calibrated_product *product) {
    calibrating *c = user;
    c->products++;
    c->wide += product->wide != 0;
    if (c->quiet) return;
    const char *block = strchr(product->product, '.'), *name = block ? strchr(block + 1, '.') : NULL;
    if (!block || !name) return;
    if (c->products == 1) printf("%-8s %-12s %12s %12s  %s\n", "block", "product", "error before", "after", "operands");
    char shown[32];
    snprintf(shown, sizeof shown, "%s%s", strstr(product->product, "_text.") ? "text's " : "", name + 1);
    printf("%-8.*s %-12s %12.4f %12.4f  %s\n", (int)(name - block - 1), block + 1, shown, (double)product->error,
           (double)product->calibrated_error,
           product->wide     ? "16 bits"
           : product->scaled ? "8 bits, scaled"
                             : "8 bits");
}

static f5_status calibrate(calibrating *c, f5_error *error) {
    F5_TRY(f5_calibration_open(c->path, &c->calibration, error));
    F5_TRY(speak(c, error));
    f5_calibration_params p;
    f5_calibration_params_init(&p);
    p.output_path = c->params->output_path;
    p.vocoder_matrices = c->params->vocoder_matrices;
    p.most_error = c->wish->most_error;
    p.product = print_product;
    p.product_user = c;
    F5_TRY(f5_calibration_write(c->calibration, &p, error));
    if (!c->quiet)
        printf("%d of %d products stay in 16 bits: in 8 they lose more than %g\n", (int)c->wide, (int)c->products,
               (double)c->wish->most_error);
    return F5_OK;
}

/* What the summary says of the file. */
static f5_status count(const char *path, f5_convert_summary *summary, f5_error *error) {
    f5_model_file *file;
    f5_model_info info;
    F5_TRY(model_describe(path, &file, &info, error));
    summary->tensors = info.tensors;
    summary->bytes = info.bytes;
    f5_model_file_close(file);
    return F5_OK;
}

/* A failure of the file in fp32, of which nobody knows, is told of the output. */
static f5_status named_as_output(const calibrating *c, f5_status status, f5_error *error) {
    const size_t named = strlen(c->path);
    if (status == F5_OK || strncmp(error->message, c->path, named) != 0) return status;
    return f5_fail(error, status, "%s%s", c->params->output_path, error->message + named);
}

/* The model in fp32 has a name only until it is whole and open: nothing of it is left, unless the process is killed
 * outright before that. */
static f5_status convert_exactly(calibrating *c, const char *program, f5_convert_summary *summary, f5_error *error) {
    f5_convert_params exact = *c->params;
    if (!output_temporary_name(exact.output_path, c->path))
        return f5_fail(error, F5_E_IO, "%s: has no room for a name beside it", exact.output_path);
    exact.output_path = c->path;
    exact.matrices = exact.vocoder_matrices = "fp32";
    const int litter = litter_add(c->path);
    f5_status status = convert_files(&exact, program, c->quiet, summary, error);
    if (status == F5_OK) {
        c->exact = open(c->path, O_RDONLY | O_CLOEXEC);
        if (c->exact < 0) status = f5_fail(error, F5_E_IO, "%s: cannot be read: %s", c->path, strerror(errno));
    }
    status = named_as_output(c, status, error);
    unlink(c->path);
    litter_forget(litter);
    snprintf(c->path, sizeof c->path, "/proc/self/fd/%d", c->exact);
    return status;
}

static f5_status convert_and_calibrate(calibrating *c, const char *program, f5_convert_summary *summary,
                                       f5_error *error) {
    F5_TRY(f5_convert_check_output(c->params, error));
    F5_TRY(find_recording(c, error));
    F5_TRY(output_check_distinct(c->params->output_path, c->files.audio, error));
    F5_TRY(convert_exactly(c, program, summary, error));
    F5_TRY(named_as_output(c, calibrate(c, error), error));
    return count(c->params->output_path, summary, error);
}

f5_status convert_calibrated(const f5_convert_params *params, const calibration_wish *wish, const char *program,
                             bool quiet, f5_convert_summary *summary, f5_error *error) {
    calibrating c = {.params = params, .wish = wish, .quiet = quiet, .exact = -1};
    const f5_status status = convert_and_calibrate(&c, program, summary, error);
    f5_voice_close(c.voice);
    f5_close(c.engine);
    f5_calibration_close(c.calibration);
    voice_files_free(&c.files);
    if (c.exact >= 0) close(c.exact);
    return status;
}
