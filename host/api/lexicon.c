/* lexicon.c — words and how they are said: the public handle. */
#include "host/api/f5tts.h"
#include "kernels/error.h"

f5_status f5_lexicon_open(const char *text, size_t bytes, const char *where, f5_lexicon **opened, f5_error *error) {
    (void)text, (void)bytes, (void)where;
    if (opened) *opened = NULL;
    return f5_fail(error, F5_E_UNSUPPORTED, "lexicons are not supported yet");
}

void f5_lexicon_close(f5_lexicon *lexicon) {
    (void)lexicon;
}
