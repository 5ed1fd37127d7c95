/* paced_engine.c — loaded before libf5tts: speech costs nothing and comes at the pace at which it is heard, half a
 * second of sound every half second, so that what is left of the CPU time is the server's own. A text's length is ten
 * seconds. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "host/api/f5tts.h"

enum { PIECE = F5_SAMPLE_RATE / 2, PIECES = 20 };

static float samples[PIECE];

__attribute__((constructor)) static void make_samples(void) {
    for (int k = 0; k < PIECE; k++) samples[k] = 0.3f * sinf((float)k * 0.05f) + 0.05f * (float)(k * 7919 % 101) / 101;
}

f5_status f5_speak(f5_engine *e, const f5_voice *v, const f5_speak_params *p, f5_speak_stats *stats, f5_error *error) {
    (void)e;
    (void)v;
    (void)stats;
    for (int i = 0; i < PIECES; i++) {
        const f5_audio audio = {.samples = samples,
                                .n_samples = PIECE,
                                .mel = samples,
                                .mel_frames = 1,
                                .index = i,
                                .text = "x",
                                .text_bytes = 1,
                                .seconds = i * 0.5};
        if (p->audio(p->audio_user, &audio)) {
            error->status = F5_E_CANCELLED;
            strcpy(error->message, "cancelled");
            return F5_E_CANCELLED;
        }
        if (i + 1 < PIECES) usleep(500000);
    }
    return F5_OK;
}
