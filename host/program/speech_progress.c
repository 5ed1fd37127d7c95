/* speech_progress.c — on a terminal a bar for each batch of pieces, elsewhere a line for each piece. */
#include "host/program/speech_progress.h"

#include <stdio.h>

void speech_progress_begin(speech_progress *p) {
    *p = (speech_progress){.label = "sampling"};
    cli_progress_begin(&p->bar, p->label);
}

int speech_progress_step(void *progress, int32_t step, int32_t steps) {
    speech_progress *p = progress;
    if (p->done == 0 || p->bar.terminal) cli_progress_report(&p->bar, step, steps);
    return 0;
}

void speech_progress_piece(speech_progress *p, const f5_audio *audio) {
    if (audio->mel_frames == 0 || audio->chunks == 1) return;
    p->done++;
    p->chunks = audio->chunks;
    if (!p->bar.terminal)
        fprintf(stderr, "chunk %d of %d  %.1f s\n", p->done, p->chunks, cli_seconds() - p->bar.started);
    else if (p->done < p->chunks)
        snprintf(p->label, sizeof p->label, "chunk %d of %d", p->done + 1, p->chunks);
}

void speech_progress_end(speech_progress *p) {
    cli_progress_end(&p->bar);
}
