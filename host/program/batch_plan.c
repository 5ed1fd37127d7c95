/* batch_plan.c — what the lines of a list ask for, kept in a few bytes a line: its state, and a hash of the path of
 * each output and each recording. Two paths that spell one file differently are one file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/files/audio_file.h"
#include "host/files/output_file.h"
#include "host/program/batch_line.h"
#include "host/program/speech_chunks.h"
#include "host/program/speech_output.h"

/* ---- files ------------------------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t hash; /* 0: free */
    int32_t line;
    bool read; /* a recording, which many lines may read */
} file_slot;

struct file_set {
    file_slot *slot; /* [slots], a power of two, at most half of them taken */
    size_t slots, taken;
};

static uint64_t hash_path(const char *path) {
    char identity[OUTPUT_MAX_PATH];
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (const char *c = output_identity(path, identity) ? identity : path; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    return hash | 1;
}

static file_slot *find_slot(const struct file_set *set, uint64_t hash) {
    size_t i = hash & (set->slots - 1);
    while (set->slot[i].hash && set->slot[i].hash != hash) i = (i + 1) & (set->slots - 1);
    return &set->slot[i];
}

static bool grow_set(struct file_set *set) {
    if (2 * (set->taken + 1) <= set->slots) return true;
    struct file_set larger = {.slots = set->slots ? 2 * set->slots : 1024, .taken = set->taken};
    larger.slot = calloc(larger.slots, sizeof *larger.slot);
    if (!larger.slot) return false;
    for (size_t i = 0; i < set->slots; i++)
        if (set->slot[i].hash) *find_slot(&larger, set->slot[i].hash) = set->slot[i];
    free(set->slot);
    *set = larger;
    return true;
}

/* A file of that line, which reads or writes it. F5_E_ARGUMENT: a line before it writes the file, or reads what this
 * line would write. */
static f5_status add_file(batch_plan *plan, const char *path, int32_t line, bool read, f5_error *error) {
    struct stat there;
    if (stat(path, &there) == 0 && S_ISCHR(there.st_mode)) return F5_OK; /* /dev/null has room for all of them */
    if (!plan->set) plan->set = calloc(1, sizeof *plan->set);
    if (!plan->set || !grow_set(plan->set)) return f5_fail(error, F5_E_MEMORY, "no memory for the list's files");
    uint64_t hash = hash_path(path);
    file_slot *slot = find_slot(plan->set, hash);
    if (slot->hash && read && slot->read) return F5_OK;
    if (slot->hash)
        return f5_fail(error, F5_E_ARGUMENT,
                       read ? "%s: the recording of this line is what line %d writes: give the output another name"
                       : slot->read ? "%s: line %d reads this file as its recording: give another name"
                                    : "%s: line %d writes this file already: give another name",
                       path, (int)slot->line);
    *slot = (file_slot){hash, line, read};
    plan->set->taken++;
    return F5_OK;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static f5_status set_state(batch_plan *plan, int32_t number, batch_state state, f5_error *error) {
    if (number >= plan->n_states) {
        int32_t room = 2 * number + 1024;
        uint8_t *more = realloc(plan->state, (size_t)room);
        if (!more) return f5_fail(error, F5_E_MEMORY, "no memory for a list");
        memset(more + plan->n_states, BATCH_BAD, (size_t)(room - plan->n_states));
        plan->state = more, plan->n_states = room;
    }
    plan->state[number] = (uint8_t)state;
    return F5_OK;
}

f5_status batch_plan_bad(batch_plan *plan, int32_t number, f5_error *error) {
    plan->bad++;
    return set_state(plan, number, BATCH_BAD, error);
}

batch_state batch_plan_state(const batch_plan *plan, int32_t number) {
    return number < plan->n_states ? (batch_state)plan->state[number] : BATCH_BAD;
}

/* Adds a language to the list of them, unless it is there. */
static f5_status add_language(batch_plan *plan, const char *language, f5_error *error) {
    if (!language || strcmp(language, "none") == 0) return F5_OK;
    size_t bytes = strlen(language), used = strlen(plan->languages);
    for (const char *at = plan->languages; *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] != '\0'))
        if (strcspn(at, ",") == bytes && memcmp(at, language, bytes) == 0) return F5_OK;
    if (used + bytes + 2 > sizeof plan->languages)
        return f5_fail(error, F5_E_ARGUMENT, "normalize %.40s: too many languages in one list", language);
    snprintf(plan->languages + used, sizeof plan->languages - used, "%s%s", used ? "," : "", language);
    return F5_OK;
}

/* Two outputs whose names differ in their endings alone have one folder of chunks. */
static f5_status add_chunks(batch_plan *plan, const batch_line *b, f5_error *error) {
    char *folder = speech_chunks_folder(b->path, 0);
    if (!folder) return f5_fail(error, F5_E_MEMORY, "no memory for a file name");
    f5_status status = add_file(plan, folder, b->number, false, error);
    free(folder);
    return status;
}

static bool is_there(const char *path) {
    struct stat there;
    return stat(path, &there) == 0 && S_ISREG(there.st_mode);
}

f5_status batch_plan_add(batch_plan *plan, const batch_line *b, bool overwrite, const char *const *inputs, int n_inputs,
                         f5_error *error) {
    const speech_options *o = &b->o;
    const char *all[16] = {o->gen_file, o->init_noise, b->files.audio};
    int n = 3;
    for (int i = 0; i < n_inputs && n < 16; i++) all[n++] = inputs[i];
    F5_TRY(speech_output_check(o, b->path, all, n, error));
    if (o->gen_file && access(o->gen_file, R_OK) != 0)
        return f5_fail(error, F5_E_IO, "%s: cannot be read", o->gen_file);
    if (b->files.audio && audio_is_stdin(b->files.audio))
        return f5_fail(error, F5_E_ARGUMENT,
                       "ref_audio -: standard input can be read once, and lines are many: give a "
                       "file, or make it a voice of the configuration ([voices.NAME])");
    if (b->files.audio && access(b->files.audio, R_OK) != 0)
        return f5_fail(error, F5_E_IO, "%s: cannot be read", b->files.audio);
    F5_TRY(add_language(plan, o->normalize, error));
    if (b->files.audio) F5_TRY(add_file(plan, b->files.audio, b->number, true, error));
    const char *outputs[] = {b->path, o->save_mel, o->spectrogram, o->subtitles};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++)
        if (outputs[i]) F5_TRY(add_file(plan, outputs[i], b->number, false, error));
    if (o->save_chunk) F5_TRY(add_chunks(plan, b, error));
    bool there = !overwrite && is_there(b->path);
    F5_TRY(set_state(plan, b->number, there ? BATCH_THERE : BATCH_TO_DO, error));
    if (there) {
        plan->there++;
        return F5_OK;
    }
    plan->to_do++;
    int32_t evaluations = speech_options_evaluations(o);
    if (evaluations > plan->max_evaluations) plan->max_evaluations = evaluations;
    return F5_OK;
}

void batch_plan_free(batch_plan *plan) {
    if (plan->set) free(plan->set->slot);
    free(plan->set);
    free(plan->state);
    *plan = (batch_plan){0};
}
