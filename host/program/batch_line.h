/* batch_line.h — one line of a list as a task: its options, its voice, its output; and the checks of all lines before
 * the first of them is spoken. */
#ifndef F5_BATCH_LINE_H
#define F5_BATCH_LINE_H

#include "host/files/list_file.h"
#include "host/program/config_file.h"
#include "host/program/speech_options.h"
#include "host/program/voice_files.h"

typedef struct {
    int32_t number;
    speech_options o; /* those of the run, and the line's own */
    char *memory;     /* of the line's own texts */
    char *path;       /* of the output */
    int config_voice; /* index of the voice in the configuration; -1: `files` */
    voice_files files;
} batch_line;

/* Is it the name of a column? An is_name of list_open. */
bool batch_is_name(void *user, const char *name);

/* Makes a task of a line; `usual` are the options of the run, t hears transcripts that are missing. Errors say what is
 * wrong, without file and line. Nothing is held after an error. */
f5_status batch_line_make(batch_line *b, const list_line *line, const speech_options *usual, const config_file *config,
                          transcriber *t, f5_error *error);
void batch_line_free(batch_line *b);

/* ---- all lines --------------------------------------------------------------------------------------------------- */

typedef enum { BATCH_BAD, BATCH_THERE, BATCH_TO_DO } batch_state;

typedef struct {
    uint8_t *state; /* [n_states] of each line by its number, a batch_state; BATCH_BAD where no task is */
    int32_t n_states, to_do, there, bad;
    int32_t max_evaluations;
    char languages[256];  /* of the lines' normalize, "en,de" */
    struct file_set *set; /* that the lines so far read and write */
} batch_plan;

/* Looks at one task: is its output there already, would it take the place of an input or of another line's output? An
 * error makes the line a bad one. inputs [n_inputs]: files of the whole run. */
f5_status batch_plan_add(batch_plan *plan, const batch_line *b, bool overwrite, const char *const *inputs, int n_inputs,
                         f5_error *error);
/* Counts a line that is no task. */
f5_status batch_plan_bad(batch_plan *plan, int32_t number, f5_error *error);
batch_state batch_plan_state(const batch_plan *plan, int32_t number);
void batch_plan_free(batch_plan *plan);

#endif
