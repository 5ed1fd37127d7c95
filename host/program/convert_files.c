/* convert_files.c — what cmd_convert.c and model_file.c share: inputs, progress and signals of a conversion. */
#include "host/program/convert_files.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/files/yaml_tree.h"
#include "host/program/cli.h"
#include "host/program/interruption.h"
#include "host/program/shipped.h"

/* The tables that are asked for, or those that come with the program; to be freed. Without any the model is made all
 * the same. */
static char *find_pinyin(f5_convert_params *p, const char *program, bool quiet) {
    char *path = NULL;
    f5_error why = {0};
    if (p->pinyin_path && strcmp(p->pinyin_path, "none") == 0)
        p->pinyin_path = NULL;
    else if (!p->pinyin_path && shipped_file(SHIPPED_TEXT, SHIPPED_PINYIN, "", &path, &why) == F5_OK)
        p->pinyin_path = path;
    else if (!p->pinyin_path && !quiet)
        fprintf(stderr, "%s: no tables for Chinese, which a pinyin model would carry: %s: give --pinyin FILE\n",
                program, why.message);
    return path;
}

static f5_status read_and_convert(f5_convert_params *p, f5_convert_summary *summary, f5_error *error) {
    yaml_tree config = {0}, vocoder_config = {0};
    f5_status status = F5_OK;
    if (!p->config) {
        status = yaml_tree_read(&config, p->config_path, error);
        p->config = config.setting;
        p->n_config = config.count;
    }
    if (status == F5_OK && !p->vocoder_config && p->vocoder_config_path) {
        status = yaml_tree_read(&vocoder_config, p->vocoder_config_path, error);
        p->vocoder_config = vocoder_config.setting;
        p->n_vocoder_config = vocoder_config.count;
    }
    if (status == F5_OK) status = f5_convert(p, summary, error);
    yaml_tree_free(&config);
    yaml_tree_free(&vocoder_config);
    return status;
}

/* ---- signals: a conversion that is ended leaves nothing behind, whatever the file system ------------------------- */

/* They are looked for between tensors. */
typedef struct {
    cli_progress *bar; /* NULL: quiet */
    interruption ending;
} watch;

static int report(void *user, int32_t tensor, int32_t tensors) {
    watch *w = user;
    if (w->bar) cli_progress_report(w->bar, tensor, tensors);
    return interruption_arrived(&w->ending, 0);
}

f5_status convert_files(f5_convert_params *params, const char *program, bool quiet, f5_convert_summary *summary,
                        f5_error *error) {
    f5_convert_params p = *params;
    cli_progress progress;
    cli_progress_begin(&progress, "converting");
    watch w = {.bar = quiet ? NULL : &progress};
    p.progress = report;
    p.progress_user = &w;
    char *pinyin = find_pinyin(&p, program, quiet);
    interruption_begin(&w.ending);
    signal(SIGXFSZ, SIG_IGN); /* a file that grows too large is a failed write, and told */
    f5_status status = read_and_convert(&p, summary, error);
    free(pinyin);
    cli_progress_end(&progress);
    interruption_end(&w.ending);
    return status;
}
