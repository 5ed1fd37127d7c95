/* transcribe.h — the words of a recording, heard by a recogniser of the user's: `--transcribe 'whisper-cli -f {}'`.
 *
 * The recogniser is given what the model will hear: the recording clipped and trimmed, as a 16-bit WAV file of 16 kHz
 * with one channel, in a private file that is removed afterwards. {} in the command is its path. What it prints to
 * standard output is the words: time stamps go ("[00:00:00.000 --> 00:00:02.000]", "[00:00.000 --> 00:02.000]", and
 * with them the lines that have none), lines become one. It is a text like any other, of which nothing is believed.
 *
 * What was heard is kept in XDG_CACHE_HOME/f5tts/transcripts (~/.cache/...), by the sound and the command, so that it
 * is heard once; a folder that cannot be made only costs the next run its time. */
#ifndef F5_TRANSCRIBE_H
#define F5_TRANSCRIBE_H

#include "host/files/audio_file.h"
#include "host/program/cli.h"

#define TRANSCRIBE_SECONDS 300 /* by default: of whisper's largest model on two cores a clip takes about 60 */

typedef struct transcriber_word transcriber_word;

/* Recordings that were heard in this run are remembered in it. For one thread at a time. */
typedef struct {
    const char *command;    /* NULL: there is none, and transcribe is not called */
    float seconds;          /* that it may take */
    const cli_command *say; /* what was heard is told as this command's; NULL: it is not */
    transcriber_word *heard;
} transcriber;

/* Is it a command that can be run? F5_E_ARGUMENT says what is wrong with it. */
f5_status transcriber_check(const char *command, f5_error *error);

/* *words is to be freed. Errors name the recording: those of the recording itself, those of run_program, F5_E_FORMAT
 * (no words, no UTF-8). keep_whole: the recording is not clipped. A signal that would have ended the program does so at
 * the end, when all is put away. */
f5_status transcribe(transcriber *t, const char *audio, bool keep_whole, char **words, f5_error *error);
void transcriber_free(transcriber *t);

#endif
