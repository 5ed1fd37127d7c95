/* lexicon.c — words and how they are said: the public handle is the lexicon itself. */
#include "host/api/lexicon.h"

#include "kernels/error.h"

f5_status f5_lexicon_open(const char *text, size_t bytes, const char *where, f5_lexicon **opened, f5_error *error) {
    if (!opened || (!text && bytes > 0))
        return f5_fail(error, F5_E_ARGUMENT, "f5_lexicon_open: text or lexicon is NULL");
    *opened = NULL;
    lexicon *l = NULL;
    F5_TRY(lexicon_open(text, bytes, where ? where : "lexicon", &l, error));
    *opened = (f5_lexicon *)l;
    return F5_OK;
}

void f5_lexicon_close(f5_lexicon *l) {
    lexicon_close((lexicon *)l);
}
