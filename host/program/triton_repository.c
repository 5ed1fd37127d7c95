/* triton_repository.c — everything is written into a folder of another name, as litter; that folder then takes its
 * place. What is litter under that name afterwards is what was there before, and is swept away with it. */
#define _GNU_SOURCE /* renameat2 */
#include "host/program/triton_repository.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/api/f5tts.h"
#include "host/files/output_file.h"
#include "host/files/output_litter.h"

#define MARK "# Made by f5tts triton-repo"
#define COPIED_BYTES 1048576
#define MOST_GPUS 64
#define MOST_GPU_NUMBER 999
#define MOST_LANGUAGES_BYTES 127 /* as the backend reads (host/triton/model_config.h) */
#define WORDS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,_-"
#define NAMES_TRIED 100
#define MODEL "f5_tts"
#define STREAM "f5_tts_stream"

/* All that there is, folders before what is in them. */
static const struct {
    const char *name;
    bool is_folder;
} contents[] = {{"", true},
                {"/" MODEL, true},
                {"/" MODEL "/1", true},
                {"/" MODEL "/config.pbtxt", false},
                {"/" MODEL "/1/model.f5", false},
                {"/" STREAM, true},
                {"/" STREAM "/1", true},
                {"/" STREAM "/config.pbtxt", false},
                {"/" STREAM "/1/README", false}};
enum { CONTENTS = sizeof contents / sizeof *contents };

/* ---- what is there ----------------------------------------------------------------------------------------------- */

static bool is_known(const char *name, mode_t mode) {
    for (int i = 0; i < CONTENTS; i++)
        if (strcmp(contents[i].name, name) == 0) return contents[i].is_folder ? S_ISDIR(mode) : S_ISREG(mode);
    return false;
}

/* Is everything in one of our folders known? Counts what is there; `unknown` names what is not known. */
static bool holds_known(const char *root, const char *inside, int *entries, char unknown[OUTPUT_MAX_PATH]) {
    bool known = true;
    struct stat there;
    snprintf(unknown, OUTPUT_MAX_PATH, "%s%s", root, inside);
    DIR *folder = opendir(unknown);
    for (const struct dirent *d; folder && known && (d = readdir(folder));) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
        int n = snprintf(unknown, OUTPUT_MAX_PATH, "%s%s/%s", root, inside, d->d_name);
        known = n < OUTPUT_MAX_PATH && lstat(unknown, &there) == 0 && is_known(unknown + strlen(root), there.st_mode);
        ++*entries;
    }
    if (folder) closedir(folder);
    return folder && known;
}

static bool is_marked(const char *root) {
    char path[OUTPUT_MAX_PATH], first[sizeof MARK] = "";
    snprintf(path, sizeof path, "%.4000s/" MODEL "/config.pbtxt", root);
    FILE *f = fopen(path, "re");
    bool marked = f && fread(first, 1, sizeof MARK - 1, f) == sizeof MARK - 1 && strcmp(first, MARK) == 0;
    if (f) fclose(f);
    return marked;
}

/* May `folder` be made? *flags: how it comes into its place. */
static f5_status check_place(const char *folder, unsigned *flags, f5_error *error) {
    struct stat there;
    char unknown[OUTPUT_MAX_PATH] = "";
    *flags = RENAME_NOREPLACE;
    if (lstat(folder, &there) != 0 && errno == ENOENT) return F5_OK;
    if (stat(folder, &there) != 0 || !S_ISDIR(there.st_mode))
        return f5_fail(error, F5_E_ARGUMENT, "%s: is there, and is no folder: name another", folder);
    *flags = 0; /* over an empty one */
    int entries = 0;
    for (int i = 0; i < CONTENTS && (i == 0 || entries > 0); i++) {
        if (contents[i].is_folder && !holds_known(folder, contents[i].name, &entries, unknown))
            return f5_fail(error, F5_E_ARGUMENT,
                           "%s: %s is not of f5tts triton-repo: name another folder, or remove it", folder, unknown);
    }
    if (entries == 0) return F5_OK;
    *flags = RENAME_EXCHANGE;
    if (is_marked(folder)) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "%s: was not made by f5tts triton-repo: name another folder", folder);
}

/* ---- what is written --------------------------------------------------------------------------------------------- */

static void put(output_file *f, const char *format, ...) F5_PRINTF(2, 3);
static void put(output_file *f, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(f->stream, format, args); /* output_commit sees what fails */
    va_end(args);
}

static void put_text(output_file *f, const char *key, const char *value) {
    if (value) put(f, "parameters { key: \"%s\" value { string_value: \"%s\" } }\n", key, value);
}

static void put_number(output_file *f, const char *key, int32_t value) {
    put(f, "parameters { key: \"%s\" value { string_value: \"%d\" } }\n", key, value);
}

static void put_config(output_file *f, const triton_repository *r, bool stream) {
    put(f, MARK ", version %s. Run it again to change this.\n", f5_version());
    put(f, "name: \"%s\"\nbackend: \"f5tts\"\n", stream ? STREAM : MODEL);
    put(f,
        "# a request has one text; the engine packs those that come together\nmax_batch_size: 1\n"
        "dynamic_batching {\n  max_queue_delay_microseconds: 0\n  default_queue_policy { max_queue_size: %d }\n}\n",
        r->waiting);
    if (stream) put(f, "model_transaction_policy { decoupled: true }\n");
    put(f, "instance_group [ { count: %d kind: %s", r->instances, r->gpus ? "KIND_GPU" : "KIND_CPU");
    if (r->gpus) put(f, " gpus: [ %s ]", r->gpus);
    put(f, " } ]\n\ninput [\n"
           "  { name: \"reference_wav\" data_type: TYPE_FP32 dims: [ -1 ] optional: true },\n"
           "  { name: \"reference_wav_len\" data_type: TYPE_INT32 dims: [ 1 ] optional: true },\n"
           "  { name: \"reference_text\" data_type: TYPE_STRING dims: [ 1 ] },\n"
           "  { name: \"target_text\" data_type: TYPE_STRING dims: [ 1 ] }\n]\n"
           "output [ { name: \"waveform\" data_type: TYPE_FP32 dims: [ -1 ] } ]\n\n");
    put_text(f, "model_path", stream ? "../../" MODEL "/1/model.f5" : "model.f5");
    if (!r->gpus) put_text(f, "device", r->device);
    put_text(f, "precision", r->precision);
    put_text(f, "vocoder_precision", r->vocoder_precision);
    put_text(f, "languages", r->languages);
    put_number(f, "max_frames", r->max_frames);
    put_number(f, "max_batch", r->max_batch);
    put_number(f, "threads", r->threads);
    put_number(f, "text_bytes", r->text_bytes);
    put_text(f, "method", r->method);
    put_number(f, "nfe_step", r->nfe_step);
    if (!stream) return;
    char seconds[32];
    snprintf(seconds, sizeof seconds, "%g", (double)r->first_chunk);
    put_text(f, "first_chunk", seconds);
}

static f5_status copy_bytes(const char *from, output_file *to, f5_error *error) {
    char *block = malloc(COPIED_BYTES);
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    ssize_t n = 1;
    while (block && fd >= 0 && n > 0 && output_failed(to) == 0) {
        n = read(fd, block, COPIED_BYTES);
        if (n > 0) output_write(to, block, (size_t)n);
    }
    int reason = errno;
    if (fd >= 0) close(fd);
    free(block);
    if (!block) return f5_fail(error, F5_E_MEMORY, "no memory to copy a model");
    if (fd < 0 || n < 0) return f5_fail(error, F5_E_IO, "%s: cannot be read: %s", from, strerror(reason));
    return F5_OK;
}

static f5_status write_file(const triton_repository *r, int which, const char *path, f5_error *error) {
    output_file f;
    F5_TRY(output_begin(&f, path, error));
    f5_status status = F5_OK;
    if (strstr(contents[which].name, "model.f5"))
        status = copy_bytes(r->model, &f, error);
    else if (strstr(contents[which].name, "README"))
        put(&f, "The model that speaks is ../../" MODEL "/1/model.f5.\n");
    else
        put_config(&f, r, strstr(contents[which].name, STREAM) != NULL);
    if (status == F5_OK) return output_commit(&f, error);
    output_abort(&f);
    return status;
}

/* The folder `made` [OUTPUT_MAX_PATH + 32] beside its place, under a name that nothing has: a process that was killed
 * may have had our number, and left its own. */
static f5_status make_beside(const char *place, char *made, f5_error *error) {
    int folder = (int)(strrchr(place, '/') - place), failed = -1;
    F5_TRY(output_make_folder(place, error));
    errno = EEXIST;
    for (int i = 0; failed && errno == EEXIST && i < NAMES_TRIED; i++) {
        snprintf(made, OUTPUT_MAX_PATH + 32, "%.*s/.f5tts-%ld-%d", folder, place, (long)getpid(), i);
        failed = litter_mkdir(made);
    }
    return failed ? f5_fail(error, F5_E_IO, "%s: cannot be made: %s", made, strerror(errno)) : F5_OK;
}

static f5_status write_contents(const triton_repository *r, const char *root, f5_error *error) {
    char path[OUTPUT_MAX_PATH];
    for (int i = 0; i < CONTENTS; i++) {
        if (snprintf(path, sizeof path, "%s%s", root, contents[i].name) >= (int)sizeof path)
            return f5_fail(error, F5_E_ARGUMENT, "%s: the path is too long", root);
        if (contents[i].is_folder && i > 0 && litter_mkdir(path) != 0)
            return f5_fail(error, F5_E_IO, "%s: cannot be made: %s", path, strerror(errno));
        if (contents[i].is_folder) continue;
        litter_add(path);
        F5_TRY(write_file(r, i, path, error));
    }
    return F5_OK;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

/* What is written here is read by a server, elsewhere and later: what it would refuse is refused now. */

/* The GPU's number that stands there, behind which *at then points; -1: none. */
static int read_gpu(const char **at) {
    int number = 0, digits = 0;
    for (; **at >= '0' && **at <= '9' && digits < 3; ++*at, digits++) number = 10 * number + (**at - '0');
    return digits > 0 ? number : -1;
}

/* Numbers of GPUs, "0,1": each once. */
static f5_status check_gpus(const char *list, f5_error *error) {
    bool there[MOST_GPU_NUMBER + 1] = {false};
    int n = 0;
    for (const char *at = list; at; at = *at == ',' ? at + 1 : NULL) {
        int number = read_gpu(&at);
        if (number < 0 || (*at && *at != ','))
            return f5_fail(error, F5_E_ARGUMENT, "--gpus %.60s: must be numbers of GPUs from 0 to %d, as 0,1", list,
                           MOST_GPU_NUMBER);
        if (there[number]) return f5_fail(error, F5_E_ARGUMENT, "--gpus %.60s: names %d twice", list, number);
        there[number] = true;
        if (++n > MOST_GPUS) return f5_fail(error, F5_E_ARGUMENT, "--gpus: more than %d GPUs", MOST_GPUS);
    }
    return F5_OK;
}

/* Names of languages, "en,zh-CN"; whether numbers of one can be spelled, the engine knows. */
static f5_status check_languages(const char *list, f5_error *error) {
    for (const char *at = list; at; at = *at == ',' ? at + 1 : NULL) {
        size_t letters = strspn(at, "abcdefghijklmnopqrstuvwxyz"), bytes = strcspn(at, ",");
        if (letters < 2 || letters > 3 || (at[letters] && !strchr(",-_", at[letters])) || strspn(at, WORDS) < bytes)
            return f5_fail(error, F5_E_ARGUMENT, "--languages %.60s: must be names of languages, as en,zh", list);
        at += bytes;
    }
    if (!list || strlen(list) <= MOST_LANGUAGES_BYTES) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "--languages has %zu bytes: at most %d are read", strlen(list),
                   MOST_LANGUAGES_BYTES);
}

static f5_status check_device(const char *name, f5_error *error) {
    if (strcmp(name, "auto") == 0 || strcmp(name, "cpu") == 0 || strcmp(name, "cuda") == 0) return F5_OK;
    const char *at = strncmp(name, "cuda:", 5) == 0 ? name + 5 : name;
    if (at > name && read_gpu(&at) >= 0 && *at == '\0') return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "--device %.60s: must be auto, cpu, cuda or cuda:N", name);
}

static f5_status check(const triton_repository *r, f5_error *error) {
    f5_model_file *model = NULL;
    F5_TRY(check_device(r->device, error));
    F5_TRY(check_gpus(r->gpus, error));
    F5_TRY(check_languages(r->languages, error));
    F5_TRY(f5_describe(r->model, &model, error));
    /* where the server is, "auto" may be a GPU */
    const char *device = r->gpus || strcmp(r->device, "auto") == 0 ? "cuda" : r->device;
    const f5_status status = f5_model_file_check(model, device, r->precision, r->vocoder_precision, error);
    f5_model_file_close(model);
    return status;
}

/* For file systems that know no flags of renameat2, as NFS. Nothing and an empty folder are replaced by rename alone,
 * and it replaces nothing else. A folder with something in it is put aside first, and goes where the new one was. */
static int put_in_place(const char *made, const char *place, unsigned flags) {
    char aside[OUTPUT_MAX_PATH + 40];
    sigset_t all, before;
    if (flags != RENAME_EXCHANGE) return rename(made, place);
    snprintf(aside, sizeof aside, "%s-old", made);
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before); /* no signal ends us while nothing is in its place */
    int failed = rename(place, aside);
    if (!failed) {
        failed = rename(made, place);
        int reason = errno;
        if (rename(aside, failed ? place : made) != 0)
            fprintf(stderr, "f5tts triton-repo: what was in %s is in %s now\n", place, aside);
        errno = reason;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return failed;
}

f5_status triton_repository_make(const triton_repository *r, const char *folder, f5_error *error) {
    char place[OUTPUT_MAX_PATH], made[OUTPUT_MAX_PATH + 32];
    unsigned flags;
    struct stat model;
    F5_TRY(check(r, error));
    if (!output_identity(folder, place)) return f5_fail(error, F5_E_ARGUMENT, "%s: the path is too long", folder);
    F5_TRY(check_place(place, &flags, error));
    snprintf(made, sizeof made, "%s/" MODEL "/1/model.f5", folder);
    if (stat(r->model, &model) == 0) F5_TRY(output_check_room(made, model.st_size, error));
    F5_TRY(make_beside(place, made, error));
    F5_TRY(write_contents(r, made, error));
    if (renameat2(AT_FDCWD, made, AT_FDCWD, place, flags) == 0) return F5_OK;
    if ((errno == EINVAL || errno == ENOSYS) && put_in_place(made, place, flags) == 0) return F5_OK;
    return f5_fail(error, F5_E_IO, "%s: cannot be put into its place: %s", folder, strerror(errno));
}
