/* speech_progress.h — how far a text is spoken: the steps of its first piece, then its pieces. */
#ifndef F5_SPEECH_PROGRESS_H
#define F5_SPEECH_PROGRESS_H

#include "host/api/f5tts.h"
#include "host/program/cli.h"

typedef struct {
    cli_progress bar;
    char label[48];
    int32_t done, chunks; /* pieces handed out, of how many */
} speech_progress;

void speech_progress_begin(speech_progress *p);
int speech_progress_step(void *progress, int32_t step, int32_t steps); /* for f5_sample_params; never cancels */
void speech_progress_piece(speech_progress *p, const f5_audio *audio);
void speech_progress_end(speech_progress *p);

#endif
