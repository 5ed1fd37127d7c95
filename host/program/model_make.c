/* model_make.c — a lock, a look, a conversion, and the text that says of what. */
#define _GNU_SOURCE /* asprintf */
#include "host/program/model_make.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "host/files/output_file.h"
#include "host/files/text_file.h"
#include "host/program/convert_files.h"
#include "host/program/shipped.h"

#define MAX_DESCRIPTION_BYTES (64 << 10)

char *model_place(const char *folder, const char *name, const char *ending) {
    char *path;
    return asprintf(&path, "%s/%s%s", folder, name, ending) < 0 ? NULL : path;
}

char *model_usual_vocab(void) {
    char *path = NULL;
    f5_error why;
    return shipped_file(SHIPPED_TEXT, SHIPPED_VOCAB, "", &path, &why) == F5_OK ? path : NULL;
}

/* FNV-1a (Fowler, Noll, Vo), 64 bits: a name for a text. */
static uint64_t hash_text(const char *text) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

/* Everything that is held meanwhile. */
typedef struct {
    char *text; /* what the model is made of */
    char *path, *description, *lock;
    int lock_fd;
} making;

static f5_status name_all(making *m, const model_sources *s, const hub_place *place, const model_making *how,
                          f5_error *error) {
    const char *folder = how->by_name ? place->models : place->converted;
    char name[128];
    m->text = model_sources_text(s, how->precision);
    if (!m->text) return f5_fail(error, F5_E_MEMORY, "no memory for a model's name");
    if (how->by_name)
        snprintf(name, sizeof name, "%s", s->name);
    else
        snprintf(name, sizeof name, "%s-%016" PRIx64, s->name, hash_text(m->text));
    m->path = model_place(folder, name, ".f5");
    m->description = model_place(folder, name, ".txt");
    m->lock = asprintf(&m->lock, "%s/.locks/%s.lock", folder, name) < 0 ? NULL : m->lock;
    return m->path && m->description && m->lock ? F5_OK : f5_fail(error, F5_E_MEMORY, "no memory for a file name");
}

/* Is the model there, and of these sources where that is asked? */
static bool is_there(const making *m, const model_making *how) {
    char *text = NULL;
    f5_error why;
    if (access(m->path, R_OK) != 0) return false;
    if (!how->by_name || !how->renew) return true;
    if (text_file_read(m->description, MAX_DESCRIPTION_BYTES, &text, NULL, &why) != F5_OK) return false;
    bool same = strncmp(text, m->text, strlen(m->text)) == 0;
    free(text);
    return same;
}

static f5_status take_lock(making *m, const model_making *how, f5_error *error) {
    F5_TRY(output_make_folder(m->lock, error));
    m->lock_fd = open(m->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (m->lock_fd < 0) return f5_fail(error, F5_E_IO, "%s: %s", m->lock, strerror(errno));
    if (flock(m->lock_fd, LOCK_EX | LOCK_NB) == 0) return F5_OK;
    if (!how->quiet) fprintf(stderr, "%s: another program converts this model: waiting\n", how->program);
    while (flock(m->lock_fd, LOCK_EX) != 0)
        if (errno != EINTR) return f5_fail(error, F5_E_IO, "%s: %s", m->lock, strerror(errno));
    return F5_OK;
}

/* The licences of the weights: the checkpoint's, which may be known, and the vocoder's. Is either known? */
static bool licences(const model_sources *s, const model_making *how, char line[192]) {
    const char *own = how->licence && *how->licence ? how->licence : NULL;
    if (!own && s->checkpoint.of_hub) own = model_licence(s->checkpoint.hub.repository);
    const char *vocoder = s->vocoder.of_hub ? model_licence(s->vocoder.hub.repository) : NULL;
    snprintf(line, 192, "%.80s; vocoder %.80s", own ? own : "unknown", vocoder ? vocoder : "unknown");
    return own || vocoder;
}

/* The repositories of the hub that the weights are from, whose pages say whom to name; "": none. */
static void credits(const model_sources *s, char line[2 * sizeof((hub_file *)NULL)->repository + 16]) {
    const bool own = s->checkpoint.of_hub, vocoder = s->vocoder.of_hub;
    sprintf(line, "%s%s%s%s", own ? s->checkpoint.hub.repository : "", own && vocoder ? "; " : "",
            vocoder ? "vocoder " : "", vocoder ? s->vocoder.hub.repository : "");
}

static f5_status write_description(const making *m, const char *licence, f5_error *error) {
    output_file file;
    F5_TRY(output_begin(&file, m->description, error));
    fprintf(file.stream, "%slicence %s\n", m->text, licence);
    return output_commit(&file, error);
}

static f5_status convert(const making *m, const model_sources *s, const model_making *how, f5_error *error) {
    f5_convert_params p;
    f5_convert_summary summary;
    f5_setting settings[MODEL_SETTINGS];
    char licence[192], credit[2 * sizeof((hub_file *)NULL)->repository + 16];
    if (access(m->path, F_OK) == 0 && access(m->description, F_OK) != 0)
        return f5_fail(error, F5_E_IO, "%s: is there, and was not made by this program: move it away first", m->path);
    f5_convert_params_init(&p);
    f5_convert_summary_init(&summary);
    p.config_path = s->config_path ? s->config_path : s->name;
    if (s->kind) {
        p.config = settings;
        p.n_config = model_kind_settings(s->kind, settings);
    }
    p.vocoder_config_path = s->vocoder_config.path;
    p.checkpoint_path = s->checkpoint.path;
    p.vocoder_path = s->vocoder.path;
    p.vocab_path = s->vocab.path;
    p.output_path = m->path;
    p.matrices = how->precision;
    if (licences(s, how, licence)) p.license = licence;
    credits(s, credit);
    p.credit = credit;
    if (!how->quiet) {
        fprintf(stderr, "%s: %s becomes %s, once; licence %s\n", how->program, s->name, m->path, licence);
        if (s->assumed)
            fprintf(stderr,
                    "%s: taken as %s: a checkpoint does not say what it is of, -m NAME does (F5TTS_Base, ...)\n",
                    how->program, s->name);
    }
    F5_TRY(convert_files(&p, how->program, how->quiet, &summary, error));
    return write_description(m, licence, error);
}

f5_status model_make(const model_sources *s, const hub_place *place, const model_making *how, char **path,
                     f5_error *error) {
    making m = {.lock_fd = -1};
    f5_status status = name_all(&m, s, place, how, error);
    if (status == F5_OK && !is_there(&m, how)) {
        status = take_lock(&m, how, error);
        if (status == F5_OK && !is_there(&m, how)) status = convert(&m, s, how, error);
    }
    if (m.lock_fd >= 0) close(m.lock_fd);
    free(m.lock);
    free(m.description);
    free(m.text);
    if (status == F5_OK)
        *path = m.path;
    else
        free(m.path);
    return status;
}
